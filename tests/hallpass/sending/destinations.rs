//! Proxies, and addresses that a secret must not be sent to.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::{BASIC, ENCODED, NO_FILES, login_at};
use crate::machine::{CLIENT_ID, Machine, SECRET, numbered_tokens};
use crate::secret_service::SecretService;
use crate::server::{Reply, Server};
use crate::tls::Authority;

// Proxies.

#[test]
fn a_request_on_this_machine_passes_no_proxy() {
    let proxy = Server::start(numbered_tokens());
    let server = Server::start(numbered_tokens());
    let mut machine = Machine::new();
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
        "HTTPS_PROXY",
        "https_proxy",
    ] {
        machine.set(name, &proxy.url(""));
    }
    let revocation = server.url("/revoke");
    machine.login("default", &server, &["--revocation-url", &revocation]);
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-2");
    let url = format!("http://localhost:{}/", server.port());
    login_at(&machine, &url, &["--timeout", "20s", "--replace"]).success();
    machine.run(&["logout", "default"]).success();
    assert_eq!(proxy.connections(), 0);
    assert!(server.requests().len() >= 3);
}

#[test]
fn a_proxy_for_https_carries_what_it_cannot_read() {
    let authority = Authority::new();
    let server = Server::start_tls(&authority.identity(&["127.0.0.1"]), numbered_tokens());
    for (name, method) in [
        ("HTTPS_PROXY", "client_secret_basic"),
        ("https_proxy", "client_secret_post"),
        ("ALL_PROXY", "client_secret_post"),
    ] {
        let proxy = Proxy::start();
        let mut machine = Machine::new();
        machine.set(name, &proxy.url("us3r:pr0xyword"));
        let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
        machine.login(
            "default",
            &server,
            &["--auth", method, "--ca-file", ca.to_str().expect("a path")],
        );
        let connect = format!("CONNECT 127.0.0.1:{} HTTP/1.1\r\n", server.port());
        let seen = proxy.seen();
        assert!(seen.starts_with(connect.as_bytes()), "{name}");
        let seen = String::from_utf8_lossy(&seen);
        assert_eq!(seen.matches("CONNECT ").count(), 1, "{name}");
        for readable in [
            SECRET,
            ENCODED,
            BASIC,
            CLIENT_ID,
            "client_secret",
            "grant_type",
            "token-",
        ] {
            assert!(!seen.contains(readable), "{name}: {readable}");
        }
        machine.set("NO_PROXY", "127.0.0.1");
        machine.run(&["token", "--refresh"]).success();
        assert_eq!(proxy.connections(), 1, "{name}: NO_PROXY");
    }
    assert_eq!(server.requests().len(), 6);
}

#[test]
fn a_proxy_that_refuses_is_unavailable_and_its_password_is_not_shown() {
    let authority = Authority::new();
    let server = Server::start_tls(&authority.identity(&["127.0.0.1"]), numbered_tokens());
    let replies = [
        Reply::new(407).header("Proxy-Authenticate", "Basic realm=\"x\""),
        Reply::new(403),
        Reply::raw("garbage"),
        Reply::hang_up(),
    ];
    for reply in replies {
        let proxy = Server::start(move |_| reply.clone());
        let mut machine = Machine::new();
        machine.set(
            "HTTPS_PROXY",
            &format!("http://us3r:pr0xyword@127.0.0.1:{}", proxy.port()),
        );
        let ran = login_at(&machine, &server.url("/"), &[]).failure(5);
        assert!(
            ran.stderr.contains("HTTPS_PROXY") && !ran.stderr.contains("pr0xyword"),
            "{ran:?}"
        );
        assert!(
            proxy
                .requests()
                .iter()
                .all(|request| request.method == "CONNECT")
        );
        proxy.stop();
        let ran = login_at(&machine, &server.url("/"), &[]).failure(5);
        assert!(
            ran.stderr.contains("HTTPS_PROXY") && !ran.stderr.contains("pr0xyword"),
            "{ran:?}"
        );
    }
    assert_eq!(server.bytes_received(), 0);
}

// Where a secret may be sent at all.

#[test]
fn an_address_that_a_secret_must_not_be_sent_to_is_refused_and_not_repeated() {
    let urls = [
        "http://evil.example/token",
        "http://127.0.0.1.evil.example/",
        "http://localhost.evil.example/",
        "http://evil.localhost/",
        "http://[::ffff:127.0.0.1]/",
        "http://0.0.0.0/",
        "http://128.0.0.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://127.1/",
        "http://017700000001/",
        "http://[::]/",
        "http://localhost./",
        "http://10.0.0.1/",
        "https://evil@a.example/",
        "https://evil:word@a.example/",
        "https://@a.example/",
        "http://127.0.0.1@evil.example/",
        "https://a.example/#evil",
        "https://a.example/t#",
        "https://a.example\t/evil",
        "https://a.exam\nple/evil",
        " https://a.example/evil",
        "https://a.example/evil ",
        "https://a.example\\evil",
        "https://a.example/\\evil",
        "https:\\\\a.example/evil",
        "https:///evil/t",
        "https://",
        "https://?evil",
        "https://#evil",
        "https://:443/evil",
        "https:evil.example",
        "https:/evil.example",
        "//evil.example/",
        "evil.example",
        "",
        "ftp://evil.example/",
        "file:///evil",
        "javascript:evil",
        "HTTPSS://evil.example/",
        "https://a.example:0/evil",
        "https://a.example:65536/evil",
        "https://a.example:/evil",
        "https://a.example:44a/evil",
        "https://a.example:+443/evil",
        "https://a..example/evil",
        "https://.example/evil",
        "https://a.example./evil",
        "https://*.example/evil",
        "https://a%2eexample/evil",
        "https://bücher.example/evil",
        "https://ａ.example/evil",
        "https://a.example/é",
        "https://[::1/evil",
        "https://::1/evil",
        "https://[::1%25eth0]/evil",
        "https://a.example/../evil",
        "https://a.example/%2e%2e/evil",
        "https://a.example/./evil",
        "https://a.example/%zz",
        "https://a.example/%",
        "https://a.example/{evil}",
        "https://a.example/<evil>",
        "https://a.example/\"evil",
        "https://a.example/evil\u{7f}",
        "https://1.2.3.4.5/evil",
    ];
    let server = Server::start(numbered_tokens());
    let good = server.url("/");
    for url in urls {
        let machine = Machine::new();
        let ran = login_at(&machine, url, &[]).failure(2);
        assert!(ran.stderr.contains("--token-url"), "{url:?}: {ran:?}");
        assert!(
            url.is_empty() || !ran.stderr.contains(url) && !ran.stderr.contains("evil"),
            "{url:?}: {ran:?}"
        );
        if url.is_empty() {
            // It removes the setting.
            continue;
        }
        let ran = login_at(&machine, &good, &["--revocation-url", url]).failure(2);
        assert!(ran.stderr.contains("--revocation-url"), "{url:?}: {ran:?}");
        assert!(
            !ran.stderr.contains(url) && !ran.stderr.contains("evil"),
            "{url:?}: {ran:?}"
        );
        assert_eq!(machine.files(), NO_FILES);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_profile_that_was_pointed_elsewhere_by_hand_sends_nothing_there() {
    let keychain = SecretService::start();
    let [server, evil] = [(); 2].map(|()| Server::start(numbered_tokens()));
    let machine = Machine::new().with_environment(keychain.environment());
    let url = server.url("/oauth/token");
    let arguments = [
        "login",
        "--token-url",
        &url,
        "--client-id",
        CLIENT_ID,
        "--secret-stdin",
    ];
    machine
        .run_with_input(&arguments, SECRET.as_bytes())
        .success();
    let profile = machine.config().join("default.json");
    let text = fs::read_to_string(&profile).expect("a profile");
    fs::write(&profile, text.replace(&url, &evil.url("/oauth/token"))).expect("a profile");
    machine.run(&["token", "--refresh"]).failure(4);
    assert_eq!((server.requests().len(), evil.connections()), (1, 0));
}

/// A proxy that knows only CONNECT, and remembers every byte that clients sent it.
struct Proxy {
    address: SocketAddr,
    connections: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Proxy {
    /// It listens as long as the tests run.
    fn start() -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&connections);
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { continue };
                let log = Arc::clone(&log);
                let number = {
                    let mut log = log.lock().expect("the log");
                    log.push(Vec::new());
                    log.len() - 1
                };
                thread::spawn(move || {
                    tunnel(client, &|bytes| {
                        log.lock().expect("the log")[number].extend_from_slice(bytes);
                    })
                    .ok()
                });
            }
        });
        Proxy {
            address,
            connections,
        }
    }

    fn url(&self, user: &str) -> String {
        format!("http://{user}@{}", self.address)
    }

    fn connections(&self) -> usize {
        self.connections.lock().expect("the log").len()
    }

    fn seen(&self) -> Vec<u8> {
        self.connections.lock().expect("the log").concat()
    }
}

fn tunnel(mut client: TcpStream, log: &dyn Fn(&[u8])) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    log(&head);
    let text = String::from_utf8_lossy(&head);
    let mut words = text.split(' ');
    let (Some("CONNECT"), Some(target)) = (words.next(), words.next()) else {
        return client.write_all(b"HTTP/1.1 405 CONNECT only\r\n\r\n");
    };
    let mut server = TcpStream::connect(target)?;
    client.write_all(b"HTTP/1.1 200 go on\r\n\r\n")?;
    let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let mut buffer = [0; 4096];
    loop {
        match client.read(&mut buffer)? {
            0 => return server.shutdown(Shutdown::Write),
            count => {
                log(&buffer[..count]);
                server.write_all(&buffer[..count])?;
            }
        }
    }
}

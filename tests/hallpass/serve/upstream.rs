//! Ways to the server: TLS, certificates, a proxy, IPv6.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv6Addr, TcpListener};
use std::thread;

use super::streams::{head, one_connection};
use super::{Serving, machine_bound_to, status};
use crate::machine::{CLIENT_ID, Machine, SECRET, skip};
use crate::material::Material;
use crate::server::{Reply, Server};
use crate::tls::Authority;
use crate::transport::diverting_proxy;

#[test]
fn a_server_with_tls_is_verified_as_at_the_login() {
    let authority = Authority::new();
    let identity = authority.identity(&["127.0.0.1"]);
    let api = Server::start_tls(&identity, |_| Reply::json(200, "over TLS"));
    let machine = Machine::new();
    let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
    let ca = ca.to_str().expect("UTF-8");
    let url = api.url("/");
    machine.login("p", machine.server(), &["--for", &url, "--ca-file", ca]);
    let serving = Serving::start(&machine, &["p"]);
    assert!(serving.get("/").ends_with("over TLS"));
    let machine = machine_bound_to(&url);
    let serving = Serving::start(&machine, &["p"]);
    let response = serving.get("/");
    assert_eq!(status(&response), 502, "{response}");
    assert!(response.contains("unknown issuer"), "{response}");
    assert_eq!(api.requests().len(), 1);
}

/// The token can be bound to the certificate (RFC 8705).
#[test]
fn a_server_that_asks_for_the_client_certificate_gets_it() {
    let material = Material::new();
    let authority = material.authority();
    let key = fs::read_to_string(material.path("p256.pem")).expect("a key");
    let certificate = authority.client_certificate("client.example", &key);
    material.write("p256.crt", &certificate);
    let identity = authority.identity_for_known_clients(&["127.0.0.1"]);
    let server = Server::start_tls(&identity, |request| match request.target.as_str() {
        "/token" => Reply::token("bound", 3600),
        _ => Reply::json(200, request.header("authorization").unwrap_or("")),
    });
    let (ca, secret) = (material.argument("ca.crt"), material.secret("s", SECRET));
    let (url, token_url) = (server.url("/api/"), server.url("/token"));
    let (key, certificate) = (material.argument("p256.pem"), material.argument("p256.crt"));
    let with_secret = ["--auth", "client_secret_basic", "--secret-file", &secret];
    for more in [&[][..], &with_secret] {
        let machine = Machine::new();
        let settings = [
            "login",
            "p",
            "--token-url",
            &token_url,
            "--client-id",
            CLIENT_ID,
        ];
        let tls = ["--cert", &certificate, "--key", &key, "--ca-file", &ca];
        let login = [&settings[..], &tls, &["--for", &url], more].concat();
        machine.run(&login).success();
        let serving = Serving::start(&machine, &["p"]);
        let response = serving.get("/");
        assert!(response.ends_with("Bearer bound"), "{response}");
    }
    // Without one, the reason is in the response.
    let machine = Machine::new();
    machine.login("p", machine.server(), &["--for", &url, "--ca-file", &ca]);
    let response = Serving::start(&machine, &["p"]).get("/");
    assert_eq!(status(&response), 502, "{response}");
    assert!(response.contains("client certificate"), "{response}");
}

#[test]
fn a_server_is_reached_through_the_proxy_of_the_environment() {
    let authority = Authority::new();
    let identity = authority.identity(&["api.example"]);
    let api = Server::start_tls(&identity, |_| Reply::json(200, "through the proxy"));
    let mut machine = Machine::new();
    let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
    let ca = ca.to_str().expect("UTF-8");
    // Only the proxy can resolve this name.
    let more = ["--for", "https://api.example/", "--ca-file", ca];
    machine.login("p", machine.server(), &more);
    machine.set("HTTPS_PROXY", &diverting_proxy(api.port()));
    let serving = Serving::start(&machine, &["p"]);
    assert!(serving.get("/").ends_with("through the proxy"));
    let [request] = &api.requests()[..] else {
        panic!("one request");
    };
    assert_eq!(request.header("host"), Some("api.example"));
    assert_eq!(request.header("authorization"), Some("Bearer token-1"));
    assert_eq!(request.header("proxy-authorization"), None);
}

#[test]
fn a_server_is_reached_over_ipv6() {
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        return skip("this machine has no IPv6");
    };
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let mut stream = std::io::BufReader::new(stream);
        let head = head(&mut stream);
        let host = format!("\r\nhost: {address}\r\n");
        let body = if head.contains(&host) { "fine" } else { "none" };
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{body}");
        let written = stream.get_ref().write_all(answer.as_bytes());
        written.expect("an answer");
    });
    let machine = machine_bound_to(&format!("http://{address}/"));
    let serving = Serving::start(&machine, &["p"]);
    let response = serving.get("/");
    assert!(response.ends_with("fine"), "{response}");
}

/// As most of gRPC do.
#[test]
fn a_server_that_speaks_only_http_2_is_reported() {
    let authority = Authority::new();
    let identity = authority.identity_with(&["127.0.0.1"], |config| {
        config.alpn_protocols = vec![b"h2".to_vec()];
    });
    let over_tls = Server::start_tls(&identity, |_| Reply::json(200, "{}"));
    let plain = one_connection(|mut stream| {
        head(&mut stream);
        let settings = b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x7f\0\x04\0\x01\0\0\0\x05";
        stream.get_ref().write_all(settings).expect("a frame");
    });
    let machine = Machine::new();
    let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
    let ca = ca.to_str().expect("UTF-8");
    let url = over_tls.url("/");
    machine.login("p", machine.server(), &["--for", &url, "--ca-file", ca]);
    machine.run(&["bind", "p", &plain]).success();
    for (url, reason) in [
        (
            &url,
            "the server supports HTTP/2 only, and hallpass uses HTTP/1.1",
        ),
        (&plain, "it is not HTTP/1.1"),
    ] {
        let serving = Serving::start(&machine, &["p", "--url", url]);
        let response = serving.get("/");
        assert_eq!(status(&response), 502, "{response}");
        assert!(response.contains(reason), "{response}");
    }
}

//! What needs no keychain, and yet differs from one platform to the next: files, the shell and sockets.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;

use crate::machine::Machine;
use crate::server::{Reply, Server};

#[test]
fn a_token_is_replaced_while_another_process_reads_it() {
    let machine = Machine::new().with_plain_cache();
    machine
        .login_from("prod", &["--secret-command", "!echo s3cret"], "")
        .success();
    let token_file = only_token(&machine.cache().join("prod"));
    thread::scope(|scope| {
        // It is dropped at the end, also at a failed assertion's.
        let (_readers_go_on, end) = mpsc::channel::<()>();
        scope.spawn(move || {
            while end.try_recv() == Err(TryRecvError::Empty) {
                // Windows shows nobody a file that is just being replaced.
                if let Ok(content) = fs::read(&token_file) {
                    let text = String::from_utf8(content).expect("UTF-8");
                    let (_checksum, json) = text.split_once('\n').expect("two lines");
                    let whole = serde_json::from_str::<serde_json::Value>(json);
                    whole.expect("one token or the next");
                }
            }
        });
        for number in 2..12 {
            let token = format!("token-{number}");
            assert_eq!(machine.run(&["token", "--refresh"]).token(), token);
            assert_eq!(machine.run(&["token"]).token(), token);
        }
    });
    assert_eq!(machine.server().requests().len(), 11);
}

#[test]
fn the_shell_gets_a_quoted_path_as_it_was_written() {
    let machine = Machine::new();
    let file = machine.home().join("its secret.txt");
    fs::write(&file, "s3cret & more\r\n").expect("a file");
    let print = if cfg!(windows) { "type" } else { "cat" };
    let command = format!("!{print} \"{}\"", file.display());
    machine
        .login_from("prod", &["--secret-command", &command], "")
        .success();
    assert_eq!(machine.secrets_sent(), ["s3cret & more"]);
}

#[test]
fn a_request_through_serve_gets_the_token() {
    let api = Server::start(|_| Reply::json(200, "from the API"));
    let machine = Machine::new();
    let url = api.url("/v1/");
    let login = ["--secret-command", "!echo s3cret", "--for", &url];
    machine.login_from("prod", &login, "").success();
    let mut command = machine.hallpass(&["serve", "prod"]);
    let mut serving = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("hallpass starts");
    let mut line = String::new();
    let stdout = serving.stdout.take().expect("a pipe");
    let read = BufReader::new(stdout).read_line(&mut line);
    let mut response = String::new();
    let address = line.trim_end().strip_prefix("http://").unwrap_or_default();
    if let Some((host, path)) = address.split_once('/')
        && let Ok(mut stream) = TcpStream::connect(host)
    {
        let head = format!("GET /{path}a HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.read_to_string(&mut response);
    }
    serving.kill().expect("a process");
    serving.wait().expect("its end");
    read.expect("an address");
    assert!(response.ends_with("from the API"), "{line} {response}");
    let requests = api.requests();
    assert_eq!(requests[0].target, "/v1/a");
    let token = requests[0].header("authorization");
    assert_eq!(token, Some("Bearer token-1"));
}

fn only_token(directory: &Path) -> PathBuf {
    let entries = fs::read_dir(directory).expect("the cache");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let is_token = |path: &PathBuf| path.extension().is_some_and(|end| end == "json");
    let tokens: Vec<_> = paths.filter(is_token).collect();
    let [token] = &tokens[..] else {
        panic!("{tokens:?}");
    };
    token.clone()
}

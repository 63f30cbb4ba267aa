//! Streams that give or take only a few bytes at a time.

use std::io::{Read as _, Write as _};
use std::process::Stdio;

use rustix::fs::{OFlags, fcntl_setfl};

use crate::machine::{Machine, SECRET, finish};
use crate::server::{Reply, Server};

/// What a pipe of Linux holds, which is the longest token, too.
const PIPE: usize = 64 * 1024;

#[test]
fn a_token_that_does_not_fit_into_a_pipe_is_written_whole() {
    // With its line end, it is one byte too long.
    let token = "t".repeat(PIPE);
    let machine = Machine::new();
    let server = Server::start({
        let token = token.clone();
        move |_| Reply::token(&token, 3600)
    });
    machine.login("p", &server, &[]);
    for blocks in [true, false] {
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        if !blocks {
            // The caller's event loop has it, too.
            fcntl_setfl(&writer, OFlags::NONBLOCK).expect("a setting");
        }
        let mut command = machine.hallpass(&["token", "p"]);
        command.stdout(writer).stderr(Stdio::piped());
        let child = command.spawn().expect("hallpass");
        // It has the other end, too.
        drop(command);
        let mut printed = Vec::<u8>::new();
        let mut piece = [0; 1000];
        loop {
            match reader.read(&mut piece).expect("a pipe") {
                0 => break,
                count => printed.extend(&piece[..count]),
            }
        }
        finish(child).success();
        assert!(printed == format!("{token}\n").as_bytes(), "{blocks}");
    }
}

#[test]
fn a_secret_that_comes_byte_by_byte_is_read_whole() {
    let mut machine = Machine::new();
    // Kept for one call only.
    machine.set("HALLPASS_TOKEN_URL", &machine.server().url("/token"));
    machine.set("HALLPASS_CLIENT_ID", "c");
    let mut command = machine.hallpass(&["token", "--secret-stdin"]);
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let mut child = command.stdin(reader).stdout(Stdio::piped());
    child = child.stderr(Stdio::piped());
    let child = child.spawn().expect("hallpass");
    drop(command);
    for byte in SECRET.as_bytes() {
        writer.write_all(&[*byte]).expect("a reader");
    }
    drop(writer);
    finish(child).success();
    assert_eq!(machine.secrets_sent(), [SECRET]);
}

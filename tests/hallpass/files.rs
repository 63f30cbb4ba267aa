//! Files: a hit only reads, no damaged or planted file costs more than a request, and where a file
//! cannot be written there is still a token.

mod directories;
mod entries;
mod profiles;
mod resources;

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::machine::{CLIENT_ID, Machine, Ran, SECRET, numbered_tokens};
use crate::server::Server;
use crate::support::{as_ordinary_user, give_to_ordinary_user, ran, run_by};

// What the tests are made of.

/// A machine with one profile, `prod`, whose cached token is `token-1`.
fn logged_in() -> (Machine, Server) {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    machine.login("prod", &server, &[]);
    (machine, server)
}

fn log_in_with_keychain(machine: &Machine, server: &Server, more: &[&str]) {
    let url = server.url("/oauth/token");
    let mut arguments = vec!["login", "prod", "--token-url", &url];
    arguments.extend(["--client-id", CLIENT_ID, "--secret-stdin"]);
    arguments.extend(more);
    machine
        .run_with_input(&arguments, SECRET.as_bytes())
        .success();
}

fn log_in_as_ordinary_user(machine: &Machine, server: &Server) -> Ran {
    give_to_ordinary_user(&machine.private_file("secret", SECRET.as_bytes()));
    ran(as_ordinary_user(&login_command(machine, server)))
}

fn login_command(machine: &Machine, server: &Server) -> Command {
    let mut command = machine.hallpass(&["login", "prod", "--client-id", CLIENT_ID]);
    command.args(["--token-url", &server.url("/oauth/token"), "--secret-file"]);
    command.arg(machine.root().join("secret"));
    command
}

/// Ended after a minute: some of these files never end, or never begin.
fn within_a_minute(command: &Command) -> Command {
    let mut timeout = Command::new("timeout");
    timeout.arg("60");
    run_by(timeout, command)
}

#[track_caller]
fn assert_one_warning(output: &Ran) {
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    assert_eq!(warnings(output), 1, "{output:?}");
}

fn warnings(output: &Ran) -> usize {
    output.stderr.matches("hallpass: warning: ").count()
}

/// Every directory from this one down, from the top.
fn directories(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    let mut at = 0;
    while let Some(directory) = found.get(at) {
        let inside: Vec<_> = fs::read_dir(directory)
            .expect("a readable directory")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.is_dir() && !path.is_symlink())
            .collect();
        found.extend(inside);
        at += 1;
    }
    found
}

/// All that can be seen of what lies below a path: names, kinds, modes, owners, content.
pub(crate) fn picture(path: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for directory in directories(path) {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let metadata = fs::symlink_metadata(&path).expect("something");
            let content = if metadata.is_file() && metadata.len() < 1_000_000 {
                String::from_utf8_lossy(&fs::read(&path).expect("a file")).into_owned()
            } else {
                format!(
                    "{} bytes",
                    if metadata.is_dir() { 0 } else { metadata.len() }
                )
            };
            lines.push(format!(
                "{} {:o} {} {content}",
                path.display(),
                metadata.mode(),
                metadata.uid()
            ));
        }
    }
    lines.sort();
    lines.insert(
        0,
        format!("{:o}", fs::metadata(path).expect("a directory").mode()),
    );
    lines
}

pub(crate) fn write(path: &Path, content: &[u8]) {
    fs::write(path, content).expect("a file");
    set_mode(path, 0o600);
}

fn write_300_mb(path: &Path) {
    let mut file = File::create(path).expect("a file");
    let megabyte = vec![b'x'; 1_000_000];
    for _ in 0..300 {
        file.write_all(&megabyte).expect("space for it");
    }
    set_mode(path, 0o600);
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("its mode");
}

/// An entry with this content and the checksum that belongs to it.
pub(crate) fn sealed(json: &str) -> Vec<u8> {
    let sum = json.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("hallpass-token-1 {sum:016x}\n{json}").into_bytes()
}

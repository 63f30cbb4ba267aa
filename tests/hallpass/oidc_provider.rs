//! An authorization server that nobody of this project wrote: npm's `oidc-provider`, installed once under target/.
//!
//! What it knows and whom stands in tests/oidc-provider/server.mjs.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const FILES: [&str; 3] = ["package.json", "package-lock.json", "server.mjs"];

pub(crate) struct OidcProvider {
    node: Child,
    issuer: String,
}

impl OidcProvider {
    pub(crate) fn start() -> OidcProvider {
        let mut command = Command::new("node");
        command.arg("server.mjs").current_dir(installation());
        // The server ends with its standard input: also when these tests are killed before they can end it.
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut node = found("node", command.spawn());
        let mut issuer = String::new();
        let stdout = node.stdout.take().expect("the server's standard output");
        BufReader::new(stdout)
            .read_line(&mut issuer)
            .expect("the issuer");
        if issuer.is_empty() {
            let mut complaint = String::new();
            let _ = node
                .stderr
                .take()
                .expect("the server's standard error")
                .read_to_string(&mut complaint);
            panic!("oidc-provider does not start: {complaint}");
        }
        OidcProvider {
            node,
            issuer: issuer.trim_end().to_owned(),
        }
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

/// The directory with everything installed. Whoever comes first installs, the others wait for the lock.
fn installation() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc-provider");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("oidc-provider");
    fs::create_dir_all(&target).expect("a directory under target/");
    let turn = File::create(target.join("lock")).expect("the lock of the installation");
    turn.lock().expect("the turn to install");
    let wanted =
        FILES.map(|name| fs::read(source.join(name)).expect("a file of tests/oidc-provider"));
    let done = target.join("installed");
    if fs::read(&done).is_ok_and(|installed| installed == wanted.concat()) {
        return target;
    }
    for (name, content) in FILES.iter().zip(&wanted) {
        fs::write(target.join(name), content).expect("a copy under target/");
    }
    let mut command = Command::new("npm");
    command
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(&target);
    let output = found("npm", command.stdin(Stdio::null()).output());
    assert!(
        output.status.success(),
        "npm ci failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    fs::write(done, wanted.concat()).expect("the note that all is installed");
    target
}

// A test that cannot find its tools fails. It never passes unseen.
fn found<T>(program: &str, result: io::Result<T>) -> T {
    result.unwrap_or_else(|error| {
        panic!("cannot run {program}: {error} (Debian packages: nodejs and npm)")
    })
}

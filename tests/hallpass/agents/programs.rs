//! The agents and tokens that people have, each for one test.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::keys::public_pem;
use crate::machine::skip;

/// What a command prints.
#[track_caller]
pub(super) fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).expect("output in UTF-8")
}

/// Whether all of these programs or files are installed; otherwise the test is reported as skipped.
pub(crate) fn installed(needed: &[&str]) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    let is_installed = |name: &&str| {
        if name.starts_with('/') {
            return Path::new(name).exists();
        }
        std::env::split_paths(&path).any(|directory| directory.join(name).exists())
    };
    match needed.iter().find(|name| !is_installed(name)) {
        Some(missing) => {
            skip(&format!("{missing} is not installed"));
            false
        }
        None => true,
    }
}

/// A program that listens at a socket, and ends with the test.
pub(crate) struct Agent {
    process: Child,
    pub(crate) socket: String,
    pub(super) directory: TempDir,
    gpg_home: Option<PathBuf>,
}

/// Waits until a program listens at a socket.
fn wait_for(socket: &Path, process: &mut Child) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while UnixStream::connect(socket).is_err() {
        let ended = process.try_wait().expect("a process");
        assert!(ended.is_none(), "{ended:?} before {}", socket.display());
        assert!(Instant::now() < deadline, "nothing at {}", socket.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Agent {
    /// OpenSSH's.
    pub(crate) fn openssh() -> Agent {
        Agent::openssh_with(&[])
    }

    fn openssh_with(variables: &[(&str, &str)]) -> Agent {
        let directory = TempDir::with_prefix("hallpass-agent-").expect("a directory");
        let socket = directory.path().join("socket");
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket);
        command.envs(variables.iter().copied());
        Agent::start(&mut command, &socket, directory)
    }

    fn start(command: &mut Command, socket: &Path, directory: TempDir) -> Agent {
        let streams = command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = streams.stderr(Stdio::null()).spawn().expect("an agent");
        wait_for(socket, &mut process);
        Agent {
            process,
            socket: socket.to_str().expect("UTF-8").to_owned(),
            directory,
            gpg_home: None,
        }
    }

    /// gpg-agent, with keys of these algorithms that it made itself.
    pub(super) fn gpg(algorithms: &[&str]) -> Agent {
        let directory = TempDir::with_prefix("hallpass-gpg-").expect("a directory");
        let home = directory.path().to_owned();
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(&home, private).expect("a mode");
        let mut sockets = Command::new("gpgconf");
        sockets.arg("--homedir").arg(&home);
        let socket = output(sockets.args(["--list-dirs", "agent-ssh-socket"]));
        let socket = PathBuf::from(socket.trim_end());
        let mut command = Command::new("gpg-agent");
        command.arg("--homedir").arg(&home);
        command.args([
            "--enable-ssh-support",
            "--daemon",
            "--",
            "sleep",
            "infinity",
        ]);
        let mut agent = Agent::start(&mut command, &socket, directory);
        agent.gpg_home = Some(home.clone());
        let gpg = |arguments: &[&str]| {
            let mut command = Command::new("gpg");
            command.arg("--homedir").arg(&home).arg("--batch");
            output(command.args(["--passphrase", ""]).args(arguments))
        };
        for algorithm in algorithms {
            let name = format!("{algorithm}@example.org");
            gpg(&["--quick-gen-key", &name, algorithm, "auth,cert", "never"]);
        }
        let list = gpg(&["-K", "--with-keygrip"]);
        let grips = list
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Keygrip = "));
        let control: Vec<_> = grips.map(|grip| [grip, " 0"].concat()).collect();
        fs::write(home.join("sshcontrol"), control.join("\n") + "\n").expect("a file");
        agent
    }

    /// OpenSSH's agent with the keys of a token.
    pub(super) fn with_token(token: &Token) -> Agent {
        let agent = Agent::openssh_with(&[("SOFTHSM2_CONF", &token.configuration)]);
        let askpass = agent.directory.path().join("askpass");
        fs::write(&askpass, format!("#!/bin/sh\necho {PIN}\n")).expect("a file");
        fs::set_permissions(&askpass, fs::Permissions::from_mode(0o700)).expect("a mode");
        let mut add = agent.command("ssh-add");
        add.env("SSH_ASKPASS", &askpass)
            .env("SSH_ASKPASS_REQUIRE", "force");
        output(add.args(["-s", SOFTHSM]));
        agent
    }

    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SSH_AUTH_SOCK", &self.socket);
        command
    }

    /// Adds a private key's file. Its comment is the path.
    #[track_caller]
    pub(crate) fn add(&self, file: &str) {
        output(self.command("ssh-add").args(["-q", file]));
    }

    /// The public keys, as OpenSSH writes them.
    pub(super) fn keys(&self) -> Vec<String> {
        let keys = output(self.command("ssh-add").arg("-L"));
        keys.lines().map(str::to_owned).collect()
    }

    pub(super) fn fingerprints(&self) -> Vec<String> {
        let keys = output(self.command("ssh-add").args(["-l", "-E", "sha256"]));
        let fingerprints = keys.lines().filter_map(|line| line.split(' ').nth(1));
        fingerprints.map(str::to_owned).collect()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(home) = &self.gpg_home {
            let mut kill = Command::new("gpgconf");
            kill.arg("--homedir").arg(home);
            let _ = kill.args(["--kill", "gpg-agent"]).status();
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(super) const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";
pub(super) const PIN: &str = "1234";

/// A hardware token in software: `SoftHSM`.
pub(super) struct Token {
    pub(super) configuration: String,
    directory: TempDir,
}

impl Token {
    pub(super) fn new() -> Token {
        let directory = TempDir::with_prefix("hallpass-token-").expect("a directory");
        let tokens = directory.path().join("tokens");
        fs::create_dir(&tokens).expect("a directory");
        let configuration = directory.path().join("softhsm2.conf");
        let text = format!("directories.tokendir = {}\n", tokens.display());
        fs::write(&configuration, text).expect("a file");
        let token = Token {
            configuration: configuration.to_str().expect("UTF-8").to_owned(),
            directory,
        };
        let mut init = token.command("softhsm2-util");
        init.args(["--init-token", "--free", "--label", "test"]);
        output(init.args(["--pin", PIN, "--so-pin", PIN]));
        token
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SOFTHSM2_CONF", &self.configuration);
        command
    }

    /// Generates a key with this number.
    pub(super) fn generate(&self, number: &str, kind: &str) {
        let mut generate = self.command("pkcs11-tool");
        generate.args(["--module", SOFTHSM, "--login", "--pin", PIN]);
        generate.args(["--keypairgen", "--key-type", kind, "--usage-sign"]);
        output(generate.args(["--id", number, "--label", kind]));
    }

    /// The path of the public key of this kind, in PEM.
    pub(super) fn public(&self, kind: &str) -> String {
        // pkcs11-tool itself cannot export a key on the curve P-384.
        let keys = output(self.command("ssh-keygen").args(["-D", SOFTHSM]));
        let key = keys.lines().find(|line| line.starts_with(kind));
        public_pem(self.directory.path(), key.expect("a public key"))
    }
}

/// A TPM in software: swtpm.
pub(super) struct Tpm {
    process: Child,
    /// For tpm2-tools.
    pub(super) connection: String,
    directory: TempDir,
}

impl Tpm {
    pub(super) fn start() -> Tpm {
        let directory = TempDir::with_prefix("hallpass-tpm-").expect("a directory");
        let path = |name: &str| {
            let path = directory.path().join(name);
            path.to_str().expect("UTF-8").to_owned()
        };
        let socket = path("socket");
        let mut command = Command::new("swtpm");
        command.args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"]);
        command.args(["--tpmstate", &format!("dir={}", path(""))]);
        command.args(["--server", &format!("type=unixio,path={socket}")]);
        command.args(["--ctrl", &format!("type=unixio,path={socket}.ctrl")]);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().expect("swtpm");
        wait_for(Path::new(&format!("{socket}.ctrl")), &mut process);
        Tpm {
            process,
            connection: format!("swtpm:path={socket}"),
            directory,
        }
    }

    pub(super) fn path(&self) -> String {
        self.directory.path().to_str().expect("UTF-8").to_owned()
    }

    fn tool(&self, name: &str, arguments: &[&str]) {
        let mut command = Command::new(name);
        command
            .env("TPM2TOOLS_TCTI", &self.connection)
            .args(arguments);
        output(&mut command);
    }

    /// Makes a key that stays in the TPM at this address, and returns the path of its public key.
    pub(super) fn generate(&self, address: &str, kind: &str) -> String {
        let path = |name: &str| {
            let path = self.directory.path().join(format!("{address}.{name}"));
            path.to_str().expect("UTF-8").to_owned()
        };
        let (primary, public, private, key) =
            (path("primary"), path("pub"), path("priv"), path("ctx"));
        let pem = path("pem");
        self.tool("tpm2_createprimary", &["-Q", "-c", &primary]);
        let create = [
            "-Q", "-C", &primary, "-G", kind, "-u", &public, "-r", &private,
        ];
        self.tool("tpm2_create", &create);
        self.tool("tpm2_flushcontext", &["-t"]);
        let load = [
            "-Q", "-C", &primary, "-u", &public, "-r", &private, "-c", &key,
        ];
        self.tool("tpm2_load", &load);
        self.tool("tpm2_evictcontrol", &["-Q", "-C", "o", "-c", &key, address]);
        self.tool("tpm2_flushcontext", &["-t"]);
        self.tool(
            "tpm2_readpublic",
            &["-Q", "-c", address, "-f", "pem", "-o", &pem],
        );
        pem
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

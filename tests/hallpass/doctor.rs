//! `hallpass doctor` finds each fault, and the fix that it shows repairs it.
//!
//! A row of the tables plants a fault in a healthy world. The test does what the fix says, and the
//! same command then finds nothing.

mod credentials;
mod expiry;
mod machine;
mod report;
mod servers;
mod tools;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use crate::agents::programs::Agent;
use crate::machine::{CLIENT_ID, HALLPASS, Machine, Ran, SECRET, finish, spawn};
use crate::secret_service::SecretService;
use crate::server::{Reply, Request, Server};
use crate::support::{as_ordinary_user, is_root, run_by, shell_with_own_mounts};
use crate::tls::Identity;

/// A fault, and how it is found and repaired.
struct Defect {
    name: &'static str,
    /// Prepares a world in which nothing is wrong.
    healthy: fn(&mut World),
    plant: fn(&mut World),
    /// The check that finds it, and a part of what that says.
    check: &'static str,
    found: &'static str,
    repair: Repair,
}

/// What the user does about a fault.
struct Repair {
    /// A part of the printed fix.
    says: &'static str,
    /// What only a person can do.
    act: fn(&mut World),
    /// The printed command is run, with these words replaced.
    command: Option<&'static [(&'static str, &'static str)]>,
    /// What the user types.
    typed: &'static str,
}

/// The printed command, as it is.
const fn command(says: &'static str) -> Repair {
    Repair {
        says,
        act: |_| (),
        command: Some(&[]),
        typed: "",
    }
}

/// What a person does by hand.
const fn person(says: &'static str, act: fn(&mut World)) -> Repair {
    Repair {
        says,
        act,
        command: None,
        typed: "",
    }
}

/// A machine, a server and what else a profile may need.
struct World {
    machine: Machine,
    server: Server,
    rules: Arc<Mutex<Rules>>,
    /// The server's certificate, if it speaks TLS.
    identity: Option<Arc<Mutex<Identity>>>,
    keychain: Option<SecretService>,
    agent: Option<Agent>,
    /// What runs until the end of the test.
    others: Vec<Server>,
    user: User,
}

/// Who runs hallpass, and where.
enum User {
    Tester,
    Ordinary,
    /// In a copy of the machine's mounts, after a shell script with this argument.
    WithMounts(&'static str, String),
}

/// What the server expects and says.
struct Rules {
    secret: String,
    audience: Option<&'static str>,
    date: Option<String>,
    scope: &'static str,
    /// The response to a request without credentials.
    head: Box<dyn Fn() -> Reply + Send>,
    /// For the next token requests, it asks to wait.
    is_busy: bool,
}

impl Rules {
    fn reply(&self, request: &Request) -> Reply {
        let date = |reply: Reply| match &self.date {
            Some(date) => reply.header("Date", date),
            None => reply,
        };
        let form = request.form();
        let has = |name: &str, value: &str| form.contains(&(name.to_owned(), value.to_owned()));
        date(match request.basic_credentials() {
            _ if request.method == "HEAD" => (self.head)(),
            _ if self.is_busy => Reply::json(429, "{}").header("Retry-After", "600"),
            Some((_, secret)) if secret != self.secret => {
                Reply::json(401, r#"{"error":"invalid_client"}"#)
            }
            _ if self.audience.is_some_and(|right| !has("audience", right)) => {
                Reply::json(400, r#"{"error":"invalid_target"}"#)
            }
            _ => {
                let scope = self.scope;
                let token = format!(
                    r#"{{"access_token":"t0ken","token_type":"Bearer","expires_in":3600,"scope":"{scope}"}}"#
                );
                Reply::json(200, token)
            }
        })
    }
}

impl World {
    fn new() -> Self {
        let mut machine = Machine::new();
        let rules = Arc::new(Mutex::new(Rules {
            secret: SECRET.to_owned(),
            audience: None,
            date: None,
            scope: "read",
            head: Box::new(|| Reply::new(405)),
            is_busy: false,
        }));
        let programs = machine.root().join("bin");
        fs::create_dir(&programs).expect("a directory");
        symlink(&*HALLPASS, programs.join("hallpass")).expect("a link");
        let path = std::env::var("PATH").expect("PATH");
        machine.set("PATH", &format!("{}:{path}", programs.display()));
        let directory = machine.root().display().to_string();
        machine.set("DIR", &directory);
        Self {
            machine,
            server: Self::serve(&rules, |answer| Server::start(answer)),
            rules,
            identity: None,
            keychain: None,
            agent: None,
            others: Vec::new(),
            user: User::Tester,
        }
    }

    fn serve(
        rules: &Arc<Mutex<Rules>>,
        start: impl FnOnce(Box<dyn Fn(&Request) -> Reply + Send + Sync>) -> Server,
    ) -> Server {
        let rules = Arc::clone(rules);
        start(Box::new(move |request| {
            rules.lock().expect("no test panicked").reply(request)
        }))
    }

    /// From now on the server has this certificate.
    fn set_identity(&mut self, identity: Identity) {
        if let Some(current) = &self.identity {
            *current.lock().expect("no test panicked") = identity;
            return;
        }
        let identity = Arc::new(Mutex::new(identity));
        self.server = Self::serve(&self.rules, |answer| {
            Server::start_changing_tls(&identity, answer)
        });
        self.identity = Some(identity);
    }

    fn change_rules(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.rules.lock().expect("no test panicked"));
    }

    /// Logs in to `p`.
    #[track_caller]
    fn login(&self, more: &[&str]) {
        self.machine.login("p", &self.server, more);
    }

    /// Logs in to `p`, with the secret in a keychain.
    #[track_caller]
    fn login_to_keychain(&mut self) {
        let keychain = SecretService::start();
        for (name, value) in keychain.environment() {
            self.machine.set(&name, &value);
        }
        self.machine.set("HALLPASS_KEYCHAIN_TIMEOUT", "30");
        self.keychain = Some(keychain);
        let url = self.server.url("/oauth/token");
        let login = ["login", "p", "--token-url", &url, "--client-id", CLIENT_ID];
        let login = [&login[..], &["--secret-stdin"]].concat();
        self.machine.run_with_input(&login, SECRET).success();
    }

    fn keychain(&mut self) -> &mut SecretService {
        self.keychain.as_mut().expect("a keychain")
    }

    fn set(&mut self, variable: &str, value: &str) {
        self.machine.set(variable, value);
    }

    fn unset(&mut self, variable: &str) {
        self.machine.unset(variable);
    }

    /// A file of this machine by its name.
    fn path(&self, name: &str) -> String {
        self.machine.root().join(name).display().to_string()
    }

    /// A file that only its owner may read.
    fn write(&self, name: &str, content: &str) -> String {
        let path = self.machine.private_file(name, content.as_bytes());
        path.display().to_string()
    }

    /// Replaces a text in the file of the profile.
    #[track_caller]
    fn edit(&self, from: &str, to: &str) {
        let path = self.machine.config().join("p.json");
        let profile = fs::read_to_string(&path).expect("a profile");
        assert!(profile.contains(from), "{profile}");
        fs::write(&path, profile.replace(from, to)).expect("a profile");
    }

    fn doctor(&self, options: &[&str]) -> Ran {
        let arguments = [&["doctor", "p"][..], options].concat();
        let command = self.machine.hallpass(&arguments);
        let mut command = match &self.user {
            User::Tester => command,
            User::Ordinary => as_ordinary_user(&command),
            User::WithMounts(script, argument) => {
                let mut shell = shell_with_own_mounts(script);
                shell.arg(argument);
                run_by(shell, &command)
            }
        };
        Ran::from(command.output().expect("hallpass starts"))
    }

    /// Runs a command line as the user would, typing this.
    #[track_caller]
    fn shell(&self, line: &str, typed: &str) -> Ran {
        use std::io::Write as _;
        let mut shell = self.machine.command("sh");
        let mut child = spawn(shell.args(["-ec", line]).stdin(Stdio::piped()));
        let written = child
            .stdin
            .take()
            .expect("a pipe")
            .write_all(typed.as_bytes());
        // A command that reads nothing may have ended.
        drop(written);
        finish(child)
    }
}

impl Defect {
    #[track_caller]
    fn check(&self) {
        let name = self.name;
        let mut world = World::new();
        (self.healthy)(&mut world);
        let ran = world.doctor(&[]);
        assert_eq!(ran.code, 0, "{name}: nothing is wrong yet: {ran:?}");
        (self.plant)(&mut world);
        let files = world.machine.files();
        let ran = world.doctor(&[]);
        assert_eq!(ran.code, 1, "{name}: {ran:?}");
        assert_eq!(world.machine.files(), files, "{name}: it creates no file");
        assert!(!ran.stdout.contains(SECRET), "{name}: {ran:?}");
        assert!(!ran.stdout.contains("t0ken"), "{name}: {ran:?}");
        let fix = self.fix(&ran);
        (self.repair.act)(&mut world);
        if let Some(words) = self.repair.command {
            let mut line = command_in(&fix).to_owned();
            for (word, value) in words {
                line = line.replace(word, value);
            }
            let ran = world.shell(&line, self.repair.typed);
            assert_eq!(ran.code, 0, "{name}: {line}: {ran:?}");
            // What the user's shell knows from now on.
            if line.starts_with("export PATH=") {
                let path = world.shell(&format!("{line}; printf %s \"$PATH\""), "");
                world.machine.set("PATH", &path.stdout);
            } else if let Some(variable) = line.strip_prefix("unset ") {
                world.machine.unset(variable);
            }
        }
        let ran = world.doctor(&[]);
        assert_eq!(ran.code, 0, "{name}, after \"{fix}\": {ran:?}");
    }

    /// The fix below the check's line that says what was found.
    #[track_caller]
    fn fix(&self, ran: &Ran) -> String {
        let Self {
            name, check, found, ..
        } = self;
        let mut lines = ran.stdout.lines().map(str::trim_start);
        let line = lines.find(|line| {
            line.strip_prefix("FAIL  ")
                .is_some_and(|line| line.starts_with(check) && line.contains(found))
        });
        assert!(line.is_some(), "{name}: {check}: {found}: {}", ran.stdout);
        let fixes = lines.map_while(|line| line.strip_prefix("fix: "));
        let mut fixes = fixes.filter(|fix| fix.contains(self.repair.says));
        let fix = fixes.next();
        fix.unwrap_or_else(|| panic!("{name}: {}: {}", self.repair.says, ran.stdout))
            .to_owned()
    }
}

/// The command in a fix: between backticks, after a colon, or all of it.
fn command_in(fix: &str) -> &str {
    if let Some((_, after)) = fix.split_once('`') {
        return after.split('`').next().unwrap_or_default();
    }
    match fix.split_once(": ") {
        Some((_, command)) => command,
        None => fix,
    }
}

/// What a program of this machine prints.
fn printed(command: &mut Command) -> String {
    let Output { stdout, .. } = command.output().expect("a program that starts");
    String::from_utf8(stdout)
        .expect("UTF-8")
        .trim_end()
        .to_owned()
}

/// Whether the tests may mount file systems and change owners.
fn may_be_superuser() -> bool {
    is_root()
}

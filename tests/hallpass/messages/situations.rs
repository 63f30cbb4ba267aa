//! Runs each situation of the tables and compares what the user sees.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::machine::{HALLPASS, Machine, Ran, numbered_tokens};
use crate::secret_service::SecretService;
use crate::server::{Gate, Reply, Request, Server};
use crate::terminal::Terminal;
use crate::tls::{Authority, Identity};

/// One row of a table. `messages.rs` describes its lines.
pub(super) struct Situation {
    /// The lines up to the exit code.
    given: Vec<String>,
    /// The exit code and the output.
    pub(super) seen: Vec<String>,
}

pub(super) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hallpass/messages")
}

/// The tables by their names: every text file but the list of exceptions.
pub(super) fn tables() -> BTreeMap<String, Vec<Situation>> {
    let entries = fs::read_dir(directory()).expect("the tables");
    let paths = entries.map(|entry| entry.expect("a table").path());
    let paths = paths.filter(|path| path.extension().is_some_and(|end| end == "txt"));
    let name = |path: PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    let names = paths.filter_map(name).filter(|name| name != "exceptions");
    names.map(|name| (name.clone(), table(&name))).collect()
}

fn text_of(name: &str) -> String {
    let path = directory().join(name).with_extension("txt");
    fs::read_to_string(path).expect("a table")
}

fn table(name: &str) -> Vec<Situation> {
    let situation = |row: &str| {
        let lines: Vec<_> = row.lines().map(str::to_owned).collect();
        let end = lines.iter().position(|line| line.starts_with("exit "));
        let (given, seen) = lines.split_at(end.unwrap_or(lines.len()));
        Situation {
            given: given.to_vec(),
            seen: seen.to_vec(),
        }
    };
    let text = text_of(name);
    let rows = text.split("\n\n").map(str::trim);
    let rows = rows.filter(|row| !row.is_empty() && !row.starts_with('#'));
    rows.map(situation).collect()
}

/// Runs all situations of a table. With `REWRITE_MESSAGES` set, the table gets what was seen.
pub(super) fn check(name: &str) {
    let mut rows = Vec::new();
    let mut failures = Vec::new();
    for situation in table(name) {
        let seen = situation.run();
        if seen != situation.seen {
            failures.push(format!(
                "{}\n--- expected\n{}\n--- seen\n{}",
                situation.given.join("\n"),
                situation.seen.join("\n"),
                seen.join("\n")
            ));
        }
        rows.push([situation.given, seen].concat().join("\n"));
    }
    if std::env::var_os("REWRITE_MESSAGES").is_some() {
        let text = text_of(name);
        let title = text.split("\n\n").next().expect("a title");
        let path = directory().join(name).with_extension("txt");
        let text = format!("{title}\n\n{}\n", rows.join("\n\n"));
        fs::write(path, text).expect("the table");
    } else {
        assert!(failures.is_empty(), "{name}:\n{}", failures.join("\n\n"));
    }
}

impl Situation {
    /// The exit code, the lines of standard error, and those of standard output if the row has them.
    fn run(&self) -> Vec<String> {
        let mut world = World::new(&self.given);
        let typed: Vec<_> = values(&self.given, "types: ").collect();
        let mut ran = None;
        for line in &self.given[1..] {
            let (keyword, value) = line.split_once(' ').expect("a word and its value");
            match keyword {
                "server:" | "tls:" | "types:" => {}
                "keychain:" => world.set_keychain(value),
                "first:" => {
                    let ran = Ran::from(world.shell(value).output().expect("a shell"));
                    assert_eq!(ran.code, 0, "{}: {value}: {ran:?}", self.given[0]);
                }
                "$" if typed.is_empty() => {
                    let output = world.shell(value).output().expect("a shell");
                    ran = Some(Ran::from(output));
                }
                "$" => ran = Some(type_at_terminal(&world.shell(value), &typed)),
                _ => panic!("unknown line: {line}"),
            }
        }
        let ran = ran.unwrap_or_else(|| panic!("no command: {}", self.given[0]));
        let mut seen = vec![format!("exit {}", ran.code)];
        // A blank line would end the row.
        let lines = ran.stderr.lines().filter(|line| !line.is_empty());
        seen.extend(lines.map(|line| world.normalized(line)));
        if self.seen.iter().any(|line| line.starts_with('>')) {
            let lines = ran.stdout.lines();
            seen.extend(lines.map(|line| format!("> {}", world.normalized(line))));
        }
        seen
    }
}

fn values<'a>(lines: &'a [String], word: &'a str) -> impl Iterator<Item = &'a str> {
    lines.iter().filter_map(move |line| line.strip_prefix(word))
}

/// What the terminal shows. Each typed line is `PROMPT > ANSWER`.
fn type_at_terminal(command: &Command, typed: &[&str]) -> Ran {
    let mut terminal = Terminal::run(command);
    for line in typed {
        let (prompt, answer) = line.split_once(" >").expect("a prompt and an answer");
        terminal.expect(prompt);
        let escapes = [("\\e", "\u{1b}"), ("\\r", "\r"), ("\\d", "\u{4}")];
        let mut keys = answer.trim_start().to_owned();
        for (name, key) in escapes {
            keys = keys.replace(name, key);
        }
        terminal.send(&format!("{keys}\r"));
    }
    let ended = terminal.end();
    Ran {
        code: i32::try_from(ended.exit.unwrap_or(-1)).expect("an exit code"),
        stdout: String::new(),
        stderr: ended.screen.replace("\r\n", "\n").trim_end().to_owned(),
    }
}

/// The machine, the server and the keychain of one situation.
struct World {
    machine: Machine,
    server: Server,
    keychain: Option<SecretService>,
}

impl World {
    fn new(lines: &[String]) -> Self {
        let machine = Machine::new();
        let replies: Vec<_> = values(lines, "server: ").map(str::to_owned).collect();
        let tls = values(lines, "tls: ").next();
        let server = start_server(&machine, replies, tls);
        let programs = machine.root().join("bin");
        fs::create_dir(&programs).expect("a directory");
        symlink(&*HALLPASS, programs.join("hallpass")).expect("a link");
        machine.private_file("secret", b"s3cret-of-the-client");
        Self {
            machine,
            server,
            keychain: None,
        }
    }

    /// A line of shell in the machine's directory. It has the variables `URL` (the token endpoint),
    /// `SERVER`, `DIR` (the directory) and `LOGIN` (the options of a complete login).
    fn shell(&self, line: &str) -> Command {
        let directory = self.machine.root().display().to_string();
        let url = self.server.url("/token");
        let path = std::env::var("PATH").expect("PATH");
        let login = format!("--token-url {url} --client-id c --secret-file {directory}/secret");
        let mut command = self.machine.command("sh");
        let line = format!("cd {directory}; {line}");
        command
            .args(["-c", &line])
            .env("PATH", format!("{directory}/bin:{path}"))
            .env("URL", url)
            .env("SERVER", self.server.url(""))
            .env("DIR", directory)
            .env("LOGIN", login);
        if let Some(keychain) = &self.keychain {
            command.envs(keychain.environment());
        }
        command
    }

    fn set_keychain(&mut self, state: &str) {
        match (state, &mut self.keychain) {
            ("unlocked", keychain @ None) => *keychain = Some(SecretService::start()),
            ("locked", keychain @ None) => *keychain = Some(SecretService::start_locked()),
            ("without a keyring", keychain @ None) => {
                *keychain = Some(SecretService::start_without_collection());
            }
            ("locked", Some(keychain)) => keychain.lock(),
            ("frozen", Some(keychain)) => keychain.freeze(),
            ("stopped", Some(keychain)) => keychain.stop_provider(),
            (state, _) => panic!("unknown state of the keychain: {state}"),
        }
    }

    /// Without what differs from run to run: paths, the server's port, dates, random names.
    fn normalized(&self, line: &str) -> String {
        let directory = self.machine.root().display().to_string();
        let home = self.machine.home().display().to_string();
        let server = self.server.url("");
        let (_, host) = server.split_once("://").expect("a URL");
        let line = line
            .replace(&home, "HOME")
            .replace(&directory, "DIR")
            .replace(host, "SERVER")
            .replace(&*HALLPASS, "/bin/hallpass")
            // Machines that refuse the keyring.
            .replace(
                "plain: the kernel keyring is not allowed here",
                "sealed: the key is in the kernel keyring",
            )
            .replace(
                "plain: there is no kernel keyring here",
                "sealed: the key is in the kernel keyring",
            )
            // The words of musl.
            .replace("no file descriptors available", "too many open files");
        let line = without_fingerprints(&line);
        let line: String = line
            .split_inclusive(SEPARATORS)
            .map(without_variation)
            .collect();
        // How long a keychain takes depends on the machine.
        let line = without_milliseconds(&line);
        // How old a new token is depends on the machine, too.
        let line = without_seconds(&line);
        // How far the clock is off depends on the day.
        match line.split_once("clock is ") {
            Some((before, after)) if after.contains(" the server's") => {
                let end = after.find(" ahead").or(after.find(" behind"));
                format!("{before}clock is SPAN{}", &after[end.unwrap_or_default()..])
            }
            _ => line,
        }
    }
}

const SEPARATORS: [char; 9] = [' ', '(', ')', ',', '/', '"', '`', ';', '='];

/// "in 12 ms" becomes "in N ms".
fn without_milliseconds(line: &str) -> String {
    let before = line
        .strip_suffix(" ms")
        .and_then(|line| line.rsplit_once(' '));
    before.map_or_else(|| line.to_owned(), |(before, _)| format!("{before} N ms"))
}

/// "59 min 58 s", of an hour that has just begun, becomes "59 min N s".
fn without_seconds(line: &str) -> String {
    const MINUTES: &str = " 59 min ";
    let seconds = line.split_once(MINUTES);
    let seconds = seconds.and_then(|(before, after)| Some((before, after.split_once(" s")?.1)));
    seconds.map_or_else(
        || line.to_owned(),
        |(before, rest)| format!("{before}{MINUTES}N s{rest}"),
    )
}

/// Fingerprints of SSH keys (base64 of 32 bytes) become a word.
fn without_fingerprints(line: &str) -> String {
    let mut parts = line.split("SHA256:");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_digit = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
        match part.split_at_checked(43) {
            Some((digits, rest)) if digits.chars().all(is_digit) => {
                shown.extend(["SHA256:HASH", rest]);
            }
            _ => shown.extend(["SHA256:", part]),
        }
    }
    shown
}

/// Dates, times and long hexadecimal names become words.
fn without_variation(word: &str) -> String {
    let core = word.trim_end_matches(SEPARATORS);
    let rest = &word[core.len()..];
    let stem = core.split('.').next().unwrap_or_default();
    let stem = stem.rsplit(':').next().unwrap_or_default();
    let shape: String = core
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    let name = match &*shape {
        "0000-00-00" => "DATE",
        "00:00" => "TIME",
        _ if stem.len() >= 32 && stem.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            return format!("{}{rest}", core.replacen(stem, "HEX", 1));
        }
        _ => return word.to_owned(),
    };
    format!("{name}{rest}")
}

/// Sends these replies in turn, and the last one again and again; tokens if there are none.
fn start_server(machine: &Machine, replies: Vec<String>, tls: Option<&str>) -> Server {
    let authority = Authority::new();
    fs::write(machine.root().join("ca.pem"), authority.pem()).expect("a file");
    let names = ["127.0.0.1"];
    let identity = tls.map(|kind| match kind {
        "trusted" | "unknown" => authority.identity(&names),
        "expired" => authority.expired_identity(&names),
        "not valid yet" => authority.future_identity(&names),
        "another name" => authority.identity(&["server.example"]),
        "no subject alternative name" => authority.identity_by_common_name("127.0.0.1"),
        "self-signed" => Identity::self_signed(&names),
        "namesake" => Authority::new().identity(&names),
        "namesake with another kind of key" => Authority::of_another_kind().identity(&names),
        "client certificate" => authority.identity_for_known_clients(&names),
        kind => panic!("unknown kind of TLS: {kind}"),
    });
    let count = AtomicUsize::new(0);
    let tokens = numbered_tokens();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let reply = move |request: &Request| match replies.len().checked_sub(1) {
        None => tokens(request),
        Some(last) => {
            let host = request.header("host").unwrap_or_default();
            let line = &replies[count.fetch_add(1, SeqCst).min(last)];
            reply(&line.replace("$SERVER", &format!("{scheme}://{host}")))
        }
    };
    match identity {
        None => Server::start(reply),
        Some(identity) => Server::start_tls(&identity, reply),
    }
}

/// `STATUS | HEADER: VALUE | BODY`, each part but the first one as often as needed; `raw TEXT`;
/// `token`; `large` for a response that is too large; `nothing` for a server that does not respond.
fn reply(line: &str) -> Reply {
    if let Some(bytes) = line.strip_prefix("raw") {
        return Reply::raw(bytes.trim_start().replace("\\r", "\r").replace("\\n", "\n"));
    }
    if line == "token" {
        return Reply::token("t", 3600);
    }
    if line == "large" {
        return Reply::new(200).body(" ".repeat(2 << 20));
    }
    if line == "nothing" {
        return Reply::new(200).held_by(&Gate::new());
    }
    let mut parts = line.split(" | ");
    let status = parts.next().unwrap_or_default();
    let status = status.parse().expect("a status");
    parts.fold(Reply::new(status), |reply, part| {
        match part.split_once(": ") {
            _ if part.starts_with(['{', '[']) => {
                reply.header("Content-Type", "application/json").body(part)
            }
            Some((name, value)) if !part.starts_with('<') => reply.header(name, value),
            _ => reply.body(part),
        }
    })
}

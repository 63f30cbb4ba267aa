//! A person at a terminal: what is asked, what is shown, and how the terminal is left.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::machine::{CLIENT_ID, HALLPASS, Machine, SECRET, numbered_tokens};
use crate::secret_service::SecretService;
use crate::server::{Gate, Reply, Server};
use crate::support::{container, run_by};

const SIGHUP: i64 = 1;
const SIGINT: i64 = 2;
const SIGQUIT: i64 = 3;
const SIGTERM: i64 = 15;

#[test]
fn a_login_asks_for_what_was_not_given() {
    let keychain = SecretService::start();
    let machine = Machine::new().with_environment(keychain.environment());
    let server = Server::start(numbered_tokens());
    let mut terminal = Terminal::run(&machine.hallpass(&["login"]));
    terminal.expect("another server\r\nNumber or name: ");
    terminal.send("15\r");
    terminal.expect("Issuer or token URL: ");
    terminal.send(&format!("{}\r", server.url("/oauth/token")));
    terminal.expect("Client ID: ");
    terminal.send("  client:one \r");
    terminal.expect("Audience (empty for none): ");
    terminal.send("https://acme.example/api/\r");
    terminal.expect("Scope (empty for none): ");
    terminal.send("read write\r");
    terminal.expect("Profile name [default]: ");
    terminal.send("\r");
    let binding = "Let git, docker and other tools use this profile for https://acme.example/api/?";
    terminal.expect(&format!("{binding} [Y/n]: "));
    terminal.send("\r");
    terminal.expect("Client secret: ");
    terminal.send(&format!("{SECRET}\r"));
    let characters = SECRET.chars().count();
    terminal.expect(&format!(
        "hallpass: secret received ({characters} characters)\r\n"
    ));
    terminal.expect("hallpass: logged in: profile default, client client:one");
    let ended = terminal.end();
    assert_eq!(ended.exit, Some(0), "{ended:?}");
    assert_eq!(ended.after, ended.before, "the terminal is as it was");
    ended.never_showed(SECRET);

    let form = server.requests()[0].form();
    for (name, value) in [
        ("audience", "https://acme.example/api/"),
        ("scope", "read write"),
    ] {
        assert!(
            form.contains(&(name.to_owned(), value.to_owned())),
            "{form:?}"
        );
    }
    assert_eq!(stored(&keychain), SECRET.as_bytes());
    assert_eq!(machine.run(&["token"]).token(), "token-1");
}

#[test]
fn an_empty_answer_leaves_a_parameter_out() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    let secret = machine.private_file("secret", SECRET.as_bytes());
    let secret = secret.to_str().expect("a path in UTF-8");
    let login = ["login", "--client-id", CLIENT_ID, "--secret-file", secret];
    let mut terminal = Terminal::run(&machine.hallpass(&login));
    terminal.expect("Number or name: ");
    terminal.send(&format!("{}\r", server.url("/oauth/token")));
    terminal.expect("Audience (empty for none): ");
    terminal.send("\r");
    terminal.expect("Scope (empty for none): ");
    terminal.send(" \r");
    terminal.expect("Profile name [default]: ");
    terminal.send("\r");
    let ended = terminal.end();
    assert_eq!(ended.exit, Some(0), "{ended:?}");
    assert_eq!(server.requests()[0].text(), "grant_type=client_credentials");
}

#[test]
fn an_audience_that_is_a_url_is_bound_only_after_a_prompt() {
    for (answer, bound) in [("\r", true), ("YES\r", true), ("n\r", false)] {
        let server = Server::start(numbered_tokens());
        let machine = Machine::new();
        let secret = machine.private_file("secret", SECRET.as_bytes());
        let secret = secret.to_str().expect("UTF-8");
        let url = server.url("/oauth/token");
        let login = [
            "login",
            "prod",
            "--token-url",
            &url,
            "--client-id",
            "client:one",
            "--secret-file",
            secret,
            "--audience",
            "https://acme.example/api/",
        ];
        let mut terminal = Terminal::run(&machine.hallpass(&login));
        terminal.expect("use this profile for https://acme.example/api/? [Y/n]: ");
        terminal.send(answer);
        let ended = terminal.end();
        assert_eq!(ended.exit, Some(0), "{ended:?}");
        let listed = machine.run(&["status"]).success().stdout;
        assert_eq!(listed.contains("  for "), bound, "{listed}");
        // Where nobody can be asked, nothing is bound but what was named.
        let machine = Machine::new();
        machine.private_file("secret", SECRET.as_bytes());
        let ran = machine.run(&login[..6]).failure(2);
        assert!(ran.stderr.contains("no terminal to ask at"), "{ran:?}");
        machine.run(&login).success();
        let listed = machine.run(&["status"]).success().stdout;
        assert!(!listed.contains("  for "), "{listed}");
    }
}

#[test]
fn a_login_with_all_settings_prompts_only_for_the_secret() {
    let (keychain, machine) = machine_with_keychain();
    let mut terminal = log_in(&machine);
    assert_eq!(terminal.screen(), "Client secret: ");
    terminal.send("s3cret\r");
    assert_eq!(terminal.end().exit, Some(0));
    assert_eq!(stored(&keychain), b"s3cret");
    // Nor does a second one ask for what is there.
    let mut terminal = Terminal::run(&machine.hallpass(&["login", "prod"]));
    let prompt = "Client secret (empty keeps the saved one): ";
    terminal.expect(prompt);
    assert_eq!(terminal.screen(), prompt);
    terminal.send("another\r");
    assert_eq!(terminal.end().exit, Some(0));
    assert_eq!(stored(&keychain), b"another");
}

#[test]
fn a_typed_secret_is_stored_exactly() {
    // 5.7 KB: more than the line of 4,096 bytes that a terminal edits by itself.
    let long = "0123456789abcdefghi".repeat(300);
    let rows: [(&str, &str); 8] = [
        (SECRET, SECRET),
        (&long, &long),
        ("\u{1b}[200~pasted s3cret\u{1b}[201~", "pasted s3cret"),
        ("s3cret\u{7f}\u{7f}\u{8}RET", "s3cRET"),
        ("\u{7f}aä\u{7f}€\u{7f}b", "ab"),
        ("all of it wrong\u{15}right", "right"),
        ("two words\u{17}", "two "),
        (" spaces around ", " spaces around "),
    ];
    let (keychain, machine) = machine_with_keychain();
    for (typed, kept) in rows {
        let mut terminal = log_in(&machine);
        terminal.send(typed);
        terminal.send("\r");
        let characters = kept.chars().count();
        terminal.expect(&format!("secret received ({characters} characters)\r\n"));
        let ended = terminal.end();
        assert_eq!(ended.exit, Some(0), "{ended:?}");
        assert_eq!(stored(&keychain), kept.as_bytes(), "{typed:?}");
        ended.never_showed(typed);
        ended.never_showed(kept);
        assert_eq!(ended.after, ended.before);
    }
}

#[test]
fn a_secret_with_a_control_character_is_refused_not_corrected() {
    let (keychain, machine) = machine_with_keychain();
    for (typed, message) in [
        (
            "s3\tcret\r",
            "the client secret contains a control character",
        ),
        (
            "s3\u{1b}[Acret\r",
            "the client secret contains a control character",
        ),
        (
            "s3cret\u{1b}OP\r",
            "the client secret contains a control character",
        ),
        (
            "s3\u{0}cret\r",
            "the client secret contains a control character",
        ),
        (
            "s3\u{1}cret\r",
            "the client secret contains a control character",
        ),
        (
            "s3\u{85}cret\r",
            "the client secret contains a control character",
        ),
        ("\r", "the client secret is empty"),
        (
            "\u{feff}s3cret\r",
            "the client secret begins with a byte order mark",
        ),
    ] {
        let mut terminal = log_in(&machine);
        terminal.send_three_times(typed);
        let ended = terminal.end();
        assert_eq!(ended.exit, Some(2), "{typed:?}: {ended:?}");
        assert!(
            ended
                .screen
                .contains(&format!("hallpass: error: {message}")),
            "{ended:?}"
        );
        ended.never_showed("cret\r");
        assert_eq!(ended.after, ended.before);
    }
    assert_nothing_stored(&keychain, &machine);
}

#[test]
fn whatever_ends_the_question_leaves_the_terminal_as_it_was() {
    enum End {
        Key(&'static str),
        Signal(&'static str),
    }
    use End::{Key, Signal};
    let (keychain, machine) = machine_with_keychain();
    for (typed, end, signal) in [
        ("", Key("\u{3}"), Some(SIGINT)),
        ("half a secr", Key("\u{3}"), Some(SIGINT)),
        ("", Key("\u{1c}"), Some(SIGQUIT)),
        ("", Signal("SIGINT"), Some(SIGINT)),
        ("half a secr", Signal("SIGTERM"), Some(SIGTERM)),
        ("", Signal("SIGHUP"), Some(SIGHUP)),
        ("", Signal("SIGQUIT"), Some(SIGQUIT)),
        ("", Key("\u{4}"), None),
    ] {
        let mut terminal = log_in(&machine);
        assert!(!terminal.echoes(), "not while the secret is typed");
        terminal.send(typed);
        match end {
            Key(key) => terminal.send(key),
            Signal(name) => terminal.signal(name),
        }
        let ended = terminal.end();
        assert_eq!(ended.signal, signal, "{ended:?}");
        assert_eq!(
            ended.exit,
            if signal.is_none() { Some(2) } else { None },
            "{ended:?}"
        );
        assert_eq!(ended.after, ended.before, "{signal:?}");
        ended.never_showed("secr\u{0}");
    }
    assert_nothing_stored(&keychain, &machine);
}

/// The kernel ends no first process of a container by a signal.
#[test]
fn the_first_process_of_a_container_ends_at_an_interrupt_like_any_other() {
    let (keychain, machine) = machine_with_keychain();
    let url = machine.server().url("/oauth/token");
    let login = ["login", "prod", "--token-url", &url, "--client-id", "x"];
    let command = run_by(container(), &machine.hallpass(&login));
    let mut terminal = Terminal::run(&command);
    terminal.expect("Client secret: ");
    terminal.send("\u{3}");
    let ended = terminal.end();
    assert_eq!(ended.exit, Some(128 + SIGINT), "{ended:?}");
    assert_eq!(ended.after, ended.before, "{ended:?}");
    assert_nothing_stored(&keychain, &machine);
}

#[test]
fn a_terminal_with_settings_of_its_own_gets_these_back() {
    let (_keychain, machine) = machine_with_keychain();
    let line = format!(
        "stty -echoe -ixon intr ^G min 7; before=$(stty -g); {} login prod --token-url {} --client-id x; code=$?; \
         test \"$before\" = \"$(stty -g)\" && echo unchanged $code",
        *HALLPASS,
        machine.server().url("/oauth/token"),
    );
    let mut terminal = Terminal::run(&shell(&machine, &line));
    terminal.expect("Client secret: ");
    terminal.send("s3cret\r");
    terminal.expect("unchanged 0");
    terminal.end();
}

#[test]
fn a_login_can_be_ended_while_the_server_is_asked() {
    let gate = Gate::new();
    let held = gate.clone();
    let server = Server::start(move |_| Reply::token("late", 60).held_by(&held));
    let keychain = SecretService::start();
    let machine = Machine::new().with_environment(keychain.environment());
    let url = server.url("/oauth/token");
    for (number, (key, signal)) in [("\u{3}", SIGINT), ("\u{1c}", SIGQUIT)]
        .into_iter()
        .enumerate()
    {
        let login = [
            "login",
            "prod",
            "--token-url",
            &url,
            "--client-id",
            CLIENT_ID,
        ];
        let mut terminal = Terminal::run(&machine.hallpass(&login));
        terminal.expect("Client secret: ");
        terminal.send("s3cret\r");
        server.wait_for_requests(number + 1);
        terminal.send(key);
        let ended = terminal.end();
        assert_eq!(ended.signal, Some(signal), "{ended:?}");
        assert_eq!(ended.after, ended.before);
    }
    gate.open();
    assert!(keychain.is_empty());
    assert!(machine.files().is_empty(), "{:?}", machine.files());
}

#[test]
fn a_login_that_was_suspended_still_does_not_show_the_secret() {
    let (keychain, machine) = machine_with_keychain();
    let mut terminal = log_in(&machine);
    terminal.send("\u{1a}");
    // The shell takes the terminal back, and gives it again, with its own settings.
    terminal.resume_after_the_shell();
    terminal.wait_until_quiet();
    terminal.send("s3cret\r");
    let ended = terminal.end();
    assert_eq!(ended.exit, Some(0), "{ended:?}");
    ended.never_showed("s3cret");
    assert_eq!(ended.after, ended.before);
    assert_eq!(stored(&keychain), b"s3cret");
}

#[test]
fn a_paste_of_two_lines_is_refused_and_does_not_reach_the_shell() {
    let (keychain, machine) = machine_with_keychain();
    for paste in [
        "first line\nsecond line\n",
        "first line\r\nsecond line",
        "\u{1b}[200~first line\rsecond line\u{1b}[201~",
    ] {
        let mut terminal = log_in(&machine);
        terminal.send_three_times(paste);
        let ended = terminal.end();
        assert_eq!(ended.exit, Some(2), "{ended:?}");
        let message = "hallpass: error: the client secret has more than one line";
        assert!(ended.screen.contains(message), "{ended:?}");
        ended.never_showed("first line");
        ended.never_showed("second line");
        assert_eq!(ended.typed_ahead, 0, "{ended:?}");
    }
    assert_nothing_stored(&keychain, &machine);
    // The line end of a line that was copied whole is fine.
    for paste in ["s3cret\r\n", "s3cret\n\n", "\u{1b}[200~s3cret\n\u{1b}[201~"] {
        let mut terminal = log_in(&machine);
        terminal.send(paste);
        let ended = terminal.end();
        assert_eq!(ended.exit, Some(0), "{ended:?}");
        assert_eq!(stored(&keychain), b"s3cret", "{paste:?}");
        assert_eq!(ended.typed_ahead, 0, "{ended:?}");
    }
}

#[test]
fn a_secret_is_never_read_in_silence_from_what_is_no_terminal() {
    let machine = Machine::new();
    let login = [
        "login",
        "--token-url",
        "https://a.example/t",
        "--client-id",
        "x",
    ];
    // An open pipe that brings nothing: a process that reads from it hangs.
    let mut command = machine.hallpass(&login);
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("hallpass starts");
    let open = child.stdin.take();
    let ran =
        crate::machine::Ran::from(child.wait_with_output().expect("hallpass ends")).failure(2);
    drop(open);
    assert!(
        ran.stderr.contains("there is no terminal to ask at"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("--secret-stdin"), "{ran:?}");

    // A terminal that is there, but is not standard input, is not read behind one's back.
    let line = format!("echo s3cret | {} {}", *HALLPASS, login.join(" "));
    let ended = Terminal::run(&shell(&machine, &line)).end();
    assert_eq!(ended.exit, Some(2), "{ended:?}");
    assert!(ended.screen.contains("--secret-stdin"), "{ended:?}");
    ended.never_showed("s3cret");
    // Nor is anything asked where the question would land in a file.
    let log = machine.root().join("log");
    let line = format!("{} {} 2>{}", *HALLPASS, login.join(" "), log.display());
    let ended = Terminal::run(&shell(&machine, &line)).end();
    assert_eq!(ended.exit, Some(2), "{ended:?}");
    assert_eq!(ended.screen, "");
    let message = std::fs::read_to_string(log).expect("the log");
    assert!(
        message.contains("there is no terminal to ask at"),
        "{message}"
    );
    assert!(machine.files().is_empty());
}

#[test]
fn standard_input_that_is_a_terminal_is_no_pipe() {
    let (keychain, machine) = machine_with_keychain();
    let url = machine.server().url("/oauth/token");
    let login = [
        "login",
        "prod",
        "--token-url",
        &url,
        "--client-id",
        CLIENT_ID,
        "--secret-stdin",
    ];
    let ended = Terminal::run(&machine.hallpass(&login)).end();
    assert_eq!(ended.exit, Some(2), "{ended:?}");
    assert!(ended.screen.contains("not a terminal"), "{ended:?}");
    assert_nothing_stored(&keychain, &machine);
}

#[test]
fn a_question_that_is_not_answered_is_no_login() {
    let machine = Machine::new();
    for (key, exit, signal) in [("\u{4}", Some(2), None), ("\u{3}", None, Some(SIGINT))] {
        let mut terminal = Terminal::run(&machine.hallpass(&["login"]));
        terminal.expect("Number or name: ");
        terminal.send(key);
        let ended = terminal.end();
        assert_eq!((ended.exit, ended.signal), (exit, signal), "{ended:?}");
        assert_eq!(ended.after, ended.before);
    }
    // What only looks like a terminal must not go on for ever.
    let mut terminal = Terminal::run(&machine.hallpass(&["login"]));
    for _ in 0..10 {
        terminal.expect("Number or name: ");
        terminal.send("\r");
    }
    let ended = terminal.end();
    assert_eq!(ended.exit, Some(2), "{ended:?}");
    assert!(machine.files().is_empty());
}

#[test]
fn a_logout_of_all_prompts_first_unless_yes_is_given() {
    let machine = Machine::new();
    let server = Server::start(numbered_tokens());
    for name in ["a", "b"] {
        machine.login(name, &server, &[]);
    }
    let before = machine.files();
    for answer in ["\r", "n\r", "all\r"] {
        let mut terminal = Terminal::run(&machine.hallpass(&["logout", "--all"]));
        terminal.expect("Log out of a, b? [y/N]: ");
        terminal.send(answer);
        terminal.expect("cancelled: nothing was logged out");
        assert_eq!(terminal.end().exit, Some(2));
        assert_eq!(machine.files(), before);
    }
    let mut terminal = Terminal::run(&machine.hallpass(&["logout", "--all"]));
    terminal.expect("Log out of a, b? [y/N]: ");
    terminal.send("y\r");
    assert_eq!(terminal.end().exit, Some(0));
    assert_eq!(machine.files(), [machine.config().join("lock")]);
    machine.login("a", &server, &[]);
    let terminal = Terminal::run(&machine.hallpass(&["logout", "--all", "--yes"]));
    assert_eq!(terminal.end().exit, Some(0));
    assert_eq!(machine.files(), [machine.config().join("lock")]);
}

#[test]
fn a_token_never_prompts_even_at_a_terminal() {
    let (_keychain, machine) = machine_with_keychain();
    let mut terminal = log_in(&machine);
    terminal.send("s3cret\r");
    assert_eq!(terminal.end().exit, Some(0));
    for (arguments, exit) in [
        (["token", "prod"], 0),
        (["token", "other"], 3),
        (["status", "prod"], 0),
        (["logout", "prod"], 0),
    ] {
        let ended = Terminal::run(&machine.hallpass(&arguments)).end();
        assert_eq!(ended.exit, Some(exit), "{ended:?}");
        assert!(!ended.screen.contains(": \r"), "{ended:?}");
        assert_eq!(ended.after, ended.before);
    }
}

fn machine_with_keychain() -> (SecretService, Machine) {
    let keychain = SecretService::start();
    let machine = Machine::new().with_environment(keychain.environment());
    (keychain, machine)
}

/// A login that prompts for the secret.
fn log_in(machine: &Machine) -> Terminal {
    let url = machine.server().url("/oauth/token");
    let login = [
        "login",
        "prod",
        "--token-url",
        &url,
        "--client-id",
        CLIENT_ID,
    ];
    let mut terminal = Terminal::run(&machine.hallpass(&login));
    // A profile that exists could keep its secret, which the prompt then says.
    terminal.expect("Client secret");
    terminal.expect(": ");
    terminal
}

#[track_caller]
fn assert_nothing_stored(keychain: &SecretService, machine: &Machine) {
    assert!(keychain.is_empty());
    assert!(machine.files().is_empty(), "{:?}", machine.files());
    assert_eq!(machine.server().connections(), 0);
}

/// A line for the shell, in this machine's environment.
fn shell(machine: &Machine, line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line]);
    for (name, value) in machine.hallpass(&[]).get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command
}

/// The secret of the only profile.
fn stored(keychain: &SecretService) -> Vec<u8> {
    keychain
        .secret(&[("service", "hallpass")])
        .expect("an item")
}

/// A pseudo-terminal with a shell's place in it, and one command that runs there in the foreground.
///
/// Python holds both, as Rust's library has no pseudo-terminals: it does a step for each line that it is given.
pub(crate) struct Terminal {
    driver: Child,
    steps: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// How the command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Everything that the terminal showed.
    pub(crate) screen: String,
    pub(crate) exit: Option<i64>,
    signal: Option<i64>,
    /// The terminal's settings, as `stty -g` knows them.
    before: Value,
    after: Value,
    /// The bytes that the next process, the shell, will read.
    typed_ahead: u64,
}

impl Ended {
    #[track_caller]
    pub(crate) fn never_showed(&self, secret: &str) {
        assert!(!self.screen.contains(secret), "{self:?}");
    }
}

impl Terminal {
    pub(crate) fn run(command: &Command) -> Terminal {
        let mut driver = Command::new("python3")
            .args(["-c", DRIVER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut terminal = Terminal {
            steps: driver.stdin.take().expect("a pipe"),
            answers: BufReader::new(driver.stdout.take().expect("a pipe")),
            driver,
        };
        let text = |text: &std::ffi::OsStr| text.to_str().expect("UTF-8").to_owned();
        let mut arguments = vec![text(command.get_program())];
        arguments.extend(command.get_args().map(text));
        let environment: Vec<_> = command
            .get_envs()
            .filter_map(|(name, value)| Some((text(name), text(value?))))
            .collect();
        terminal.step(&json!([arguments, environment]));
        terminal
    }

    /// Waits until this is shown, after what was waited for before.
    pub(crate) fn expect(&mut self, text: &str) {
        self.step(&json!(["expect", text]));
    }

    pub(crate) fn send(&mut self, keys: &str) {
        self.step(&json!(["send", keys]));
    }

    /// An answer that is refused, and given again at both questions that follow.
    fn send_three_times(&mut self, keys: &str) {
        self.send(keys);
        for _ in 0..2 {
            self.expect("hallpass: error: ");
            self.expect("Client secret: ");
            self.send(keys);
        }
    }

    fn signal(&mut self, name: &str) {
        self.step(&json!(["signal", name]));
    }

    fn screen(&mut self) -> String {
        let screen = self.step(&json!(["screen"]));
        screen.as_str().expect("text").to_owned()
    }

    fn echoes(&mut self) -> bool {
        self.step(&json!(["echoes"])) == json!(true)
    }

    /// When the command is stopped, the shell takes the terminal, sets it as it was, and goes on with the command.
    fn resume_after_the_shell(&mut self) {
        self.step(&json!(["resume"]));
    }

    /// A continued process has no way to say when it has set the terminal again.
    fn wait_until_quiet(&mut self) {
        for _ in 0..1000 {
            if !self.echoes() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("the terminal shows what is typed");
    }

    pub(crate) fn end(mut self) -> Ended {
        let end = self.step(&json!(["end"]));
        Ended {
            screen: end["screen"].as_str().expect("text").to_owned(),
            exit: end["exit"].as_i64(),
            signal: end["signal"].as_i64(),
            before: end["before"].clone(),
            after: end["after"].clone(),
            typed_ahead: end["typed_ahead"].as_u64().expect("a number"),
        }
    }

    #[track_caller]
    fn step(&mut self, step: &Value) -> Value {
        let mut answer = String::new();
        let done =
            writeln!(self.steps, "{step}").and_then(|()| self.answers.read_line(&mut answer));
        done.expect("python3 runs");
        let answer: Value = serde_json::from_str(&answer)
            .unwrap_or_else(|_| panic!("{step}: the terminal is gone"));
        assert_eq!(answer.get("failed"), None, "{step}: {answer}");
        answer["did"].clone()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has mostly ended by itself. The command loses its terminal with it.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

const DRIVER: &str = r#"
import array, fcntl, json, os, pty, select, signal, sys, termios

signal.alarm(100)
LIMIT = 50
MARK = b"\x00the end\x00"
arguments, environment = json.loads(sys.stdin.readline())
reports, report = os.pipe()
resume, resumed = os.pipe()

def settings(fd):
    i, o, c, l, ispeed, ospeed, cc = termios.tcgetattr(fd)
    return [i, o, c, l, ispeed, ospeed, [x if isinstance(x, int) else x[0] for x in cc]]

shell, master = pty.fork()
if shell == 0:
    # The place of a shell: leader of the session, deaf to the keys that are for the command.
    deaf = [signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTOU]
    for number in deaf:
        signal.signal(number, signal.SIG_IGN)
    def tell(**what):
        os.write(report, (json.dumps(what) + "\n").encode())
    original = termios.tcgetattr(0)
    before = settings(0)
    command = os.fork()
    if command == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        for number in deaf:
            signal.signal(number, signal.SIG_DFL)
        for fd in (reports, report, resume, resumed):
            os.close(fd)
        os.execvpe(arguments[0], arguments, dict(environment))
    tell(command=command)
    while True:
        _, status = os.waitpid(command, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            break
        os.tcsetpgrp(0, os.getpid())
        termios.tcsetattr(0, termios.TCSANOW, original)
        tell(stopped=True)
        os.read(resume, 1)
        os.tcsetpgrp(0, command)
        os.kill(command, signal.SIGCONT)
    after = settings(0)
    waiting = array.array("i", [0])
    fcntl.ioctl(0, termios.FIONREAD, waiting)
    os.write(1, MARK)
    exit = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    tell(before=before, after=after, exit=exit, signal=number, typed_ahead=waiting[0])
    os.read(resume, 1)
    os._exit(0)

os.close(report)
reports = os.fdopen(reports)
command = json.loads(reports.readline())["command"]
shown = b""
seen = 0

def look(limit):
    """Reads what the terminal shows, once."""
    global shown
    if not select.select([master], [], [], limit)[0]:
        return False
    shown += os.read(master, 65536)
    return True

def wait_for(text):
    global seen
    while True:
        at = shown.find(text, seen)
        if at >= 0:
            seen = at + len(text)
            return
        if MARK in shown or not look(LIMIT):
            raise Exception("not shown: %r in %r" % (text, shown))

def send(keys):
    while keys:
        ready = select.select([master], [master], [], LIMIT)
        if ready[0]:
            look(0)
        if ready[1]:
            keys = keys[os.write(master, keys[:512]):]

def screen():
    return shown.replace(MARK, b"").decode(errors="replace")

def do(verb, value=None):
    if verb == "expect":
        wait_for(value.encode())
    elif verb == "send":
        send(value.encode())
    elif verb == "signal":
        os.kill(command, getattr(signal, value))
    elif verb == "screen":
        return screen()
    elif verb == "echoes":
        return bool(termios.tcgetattr(master)[3] & termios.ECHO)
    elif verb == "resume":
        reports.readline()
        os.write(resumed, b".")
    elif verb == "end":
        wait_for(MARK)
        end = json.loads(reports.readline())
        end["screen"] = screen()
        os.write(resumed, b".")
        return end

print(json.dumps({"did": None}), flush=True)
for line in sys.stdin:
    try:
        answer = {"did": do(*json.loads(line))}
    except Exception as error:
        answer = {"failed": str(error)}
    print(json.dumps(answer), flush=True)
"#;

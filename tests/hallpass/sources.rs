//! Where a secret can lie: that it is found there and nowhere else, moved, and forgotten.

#[path = "../everywhere/hostile.rs"]
mod hostile;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::machine::{CLIENT_ID, Machine, SECRET, skip};
use crate::secret_service::SecretService;
use crate::server::Server;

const SECRET_WORD: &str = "plainsecretword";

/// The store and the place of the secret, as `status` shows them.
#[track_caller]
fn place_of_secret(machine: &Machine) -> String {
    let shown = machine.run(&["status", "prod", "--json"]).success().stdout;
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    let secret = &shown["profiles"][0]["secret"];
    format!("{} {}", secret["store"], secret["place"]).replace('"', "")
}

/// How many of the kernel's keys belong to the machine's profile.
fn keys_of_profile(machine: &Machine) -> usize {
    let place = place_of_secret(machine);
    keys(place.rsplit(' ').next().unwrap_or_default())
}

/// How many of the kernel's keys belong to this account, as an independent program lists them.
fn keys(account: &str) -> usize {
    let listed = Command::new("keyctl").args(["show", "@u"]).output();
    let listed = listed.expect("keyctl, of Debian's keyutils").stdout;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    listed.matches(&format!("hallpass:{account}")).count()
}

#[test]
fn the_kernel_keyring_keeps_a_secret_across_sessions_and_a_logout_removes_it() {
    let machine = Machine::new();
    let ran = machine
        .login_from("prod", &["--store", "kernel", "--secret-stdin"], SECRET)
        .success();
    assert!(
        ran.stderr.contains("until this machine restarts"),
        "{ran:?}"
    );
    let place = place_of_secret(&machine);
    assert!(place.starts_with("kernel kernel keyring, until this machine restarts"));
    assert_eq!(keys_of_profile(&machine), 1);
    let account = place.rsplit(' ').next().expect("an account").to_owned();
    // From a session keyring of its own, too.
    let mut other = Command::new("keyctl");
    other.args(["session", "-"]);
    let other = crate::support::run_by(other, &machine.hallpass(&["token", "--refresh"]));
    assert_eq!(crate::support::ran(other).stdout, "token-2\n");
    assert_eq!(machine.secrets_sent(), [SECRET, SECRET]);
    for file in machine.files() {
        let content = fs::read(&file).expect("a file");
        assert!(
            !String::from_utf8_lossy(&content).contains(SECRET),
            "{file:?}"
        );
    }
    machine
        .login_from("prod", &["--store", "kernel", "--secret-stdin"], "another")
        .success();
    assert_eq!((keys(&account), keys_of_profile(&machine)), (0, 1));
    let account = place_of_secret(&machine)
        .rsplit(' ')
        .next()
        .expect("an account")
        .to_owned();
    machine.run(&["logout"]).success();
    assert_eq!(keys(&account), 0);
}

#[test]
fn a_missing_key_is_reported_and_replaced_by_a_login() {
    let machine = Machine::new();
    machine
        .login_from("prod", &["--store", "kernel", "--secret-stdin"], SECRET)
        .success();
    let place = place_of_secret(&machine);
    let account = place.rsplit(' ').next().expect("an account");
    let purged = Command::new("keyctl")
        .args(["purge", "user", &format!("hallpass:{account}")])
        .output();
    assert!(purged.expect("keyctl").status.success());
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    let ran = machine.run(&["token", "--refresh"]).failure(3);
    assert!(
        ran.stderr
            .contains("the kernel keyring has no client secret for profile prod"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("hallpass login prod"), "{ran:?}");
    machine.run(&["logout"]).success();
}

#[test]
fn an_edited_profile_does_not_get_its_key() {
    let machine = Machine::new();
    machine
        .login_from("prod", &["--store", "kernel", "--secret-stdin"], SECRET)
        .success();
    let file = machine.config().join("prod.json");
    let text = fs::read_to_string(&file).expect("the profile");
    fs::write(&file, text.replace("client:one", "client:two")).expect("an edit");
    let ran = machine.run(&["token", "--refresh"]).failure(4);
    assert!(ran.stderr.contains("was edited after login"), "{ran:?}");
    assert_eq!(machine.server().requests().len(), 1);
    machine.run(&["logout"]).success();
}

#[test]
fn a_secret_moves_from_one_store_to_another_and_leaves_the_old_one_empty() {
    let keychain = SecretService::start();
    let mut machine = Machine::new();
    machine = machine.with_environment(keychain.environment());
    machine
        .login_from("prod", &["--secret-stdin", "--scope", "a b"], SECRET)
        .success();
    assert!(!keychain.is_empty());
    machine
        .run(&["login", "prod", "--store", "kernel"])
        .success();
    assert!(keychain.is_empty());
    assert_eq!(keys_of_profile(&machine), 1);
    // A new secret stays where the old one was.
    machine
        .run_with_input(&["login", "prod", "--secret-stdin"], b"the second")
        .success();
    assert_eq!(keys_of_profile(&machine), 1);
    let account = place_of_secret(&machine)
        .rsplit(' ')
        .next()
        .expect("an account")
        .to_owned();
    machine
        .run(&["login", "prod", "--store", "keychain"])
        .success();
    assert_eq!(keys(&account), 0);
    assert!(!keychain.is_empty());
    let file = machine.private_file("third", b"the third");
    let cat = format!("cat {}", file.display());
    machine
        .run(&[
            "login",
            "prod",
            "--store",
            "command",
            "--secret-command",
            &cat,
        ])
        .success();
    assert!(keychain.is_empty());
    machine
        .run(&["login", "prod", "--store", "keychain"])
        .success();
    assert!(!keychain.is_empty());
    let sent = machine.secrets_sent();
    assert_eq!(
        sent,
        [
            SECRET,
            SECRET,
            "the second",
            "the second",
            "the third",
            "the third"
        ]
    );
    let scopes = machine
        .server()
        .requests()
        .iter()
        .filter(|r| r.text().contains("scope=a+b") || r.text().contains("scope=a%20b"))
        .count();
    assert_eq!(scopes, 6, "the settings are kept");
    machine.run(&["logout"]).success();
    assert!(keychain.is_empty());
}

#[test]
fn a_secret_that_moves_out_of_a_file_stays_in_the_file_and_a_note_says_so() {
    let machine = Machine::new();
    let file = machine.private_file("secret", SECRET.as_bytes());
    let path = file.to_str().expect("UTF-8");
    machine
        .login_from("prod", &["--secret-file", path], "")
        .success();
    let ran = machine
        .run(&["login", "prod", "--store", "kernel"])
        .success();
    let message = format!("the secret is also still in {path};");
    assert!(ran.stderr.contains(&message), "{ran:?}");
    assert!(file.exists());
    machine.run(&["logout"]).success();
}

#[test]
fn a_key_or_its_passphrase_never_moves_to_where_a_secret_is_sent() {
    let machine = Machine::new();
    let key = rcgen::KeyPair::generate()
        .expect("a P-256 key")
        .serialize_pem();
    let key = machine.private_file("key.pem", key.as_bytes());
    let key = key.to_str().expect("UTF-8");
    machine
        .login_from("prod", &["--jwt-key", key], "")
        .success();
    let ran = machine
        .run(&[
            "login",
            "prod",
            "--store",
            "kernel",
            "--auth",
            "client_secret_post",
        ])
        .failure(2);
    assert!(
        ran.stderr.contains("the client secret is missing"),
        "{ran:?}"
    );
    assert_eq!(machine.server().requests().len(), 1);
    // The key itself moves where it stays a key.
    machine
        .run(&["login", "prod", "--store", "kernel"])
        .success();
    assert_eq!(keys_of_profile(&machine), 1);
    machine.run(&["token", "--refresh"]).token();
    machine.run(&["logout"]).success();
}

#[test]
fn a_kernel_that_forbids_its_keyring_is_reported_and_nothing_is_left() {
    let machine = Machine::new();
    let secret = machine.private_file("secret", SECRET.as_bytes());
    let url = machine.server().url("/oauth/token");
    let login = [
        "login",
        "prod",
        "--token-url",
        &url,
        "--client-id",
        CLIENT_ID,
        "--store",
        "kernel",
        "--secret-stdin",
    ];
    for (fault, message) in [
        ("ENOSYS", "this kernel does not support it"),
        ("EPERM", "permission denied"),
    ] {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-o", "/dev/null", "-e", "trace=keyctl,add_key"]);
        strace.args(["-e", &format!("inject=keyctl,add_key:error={fault}")]);
        let mut ran = crate::support::run_by(strace, &machine.hallpass(&login));
        ran.stdin(fs::File::open(&secret).expect("the secret"));
        let ran = crate::support::ran(ran).failure(6);
        assert!(ran.stderr.contains(message), "{ran:?}");
        assert!(ran.stderr.contains("--secret-file"), "{ran:?}");
    }
    assert_eq!(machine.files(), [machine.config().join("lock")]);
}

#[test]
fn a_secret_command_gets_no_secret_of_hallpass() {
    let mut machine = Machine::new();
    machine.set("HALLPASS_CLIENT_SECRET", "visible-secret");
    let seen = machine.root().join("seen");
    let line = format!("!env >{}; echo {SECRET_WORD}", seen.display());
    machine
        .login_from("prod", &["--secret-command", &line], "")
        .success();
    let seen = fs::read_to_string(seen).expect("an environment");
    assert!(
        seen.contains("HOME=") && !seen.contains("visible-secret"),
        "{seen}"
    );
}

#[test]
fn a_store_and_an_option_that_contradict_each_other_are_refused() {
    let machine = Machine::new();
    for (more, message) in [
        (
            &["--store", "file"][..],
            "--store file needs --secret-file FILE",
        ),
        (
            &["--store", "command"],
            "--store command needs --secret-command COMMAND",
        ),
        (&["--store", "env"], "--store env needs --secret-env NAME"),
        (
            &["--store", "file", "--secret-env", "A"],
            "--store file needs --secret-file FILE",
        ),
        (
            &["--store", "keychain", "--secret-env", "A"],
            "--store keychain conflicts with --secret-env",
        ),
        (
            &["--store", "vault"],
            "invalid value for --store; use keychain, kernel, file",
        ),
        (
            &["--secret-env", "no name"],
            "invalid value for --secret-env",
        ),
        (
            &["--secret-credential", "../x"],
            "invalid value for --secret-credential",
        ),
    ] {
        let ran = machine.login_from("prod", more, "").failure(2);
        assert!(ran.stderr.contains(message), "{more:?}: {ran:?}");
    }
    assert_eq!(machine.files().len(), 0);
}

#[test]
fn a_variable_is_named_in_the_profile_and_its_value_leaves_the_environment() {
    let mut machine = Machine::new();
    machine.set("APP_SECRET", SECRET);
    machine
        .login_from("prod", &["--secret-env", "APP_SECRET"], "")
        .success();
    let profile = fs::read_to_string(machine.config().join("prod.json")).expect("the profile");
    assert!(
        profile.contains(r#""env": "APP_SECRET""#) && !profile.contains("s3cr"),
        "{profile}"
    );
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-2");
    // Another value is another client: it never gets the tokens of the former one.
    machine.set("APP_SECRET", "another");
    assert_eq!(machine.run(&["token"]).token(), "token-3");
    assert_eq!(machine.secrets_sent(), [SECRET, SECRET, "another"]);
    machine.set("APP_SECRET", "");
    let ran = machine.run(&["token"]).failure(3);
    assert!(ran.stderr.contains("APP_SECRET is not set"), "{ran:?}");
    for (value, fault) in [
        ("a\nb", "has more than one line"),
        ("a\tb", "contains a control character"),
    ] {
        machine.set("APP_SECRET", value);
        let ran = machine.run(&["token"]).failure(2);
        assert!(ran.stderr.contains(fault), "{ran:?}");
    }
}

#[test]
fn a_variable_is_removed_from_the_process_during_the_request() {
    use crate::server::{Gate, Reply};
    let gate = Gate::new();
    let held = gate.clone();
    let server = Server::start(move |_| Reply::token("token", 3600).held_by(&held));
    let mut machine = Machine::new();
    machine.set("HALLPASS_TOKEN_URL", &server.url("/token"));
    machine.set("HALLPASS_CLIENT_ID", CLIENT_ID);
    machine.set("HALLPASS_CLIENT_SECRET", "visible-secret");
    let mut command = machine.hallpass(&["token"]);
    command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let child = command.spawn().expect("hallpass starts");
    server.wait_for_requests(1);
    // hallpass is not dumpable, so only the superuser can read this.
    match fs::read(format!("/proc/{}/environ", child.id())) {
        Ok(environment) => {
            let environment = String::from_utf8_lossy(&environment).into_owned();
            assert!(environment.contains("HALLPASS_CLIENT_ID"), "{environment}");
            assert!(!environment.contains("visible-secret"), "{environment}");
        }
        Err(_) => skip("only the superuser can read the environment of another process"),
    }
    gate.open();
    assert_eq!(crate::machine::finish(child).token(), "token");
}

#[test]
fn a_credential_of_systemd_is_found_by_its_name() {
    let mut machine = Machine::new();
    let directory = machine.root().join("credentials");
    fs::create_dir(&directory).expect("a directory");
    let file = directory.join("client-secret");
    fs::write(&file, SECRET).expect("a credential");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).expect("its mode");
    let path = directory.display().to_string();
    machine.set("CREDENTIALS_DIRECTORY", &path);
    machine
        .login_from("prod", &["--secret-credential", "client-secret"], "")
        .success();
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-2");
    assert_eq!(machine.secrets_sent(), [SECRET, SECRET]);
    let profile = fs::read_to_string(machine.config().join("prod.json")).expect("the profile");
    assert!(!profile.contains(&path), "{profile}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("its mode");
    let ran = machine.run(&["token", "--refresh"]).failure(6);
    assert!(
        ran.stderr.contains("other users can read the secret file "),
        "{ran:?}"
    );
    fs::remove_file(&file).expect("removed");
    let mut is_missing = |directory: &str| {
        machine.set("CREDENTIALS_DIRECTORY", directory);
        let ran = machine.run(&["token", "--refresh"]).failure(3);
        let hint = "in a unit with LoadCredential=client-secret:FILE";
        assert!(ran.stderr.contains(hint), "{ran:?}");
    };
    is_missing(&path);
    is_missing("");
}

#[test]
fn a_long_secret_goes_through_every_place_as_it_is() {
    let long = "x€\"'\\%+ ".repeat(500);
    assert_eq!(long.len(), 5_000);
    let mut machine = Machine::new();
    machine.set("LONG", &long);
    let file = machine.private_file("long", long.as_bytes());
    let file = file.to_str().expect("UTF-8");
    let cat = format!("cat {file}");
    for more in [
        &["--store", "kernel", "--secret-stdin"][..],
        &["--secret-file", file],
        &["--secret-command", &cat],
        &["--secret-env", "LONG"],
    ] {
        machine.login_from("prod", more, &long).success();
        machine.run(&["token", "--refresh"]).token();
    }
    assert!(machine.secrets_sent().iter().all(|sent| *sent == long));
    assert_eq!(machine.secrets_sent().len(), 8);
    machine.run(&["logout"]).success();
}

#[test]
fn the_kernel_keyring_gives_hostile_secrets_back_in_another_session() {
    for secret in hostile::all() {
        let machine = Machine::new();
        if hostile::is_key(&secret) {
            let method = ["--auth", "private_key_jwt", "--jwt-alg", "ES256"];
            let store = ["--store", "kernel", "--key-stdin"];
            machine
                .login_from("prod", &[&method[..], &store].concat(), &secret)
                .success();
        } else {
            machine
                .login_from("prod", &["--store", "kernel", "--secret-stdin"], &secret)
                .success();
        }
        let mut other = Command::new("keyctl");
        other.args(["session", "-"]);
        let other = crate::support::run_by(other, &machine.hallpass(&["token", "--refresh"]));
        assert_eq!(crate::support::ran(other).stdout, "token-2\n");
        if !hostile::is_key(&secret) {
            assert_eq!(machine.secrets_sent(), [secret.as_str(), &secret]);
        }
        machine.run(&["logout"]).success();
    }
}

/// A program in the caller's directory, which may be a cloned repository, is not run.
#[test]
fn no_secret_command_comes_from_the_callers_directory() {
    let mut machine = Machine::new();
    let hostile = machine.root().join("hostile");
    fs::create_dir(&hostile).expect("a directory");
    for name in ["gs", "sh", "helper"] {
        let program = hostile.join(name);
        fs::write(&program, "#!/bin/sh\necho taken >>\"$0.ran\"; echo s").expect("a program");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("its mode");
    }
    let path = std::env::var("PATH").expect("a PATH");
    machine.set("PATH", &format!(".::bin:{path}"));
    let url = machine.server().url("/token");
    let here = |machine: &Machine, arguments: &[&str]| {
        let mut command = machine.hallpass(arguments);
        crate::support::ran({
            command.current_dir(&hostile);
            command
        })
    };
    let login = ["login", "prod", "--token-url", &url, "--client-id", "id"];
    let login = |command| [&login[..], &["--no-verify", "--secret-command", command]].concat();
    here(&machine, &login("gs")).success();
    let ran = here(&machine, &["token"]).failure(6);
    assert!(ran.stderr.contains("`gs` is not in PATH"), "{ran:?}");
    // An entry of PATH that depends on a directory does not lead there for the shell, either.
    here(&machine, &login("!helper")).success();
    let ran = here(&machine, &["token"]).failure(6);
    assert!(ran.stderr.contains("not found"), "{ran:?}");
    here(&machine, &login("!pwd")).success();
    here(&machine, &["token"]).success();
    let sent = machine.secrets_sent();
    assert_eq!(sent, [machine.home().to_str().expect("UTF-8")]);
    // As an earlier version stored it.
    here(&machine, &login("/bin/echo x")).success();
    let file = machine.config().join("prod.json");
    let text = fs::read_to_string(&file).expect("the profile");
    fs::write(&file, text.replace("/bin/echo", "./gs")).expect("an edit");
    let ran = here(&machine, &["token"]).failure(6);
    assert!(ran.stderr.contains("absolute path"), "{ran:?}");
    let ran: Vec<_> = fs::read_dir(&hostile).expect("a directory").collect();
    assert_eq!(ran.len(), 3, "no program of that directory ran");
}

#[test]
fn a_secret_command_that_is_too_slow_ends_with_all_that_it_started() {
    let mut machine = Machine::new();
    machine.set("HALLPASS_KEYCHAIN_TIMEOUT", "1s");
    for (number, line) in [
        "sleep 1000 & sleep 1000 & wait",
        "(sleep 1000 &) ; sleep 1000",
        "sh -c 'sh -c \"sleep 1000; :\"; :' | cat",
        // Its output ends, and it does not.
        "echo secret; exec >&- 2>&-; sleep 1000 & wait",
        // It ends, and what it started still has its output.
        "sleep 1000 & echo secret",
        "trap '' TERM HUP INT; sleep 1000 & while :; do sleep 1000; done",
    ]
    .into_iter()
    .enumerate()
    {
        let mark = format!("mark-of-{}-{number}", std::process::id());
        let command = format!("!MARK={mark}; export MARK; {line}");
        let ran = machine
            .login_from("prod", &["--secret-command", &command], "")
            .failure(6);
        assert!(ran.stderr.contains("did not finish within 1 s"), "{ran:?}");
        assert_eq!(processes_with(&mark), 0, "{line}");
    }
    assert_eq!(machine.server().requests().len(), 0);
}

#[test]
fn a_secret_command_ends_nothing_that_it_did_not_start() {
    let mut machine = Machine::new();
    machine.set("HALLPASS_KEYCHAIN_TIMEOUT", "1s");
    let mark = format!("mark-of-{}-other", std::process::id());
    let url = machine.server().url("/token");
    let login = ["login", "p", "--token-url", &url, "--client-id", "id"];
    let login = [&login[..], &["--secret-command", "sleep 1000"]].concat();
    // The shell becomes hallpass, which then has a child that it never started.
    let before = format!("MARK={mark} sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >&2");
    let command = crate::support::after_shell(&before, &machine.hallpass(&login));
    let ran = crate::support::ran(command).failure(6);
    assert_eq!(processes_with(&mark), 1);
    let other = ran.stderr.lines().next().expect("its number");
    let ended = Command::new("kill").arg(other).status();
    assert!(ended.expect("kill").success());
}

/// How many processes have this text in their environment.
fn processes_with(mark: &str) -> usize {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let environments =
        processes.filter_map(|process| fs::read(process.path().join("environ")).ok());
    let has_it = |text: &Vec<u8>| String::from_utf8_lossy(text).contains(mark);
    environments.filter(has_it).count()
}

/// In a container, and in CI, the session began outside of the process's own list of processes. And
/// the list may be that of the machine, with other numbers.
#[test]
fn a_secret_command_is_ended_in_a_container_whose_session_began_outside_of_it() {
    // `unshare` on its own makes `/` private, which may be no mount point; `/proc` is one.
    for list in [&["--mount-proc", "--propagation", "unchanged"][..], &[]] {
        let mut machine = Machine::new();
        machine.set("HALLPASS_KEYCHAIN_TIMEOUT", "1s");
        let mark = format!("mark-of-{}-container", std::process::id());
        let command = format!("!MARK={mark}; export MARK; sleep 1000 & sleep 1000");
        let url = machine.server().url("/token");
        let login = ["login", "p", "--token-url", &url, "--client-id", "id"];
        let login = [&login[..], &["--secret-command", &command]].concat();
        let mut container = crate::support::container();
        container.args(list);
        let command = crate::support::run_by(container, &machine.hallpass(&login));
        let ran = crate::support::ran(command).failure(6);
        assert!(ran.stderr.contains("did not finish within 1 s"), "{ran:?}");
        assert_eq!(processes_with(&mark), 0);
    }
}

#[test]
fn a_secret_command_that_prints_no_secret_is_reported() {
    let machine = Machine::new();
    for (line, message) in [
        ("!true", "is empty"),
        ("!yes", "printed more than 64 KiB"),
        ("!printf '\\377\\376'", "is not UTF-8"),
        ("!printf 'a\\000b'", "control character"),
        ("!echo why >&2; exit 3", "why"),
        ("no-such-program", "is not in PATH"),
    ] {
        let ran = machine
            .login_from("prod", &["--secret-command", line], "")
            .failure(6);
        assert!(ran.stderr.contains(message), "{line}: {ran:?}");
    }
    assert_eq!(machine.server().requests().len(), 0);
}

#[test]
fn a_secret_command_may_ask_at_the_terminal() {
    let machine = Machine::new();
    let url = machine.server().url("/oauth/token");
    let command = "!read line </dev/tty; echo \"$line\"";
    let mut hallpass = machine.hallpass(&["login", "prod", "--token-url", &url]);
    hallpass.args(["--client-id", CLIENT_ID, "--secret-command", command]);
    // Python gives it a terminal of its own, and types.
    let mut python = Command::new("python3");
    python.args(["-c", TYPE_A_LINE]);
    let ran = crate::support::ran(crate::support::run_by(python, &hallpass));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(machine.secrets_sent(), ["typed"]);
}

const TYPE_A_LINE: &str = "
import os, pty, sys
process, terminal = pty.fork()
if process == 0:
    os.execv(sys.argv[1], sys.argv[1:])
os.write(terminal, b'typed\\n')
try:
    while os.read(terminal, 1000):
        pass
except OSError:
    pass
sys.exit(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
";

#[test]
fn the_time_to_wait_for_a_secret_is_a_duration() {
    let mut machine = Machine::new();
    for value in ["90", "90s", "5m", "1d", ""] {
        machine.set("HALLPASS_KEYCHAIN_TIMEOUT", value);
        machine
            .login_from("prod", &["--secret-command", "echo x"], "")
            .success();
        machine.run(&["token", "--refresh"]).token();
    }
    for value in ["0", "1.5", "soon", "-1", "5 m", "\u{663}"] {
        machine.set("HALLPASS_KEYCHAIN_TIMEOUT", value);
        let ran = machine.run(&["token", "--refresh"]).failure(2);
        assert!(
            ran.stderr
                .contains("invalid value for HALLPASS_KEYCHAIN_TIMEOUT"),
            "{ran:?}"
        );
    }
}

#[test]
fn a_cached_token_does_not_read_the_time_to_wait_for_a_secret() {
    let mut machine = Machine::new();
    machine
        .login_from("prod", &["--secret-command", "echo x"], "")
        .success();
    machine.set("HALLPASS_KEYCHAIN_TIMEOUT", "soon");
    machine.run(&["token"]).token();
    machine.run(&["token", "--refresh"]).failure(2);
}

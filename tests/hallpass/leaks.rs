//! Leaks: the client secret goes to the token endpoint and into the keychain, the token to standard
//! output and into one file, and neither goes anywhere else, whatever fails.

mod process;
mod stolen;
mod trace;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use crate::machine::{CLIENT_ID, Machine, Ran, SECRET, numbered_tokens, skip};
use crate::secret_service::SecretService;
use crate::server::{Gate, Reply, Server};
use crate::spellings::{self, Content, encoded, spellings};
use crate::support::{
    as_ordinary_user, give_to_ordinary_user, is_root, machine_of_ordinary_user, ran,
};

/// Upper and lower case, as encodings differ in it; spaces, as `+` and `%20` do; what JSON escapes.
const MIXED: &str = "Q7+x/Y zK%\"\\~*\u{fc}(9)==";

#[test]
fn the_search_finds_the_secret_in_what_is_sent() {
    for (auth, body) in [
        ("client_secret_basic", "form"),
        ("client_secret_post", "form"),
        ("client_secret_post", "json"),
    ] {
        let machine = machine();
        let server = Server::start(numbered_tokens());
        machine.login("prod", &server, &["--auth", auth, "--body", body]);
        let request = server.requests().remove(0);
        let sent = format!("{:?} {}", request.headers, request.text());
        assert!(holds(sent.as_bytes(), SECRET).is_some(), "{sent}");
    }
}

#[test]
fn a_secret_from_standard_input_is_in_no_file_and_no_message() {
    let keychain = SecretService::start();
    let machine = machine().with_environment(keychain.environment());
    let server = Server::start(numbered_tokens());
    let url = server.url("/oauth/token");
    for auth in ["client_secret_basic", "client_secret_post"] {
        let login = [
            "login",
            "prod",
            "--token-url",
            &url,
            "--client-id",
            CLIENT_ID,
        ];
        let login = [&login[..], &["--auth", auth, "--secret-stdin"]].concat();
        let printed = machine.run_with_input(&login, SECRET.as_bytes()).success();
        assert_clean(&machine, &printed, SECRET);
        for arguments in [
            &["token"][..],
            &["token", "--json"],
            &["token", "--refresh"],
            &["status"],
            &["status", "--json"],
        ] {
            assert_clean(&machine, &machine.run(arguments).success(), SECRET);
        }
    }
    let item = keychain.lookup(&[("service", "hallpass")]);
    let item = String::from_utf8(item.expect("an item")).expect("ASCII");
    // It has a letter that is not ASCII.
    assert_eq!(item, format!("hallpass-base64:{}", STANDARD.encode(SECRET)));
    assert_clean(&machine, &machine.run(&["logout"]).success(), SECRET);
    assert_clean(
        &machine,
        &machine.run(&["token", "prod"]).failure(3),
        SECRET,
    );
}

#[test]
fn no_argument_and_no_variable_of_a_process_holds_the_secret() {
    let keychain = SecretService::start();
    let machine = machine().with_environment(keychain.environment());
    let gates = [Gate::new(), Gate::new()];
    let (held, answer, count) = (gates.clone(), numbered_tokens(), AtomicUsize::new(0));
    let server = Server::start(move |request| {
        let gate = &held[count.fetch_add(1, SeqCst)];
        answer(request).held_by(gate)
    });
    let url = server.url("/oauth/token");
    let secret = machine.private_file("stdin", SECRET.as_bytes());
    let mut login = machine.hallpass(&["login", "prod", "--token-url", &url]);
    login.args(["--client-id", CLIENT_ID, "--secret-stdin"]);
    login.stdin(fs::File::open(secret).expect("the secret"));
    let logging_in = spawn(login);
    server.wait_for_requests(1);
    assert_process_is_clean(logging_in.id());
    gates[0].open();
    let output = logging_in.wait_with_output().expect("it ends");
    Ran::from(output).success();

    let asking = spawn(machine.hallpass(&["token", "prod", "--refresh"]));
    server.wait_for_requests(2);
    assert_process_is_clean(asking.id());
    gates[1].open();
    let output = asking.wait_with_output().expect("it ends");
    assert_eq!(Ran::from(output).token(), "token-2");
}

#[test]
fn a_secret_command_sees_neither_secret_nor_token() {
    let machine = machine();
    let server = Server::start(numbered_tokens());
    let secret = machine.private_file("secret", SECRET.as_bytes());
    let seen = machine.root().join("seen");
    let script = format!(
        "cat /proc/$$/environ /proc/$PPID/cmdline >>{seen}; cat {secret}",
        seen = seen.display(),
        secret = secret.display()
    );
    let url = server.url("/oauth/token");
    let command = format!("!{script}");
    let login = [
        "login",
        "prod",
        "--token-url",
        &url,
        "--client-id",
        CLIENT_ID,
    ];
    let printed = machine.run(&[&login[..], &["--secret-command", &command]].concat());
    assert_clean(&machine, &printed.success(), SECRET);
    let printed = machine.run(&["token", "prod", "--refresh"]).success();
    assert_clean(&machine, &printed, SECRET);
    let seen = fs::read(seen).expect("what the command saw");
    assert_eq!(holds(&seen, SECRET), None);
    assert!(!contains(&seen, b"token-1"));
}

#[test]
fn whatever_the_server_says_a_secret_is_not_repeated() {
    assert_not_repeated(SECRET);
}

#[test]
fn whatever_the_server_says_a_secret_that_encoders_disagree_on_is_not_repeated() {
    assert_not_repeated(MIXED);
}

#[test]
fn whatever_the_server_says_a_plain_secret_is_not_repeated() {
    assert_not_repeated("Plain-Secret-0123456789");
}

fn assert_not_repeated(secret: &str) {
    let reply = Arc::new(Mutex::new(Reply::token("token", 3600)));
    let server = Server::start({
        let reply = Arc::clone(&reply);
        move |_| reply.lock().expect("the reply").clone()
    });
    let machine = machine();
    let path = machine.private_file("secret", secret.as_bytes());
    let login = |more: &[&str]| {
        let url = server.url("/oauth/token");
        let mut command = machine.hallpass(&["login", "prod", "--token-url", &url]);
        command.args(["--client-id", CLIENT_ID, "--secret-file"]);
        command.arg(&path).args(more);
        ran(command)
    };
    login(&["--no-verify"]).success();
    let check = |what: &str, answer: Reply| {
        *reply.lock().expect("the reply") = answer;
        let printed = machine.run(&["token", "prod", "--refresh"]);
        let found = holds(printed.stderr.as_bytes(), secret);
        assert_eq!(found, None, "{what}: {printed:?}");
        // A host's name loses its capitals.
        let small = printed.stderr.to_lowercase();
        assert!(!small.contains("plain-secret"), "{what}: {printed:?}");
        assert_clean(&machine, &printed, secret);
        // Those who come at once are told what this one was told.
        assert_clean(&machine, &machine.run(&["token", "prod"]), secret);
    };
    for echo in repeated(secret) {
        for (what, answer) in messages(&echo) {
            check(what, answer);
        }
    }
    for echo in [secret, &encoded(secret)] {
        for (what, answer) in echoes(echo) {
            check(what, answer);
        }
    }
    for (_, answer) in messages(secret) {
        *reply.lock().expect("the reply") = answer;
        assert_clean(&machine, &login(&[]), secret);
    }
}

#[test]
fn a_scope_that_repeats_the_secret_is_neither_kept_nor_shown() {
    let machine = machine();
    let server = Server::start(|_| {
        let scope = serde_json::to_string(SECRET).expect("JSON");
        Reply::json(200, format!(r#"{{"access_token": "t", "scope": {scope}}}"#))
    });
    machine.login("prod", &server, &["--scope", "USER"]);
    for arguments in [
        &["token", "prod"][..],
        &["token", "prod", "--refresh"],
        &["token", "prod", "--json"],
        &["status", "--json"],
    ] {
        assert_clean(&machine, &machine.run(arguments).success(), SECRET);
    }
}

#[test]
fn an_argument_in_the_wrong_place_is_not_repeated() {
    let machine = machine();
    for secret in [
        SECRET,
        MIXED,
        "Plain-Secret-0123456789",
        "-Dash-Secret-0123456789",
        "--Dashes-Secret-0123456789",
        "-Dash=Secret-0123456789",
        "--Dashes=Secret-0123456789",
        "<Angle-Secret-0123456789>",
        "[Square-Secret-0123456789]",
        "client-secret-0123456789",
        "--client-secrets-0123456789",
    ] {
        let inside = |before: &str, after: &str| format!("{before}{secret}{after}");
        let user = inside("https://user:", "@login.example/");
        let rows: Vec<Vec<&str>> = vec![
            vec![secret],
            vec!["--", secret],
            vec!["login", secret],
            vec!["login", "prod", secret],
            vec!["login", "prod", "--", secret],
            vec!["login", "prod", "--client-secret", secret],
            vec!["login", "prod", "--secret", secret],
            vec!["login", "prod", "--password", secret],
            vec!["login", "prod", "--token-url", secret],
            vec!["login", "prod", "--token-url", &user],
            vec!["login", "prod", "--revocation-url", &user],
            vec!["login", "prod", "--for", &user],
            vec!["login", "prod", "--param", secret],
            vec!["login", "prod", "--resource", secret],
            vec!["login", "prod", "--timeout", secret],
            vec!["login", "prod", "--auth", secret],
            vec!["login", "prod", "--body", secret],
            vec!["login", "prod", "--secret-stdin", secret],
            vec!["token", secret],
            vec!["token", "prod", secret],
            vec!["token", "--min-ttl", secret],
            vec!["token", "--json", secret],
            vec!["logout", secret],
            vec!["logout", "--all", secret],
            vec!["status", secret],
            vec!["status", "prod", secret],
        ];
        let mut rows: Vec<Vec<String>> = rows
            .into_iter()
            .map(|row| row.into_iter().map(str::to_owned).collect())
            .collect();
        for option in [
            "--client-secret=",
            "--client_secret=",
            "--secret=",
            "--password=",
            "--clientsecret=",
            "--client-secret-stdin=",
            "--secret-stdin=",
            "--token-url=",
            "--param=client_secret=",
            "--param=Client_Secret\n=",
            "--resource=",
            "--timeout=",
            "--auth=",
            "--secret-command='",
            "-p",
            "-s=",
        ] {
            rows.push(
                ["login", "prod", &inside(option, "")]
                    .map(str::to_owned)
                    .to_vec(),
            );
        }
        for row in rows {
            let arguments: Vec<_> = row.iter().map(String::as_str).collect();
            let printed = machine.run(&arguments);
            // Only a name that may be a profile's is looked up, and then it is one.
            if printed.code == 3 {
                assert_eq!(secret, "client-secret-0123456789", "{row:?}: {printed:?}");
                continue;
            }
            let printed = printed.failure(2);
            assert!(
                !printed.stderr.contains("Secret-0123456789"),
                "{row:?}: {printed:?}"
            );
            assert!(
                !printed.stderr.contains("secrets-0123456789"),
                "{row:?}: {printed:?}"
            );
            assert_clean(&machine, &printed, secret);
            let mut files = machine.files();
            files.retain(|file| *file != machine.config().join("lock"));
            assert!(files.is_empty(), "{row:?}: {files:?}");
        }
        let mut command = machine.hallpass(&["token"]);
        if secret != "client-secret-0123456789" {
            command.env("HALLPASS_PROFILE", secret);
            assert_clean(&machine, &ran(command).failure(2), secret);
        }
    }
}

#[test]
fn the_token_is_on_standard_output_and_in_one_private_file() {
    let machine = machine().with_plain_cache();
    let server = Server::start(|_| Reply::token("the-token-0123456789", 3600));
    let token = b"the-token-0123456789";
    let printed = machine.login("prod", &server, &[]);
    assert!(!printed.stderr.contains("the-token"), "{printed:?}");
    for arguments in [
        &["token"][..],
        &["token", "--refresh"],
        &["token", "--json"],
    ] {
        let printed = machine.run(arguments).success();
        assert!(
            printed.stdout.contains("the-token-0123456789"),
            "{printed:?}"
        );
        assert_eq!(printed.stderr, "");
        let mut files = machine.files();
        files.retain(|file| contains(&fs::read(file).expect("a file"), token));
        assert_eq!(files, machine.entries("prod"));
        let mode = fs::metadata(&files[0])
            .expect("the entry")
            .permissions()
            .mode();
        assert_eq!((files.len(), mode & 0o7777), (1, 0o600));
    }
    for arguments in [
        &["status"][..],
        &["status", "--json"],
        &["status", "prod"],
        &["logout"],
    ] {
        let printed = machine.run(arguments).success();
        let printed = printed.stdout + &printed.stderr;
        assert!(
            !printed.contains("the-token") && holds(printed.as_bytes(), SECRET).is_none(),
            "{printed}"
        );
    }
    // The names of files tell nothing either.
    machine.login("prod", &server, &[]);
    for file in machine.files() {
        let name = file.display().to_string();
        assert!(
            !name.contains("the-token") && holds(name.as_bytes(), SECRET).is_none(),
            "{name}"
        );
    }
}

#[test]
fn other_tokens_in_a_response_are_neither_stored_nor_shown() {
    let machine = machine();
    let server = Server::start(|_| {
        Reply::json(
            200,
            r#"{"access_token": "t", "token_type": "Bearer", "expires_in": 3600,
                "refresh_token": "other-0123456789", "id_token": "other-0123456789.e30.x",
                "device_secret": "other-0123456789"}"#,
        )
    });
    let mut printed = machine.login("prod", &server, &[]).stderr;
    for arguments in [
        &["token"][..],
        &["token", "--json"],
        &["status"],
        &["status", "--json"],
    ] {
        let ran = machine.run(arguments).success();
        printed += &(ran.stdout + &ran.stderr);
    }
    assert!(!printed.contains("other-"), "{printed}");
    for file in machine.files() {
        assert!(
            !contains(&fs::read(&file).expect("a file"), b"other-"),
            "{}",
            file.display()
        );
    }
}

#[test]
fn a_process_that_holds_the_secret_dumps_no_core_and_cannot_be_inspected() {
    let machine = machine_of_ordinary_user();
    let gate = Gate::new();
    let (held, answer) = (gate.clone(), numbered_tokens());
    let server = Server::start(move |request| answer(request).held_by(&held));
    let secret = machine.private_file("secret", SECRET.as_bytes());
    give_to_ordinary_user(&secret);
    let url = server.url("/oauth/token");
    let mut login = machine.hallpass(&["login", "prod", "--token-url", &url, "--client-id", "x"]);
    login.arg("--secret-file").arg(secret).arg("--no-verify");
    ran(as_ordinary_user(&login)).success();
    let asking = spawn(as_ordinary_user(&machine.hallpass(&["token", "prod"])));
    server.wait_for_requests(1);
    let process = Path::new("/proc").join(asking.id().to_string());
    let limits = fs::read_to_string(process.join("limits")).expect("its limits");
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let core: Vec<_> = core
        .expect("a limit of core files")
        .split_whitespace()
        .collect();
    assert_eq!(core[4..6], ["0", "0"], "{core:?}");
    // The same user's other programs.
    for file in ["environ", "mem", "maps", "auxv"] {
        let mut cat = Command::new("/bin/cat");
        cat.arg(process.join(file)).env_clear();
        let seen = ran(as_ordinary_user(&cat));
        assert!(seen.code != 0 && seen.stdout.is_empty(), "{file}: {seen:?}");
        assert!(
            seen.stderr.contains("Permission denied"),
            "{file}: {seen:?}"
        );
    }
    gate.open();
    let output = asking.wait_with_output().expect("it ends");
    assert_eq!(Ran::from(output).token(), "token-1");
}

/// Everything is asked to talk as much as it can.
fn machine() -> Machine {
    let mut machine = Machine::new();
    machine
        .set("RUST_LOG", "trace")
        .set("RUST_BACKTRACE", "full");
    machine.set("RUST_LIB_BACKTRACE", "1");
    machine
}

fn spawn(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("hallpass starts")
}

/// Answers that repeat what they were sent where a person is shown it.
fn messages(echo: &str) -> Vec<(&'static str, Reply)> {
    let rows = [
        ("description", format!("you sent <{echo}>, didn't you?")),
        ("description", echo.to_owned()),
        ("after 395 characters", "x".repeat(395) + echo),
    ];
    let described = rows.map(|(what, text)| {
        let members = r#""error": "invalid_client", "error_description""#;
        (
            what,
            Reply::json(401, format!("{{{members}: {}}}", json(&text))),
        )
    });
    let members = [
        ("code", format!(r#""error": {}"#, json(echo))),
        (
            "type",
            format!(r#""access_token": "t", "token_type": {}"#, json(echo)),
        ),
    ];
    let members = members.map(|(what, members)| (what, Reply::json(200, format!("{{{members}}}"))));
    described.into_iter().chain(members).collect()
}

/// Answers that repeat what they were sent anywhere else.
fn echoes(echo: &str) -> Vec<(&'static str, Reply)> {
    let page = |status| Reply::new(status).body(format!("<html>{echo}</html>"));
    let error = |members: &str| Reply::json(400, format!("{{{members}}}"));
    let redirect = |location: String| Reply::new(307).header("Location", &location);
    let raw = |before: &str| Reply::raw(format!("{before}{echo}\r\n\r\n"));
    vec![
        (
            "code",
            Reply::json(503, format!(r#"{{"error": {}}}"#, json(echo))),
        ),
        (
            "address",
            error(&format!(r#""error": "x", "error_uri": {}"#, json(echo))),
        ),
        (
            "header",
            error(r#""error": "x""#).header("Retry-After", echo),
        ),
        (
            "token",
            Reply::json(
                200,
                format!(r#"{{"access_token": {}}}"#, json(&(echo.to_owned() + " "))),
            ),
        ),
        ("page", page(200)),
        ("page", page(401)),
        ("page", page(404)),
        (
            "redirect",
            redirect(format!("https://elsewhere.example/?secret={echo}")),
        ),
        ("redirect", redirect(format!("https://{echo}.example/"))),
        (
            "redirect",
            redirect(format!("https://user:{echo}@elsewhere.example/")),
        ),
        ("redirect", redirect(echo.to_owned())),
        ("redirect", redirect(format!("/{echo}"))),
        ("no HTTP", raw("")),
        ("no HTTP", raw("HTTP/1.1 200 OK\r\n")),
        ("no HTTP", raw("HTTP/1.1 ")),
    ]
}

fn json(text: &str) -> String {
    serde_json::to_string(text).expect("JSON")
}

/// How a server may repeat a secret that it was sent.
fn repeated(secret: &str) -> Vec<String> {
    let mut all = vec![secret.to_owned()];
    all.extend(spellings::of_urls(secret));
    all.extend(spellings::json(secret));
    for text in [
        secret.to_owned(),
        format!("{CLIENT_ID}:{secret}"),
        format!("{}:{}", encoded(CLIENT_ID), encoded(secret)),
    ] {
        for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
            all.push(engine.encode(&text));
        }
    }
    all.sort();
    all.dedup();
    all
}

/// The encoding of the secret that is there.
pub(crate) fn holds(content: &[u8], secret: &str) -> Option<&'static str> {
    Content::of(content).find(&spellings(secret.as_bytes()))
}

fn contains(content: &[u8], wanted: &[u8]) -> bool {
    content.windows(wanted.len()).any(|window| window == wanted)
}

/// The secret is in nothing that was said and in no file below the home directory.
#[track_caller]
fn assert_clean(machine: &Machine, printed: &Ran, secret: &str) {
    assert!((0..=6).contains(&printed.code), "{printed:?}");
    let spellings = spellings(secret.as_bytes());
    for text in [&printed.stdout, &printed.stderr] {
        let found = Content::of(text.as_bytes()).find(&spellings);
        assert_eq!(found, None, "{printed:?}");
    }
    for file in machine.files() {
        let content = fs::read(&file).expect("a file");
        let text = String::from_utf8_lossy(&content);
        let found = Content::of(&content).find(&spellings);
        assert_eq!(found, None, "{}: {text}", file.display());
    }
}

/// Arguments and environment of a process, and of all that it started.
fn assert_process_is_clean(id: u32) {
    let process = Path::new("/proc").join(id.to_string());
    let arguments = fs::read(process.join("cmdline")).expect("its arguments");
    assert!(contains(&arguments, b"hallpass"));
    assert_eq!(holds(&arguments, SECRET), None);
    // Only the superuser may look.
    if let Ok(environment) = fs::read(process.join("environ")) {
        assert!(contains(&environment, b"RUST_LOG=trace"));
        assert_eq!(holds(&environment, SECRET), None);
    }
    for thread in fs::read_dir(process.join("task")).expect("its threads") {
        let children = thread.expect("a thread").path().join("children");
        assert_eq!(fs::read_to_string(children).unwrap_or_default(), "");
    }
}

/// What was copied on the way and is no longer needed is overwritten.
#[test]
fn few_copies_of_the_secret_are_in_memory_while_hallpass_waits() {
    const PLAIN: &str = "PlainSecretOf32LettersAndDigits0";
    if !is_root() {
        return skip("only the superuser can look into the memory of another process");
    }
    let keychain = SecretService::start();
    let mut counted = Vec::new();
    for auth in ["client_secret_basic", "client_secret_post"] {
        for body in ["form", "json"] {
            for place in ["keychain", "file", "command", "env"] {
                let mut machine = machine().with_environment(keychain.environment());
                if place == "env" {
                    machine.set("APP_SECRET", PLAIN);
                }
                let file = machine.private_file("secret", PLAIN.as_bytes());
                let file = file.to_str().expect("UTF-8");
                let command = format!("cat {file}");
                let gate = Gate::new();
                let (held, answer) = (gate.clone(), numbered_tokens());
                let server = Server::start(move |request| answer(request).held_by(&held));
                let url = server.url("/oauth/token");
                let login = ["login", "prod", "--no-verify", "--token-url", &url];
                let method = ["--client-id", "id", "--auth", auth, "--body", body];
                let source = match place {
                    "keychain" => vec!["--secret-stdin"],
                    "file" => vec!["--secret-file", file],
                    "command" => vec!["--secret-command", &command],
                    _ => vec!["--secret-env", "APP_SECRET"],
                };
                let login = [&login[..], &method, &source].concat();
                machine.run_with_input(&login, PLAIN.as_bytes()).success();
                let asking = spawn(machine.hallpass(&["token", "prod"]));
                server.wait_for_requests(1);
                let pair = STANDARD.encode(format!("id:{PLAIN}"));
                let copies = [PLAIN, &pair].map(|text| copies_in_memory(asking.id(), text));
                gate.open();
                let output = asking.wait_with_output().expect("it ends");
                // It may have said by then that it waits.
                assert_eq!(Ran::from(output).success().stdout, "token-1\n");
                machine.run(&["logout"]).success();
                counted.push((auth, body, place, copies));
            }
        }
    }
    for (auth, _, place, [plain, in_header]) in &counted {
        // One for another attempt, one to send; a header's is also in the buffer of the HTTP library. What
        // comes from a variable is kept for another profile.
        let most = match *auth {
            "client_secret_basic" => 3,
            _ => 2,
        } + usize::from(*place == "env");
        assert!(plain + in_header <= most, "{counted:#?}");
    }
}

/// How often a text is in the writable memory of a process.
fn copies_in_memory(process: u32, text: &str) -> usize {
    use std::os::unix::fs::FileExt as _;
    let process = Path::new("/proc").join(process.to_string());
    let maps = fs::read_to_string(process.join("maps")).expect("its memory's map");
    let memory = fs::File::open(process.join("mem")).expect("its memory");
    let mut count = 0;
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (range, rights) = (fields.next(), fields.next());
        if !rights.is_some_and(|rights| rights.starts_with("rw")) {
            continue;
        }
        let (from, to) = range
            .and_then(|range| range.split_once('-'))
            .expect("a range");
        let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).expect("an address"));
        let mut content = vec![0; usize::try_from(to - from).expect("a size")];
        // A part of the map may be no memory (a guard page).
        if memory.read_exact_at(&mut content, from).is_ok() {
            let found = content.windows(text.len());
            count += found.filter(|part| *part == text.as_bytes()).count();
        }
    }
    count
}

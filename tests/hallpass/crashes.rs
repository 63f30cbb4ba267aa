//! Crashes and faults: whatever call to the system is the last one, or fails, the next command finds
//! the old login or the new one, never a mixture, and cleans up.

mod search;

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::machine::{Machine, Ran};
use crate::secret_service::SecretService;
use crate::server::{Reply, Request, Server};
use crate::stale;
use crate::support::{ran, run_by};

/// A header whose value is a secret, too.
const KEY: &str = "x-gateway-key";

const ERRORS: [&str; 5] = ["ENOSPC", "EIO", "EACCES", "EMFILE", "EINTR"];

#[test]
fn a_login_killed_anywhere_leaves_the_old_one_or_the_new_one() {
    Scene::with_secret_files().kill_logins();
}

#[test]
fn a_login_killed_anywhere_leaves_no_unlisted_secret_in_the_keychain() {
    let keychain = SecretService::start();
    Scene::with_keychain(&keychain).kill_logins();
}

#[test]
fn a_first_login_killed_anywhere_leaves_nothing_that_a_logout_does_not_remove() {
    let keychain = SecretService::start();
    for scene in [Scene::with_secret_files(), Scene::with_keychain(&keychain)] {
        // The directory of the settings, which a logout leaves, is made only once.
        scene.prepare(false).forget();
        let calls = scene.trace(&mut scene.login("new"), Call::changes_something);
        scene.forget();
        let mut kills = 0;
        for call in &calls {
            kills += scene
                .inject(&mut scene.login("new"), call, "signal=KILL")
                .killed();
            assert!(scene.temporary_files() <= 1, "{call:?}");
            let next = scene.machine.run(&["token", "prod"]);
            if next.code == 0 {
                assert_token_of(&next, &["new"], call);
            } else {
                next.failure(3);
            }
            scene.forget();
        }
        assert_most_of(kills, &calls);
        scene.assert_pairs_matched();
    }
}

#[test]
fn a_token_command_killed_anywhere_leaves_the_next_one_its_turn() {
    let scene = Scene::with_secret_files();
    let refresh = || scene.machine.hallpass(&["token", "prod", "--refresh"]);
    let fresh = || scene.machine.hallpass(&["token", "prod"]);
    for (warm, command) in [(true, &refresh as &dyn Fn() -> Command), (false, &fresh)] {
        let calls = scene
            .prepare(warm)
            .trace(&mut command(), Call::changes_something);
        let mut kills = 0;
        for call in &calls {
            scene.prepare(warm);
            kills += scene.inject(&mut command(), call, "signal=KILL").killed();
            assert!(scene.temporary_files() <= 1, "{call:?}");
            let next = scene.machine.run(&["token", "prod"]).token();
            let requests = scene.server.requests().len();
            assert_eq!(
                scene.machine.run(&["token", "prod"]).token(),
                next,
                "{call:?}"
            );
            assert_eq!(
                scene.server.requests().len(),
                requests,
                "{call:?}: it was cached"
            );
            scene.forget();
        }
        assert_eq!(kills, calls.len(), "only one thread was at work");
    }
}

#[test]
fn a_token_command_that_cleans_up_may_be_killed_or_meet_an_error_anywhere() {
    let scene = Scene::with_secret_files();
    let refresh = || scene.machine.hallpass(&["token", "prod", "--refresh"]);
    let key = stale::key(1);
    let plant = || {
        scene.prepare(true);
        for (kind, content) in [
            ("json", &stale::expired_entry(&key)[..]),
            ("failure", b"{}"),
            ("lock", b""),
        ] {
            stale::make_old(&stale::plant(&scene.machine, 1, kind, content));
        }
    };
    let left = || {
        let files = scene.machine.files().into_iter();
        let of_key = |path: &PathBuf| path.display().to_string().contains(&key);
        files.filter(of_key).count()
    };
    plant();
    let all = scene.trace(&mut refresh(), |_| true);
    assert_eq!(left(), 0);
    for call in all.iter().filter(|call| call.changes_something()) {
        plant();
        scene.inject(&mut refresh(), call, "signal=KILL").killed();
        let next = scene.machine.run(&["token", "prod"]).token();
        assert_eq!(scene.machine.run(&["token", "prod"]).token(), next);
        ran(refresh()).token();
        assert_eq!(left(), 0, "{call:?}");
    }
    let of_key = |call: &&Call| call.line.contains(&key) && call.can_fail();
    let of_key: Vec<_> = all.iter().filter(of_key).collect();
    assert!(of_key.len() >= 7, "{of_key:?}");
    for (call, error) in of_key.into_iter().zip(ERRORS.into_iter().cycle()) {
        plant();
        let output = scene.inject(&mut refresh(), call, &format!("error={error}"));
        assert_token_of(&output, &["old"], (call, error));
        assert_eq!(output.stderr, "", "{call:?} {error}");
        ran(refresh()).token();
        assert_eq!(left(), 0, "{call:?} {error}");
    }
    scene.forget();
}

/// Some libraries panic without the thread or the descriptor that they want.
#[test]
fn what_the_system_refuses_a_library_is_an_error_and_not_a_bug() {
    let keychain = SecretService::start();
    let scene = Scene::with_keychain(&keychain);
    scene.prepare(false);
    let from_keychain = || scene.machine.hallpass(&["token", "prod", "--refresh"]);
    let resolving = || {
        let mut command = scene.machine.hallpass(&["token", "--refresh"]);
        let url = scene.server.url("/oauth/token");
        command.env("HALLPASS_TOKEN_URL", url.replace("127.0.0.1", "localhost"));
        command.env("HALLPASS_AUTH", "client_secret_post");
        command.env("HALLPASS_CLIENT_ID", "old");
        command.env("HALLPASS_CLIENT_SECRET", secret_of("old"));
        command
    };
    // git asks a person if it is not told that it failed.
    scene
        .machine
        .run(&["bind", "prod", "https://git.example/"])
        .success();
    let request = b"protocol=https\nhost=git.example\n\n";
    scene.machine.private_file("request", request);
    let for_git = || {
        scene.machine.run(&["token", "prod", "--forget"]).success();
        scene.machine.hallpass(&["git-credential", "get"])
    };
    let may_be_refused = |call: &Call| {
        let names = ["clone", "epoll_create", "eventfd", "timerfd_create"];
        names.iter().any(|name| call.name.starts_with(name))
    };
    let commands: [(&dyn Fn() -> Command, &str); 3] = [
        (&from_keychain, ""),
        (&resolving, ""),
        (&for_git, "quit=1\n"),
    ];
    for (command, answer) in commands {
        let mut failures = 0;
        for call in scene.trace(&mut command(), may_be_refused) {
            let error = if call.name.starts_with("clone") {
                "error=EAGAIN"
            } else {
                "error=EMFILE"
            };
            let ended = scene.inject(&mut command(), &call, error);
            if ended.code != 0 {
                assert_eq!(ended.stdout, answer, "{call:?}: {ended:?}");
                assert_clean_messages(&ended, &call);
                failures += 1;
            } else if answer.is_empty() {
                assert_token_of(&ended, &["old"], &call);
            }
        }
        assert!(failures > 0, "no call needs a thread or a descriptor");
    }
}

#[test]
fn a_logout_killed_anywhere_can_be_run_again() {
    let keychain = SecretService::start();
    for scene in [Scene::with_secret_files(), Scene::with_keychain(&keychain)] {
        let logout = || scene.machine.hallpass(&["logout", "prod"]);
        let calls = scene
            .prepare(true)
            .trace(&mut logout(), Call::changes_something);
        let mut kills = 0;
        for call in &calls {
            scene.prepare(true);
            kills += scene.inject(&mut logout(), call, "signal=KILL").killed();
            let next = scene.machine.run(&["token", "prod"]);
            if next.code == 0 {
                assert_token_of(&next, &["old"], call);
            } else {
                next.failure(3);
            }
            scene.forget();
        }
        assert_most_of(kills, &calls);
        scene.assert_pairs_matched();
    }
}

#[test]
fn a_rotation_killed_anywhere_leaves_a_secret_that_works() {
    let keychain = SecretService::start();
    let scene = Scene::with_keychain(&keychain);
    let rotate = |option| {
        let mut command = scene.machine.hallpass(&["rotate", "prod"]);
        command.args(option);
        command
    };
    // The new secret is the same as the old one, in another item.
    let replace = || rotate(&["--secret-stdin"][..]);
    let keep = || rotate(&["--secret-stdin", "--keep-old"]);
    let finish = || rotate(&["--finish"]);
    for (command, is_kept) in [(&replace as &dyn Fn() -> Command, false), (&finish, true)] {
        let prepare = || {
            scene.prepare(true);
            if is_kept {
                scene.run_to_end(&keep());
            }
        };
        prepare();
        let calls = scene.trace(&mut command(), Call::changes_something);
        let mut kills = 0;
        for (count, call) in calls.iter().enumerate() {
            prepare();
            kills += scene.inject(&mut command(), call, "signal=KILL").killed();
            assert!(scene.temporary_files() <= 1, "{call:?}");
            let next = scene.machine.run(&["token", "prod", "--refresh"]).success();
            assert_token_of(&next, &["old"], call);
            // Every other time, it is the next command that finds what is left.
            if count % 2 == 0 {
                scene.run_to_end(&replace());
                assert_eq!(keychain.count(), 2, "the secret and the header: {call:?}");
                scene.forget();
            }
        }
        scene.forget();
        assert_most_of(kills, &calls);
    }
    scene.assert_pairs_matched();
}

#[test]
fn a_rename_killed_anywhere_leaves_a_profile_and_its_url_and_can_be_completed() {
    let keychain = SecretService::start();
    let scene = Scene::with_keychain(&keychain);
    let machine = &scene.machine;
    let rename = || machine.hallpass(&["profile", "rename", "prod", "next"]);
    let prepare = || {
        scene.prepare(true);
        machine
            .run(&["bind", "prod", "https://git.example/"])
            .success();
    };
    prepare();
    let calls = scene.trace(&mut rename(), Call::changes_something);
    machine.run(&["logout", "next"]).success();
    let mut kills = 0;
    for (count, call) in calls.iter().enumerate() {
        prepare();
        kills += scene.inject(&mut rename(), call, "signal=KILL").killed();
        assert!(scene.temporary_files() <= 1, "{call:?}");
        let request = b"protocol=https\nhost=git.example\n\n";
        let answer = machine.run_with_input(&["git-credential", "get"], request);
        assert!(
            answer.success().stdout.contains("password=old-"),
            "{call:?}"
        );
        // Every other time, it is a logout that finds what is left.
        if count % 2 == 0 {
            let again = ran(rename());
            // Nothing but the items of the old name may be left, or nothing at all.
            assert!([0, 3].contains(&again.code), "{call:?} {again:?}");
            machine.run(&["token", "prod"]).failure(3);
            let next = machine.run(&["token", "next", "--refresh"]).success();
            assert_token_of(&next, &["old"], call);
        }
        let gone = machine.run(&["logout", "next"]);
        assert!([0, 3].contains(&gone.code), "{call:?} {gone:?}");
        scene.forget();
    }
    assert_most_of(kills, &calls);
    scene.assert_pairs_matched();
}

#[test]
fn a_token_command_that_meets_an_error_anywhere_prints_one_token_or_says_why() {
    let scene = Scene::with_secret_files();
    for (warm, arguments, errors) in [
        (true, &["token", "prod"][..], 5),
        (true, &["token", "prod", "--refresh"], 3),
        // The same calls as before but for a few.
        (false, &["token", "prod"], 1),
    ] {
        let command = || scene.machine.hallpass(arguments);
        let calls = scene.prepare(warm).trace(&mut command(), Call::can_fail);
        for (count, call) in calls.iter().enumerate() {
            for error in ERRORS.into_iter().cycle().skip(count % 5).take(errors) {
                // A success leaves things as they were before.
                if !warm || scene.temporary_files() > 0 {
                    scene.prepare(warm);
                }
                let output = scene.inject(&mut command(), call, &format!("error={error}"));
                if output.code == 0 {
                    assert_token_of(&output, &["old"], (call, error));
                    assert!(
                        output.stderr.lines().count() <= 1,
                        "{call:?} {error}: {output:?}"
                    );
                } else {
                    assert_clean_failure(&output, (call, error));
                }
                assert!(scene.temporary_files() <= 1, "{call:?} {error}");
                scene.machine.run(&["token", "prod", "--refresh"]).token();
            }
        }
        scene.forget();
    }
    scene.assert_pairs_matched();
}

#[test]
fn a_login_that_meets_an_error_anywhere_counts_or_says_why() {
    let scene = Scene::with_secret_files();
    let calls = scene
        .prepare(true)
        .trace(&mut scene.login("new"), Call::can_fail);
    for (count, call) in calls.iter().enumerate() {
        for error in ERRORS.into_iter().cycle().skip(count % 5).take(3) {
            scene.prepare(true);
            let output = scene.inject(&mut scene.login("new"), call, &format!("error={error}"));
            let expected = if output.code == 0 {
                assert_eq!(output.stdout, "", "{call:?} {error}: {output:?}");
                &["new"][..]
            } else {
                assert_clean_failure(&output, (call, error));
                &["old", "new"]
            };
            let next = scene.machine.run(&["token", "prod"]).success();
            assert_token_of(&next, expected, (call, error));
        }
    }
    scene.forget();
    scene.assert_pairs_matched();
}

#[test]
fn a_logout_that_meets_an_error_anywhere_never_says_that_all_is_gone_when_it_is_not() {
    let scene = Scene::with_secret_files();
    let logout = || scene.machine.hallpass(&["logout", "prod"]);
    let calls = scene.prepare(true).trace(&mut logout(), Call::can_fail);
    for call in &calls {
        for error in ERRORS {
            scene.prepare(true);
            let output = scene.inject(&mut logout(), call, &format!("error={error}"));
            if output.code == 0 {
                assert_eq!(
                    scene.machine.files(),
                    [scene.lock()],
                    "{call:?} {error}: {output:?}"
                );
            } else {
                assert_clean_failure(&output, (call, error));
            }
            scene.forget();
        }
    }
}

#[test]
fn a_binding_that_is_made_or_taken_back_is_whole_whatever_ends_the_command() {
    const URL: &str = "https://git.example/";
    let scene = Scene::with_secret_files();
    let machine = &scene.machine;
    let bind = || machine.hallpass(&["bind", "prod", URL]);
    let unbind = || machine.hallpass(&["unbind", "prod", URL]);
    let login = || {
        let mut login = scene.login("new");
        login.args(["--for", URL]);
        login
    };
    let is_bound = || {
        let listed = machine.run(&["status", "prod", "--json"]).success();
        listed.stdout.contains(URL)
    };
    let is_answered = || {
        let request = b"protocol=https\nhost=git.example\n\n";
        let answer = machine.run_with_input(&["git-credential", "get"], request);
        answer.success().stdout.contains("password=")
    };
    scene.prepare(true);
    for (command, binds) in [
        (&bind as &dyn Fn() -> Command, true),
        (&unbind, false),
        (&login, true),
    ] {
        let prepare = || {
            let before = ran(if binds { unbind() } else { bind() });
            // Nobody can take back what is not there.
            assert!(before.code == 0 || binds && before.code == 3, "{before:?}");
            assert_eq!((is_bound(), is_answered()), (!binds, !binds));
        };
        prepare();
        let calls = scene.trace(&mut command(), Call::can_fail);
        let changing = calls.iter().filter(|call| call.changes_something());
        let kills = changing.map(|call| (call, "signal=KILL".to_owned()));
        let errors = calls.iter().zip(ERRORS.iter().cycle());
        let errors = errors.map(|(call, error)| (call, format!("error={error}")));
        for (call, what) in kills.chain(errors) {
            prepare();
            let output = scene.inject(&mut command(), call, &what);
            assert!(scene.temporary_files() <= 1, "{call:?} {what}");
            // A helper returns tokens only for the bindings that `status` shows.
            assert_eq!(is_answered(), is_bound(), "{call:?} {what}");
            match output.code {
                -1 => {}
                0 => assert_eq!(is_bound(), binds, "{call:?} {what}"),
                _ => assert_clean_failure(&output, (call, what)),
            }
            let again = ran(command());
            assert!(again.code == 0 || !binds && again.code == 3, "{again:?}");
            assert_eq!((is_bound(), is_answered()), (binds, binds));
        }
    }
    scene.forget();
    scene.assert_pairs_matched();
}

#[test]
fn a_logout_whose_keychain_is_gone_changes_nothing_unless_it_is_forced() {
    let mut keychain = SecretService::start();
    let machine = Machine::new().with_environment(keychain.environment());
    let server = Server::start(|_: &Request| Reply::token("old-1", 3600));
    let url = server.url("/oauth/token");
    let login = ["login", "prod", "--token-url", &url, "--client-id", "old"];
    let more = ["--secret-stdin", "--for", "https://a.example"];
    machine
        .run_with_input(&[&login[..], &more].concat(), b"s3cret")
        .success();
    let profile = fs::read(machine.config().join("prod.json")).expect("the profile");
    keychain.stop_provider();
    for arguments in [&["logout", "prod"][..], &["logout", "--all"]] {
        let ran = machine.run(arguments).failure(6);
        let hint = "hallpass logout prod --force";
        assert!(ran.stderr.contains(hint), "{ran:?}");
        let now = fs::read(machine.config().join("prod.json")).expect("the profile");
        assert_eq!(now, profile, "it comes back");
    }
    let ran = machine.run(&["logout", "prod", "--force"]).success();
    let warning = "may remain in the keychain (Secret Service) as the item prod:";
    assert!(ran.stderr.contains(warning), "{ran:?}");
    assert_eq!(machine.files(), [machine.config().join("lock")]);
}

#[test]
fn settings_and_their_removal_reach_the_disk() {
    let scene = Scene::with_secret_files();
    let home = scene.machine.home();
    let synced = |command: &mut Command| {
        let log = scene.machine.root().join("synced");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-y", "-e", "trace=fsync,unlink,unlinkat", "-o"]);
        scene
            .run(
                {
                    strace.arg(&log);
                    strace
                },
                command,
            )
            .success();
        fs::read_to_string(log).expect("the trace")
    };
    let log = synced(&mut scene.login("old"));
    for directory in [home.clone(), home.join(".config"), scene.machine.config()] {
        let call = format!("<{}>)", directory.display());
        assert!(log.contains(&call), "{call}: {log}");
    }
    let log = synced(&mut scene.machine.hallpass(&["logout", "prod"]));
    let (_, after) = log.split_once("prod.json").expect("its removal");
    let call = format!("<{}>)", scene.machine.config().display());
    assert!(after.contains(&call), "{log}");
}

#[test]
fn a_keychain_that_fails_anywhere_leaves_no_unlisted_secret() {
    let keychain = SecretService::start();
    let scene = Scene::with_keychain(&keychain);
    let wanted = |call: &Call| {
        let stores = ["connect", "sendmsg", "renameat", "unlink", "rmdir"];
        stores.contains(&call.name.as_str())
    };
    let calls = scene.prepare(true).trace(&mut scene.login("new"), wanted);
    for (call, error) in calls.iter().zip(ERRORS.iter().cycle()) {
        scene.prepare(true);
        let output = scene.inject(&mut scene.login("new"), call, &format!("error={error}"));
        let expected = if output.code == 0 {
            &["new"][..]
        } else {
            assert_clean_failure(&output, (call, error));
            &["old", "new"]
        };
        let next = scene.machine.run(&["token", "prod", "--refresh"]).success();
        assert_token_of(&next, expected, (call, error));
    }
    scene.forget();
    let logout = || scene.machine.hallpass(&["logout", "prod"]);
    let calls = scene.prepare(true).trace(&mut logout(), wanted);
    for (call, error) in calls.iter().zip(ERRORS.iter().cycle()) {
        scene.prepare(true);
        let output = scene.inject(&mut logout(), call, &format!("error={error}"));
        if output.code == 0 {
            assert_eq!(
                scene.machine.files(),
                [scene.lock()],
                "{call:?} {error}: {output:?}"
            );
            assert!(keychain.is_empty(), "{call:?} {error}: {output:?}");
        } else {
            assert_clean_failure(&output, (call, error));
        }
        scene.forget();
    }
    scene.assert_pairs_matched();
}

/// A machine, its token endpoint, and two clients, `old` and `new`, each with a secret of its own.
struct Scene<'keychain> {
    machine: Machine,
    server: Server,
    keychain: Option<&'keychain SecretService>,
}

impl<'keychain> Scene<'keychain> {
    fn with_secret_files() -> Self {
        Self::new(Machine::new(), None)
    }

    fn with_keychain(keychain: &'keychain SecretService) -> Self {
        let machine = Machine::new().with_environment(keychain.environment());
        Self::new(machine, Some(keychain))
    }

    fn new(machine: Machine, keychain: Option<&'keychain SecretService>) -> Self {
        for client in ["old", "new"] {
            machine.private_file(client, secret_of(client).as_bytes());
        }
        let count = AtomicUsize::new(0);
        let server = Server::start(move |request| match client_of(request) {
            Some(client) => {
                let number = 1 + count.fetch_add(1, SeqCst);
                Reply::token(&format!("{client}-{number}"), 3600)
            }
            None => Reply::json(401, r#"{"error": "invalid_client"}"#),
        });
        Self {
            machine,
            server,
            keychain,
        }
    }

    fn login(&self, client: &str) -> Command {
        let secret = self.machine.root().join(client);
        let mut command = self
            .machine
            .hallpass(&["login", "prod", "--replace", "--auth"]);
        command.args(["client_secret_post", "--client-id", client, "--token-url"]);
        command.arg(self.server.url("/oauth/token"));
        match self.keychain {
            Some(_) => command
                .arg("--secret-stdin")
                // A login with two items, which must not be mixed up.
                .arg(format!("--header-secret={KEY}=file:{}", secret.display()))
                .stdin(File::open(secret).expect("a secret")),
            None => command.arg("--secret-file").arg(secret),
        };
        command
    }

    /// The old client is logged in, with a cached token or without, and there is no partial state.
    fn prepare(&self, warm: bool) -> &Self {
        let mut login = self.login("old");
        if !warm {
            login.arg("--no-verify");
        }
        ran(login).success();
        assert_eq!(self.temporary_files(), 0, "a login cleans up");
        assert_eq!(self.machine.entries("prod").len(), usize::from(warm));
        self
    }

    /// Logs out. Then nothing is left.
    #[track_caller]
    fn forget(&self) {
        let gone = self.machine.run(&["logout", "prod"]);
        assert!([0, 3].contains(&gone.code), "{gone:?}");
        assert_eq!(self.machine.files(), [self.lock()]);
        assert!(self.keychain.is_none_or(SecretService::is_empty));
    }

    fn kill_logins(&self) {
        let calls = self
            .prepare(true)
            .trace(&mut self.login("new"), Call::changes_something);
        let mut kills = 0;
        for (count, call) in calls.iter().enumerate() {
            self.prepare(true);
            kills += self
                .inject(&mut self.login("new"), call, "signal=KILL")
                .killed();
            assert!(self.temporary_files() <= 1, "{call:?}");
            let next = self.machine.run(&["token", "prod"]).success();
            assert_token_of(&next, &["old", "new"], call);
            // Not from the cache: the secret is the one that belongs to the client.
            let next = self.machine.run(&["token", "prod", "--refresh"]).success();
            assert_token_of(&next, &["old", "new"], call);
            // Every other time, it is the next login that finds what is left.
            if count % 2 == 0 {
                self.forget();
            }
        }
        self.forget();
        assert_most_of(kills, &calls);
        self.assert_pairs_matched();
    }

    /// Runs a command to its end, and returns the calls that it made, as far as they are wanted.
    fn trace(&self, command: &mut Command, wanted: impl Fn(&Call) -> bool) -> Vec<Call> {
        let log = self.machine.root().join("trace");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o"]).arg(&log);
        self.run(strace, command).success();
        let mut calls = calls(&fs::read_to_string(log).expect("the trace"));
        calls.retain(wanted);
        calls.sort_by(|one, other| (&one.name, one.when).cmp(&(&other.name, other.when)));
        calls.dedup_by(|one, other| (&one.name, one.when) == (&other.name, other.when));
        assert!(!calls.is_empty(), "strace saw nothing");
        calls
    }

    /// Runs a command that does not get past this call, or gets an error from it.
    fn inject(&self, command: &mut Command, call: &Call, what: &str) -> Ran {
        let Call { name, when, .. } = call;
        let mut strace = Command::new("strace");
        strace.args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            &format!("trace={name}"),
        ]);
        strace.args(["-e", &format!("inject={name}:{what}:when={when}")]);
        self.run(strace, command)
    }

    fn run(&self, strace: Command, command: &Command) -> Ran {
        let mut command = run_by(strace, command);
        if command
            .get_args()
            .any(|argument| argument == "--secret-stdin")
        {
            let is_of_old = |argument| argument == "old" || argument == "rotate";
            let client = if command.get_args().any(is_of_old) {
                "old"
            } else {
                "new"
            };
            command.stdin(File::open(self.machine.root().join(client)).expect("a secret"));
        }
        let of_git = self.machine.root().join("request");
        if command
            .get_args()
            .any(|argument| argument == "git-credential")
        {
            command.stdin(File::open(of_git).expect("a request"));
        }
        ran(command)
    }

    /// Runs a command to its end.
    fn run_to_end(&self, command: &Command) {
        self.run(Command::new("env"), command).success();
    }

    fn lock(&self) -> PathBuf {
        self.machine.config().join("lock")
    }

    fn temporary_files(&self) -> usize {
        let temporary = |path: &&PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(".tmp-"))
        };
        self.machine.files().iter().filter(temporary).count()
    }

    /// No client was ever sent with the other one's secret.
    #[track_caller]
    fn assert_pairs_matched(&self) {
        let requests = self.server.requests();
        assert!(requests.iter().all(|request| client_of(request).is_some()));
    }
}

fn secret_of(client: &str) -> String {
    format!("the secret of the {client} one")
}

/// The client that a request is from, if it knows its secret.
fn client_of(request: &Request) -> Option<&'static str> {
    let form = request.form();
    let value = |name: &str| Some(&form.iter().find(|(key, _)| key == name)?.1);
    let client = ["old", "new"]
        .into_iter()
        .find(|known| value("client_id").is_some_and(|id| id == known))?;
    let secret = secret_of(client);
    let has_its_key = request.header(KEY).is_none_or(|key| key == secret);
    (*value("client_secret")? == secret && has_its_key).then_some(client)
}

/// A call to the system, as strace counts: the `when`th of its name in its thread.
#[derive(Debug)]
struct Call {
    name: String,
    when: usize,
    line: String,
}

impl Call {
    /// Whether files, the keychain or the server are other than before once it is made: between two
    /// of these, it does not matter where a process ends.
    fn changes_something(&self) -> bool {
        match self.name.as_str() {
            "open" | "openat" => self.line.contains("O_CREAT"),
            "write" | "writev" => self.is_of_a_file(),
            "mkdir" | "mkdirat" | "rename" | "renameat" | "renameat2" | "unlink" | "unlinkat"
            | "rmdir" | "link" | "linkat" | "fchmod" | "chmod" | "fsync" | "fdatasync"
            | "ftruncate" | "flock" | "connect" | "sendto" | "sendmsg" | "shutdown"
            | "exit_group" => true,
            _ => false,
        }
    }

    /// Whether a failing system may return an error from it. What has to do with memory, threads and clocks
    /// only is left out.
    fn can_fail(&self) -> bool {
        match self.name.as_str() {
            "read" | "write" => self.is_of_a_file(),
            "open" | "openat" | "stat" | "lstat" | "statx" | "getdents64" | "socket"
            | "recvfrom" | "clone" | "clone3" | "epoll_create1" | "eventfd2" | "setsockopt"
            | "getsockopt" => true,
            "exit_group" => false,
            _ => self.changes_something(),
        }
    }

    /// Not of an event counter, and not of a message to a person.
    fn is_of_a_file(&self) -> bool {
        !self.line.ends_with("EVENT") && !self.line.contains("write(2, ")
    }
}

/// The calls in strace's log, from the first one that hallpass itself makes.
fn calls(log: &str) -> Vec<Call> {
    let mut counts = HashMap::new();
    // strace counts each thread separately: what has a number that the loader's calls have would hit those.
    let mut loading = None;
    let mut events = Vec::new();
    let mut calls = Vec::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let rest = rest.trim_start();
        let Some((name, arguments)) = rest.split_once('(') else {
            continue;
        };
        let count = counts.entry((thread, name)).or_insert(0_usize);
        *count += 1;
        let when = *count;
        if name == "eventfd2" {
            events.extend(line.rsplit_once("= ").map(|(_, number)| number));
        }
        let descriptor = arguments.split([',', ')']).next().unwrap_or_default();
        let event = if events.contains(&descriptor) {
            " EVENT"
        } else {
            ""
        };
        match &loading {
            None if rest.contains("PR_SET_DUMPABLE") => {
                let of_loader = counts.iter().map(|((_, name), count)| (*name, *count));
                loading = Some(of_loader.collect::<HashMap<_, _>>());
            }
            Some(loader) if loader.get(name).is_none_or(|last| when > *last) => calls.push(Call {
                name: name.to_owned(),
                when,
                line: format!("{rest}{event}"),
            }),
            _ => {}
        }
    }
    calls
}

impl Ran {
    /// 1 if a signal ended it.
    fn killed(&self) -> usize {
        assert!(self.code == -1 || self.code == 0, "{self:?}");
        usize::from(self.code == -1)
    }
}

/// Threads may share their work otherwise than they did when they were watched.
#[track_caller]
fn assert_most_of(kills: usize, calls: &[Call]) {
    assert!(kills * 4 >= calls.len() * 3, "{kills} of {}", calls.len());
}

#[track_caller]
fn assert_token_of(output: &Ran, clients: &[&str], at: impl std::fmt::Debug) {
    let is_token = |line: &str| {
        line.split_once('-').is_some_and(|(client, number)| {
            clients.contains(&client) && number.parse::<u32>().is_ok()
        })
    };
    let line = output.stdout.strip_suffix('\n').unwrap_or_default();
    assert!(is_token(line), "{at:?}: {output:?}");
}

#[track_caller]
fn assert_clean_failure(output: &Ran, at: impl std::fmt::Debug) {
    assert_eq!(output.stdout, "", "{at:?}: {output:?}");
    assert_clean_messages(output, at);
}

#[track_caller]
fn assert_clean_messages(output: &Ran, at: impl std::fmt::Debug) {
    assert!((1..=6).contains(&output.code), "{at:?}: {output:?}");
    assert!(
        output.stderr.contains("hallpass: error: "),
        "{at:?}: {output:?}"
    );
    assert!(!output.stderr.contains("has a bug"), "{at:?}: {output:?}");
}

//! A table of commands, each of which is killed before each of its calls that change something, and gets
//! each error from each call that may fail.
//!
//! Each command meets a few of these points, far from each other. `SEARCH_POINTS` says how many,
//! `SEARCH_FROM` from which one on, and `SEARCH_COMMAND` names the only command to try.
//! `SEARCH_POINTS=10000 cargo test --locked --test hallpass -- crashes::search --nocapture` tries all of them,
//! which takes more than an hour. It prints how many points it tried, and at how many something was wrong.

use std::fs;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use super::{Call, Scene, assert_clean_failure, assert_token_of};
use crate::machine::Ran;
use crate::secret_service::SecretService;
use crate::support::ran;

const ERRORS: [&str; 6] = ["ENOSPC", "EIO", "EINTR", "EACCES", "EMFILE", "ENOLCK"];

/// How many points of each command are tried if `SEARCH_POINTS` does not say.
const SAMPLE: usize = 6;

const URL: &str = "https://git.example/";

/// A command that meets a kill or an error.
struct Subject {
    name: &'static str,
    prepare: fn(&Scene),
    command: fn(&Scene) -> Command,
    /// Fails if the command has told an untruth, or if the next one cannot go on.
    check: fn(&Scene, &Ran),
}

const SUBJECTS: &[Subject] = &[
    Subject {
        name: "login",
        prepare: warm,
        command: |scene| scene.login("new"),
        check: |scene, ended| {
            let expected: &[&str] = match ended.code {
                0 => &["new"],
                _ => &["old", "new"],
            };
            for more in [None, Some("--refresh")] {
                let mut token = scene.machine.hallpass(&["token", "prod"]);
                token.args(more);
                assert_token_of(&ran(token).success(), expected, ended);
            }
        },
    },
    Subject {
        name: "first login",
        prepare: |_| (),
        command: |scene| scene.login("new"),
        check: |scene, ended| {
            let next = scene.machine.run(&["token", "prod"]);
            if ended.code == 0 || next.code == 0 {
                assert_token_of(&next, &["new"], ended);
            } else {
                next.failure(3);
            }
        },
    },
    Subject {
        name: "token",
        prepare: cold,
        command: |scene| scene.machine.hallpass(&["token", "prod"]),
        check: check_token,
    },
    Subject {
        name: "token --refresh",
        prepare: warm,
        command: |scene| scene.machine.hallpass(&["token", "prod", "--refresh"]),
        check: check_token,
    },
    Subject {
        name: "git-credential get",
        prepare: |scene| {
            scene.prepare(false);
            scene.machine.run(&["bind", "prod", URL]).success();
        },
        command: |scene| scene.machine.hallpass(&["git-credential", "get"]),
        check: |scene, ended| {
            let is_whole =
                |ran: &Ran| ran.stdout.contains("\npassword=old-") && ran.stdout.ends_with('\n');
            match ended.code {
                0 => assert!(is_whole(ended), "{ended:?}"),
                -1 => {}
                // Neither the question nor an answer got through. Without one, git goes on.
                1 if ended.stderr.contains("cannot read the request") => {}
                1 if ended.stderr.contains("cannot write to standard output") => {}
                // What git understands as the end.
                _ => assert_eq!(ended.stdout, "quit=1\n"),
            }
            let next = scene.run(
                Command::new("env"),
                &scene.machine.hallpass(&["git-credential", "get"]),
            );
            assert!(is_whole(&next), "{next:?}");
        },
    },
    Subject {
        name: "bind",
        prepare: warm,
        command: |scene| scene.machine.hallpass(&["bind", "prod", URL]),
        check: |scene, ended| check_binding(scene, ended, "bind"),
    },
    Subject {
        name: "unbind",
        prepare: |scene| {
            scene.prepare(true);
            scene.machine.run(&["bind", "prod", URL]).success();
        },
        command: |scene| scene.machine.hallpass(&["unbind", "prod", URL]),
        check: |scene, ended| check_binding(scene, ended, "unbind"),
    },
    Subject {
        name: "rotate",
        prepare: warm,
        command: |scene| {
            scene
                .machine
                .hallpass(&["rotate", "prod", "--secret-stdin"])
        },
        check: check_rotation,
    },
    Subject {
        name: "rotate --finish",
        prepare: |scene| {
            scene.prepare(true);
            let keep = ["rotate", "prod", "--secret-stdin", "--keep-old"];
            scene.run_to_end(&scene.machine.hallpass(&keep));
        },
        command: |scene| scene.machine.hallpass(&["rotate", "prod", "--finish"]),
        check: check_rotation,
    },
    Subject {
        name: "keep --once",
        prepare: |scene| {
            scene.prepare(false);
            fs::create_dir_all(scene.machine.root().join("kept")).expect("a directory");
        },
        command: keep,
        check: |scene, ended| {
            let file = scene.machine.root().join("kept/token");
            let is_whole = |text: String| text.starts_with("old-") && text.len() > "old-".len();
            let kept = fs::read_to_string(&file);
            assert!(kept.is_ok() || ended.code != 0, "{ended:?}");
            assert!(kept.is_err() || kept.is_ok_and(is_whole), "{ended:?}");
            ran(keep(scene)).success();
            assert!(is_whole(fs::read_to_string(&file).expect("a token")));
            let directory = file.parent().expect("a directory");
            let files = fs::read_dir(directory).expect("a directory").count();
            assert_eq!(files, 2, "the token and its lock: {ended:?}");
            fs::remove_dir_all(directory).expect("a directory");
        },
    },
    Subject {
        name: "logout",
        prepare: warm,
        command: |scene| scene.machine.hallpass(&["logout", "prod"]),
        check: |scene, ended| {
            let next = scene.machine.run(&["token", "prod"]);
            if ended.code == 0 {
                assert_eq!(scene.machine.files(), [scene.lock()], "{ended:?}");
            }
            if ended.code != 0 && next.code == 0 {
                assert_token_of(&next, &["old"], ended);
            } else {
                next.failure(3);
            }
        },
    },
];

#[test]
fn with_a_keychain_every_command_may_be_killed_or_meet_an_error_anywhere() {
    search("with a keychain", true);
}

#[test]
fn with_secret_files_every_command_may_be_killed_or_meet_an_error_anywhere() {
    search("with secret files", false);
}

fn warm(scene: &Scene) {
    scene.prepare(true);
}

fn cold(scene: &Scene) {
    scene.prepare(false);
}

fn keep(scene: &Scene) -> Command {
    let file = scene.machine.root().join("kept/token");
    let target = format!("prod={}", file.display());
    scene.machine.hallpass(&["keep", &target, "--once"])
}

fn check_token(scene: &Scene, ended: &Ran) {
    if ended.code == 0 {
        assert_token_of(ended, &["old"], "the token");
        assert!(ended.stderr.lines().count() <= 1, "{ended:?}");
    }
    let next = scene.machine.run(&["token", "prod"]).token();
    let again = scene.machine.run(&["token", "prod"]).token();
    assert_eq!(again, next, "it is cached: {ended:?}");
}

fn check_binding(scene: &Scene, ended: &Ran, verb: &str) {
    let listed = || scene.machine.run(&["status", "prod", "--json"]).success();
    let is_bound = || listed().stdout.contains(URL);
    let is_answered = || {
        let get = scene.machine.hallpass(&["git-credential", "get"]);
        let answer = scene.run(Command::new("env"), &get);
        answer.success().stdout.contains("password=")
    };
    assert_eq!(is_answered(), is_bound(), "{ended:?}");
    if ended.code == 0 {
        assert_eq!(is_bound(), verb == "bind", "{ended:?}");
    }
    let again = scene.machine.run(&[verb, "prod", URL]);
    assert!(
        again.code == 0 || verb == "unbind" && again.code == 3,
        "{again:?}"
    );
    assert_eq!(
        (is_bound(), is_answered()),
        (verb == "bind", verb == "bind")
    );
}

fn check_rotation(scene: &Scene, ended: &Ran) {
    let next = scene.machine.run(&["token", "prod", "--refresh"]).success();
    assert_token_of(&next, &["old"], ended);
    scene.run_to_end(
        &scene
            .machine
            .hallpass(&["rotate", "prod", "--secret-stdin"]),
    );
    let items = scene.keychain.map(SecretService::count);
    assert_eq!(items, Some(2), "the secret and the header: {ended:?}");
}

/// A call, and what happens in place of it.
struct Point {
    call: Call,
    what: String,
}

fn points(calls: Vec<Call>) -> Vec<Point> {
    let mut points = Vec::new();
    for call in calls {
        let kill = call.changes_something().then(|| "signal=KILL".to_owned());
        let errors = ERRORS.iter().filter(|_| call.can_fail());
        for what in errors.map(|error| format!("error={error}")).chain(kill) {
            let Call { name, when, line } = &call;
            let (name, when, line) = (name.clone(), *when, line.clone());
            points.push(Point {
                call: Call { name, when, line },
                what,
            });
        }
    }
    points
}

/// The points that are tried.
fn chosen(all: Vec<Point>) -> Vec<Point> {
    let number = |name: &str, otherwise| {
        let given = std::env::var(name).ok();
        given.map_or(otherwise, |number| number.parse().expect("a number"))
    };
    let step = (all.len() / number("SEARCH_POINTS", SAMPLE)).max(1);
    let from = number("SEARCH_FROM", 0) % step;
    all.into_iter().skip(from).step_by(step).collect()
}

fn search(title: &str, has_keychain: bool) {
    let mut failures = Vec::new();
    let named = std::env::var("SEARCH_COMMAND").ok();
    let wanted = |subject: &&Subject| {
        // A rotation is of the keychain only.
        (has_keychain || !subject.name.starts_with("rotate"))
            && named.as_ref().is_none_or(|name| name == subject.name)
    };
    for subject in SUBJECTS.iter().filter(wanted) {
        let all = in_new_scene(has_keychain, |scene| {
            (subject.prepare)(scene);
            let may_matter = |call: &Call| call.changes_something() || call.can_fail();
            points(scene.trace(&mut (subject.command)(scene), may_matter))
        });
        let (count, points) = (all.len(), chosen(all));
        let mut failed = 0;
        let mut left = points.iter();
        // What a failure leaves does not reach the next points.
        while left.len() > 0 {
            in_new_scene(has_keychain, |scene| {
                for point in left.by_ref() {
                    let tried = catch_unwind(AssertUnwindSafe(|| try_point(scene, subject, point)));
                    if tried.is_err() {
                        failed += 1;
                        let Point { call, what } = point;
                        failures.push(format!("{}: {what} at {call:?}", subject.name));
                        return;
                    }
                }
            });
        }
        let (name, tried) = (subject.name, points.len());
        say(&format!(
            "{title}, {name}: {tried} of {count} points tried, {failed} failed"
        ));
    }
    assert!(failures.is_empty(), "{title}: {failures:#?}");
}

fn in_new_scene<T>(has_keychain: bool, work: impl FnOnce(&Scene) -> T) -> T {
    let keychain = has_keychain.then(SecretService::start);
    let scene = match &keychain {
        Some(keychain) => Scene::with_keychain(keychain),
        None => Scene::with_secret_files(),
    };
    let request = b"protocol=https\nhost=git.example\n\n";
    scene.machine.private_file("request", request);
    work(&scene)
}

fn try_point(scene: &Scene, subject: &Subject, point: &Point) {
    (subject.prepare)(scene);
    let ended = scene.inject(&mut (subject.command)(scene), &point.call, &point.what);
    assert!(scene.temporary_files() <= 1, "{ended:?}");
    match ended.code {
        -1 => assert_eq!(point.what, "signal=KILL", "{ended:?}"),
        0 => assert!(!ended.stderr.contains("has a bug"), "{ended:?}"),
        _ if subject.name.starts_with("git") => assert!(ended.code <= 6, "{ended:?}"),
        _ => assert_clean_failure(&ended, subject.name),
    }
    (subject.check)(scene, &ended);
    scene.forget();
    scene.assert_pairs_matched();
}

fn say(line: &str) {
    let line = format!("{line}\n");
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("standard error");
}

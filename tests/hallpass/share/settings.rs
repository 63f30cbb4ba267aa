//! The settings of a shared cache: a login, a logout, status and doctor.

use super::printed;
use crate::fleet::{PASSWORD, Redis, machine, numbered};
use crate::machine::Machine;

#[test]
fn a_login_keeps_the_shared_cache_and_a_logout_leaves_its_token_there() {
    let redis = Redis::start(&[]);
    let machine = Machine::new();
    machine.login(
        "p",
        machine.server(),
        &["--share", &redis.url(), "--no-verify"],
    );
    machine.run(&["token", "p"]).success();
    assert_eq!(redis.names().len(), 1);
    let status = machine.run(&["status", "p"]).success();
    assert!(status.stdout.contains(&redis.url()), "{status:?}");
    let doctor = machine.run(&["doctor", "p"]);
    assert!(
        doctor
            .stdout
            .contains("an entry can be written, read and removed"),
        "{doctor:?}"
    );
    assert_eq!(redis.names().len(), 1, "doctor leaves nothing there");
    // A login for the same client keeps it, and an empty value removes it.
    machine.login("p", machine.server(), &["--timeout", "20s", "--no-verify"]);
    let shared = |machine: &Machine| {
        machine.run(&["status", "p", "--json"]).json()["profiles"][0]["share"].clone()
    };
    assert_eq!(shared(&machine)["url"], redis.url());
    machine.run(&["logout", "p"]).success();
    assert_eq!(redis.names().len(), 1);
    machine.login(
        "p",
        machine.server(),
        &["--share", &redis.url(), "--no-verify"],
    );
    // Another login, the same secret: the fleet's token.
    assert_eq!(machine.run(&["token", "p"]).token(), "token-1");
    machine.run(&["logout", "p", "--everywhere"]).success();
    assert_eq!(redis.names(), Vec::<String>::new());
    machine.login(
        "p",
        machine.server(),
        &["--share", &redis.url(), "--no-verify"],
    );
    machine.login("p", machine.server(), &["--share", "", "--no-verify"]);
    assert!(shared(&machine).is_null());
}

#[test]
fn a_logout_everywhere_removes_nothing_if_the_server_cannot_be_used() {
    let machine = Machine::new();
    machine.login(
        "p",
        machine.server(),
        &["--share", "redis://127.0.0.1:1", "--no-verify"],
    );
    machine.run(&["token", "p"]).success();
    let refused = machine.run(&["logout", "p", "--everywhere"]).failure(5);
    assert!(
        refused.stderr.contains("refused the connection"),
        "{refused:?}"
    );
    machine.run(&["token", "p"]).success();
    machine
        .run(&["logout", "p", "--everywhere", "--force"])
        .success();
    machine.run(&["token", "p"]).failure(3);
}

#[test]
fn a_login_says_whether_the_shared_cache_works() {
    let redis = Redis::start(&[]);
    let machine = Machine::new();
    let shared = machine.login("p", machine.server(), &["--share", &redis.url()]);
    let works = format!("its tokens are shared through {}", redis.url());
    assert!(shared.stderr.contains(&works), "{shared:?}");
    let gone = machine.login("p", machine.server(), &["--share", "redis://127.0.0.1:1"]);
    let fails = "redis://127.0.0.1:1 cannot be used: the server refused the connection";
    assert!(gone.stderr.contains(fails), "{gone:?}");
}

/// Other machines use it.
#[test]
fn a_logout_revokes_a_shared_token_only_everywhere() {
    let redis = Redis::start(&[]);
    let machine = Machine::new();
    let revoke = machine.server().url("/oauth/revoke");
    let share = [
        "--share",
        &redis.url(),
        "--revocation-url",
        &revoke,
        "--no-verify",
    ];
    let revoked = || {
        let requests = machine.server().requests();
        let revocations = requests.iter().filter(|it| it.target == "/oauth/revoke");
        revocations.count()
    };
    for (arguments, expected) in [
        (&["logout", "p"][..], 0),
        (&["logout", "p", "--everywhere"], 1),
    ] {
        machine.login("p", machine.server(), &share);
        assert_eq!(machine.run(&["token", "p"]).token(), "token-1");
        machine.run(arguments).success();
        assert_eq!(revoked(), expected, "{arguments:?}");
    }
}

#[test]
fn the_password_comes_from_a_file_a_variable_or_a_command() {
    let redis = Redis::start(&["--requirepass", PASSWORD]);
    let mut machine = Machine::new();
    machine.set("THE_PASSWORD", PASSWORD);
    let file = machine.private_file("password", PASSWORD.as_bytes());
    let file = file.to_str().expect("UTF-8").to_owned();
    for (number, source) in [
        format!("file:{file}"),
        "env:THE_PASSWORD".to_owned(),
        format!("command:cat {file}"),
    ]
    .iter()
    .enumerate()
    {
        let name = format!("p{number}");
        let share = [
            "--share",
            &redis.url(),
            "--share-password",
            source,
            "--no-verify",
        ];
        machine.login(&name, machine.server(), &share);
        let ran = machine.run(&["-v", "token", &name]);
        assert!(ran.stderr.contains("share: "), "{ran:?}");
        assert!(!ran.stderr.contains(PASSWORD), "{ran:?}");
        assert_eq!(printed(&ran), "token-1", "{source}");
        let status = machine.run(&["status", &name, "--json"]).success();
        assert!(!status.stdout.contains(PASSWORD), "{status:?}");
    }
}

#[test]
fn a_share_that_cannot_be_used_is_refused_at_the_login() {
    let machine = Machine::new();
    let url = machine.server().url("/oauth/token");
    let client = [
        "login",
        "p",
        "--token-url",
        &url,
        "--client-id",
        "c",
        "--no-verify",
    ];
    let key = machine.private_file("key", b"0123456789abcdef0123456789abcdef");
    let secret = ["--secret-file", key.to_str().expect("UTF-8")];
    for (share, expected) in [
        (
            &["--share", "rediss://u:hunter2@cache"][..],
            "--share-password",
        ),
        (&["--share", "https://cache"], "rediss://HOST:PORT"),
        (
            &["--share", "redis://cache", "--share-password", "env:P"],
            "in clear",
        ),
        (
            &["--share", "rediss://cache", "--share-password", "hunter2"],
            "use file:PATH",
        ),
        (
            &["--share", "rediss://cache", "--share-user", "u"],
            "no password",
        ),
        (
            &["--share", "rediss://cache", "--share-cert", "/c.pem"],
            "its key",
        ),
        (
            &["--share", "redis://cache", "--share-ca-file", "/c.pem"],
            "rediss://",
        ),
        (&["--share-user", "u"], "needs --share"),
        (&["--share", "rediss://cache", "--dpop"], "DPoP"),
    ] {
        let refused = machine
            .run(&[&client[..], &secret, share].concat())
            .failure(2);
        assert!(refused.stderr.contains(expected), "{share:?}: {refused:?}");
        assert!(!refused.stderr.contains("hunter2"), "{refused:?}");
    }
    let identity = ["--identity", "file:/token", "--share", "rediss://cache"];
    let refused = machine.run(&[&client[..], &identity].concat()).failure(2);
    assert!(refused.stderr.contains("--share-key"), "{refused:?}");
    let subject = [&identity[..], &["--identity-as", "subject_token"]].concat();
    let refused = machine.run(&[&client[..], &subject].concat()).failure(2);
    assert!(refused.stderr.contains("for the identity"), "{refused:?}");
}

#[test]
fn the_printed_acl_line_is_enough() {
    let redis = Redis::start(&[]);
    let printed = Machine::new().run(&["setup", "share"]).success().stdout;
    let line = printed
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("ACL SETUSER"));
    redis.text::<()>(&line.expect("a line").replace("PASSWORD", "pw"));
    let tokens = numbered();
    let mut machine = machine(&tokens, &redis.url());
    machine.set("HALLPASS_SHARE_USER", "hallpass");
    machine.set("HALLPASS_SHARE_PASSWORD", "pw");
    let doctor = machine.run(&["doctor"]);
    assert!(
        doctor
            .stdout
            .contains("an entry can be written, read and removed"),
        "{doctor:?}"
    );
    let ran = machine.run(&["-v", "token"]);
    assert!(ran.stderr.contains("share: stored the token"), "{ran:?}");
    // Each command is needed by a call or by doctor.
    for command in ["eval", "get", "set", "del", "pttl", "time", "ping"] {
        redis.text::<()>(&format!("ACL SETUSER hallpass -{command}"));
        let doctor = machine.run(&["doctor"]);
        assert!(
            doctor.stdout.contains("ACL does not permit"),
            "{command}: {doctor:?}"
        );
        redis.text::<()>(&format!("ACL SETUSER hallpass +{command}"));
    }
}

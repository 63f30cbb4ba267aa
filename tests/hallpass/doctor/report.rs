//! How the report is written, and what it does not do.

use serde_json::Value;

use super::World;
use crate::commands::members;
use crate::machine::{Machine, SECRET, finish, spawn};
use crate::real_servers::assert_fits_schema;
use crate::secret_service::SecretService;

#[test]
fn without_a_profile_only_the_machine_is_checked() {
    let machine = Machine::new();
    let ran = machine.run(&["doctor"]).success();
    assert!(
        ran.stdout
            .starts_with("this machine\n  ok    environment  "),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("no profiles yet"), "{ran:?}");
    assert!(machine.files().is_empty(), "looking leaves no trace");
}

#[test]
fn a_profile_that_does_not_exist_is_an_error_of_the_call() {
    let mut machine = Machine::new();
    let ran = machine.run(&["doctor", "nope"]).failure(3);
    assert!(ran.stderr.contains("no profile named nope"), "{ran:?}");
    assert!(ran.stdout.is_empty(), "{ran:?}");
    machine.set("HALLPASS_PROFILE", "nope");
    machine.run(&["doctor", "--json"]).failure(3);
}

#[test]
fn the_json_document_has_the_same_findings_as_the_text() {
    let mut world = World::new();
    world.login(&["--for", "https://api.example/"]);
    world.machine.login("q", &world.server, &[]);
    world.machine.set("HALLPASS_PROFIL", "p");
    let text = world.machine.run(&["doctor"]);
    assert_eq!(text.code, 1);
    assert!(
        text.stderr.contains("hallpass: error: 1 check failed"),
        "{text:?}"
    );
    let ran = world.machine.run(&["doctor", "--json"]);
    assert_eq!(ran.code, 1);
    let document: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(members(&document), ["checks", "ok", "version"]);
    assert_fits_schema(&ran.stdout, "hallpass-doctor.schema.json");
    let checks = document["checks"].as_array().expect("an array");
    for check in checks {
        let names = ["check", "fixes", "message", "profile", "status"];
        assert_eq!(members(check), names);
        let message = check["message"].as_str().expect("text");
        assert!(text.stdout.contains(message), "{message}: {text:?}");
    }
    let profiles = ["this machine\n", "\nprofile p\n", "\nprofile q\n"];
    assert!(
        profiles.iter().all(|title| text.stdout.contains(title)),
        "{text:?}"
    );
    assert_eq!(document["ok"], false);
    assert_eq!(checks[0]["status"], "failed");
    assert_eq!(checks[0]["fixes"][0], "unset HALLPASS_PROFIL");
}

#[test]
fn a_token_is_requested_and_the_cached_one_stays() {
    let world = World::new();
    world.login(&[]);
    let entries = world.machine.entries("p");
    let cached = std::fs::read(&entries[0]).expect("a token");
    let requests = world.server.requests().len();
    world.doctor(&[]).success();
    let methods: Vec<_> = world.server.requests()[requests..]
        .iter()
        .map(|request| request.method.clone())
        .collect();
    assert_eq!(methods, ["HEAD", "POST"]);
    let head = &world.server.requests()[requests];
    assert_eq!(head.header("authorization"), None, "without the secret");
    assert_eq!(world.machine.entries("p"), entries);
    assert_eq!(std::fs::read(&entries[0]).expect("a token"), cached);
    world.doctor(&["--offline"]).success();
    assert_eq!(world.server.requests().len(), requests + 2, "offline");
}

#[test]
fn the_secret_that_the_server_accepts_is_used_during_a_rotation() {
    let mut world = World::new();
    world.login_to_keychain();
    let rotate = "hallpass rotate p --keep-old --no-verify --secret-stdin";
    assert_eq!(world.shell(rotate, "a new secret").code, 0);
    world.doctor(&[]).success();
    world.shell("hallpass token p --refresh", "").success();
    world.doctor(&[]).success();
    world.change_rules(|rules| rules.secret = "a new secret".to_owned());
    world.shell("hallpass token p --refresh", "").success();
    world.doctor(&[]).success();
}

#[test]
fn a_keychain_that_does_not_respond_is_waited_for_once() {
    let keychain = SecretService::start();
    let mut machine = Machine::new().with_environment(keychain.environment());
    machine.set("HALLPASS_KEYCHAIN_TIMEOUT", "30");
    machine.login_to_keychain("p", SECRET).success();
    machine.login_to_keychain("q", SECRET).success();
    keychain.freeze();
    machine.set("HALLPASS_KEYCHAIN_TIMEOUT", "1");
    let ran = finish(spawn(&mut machine.hallpass(&["doctor"])));
    keychain.thaw();
    assert_eq!(ran.code, 1, "{ran:?}");
    let failed = ran.stdout.matches("FAIL").count();
    assert_eq!(failed, 1, "{ran:?}");
    let skipped = "secret       not checked: the keychain cannot be used";
    assert_eq!(ran.stdout.matches(skipped).count(), 2, "{ran:?}");
}

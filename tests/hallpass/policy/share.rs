//! The shared cache that a policy requires or forbids, whatever a user does.

use serde_json::{Value, json};

use super::managed;
use crate::fleet::Redis;
use crate::machine::{CLIENT_ID, Machine, SECRET};
use crate::managed::Managed;

/// The client of the environment, with a shared cache.
fn described<'a>(token_url: &'a str, share: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("HALLPASS_TOKEN_URL", token_url),
        ("HALLPASS_CLIENT_ID", CLIENT_ID),
        ("HALLPASS_CLIENT_SECRET", SECRET),
        ("HALLPASS_SHARE", share),
    ]
}

fn profile(machine: &Machine, name: &str) -> Value {
    let file = machine.config().join(format!("{name}.json"));
    let text = std::fs::read_to_string(file).expect("a profile");
    serde_json::from_str(&text).expect("JSON")
}

/// Runs what a user could try to use their own server, and returns how many tokens that gave.
fn try_to_share(managed: &Managed, own: &str) -> usize {
    let machine = &managed.machine;
    let url = machine.server().url("/oauth/token");
    let mut edited = profile(machine, "p");
    edited["share"] = json!({ "url": own, "key": { "env": "K" } });
    edited["generation"] = "another".into();
    let edited = edited.to_string();
    std::fs::write(machine.config().join("edited.json"), edited).expect("a profile");
    let with_key = [("K", "0123456789abcdef0123456789abcdef")];
    let described = described(&url, own);
    let other_database = format!("{own}/1");
    let mut in_other_database = described.clone();
    in_other_database[3].1 = &other_database;
    let mut with_own_key = described.clone();
    with_own_key.push(("HALLPASS_SHARE_KEY", "0123456789abcdef0123456789abcdef"));
    let attempts = [
        (vec![], vec!["token", "p", "--refresh"]),
        (vec![], vec!["token", "p", "--scope", "another"]),
        (vec![], vec!["exec", "-e", "T=p", "--", "env"]),
        (
            vec![("HALLPASS_SHARE", own)],
            vec!["token", "p", "--refresh"],
        ),
        (with_key.to_vec(), vec!["token", "edited", "--refresh"]),
        (described, vec!["token", "--refresh"]),
        (in_other_database, vec!["token", "--refresh"]),
        (with_own_key, vec!["token", "--refresh"]),
        (vec![], vec!["profile", "copy", "p", "q"]),
        (vec![], vec!["token", "q", "--refresh"]),
        (vec![], vec!["profile", "rename", "q", "r"]),
        (vec![], vec!["token", "r", "--refresh"]),
        (vec![], vec!["doctor", "p"]),
        (vec![], vec!["status", "p", "--check"]),
        (vec![], vec!["logout", "p", "--everywhere"]),
    ];
    let given = |(variables, arguments): &(Vec<_>, Vec<_>)| {
        let ran = managed.run_with(variables, arguments, "");
        assert!(!ran.stderr.contains("panicked"), "{ran:?}");
        ran.stdout.contains("token-")
    };
    attempts.iter().filter(|attempt| given(attempt)).count()
}

/// How many connections came in, without the one that asks.
fn connections(redis: &Redis) -> u64 {
    let stats: String = redis.run(&[b"INFO", b"stats"]);
    let line = stats
        .lines()
        .find_map(|line| line.strip_prefix("total_connections_received:"));
    line.and_then(|count| count.parse().ok()).expect("a number")
}

#[test]
fn where_sharing_is_not_allowed_no_profile_reaches_a_server() {
    let Some(managed) = managed() else { return };
    let machine = &managed.machine;
    let redis = Redis::start(&[]);
    for policy in [json!({ "share": false }), json!({ "cache": "none" })] {
        machine.login("p", machine.server(), &["--share", &redis.url()]);
        managed.policy(&policy.to_string());
        let before = connections(&redis);
        let tokens = try_to_share(&managed, &redis.url());
        assert!(tokens >= 9, "sharing is off, and the calls work: {tokens}");
        assert_eq!(connections(&redis), before + 1, "{policy}");
        managed.policy("{}");
    }
}

#[test]
fn a_required_shared_cache_replaces_that_of_every_profile() {
    let Some(managed) = managed() else { return };
    let machine = &managed.machine;
    let (own, required) = (Redis::start(&[]), Redis::start(&["--requirepass", "pw"]));
    machine.login("p", machine.server(), &["--share", &own.url()]);
    let command = json!({ "command": ["echo", "pw"] });
    let share = json!({ "url": required.url(), "password": command });
    managed.policy(&json!({ "share": share }).to_string());
    let before = connections(&own);
    let tokens = try_to_share(&managed, &own.url());
    assert!(tokens >= 9, "{tokens}");
    assert_eq!(connections(&own), before + 1);
    let ran = managed.run_with(
        &described(&machine.server().url("/oauth/token"), &own.url()),
        &["-v", "token", "--scope", "new"],
        "",
    );
    assert!(ran.stderr.contains("share: stored the token"), "{ran:?}");
    // A profile without a shared cache has it, too.
    machine.login("plain", machine.server(), &[]);
    let ran = managed.run(&["-v", "token", "plain", "--refresh"]);
    assert!(ran.stderr.contains("share: stored the token"), "{ran:?}");
    let doctor = managed.run(&["doctor", "plain"]);
    assert!(
        doctor.stdout.contains("an entry can be written"),
        "{doctor:?}"
    );
    // It is not written into the profile.
    managed
        .run(&["bind", "plain", "https://git.example/"])
        .success();
    assert!(profile(machine, "plain")["share"].is_null());
}

#[test]
fn a_login_does_not_take_another_shared_cache_than_the_policy_allows() {
    let Some(managed) = managed() else { return };
    let machine = &managed.machine;
    let url = machine.server().url("/oauth/token");
    let required = "rediss://cache.example";
    let login = |share: &str| {
        let client = ["login", "p", "--token-url", &url, "--client-id", "id"];
        let secret = ["--secret-command", "echo s", "--no-verify", "--share"];
        managed.run(&[&client[..], &secret, &[share]].concat())
    };
    for (policy, share, is_allowed) in [
        (json!({ "share": false }), required, false),
        (json!({ "share": false }), "", true),
        (json!({ "cache": "none" }), required, false),
        (json!({ "share": { "url": required } }), required, true),
        (
            json!({ "share": { "url": required } }),
            "rediss://other.example",
            false,
        ),
    ] {
        managed.policy(&policy.to_string());
        let ran = login(share);
        assert_eq!(ran.code == 0, is_allowed, "{policy} {share}: {ran:?}");
        if !is_allowed {
            let what = format!("does not allow the shared cache {share}");
            assert!(ran.code == 4 && ran.stderr.contains(&what), "{ran:?}");
        }
    }
}

#[test]
fn what_the_policy_fixes_is_shown() {
    let Some(managed) = managed() else { return };
    let machine = &managed.machine;
    machine.login(
        "p",
        machine.server(),
        &["--share", "rediss://own.example", "--no-verify"],
    );
    let required =
        json!({ "url": "rediss://cache.example", "user": "team", "password": { "env": "P" } });
    for (policy, expected, text) in [
        (
            json!({ "share": false }),
            json!(false),
            "none (fixed by policy)",
        ),
        (
            json!({ "share": required }),
            required,
            "rediss://cache.example, user team (fixed by policy)",
        ),
    ] {
        managed.policy(&format!(
            "{{\n\"serve\": true,\n\"share\": {}\n}}",
            policy["share"]
        ));
        let config = managed.run(&["config", "p", "--json"]).json();
        let setting = &config["settings"]["share"];
        assert_eq!(setting["value"], expected, "{config}");
        assert_eq!(setting["fixed_by_policy"], true);
        assert_eq!(setting["source"], "/etc/hallpass/policy.json");
        assert_eq!(setting["line"], 3);
        let status = managed.run(&["status", "p"]).success().stdout;
        assert!(status.contains(text), "{status}");
        let status = managed.run(&["status", "p", "--json"]).json();
        let profile = &status["profiles"][0];
        let url = &profile["share"]["url"];
        assert_eq!(url, expected.get("url").unwrap_or(&Value::Null));
    }
}

#[test]
fn places_of_secrets_that_are_not_allowed_are_not_allowed_for_a_shared_cache() {
    let Some(managed) = managed() else { return };
    let machine = &managed.machine;
    machine.login(
        "p",
        machine.server(),
        &[
            "--share",
            "redis://127.0.0.1:1",
            "--share-password",
            "env:P",
            "--no-verify",
        ],
    );
    let store = machine.run(&["status", "p", "--json"]).json();
    let store = store["profiles"][0]["secret"]["store"].clone();
    managed.policy(&json!({ "allowed_secret_stores": [store] }).to_string());
    let ran = managed.run(&["token", "p"]).failure(4);
    assert!(
        ran.stderr.contains("secrets and keys of the kind env"),
        "{ran:?}"
    );
    // That of the policy is the administrator's own.
    let share = json!({ "url": "redis://127.0.0.1:1", "password": { "env": "P" } });
    let policy = json!({ "allowed_secret_stores": [store], "share": share });
    managed.policy(&policy.to_string());
    managed.run(&["token", "p"]).success();
}

#[test]
fn a_shared_token_is_not_kept_longer_than_the_policy_allows() {
    let Some(managed) = managed() else { return };
    let machine = &managed.machine;
    let redis = Redis::start(&[]);
    for name in ["p", "q"] {
        machine.login(
            name,
            machine.server(),
            &["--share", &redis.url(), "--no-verify"],
        );
    }
    let token = machine.run(&["token", "p"]).token();
    managed.policy("{\"max_ttl_seconds\": 600}");
    let shared = managed.run(&["token", "q", "--json"]).json();
    assert_eq!(shared["access_token"], token, "{shared}");
    assert!(
        shared["expires_in"]
            .as_u64()
            .is_some_and(|left| left <= 600),
        "{shared}"
    );
}

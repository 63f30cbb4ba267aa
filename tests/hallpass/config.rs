//! `hallpass config --json`, as other programs read it. What a policy fixes is tested in `policy.rs`.

use serde_json::Value;

use crate::machine::{Machine, Ran};
use crate::managed::Managed;
use crate::real_servers::assert_fits_schema;

/// The output fits the schema, which describes every member.
#[track_caller]
fn assert_fits(ran: &Ran) -> Value {
    assert_fits_schema(&ran.stdout, "hallpass-config.schema.json");
    let schema = Machine::new().run(&["config", "--schema"]).json();
    let shown: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let members = |value: &Value| {
        let members = value.as_object().expect("an object").keys();
        members.cloned().collect::<Vec<_>>()
    };
    let described = |part: &Value| members(&part["properties"]);
    assert_eq!(members(&shown), described(&schema));
    let policy = &schema["properties"]["policy"];
    assert_eq!(members(&shown["policy"]), described(policy));
    let value = &schema["$defs"]["values"]["additionalProperties"];
    for values in [
        &shown["policy"]["requirements"],
        &shown["variables"],
        &shown["settings"],
    ] {
        for shown in values.as_object().expect("values").values() {
            assert_eq!(members(shown), described(value));
        }
    }
    shown
}

#[test]
fn the_output_as_json_fits_its_published_schema() {
    let mut machine = Machine::new();
    let none = assert_fits(&machine.run(&["config", "--json"]).success());
    assert_eq!(none["profile"], Value::Null);
    let more = ["--scope", "read", "--for", "https://api.example/"];
    machine.login("p", machine.server(), &more);
    machine.set("HALLPASS_CACHE", "plain");
    machine.set("HALLPASS_CLIENT_SECRET", "a-secret");
    let shown = assert_fits(&machine.run(&["config", "--json"]).success());
    assert_eq!(shown["profile"], "p");
    assert_eq!(shown["settings"]["cache"]["source"], "HALLPASS_CACHE");
    assert!(shown["settings"]["scope"]["line"].is_u64(), "{shown}");
    assert_eq!(
        shown["variables"]["HALLPASS_CLIENT_SECRET"]["value"],
        "(set)"
    );
    // One that cannot be used.
    std::fs::write(machine.config().join("p.json"), "{").expect("a file");
    let ran = machine.run(&["config", "p", "--json"]);
    assert_ne!(ran.code, 0);
    assert_fits(&ran);
}

#[test]
fn with_a_policy_the_output_fits_the_schema_too() {
    let Some(managed) = Managed::new(Machine::new()) else {
        return;
    };
    managed.machine.login("p", managed.machine.server(), &[]);
    managed.policy("{\"cache\": \"none\", \"max_ttl_seconds\": 600}");
    let shown = assert_fits(&managed.run(&["config", "p", "--json"]).success());
    assert_eq!(shown["settings"]["cache"]["fixed_by_policy"], true);
    assert_eq!(
        shown["policy"]["requirements"]["max_ttl_seconds"]["value"],
        600
    );
    managed.policy("no policy");
    let ran = managed.run(&["config", "p", "--json"]);
    assert_eq!(ran.code, 2);
    assert_fits(&ran);
}

//! What expires: found in time, and not before the time that the user sets.

use std::sync::LazyLock;

use serde_json::Value;
use time::{Duration, OffsetDateTime};

use super::{Defect, Repair, World, command};
use crate::machine::CLIENT_ID;
use crate::real_servers::assert_fits_schema;
use crate::tls::{Authority, client_certificate_until};

const NAMES: &[&str] = &["127.0.0.1"];

static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);

/// An Ed25519 key, and until when it is valid.
fn jwk(expiry: OffsetDateTime) -> String {
    let seconds = expiry.unix_timestamp();
    format!(
        r#"{{"kty":"OKP","crv":"Ed25519","exp":{seconds},"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}"#
    )
}

fn in_days(days: i64) -> OffsetDateTime {
    OffsetDateTime::now_utc() + Duration::days(days) + Duration::hours(1)
}

/// A login with a certificate that expires in so many days.
fn login_with_certificate(world: &mut World, days: i64) {
    login_with_certificate_and(world, days, &[]);
}

fn login_with_certificate_and(world: &mut World, days: i64, more: &[&str]) {
    let key = crate::material::openssl(&["genpkey", "-algorithm", "ed25519"]);
    let certificate = client_certificate_until("client", &key, in_days(days));
    let key = world.write("key.pem", &key);
    let certificate = world.write("cert.pem", &certificate);
    let ca = world.write("ca.pem", &AUTHORITY.pem());
    world.set_identity(AUTHORITY.identity(NAMES));
    let files = ["--ca-file", &ca, "--cert", &certificate, "--key", &key];
    let method = ["--auth", "client_secret_basic"];
    world.login(&[&files[..], &method, more].concat());
}

/// The user gets a new certificate for the key.
fn renew_certificate(world: &mut World) {
    let key = std::fs::read_to_string(world.path("key.pem")).expect("a key");
    world.write(
        "new-cert.pem",
        &client_certificate_until("client", &key, in_days(365)),
    );
}

const NEW_CERTIFICATE: Repair = Repair {
    act: renew_certificate,
    command: Some(&[
        ("--cert FILE", "--cert $DIR/new-cert.pem"),
        ("--key FILE", "--key $DIR/key.pem"),
    ]),
    ..command("put a new certificate into")
};

const NEW_SECRET: Repair = Repair {
    command: Some(&[("DATE", "365d")]),
    ..command("put the new one into")
};

fn login_with_key(world: &mut World, expiry: OffsetDateTime) {
    let key = world.write("key.jwk", &jwk(expiry));
    let url = world.server.url("/token");
    let login = ["login", "p", "--token-url", &url, "--client-id", CLIENT_ID];
    let login = [&login[..], &["--jwt-key", &key]].concat();
    world.machine.run(&login).success();
}

#[test]
fn what_expires_is_found() {
    for fault in [
        Defect {
            name: "a secret that expires soon",
            healthy: |world| world.login(&["--secret-expires", "60d"]),
            plant: |world| world.login(&["--secret-expires", "20d"]),
            check: "expiry",
            found: "the secret expires on ",
            repair: NEW_SECRET,
        },
        Defect {
            name: "a secret that has expired",
            healthy: |world| world.login(&["--secret-expires", "2999-01-01"]),
            plant: |world| world.edit("2999-01-01", "2020-01-01"),
            check: "expiry",
            found: "the secret expired on 2020-01-01",
            repair: NEW_SECRET,
        },
        Defect {
            name: "a client certificate that expires soon",
            healthy: |world| login_with_certificate(world, 60),
            plant: |world| login_with_certificate(world, 20),
            check: "expiry",
            found: "cert.pem expires in 20 d",
            repair: NEW_CERTIFICATE,
        },
        Defect {
            name: "a client certificate that was removed",
            healthy: |world| login_with_certificate(world, 60),
            plant: |world| std::fs::remove_file(world.path("cert.pem")).expect("a file"),
            check: "expiry",
            found: "cert.pem: no such file or directory",
            repair: NEW_CERTIFICATE,
        },
        Defect {
            name: "a client certificate that is damaged",
            healthy: |world| login_with_certificate(world, 60),
            plant: |world| drop(world.write("cert.pem", "garbage")),
            check: "expiry",
            found: "cert.pem: it has no PEM certificate",
            repair: NEW_CERTIFICATE,
        },
        Defect {
            name: "a client certificate that has expired",
            healthy: |world| login_with_certificate(world, 60),
            plant: |world| login_with_certificate(world, -20),
            check: "expiry",
            found: "cert.pem expired 19 d",
            repair: NEW_CERTIFICATE,
        },
        Defect {
            name: "a key that expires",
            healthy: |world| login_with_key(world, in_days(60)),
            plant: |world| drop(world.write("key.jwk", &jwk(in_days(3)))),
            check: "expiry",
            found: "the private key (exp) expires in 3 d",
            repair: Repair {
                act: |world| drop(world.write("new.jwk", &jwk(in_days(365)))),
                command: Some(&[("FILE", "$DIR/new.jwk")]),
                ..command("--jwt-key FILE")
            },
        },
        Defect {
            name: "an expired CA",
            healthy: |world| {
                world.set_identity(AUTHORITY.identity(NAMES));
                let ca = world.write("ca.pem", &AUTHORITY.pem());
                world.login(&["--ca-file", &ca]);
            },
            plant: |world| {
                let expired = world.write("expired.pem", &AUTHORITY.pem_until(in_days(-2)));
                world.login(&["--ca-file", &expired]);
            },
            check: "expiry",
            found: "expired.pem expired 47 h",
            repair: Repair {
                command: Some(&[("FILE", "$DIR/ca.pem")]),
                ..command("--ca-file FILE")
            },
        },
    ] {
        fault.check();
    }
}

#[test]
fn the_user_decides_how_early_an_expiry_is_a_failure() {
    let mut world = World::new();
    login_with_certificate_and(&mut world, 20, &["--secret-expires", "40d"]);
    for (options, code) in [
        (&[][..], 1),
        (&["--expiring", "14d"], 0),
        (&["--expiring", "20d"], 0),
        (&["--expiring", "21d"], 1),
        (&["--expiring", "0"], 0),
        (&["--expiring", "14d", "--offline"], 0),
    ] {
        let ran = world.doctor(&[options, &["--json"]].concat());
        assert_eq!(ran.code, code, "{options:?}: {ran:?}");
        let document: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        assert_eq!(document["version"], 1);
        assert_fits_schema(&ran.stdout, "hallpass-doctor.schema.json");
        assert_eq!(document["ok"], code == 0);
        let checks = document["checks"].as_array().expect("an array");
        let days = checks
            .iter()
            .filter_map(|check| check["expires_in_days"].as_i64());
        let mut days: Vec<_> = days.collect();
        days.retain(|days| *days < 1000);
        // A day may end while the test runs.
        assert!(matches!(days[..], [39 | 40, 20]), "{document}");
    }
}

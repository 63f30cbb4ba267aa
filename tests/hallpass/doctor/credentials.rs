//! Faults of the keychain, the secret and what else authenticates a client.

use super::{Defect, Repair, World, command, person};
use crate::agents::programs::Agent;
use crate::machine::{CLIENT_ID, SECRET};
use crate::material::Material;
use crate::server::{Reply, Server};

#[test]
fn faults_of_the_keychain_are_found() {
    for fault in [
        Defect {
            name: "a locked keychain",
            healthy: World::login_to_keychain,
            plant: |world| world.keychain().lock(),
            check: "keychain",
            found: "the keychain (Secret Service) is locked",
            repair: person("unlock it", |world| world.keychain().unlock()),
        },
        Defect {
            name: "no D-Bus",
            healthy: World::login_to_keychain,
            plant: |world| {
                world.machine.set("DBUS_SESSION_BUS_ADDRESS", "");
                world.machine.set("XDG_RUNTIME_DIR", "/nowhere");
            },
            check: "keychain",
            found: "no keychain is running",
            repair: person("start one in your session", |world| {
                for (name, value) in world.keychain().environment() {
                    world.machine.set(&name, &value);
                }
            }),
        },
        Defect {
            name: "an edited profile",
            healthy: World::login_to_keychain,
            plant: |world| world.edit(CLIENT_ID, "another-client"),
            check: "profile",
            found: "was edited after login",
            repair: Repair {
                command: Some(&[("hallpass login p", "hallpass login p --secret-stdin")]),
                typed: SECRET,
                ..command("to accept the change: hallpass login p")
            },
        },
    ] {
        fault.check();
    }
}

#[test]
fn faults_of_secrets_and_keys_are_found() {
    for fault in [
        Defect {
            name: "a revoked secret",
            healthy: |world| world.login(&[]),
            plant: |world| world.change_rules(|rules| rules.secret = "new".to_owned()),
            check: "token",
            found: "401 invalid_client",
            repair: Repair {
                act: |world| drop(world.write("secret", "new")),
                ..command("secret and authentication method")
            },
        },
        Defect {
            name: "a secret file that others may read",
            healthy: |world| world.login(&[]),
            plant: |world| drop(world.shell("chmod 644 $DIR/secret", "")),
            check: "secret",
            found: "other users can read the secret file",
            repair: command("chmod 600"),
        },
        Defect {
            name: "a missing agent",
            healthy: |world| {
                let material = Material::new();
                let agent = Agent::openssh();
                agent.add(&material.argument("p256.pem"));
                world.machine.set("SSH_AUTH_SOCK", &agent.socket);
                let key = format!("agent:{}", material.argument("p256.pem"));
                let url = world.server.url("/token");
                let login = ["login", "p", "--token-url", &url, "--client-id", CLIENT_ID];
                let login = [&login[..], &["--jwt-key", &key]].concat();
                world.machine.run(&login).success();
                world.agent = Some(agent);
            },
            plant: |world| world.unset("SSH_AUTH_SOCK"),
            check: "secret",
            found: "SSH_AUTH_SOCK",
            repair: person("agent", |world| {
                let socket = world.agent.as_ref().expect("an agent").socket.clone();
                world.machine.set("SSH_AUTH_SOCK", &socket);
            }),
        },
        Defect {
            name: "a missing permission in CI",
            healthy: |world| {
                permit(world);
                let url = world.server.url("/token");
                let login = ["login", "p", "--token-url", &url, "--client-id", CLIENT_ID];
                let login = [&login[..], &["--identity", "github:api://exchange"]].concat();
                world.machine.run(&login).success();
            },
            plant: |world| world.unset("ACTIONS_ID_TOKEN_REQUEST_URL"),
            check: "identity",
            found: "ACTIONS_ID_TOKEN_REQUEST_URL is not set",
            repair: person("permissions: id-token: write", permit),
        },
    ] {
        fault.check();
    }
}

/// As in a job with the permission. The same server issues the identity token.
fn permit(world: &mut World) {
    // {"sub":"job"}, unsigned: the test's server does not read it.
    let jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJqb2IifQ.eA";
    let github = Server::start(move |_| Reply::json(200, format!(r#"{{"value":"{jwt}"}}"#)));
    let url = github.url("/id");
    world.machine.set("ACTIONS_ID_TOKEN_REQUEST_URL", &url);
    world.machine.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "job");
    world.others.push(github);
}

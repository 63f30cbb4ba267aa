//! Faults of the tools' own settings.

use std::fs;

use super::{Defect, World, command};

const URL: &str = "https://git.example/team";

/// A login for a URL, and a tool that is set up for it.
fn set_up(world: &mut World, tool: &str) {
    world.set("GIT_CONFIG_NOSYSTEM", "1");
    world.login(&["--for", URL]);
    let ran = world.shell(&format!("hallpass setup {tool} --write --profile p"), "");
    assert_eq!(ran.code, 0, "{ran:?}");
}

fn append(world: &World, file: &str, text: &str) {
    let path = world.machine.home().join(file);
    fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    let before = fs::read_to_string(&path).unwrap_or_default();
    fs::write(path, before + text).expect("a file");
}

#[test]
fn faults_of_tools_are_found() {
    for defect in [
        Defect {
            name: "a URL that git uses and no profile is bound to",
            healthy: |world| set_up(world, "git"),
            plant: |world| {
                let unbind = format!("hallpass unbind p {URL}");
                assert_eq!(world.shell(&unbind, "").code, 0);
            },
            check: "git",
            found: "https://git.example/team, to which no profile is bound",
            repair: command("hallpass bind p https://git.example/team"),
        },
        Defect {
            name: "another helper of git before hallpass",
            healthy: |world| {
                world.set("GIT_CONFIG_NOSYSTEM", "1");
                world.login(&["--for", URL]);
            },
            plant: |world| {
                let hallpass = world.path("bin/hallpass");
                let helper = "[credential]\n\thelper = store --file x\n";
                let own = format!("\thelper = {hallpass} git-credential\n");
                append(world, ".gitconfig", helper);
                append(
                    world,
                    ".gitconfig",
                    &format!("[credential \"{URL}\"]\n{own}"),
                );
            },
            check: "git",
            found: "git calls store before hallpass for https://git.example/team",
            repair: command("hallpass setup git --write"),
        },
        Defect {
            name: "a helper of git that was removed",
            healthy: |world| {
                world.machine.login("q", &world.server, &[]);
                set_up(world, "git");
            },
            plant: |world| {
                let removed = world.path("removed");
                let setup = format!(
                    "mkdir {removed} && ln -s \"$(command -v hallpass)\" {removed}/hallpass && \
                     {removed}/hallpass setup git --write --profile p && rm {removed}/hallpass"
                );
                assert_eq!(world.shell(&setup, "").code, 0);
            },
            check: "git",
            found: "/removed/hallpass, which it does not find",
            repair: command("hallpass setup git --write --profile p"),
        },
        Defect {
            name: "a helper of docker that is not on the PATH",
            healthy: |world| world.login(&["--for", "https://registry.example"]),
            plant: |world| {
                let helpers =
                    r#"{"credHelpers":{"registry.example":"hallpass","x.example":"other"}}"#;
                append(world, ".docker/config.json", helpers);
            },
            check: "docker",
            found: "docker calls docker-credential-hallpass, which it does not find",
            repair: command("hallpass setup links"),
        },
        Defect {
            name: "a registry of cargo that no profile is bound to",
            healthy: |world| world.login(&[]),
            plant: |world| {
                let registry = "[registries.r]\nindex = \"sparse+https://cargo.example/index/\"\n\
                    credential-provider = [\"hallpass\"]\n";
                append(world, ".cargo/config.toml", registry);
            },
            check: "cargo",
            found: "sparse+https://cargo.example/index/, to which no profile is bound",
            repair: command("hallpass bind p https://cargo.example/index/"),
        },
    ] {
        defect.check();
    }
}

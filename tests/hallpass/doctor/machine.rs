//! Faults of this machine: variables, files, the disk, links and settings.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use super::{Defect, Repair, User, World, command, may_be_superuser, person};
use crate::machine::skip;
use crate::support::{give_to_ordinary_user, shell_with_own_mounts};

#[test]
fn faults_of_variables_and_directories_are_found() {
    for fault in [
        Defect {
            name: "an unknown variable",
            healthy: |world| world.login(&[]),
            plant: |world| world.set("HALLPASS_PROFIL", "p"),
            check: "environment",
            found: "did you mean HALLPASS_PROFILE?",
            repair: command("unset HALLPASS_PROFIL"),
        },
        Defect {
            name: "a file in the place of the cache's directory",
            healthy: |world| world.login(&[]),
            plant: |world| {
                let file = world.write("file", "");
                world.set("XDG_CACHE_HOME", &file);
            },
            check: "cache",
            found: "file is not a directory",
            repair: person("set XDG_CACHE_HOME", |world| world.unset("XDG_CACHE_HOME")),
        },
        Defect {
            name: "no home directory",
            healthy: |world| {
                world.set("HALLPASS_TOKEN_URL", &world.server.url("/token"));
                world.unset("HALLPASS_TOKEN_URL");
                world.login(&[]);
            },
            plant: |world| {
                world.set("HOME", "relative");
            },
            check: "settings",
            found: "the home directory is unknown",
            repair: person("set HOME", |world| {
                let home = world.machine.home().display().to_string();
                world.set("HOME", &home);
            }),
        },
        Defect {
            name: "a time limit that is none",
            healthy: |world| world.login(&[]),
            plant: |world| world.set("HALLPASS_KEYCHAIN_TIMEOUT", "x"),
            check: "environment",
            found: "invalid value for HALLPASS_KEYCHAIN_TIMEOUT",
            repair: command("unset HALLPASS_KEYCHAIN_TIMEOUT"),
        },
    ] {
        fault.check();
    }
}

#[test]
fn faults_of_profiles_are_found() {
    for fault in [
        Defect {
            name: "an old format",
            healthy: |world| world.login(&[]),
            plant: |world| world.edit("\"format\": 1", "\"format\": 0"),
            check: "profile",
            found: "is not a profile of hallpass",
            repair: Repair {
                act: |world| {
                    let url = world.server.url("/oauth/token");
                    world.machine.set("URL", &url);
                },
                command: Some(&[
                    ("URL", "$URL"),
                    ("...", "--client-id client:one --secret-file $DIR/secret"),
                ]),
                ..command("hallpass login p --replace")
            },
        },
        Defect {
            name: "a profile that others may write",
            healthy: |world| world.login(&[]),
            plant: |world| {
                let path = world.machine.config().join("p.json");
                fs::set_permissions(path, fs::Permissions::from_mode(0o666)).expect("a mode");
            },
            check: "profile",
            found: "can be written by other users",
            repair: command("chmod go-w"),
        },
        Defect {
            name: "two profiles with one URL",
            healthy: |world| world.login(&["--for", "https://api.example/v1"]),
            plant: |world| {
                world.login(&["--for", "https://api.example/v1"]);
                let path = world.machine.config();
                fs::copy(path.join("p.json"), path.join("q.json")).expect("a copy");
                let urls = path.join("urls");
                let list = fs::read_dir(&urls).expect("a list").next();
                let list = list.expect("a list").expect("a file").path();
                let text = fs::read_to_string(&list).expect("a list");
                let entry = text.trim_matches(['[', ']']);
                let other = entry.replace("\"p\"", "\"q\"");
                fs::write(&list, format!("[{entry},{other}]")).expect("a list");
            },
            check: "bindings",
            found: "several profiles are bound to this URL: p, q",
            repair: command("hallpass unbind q https://api.example/v1"),
        },
        Defect {
            name: "a URL that the index does not have",
            healthy: |world| world.login(&["--for", "https://api.example/v1"]),
            plant: |world| {
                fs::remove_dir_all(world.machine.config().join("urls")).expect("the index");
            },
            check: "bindings",
            found: "the index does not have https://api.example/v1",
            repair: command("hallpass bind p https://api.example/v1"),
        },
        Defect {
            name: "a damaged index",
            healthy: |world| world.login(&["--for", "https://api.example/v1"]),
            plant: |world| fs::write(index(world), "[").expect("the index"),
            check: "bindings",
            found: "is damaged",
            repair: command("hallpass bind p https://api.example/v1"),
        },
        Defect {
            name: "an index that others may write",
            healthy: |world| world.login(&["--for", "https://api.example/v1"]),
            plant: |world| set_mode(&index(world), 0o666),
            check: "bindings",
            found: "can be written by other users",
            repair: command("chmod go-w"),
        },
    ] {
        fault.check();
    }
}

/// The list of the only server to which a profile is bound.
fn index(world: &World) -> PathBuf {
    let list = fs::read_dir(world.machine.config().join("urls")).expect("the index");
    let list = list.map(|entry| entry.expect("a list").path()).next();
    list.expect("a list")
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn files_that_cannot_be_read_are_found() {
    let login = |world: &mut World| {
        world.login(&[]);
        make_links(world);
        put_on_path(world, "links");
        if may_be_superuser() {
            become_ordinary(world);
        }
    };
    for fault in [
        Defect {
            name: "a closed profile",
            healthy: login,
            plant: |world| set_mode(&world.machine.config().join("p.json"), 0),
            check: "profile",
            found: "p.json: permission denied",
            repair: command("chmod u+rw"),
        },
        Defect {
            name: "a closed record of hallpass setup",
            healthy: login,
            plant: |world| set_mode(&world.machine.config().join("setup/record"), 0),
            check: "links",
            found: "record: permission denied",
            repair: command("chmod u+rw"),
        },
    ] {
        fault.check();
    }
}

#[test]
fn faults_of_links_are_found() {
    for fault in [
        Defect {
            name: "a shadowing helper",
            healthy: |world| {
                world.login(&[]);
                make_links(world);
                put_on_path(world, "links");
            },
            plant: |world| {
                let directory = world.machine.root().join("other");
                fs::create_dir(&directory).expect("a directory");
                let program = directory.join("docker-credential-hallpass");
                symlink("/bin/true", program).expect("a program");
                put_on_path(world, "other");
            },
            check: "links",
            found: "comes first on the PATH",
            repair: command("export PATH="),
        },
        Defect {
            name: "a dead link",
            healthy: |world| {
                world.login(&[]);
                make_links(world);
                put_on_path(world, "links");
            },
            plant: |world| {
                let link = world
                    .machine
                    .root()
                    .join("links/docker-credential-hallpass");
                fs::remove_file(&link).expect("a link");
                symlink("/nowhere/hallpass", link).expect("a link");
            },
            check: "links",
            found: "leads to a file that does not exist",
            repair: command("hallpass setup links --dir"),
        },
    ] {
        fault.check();
    }
}

fn make_links(world: &mut World) {
    let ran = world.shell("hallpass setup links --dir $DIR/links", "");
    assert_eq!(ran.code, 0, "{ran:?}");
}

fn put_on_path(world: &mut World, directory: &str) {
    let path = world.shell("printf %s \"$PATH\"", "").stdout;
    let directory = world.path(directory);
    world.machine.set("PATH", &format!("{directory}:{path}"));
}

#[test]
fn faults_of_directories_are_found() {
    if !may_be_superuser() {
        skip("only the superuser can give files to another user");
        return;
    }
    for fault in [
        Defect {
            name: "a cache of another user",
            healthy: |world| {
                world.login(&[]);
                become_ordinary(world);
            },
            plant: |world| chown(world.machine.cache(), Some(0), Some(0)).expect("a new owner"),
            check: "cache",
            found: "belongs to another user",
            repair: Repair {
                // The shell of the user fills these in, and the tests have no sudo.
                command: Some(&[("sudo ", ""), ("$(id -u):$(id -g)", "65534:65534")]),
                ..command("sudo chown -R")
            },
        },
        Defect {
            name: "a directory of another user for the cache",
            healthy: |world| {
                world.login(&[]);
                become_ordinary(world);
            },
            plant: |world| {
                fs::remove_dir_all(world.machine.cache()).expect("the cache");
                let parent = world.machine.cache().parent().expect("a parent").to_owned();
                chown(parent, Some(0), Some(0)).expect("a new owner");
            },
            check: "cache",
            found: "cannot write in",
            repair: Repair {
                command: Some(&[("sudo ", ""), ("$(id -u):$(id -g)", "65534:65534")]),
                ..command("sudo chown")
            },
        },
        Defect {
            name: "a cache that cannot be written",
            healthy: |world| {
                world.login(&[]);
                become_ordinary(world);
            },
            plant: |world| {
                let mode = fs::Permissions::from_mode(0o500);
                fs::set_permissions(world.machine.cache(), mode).expect("a mode");
            },
            check: "cache",
            found: "cannot write in",
            repair: command("chmod u+rwx"),
        },
    ] {
        fault.check();
    }
}

/// All files of the home directory and of the test belong to the user who runs hallpass.
fn become_ordinary(world: &mut World) {
    let root = world.machine.root().to_owned();
    let mut left = vec![root];
    while let Some(path) = left.pop() {
        give_to_ordinary_user(&path);
        if path.is_dir() && !path.is_symlink() {
            let entries = fs::read_dir(&path).expect("a directory");
            left.extend(entries.map(|entry| entry.expect("an entry").path()));
        }
    }
    world.user = User::Ordinary;
}

#[test]
fn faults_of_the_file_system_are_found() {
    const FULL: &str = "mount -t tmpfs -o size=64k none \"$1\"; \
        head -c 100000 /dev/zero > \"$1/others\" 2>/dev/null || true; shift; exec \"$@\"";
    const READ_ONLY: &str = "mount --bind \"$1\" \"$1\"; mount -o remount,bind,ro \"$1\"; \
        shift; exec \"$@\"";
    let mut probe = shell_with_own_mounts("mount -t tmpfs none \"$1\"");
    let probed = probe.arg("/tmp").output().expect("unshare starts");
    if !probed.status.success() {
        skip("this machine allows no mounts");
        return;
    }
    for fault in [
        Defect {
            name: "a full disk",
            healthy: |world| world.login(&[]),
            plant: |world| {
                let cache = world.machine.cache().display().to_string();
                world.user = User::WithMounts(FULL, cache);
            },
            check: "cache",
            found: "no space left on device",
            repair: person("free some space", |world| world.user = User::Tester),
        },
        Defect {
            name: "a read-only home directory",
            healthy: |world| world.login(&[]),
            plant: |world| {
                let home = world.machine.home().display().to_string();
                world.user = User::WithMounts(READ_ONLY, home);
            },
            check: "cache",
            found: "read-only file system",
            repair: person("XDG_CACHE_HOME", |world| {
                let elsewhere = world.path("elsewhere");
                fs::create_dir(&elsewhere).expect("a directory");
                world.machine.set("XDG_CACHE_HOME", &elsewhere);
            }),
        },
    ] {
        fault.check();
    }
}

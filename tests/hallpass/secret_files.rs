//! Secret files that another user provides: in a container, and by the superuser.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use crate::machine::{Machine, Ran, numbered_tokens};
use crate::server::Server;
use crate::support::{
    as_ordinary_user, can_mount, machine_of_ordinary_user, ran, run_by, shell_with_own_mounts,
};

/// As Docker, Kubernetes and Podman provide a secret: nobody in the container can change the file, or
/// its mode.
#[test]
fn a_secret_file_that_a_container_provides_is_used() {
    // A new world of mounts, `$1` a directory to mount on, `$2` who owns the file.
    const DOCKER: &str = "mount -t tmpfs none $1; cp $2 $1/client; chmod 444 $1/client;
        mount -o remount,ro $1";
    const KUBERNETES: &str = "mount -t tmpfs none $1; mkdir $1/..1; cp $2 $1/..1/client;
        chmod 644 $1/..1/client; ln -s ..1 $1/..data; ln -s ..data/client $1/client;
        mount -o remount,ro $1";
    const COMPOSE: &str = "mkdir $1/on; touch $1/client; cp $2 $1/other; chmod 664 $1/other;
        chown 1234 $1/other; mount --bind $1/other $1/client; mount -o remount,ro,bind $1/client";
    const PODMAN: &str = "mount -t tmpfs none $1; cp $2 $1/client; chmod 444 $1/client";
    if !can_mount() {
        return;
    }
    for (name, script, ordinary_user_only) in [
        ("docker", DOCKER, false),
        ("kubernetes", KUBERNETES, false),
        ("compose", COMPOSE, false),
        ("podman", PODMAN, true),
    ] {
        for ordinary in [false, true] {
            if !ordinary && ordinary_user_only {
                continue;
            }
            let machine = machine_of_ordinary_user();
            let server = Server::start(numbered_tokens());
            let ran = login_with_mounted_file(&machine, &server, script, ordinary);
            assert_eq!(ran.code, 0, "{name}, ordinary user: {ordinary}: {ran:?}");
            assert_eq!(server.requests().len(), 1, "{name}");
        }
    }
}

#[test]
fn a_secret_file_that_others_can_read_is_refused_with_a_hint_that_works_there() {
    const OF_SUPERUSER: &str = "cp $2 $1/client; chmod 644 $1/client";
    const WRITABLE: &str = "mount -t tmpfs none $1; cp $2 $1/client; chmod 666 $1/client";
    if !can_mount() {
        return;
    }
    for (script, ordinary, hint) in [
        (OF_SUPERUSER, true, "--secret-command 'cat "),
        (OF_SUPERUSER, false, "run: chmod 600 "),
        (WRITABLE, true, "--secret-command 'cat "),
        (WRITABLE, false, "run: chmod 600 "),
    ] {
        let machine = machine_of_ordinary_user();
        let server = Server::start(numbered_tokens());
        let ran = login_with_mounted_file(&machine, &server, script, ordinary).failure(6);
        assert!(ran.stderr.contains(hint), "{ran:?}");
        assert_eq!(server.requests().len(), 0);
    }
    // And it does work.
    let machine = machine_of_ordinary_user();
    let server = Server::start(numbered_tokens());
    let file = machine.root().join("client");
    fs::write(&file, "s3cret").expect("a file");
    fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("a mode");
    let url = server.url("/token");
    let mut login = machine.hallpass(&["login", "p", "--token-url", &url, "--client-id", "id"]);
    login.args(["--secret-command", &format!("cat {}", file.display())]);
    ran(as_ordinary_user(&login)).success();
    // A profile from the environment has no command.
    let mut token = machine.hallpass(&["token"]);
    token
        .env("HALLPASS_TOKEN_URL", &url)
        .env("HALLPASS_CLIENT_ID", "id")
        .env("HALLPASS_CLIENT_SECRET_FILE", &file);
    let ran = ran(as_ordinary_user(&token)).failure(6);
    let hint = "put the secret into HALLPASS_CLIENT_SECRET";
    assert!(
        ran.stderr.contains(hint) && !ran.stderr.contains("login"),
        "{ran:?}"
    );
}

fn login_with_mounted_file(
    machine: &Machine,
    server: &Server,
    script: &str,
    ordinary: bool,
) -> Ran {
    let place = machine.root().join("mounted");
    fs::create_dir(&place).expect("a directory");
    fs::set_permissions(&place, Permissions::from_mode(0o755)).expect("a mode");
    let secret = machine.private_file("its-secret", b"s3cret");
    let file = place.join("client");
    let url = server.url("/token");
    let mut login = machine.hallpass(&["login", "p", "--token-url", &url, "--client-id", "id"]);
    login.arg("--secret-file").arg(&file);
    // `setpriv`: the new world must be made by the superuser, and hallpass run by the other one.
    let become_user = if ordinary {
        "exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\""
    } else {
        "exec \"$@\""
    };
    let mut world = shell_with_own_mounts(&format!("{script}\nshift 2\n{become_user}"));
    world.arg(&place).arg(&secret);
    let program = "/proc/self/fd/0";
    let mut command = world;
    if ordinary {
        // By its descriptor: the directories on the way to the program may be closed to others.
        command.arg(program).args(login.get_args());
        command.env_clear();
        for (name, value) in login.get_envs() {
            command.env(name, value.expect("a variable that is set"));
        }
        command.stdin(fs::File::open(login.get_program()).expect("a program"));
    } else {
        command = run_by(command, &login);
    }
    ran(command)
}

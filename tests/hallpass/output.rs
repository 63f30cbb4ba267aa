//! `token --output`: whatever the user names is respected, or refused before anything is requested.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::machine::{Machine, Ran, finish, numbered_tokens, skip};
use crate::server::Server;
use crate::support::{
    after_shell, as_ordinary_user, give_to_ordinary_user, is_root, machine_of_ordinary_user, ran,
};

#[test]
fn a_regular_file_and_a_free_name_get_the_token_whole_and_private() {
    let machine = logged_in();
    let file = machine.root().join("token");
    print_to(&machine, &file).success();
    assert_private_token(&file);
    fs::write(&file, "a longer text that was there before").expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("its mode");
    let before = fs::metadata(&file).expect("a file").ino();
    print_to(&machine, &file).success();
    assert_private_token(&file);
    let after = fs::metadata(&file).expect("a file").ino();
    assert_ne!(before, after, "replaced, not overwritten");
}

#[test]
fn a_relative_name_is_below_the_directory_of_the_caller() {
    let machine = logged_in();
    let mut command = machine.hallpass(&["token", "--output", "token"]);
    command.current_dir(machine.root());
    assert_eq!(ran(command).success().stdout, "");
    assert_private_token(&machine.root().join("token"));
}

#[test]
fn a_link_stays_a_link_and_its_target_gets_the_token() {
    let machine = logged_in();
    let root = machine.root();
    fs::create_dir(root.join("elsewhere")).expect("a directory");
    let target = root.join("elsewhere/token");
    for exists in [true, false] {
        let _ = fs::remove_file(&target);
        if exists {
            fs::write(&target, "old").expect("a file");
        }
        // Over two links, one of them relative to where it is.
        for name in ["first", "elsewhere/second"] {
            let _ = fs::remove_file(root.join(name));
        }
        symlink("elsewhere/second", root.join("first")).expect("a link");
        symlink("token", root.join("elsewhere/second")).expect("a link");
        print_to(&machine, &root.join("first")).success();
        assert!(root.join("first").is_symlink() && root.join("elsewhere/second").is_symlink());
        assert_private_token(&target);
    }
}

#[test]
fn a_dangling_link_is_refused_and_not_changed() {
    let machine = logged_in();
    let root = machine.root();
    symlink("no/such/directory", root.join("dangling")).expect("a link");
    let failed = print_to(&machine, &root.join("dangling")).failure(2);
    assert!(failed.stderr.contains("mkdir -p"), "{failed:?}");
    symlink("loop", root.join("loop")).expect("a link");
    print_to(&machine, &root.join("loop")).failure(2);
    assert!(root.join("dangling").is_symlink() && root.join("loop").is_symlink());
    assert_eq!(machine.server().requests().len(), 1, "only the login's");
}

#[test]
fn a_pipe_gets_the_token_and_stays_a_pipe() {
    let machine = logged_in();
    let pipe = machine.pipe("pipe");
    let link = machine.root().join("link");
    symlink(&pipe, &link).expect("a link");
    for named in [&pipe, &link] {
        let reader = thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe).expect("what is written")
        });
        let ran = machine.run(&["token", "--output", text(named)]);
        assert_eq!(ran.success().stdout, "");
        assert_eq!(reader.join().expect("a reader"), "token-1");
        assert!(fs::metadata(&pipe).expect("a pipe").file_type().is_fifo());
    }
}

#[test]
fn a_reader_of_a_pipe_that_goes_at_once_is_no_error() {
    let machine = logged_in();
    let pipe = machine.pipe("pipe");
    let mut child = machine.hallpass(&["token", "--output", text(&pipe)]);
    child.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = child.spawn().expect("hallpass starts");
    drop(fs::File::open(&pipe).expect("a pipe"));
    finish(child).success();
}

#[test]
fn a_character_device_is_written_to_and_stays_one() {
    if !is_root() {
        return skip("only the superuser can create a device");
    }
    let machine = logged_in();
    let device = machine.root().join("null");
    mknodat(
        CWD,
        &device,
        FileType::CharacterDevice,
        Mode::RUSR | Mode::WUSR,
        makedev(1, 3),
    )
    .expect("a device of our own");
    let link = machine.root().join("link");
    symlink(&device, &link).expect("a link");
    for named in [&device, &link] {
        assert_eq!(print_to(&machine, named).success().stdout, "");
        let kind = fs::symlink_metadata(&device).expect("a device").file_type();
        assert!(kind.is_char_device());
    }
    let block = machine.root().join("block");
    // No driver has this number: nothing could be written to it.
    mknodat(
        CWD,
        &block,
        FileType::BlockDevice,
        Mode::RUSR | Mode::WUSR,
        makedev(240, 0),
    )
    .expect("a device of our own");
    print_to(&machine, &block).failure(2);
    assert!(
        fs::metadata(&block)
            .expect("a device")
            .file_type()
            .is_block_device()
    );
}

#[test]
fn an_open_descriptor_keeps_its_place_in_the_file() {
    let machine = logged_in();
    let file = machine.root().join("log");
    for (name, redirection) in [
        ("/dev/stdout", ">>LOG"),
        ("/dev/stderr", "2>>LOG"),
        ("/dev/fd/1", ">>LOG"),
        ("/dev/fd/3", "3>>LOG"),
        ("/proc/self/fd/7", "7>>LOG"),
    ] {
        fs::write(&file, "before\n").expect("a file");
        let line = format!(
            "exec {}",
            redirection.replace("LOG", &format!("'{}'", text(&file)))
        );
        let command = machine.hallpass(&["token", "--output", name]);
        ran(after_shell(&line, &command)).success();
        let content = fs::read_to_string(&file).expect("a file");
        assert_eq!(content, "before\ntoken-1", "{name}");
    }
    // A shell's own output goes on behind it.
    let command = machine.hallpass(&["token", "--output", "/dev/stdout"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "{ echo a; \"$0\" \"$@\"; echo b; } >\"$LOG\""]);
    let mut shell = crate::support::run_by(shell, &command);
    shell.env("LOG", &file);
    ran(shell).success();
    assert_eq!(fs::read_to_string(&file).expect("a file"), "a\ntoken-1b\n");
}

#[test]
fn standard_output_may_be_a_pipe_or_a_socket() {
    let machine = logged_in();
    for name in ["-", "/dev/stdout", "/dev/fd/1"] {
        let ran = machine.run(&["token", "--output", name]).success();
        assert_eq!(ran.stdout.trim_end_matches('\n'), "token-1", "{name}");
        assert_eq!(
            ran.stdout.ends_with('\n'),
            name == "-",
            "a line only for a person"
        );
        // systemd gives a service a socket.
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("two sockets");
        let mut command = machine.hallpass(&["token", "--output", name]);
        command.stdout(std::os::fd::OwnedFd::from(theirs));
        let status = command.status().expect("hallpass starts");
        drop(command);
        assert!(status.success());
        let mut received = String::new();
        (&ours).read_to_string(&mut received).expect("what is sent");
        assert_eq!(received.trim_end_matches('\n'), "token-1", "{name}");
    }
}

#[test]
fn a_descriptor_that_is_not_open_is_refused_before_anything_is_requested() {
    let machine = logged_in();
    for name in [
        "/dev/fd/3",
        "/dev/fd/99",
        "/proc/self/fd/9",
        "/dev/fd/99999999999",
    ] {
        let command = machine.hallpass(&["token", "--refresh", "--output", name]);
        let failed = ran(after_shell("exec 3>&-", &command));
        assert!([1, 2].contains(&failed.code), "{failed:?}");
        assert_eq!(failed.stdout, "");
    }
    assert_eq!(machine.server().requests().len(), 1, "only the login's");
}

#[test]
fn a_failure_to_write_speaks_of_a_directory_only_where_a_new_one_would_help() {
    let machine = logged_in();
    let file = machine.root().join("token");
    let reading = machine.private_file("reading", b"");
    for (line, name, named, message) in [
        (
            "exec 3>/dev/full".to_owned(),
            "/dev/fd/3",
            "/dev/fd/3",
            "no space left on device",
        ),
        (
            "exec >/dev/full".to_owned(),
            "/dev/stdout",
            "/dev/stdout",
            "no space left on device",
        ),
        (
            format!("exec 4<'{}'", text(&reading)),
            "/proc/self/fd/4",
            "/proc/self/fd/4",
            "bad file descriptor",
        ),
        (
            "ulimit -f 0".to_owned(),
            text(&file),
            text(&file),
            "file too large",
        ),
    ] {
        let command = machine.hallpass(&["token", "--output", name]);
        let failed = ran(after_shell(&line, &command)).failure(1);
        let start = format!("hallpass: error: cannot write {named}: {message}\n");
        assert_eq!(failed.stderr, start, "no hint");
    }
}

#[test]
fn a_directory_or_a_missing_one_is_refused_before_anything_is_requested() {
    let machine = logged_in();
    let root = machine.root();
    symlink(root, root.join("link")).expect("a link");
    let socket = root.join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let slash = format!("{}/new/", text(root));
    for (named, code) in [
        (text(root), 2),
        (text(&root.join("link")), 2),
        (text(&socket), 2),
        (&slash, 2),
        ("", 2),
        (text(&root.join("none/token")), 2),
        (text(&root.join("secret/token")), 1),
    ] {
        let ran = machine.run(&["token", "--refresh", "--output", named]);
        let ran = ran.failure(code);
        assert!(!ran.stderr.contains("os error"), "{ran:?}");
    }
    drop(listener);
    assert_eq!(machine.server().requests().len(), 1, "only the login's");
}

#[test]
fn a_user_without_the_right_to_a_directory_loses_nothing() {
    let machine = machine_of_ordinary_user();
    let server = Server::start(numbered_tokens());
    let secret = machine.private_file("client-secret", b"secret");
    give_to_ordinary_user(&secret);
    let url = server.url("/token");
    let login = [
        "login",
        "p",
        "--token-url",
        &url,
        "--client-id",
        "c",
        "--secret-file",
    ];
    let login = [&login[..], &[text(&secret)]].concat();
    ran(as_ordinary_user(&machine.hallpass(&login))).success();
    let directory = machine.root().join("read-only");
    fs::create_dir(&directory).expect("a directory");
    let file = directory.join("token");
    fs::write(&file, "old").expect("a file");
    for path in [&file, &directory] {
        give_to_ordinary_user(path);
    }
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o555)).expect("its mode");
    let to = |path: &Path| {
        ran(as_ordinary_user(&machine.hallpass(&[
            "token",
            "--output",
            text(path),
        ])))
    };
    for path in [&file, &directory.join("new")] {
        let failed = to(path).failure(1);
        assert!(failed.stderr.contains("permission denied"), "{failed:?}");
        assert!(
            failed.stderr.contains("name one in a directory"),
            "{failed:?}"
        );
    }
    assert_eq!(fs::read_to_string(&file).expect("a file"), "old");
    // What is there for all, and what is the user's own.
    assert_eq!(to(Path::new("/dev/stdout")).success().stdout, "token-1");
    to(&machine.root().join("token")).success();
    assert_private_token(&machine.root().join("token"));
}

#[test]
fn a_pipe_that_another_user_put_into_a_shared_directory_gets_nothing() {
    if !is_root() {
        return skip("only the superuser can act as two users");
    }
    let machine = logged_in();
    let shared = machine.root().join("shared");
    fs::create_dir(&shared).expect("a directory");
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).expect("its mode");
    let pipe = machine.pipe("shared/pipe");
    give_to_ordinary_user(&pipe);
    let ran = machine.run(&["token", "--output", text(&pipe)]);
    assert!(ran.failure(2).stderr.contains("another user"));
}

/// A machine with one profile.
fn logged_in() -> Machine {
    let machine = Machine::new();
    machine.login("p", machine.server(), &[]);
    machine
}

#[track_caller]
fn print_to(machine: &Machine, path: &Path) -> Ran {
    machine.run(&["token", "--output", text(path)])
}

#[track_caller]
fn assert_private_token(path: &Path) {
    let metadata = fs::symlink_metadata(path).expect("a file");
    assert!(metadata.is_file());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(path).expect("a file"), "token-1");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

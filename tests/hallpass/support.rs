//! What only some tests need from a machine: other users, shells, containers and mounts of Unix.
#![allow(dead_code, reason = "the benchmark needs a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::machine::{Machine, Ran, skip};

impl Machine {
    /// A named pipe: who reads it and who writes to it wait for each other.
    pub(crate) fn pipe(&self, name: &str) -> PathBuf {
        let path = self.root().join(name);
        let made = Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("mkfifo starts").success());
        path
    }

    /// So many more profiles beside `p`, each with a cached token and a URL of its own; and as many
    /// tokens of `p`.
    pub(crate) fn add_neighbours(&self, count: usize) {
        let only = |directory: PathBuf, extension: &str| {
            let files = fs::read_dir(directory).expect("a directory");
            let paths = files.map(|file| file.expect("a file").path());
            let mut paths = paths.filter(|path| path.extension().unwrap_or_default() == extension);
            paths.next().expect("a file of this kind")
        };
        let profile = fs::read(self.config().join("p.json")).expect("a profile");
        let list = fs::read(only(self.config().join("urls"), "")).expect("a list of URLs");
        let token = fs::read(only(self.cache().join("p"), "json")).expect("a token");
        for number in 0..count {
            let put = |path: PathBuf, content: &[u8]| fs::write(path, content).expect("a file");
            let key = format!("{number:064x}");
            let others = self.cache().join(format!("p{number}"));
            fs::create_dir(&others).expect("a directory");
            put(self.config().join(format!("p{number}.json")), &profile);
            put(self.config().join("urls").join(&key), &list);
            put(others.join(format!("{key}.json")), &token);
            put(self.cache().join(format!("p/{key}.json")), &token);
        }
    }
}

/// Whom an ordinary user is when the superuser runs the tests: `nobody`.
const NOBODY: u32 = 65534;

/// Whether the tests are run by the superuser, whom no mode of a file stops.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A machine for [`as_ordinary_user`].
pub(crate) fn machine_of_ordinary_user() -> Machine {
    let machine = Machine::new();
    give_to_ordinary_user(machine.root());
    give_to_ordinary_user(&machine.home());
    machine
}

pub(crate) fn give_to_ordinary_user(path: &Path) {
    if is_root() {
        std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY)).expect("a new owner");
    }
}

/// The same command, run by a user whom modes and owners of files do stop. It has no standard input.
pub(crate) fn as_ordinary_user(command: &Command) -> Command {
    use std::os::unix::process::CommandExt as _;
    if !is_root() {
        return copy_of(command, Command::new(command.get_program()));
    }
    // By its descriptor: the directories on the way to the program may be closed to others.
    let program = fs::File::open(command.get_program()).expect("a program");
    let mut command = copy_of(command, Command::new("/proc/self/fd/0"));
    command.stdin(program).uid(NOBODY).gid(NOBODY);
    command
}

/// The same command as an argument of another one.
pub(crate) fn run_by(mut wrapper: Command, command: &Command) -> Command {
    wrapper.arg(command.get_program());
    copy_of(command, wrapper)
}

/// Its arguments and its environment.
fn copy_of(command: &Command, mut copy: Command) -> Command {
    copy.args(command.get_args())
        .env_clear()
        .stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        copy.env(name, value.expect("a variable that is set"));
    }
    copy
}

/// Runs a command as the first process of a container, whose session began outside of it.
pub(crate) fn container() -> Command {
    let mut container = Command::new("unshare");
    container.args(["--pid", "--fork"]);
    if !is_root() {
        container.arg("--map-root-user");
    }
    container
}

/// A shell that becomes another command in a world of its own, where it may mount what it likes. Its
/// arguments are the command's, after those that it takes.
///
/// `unshare` on its own keeps new mounts apart only where `/` is a mount point, which it is not in a
/// chroot. `/proc` is one everywhere: a copy of the whole tree is mounted there and becomes `/`.
pub(crate) fn shell_with_own_mounts(script: &str) -> Command {
    const OWN_ROOT: &str = "mount --make-rprivate /proc; mount --rbind / /proc; \
        mount --make-rprivate /proc; exec chroot /proc sh -ec \"$@\"";
    let mut world = Command::new("unshare");
    world.args(["--mount", "--propagation", "unchanged"]);
    if !is_root() {
        world.arg("--map-root-user");
    }
    world.args(["sh", "-ec", OWN_ROOT, "sh", script, "sh"]);
    world
}

/// Mounts need the superuser: in a user namespace, an ordinary user's files would be root's.
pub(crate) fn can_mount() -> bool {
    let mut probe = shell_with_own_mounts("mount -t tmpfs none \"$1\"");
    let can = is_root()
        && ran({
            probe.arg("/mnt");
            probe
        })
        .code
            == 0;
    if !can {
        skip("only the superuser can mount");
    }
    can
}

/// What a shell does first, before it becomes the command: `ulimit`, `umask`, redirections.
pub(crate) fn after_shell(line: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{line}; exec \"$0\" \"$@\"")]);
    run_by(shell, command)
}

#[track_caller]
pub(crate) fn ran(mut command: Command) -> Ran {
    Ran::from(command.output().expect("a program that starts"))
}

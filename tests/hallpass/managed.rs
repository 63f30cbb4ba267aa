//! A machine with an administrator: what is in `/etc/hallpass`, in a mount namespace of each run.

use std::fs;
use std::process::{Command, Stdio};

use crate::machine::{Machine, Ran, finish, skip, spawn};
use crate::support::{is_root, ran, run_by, shell_with_own_mounts};

/// A new `/etc`, with the machine's own files in it and a copy of the test's `managed` directory. The
/// arguments are the directory of the test, and a line that the administrator runs.
const WORLD: &str = "mount --rbind /etc \"$1/etc\"; mount -t tmpfs -o mode=755 none /etc; \
    ln -s \"$1\"/etc/* /etc/; rm -rf /etc/hallpass; cp -R \"$1/managed\" /etc/hallpass; \
    chmod -R go+rX,go-w /etc/hallpass; eval \"$2\"; shift 2; exec \"$@\"";

/// A machine whose `/etc/hallpass` the test writes.
pub(crate) struct Managed {
    pub(crate) machine: Machine,
    /// What the administrator runs before each command.
    pub(crate) line: String,
}

impl Managed {
    /// None where nobody can mount.
    pub(crate) fn new(machine: Machine) -> Option<Self> {
        let managed = Self {
            machine,
            line: String::new(),
        };
        let root = managed.machine.root();
        for directory in ["etc", "managed/profiles"] {
            fs::create_dir_all(root.join(directory)).expect("a directory");
        }
        // In a user namespace, nothing belongs to the real root.
        if is_root() && ran(managed.within(&Command::new("true"))).code == 0 {
            return Some(managed);
        }
        skip("only the superuser can mount");
        None
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.machine.root().join("managed").join(name);
        fs::write(path, content).expect("a file of the administrator");
    }

    pub(crate) fn policy(&self, content: &str) {
        self.write("policy.json", content);
    }

    /// The command, on the machine with this administrator.
    pub(crate) fn within(&self, command: &Command) -> Command {
        let mut world = shell_with_own_mounts(WORLD);
        world.arg(self.machine.root()).arg(&self.line);
        run_by(world, command)
    }

    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        ran(self.within(&self.machine.hallpass(arguments)))
    }

    #[track_caller]
    pub(crate) fn run_with(
        &self,
        variables: &[(&str, &str)],
        arguments: &[&str],
        input: &str,
    ) -> Ran {
        use std::io::Write as _;
        let mut hallpass = self.machine.hallpass(arguments);
        hallpass.envs(variables.iter().copied());
        let mut command = self.within(&hallpass);
        let mut child = spawn(command.stdin(Stdio::piped()));
        let mut stdin = child.stdin.take().expect("a pipe");
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        finish(child)
    }
}

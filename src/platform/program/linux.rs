//! Linux: ends a program together with the processes that it started.

use std::fs;
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpid, kill_process, set_child_subreaper, waitid,
};

/// How often to look for processes that started while others were being killed.
const ROUNDS: usize = 100;

/// A process that has not ended.
struct Process {
    id: i32,
    parent: i32,
    session: i32,
}

/// The processes that a program starts. The program stays in our process group, so that it can use
/// the terminal and receives the terminal's signals.
///
/// Only one at a time: another thread's program would be taken for a descendant.
pub(crate) struct Descendants {
    other_children: Vec<i32>,
    _only: MutexGuard<'static, ()>,
}

static ONLY: Mutex<()> = Mutex::new(());

impl Descendants {
    /// From now on, a process whose parent ended becomes our child, so that it can be found.
    pub(crate) fn watch() -> Self {
        let only = ONLY.lock().unwrap_or_else(PoisonError::into_inner);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        // A shell that became this program may have started others before.
        let other_children = match waitid(WaitId::All, options) {
            Err(Errno::CHILD) => Vec::new(),
            _ => children_of(&processes(), &[own_id()]),
        };
        let _ = set_child_subreaper(Some(getpid()));
        Self {
            other_children,
            _only: only,
        }
    }

    /// Kills the program and all processes that it started, except daemons that left our session, such
    /// as ssh-agent.
    pub(crate) fn end(&self, child: &mut Child) {
        let _ = child.kill();
        for _ in 0..ROUNDS {
            let mut processes = processes();
            // The session ID is 0 in a container whose session started outside of it. rustix's `getsid`
            // cannot return that.
            let own = processes.iter().find(|process| process.id == own_id());
            let Some(session) = own.map(|process| process.session) else {
                break;
            };
            processes.retain(|process| process.session == session);
            let mut found = children_of(&processes, &[own_id()]);
            found.retain(|id| !self.other_children.contains(id));
            let mut last = found.clone();
            while !last.is_empty() {
                last = children_of(&processes, &last);
                found.extend(&last);
            }
            if found.is_empty() {
                break;
            }
            for id in found.into_iter().filter_map(Pid::from_raw) {
                let _ = kill_process(id, Signal::KILL);
            }
        }
        let _ = child.wait();
    }
}

impl Drop for Descendants {
    /// The setting would survive `exec`, and the next program would become the parent of orphans.
    fn drop(&mut self) {
        let _ = set_child_subreaper(None);
    }
}

fn own_id() -> i32 {
    getpid().as_raw_pid()
}

fn children_of(processes: &[Process], parents: &[i32]) -> Vec<i32> {
    let children = processes.iter();
    let children = children.filter(|process| parents.contains(&process.parent));
    children.map(|process| process.id).collect()
}

/// All processes. None if `/proc` belongs to another PID namespace, such as the host's in a container.
fn processes() -> Vec<Process> {
    let own = fs::read_link("/proc/self");
    if !own.is_ok_and(|own| own.as_os_str() == own_id().to_string().as_str()) {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let entries = entries.flatten();
    entries
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            process(id, &fs::read_to_string(entry.path().join("stat")).ok()?)
        })
        .collect()
}

/// Parses `/proc/ID/stat` (`proc_pid_stat(5)`). The name is in parentheses and can itself contain
/// spaces and parentheses.
fn process(id: i32, stat: &str) -> Option<Process> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next()?;
    let mut number = || fields.next()?.parse().ok();
    let (parent, _group, session) = (number()?, number()?, number()?);
    let has_ended = state == "Z" || state == "X";
    (!has_ended).then_some(Process {
        id,
        parent,
        session,
    })
}

#[cfg(test)]
mod tests {
    use super::process;

    #[test]
    fn a_process_name_may_contain_parentheses() {
        let found = process(7, "7 (a) S 1 ) (b) S 3 4 5 0 -1").expect("a process");
        assert_eq!((found.id, found.parent, found.session), (7, 3, 5));
        assert!(process(7, "7 (a) Z 3 4 5 0 -1").is_none());
        assert!(process(7, "").is_none());
    }
}

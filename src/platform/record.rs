//! Lines that many processes append to one file, or send to one socket: each in one system call.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

use super::os;

/// Writes one line, or one datagram.
pub(crate) type Write = Box<dyn Fn(&[u8]) -> io::Result<()>>;

/// Where programs send what syslog keeps.
pub(crate) const SYSLOG: &str = if cfg!(target_os = "macos") {
    "/var/run/syslog"
} else {
    "/dev/log"
};

/// The socket of systemd's journal.
pub(crate) const JOURNAL: &str = "/run/systemd/journal/socket";

/// Opens a file to append to. A new one is for its owner only.
///
/// # Errors
/// It cannot be written, or is not a regular file, or a link.
pub(crate) fn open_file(path: &Path) -> io::Result<Write> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    os::open_safely(&mut options);
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        let what = "it is not a regular file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(Box::new(move |line| {
        // The rest of a line that was cut would be mixed with those of others.
        if (&file).write(line)? == line.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::StorageFull.into())
        }
    }))
}

/// Connects to a socket for datagrams.
///
/// # Errors
/// Nobody listens there.
pub(crate) fn open_socket(path: &Path) -> io::Result<Write> {
    os::datagrams_to(path)
}

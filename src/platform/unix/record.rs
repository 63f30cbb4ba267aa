//! Opening what is appended to, and who asks for a token.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::parent_id;
use std::path::Path;
use std::time::Duration;

use super::files::user;
use crate::platform::Caller;
use crate::platform::record::Write;

/// How long a full socket is waited for.
const LIMIT: Duration = Duration::from_secs(2);

/// Follows no link at the path, waits for no other end of a pipe, and gives a new file to its owner only.
pub(crate) fn open_safely(options: &mut OpenOptions) {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    options.mode(0o600).custom_flags(flags);
}

pub(crate) fn datagrams_to(path: &Path) -> io::Result<Write> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(LIMIT))?;
    Ok(Box::new(move |datagram| socket.send(datagram).map(drop)))
}

/// The user by number, and the process that started this one.
pub(crate) fn caller() -> Caller {
    let process = parent_id();
    let name = fs::read_to_string(format!("/proc/{process}/comm"));
    Caller {
        user: user().to_string(),
        process: Some(process),
        program: name.ok().map(|name| name.trim_end().to_owned()),
    }
}

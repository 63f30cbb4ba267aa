//! A socket that only this user can connect to.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::files::user;
use crate::error::{Error, Result};
use crate::types::shell;

/// The longest response, in bytes.
const RESPONSE_LIMIT: u64 = 1024 * 1024;

/// The file of a socket. It is removed when this is dropped.
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Listens on a socket in a directory that only this user can enter.
///
/// # Errors
/// `Usage` if the directory is open to others, or if the path is in use. Only a socket that nobody
/// listens on is replaced.
pub(crate) fn listen_on_socket(path: &Path) -> Result<(UnixListener, SocketFile)> {
    let cannot = |error: io::Error| {
        Error::usage(format!("cannot listen on {}", path.display())).because(error)
    };
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    check_directory(directory.unwrap_or(Path::new(".")), &cannot)?;
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(cannot(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(Error::usage(format!("{shown} exists and is not a socket")));
        }
        Ok(_) => match UnixStream::connect(path) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(cannot)?;
            }
            _ => return Err(Error::usage(format!("another program listens on {shown}"))),
        },
    }
    let listener = UnixListener::bind(path).map_err(cannot)?;
    let file = SocketFile(path.to_owned());
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(cannot)?;
    listener.set_nonblocking(true).map_err(cannot)?;
    Ok((listener, file))
}

/// Makes the directory if it does not exist.
fn check_directory(directory: &Path, cannot: &dyn Fn(io::Error) -> Error) -> Result<()> {
    let made = DirBuilder::new().mode(0o700).create(directory);
    if let Err(error) = made
        && error.kind() != ErrorKind::AlreadyExists
    {
        return Err(cannot(error));
    }
    let metadata = fs::metadata(directory).map_err(cannot)?;
    // None of the bits 0o077.
    if metadata.uid() == user() && metadata.mode().trailing_zeros() >= 6 {
        return Ok(());
    }
    let shown = directory.display();
    let message = format!("other users can enter the directory of the socket, {shown}");
    let hint = format!(
        "use a directory of your own with mode 700: {}",
        shell::path(&directory.join("hallpass/socket"))
    );
    Err(Error::usage(message).hint(hint))
}

/// Sends a request to a socket, and reads the response up to the end of the connection.
pub(crate) fn ask_socket(path: &Path, request: &[u8], limit: Duration) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    stream.write_all(request)?;
    let mut response = Vec::new();
    stream.take(RESPONSE_LIMIT).read_to_end(&mut response)?;
    Ok(response)
}

/// Whether the user at the other end of a socket is this one, or the superuser, who can read everything.
pub(crate) fn may_connect(user_id: u32) -> bool {
    [user(), 0].contains(&user_id)
}

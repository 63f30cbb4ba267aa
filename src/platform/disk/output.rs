//! The file for `--output`: a regular file is replaced atomically; a pipe, a terminal or an open
//! descriptor is written to.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::replace::write_private;
use crate::error::{Error, Result};
use crate::platform::{self, FileKind};
use crate::types::shell;

/// The number of links that Linux follows (`path_resolution(7)`).
const LINK_LIMIT: usize = 40;

/// An output file, checked before a token is requested.
#[derive(Debug)]
pub(crate) enum Output {
    /// `/dev/stdout`, `/dev/fd/3`: opening it again would lose the position in a file, and a socket
    /// cannot be opened. Duplicated at once, because a file that is opened later could get its number.
    Descriptor(File, PathBuf),
    /// A pipe or a character device: replacing it would leave its reader waiting.
    Stream(PathBuf),
    /// A regular file or a free path, after following all links, so that the links stay.
    File(PathBuf),
}

impl Output {
    /// # Errors
    /// `Usage` if it cannot be written to, such as a directory.
    pub(crate) fn to(named: &Path) -> Result<Self> {
        let shown = named.display();
        let unusable = |why: &str| Error::usage(format!("cannot write {shown}: {why}"));
        if named.as_os_str().is_empty() {
            return Err(Error::usage("--output needs a file name"));
        }
        let mut path = std::path::absolute(named)
            .map_err(|error| unusable("it is not a valid path").because(error))?;
        for _ in 0..LINK_LIMIT {
            if let Some(number) = descriptor(&path) {
                return platform::duplicate(number)
                    .map(|file| Self::Descriptor(file, named.to_owned()))
                    .map_err(|_| unusable("no such file descriptor is open"));
            }
            let metadata = match fs::symlink_metadata(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return free(path),
                metadata => metadata.map_err(|error| cannot_write(&path, error))?,
            };
            match platform::file_kind(&metadata) {
                FileKind::Link => {
                    // The system can refuse to follow another user's link in a shared directory
                    // (`protected_symlinks` in `proc_sys_fs(5)`). Do the same.
                    if let Err(error) = fs::metadata(&path)
                        && error.kind() == io::ErrorKind::PermissionDenied
                    {
                        return Err(cannot_write(&path, error));
                    }
                    let target =
                        fs::read_link(&path).map_err(|error| cannot_write(&path, error))?;
                    path = path.parent().unwrap_or(Path::new("/")).join(target);
                }
                FileKind::Regular => return Ok(Self::File(path)),
                FileKind::Stream if platform::is_planted(&path, &metadata) => {
                    return Err(unusable(
                        "it belongs to another user, in a shared directory",
                    ));
                }
                FileKind::Stream => return Ok(Self::Stream(path)),
                FileKind::Directory => {
                    return Err(unusable("it is a directory").hint("name a file in it"));
                }
                FileKind::Other => {
                    return Err(unusable(
                        "it is neither a file, a pipe nor a character device",
                    ));
                }
            }
        }
        Err(unusable("too many symbolic links"))
    }

    /// Writes the content. It is no error if the reader has closed the pipe.
    pub(crate) fn write(self, content: &[u8]) -> Result<()> {
        let (written, shown) = match self {
            Self::Descriptor(mut file, path) => (file.write_all(content), path),
            Self::Stream(path) => {
                let written =
                    platform::open_stream(&path).and_then(|mut stream| stream.write_all(content));
                (written, path)
            }
            Self::File(path) => {
                return write_private(&path, content).map_err(|error| cannot_replace(&path, error));
            }
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(|error| cannot_write(&shown, error)),
        }
    }
}

/// An output at a free path. Its directory must exist, because the mode of a new one would be a guess.
fn free(path: PathBuf) -> Result<Output> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let is_name = !path.as_os_str().as_encoded_bytes().ends_with(b"/");
    match fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() && is_name => Ok(Output::File(path)),
        Ok(metadata) if metadata.is_dir() => Err(Error::usage(format!(
            "cannot write {}: it is the name of a directory",
            path.display()
        ))),
        _ => Err(Error::usage(format!(
            "cannot write {}: the directory {} does not exist",
            path.display(),
            directory.display()
        ))
        .hint(format!("create it: mkdir -p {}", shell::path(directory)))),
    }
}

/// The descriptor that a path such as `/dev/fd/3` refers to.
fn descriptor(path: &Path) -> Option<u32> {
    let digits = path.file_name()?.to_str()?;
    let directory = path.parent()?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let of_this_process = directory == Path::new("/dev/fd")
        || directory.canonicalize().ok()? == Path::new("/proc/self/fd").canonicalize().ok()?;
    // No descriptor has a number that is too large for u32.
    (is_number && of_this_process).then(|| digits.parse().unwrap_or(u32::MAX))
}

fn cannot_write(path: &Path, error: io::Error) -> Error {
    Error::broken(format!("cannot write {}", path.display())).because(error)
}

/// A file that can be written cannot be replaced if its directory cannot be written.
fn cannot_replace(path: &Path, error: io::Error) -> Error {
    let is_of_directory = matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    );
    let error = cannot_write(path, error);
    if is_of_directory {
        return error
            .hint("hallpass replaces the file, so name one in a directory that you may write to");
    }
    error
}

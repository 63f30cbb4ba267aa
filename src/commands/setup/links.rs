//! The names that tools look for: links to hallpass, made and removed.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::message;
use crate::protocols::PROTOCOLS;
use crate::{disk, system};

/// Makes every link that is missing, or removes those that are ours.
pub(super) fn run(program: &Path, directory: &Path, home: &Path, undo: bool) -> Result<String> {
    for link in PROTOCOLS.iter().filter_map(|protocol| protocol.link) {
        let name = format!("{link}{}", std::env::consts::EXE_SUFFIX);
        let path = match link {
            // Another program of that name may be on the PATH, and is wanted there.
            "keyring" => directory.join("hallpass-keyring").join(name),
            // Terraform looks nowhere else.
            "terraform-credentials-hallpass" => home.join(".terraform.d/plugins").join(name),
            _ => directory.join(name),
        };
        one(program, &path, undo)?;
    }
    Ok(String::new())
}

/// Makes or removes one link; a file of somebody else is left alone.
pub(super) fn one(program: &Path, path: &Path, undo: bool) -> Result<()> {
    let cannot = |what: &str, error| {
        Error::broken(format!("cannot {what} {}", path.display())).because(error)
    };
    let there = path.symlink_metadata().is_ok();
    if there && !is_ours(program, path) {
        if undo {
            return Ok(());
        }
        return Err(
            Error::usage(format!("{} is there, and is not hallpass", path.display()))
                .hint("move it away, or name another directory with --dir"),
        );
    }
    match (there, undo) {
        (true, true) => {
            disk::remove(path).map_err(|error| cannot("remove", error))?;
            message::note(&format!("removed {}", path.display()));
        }
        (false, false) => {
            let directory = path.parent().map(PathBuf::from).unwrap_or_default();
            std::fs::create_dir_all(directory).map_err(|error| cannot("make", error))?;
            system::link(program, path).map_err(|error| cannot("make", error))?;
            message::note(&format!("made {}", path.display()));
        }
        _ => {}
    }
    Ok(())
}

/// A link to us; on Windows, a copy of us.
fn is_ours(program: &Path, path: &Path) -> bool {
    let same_file = path.canonicalize().ok() == program.canonicalize().ok();
    let same_content = || std::fs::read(path).ok() == std::fs::read(program).ok();
    same_file || (cfg!(windows) && same_content())
}

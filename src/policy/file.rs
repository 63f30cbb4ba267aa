//! The policy's file: read only where nobody but the administrator can have written it.

use std::path::PathBuf;

use super::Policy;
use crate::error::{Error, Result};
use crate::message::{FOREIGN_TEXT_LIMIT, clean};
use crate::platform::disk::{self, Found};
use crate::platform::{self, Trust};

/// A policy is small.
const LIMIT: u64 = 64 * 1024;

pub(crate) fn path() -> PathBuf {
    platform::managed_directory().join("policy.json")
}

/// # Errors
/// `Usage` if there is a policy that cannot be read or believed.
pub(super) fn read() -> Result<Policy> {
    let path = path();
    let content = match disk::read(&path, LIMIT, Trust::Managed) {
        Ok(Found::Nothing) => return Ok(Policy::default()),
        Ok(Found::Content(content)) => content,
        Ok(Found::Distrusted(reason)) => return Err(unusable(reason)),
        Err(error) => return Err(unusable("cannot be read").because(error)),
    };
    match disk::managed_fault(&path) {
        Ok(None) => {}
        Ok(Some((directory, reason))) => {
            let directory = directory.display();
            return Err(unusable(&format!("is in {directory}, which {reason}")));
        }
        Err(error) => return Err(unusable("is in a directory that cannot be read").because(error)),
    }
    Policy::parse(&content).map_err(|fault| {
        let fault = clean(&fault, FOREIGN_TEXT_LIMIT);
        unusable(&format!("cannot be used: {fault}"))
    })
}

fn unusable(reason: &str) -> Error {
    let path = path();
    Error::usage(format!(
        "the policy of this machine, {}, {reason}",
        path.display()
    ))
    .hint("only the administrator can correct it")
}

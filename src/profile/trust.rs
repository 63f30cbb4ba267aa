//! Which certificates were trusted, in addition to the system's, when a profile was logged in.

use std::env;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::types::digest::Digest;

/// One file of PEM certificates.
const CERT_FILE: &str = "SSL_CERT_FILE";

/// Directories of PEM certificates, separated as in PATH.
const CERT_DIR: &str = "SSL_CERT_DIR";

/// What `SSL_CERT_FILE` and `SSL_CERT_DIR` named at the login, as absolute paths, and what the CA
/// file held.
///
/// A later environment may come from a project that its user does not control, and must not decide
/// who can read a stored secret.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordedTrust {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) directories: Vec<PathBuf>,
    /// Identifies the certificates in the CA file. None if no CA file is set, or if only the
    /// superuser can change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file_digest: Option<String>,
}

impl RecordedTrust {
    /// What the environment names now. On macOS and Windows, where the system verifies certificates,
    /// these variables have no meaning.
    pub(crate) fn of_environment() -> Self {
        if cfg!(any(target_os = "macos", windows)) {
            return Self::default();
        }
        // A settings file holds UTF-8 only.
        let path = |path: &Path| {
            let path = std::path::absolute(path).ok()?;
            path.to_str().is_some().then_some(path)
        };
        let directories = env::var_os(CERT_DIR).unwrap_or_default();
        Self {
            file: env::var_os(CERT_FILE)
                .filter(|file| !file.is_empty())
                .and_then(|file| path(Path::new(&file))),
            directories: env::split_paths(&directories)
                .filter(|directory| !directory.as_os_str().is_empty())
                .filter_map(|directory| path(&directory))
                .collect(),
            ca_file_digest: None,
        }
    }

    /// There is nothing to record.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The variable that names something else now, if there is one.
    pub(crate) fn changed(&self) -> Option<&'static str> {
        let now = Self::of_environment();
        if now.file.is_some() && now.file != self.file {
            Some(CERT_FILE)
        } else if !now.directories.is_empty() && now.directories != self.directories {
            Some(CERT_DIR)
        } else {
            None
        }
    }

    /// Binds a secret to this trust.
    pub(crate) fn add_to(&self, digest: Digest) -> Digest {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        digest
            .optional(self.file.as_ref().map(text))
            .fields(self.directories.iter().map(text))
            .optional(self.ca_file_digest.as_ref())
    }
}

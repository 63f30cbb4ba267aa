//! The secret headers of a profile: one item of a store has their names and values, as a JSON object.

use std::path::PathBuf;

use serde_json::Value;
use zeroize::Zeroizing;

use super::variable;
use super::{SECRET_FILE, Situation, WaitLimit, changed, file, read_item};
use crate::error::{Error, Result};
use crate::profile::headers::{Headers, SecretHeaders};
use crate::profile::{Profile, ProfileName};

/// Reads the secret headers, if the profile still has the settings of its login.
///
/// # Errors
/// As [`super::read`].
pub(crate) fn headers(name: &ProfileName, profile: &Profile, wait: WaitLimit) -> Result<Headers> {
    let Some(SecretHeaders { names, item }) = &profile.secret_headers else {
        return Ok(Headers::default());
    };
    if item.account != profile.headers_account(name) {
        return Err(changed(name));
    }
    let content = read_item(name, item, wait.limit()?)?;
    let headers: Option<Headers> = serde_json::from_slice(&content).ok();
    let headers = headers.filter(|headers| headers.names() == *names);
    headers.ok_or_else(|| {
        let fault = format!("the saved values of the secret headers of profile {name} are damaged");
        Error::not_found(fault).hint(format!("run: hallpass login {name}"))
    })
}

/// The content of the item that has these headers.
pub(crate) fn headers_content(headers: &Headers) -> Zeroizing<Vec<u8>> {
    let members = headers
        .iter()
        .map(|(name, value)| (name.to_owned(), Value::from(value)));
    Zeroizing::new(Value::Object(members.collect()).to_string().into_bytes())
}

/// Where a login takes the value of a secret header from.
#[derive(Clone, Debug)]
pub(crate) enum HeaderValue {
    /// The terminal.
    Typed,
    File(PathBuf),
    Env(String),
    /// The header is removed.
    Nothing,
}

impl HeaderValue {
    /// Reads a value that is not typed. A line end at the end of a file is not a part of it.
    ///
    /// # Errors
    /// `Usage` for a variable without a value, `NotFound` or `Locked` for a file that cannot be read.
    pub(crate) fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>> {
        match self {
            Self::Typed | Self::Nothing => Ok(None),
            Self::File(path) => file::read(path, SECRET_FILE, Situation::LoggingIn).map(Some),
            Self::Env(name) => variable::read(name).map(Some).ok_or_else(|| {
                let error = Error::usage(format!("{name} is not set or is empty"));
                error.hint("set it for this login")
            }),
        }
    }
}

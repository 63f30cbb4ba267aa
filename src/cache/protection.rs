//! How well the tokens of a mode are protected on this machine, for `status` and `doctor`.

use std::fmt;

use crate::platform::sealing_key;
use crate::profile::CacheMode;
use crate::types::choice::choice;

choice! {
    /// What becomes of a token on disk.
    pub(crate) enum Form {
        Sealed = "sealed",
        Plain = "plain",
        None = "none",
    }
}

/// What becomes of a token on disk, and why.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protection {
    pub(crate) form: Form,
    /// Where the key is, or why there is none.
    pub(crate) reason: &'static str,
    /// Whether the mode prefers another form.
    pub(crate) is_fallback: bool,
}

impl Protection {
    /// Looks for a key, and changes nothing.
    pub(crate) fn of(mode: CacheMode) -> Self {
        let chosen = |form, reason| Self {
            form,
            reason,
            is_fallback: false,
        };
        match mode {
            CacheMode::None => chosen(Form::None, "no token is kept"),
            CacheMode::Plain => chosen(Form::Plain, "only you can read the files"),
            CacheMode::Auto | CacheMode::Sealed => match sealing_key::check() {
                Ok(()) => chosen(Form::Sealed, sealing_key::PLACE),
                Err(unavailable) => Self {
                    form: if mode.allows_plain() {
                        Form::Plain
                    } else {
                        Form::None
                    },
                    reason: unavailable.0,
                    is_fallback: true,
                },
            },
        }
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.form.as_str(), self.reason)
    }
}

//! Changes of a profile that need no token request: of its URLs, time limits and dates.

use super::prepare::Login;
use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::message;
use crate::platform::disk::Directories;
use crate::profile::Profile;
use crate::profile::trust::RecordedTrust;

impl Login<'_> {
    /// Saves the profile if only such settings were changed, and returns whether it did. The login, its
    /// secret and its tokens stay.
    ///
    /// # Errors
    /// `Usage` if nothing was changed.
    pub(super) fn save_without_request(&self) -> Result<bool> {
        let args = self.args;
        let has_new_credential = args.gives_secret()
            || args.key_stdin
            || args.signs()
            || args.key.is_some()
            || args.store.is_some()
            || !args.header_secret.is_empty();
        let merged = self.merge()?;
        let Some(existing) = self.existing.as_ref().filter(|_| !has_new_credential) else {
            return Ok(false);
        };
        if sent(&merged) != sent(existing) {
            return Ok(false);
        }
        let changed = with_settings_of(existing.clone(), &merged);
        let name = &self.name;
        if changed == *existing {
            return Err(Error::usage("nothing to change").hint(format!(
                "give a setting, such as --scope or --timeout; `hallpass status {name}` shows them"
            )));
        }
        let editor = self.profiles.edit()?;
        let current = self.profiles.load(name)?;
        if current != *existing {
            return Err(
                Error::usage(format!("profile {name} was changed meanwhile"))
                    .hint("nothing was changed by this command; run it again"),
            );
        }
        editor.save(name, &changed)?;
        if changed.cache != existing.cache {
            // They are kept in the old way.
            Cache::of(&Directories::locate()?, name).clear()?;
        }
        message::note(&format!("profile {name} was changed"));
        if let Some(date) = changed.secret_expires {
            message::note(&format!(
                "its {} expires on {}",
                changed.credential_name(),
                date.with_days_left()
            ));
        }
        Ok(true)
    }
}

/// The profile with what no request depends on from another one.
fn with_settings_of(profile: Profile, other: &Profile) -> Profile {
    Profile {
        bindings: other.bindings.clone(),
        timeout_seconds: other.timeout_seconds,
        default_ttl_seconds: other.default_ttl_seconds,
        max_ttl_seconds: other.max_ttl_seconds,
        cache: other.cache,
        secret_expires: other.secret_expires,
        derived: other.derived.clone(),
        removed: other.removed.clone(),
        ..profile
    }
}

/// What a request depends on, without what only a login decides.
fn sent(profile: &Profile) -> Profile {
    let none = Profile {
        bindings: Vec::new(),
        timeout_seconds: None,
        default_ttl_seconds: None,
        max_ttl_seconds: None,
        cache: None,
        secret_expires: None,
        derived: Vec::new(),
        removed: Vec::new(),
        ..profile.clone()
    };
    Profile {
        generation: String::new(),
        secret_headers: None,
        rotation: None,
        trust: RecordedTrust::default(),
        ..none
    }
}

//! The options of the shared cache, and whether it works.

use std::path::Path;

use super::given::{absolute, with_absolute_program};
use super::options::Args;
use super::verify::Verified;
use crate::commands::OrNothing;
use crate::commands::obtain::sharing::{in_effect, shared_entry};
use crate::error::{Error, Result};
use crate::message;
use crate::platform::disk::Directories;
use crate::profile::settings::Setting;
use crate::profile::share::{Share, ShareSecret};
use crate::profile::{Profile, ProfileName};
use crate::secrets::WaitLimit;

impl Args {
    /// The shared cache with what was given. Its other settings stay, unless it is at another server.
    ///
    /// # Errors
    /// `Usage` if the settings do not fit together.
    pub(super) fn share(&self, kept: Option<&Share>) -> Result<Setting<Box<Share>>> {
        let given = self
            .share_options()
            .into_iter()
            .find_map(|(name, is_given)| is_given.then_some(name));
        let mut share = match (&self.share, kept) {
            (None, _) if given.is_none() => return Ok(Setting::Unset),
            (Some(OrNothing(None)), _) => match given {
                Some(option) => return Err(needs_share(option)),
                None => return Ok(Setting::Removed),
            },
            (Some(OrNothing(Some(url))), Some(kept)) if kept.url.host() == url.host() => Share {
                url: url.clone(),
                ..kept.clone()
            },
            (Some(OrNothing(Some(url))), _) => Share::of(url.clone()),
            (None, Some(kept)) => kept.clone(),
            (None, None) => return Err(needs_share(given.unwrap_or("share"))),
        };
        let text = |setting: &mut Option<String>, given: &Option<String>| {
            if let Some(given) = given {
                *setting = Some(given.clone()).filter(|given| !given.is_empty());
            }
        };
        text(&mut share.user, &self.share_user);
        for (setting, given) in [
            (&mut share.password, &self.share_password),
            (&mut share.key, &self.share_key),
        ] {
            if let Some(OrNothing(given)) = given {
                *setting = given.clone().map(absolute_secret).transpose()?;
            }
        }
        for (setting, given) in [
            (&mut share.ca_file, &self.share_ca_file),
            (&mut share.certificate, &self.share_cert),
            (&mut share.certificate_key, &self.share_cert_key),
        ] {
            if let Some(given) = given {
                let given = Some(given).filter(|path| !path.as_os_str().is_empty());
                *setting = given.map(|path| absolute(path)).transpose()?;
            }
        }
        match share.fault() {
            Some(fault) => Err(Error::usage(format!("the shared cache {fault}"))),
            None => Ok(Setting::Set(Box::new(share))),
        }
    }

    fn share_options(&self) -> [(&'static str, bool); 6] {
        [
            ("share-user", self.share_user.is_some()),
            ("share-password", self.share_password.is_some()),
            ("share-key", self.share_key.is_some()),
            ("share-ca-file", self.share_ca_file.is_some()),
            ("share-cert", self.share_cert.is_some()),
            ("share-cert-key", self.share_cert_key.is_some()),
        ]
    }

    /// Refuses a shared cache that this profile cannot use.
    ///
    /// # Errors
    /// `Usage`, if it was given now.
    pub(super) fn check_share(&self, profile: &Profile) -> Result<()> {
        let (Some(OrNothing(Some(_))), Some(share)) = (&self.share, &profile.share) else {
            return Ok(());
        };
        if let Some(reason) = profile.is_not_shared_because() {
            return Err(Error::usage(format!("--share has no effect: {reason}")));
        }
        if share.key.is_none() && !profile.has_client_secret() {
            return Err(Error::usage("--share needs --share-key: this client has no secret that all its machines have")
                .hint("openssl rand -base64 32 > share.key (the same file on all machines), then add --share-key file:share.key"));
        }
        Ok(())
    }
}

/// Says whether the shared cache works, unless no token was requested.
pub(super) fn report(directories: &Directories, name: &ProfileName, verified: &Verified) {
    let Ok(profile) = in_effect(&verified.profile) else {
        return;
    };
    let input = &verified.input;
    let (Some(share), Some(_), Some(credential)) =
        (profile.shared_cache(), &verified.token, &input.credential)
    else {
        return;
    };
    let subject = (name, &profile, &verified.request);
    let presented = (credential, &input.secret_headers);
    let entry = shared_entry(directories, subject, presented, WaitLimit::Person);
    let Some(checked) = entry.map(|entry| entry.check()) else {
        return;
    };
    let url = share.url.as_str();
    match checked {
        Ok(()) => message::note(&format!("its tokens are shared through {url}")),
        Err(problem) => {
            message::warning(&format!(
                "the shared cache {url} cannot be used: {problem}; each machine requests its own token"
            ));
            if let Some(advice) = problem.advice() {
                message::hint(advice);
            }
        }
    }
}

fn needs_share(option: &str) -> Error {
    Error::usage(format!(
        "--{option} needs --share with the URL of the shared cache"
    ))
}

/// A file or a program is the same one from every directory.
fn absolute_secret(secret: ShareSecret) -> Result<ShareSecret> {
    Ok(match secret {
        ShareSecret::File(path) => ShareSecret::File(absolute(Path::new(&path))?),
        ShareSecret::Command(command) => ShareSecret::Command(with_absolute_program(command)?),
        secret @ ShareSecret::Env(_) => secret,
    })
}

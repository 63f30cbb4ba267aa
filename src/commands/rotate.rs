//! `hallpass rotate`: replaces a client secret by a new one, which was verified by a token request.
//!
//! The login stays the same: cached tokens are used until they expire. With `--keep-old`, the secret that
//! was replaced stays as well, for servers that do not accept the new one everywhere at once.

mod new_secret;
mod report;

use zeroize::Zeroizing;

use super::transaction::{clean_up, commit};
use super::verification::request_token;
use super::{OrNothing, or_nothing};
use crate::cache::{Accepted, Cache};
use crate::error::{Error, Kind, Result};
use crate::message;
use crate::platform::disk::Directories;
use crate::profile::rotation::Keep;
use crate::profile::token_request::TokenRequest;
use crate::profile::{CredentialKind, Profile, ProfileName};
use crate::profiles::{Profiles, cache_mode, is_configured_by_env};
use crate::secrets::{self, WaitLimit};
use crate::types::date::Date;
use crate::types::digest::unique;
use crate::types::token::CachedToken;
use report::report;

const EXAMPLES: &str = "\
Examples:
  hallpass rotate prod                       # asks for the new secret
  pass show prod | hallpass rotate prod --secret-stdin --secret-expires 90d
  hallpass rotate prod --keep-old            # later: hallpass rotate prod --finish";

/// Replace a profile's client secret, after a token request with the new one
///
/// Cached tokens stay in use until they expire.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub(crate) struct Args {
    /// Profile [default: `$HALLPASS_PROFILE`, or the only profile]
    profile: Option<String>,
    /// Read the new secret from standard input
    #[arg(long)]
    secret_stdin: bool,
    /// When the new secret expires: a date, or a number of days
    #[arg(long, value_name = "DATE|90d", value_parser = or_nothing(Date::parse_future))]
    secret_expires: Option<OrNothing<Date>>,
    /// Keep the old secret for when the server refuses the new one, until `--finish` or its expiry date
    #[arg(long)]
    keep_old: bool,
    /// Remove the old secret that `--keep-old` kept
    #[arg(long, conflicts_with_all = ["secret_stdin", "secret_expires", "keep_old"])]
    finish: bool,
    /// Do not request a token first
    #[arg(long)]
    no_verify: bool,
}

pub(crate) fn run(args: &Args) -> Result<String> {
    let directories = Directories::locate()?;
    let profiles = Profiles::own(&directories);
    if args.profile.is_none() && is_configured_by_env()? {
        let what =
            "HALLPASS_TOKEN_URL is set; the secret of a profile from the environment is not stored";
        return Err(Error::usage(what)
            .hint("set HALLPASS_CLIENT_SECRET to the new secret")
            .hint("or name a stored profile: hallpass rotate PROFILE"));
    }
    profiles.check_directory()?;
    let name = profiles.choose(args.profile.as_deref())?;
    let profile = profiles.load(&name)?;
    check_kind(&name, &profile)?;
    let rotate = Rotate {
        args,
        directories: &directories,
        profiles: &profiles,
        name: &name,
        profile: &profile,
    };
    if args.finish {
        rotate.finish()?;
    } else {
        rotate.replace()?;
    }
    Ok(String::new())
}

/// Refuses a profile without a client secret that hallpass stores.
fn check_kind(name: &ProfileName, profile: &Profile) -> Result<()> {
    let Some(source) = &profile.secret else {
        return Err(Error::usage(format!("profile {name} has no secret")));
    };
    if profile.client_auth.credential() != CredentialKind::Secret {
        return Err(Error::usage(format!(
            "profile {name} has a private key, and rotate replaces only client secrets"
        ))
        .hint(profile.how_to_renew(name)));
    }
    if source.item().is_none() {
        return Err(Error::usage(format!(
            "hallpass does not store the secret of profile {name}: it is read from its {} each time",
            source.kind().as_str()
        ))
        .hint(profile.how_to_renew(name)));
    }
    secrets::check_unchanged(name, profile)
}

struct Rotate<'a> {
    args: &'a Args,
    directories: &'a Directories,
    profiles: &'a Profiles,
    name: &'a ProfileName,
    /// As it was when the command began.
    profile: &'a Profile,
}

/// A token that was requested to verify a secret.
type Verified = (TokenRequest, CachedToken);

impl Rotate<'_> {
    fn replace(&self) -> Result<()> {
        let Self { args, name, .. } = self;
        let kept = self.kept()?;
        let expires = args.secret_expires.as_ref().and_then(|given| given.0);
        let rotated = self.profile.rotated(name, unique()?, expires, kept);
        let rotated =
            rotated.ok_or_else(|| Error::usage(format!("profile {name} has no secret")))?;
        let (secret, verified) = self.new_secret(&rotated)?;
        let secret = Zeroizing::new(secret.expose().as_bytes().to_vec());
        let contents = rotated.item().map(|item| (item, secret));
        let contents: Vec<_> = contents.into_iter().collect();
        let editor = self.profiles.edit()?;
        let mut rotated = rotated;
        let current = self.current()?;
        if self.kept()? != kept {
            return Err(self.changed_meanwhile());
        }
        // A URL that was bound meanwhile stays bound.
        rotated.bindings.clone_from(&current.bindings);
        let before = commit(&editor, name, &rotated, &contents)?;
        self.store(verified.as_ref());
        clean_up(&editor, name, &rotated, &before);
        self.report_replaced(&rotated, kept);
        report(verified.as_ref());
        Ok(())
    }

    /// Which of the secrets that there are stays: of two, the one that the server accepts.
    ///
    /// # Errors
    /// `Usage` if that is not known.
    fn kept(&self) -> Result<Keep> {
        let Self { name, profile, .. } = self;
        if !self.args.keep_old {
            return Ok(Keep::Neither);
        }
        if profile.with_previous_secret().is_none() {
            return Ok(Keep::Current);
        }
        let cache = Cache::of(self.directories, name);
        match cache.accepted_secret(profile.secret_generation()) {
            Some(Accepted::Previous) => Ok(Keep::Previous),
            Some(Accepted::Current | Accepted::NotPrevious) => Ok(Keep::Current),
            None => Err(Error::usage(format!(
                "profile {name} still keeps the previous secret, and it is not known which of its secrets the server accepts"
            ))
            .hint(format!(
                "to remove the previous one, if the server accepts the other: hallpass rotate {name} --finish"
            ))
            .hint(format!(
                "or find out which one it accepts, and run this command again: hallpass token {name} --refresh"
            ))),
        }
    }

    fn finish(&self) -> Result<()> {
        let Self {
            args,
            name,
            profile,
            ..
        } = self;
        let none = || Error::usage(format!("profile {name} has no previous secret to remove"));
        profile.previous_secret().ok_or_else(none)?;
        let verified = if args.no_verify {
            None
        } else {
            let credential = secrets::read(name, profile, WaitLimit::Person)?;
            let verified = request_token(name, profile, profile, credential).map_err(|mut error| {
                if error.kind != Kind::Refused {
                    return error.hint("nothing was changed: the previous secret is still kept");
                }
                error.hints = vec![
                    format!("nothing was changed: both secrets are kept; try again when the server accepts the new one, or replace it: hallpass rotate {name}"),
                    format!("to remove the previous secret although the server refuses the other one: hallpass rotate {name} --finish --no-verify"),
                ];
                error
            });
            Some(verified?)
        };
        let editor = self.profiles.edit()?;
        let finished = self.current()?.without_previous_secret();
        let before = commit(&editor, name, &finished, &[])?;
        self.store(verified.as_ref());
        clean_up(&editor, name, &finished, &before);
        message::note(&format!(
            "the previous secret of profile {name} was removed"
        ));
        report(verified.as_ref());
        Ok(())
    }

    /// The profile as it is now, when nobody else can change it.
    ///
    /// # Errors
    /// `Usage` if it was changed since this command began.
    fn current(&self) -> Result<Profile> {
        let Self { name, profile, .. } = self;
        let current = self.profiles.load(name)?;
        let seen = Profile {
            bindings: current.bindings.clone(),
            ..(*profile).clone()
        };
        if current == seen {
            return Ok(current);
        }
        Err(self.changed_meanwhile())
    }

    fn changed_meanwhile(&self) -> Error {
        let name = self.name;
        Error::usage(format!("profile {name} was changed meanwhile"))
            .hint("nothing was changed by this command; run it again")
    }

    /// Caches the token of the verification.
    fn store(&self, verified: Option<&Verified>) {
        let Some((request, token)) = verified else {
            return;
        };
        let cache = Cache::of(self.directories, self.name);
        let mode = cache_mode(self.profile);
        if let Err(error) = mode.and_then(|mode| cache.entry(request, mode).store(token)) {
            message::warning(&format!("{error}; the token was not saved"));
        }
    }
}

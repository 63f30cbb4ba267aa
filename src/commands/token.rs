//! `hallpass token`: a cached access token if it lasts, else a fresh one.

use std::time::Duration;

use serde_json::json;

use super::obtain::{Ask, obtain};
use super::{duration, words};
use crate::disk::Directories;
use crate::error::Result;
use crate::profiles::Profiles;
use crate::token::{CachedToken, Timestamp};

/// Print an access token: a cached one if it lasts, else a fresh one
#[derive(Debug, Default, Eq, PartialEq, clap::Args)]
pub(crate) struct Args {
    /// The profile [default: `$HALLPASS_PROFILE`, else the only one there is]
    profile: Option<String>,
    /// Only a token that lasts this long at least (90, 90s, 5m, 2h)
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s", hide_default_value = true)]
    min_ttl: Duration,
    /// Ask for this scope instead of the profile's (repeatable)
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// Ask for this audience instead of the profile's
    #[arg(long)]
    audience: Option<String>,
    /// Ask for a new token, whatever is cached
    #[arg(long)]
    refresh: bool,
    /// Print JSON: `access_token`, `token_type`, `scope`, `expires_at`, `expires_in`, and what else the server tells callers
    #[arg(long)]
    json: bool,
}

impl Args {
    /// No option but this one; none if it does not hold a duration.
    pub(crate) fn plain(profile: Option<String>, min_ttl: Option<&str>) -> Option<Self> {
        Some(Self {
            profile,
            min_ttl: min_ttl.map_or(Ok(Duration::ZERO), duration).ok()?,
            ..Self::default()
        })
    }
}

pub(crate) fn run(args: &Args) -> Result<String> {
    let directories = Directories::locate()?;
    let profiles = Profiles::of(&directories);
    let scope = Some(words(&args.scope)).filter(|scope| !scope.is_empty());
    let audience = args.audience.clone();
    let ask = Ask {
        scope,
        audience: audience.filter(|audience| !audience.is_empty()),
        min_ttl: args.min_ttl,
        refresh: args.refresh,
    };
    let obtained = obtain(&directories, &profiles, &ask, || {
        let name = profiles.choose(args.profile.as_deref())?;
        let profile = profiles.load(&name)?;
        Ok((name, profile))
    })?;
    Ok(if args.json {
        as_json(&obtained.token, obtained.scope.as_ref())
    } else {
        [obtained.token.access_token.expose(), "\n"].concat()
    })
}

fn as_json(token: &CachedToken, asked: Option<&String>) -> String {
    let mut answer = json!({
        "access_token": token.access_token.expose(),
        "token_type": token.token_type,
        "scope": token.scope.as_ref().or(asked),
        "expires_at": token.expires_at.rfc3339(),
        "expires_in": token.expires_at.since(Timestamp::now()).as_secs(),
    });
    for (name, value) in &token.members {
        answer[name] = value.as_str().into();
    }
    format!("{answer}\n")
}

//! `hallpass token`: a cached access token if it lasts, else a fresh one.

use std::time::Duration;

use serde_json::json;

use super::{duration, settle, words};
use crate::broker::{self, Doors, Wish};
use crate::cache::Cache;
use crate::disk::Directories;
use crate::error::{Error, Result};
use crate::profiles::Profiles;
use crate::secrets::{self, Patience};
use crate::token::{CachedToken, Timestamp, TokenRequest};
use crate::token_endpoint;

/// How often to begin anew when somebody logs in while we ask.
const ATTEMPTS: usize = 3;

/// How much longer than the holder of a turn may take do we wait for it.
const GRACE: Duration = Duration::from_secs(5);

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
    /// No option at all.
    pub(crate) fn plain(profile: Option<String>) -> Self {
        Self {
            profile,
            ..Self::default()
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<String> {
    let directories = Directories::locate()?;
    let profiles = Profiles::of(&directories);
    let scope = Some(words(&args.scope)).filter(|scope| !scope.is_empty());
    let audience = args
        .audience
        .as_deref()
        .filter(|audience| !audience.is_empty());
    for _ in 0..ATTEMPTS {
        let name = profiles.choose(args.profile.as_deref())?;
        let profile = profiles.load(&name)?;
        let secret_version = secrets::version(&profile);
        let request = TokenRequest::new(
            &name,
            &profile,
            scope.as_deref(),
            audience,
            secret_version.as_deref(),
        );
        let wish = Wish {
            min_ttl: args.min_ttl,
            refresh: args.refresh,
            patience: profile.timeout() + Patience::Program.limit() + GRACE,
        };
        let doors = Doors {
            now: &Timestamp::now,
            secret: &|| secrets::read(&name, &profile, Patience::Program),
            request: &|secret| token_endpoint::ask(&profile, &request, secret),
            is_current: &|| {
                profiles
                    .load(&name)
                    .is_ok_and(|now| now.generation == profile.generation)
            },
        };
        let place = Cache::of(&directories, &name).place(&request);
        let outcome = broker::obtain(&place, wish, &doors)?;
        if let Some(token) = settle(outcome, &request, args.min_ttl) {
            return Ok(if args.json {
                as_json(&token, &request)
            } else {
                format!("{}\n", token.access_token.expose())
            });
        }
    }
    Err(Error::unavailable("the profile changes faster than a token can be had").hint("try again"))
}

fn as_json(token: &CachedToken, request: &TokenRequest) -> String {
    let mut answer = json!({
        "access_token": token.access_token.expose(),
        "token_type": token.token_type,
        "scope": token.scope.as_ref().or(request.scope.as_ref()),
        "expires_at": token.expires_at.rfc3339(),
        "expires_in": token.expires_at.since(Timestamp::now()).as_secs(),
    });
    for (name, value) in &token.members {
        answer[name] = value.as_str().into();
    }
    format!("{answer}\n")
}

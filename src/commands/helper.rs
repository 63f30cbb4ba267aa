//! Runs a helper protocol: finds out which one is meant, opens the doors that its conversation may
//! need, and tells what went wrong.
//!
//! Its command line is read here and not by clap: programs run helpers all the time, and in the
//! way that each protocol prescribes.

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::io::BufReader;
use std::path::Path;

use super::obtain::{TokenOptions, obtain, request};
use crate::cache::{Cache, CacheEntry};
use crate::error::{Error, Result};
use crate::message;
use crate::platform;
use crate::platform::disk::{self, Directories};
use crate::profile::ProfileName;
use crate::profile::selected::SelectedProfile;
use crate::profiles::{self, Bound, Profiles};
use crate::protocols::{Answer, Call, PROTOCOLS, Protocol, TokenProvider, take_profile};
use crate::types::token::Timestamp;

/// As much as most clients say, in bytes.
const USUAL_REQUEST: usize = 1024;

/// A helper as it was called.
pub(crate) struct Helper {
    protocol: &'static Protocol,
    /// Of the link's name: `pnpm-tokenhelper-hallpass-PROFILE`.
    profile: Option<String>,
    arguments: Vec<OsString>,
}

impl Helper {
    /// By the name of the link that hallpass was started by, else by its first argument.
    pub(crate) fn find(arguments: &[OsString]) -> Option<Self> {
        let (program, arguments) = arguments.split_first()?;
        // Any other name, and none, is as good as our own.
        let program = Path::new(program).file_name().and_then(OsStr::to_str);
        let program = program.unwrap_or_default();
        // Python finds programs on Windows by `PATHEXT`, and calls them as it is written there.
        let stem = program
            .strip_suffix(".exe")
            .or_else(|| program.strip_suffix(".EXE"));
        let program = stem.unwrap_or(program);
        for protocol in PROTOCOLS {
            let rest = protocol.link.and_then(|link| program.strip_prefix(link));
            let profile = match rest {
                Some("") => None,
                Some(rest) if rest.starts_with('-') => Some(rest[1..].to_owned()),
                _ => continue,
            };
            return Some(Self {
                protocol,
                profile,
                arguments: arguments.to_vec(),
            });
        }
        let (first, arguments) = arguments.split_first()?;
        let protocol = PROTOCOLS.iter().find(|protocol| first == protocol.name)?;
        Some(Self {
            protocol,
            profile: None,
            arguments: arguments.to_vec(),
        })
    }

    /// Holds the conversation. `say` prints what a client wants to hear before it speaks.
    pub(crate) fn run(self, say: &dyn Fn(&str) -> Result<()>) -> Result<Answer> {
        let arguments = self.arguments.into_iter().map(|word| {
            word.into_string()
                .map_err(|_| Error::usage("an argument is not UTF-8 text"))
        });
        let (arguments, profile) = take_profile(arguments.collect::<Result<_>>()?)?;
        let named = profile.or(self.profile);
        if arguments
            .iter()
            .any(|word| word == "--help" || word == "-h")
        {
            return Ok(Answer::of(help(self.protocol)));
        }
        // Without a home, whoever needs it says so in the protocol's own tongue.
        let home = profiles::directories().ok();
        let home = home.map(|directories| (Profiles::of(&directories), directories));
        let home = || home.as_ref().ok_or_else(disk::unknown_home);
        // Parsed by who needs it: the protocol says in its own tongue that it is no name.
        let selected = || named.as_deref().map(ProfileName::parse).transpose();
        // A client may mean one of several URLs.
        let elsewhere = Cell::new(false);
        let desk = TokenProvider {
            bound_by: &|url, profile| {
                let profile = match profile {
                    Some(profile) => Some(ProfileName::parse(profile)?),
                    None => selected()?,
                };
                let (profiles, _) = home()?;
                let bound = profiles.bound_to(url, profile.as_ref())?;
                elsewhere.set(matches!(bound, Bound::Elsewhere));
                Ok(match bound {
                    Bound::By(who) => Some(*who),
                    Bound::Elsewhere | Bound::ByNobody => None,
                })
            },
            named: &|| home()?.0.find(named.as_deref()),
            all_bindings: &|| all_bindings(&home()?.0, selected()?.as_ref()),
            token: &|who, rejected| {
                let (profiles, directories) = home()?;
                let is_cached = |received_at| {
                    let cached = place(directories, who).token();
                    cached.is_some_and(|token| token.received_at == received_at)
                };
                let ask = TokenOptions {
                    refresh: rejected.is_some_and(is_cached),
                    quiet: true,
                    ..TokenOptions::default()
                };
                Ok(obtain(directories, profiles, &ask, who)?.token)
            },
            cached: &|who| {
                let (_, directories) = home().ok()?;
                let token = place(directories, who).token()?;
                token
                    .usable_for(Timestamp::now(), std::time::Duration::ZERO)
                    .then_some(token)
            },
            forget: &|who, rejected| {
                let Ok((_, directories)) = home() else {
                    return;
                };
                let place = place(directories, who);
                let cached = place.token();
                if cached.is_some_and(|token| token.access_token == *rejected) {
                    place.discard_token();
                }
            },
        };
        let answer = (self.protocol.converse)(&mut Call {
            arguments: &arguments,
            input: &mut BufReader::with_capacity(USUAL_REQUEST, platform::standard_input()),
            say,
            variable: &|name| std::env::var(name).ok(),
            desk,
        });
        if elsewhere.get() {
            message::note(
                "profiles are bound to other paths of this server, to none that was asked for",
            );
        }
        answer
    }
}

fn help(protocol: &Protocol) -> String {
    let link = protocol
        .link
        .map(|link| format!("or, by a link of that name: {link} ...\n"));
    format!(
        "{}\n\nUsage: hallpass {} [--profile PROFILE] ...\n{}\nSee hallpass-helpers(1).\n",
        protocol.about,
        protocol.name,
        link.unwrap_or_default()
    )
}

/// Where the token of a profile's own request lies.
fn place(directories: &Directories, who: &SelectedProfile) -> CacheEntry {
    Cache::of(directories, &who.name).place(&request(who, &TokenOptions::default()))
}

/// Every binding of every profile that can be read, or of the one that was selected.
fn all_bindings(
    profiles: &Profiles,
    selected: Option<&ProfileName>,
) -> Result<Vec<SelectedProfile>> {
    let names = match selected {
        Some(name) => vec![name.clone()],
        None => profiles.names()?,
    };
    // One that cannot be read keeps no other, but is not the same as none.
    let mut unreadable = None;
    let mut all = Vec::new();
    for name in names {
        let profile = match profiles.load(&name) {
            // Another profile's damage is no reason to list none.
            Err(error) if selected.is_none() => {
                unreadable = unreadable.or(Some(error));
                continue;
            }
            profile => profile?,
        };
        for binding in &profile.bindings {
            all.push(SelectedProfile {
                name: name.clone(),
                profile: profile.clone(),
                binding: Some(binding.clone()),
                url: Some(binding.url.as_url().clone()),
            });
        }
    }
    match unreadable {
        Some(error) if all.is_empty() => Err(error),
        _ => Ok(all),
    }
}

/// The rows of the help: what else hallpass can be called as.
pub(crate) fn list() -> String {
    let rows = PROTOCOLS
        .iter()
        .map(|protocol| format!("  {:<22}{}\n", protocol.name, protocol.about));
    format!(
        "Helpers, run by other programs:\n{}",
        rows.collect::<String>()
    )
}

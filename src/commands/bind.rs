//! `hallpass bind` and `hallpass unbind`: change the URLs that a profile is bound to. Helpers use a
//! profile's tokens only for these.

use super::{OrNothing, choice_or_nothing, or_nothing};
use crate::commands::proofs::note_bearer_only;
use crate::error::{Error, Result};
use crate::message;
use crate::platform::disk::Directories;
use crate::profile::binding::{Binding, BoundUrl, Scheme};
use crate::profile::headers::TokenHeader;
use crate::profile::{Profile, ProfileName};
use crate::profiles::{Profiles, is_configured_by_env};
use crate::types::checked_text::Username;

const EXAMPLES: &str = "\
Examples:
  hallpass bind prod https://git.example/
  hallpass bind prod https://api.example/ --header X-Access-Token";

/// Allow tools to use this profile's tokens for a URL
///
/// The scheme, host and port must match exactly; the path matches by whole segments. Bind a URL again
/// to change an option: the other options stay. An empty value removes an option.
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXAMPLES,
    override_usage = "hallpass bind [OPTIONS] [PROFILE] URL..."
)]
pub(crate) struct BindArgs {
    #[command(flatten)]
    which: Which,
    /// User name for clients that need one [default: the client's own, or `oauth2`]
    #[arg(long, value_name = "NAME", value_parser = or_nothing(Username::parse))]
    username: Option<OrNothing<Username>>,
    /// How the client presents the token, if it supports several ways [default: the client's default]
    #[arg(long, value_name = "SCHEME", value_parser = choice_or_nothing::<Scheme>())]
    scheme: Option<OrNothing<Scheme>>,
    /// Header that carries the token to this URL, without a scheme unless you set one [default: Authorization]
    #[arg(long, value_name = "NAME", value_parser = or_nothing(TokenHeader::parse))]
    header: Option<OrNothing<TokenHeader>>,
}

/// Remove a URL from a profile
#[derive(Debug, clap::Args)]
#[command(override_usage = "hallpass unbind [PROFILE] URL...")]
pub(crate) struct UnbindArgs {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, clap::Args)]
struct Which {
    /// URLs; before them, the profile [default: `$HALLPASS_PROFILE`, or the only profile]
    #[arg(required = true, value_name = "URL", num_args = 1..)]
    words: Vec<String>,
}

pub(crate) fn bind(args: &BindArgs) -> Result<String> {
    change(&args.which, |profile, url| {
        let known = profile.bindings.iter().position(|it| it.url == *url);
        let index = known.unwrap_or_else(|| {
            profile.bindings.push(Binding::of(url.clone()));
            profile.bindings.len() - 1
        });
        let binding = &mut profile.bindings[index];
        if let Some(username) = &args.username {
            binding.username.clone_from(&username.0);
        }
        if let Some(scheme) = &args.scheme {
            binding.scheme = scheme.0;
        }
        if let Some(header) = &args.header {
            binding.header.clone_from(&header.0);
        }
        Ok(())
    })
}

pub(crate) fn unbind(args: &UnbindArgs) -> Result<String> {
    change(&args.which, |profile, url| {
        let before = profile.bindings.len();
        profile.bindings.retain(|binding| binding.url != *url);
        if profile.bindings.len() == before {
            return Err(
                Error::not_found(format!("the profile is not bound to {}", url.as_str()))
                    .hint("run `hallpass status` to see its URLs"),
            );
        }
        Ok(())
    })
}

fn change(which: &Which, step: impl Fn(&mut Profile, &BoundUrl) -> Result<()>) -> Result<String> {
    let directories = Directories::locate()?;
    let profiles = Profiles::own(&directories);
    let (name, urls) = which.read(&profiles)?;
    let editor = profiles.edit()?;
    let mut profile = profiles.load(&name)?;
    for url in &urls {
        step(&mut profile, url)?;
    }
    editor.save(&name, &profile)?;
    let urls: Vec<_> = profile
        .bindings
        .iter()
        .map(|binding| binding.url.as_str())
        .collect();
    message::note(&match urls.as_slice() {
        [] => format!("profile {name} is no longer bound to any URL"),
        urls => format!("profile {name} is now used for {}", urls.join(", ")),
    });
    note_bearer_only(&name, &profile);
    Ok(String::new())
}

impl Which {
    /// The first word is a profile's name unless it contains `://`, as URLs do.
    fn read(&self, profiles: &Profiles) -> Result<(ProfileName, Vec<BoundUrl>)> {
        let (named, urls) = match self.words.split_first() {
            Some((first, rest)) if !first.contains("://") => (Some(first.as_str()), rest),
            _ => (None, self.words.as_slice()),
        };
        if urls.is_empty() {
            return Err(Error::usage("no URL given"));
        }
        let urls = urls.iter().map(|url| {
            BoundUrl::parse(url).map_err(|fault| Error::usage(format!("the URL {fault}")))
        });
        let urls = urls.collect::<Result<_>>()?;
        if named.is_none() && is_configured_by_env()? {
            let what = "HALLPASS_TOKEN_URL is set; the URLs of a profile from the environment are in HALLPASS_FOR";
            return Err(Error::usage(what)
                .hint("set HALLPASS_FOR to its URLs, separated by spaces")
                .hint("or name a stored profile before the URL"));
        }
        Ok((profiles.choose(named)?, urls))
    }
}

//! `hallpass status`: which profiles there are, with every setting and its source, where their secrets
//! are, and until when their tokens are valid.
//!
//! Only `--check` opens the keychain and the network. No secret and no token is shown.

mod check;
mod details;
mod origin;
mod report;
mod table;
mod text;

pub(super) use origin::Origin;

use std::mem;
use std::path::PathBuf;
use std::time::Duration;

use crate::cache::{Cache, Protection};
use crate::commands::obtain::Checked;
use crate::error::{Error, Result};
use crate::platform;
use crate::platform::disk::Directories;
use crate::platform::variables;
use crate::profile::selected::SelectedProfile;
use crate::profile::token_request::{Overrides, TokenRequest, login_of};
use crate::profile::{CacheMode, Profile, ProfileName};
use crate::profiles::{self, Profiles, cache_mode, from_environment, name_given};
use crate::secrets;
use crate::share::Rest;
use crate::types::duration;
use crate::types::token::{CachedToken, Timestamp};
use serde_json::Value;

/// What `--json` prints, as a JSON schema (draft 2020-12).
const SCHEMA: &str = include_str!("../../schema/hallpass-status.schema.json");

const EXAMPLES: &str = "\
Examples:
  hallpass status                 # every profile, a line each
  hallpass status prod            # every setting of one, and where it comes from
  hallpass status prod --check    # request a token; the exit code tells";

/// Show the profiles: client, server, where the secret is kept, how long the cached token is valid
///
/// With a name, or if there is only one profile, shows all its settings and where they come from. Shows no
/// secret and no token.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Profile [default: `$HALLPASS_PROFILE`, or all profiles]
    profile: Option<String>,
    /// Request a token of each profile shown, without using or changing the cache (of two secrets, the new one first)
    #[arg(long)]
    check: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print the JSON schema of what `--json` prints
    #[arg(long, exclusive = true)]
    schema: bool,
}

impl Args {
    /// For `hallpass profile show`.
    pub(crate) fn of(profile: String, json: bool) -> Self {
        Self {
            profile: Some(profile),
            check: false,
            json,
            schema: false,
        }
    }
}

/// Prints the output itself, because a failed check has output and is an error.
pub(crate) fn run(args: &Args, print: &dyn Fn(&str) -> Result<()>) -> Result<String> {
    if args.schema {
        return Ok(SCHEMA.to_owned());
    }
    let directories = profiles::directories()?;
    variables::warn_about_unknown();
    let profiles = Profiles::of(&directories);
    let selected = selected(&profiles, args.profile.as_deref())?;
    let mut rows = match selected {
        Some(selected) => vec![Row::of(
            selected,
            &profiles,
            default_name(&profiles).as_ref(),
        )],
        None => stored(&profiles)?,
    };
    if args.check {
        for row in &mut rows {
            if let Row::Usable(row) = row {
                row.check(&directories, &profiles);
            }
        }
    }
    let shows_table = !matches!(rows.as_slice(), [Row::Usable(_)]);
    if args.json || !shows_table {
        for row in &mut rows {
            row.load_tokens(&directories);
        }
    }
    let output = match rows.as_slice() {
        rows if args.json => report::json(rows, used(&profiles, args.profile.as_deref()).as_ref()),
        [Row::Usable(row)] => details::text(row, platform::screen()),
        rows => table::table(rows, &directories),
    };
    if !args.check {
        // The process ends after this. Freeing the memory of many profiles takes hundreds of system calls.
        mem::forget(rows);
        return Ok(output);
    }
    print(&output)?;
    check::explain(&rows);
    check::result(rows).map(|()| String::new())
}

/// A setting that has a value, by its name in the profile's file.
pub(super) struct SettingOf {
    pub(super) name: String,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// The settings of a profile that have a value, and the profile's file. No secret is among them.
pub(super) fn settings_of(
    selected: SelectedProfile,
    profiles: &Profiles,
) -> (Option<PathBuf>, Vec<SettingOf>) {
    let Row::Usable(row) = Row::of(selected, profiles, None) else {
        return (None, Vec::new());
    };
    let settings = row.listed_settings();
    (row.file, settings)
}

/// The profile that the argument or the environment selects.
fn selected(profiles: &Profiles, named: Option<&str>) -> Result<Option<SelectedProfile>> {
    let is_selected =
        named.is_some() || name_given(None)?.is_some() || from_environment()?.is_some();
    is_selected.then(|| profiles.find(named)).transpose()
}

/// The profile of a `hallpass token` with this argument, in this directory and environment; none if that is an error.
fn used(profiles: &Profiles, named: Option<&str>) -> Option<ProfileName> {
    profiles.find(named).ok().map(|selected| selected.name)
}

/// The table of all profiles, with the one from the environment.
///
/// # Errors
/// If the settings directory cannot be read, or the variables describe no usable profile.
pub(crate) fn list(directories: &Directories, profiles: &Profiles) -> Result<String> {
    let described = from_environment()?;
    let described = described.map(|described| Row::of(described, profiles, None));
    let rows: Vec<_> = described.into_iter().chain(stored(profiles)?).collect();
    Ok(table::table(&rows, directories))
}

/// Every profile that has a file.
///
/// # Errors
/// If the directory cannot be read. A file that cannot be used is a row.
fn stored(profiles: &Profiles) -> Result<Vec<Row>> {
    let names = profiles.names()?;
    let default = default_name(profiles);
    let row = |name: ProfileName| match profiles.load(&name) {
        Err(error) => Row::Unusable(name, error),
        Ok(profile) => {
            let selected = SelectedProfile {
                name,
                profile,
                binding: None,
                url: None,
            };
            Row::of(selected, profiles, default.as_ref())
        }
    };
    Ok(names.into_iter().map(row).collect())
}

/// The profile that `profile use` set. A record that cannot be read is an error of the calls that need it.
fn default_name(profiles: &Profiles) -> Option<ProfileName> {
    profiles.default_name().ok().flatten()
}

/// A profile, as far as it can be read.
enum Row {
    Usable(Box<Usable>),
    Unusable(ProfileName, Error),
}

struct Usable {
    selected: SelectedProfile,
    /// Whether calls use it that name none.
    is_default: bool,
    /// The profile's file, if it has one.
    file: Option<PathBuf>,
    /// Those that `hallpass token` would print, with how they were requested.
    tokens: Vec<(Overrides, CachedToken)>,
    /// None if the server was not asked.
    check: Option<Result<Checked>>,
    /// The last problem with the shared cache.
    share_problem: Option<String>,
}

impl Row {
    fn of(selected: SelectedProfile, profiles: &Profiles, default: Option<&ProfileName>) -> Self {
        let is_default = default == Some(&selected.name);
        let is_stored = !selected.name.is_from_environment();
        let file = is_stored.then(|| profiles.file_in_use(&selected.name));
        Self::Usable(Box::new(Usable {
            selected,
            is_default,
            file,
            tokens: Vec::new(),
            check: None,
            share_problem: None,
        }))
    }

    fn load_tokens(&mut self, directories: &Directories) {
        if let Self::Usable(row) = self {
            row.tokens = row.cached_tokens(directories);
            row.share_problem = row.last_share_problem(directories);
        }
    }
}

impl Usable {
    fn profile(&self) -> &Profile {
        &self.selected.profile
    }

    /// The name for people.
    fn name(&self) -> &str {
        if self.selected.name.is_from_environment() {
            "environment (HALLPASS_TOKEN_URL)"
        } else {
            self.selected.name.as_str()
        }
    }

    /// How its tokens are kept on disk.
    fn protection(&self) -> Result<Protection> {
        cache_mode(self.profile()).map(Protection::of)
    }

    /// What the last call found that used the shared cache, unless it has worked since.
    fn last_share_problem(&self, directories: &Directories) -> Option<String> {
        let share = self.profile().share.as_ref()?;
        let rest = Rest::of(&directories.cache, &share.url);
        let (ago, reason) = rest.last()?;
        let ago = duration::in_words(Duration::from_secs(ago.as_secs()));
        Some(format!("{reason}, {ago} ago"))
    }

    fn request(&self, overrides: &Overrides, secret_version: Option<&str>) -> TokenRequest {
        TokenRequest::new(
            &self.selected.name,
            self.profile(),
            overrides.scope.as_ref(),
            overrides.audience.as_deref(),
            secret_version,
        )
    }

    /// The cached token that `hallpass token PROFILE` would print.
    fn own_token(&self, directories: &Directories) -> Option<CachedToken> {
        let version = secrets::version(self.profile());
        let request = self.request(&Overrides::default(), version.as_deref());
        let mode = cache_mode(self.profile()).ok()?;
        let entry = Cache::of(directories, &self.selected.name).entry(&request, mode);
        let token = entry.token();
        token.filter(|token| token.is_unexpired(Timestamp::now()))
    }

    fn cached_tokens(&self, directories: &Directories) -> Vec<(Overrides, CachedToken)> {
        let version = secrets::version(self.profile());
        // A token of other settings is not used any more, although the login is the same.
        let is_current = |key: &str, overrides: &Overrides| {
            self.request(overrides, version.as_deref()).key() == key
        };
        let cache = Cache::of(directories, &self.selected.name);
        let mode = cache_mode(self.profile()).unwrap_or(CacheMode::None);
        let cached = cache.tokens(&login_of(self.profile()), mode).into_iter();
        let mut tokens: Vec<_> = cached
            .filter(|(key, overrides, token)| {
                token.is_unexpired(Timestamp::now()) && is_current(key, overrides)
            })
            .map(|(_, overrides, token)| (overrides, token))
            .collect();
        // The profile's own request first.
        tokens.sort_by_key(|(overrides, token)| (!overrides.is_empty(), token.expires_at));
        tokens
    }
}

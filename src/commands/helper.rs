//! Runs a helper protocol: finds it by the link's name or the first argument, and gives it the tokens
//! of this user's profiles.
//!
//! clap does not read the command line of a helper: each protocol prescribes it, and other programs run
//! helpers often.

use std::cell::{Cell, RefCell};
use std::ffi::{OsStr, OsString};
use std::io::BufReader;
use std::path::Path;

use super::obtain::{TokenOptions, obtain, request};
use super::proofs::bearer_only;
use super::socket;
use crate::cache::{Cache, CacheEntry};
use crate::error::{Error, Kind, Result};
use crate::message;
use crate::platform;
use crate::platform::disk::{self, Directories};
use crate::policy;
use crate::profile::selected::SelectedProfile;
use crate::profile::{Profile, ProfileName};
use crate::profiles::{self, Bound, Profiles, cache_mode};
use crate::protocols::{Answer, Call, PROTOCOLS, Protocol, TokenProvider, take_profile};
use crate::share::fingerprint;
use crate::types::secret::AccessToken;
use crate::types::token::{CachedToken, Timestamp};
use crate::types::web_url::WebUrl;

/// The size of the read buffer in bytes: most requests fit.
const USUAL_REQUEST: usize = 1024;

/// One call of a helper.
pub(crate) struct Helper {
    protocol: &'static Protocol,
    /// From the link's name, such as `pnpm-tokenhelper-hallpass-PROFILE`.
    profile: Option<String>,
    arguments: Vec<OsString>,
}

impl Helper {
    /// Finds the helper by the name of the link that hallpass was started by, else by the first argument.
    pub(crate) fn find(arguments: &[OsString]) -> Option<Self> {
        let (program, arguments) = arguments.split_first()?;
        // A missing or undecodable name counts as hallpass's own.
        let program = Path::new(program).file_name().and_then(OsStr::to_str);
        let program = program.unwrap_or_default();
        // On Windows, Python takes the extension from `PATHEXT`, so it may be in capitals.
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

    /// Answers the client's request. `print` is for output before the request is read.
    pub(crate) fn run(self, print: &dyn Fn(&str) -> Result<()>) -> Result<Answer> {
        let arguments = self.arguments.into_iter().map(|word| {
            word.into_string()
                .map_err(|_| Error::usage("an argument is not UTF-8 text"))
        });
        let (arguments, profile) = take_profile(arguments.collect::<Result<_>>()?)?;
        if arguments
            .iter()
            .any(|word| word == "--help" || word == "-h")
        {
            return Ok(Answer::of(help(self.protocol)));
        }
        message::only_note_dialogs();
        let provider = ProfileTokens::new(profile.or(self.profile));
        let answer = (self.protocol.run)(&mut Call {
            arguments: &arguments,
            input: &mut BufReader::with_capacity(USUAL_REQUEST, platform::standard_input()),
            print,
            if_it_panics: &message::print_if_it_panics,
            variable: &|name| std::env::var(name).ok(),
            provider: &provider,
        });
        if provider.is_bound_elsewhere.get() {
            message::note("profiles are bound only to other paths of this server");
        }
        answer
    }
}

/// The tokens of this user's profiles, for a protocol.
struct ProfileTokens {
    /// None without a home directory. That is an error only where it is needed, so that the protocol
    /// reports it in its own format.
    stores: Option<(Profiles, Directories)>,
    /// The profile that the caller named. It is parsed where it is needed, for the same reason.
    name: Option<String>,
    /// Whether profiles are bound only to other paths of the server of the last URL that was looked up.
    /// A client may mean one of several URLs.
    is_bound_elsewhere: Cell<bool>,
    /// The token of the socket that the environment names, where there is no profile here.
    remote: RefCell<Option<CachedToken>>,
    /// The profiles that this call has loaded to list all bindings.
    loaded: RefCell<Vec<(ProfileName, Profile)>>,
}

impl ProfileTokens {
    fn new(name: Option<String>) -> Self {
        let directories = profiles::directories().ok();
        Self {
            stores: directories.map(|directories| (Profiles::of(&directories), directories)),
            name,
            is_bound_elsewhere: Cell::new(false),
            remote: RefCell::default(),
            loaded: RefCell::default(),
        }
    }

    fn stores(&self) -> Result<&(Profiles, Directories)> {
        policy::current()?;
        self.stores.as_ref().ok_or_else(disk::unknown_home)
    }

    /// The profile outside of this container that the socket stands for, if the environment names one.
    fn at_socket(
        &self,
        url: Option<&WebUrl>,
        name: Option<&str>,
    ) -> Result<Option<SelectedProfile>> {
        let name = name.or(self.name.as_deref());
        let Some(remote) = socket::token(url, name)? else {
            return Ok(None);
        };
        self.remote.replace(Some(remote.obtained.token));
        self.is_bound_elsewhere.set(false);
        Ok(Some(remote.selected))
    }

    /// Whether an error only says that there is no profile here.
    fn is_absent(&self, error: &Error) -> bool {
        error.kind == Kind::NotFound || self.stores.is_none()
    }

    fn find_here(&self, url: &WebUrl, name: Option<&str>) -> Result<Option<SelectedProfile>> {
        let name = match name {
            Some(name) => Some(ProfileName::parse(name)?),
            None => self.name()?,
        };
        let (profiles, _) = self.stores()?;
        let bound = profiles.bound_to_with(url, name.as_ref(), |name| {
            let loaded = self.loaded.borrow();
            match loaded.iter().find(|(loaded, _)| loaded == name) {
                Some((_, profile)) => Ok(profile.clone()),
                None => profiles.load(name),
            }
        })?;
        self.is_bound_elsewhere
            .set(matches!(bound, Bound::Elsewhere));
        Ok(match bound {
            Bound::By(selected) => Some(*selected),
            Bound::Elsewhere | Bound::ByNobody => None,
        })
    }

    fn name(&self) -> Result<Option<ProfileName>> {
        self.name.as_deref().map(ProfileName::parse).transpose()
    }
}

impl TokenProvider for ProfileTokens {
    fn find_bound(&self, url: &WebUrl, name: Option<&str>) -> Result<Option<SelectedProfile>> {
        match self.find_here(url, name) {
            Ok(None) => self.at_socket(Some(url), name),
            Err(error) if self.is_absent(&error) => {
                let remote = self.at_socket(Some(url), name)?;
                remote.map_or(Err(error), |remote| Ok(Some(remote)))
            }
            found => found,
        }
    }

    fn selected(&self) -> Result<SelectedProfile> {
        let found = self
            .stores()
            .and_then(|(profiles, _)| profiles.find(self.name.as_deref()));
        match found {
            Err(error) if self.is_absent(&error) => self.at_socket(None, None)?.ok_or(error),
            found => found,
        }
    }

    fn all_bindings(&self) -> Result<Vec<SelectedProfile>> {
        let name = self.name()?;
        let mut loaded = load_all(&self.stores()?.0, name.as_ref())?;
        // It is preferred for a URL, as in `find_bound`.
        if name.is_none()
            && let Some(found) = profiles::from_environment()?
        {
            loaded.insert(0, (found.name, found.profile));
        }
        let mut all = Vec::new();
        for (name, profile) in &loaded {
            for binding in &profile.bindings {
                all.push(SelectedProfile {
                    name: name.clone(),
                    profile: profile.clone(),
                    binding: Some(binding.clone()),
                    url: Some(binding.url.as_url().clone()),
                });
            }
        }
        self.loaded.replace(loaded);
        // A profile whose tokens no helper can use must not keep it from those of others.
        let is_bearer = |selected: &&SelectedProfile| selected.profile.dpop.is_none();
        if let Some(first) = all.first()
            && !all.iter().any(|selected| is_bearer(&selected))
        {
            return Err(bearer_only(&first.name));
        }
        all.retain(|selected| is_bearer(&selected));
        Ok(all)
    }

    fn token(
        &self,
        selected: &mut SelectedProfile,
        rejected: Option<Timestamp>,
    ) -> Result<CachedToken> {
        if let Some(token) = self.remote.borrow().clone() {
            return Ok(token);
        }
        let (profiles, directories) = self.stores()?;
        let rejected = rejected.and_then(|requested_at| {
            let cached = cache_entry(directories, selected).ok()?.token()?;
            (cached.requested_at == requested_at).then_some(cached.access_token)
        });
        let options = TokenOptions {
            force_refresh: rejected.is_some(),
            rejected,
            quiet: true,
            ..TokenOptions::default()
        };
        Ok(obtain(directories, profiles, &options, selected)?.token)
    }

    fn cached_token(&self, selected: &SelectedProfile) -> Option<CachedToken> {
        if let Some(token) = self.remote.borrow().clone() {
            return Some(token);
        }
        if selected.profile.dpop.is_some() {
            return None;
        }
        let (_, directories) = self.stores().ok()?;
        policy::current().ok()?.check(&selected.profile).ok()?;
        let token = cache_entry(directories, selected).ok()?.token()?;
        let now = Timestamp::now();
        let is_valid = token.is_valid_for(now, std::time::Duration::ZERO);
        if is_valid {
            message::step(|| format!("cache: has a token that is {}", token.validity(now)));
        }
        is_valid.then_some(token)
    }

    fn discard_token(&self, selected: &SelectedProfile, rejected: &AccessToken) {
        let entry = self.stores().and_then(|(_, it)| cache_entry(it, selected));
        let Ok(entry) = entry else {
            return;
        };
        let cached = entry.token();
        if cached.is_some_and(|token| token.access_token == *rejected) {
            entry.discard_token();
            if selected.profile.share.is_some() {
                entry.record_rejected(&fingerprint(rejected));
            }
        }
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

/// The cache entry of a profile's own request, without overrides.
fn cache_entry(directories: &Directories, selected: &SelectedProfile) -> Result<CacheEntry> {
    let request = request(selected, &TokenOptions::default());
    let mode = cache_mode(&selected.profile)?;
    Ok(Cache::of(directories, &selected.name).entry(&request, mode))
}

/// Loads every profile that can be read, or the selected one.
fn load_all(
    profiles: &Profiles,
    selected: Option<&ProfileName>,
) -> Result<Vec<(ProfileName, Profile)>> {
    if let Some(name) = selected {
        return Ok(vec![(name.clone(), profiles.load(name)?)]);
    }
    // Reported only if no other profile has a binding.
    let mut unreadable = None;
    let mut all = Vec::new();
    for name in profiles.names()? {
        match profiles.load(&name) {
            Ok(profile) => all.push((name, profile)),
            Err(error) => unreadable = unreadable.or(Some(error)),
        }
    }
    match unreadable {
        Some(error) if all.iter().all(|(_, profile)| profile.bindings.is_empty()) => Err(error),
        _ => Ok(all),
    }
}

/// The list of helpers, for the help text.
pub(crate) fn list() -> String {
    let rows = PROTOCOLS
        .iter()
        .map(|protocol| format!("  {:<22}{}\n", protocol.name, protocol.about));
    format!(
        "Helpers, run by other programs:\n{}",
        rows.collect::<String>()
    )
}

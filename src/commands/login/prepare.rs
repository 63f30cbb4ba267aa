//! The layers of a login: what was given, what a profile of this client has, the preset, the metadata.

use super::derived;
use super::dialogue::{self, Server};
use super::explain::explain;
use super::mcp::McpServer;
use super::options::Args;
use super::replace::{self, goes_elsewhere};
use crate::commands::OrNothing;
use crate::error::{Error, Kind, Result};
use crate::message;
use crate::oauth::Metadata;
use crate::platform::prompt::Attempts;
use crate::policy;
use crate::profile::headers::Headers;
use crate::profile::settings::presets::Preset;
use crate::profile::settings::{Layers, Setting, Settings};
use crate::profile::{CredentialKind, Profile, ProfileName, SecretSource};
use crate::profiles::{Profiles, name_given};
use crate::types::digest::unique;

/// A login without a name goes here: never to the only other profile there is, which it would replace.
const DEFAULT_NAME: &str = "default";

/// The settings of a profile that is imported.
pub(crate) struct Imported {
    pub(crate) given: Settings,
    /// Those that came from a preset or from metadata.
    pub(crate) derived: Settings,
}

/// A login under way.
pub(super) struct Login<'a> {
    pub(super) args: &'a Args,
    pub(super) profiles: &'a Profiles,
    pub(super) name: ProfileName,
    /// The profile of this name when the login began.
    pub(super) existing: Option<Profile>,
    /// The same, if this login is for the same client.
    pub(super) renewed: Option<Profile>,
    /// The profile of another client that goes.
    pub(super) replaced: Option<Profile>,
    pub(super) preset: Option<&'static Preset>,
    /// The server of `--mcp`.
    pub(super) mcp: Option<McpServer>,
    pub(super) layers: Layers,
    /// The secret headers, old and new. None until they are read.
    pub(super) secret_headers: Option<Headers>,
    /// The algorithms that the server lists for assertions.
    pub(super) algorithms: Vec<String>,
    /// Whether the server supports proofs of possession, as far as its metadata says.
    pub(super) offers_dpop: bool,
    pub(super) generation: String,
    /// How often a person may still type the secret.
    pub(super) attempts: Attempts,
}

impl<'a> Login<'a> {
    /// Finds out about all settings, and asks at the terminal for those that are missing.
    pub(super) fn prepare(
        args: &'a Args,
        profiles: &'a Profiles,
        imported: Option<Imported>,
    ) -> Result<Self> {
        if args.is_edit {
            return Self::prepare_edit(args, profiles);
        }
        let named = name_given(args.profile.as_deref())?;
        let is_named = named.is_some();
        let name = named.map_or_else(|| ProfileName::parse(DEFAULT_NAME), Ok)?;
        let existing = load(profiles, &name, args.replace)?;
        if existing.is_none() {
            name.check_new()?;
        }
        let mut login = Self::begin(args, profiles, name, existing)?;
        if let Some(Imported { given, derived }) = imported {
            login.layers.answered = given;
            login.layers.derived_before = derived;
        }
        let mut preset = login.given_preset()?;
        let mut metadata = None;
        login.discover_mcp_server()?;
        login.find_renewed(preset.as_ref());
        if login.renewed.is_none() {
            if !login.knows_server(preset.as_ref()) {
                match dialogue::ask_server(&login.layers)? {
                    Server::Preset(chosen, settings) => {
                        login.preset = Some(chosen);
                        preset = Some(*settings);
                    }
                    Server::Other(answers, found) => {
                        login.layers.answered = *answers;
                        metadata = found.map(|found| *found);
                    }
                }
                login.ask_for_the_client(preset.as_ref())?;
                if !is_named {
                    login.ask_name(preset.as_ref())?;
                }
            } else if login.needs_client_id(preset.as_ref()) {
                dialogue::ask_client_id(&mut login.layers, None)?;
            }
            login.find_renewed(preset.as_ref());
        }
        login.complete(preset, metadata)?;
        Ok(login)
    }

    /// A change of some settings of a profile that exists.
    fn prepare_edit(args: &'a Args, profiles: &'a Profiles) -> Result<Self> {
        let name = profiles.choose(args.profile.as_deref())?;
        let existing = profiles.load(&name)?;
        let mut login = Self::begin(args, profiles, name, Some(existing.clone()))?;
        let preset = login.given_preset()?;
        login.discover_mcp_server()?;
        login.renewed = Some(existing);
        login.complete(preset, None)?;
        Ok(login)
    }

    fn begin(
        args: &'a Args,
        profiles: &'a Profiles,
        name: ProfileName,
        existing: Option<Profile>,
    ) -> Result<Self> {
        Ok(Self {
            args,
            profiles,
            name,
            existing,
            renewed: None,
            replaced: None,
            preset: None,
            mcp: None,
            layers: Layers {
                given: args.settings(None)?,
                ..Layers::default()
            },
            algorithms: Vec::new(),
            offers_dpop: false,
            generation: unique()?,
            attempts: Attempts::new(),
            secret_headers: None,
        })
    }

    /// The layer of the preset that was named.
    fn given_preset(&mut self) -> Result<Option<Settings>> {
        let Some(name) = &self.args.provider else {
            return match self.args.set.as_slice() {
                [] => Ok(None),
                _ => Err(Error::usage("--set needs --provider with its preset")),
            };
        };
        let preset = derived::find_preset(name)?;
        let answers = preset.answers(&self.args.set);
        let mut answers = answers.map_err(|fault| Error::usage(format!("--set: {fault}")))?;
        self.preset = Some(preset);
        derived::of_preset(preset, &self.layers.given, &mut answers).map(Some)
    }

    fn knows_server(&self, preset: Option<&Settings>) -> bool {
        let layers = [&self.layers.given, &self.layers.answered];
        let mut layers = layers.into_iter().chain(preset);
        layers.any(|layer| !layer.token_endpoint.is_unset() || !layer.issuer.is_unset())
    }

    /// Whether this login is for the client that the existing profile is for: then it keeps its settings.
    fn find_renewed(&mut self, preset: Option<&Settings>) {
        let knows_server = self.knows_server(preset);
        let layers = [&self.layers.given, &self.layers.answered];
        let layers: Vec<_> = layers.into_iter().chain(preset).collect();
        let endpoint = layers.iter().find_map(|layer| layer.token_endpoint.value());
        let issuer = layers.iter().find_map(|layer| layer.issuer.value());
        let client_id = layers.iter().find_map(|layer| layer.client_id.value());
        let is_same = |profile: &&Profile| {
            !knows_server
                || (replace::is_same_server(profile, endpoint, issuer)
                    && client_id.is_none_or(|id| profile.client_id.as_ref() == Some(id)))
        };
        self.renewed = self.existing.as_ref().filter(is_same).cloned();
    }

    /// Whether the client ID has to be asked for. With an identity token, many servers need none.
    fn needs_client_id(&self, preset: Option<&Settings>) -> bool {
        let mut layers = [&self.layers.given, &self.layers.answered].into_iter();
        let is_known = |layer: &Settings| !layer.client_id.is_unset() || !layer.identity.is_unset();
        let presents_identity = preset.is_some_and(|preset| !preset.identity_role.is_unset());
        !layers.any(is_known) && !presents_identity
    }

    /// The client, where the server had to be asked for as well.
    fn ask_for_the_client(&mut self, preset: Option<&Settings>) -> Result<()> {
        if self.needs_client_id(preset) {
            dialogue::ask_client_id(&mut self.layers, None)?;
        }
        if preset.is_none() {
            dialogue::ask_audience_and_scope(&mut self.layers)?;
        }
        Ok(())
    }

    /// A name for the profile. One that another client has is not suggested.
    fn ask_name(&mut self, preset: Option<&Settings>) -> Result<()> {
        let layers = [Some(&self.layers.answered), preset];
        let mut layers = layers.into_iter().flatten();
        let endpoint = layers.find_map(|layer| layer.token_endpoint.value());
        let preset = self.preset.map(|preset| preset.name.to_owned());
        let suggested = preset
            .or_else(|| endpoint.and_then(replace::suggested_name))
            .unwrap_or_else(|| DEFAULT_NAME.to_owned());
        let is_free = |name: &ProfileName| !self.profiles.exists(name);
        self.name = dialogue::ask_name(&suggested, is_free)?;
        self.existing = load(self.profiles, &self.name, self.args.replace)?;
        Ok(())
    }

    /// Adds the layers that depend on the profile that there is.
    fn complete(&mut self, preset: Option<Settings>, metadata: Option<Metadata>) -> Result<()> {
        if let Some(renewed) = &self.renewed {
            self.layers.given = self.args.settings(Some(renewed))?;
            let renewed = renewed.clone();
            self.keep(&renewed);
        }
        self.bind_to_mcp_server()?;
        if let Some(preset) = preset {
            self.layers.set_preset(preset);
        }
        if self.renewed.is_none() {
            dialogue::propose_a_binding(&mut self.layers)?;
        }
        let metadata = match metadata {
            Some(metadata) => Some(metadata),
            // An edit changes only what is given.
            None if self.args.is_edit && self.args.issuer.is_none() && self.mcp.is_none() => None,
            None => derived::request_metadata(&self.layers)?,
        };
        if let Some(metadata) = metadata {
            self.layers.metadata = derived::of_metadata(&metadata, &self.layers);
            self.use_mcp_metadata(&metadata);
            self.algorithms = metadata.signing_algorithms;
            self.offers_dpop = metadata.dpop_algorithms.iter().any(|it| it == "ES256");
        }
        if let Some(preset) = self.preset.filter(|preset| !preset.note.is_empty()) {
            message::note(preset.note);
        }
        Ok(())
    }

    /// Takes over what a profile has. An edit that sends the secret elsewhere leaves the secret behind,
    /// also one in a file or of a command: the new one is asked for.
    pub(super) fn keep(&mut self, profile: &Profile) {
        self.layers.keep(profile);
        let is_secret = profile.client_auth.credential() == CredentialKind::Secret;
        let merged = self.layers.merge().ok();
        let goes_elsewhere = merged.is_some_and(|merged| goes_elsewhere(profile, &merged));
        if self.args.is_edit && is_secret && goes_elsewhere {
            let store = profile.item().map(|item| item.store);
            let item = SecretSource::new_item(store.unwrap_or_default());
            self.layers.kept.secret = Setting::Set(item);
        }
    }

    /// Before the secret is read.
    ///
    /// # Errors
    /// `Refused` if the administrator does not allow such a profile.
    pub(super) fn check_policy(&self) -> Result<()> {
        let policy = policy::current()?;
        if let Some(endpoint) = self.layers.find(|layer| &layer.token_endpoint) {
            policy.check_endpoint(endpoint)?;
        }
        if let Some(OrNothing(Some(url))) = &self.args.share {
            policy.check_share(url)?;
        }
        // What makes no profile is reported where it is merged.
        self.merge()
            .map_or(Ok(()), |profile| policy.check(&profile))
    }

    /// The profile that the layers make. Its item in a store has no name yet, and how its assertions
    /// are signed may depend on the key.
    pub(super) fn merge(&self) -> Result<Profile> {
        let profile = self.layers.merge();
        let mut profile = profile.map_err(|error| explain(&error, self.preset))?;
        profile.generation.clone_from(&self.generation);
        self.reject_unused_options(&profile)?;
        Ok(profile)
    }
}

/// The profile of this name, if there is one.
///
/// # Errors
/// Why it cannot be read: an unreadable profile is replaced only with `--replace`.
pub(super) fn load(
    profiles: &Profiles,
    name: &ProfileName,
    replace: bool,
) -> Result<Option<Profile>> {
    match profiles.load(name) {
        Ok(profile) => Ok(Some(profile)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(_) if replace => Ok(None),
        Err(error) => Err(error),
    }
}

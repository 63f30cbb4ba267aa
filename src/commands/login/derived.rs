//! The layers that a preset and the server's metadata make.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::dialogue;
use crate::error::{Error, Result};
use crate::message;
use crate::oauth::{Metadata, discover};
use crate::profile::settings::presets::Preset;
use crate::profile::settings::{Layers, Setting, Settings};
use crate::profile::{DEFAULT_TIMEOUT, TokenEndpoint};

/// The preset of this name.
///
/// # Errors
/// `Usage` when there is none.
pub(super) fn find_preset(name: &str) -> Result<&'static Preset> {
    Preset::find(name).ok_or_else(|| {
        Error::usage("unknown preset").hint("`hallpass login --provider help` lists them")
    })
}

/// The preset's layer. Asks for the answers that are needed and not there yet.
pub(super) fn of_preset(
    preset: &Preset,
    given: &Settings,
    answers: &mut BTreeMap<&'static str, String>,
) -> Result<Settings> {
    for question in preset.needed(given) {
        if !answers.contains_key(question.name) {
            answers.insert(question.name, dialogue::ask_preset_question(question)?);
        }
    }
    let settings = preset.settings(answers);
    settings.map_err(|fault| Error::usage(format!("the token URL {fault}")))
}

/// The metadata of the issuer, if the layers have one. It is requested at each login, and at no
/// other time.
pub(super) fn request_metadata(layers: &Layers) -> Result<Option<Metadata>> {
    let Some(issuer) = layers.find(|layer| &layer.issuer) else {
        return Ok(None);
    };
    let ca_file = layers.find(|layer| &layer.ca_file);
    discover(issuer, ca_file.map(PathBuf::as_path), timeout(layers)).map(Some)
}

/// How long a request may take.
pub(super) fn timeout(layers: &Layers) -> Duration {
    let timeout = layers.find(|layer| &layer.timeout_seconds);
    timeout.map_or(DEFAULT_TIMEOUT, |timeout| timeout.duration())
}

/// The metadata's layer, below the others: its endpoints depend on the method.
pub(super) fn of_metadata(metadata: &Metadata, layers: &Layers) -> Settings {
    let fitting = layers.fitting_methods();
    let mut listed = metadata.methods.iter();
    let first = listed.find_map(|name| fitting.iter().find(|method| method.as_str() == name));
    let above = [
        &layers.given,
        &layers.answered,
        &layers.kept,
        &layers.preset,
    ];
    let above = above.iter().find_map(|layer| layer.client_auth.value());
    if let (None, Some(first)) = (above, first) {
        message::note(&format!(
            "using {}, the first of the server's methods that can be used",
            first.as_str()
        ));
    }
    let before = || layers.derived_before.client_auth.value();
    let is_tls = above.or(first).or_else(before).copied();
    let is_tls = is_tls.unwrap_or(fitting[0]).is_tls();
    let has_certificate = layers.find(|layer| &layer.certificate).is_some()
        && layers.find(|layer| &layer.certificate_key).is_some();
    let presents_certificate = is_tls || has_certificate;
    let choose = |alias: &Option<TokenEndpoint>, usual: Option<&TokenEndpoint>| {
        let alias = alias.as_ref().filter(|_| presents_certificate);
        Setting::from(alias.or(usual).cloned())
    };
    let Metadata {
        token_endpoint,
        revocation_endpoint,
        introspection_endpoint,
        mtls_token_endpoint,
        mtls_revocation_endpoint,
        mtls_introspection_endpoint,
        ..
    } = metadata;
    Settings {
        token_endpoint: choose(mtls_token_endpoint, Some(token_endpoint)),
        revocation_endpoint: choose(mtls_revocation_endpoint, revocation_endpoint.as_ref()),
        introspection_endpoint: choose(
            mtls_introspection_endpoint,
            introspection_endpoint.as_ref(),
        ),
        client_auth: first.copied().into(),
        ..Settings::default()
    }
}

//! A profile for one call, made of environment variables: for CI, where nobody logs in and nothing
//! is kept but the token.

mod credential;
mod origins;
mod share;
mod variables;

use std::str::FromStr as _;

use credential::{SigningKey, dpop_key, jwt_key, set_credential};
pub(crate) use origins::variable_of;
pub(super) use variables::choice;
use variables::{
    bad, bindings, checked, choices, claims, headers, names_and_values, parameters, path, resource,
    seconds, switch, variable,
};

use crate::error::{Error, Result};
use crate::platform::disk::Directories;
use crate::policy;
use crate::profile::identity::{AssertionType, IdentityRole, IdentitySource, SubjectTokenType};
use crate::profile::selected::SelectedProfile;
use crate::profile::settings::presets::Preset;
use crate::profile::settings::{self, AssertionAudience, Layers, MergeError, Setting, Settings};
use crate::profile::trust::RecordedTrust;
use crate::profile::{
    BasicEncoding, BodyFormat, ClientAuth, JwtAlgorithm, Profile, ProfileName, TlsVersion,
    TokenEndpoint, TokenType,
};
use crate::types::checked_text::{ClientId, Scope};

/// It describes a profile.
const TOKEN_URL: &str = "HALLPASS_TOKEN_URL";
/// So does a preset.
const PROVIDER: &str = "HALLPASS_PROVIDER";

const AUTH: &str = "HALLPASS_AUTH";
const JWT_KEY: &str = "HALLPASS_JWT_KEY";
const JWT_ALG: &str = "HALLPASS_JWT_ALG";
const JWT_AUD: &str = "HALLPASS_JWT_AUD";
const SET: &str = "HALLPASS_SET";
const IDENTITY: &str = "HALLPASS_IDENTITY";
const CERT: &str = "HALLPASS_CERT";
const KEY: &str = "HALLPASS_KEY";

/// Whether `HALLPASS_TOKEN_URL` or `HALLPASS_PROVIDER` is set.
pub(crate) fn is_configured_by_env() -> Result<bool> {
    Ok(variable(TOKEN_URL)?.is_some() || variable(PROVIDER)?.is_some())
}

/// Where the files are. A profile from the environment needs none: without a home directory, only
/// the cache is missing.
///
/// # Errors
/// `Usage` when the home directory is unknown and the environment describes no profile.
pub(crate) fn directories() -> Result<Directories> {
    match Directories::locate() {
        Err(_) if is_configured_by_env()? => Ok(Directories::nowhere()),
        located => located,
    }
}

/// Whether there is a client ID without a token endpoint or a preset.
pub(super) fn client_id_is_set() -> Result<bool> {
    Ok(variable("HALLPASS_CLIENT_ID")?.is_some() && !is_configured_by_env()?)
}

/// The profile that the environment describes, if it describes one.
///
/// # Errors
/// `Usage` when a variable is missing or cannot be what it says.
pub(crate) fn from_environment() -> Result<Option<SelectedProfile>> {
    if !is_configured_by_env()? {
        return Ok(None);
    }
    let policy = policy::current()?;
    policy.check_user_profiles("a profile in the environment (HALLPASS_TOKEN_URL)")?;
    let mut layers = Layers {
        given: settings()?,
        ..Layers::default()
    };
    if layers.given.client_id.is_unset() && layers.given.identity.is_unset() {
        let described_by = if layers.given.token_endpoint.is_unset() {
            PROVIDER
        } else {
            TOKEN_URL
        };
        let missing = "HALLPASS_CLIENT_ID is not";
        return Err(
            Error::usage(format!("{described_by} is set but {missing}")).hint(format!(
                "set it too, or unset {described_by} to use a stored profile"
            )),
        );
    }
    if let Some(preset) = preset(&layers.given)? {
        layers.set_preset(preset);
    }
    let merged = layers.merge();
    let mut profile = merged.map_err(|error| explain(&error, layers.given.client_auth.value()))?;
    profile.trust = RecordedTrust::of_environment();
    reject_unused_options(&layers.given, &profile)?;
    policy.apply_share(&mut profile);
    Ok(Some(SelectedProfile {
        name: ProfileName::of_environment(),
        profile,
        binding: None,
        url: None,
    }))
}

/// The settings that the variables give.
fn settings() -> Result<Settings> {
    let endpoint = variable(TOKEN_URL)?.map(|url| {
        let endpoint = TokenEndpoint::parse(&url);
        endpoint.map_err(|fault| bad(TOKEN_URL, fault))
    });
    let mut given = Settings {
        token_endpoint: endpoint.transpose()?.into(),
        client_id: checked("HALLPASS_CLIENT_ID", ClientId::parse)?.into(),
        client_auth: choice::<ClientAuth>(AUTH)?.into(),
        body: choice::<BodyFormat>("HALLPASS_BODY")?.into(),
        basic_encoding: choice::<BasicEncoding>("HALLPASS_BASIC_ENCODING")?.into(),
        token_type: choice::<TokenType>("HALLPASS_TOKEN_TYPE")?.into(),
        grant_type: variable("HALLPASS_GRANT_TYPE")?.into(),
        audience: variable("HALLPASS_AUDIENCE")?.into(),
        scope: checked("HALLPASS_SCOPE", Scope::parse)?.into(),
        resource: resource()?.into(),
        parameters: settings::named(&parameters()?),
        headers: settings::named(&headers()?),
        bindings: bindings()?,
        ca_file: path("HALLPASS_CA_FILE")?.into(),
        timeout_seconds: seconds("HALLPASS_TIMEOUT")?.into(),
        default_ttl_seconds: seconds("HALLPASS_DEFAULT_TTL")?.into(),
        max_ttl_seconds: seconds("HALLPASS_MAX_TTL")?.into(),
        agent_socket: path("HALLPASS_AGENT_SOCKET")?.into(),
        dpop: switch("HALLPASS_DPOP")?,
        dpop_key: dpop_key()?.into(),
        tls_max: choice::<TlsVersion>("HALLPASS_TLS_MAX")?.into(),
        identity: checked(IDENTITY, IdentitySource::from_str)?.into(),
        identity_role: choice::<IdentityRole>("HALLPASS_IDENTITY_AS")?.into(),
        assertion_type: choice::<AssertionType>("HALLPASS_ASSERTION_TYPE")?.into(),
        subject_token_type: checked("HALLPASS_SUBJECT_TOKEN_TYPE", SubjectTokenType::from_str)?
            .into(),
        jwt_algorithm: choice::<JwtAlgorithm>(JWT_ALG)?.into(),
        jwt_audience: jwt_audience()?.into(),
        jwt_type: variable("HALLPASS_JWT_TYP")?.into(),
        jwt_key_id: variable("HALLPASS_JWT_KID")?.into(),
        jwt_certificate: path("HALLPASS_JWT_CERT")?.into(),
        jwt_headers: choices("HALLPASS_JWT_HEADER")?.into(),
        jwt_claims: settings::named(&claims()?),
        share: share::share()?.into(),
        ..Settings::default()
    };
    match (&given.dpop, given.dpop_key.value()) {
        (Setting::Unset, Some(_)) => given.dpop = Setting::Set(()),
        (Setting::Removed, Some(_)) => {
            return Err(Error::usage(
                "HALLPASS_DPOP_KEY is set but HALLPASS_DPOP is 0",
            ));
        }
        _ => {}
    }
    set_credential(&mut given)?;
    Ok(given)
}

/// The layer of the preset that is named, with its answers.
fn preset(given: &Settings) -> Result<Option<Settings>> {
    let answers = names_and_values(SET)?;
    let Some(name) = variable(PROVIDER)? else {
        return match answers.as_slice() {
            [] => Ok(None),
            _ => Err(Error::usage(format!("{SET} is set but {PROVIDER} is not"))),
        };
    };
    let preset = Preset::find(&name).ok_or_else(|| {
        let hint = "`hallpass login --provider help` lists the presets";
        bad(PROVIDER, "is not the name of a preset").hint(hint)
    })?;
    let answers = preset
        .answers(&answers)
        .map_err(|fault| Error::usage(format!("{SET}: {fault}")))?;
    if let Some(question) = preset
        .needed(given)
        .into_iter()
        .find(|it| !answers.contains_key(it.name))
    {
        let line = format!("{}={}", question.name, question.example);
        return Err(
            Error::usage(format!("preset {name} needs {} in {SET}", question.name))
                .hint(format!("add a line such as {line}")),
        );
    }
    let settings = preset.settings(&answers);
    settings.map(Some).map_err(|fault| bad(SET, fault))
}

/// Without one, it is the token endpoint.
fn jwt_audience() -> Result<Option<AssertionAudience>> {
    let audience = variable(JWT_AUD)?.map(|text| AssertionAudience::parse(&text));
    if audience == Some(AssertionAudience::Issuer) {
        let fault = "cannot be `issuer`: only a login discovers the issuer";
        return Err(bad(JWT_AUD, fault).hint("set it to the issuer's URL"));
    }
    Ok(audience)
}

/// A user who sets a variable expects that it is used.
fn reject_unused_options(given: &Settings, profile: &Profile) -> Result<()> {
    let method = profile.client_auth;
    if let Some(algorithm) = given.unfitting_algorithm(method) {
        let fault = format!("({}) does not fit {}", algorithm.as_str(), method.as_str());
        return Err(bad(JWT_ALG, &fault));
    }
    let without_effect = if method == ClientAuth::PrivateKeyJwt {
        None
    } else {
        match jwt_key()? {
            Some(SigningKey::Reference(_)) => Some("jwt-key"),
            Some(SigningKey::Command(_)) => Some("jwt-sign-command"),
            None => None,
        }
    };
    let Some(option) = without_effect.or_else(|| given.without_effect(profile)) else {
        return Ok(());
    };
    let variable = option.replace('-', "_").to_ascii_uppercase();
    let fault = format!("HALLPASS_{variable} has no effect with {}", method.as_str());
    Err(Error::usage(fault).hint(format!("unset it, or set {AUTH} to a method that uses it")))
}

/// Why the variables make no profile.
fn explain(error: &MergeError, method: Option<&ClientAuth>) -> Error {
    let method = method.map_or("the profile from the environment", |method| method.as_str());
    let missing = match error {
        MergeError::NoTokenEndpoint => TOKEN_URL,
        MergeError::NoClientId => "HALLPASS_CLIENT_ID",
        MergeError::NoIdentity => IDENTITY,
        MergeError::TwoAuthentications(method) => {
            let method = method.as_str();
            return Error::usage(format!(
                "{IDENTITY} authenticates the client, and so does {method}"
            ))
            .hint("unset one of them, or set HALLPASS_IDENTITY_AS to assertion or subject_token");
        }
        MergeError::NoKey => JWT_KEY,
        MergeError::NoCertificate => "HALLPASS_CERT and HALLPASS_KEY",
        MergeError::NoCertificateKey => KEY,
        MergeError::NoCertificateForKey => CERT,
        MergeError::NoIssuer => JWT_AUD,
        MergeError::NoCertificateForHeader => {
            let what = "HALLPASS_JWT_HEADER is set but HALLPASS_JWT_CERT is not";
            return Error::usage(what)
                .hint("set HALLPASS_JWT_CERT to the file of the key's certificate");
        }
        MergeError::Header(fault) => {
            return bad("HALLPASS_HEADER", &format!("cannot be used: {fault}"));
        }
    };
    Error::usage(format!("{method} needs {missing}"))
}

//! A profile for one call, made of environment variables: for CI, where nobody logs in and nothing
//! is kept but the token.

mod variables;

use std::ffi::OsString;
use std::str::FromStr as _;
use std::sync::OnceLock;

use variables::{
    bad, bindings, checked, choice, choices, claims, headers, names_and_values, parameters, path,
    resource, seconds, variable,
};

use crate::error::{Error, Result};
use crate::platform::disk::Directories;
use crate::profile::external_key::{CommandLine, KeyReference, SignCommand};
use crate::profile::identity::{AssertionType, IdentityRole, IdentitySource, SubjectTokenType};
use crate::profile::selected::SelectedProfile;
use crate::profile::settings::presets::Preset;
use crate::profile::settings::{
    self, AssertionAudience, KeyPlace, Layers, MergeError, Setting, Settings,
};
use crate::profile::trust::RecordedTrust;
use crate::profile::{
    BasicEncoding, BodyFormat, ClientAuth, JwtAlgorithm, Profile, ProfileName, SecretSource,
    TlsVersion, TokenEndpoint, TokenType,
};
use crate::types::checked_text::{ClientId, Scope};
use crate::types::secret::CLIENT_SECRET_VARIABLE;

/// The variable that says that there is such a profile.
const TOKEN_URL: &str = "HALLPASS_TOKEN_URL";
/// A preset says as much.
const PROVIDER: &str = "HALLPASS_PROVIDER";

const AUTH: &str = "HALLPASS_AUTH";
const SECRET_FILE: &str = "HALLPASS_CLIENT_SECRET_FILE";
const JWT_KEY: &str = "HALLPASS_JWT_KEY";
const JWT_SIGN_COMMAND: &str = "HALLPASS_JWT_SIGN_COMMAND";
const JWT_PUBLIC: &str = "HALLPASS_JWT_PUBLIC";
const JWT_ALG: &str = "HALLPASS_JWT_ALG";
const JWT_AUD: &str = "HALLPASS_JWT_AUD";
const SET: &str = "HALLPASS_SET";
const IDENTITY: &str = "HALLPASS_IDENTITY";
const CERT: &str = "HALLPASS_CERT";
const KEY: &str = "HALLPASS_KEY";

/// Whether the environment describes a profile, be it in full or not.
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

/// Whether a profile is described without the place where it gets its tokens.
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
        ..Settings::default()
    };
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

/// Where the secret is, or the private key and its passphrase, and the certificate.
fn set_credential(given: &mut Settings) -> Result<()> {
    let (certificate, key) = (path(CERT)?, key_reference(KEY)?);
    match (&certificate, &key) {
        (Some(_), None) => {
            return Err(
                Error::usage(format!("{CERT} is set but {KEY} is not")).hint(format!(
                    "set {KEY} to the file of the certificate's private key"
                )),
            );
        }
        (None, Some(_)) => {
            return Err(Error::usage(format!("{KEY} is set but {CERT} is not"))
                .hint(format!("set {CERT} to the file of the key's certificate")));
        }
        _ => {}
    }
    let jwt_key = jwt_key()?;
    if jwt_key.is_some() && given.client_auth.is_unset() {
        given.client_auth = Setting::Set(ClientAuth::PrivateKeyJwt);
    }
    let is_tls = match given.client_auth.value() {
        Some(method) => method.is_tls(),
        None => certificate.is_some(),
    };
    given.certificate = certificate.into();
    given.secret = match path(SECRET_FILE)? {
        Some(path) => Setting::Set(SecretSource::File(path)),
        None if given.identity.is_unset() || secret_is_set() => {
            Setting::Set(SecretSource::Env(CLIENT_SECRET_VARIABLE.to_owned()))
        }
        None => Setting::Unset,
    };
    let key = if is_tls {
        key.map(SigningKey::Reference)
    } else {
        given.certificate_key = key.into();
        jwt_key
    };
    let signs = given
        .client_auth
        .value()
        .is_some_and(|method| method.has_key());
    given.key = match key {
        Some(SigningKey::Command(command)) => Setting::Set(KeyPlace::SignCommand(command)),
        Some(SigningKey::Reference(KeyReference::Agent(key))) => Setting::Set(KeyPlace::Agent(key)),
        // An unencrypted key ignores the passphrase.
        Some(SigningKey::Reference(KeyReference::File(path))) if secret_is_set() => {
            Setting::Set(KeyPlace::EncryptedFile(path))
        }
        Some(SigningKey::Reference(KeyReference::File(path))) => Setting::Set(KeyPlace::File(path)),
        // The secret, be it the private key itself.
        None if secret_is_set() && signs => Setting::Set(KeyPlace::Secret),
        None => Setting::Unset,
    };
    if signs && given.key.is_unset() && !is_tls {
        return Err(Error::usage(format!("private_key_jwt needs {JWT_KEY}")));
    }
    Ok(())
}

/// The key that authenticates the client.
enum SigningKey {
    Reference(KeyReference),
    Command(SignCommand),
}

/// The key that signs assertions.
fn jwt_key() -> Result<Option<SigningKey>> {
    let key = key_reference(JWT_KEY)?;
    let command = checked(JWT_SIGN_COMMAND, CommandLine::parse)?;
    match (key, command, path(JWT_PUBLIC)?) {
        (Some(_), Some(_), _) => Err(Error::usage(format!(
            "{JWT_KEY} and {JWT_SIGN_COMMAND} are both set"
        ))
        .hint("unset one of them")),
        (None, Some(command), Some(public_file)) => Ok(Some(SigningKey::Command(SignCommand {
            command,
            public_file,
            public_key: None,
        }))),
        (_, Some(_), None) => Err(Error::usage(format!(
            "{JWT_SIGN_COMMAND} is set but {JWT_PUBLIC} is not"
        ))),
        (_, None, Some(_)) => Err(Error::usage(format!(
            "{JWT_PUBLIC} is set but {JWT_SIGN_COMMAND} is not"
        ))),
        (key, None, None) => Ok(key.map(SigningKey::Reference)),
    }
}

/// A key's file, or a key in an ssh-agent.
fn key_reference(name: &str) -> Result<Option<KeyReference>> {
    match variable(name)?.map(|text| KeyReference::from(OsString::from(text))) {
        Some(KeyReference::File(_)) => Ok(path(name)?.map(KeyReference::File)),
        Some(KeyReference::Agent(key)) if key.name.is_empty() => {
            let hint = "`hallpass login --jwt-key agent:` lists the keys in the ssh-agent";
            Err(bad(name, "names no key after `agent:`").hint(hint))
        }
        other => Ok(other),
    }
}

/// Whether there is a secret, or a passphrase. The variable is removed once it is read, so this is
/// remembered.
fn secret_is_set() -> bool {
    static IS_SET: OnceLock<bool> = OnceLock::new();
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    *IS_SET.get_or_init(|| set(CLIENT_SECRET_VARIABLE) || set(SECRET_FILE))
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

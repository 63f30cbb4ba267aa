//! A profile for one call, made of environment variables: for CI, where nobody logs in and nothing
//! is kept but the token.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use super::Answering;
use crate::binding::{Binding, BoundUrl};
use crate::disk::Directories;
use crate::duration;
use crate::error::{Error, Result};
use crate::headers::Headers;
use crate::profile::{
    ASSERTION_TYPE, Assertion, BasicEncoding, BodyFormat, ClientAuth, JwtAlgorithm, Profile,
    ProfileName, SecretSource, TokenEndpoint, TokenType, is_resource, is_standard_claim,
    is_standard_parameter,
};
use crate::secret::CLIENT_SECRET_VARIABLE;
use crate::trust::RecordedTrust;

/// The variable that says that there is such a profile.
const TOKEN_URL: &str = "HALLPASS_TOKEN_URL";

const AUTH: &str = "HALLPASS_AUTH";
const SECRET_FILE: &str = "HALLPASS_CLIENT_SECRET_FILE";
const JWT_KEY: &str = "HALLPASS_JWT_KEY";
const JWT_ALG: &str = "HALLPASS_JWT_ALG";
const CERT: &str = "HALLPASS_CERT";
const KEY: &str = "HALLPASS_KEY";

/// Whether the environment describes a profile, be it in full or not.
pub(crate) fn is_described() -> Result<bool> {
    Ok(variable(TOKEN_URL)?.is_some())
}

/// Where the files are. A profile from the environment needs none: without a home directory, only
/// the cache is missing.
///
/// # Errors
/// `Broken` when the home directory is unknown and the environment describes no profile.
pub(crate) fn directories() -> Result<Directories> {
    match Directories::locate() {
        Err(_) if is_described()? => Ok(Directories::nowhere()),
        located => located,
    }
}

/// Whether a profile is described without the place where it gets its tokens.
pub(super) fn client_id_is_set() -> Result<bool> {
    Ok(variable("HALLPASS_CLIENT_ID")?.is_some() && !is_described()?)
}

/// The profile that the environment describes, if it describes one.
///
/// # Errors
/// `Usage` when a variable is missing or cannot be what it says.
pub(crate) fn from_environment() -> Result<Option<Answering>> {
    let Some(token_url) = variable(TOKEN_URL)? else {
        return Ok(None);
    };
    let endpoint = TokenEndpoint::parse(&token_url).map_err(|fault| bad(TOKEN_URL, fault))?;
    let client_id = variable("HALLPASS_CLIENT_ID")?.ok_or_else(|| {
        Error::usage(format!("{TOKEN_URL} is set, and HALLPASS_CLIENT_ID is not"))
            .hint(format!("set it too, or unset {TOKEN_URL} to use a profile"))
    })?;
    let body = choice("HALLPASS_BODY", &BodyFormat::ALL, BodyFormat::as_str)?.unwrap_or_default();
    let basic_encoding = choice(
        "HALLPASS_BASIC_ENCODING",
        &BasicEncoding::ALL,
        BasicEncoding::as_str,
    )?;
    let token_type = match variable("HALLPASS_TOKEN_TYPE")?.as_deref() {
        None => None,
        Some("bearer") => Some(TokenType::Bearer),
        Some(_) => return Err(bad("HALLPASS_TOKEN_TYPE", "can only be bearer")),
    };
    let bindings = words("HALLPASS_FOR")?.into_iter().map(|url| {
        let url = BoundUrl::parse(&url).map_err(|fault| bad("HALLPASS_FOR", fault))?;
        Ok(Binding::of(url))
    });
    let mut profile = Profile {
        client_id,
        client_auth: method(body)?,
        body,
        basic_encoding: basic_encoding.unwrap_or_default(),
        token_type,
        grant_type: variable("HALLPASS_GRANT_TYPE")?,
        audience: variable("HALLPASS_AUDIENCE")?,
        scope: variable("HALLPASS_SCOPE")?,
        resource: resource()?,
        parameters: parameters()?,
        headers: headers()?,
        bindings: bindings.collect::<Result<_>>()?,
        ca_file: path("HALLPASS_CA_FILE")?,
        trust: RecordedTrust::of_environment(),
        timeout_seconds: seconds("HALLPASS_TIMEOUT")?,
        default_ttl_seconds: seconds("HALLPASS_DEFAULT_TTL")?,
        max_ttl_seconds: seconds("HALLPASS_MAX_TTL")?,
        ..Profile::new(endpoint)
    };
    set_credential(&mut profile)?;
    profile.assertion = assertion(&profile)?;
    refuse_what_has_no_effect(&profile)?;
    Ok(Some(Answering {
        name: ProfileName::of_environment(),
        profile,
        binding: None,
        url: None,
    }))
}

/// The method that is named, else the one that fits what there is to authenticate with.
fn method(body: BodyFormat) -> Result<ClientAuth> {
    if let Some(named) = choice(AUTH, &ClientAuth::ALL, ClientAuth::as_str)? {
        return Ok(named);
    }
    Ok(if variable(JWT_KEY)?.is_some() {
        ClientAuth::PrivateKeyJwt
    } else if variable(CERT)?.is_some() {
        ClientAuth::TlsClientAuth
    } else if body == BodyFormat::Json {
        // With a JSON body, servers expect the credentials in it, too.
        ClientAuth::ClientSecretPost
    } else {
        ClientAuth::ClientSecretBasic
    })
}

/// Where the secret is, or the private key and its passphrase, and the certificate.
fn set_credential(profile: &mut Profile) -> Result<()> {
    let method = profile.client_auth;
    let needs = |variable| Error::usage(format!("{} needs {variable}", method.as_str()));
    let (certificate, key) = (path(CERT)?, path(KEY)?);
    match (&certificate, &key) {
        (Some(_), None) => return Err(Error::usage(format!("{CERT} is set, and {KEY} is not"))),
        (None, Some(_)) => return Err(Error::usage(format!("{KEY} is set, and {CERT} is not"))),
        (None, None) if method.is_tls() => return Err(needs("HALLPASS_CERT and HALLPASS_KEY")),
        _ => profile.certificate = certificate,
    }
    profile.secret = match path(SECRET_FILE)? {
        Some(path) => SecretSource::File(path),
        None => SecretSource::Env(CLIENT_SECRET_VARIABLE.to_owned()),
    };
    let key_file = if method.is_tls() {
        key
    } else {
        profile.certificate_key = key;
        path(JWT_KEY)?.filter(|_| method == ClientAuth::PrivateKeyJwt)
    };
    match key_file {
        // If the key is not encrypted, it does not matter.
        Some(path) if secret_is_set() => profile.encrypted_key = Some(path),
        Some(path) => profile.secret = SecretSource::File(path),
        None if method.has_key() && !secret_is_set() => return Err(needs(JWT_KEY)),
        // The secret, be it the private key itself.
        None => {}
    }
    Ok(())
}

/// Whether there is a secret, or a passphrase. The variable is removed once it is read, so this is
/// remembered.
fn secret_is_set() -> bool {
    static IS_SET: OnceLock<bool> = OnceLock::new();
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    *IS_SET.get_or_init(|| set(CLIENT_SECRET_VARIABLE) || set(SECRET_FILE))
}

fn assertion(profile: &Profile) -> Result<Option<Assertion>> {
    if !profile.client_auth.has_assertion() {
        return Ok(None);
    }
    let algorithm = choice(JWT_ALG, &JwtAlgorithm::ALL, JwtAlgorithm::as_str)?;
    if let Some(algorithm) = algorithm
        && algorithm.is_hmac() == profile.client_auth.has_key()
    {
        let method = profile.client_auth.as_str();
        return Err(bad(JWT_ALG, &format!("does not fit {method}")));
    }
    let audience = match variable("HALLPASS_JWT_AUD")?.as_deref() {
        None | Some("token_endpoint") => profile.token_endpoint.as_str().to_owned(),
        Some("issuer") => {
            let fault = "cannot be `issuer`: only a login finds out about the issuer";
            return Err(bad("HALLPASS_JWT_AUD", fault).hint("set it to the issuer's URL"));
        }
        Some(literal) => literal.to_owned(),
    };
    let mut claims = BTreeMap::new();
    for (name, value) in names_and_values("HALLPASS_JWT_CLAIM")? {
        if is_standard_claim(&name) {
            return Err(bad("HALLPASS_JWT_CLAIM", &format!("cannot set `{name}`")));
        }
        claims.insert(name, value);
    }
    let typ = variable("HALLPASS_JWT_TYP")?;
    Ok(Some(Assertion {
        algorithm,
        audience,
        typ: typ.unwrap_or_else(|| ASSERTION_TYPE.to_owned()),
        key_id: variable("HALLPASS_JWT_KID")?,
        certificate: path("HALLPASS_JWT_CERT")?,
        claims,
    }))
}

/// Whoever sets a variable believes that it is used.
fn refuse_what_has_no_effect(profile: &Profile) -> Result<()> {
    let method = profile.client_auth;
    let has_assertion = method.has_assertion();
    for (name, has_effect) in [
        (JWT_KEY, method == ClientAuth::PrivateKeyJwt),
        (JWT_ALG, has_assertion),
        ("HALLPASS_JWT_KID", has_assertion),
        ("HALLPASS_JWT_AUD", has_assertion),
        ("HALLPASS_JWT_TYP", has_assertion),
        ("HALLPASS_JWT_CERT", has_assertion),
        ("HALLPASS_JWT_CLAIM", has_assertion),
        (
            "HALLPASS_BASIC_ENCODING",
            method == ClientAuth::ClientSecretBasic,
        ),
    ] {
        if !has_effect && std::env::var_os(name).is_some_and(|value| !value.is_empty()) {
            let fault = format!("{name} has no effect with {}", method.as_str());
            return Err(Error::usage(fault).hint(format!("unset it, or set {AUTH}")));
        }
    }
    Ok(())
}

fn resource() -> Result<Vec<String>> {
    let resource = words("HALLPASS_RESOURCE")?;
    if resource.iter().all(|resource| is_resource(resource)) {
        return Ok(resource);
    }
    let fault = "is not an absolute URI without a fragment";
    Err(bad("HALLPASS_RESOURCE", fault))
}

fn parameters() -> Result<BTreeMap<String, String>> {
    let mut parameters = BTreeMap::new();
    for (name, value) in names_and_values("HALLPASS_PARAM")? {
        if is_standard_parameter(&name) {
            let fault = format!(
                "cannot set `{name}`: it has a variable of its own, or only hallpass sets it"
            );
            return Err(bad("HALLPASS_PARAM", &fault));
        }
        parameters.insert(name, value);
    }
    Ok(parameters)
}

fn headers() -> Result<Headers> {
    let mut headers = Headers::default();
    for (name, value) in names_and_values("HALLPASS_HEADER")? {
        let fault = |fault: String| bad("HALLPASS_HEADER", &format!("cannot be used: {fault}"));
        headers.set(&name, &value).map_err(fault)?;
    }
    Ok(headers)
}

/// One of several names.
fn choice<T: Copy>(name: &str, all: &[T], spelling: fn(T) -> &'static str) -> Result<Option<T>> {
    let Some(given) = variable(name)? else {
        return Ok(None);
    };
    let known = all.iter().copied().find(|known| spelling(*known) == given);
    known.map(Some).ok_or_else(|| {
        let all: Vec<_> = all.iter().map(|known| spelling(*known)).collect();
        bad(name, &format!("is not one of {}", all.join(", ")))
    })
}

fn seconds(name: &str) -> Result<Option<u64>> {
    let Some(given) = variable(name)? else {
        return Ok(None);
    };
    match duration::parse(&given) {
        Ok(time) if time.as_secs() > 0 => Ok(Some(time.as_secs())),
        _ => Err(bad(
            name,
            "is not a number of seconds of at least 1, or a duration such as 90s, 5m, 2h or 1d",
        )),
    }
}

/// `NAME=VALUE`, one in each line.
fn names_and_values(name: &str) -> Result<Vec<(String, String)>> {
    let text = match std::env::var(name) {
        Ok(text) => text,
        Err(std::env::VarError::NotPresent) => return Ok(Vec::new()),
        Err(std::env::VarError::NotUnicode(_)) => return Err(bad(name, "is not UTF-8 text")),
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let pair = |line: &str| match line.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() && !line.contains(char::is_control) => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err(bad(name, "is not NAME=VALUE, one in each line")),
    };
    lines.map(pair).collect()
}

/// An empty variable is none.
fn variable(name: &str) -> Result<Option<String>> {
    match std::env::var(name) {
        Ok(value) if value.contains(char::is_control) => {
            Err(bad(name, "holds a control character"))
        }
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(bad(name, "is not UTF-8 text")),
    }
}

fn words(name: &str) -> Result<Vec<String>> {
    let value = variable(name)?.unwrap_or_default();
    Ok(value.split_whitespace().map(str::to_owned).collect())
}

fn path(name: &str) -> Result<Option<PathBuf>> {
    let given = variable(name)?.map(std::path::absolute);
    given
        .transpose()
        .map_err(|error| bad(name, "is no path").because(error))
}

/// The value is not repeated: it may be a secret in the wrong variable.
fn bad(name: &str, fault: &str) -> Error {
    Error::usage(format!("the environment variable {name} {fault}"))
}

//! A profile for one call, made of environment variables: for CI, where nobody logs in and nothing
//! is kept but the token.

use std::path::PathBuf;

use super::Answering;
use crate::binding::{Binding, BoundUrl};
use crate::error::{Error, Result};
use crate::profile::{
    BodyFormat, ClientAuth, Profile, ProfileName, SecretSource, TokenEndpoint, TokenType,
};
use crate::secret::CLIENT_SECRET_VARIABLE;
use crate::trust::RecordedTrust;

/// The variable that says that there is such a profile.
const TOKEN_URL: &str = "HALLPASS_TOKEN_URL";

/// Whether the environment describes a profile, be it in full or not.
pub(crate) fn is_described() -> Result<bool> {
    Ok(variable(TOKEN_URL)?.is_some())
}

/// Whether somebody meant to describe a profile, and left out where it gets its tokens.
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
    let body = match variable("HALLPASS_BODY")?.as_deref() {
        None | Some("form") => BodyFormat::Form,
        Some("json") => BodyFormat::Json,
        Some(_) => return Err(bad("HALLPASS_BODY", "is neither form nor json")),
    };
    let client_auth = match (variable("HALLPASS_AUTH")?.as_deref(), body) {
        // With a JSON body, servers expect the credentials in it, too.
        (Some("client_secret_post"), _) | (None, BodyFormat::Json) => ClientAuth::ClientSecretPost,
        (Some("client_secret_basic") | None, _) => ClientAuth::ClientSecretBasic,
        (Some(_), _) => {
            let fault = "is neither client_secret_basic nor client_secret_post";
            return Err(bad("HALLPASS_AUTH", fault).hint("other methods need a `hallpass login`"));
        }
    };
    let token_type = match variable("HALLPASS_TOKEN_TYPE")?.as_deref() {
        None => None,
        Some("bearer") => Some(TokenType::Bearer),
        Some(_) => return Err(bad("HALLPASS_TOKEN_TYPE", "can only be bearer")),
    };
    let secret = match path("HALLPASS_CLIENT_SECRET_FILE")? {
        Some(path) => SecretSource::File(path),
        None => SecretSource::Env(CLIENT_SECRET_VARIABLE.to_owned()),
    };
    let resource = words("HALLPASS_RESOURCE")?;
    let bindings = words("HALLPASS_FOR")?.into_iter().map(|url| {
        let url = BoundUrl::parse(&url).map_err(|fault| bad("HALLPASS_FOR", fault))?;
        Ok(Binding::of(url))
    });
    Ok(Some(Answering {
        name: ProfileName::of_environment(),
        profile: Profile {
            client_id,
            client_auth,
            body,
            token_type,
            audience: variable("HALLPASS_AUDIENCE")?,
            scope: variable("HALLPASS_SCOPE")?,
            resource,
            bindings: bindings.collect::<Result<_>>()?,
            ca_file: path("HALLPASS_CA_FILE")?,
            trust: RecordedTrust::of_environment(),
            secret,
            ..Profile::new(endpoint)
        },
        binding: None,
        url: None,
    }))
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

//! Tokens of a `hallpass serve --socket` outside of a container, for one that has no profiles.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::obtain::Obtained;
use crate::error::{Error, Kind, Result};
use crate::message;
use crate::platform;
use crate::policy;
use crate::profile::ProfileName;
use crate::profile::binding::Binding;
use crate::profile::selected::SelectedProfile;
use crate::types::checked_text::Scope;
use crate::types::secret::AccessToken;
use crate::types::token::{CachedToken, Timestamp};
use crate::types::web_url::{WebUrl, encode_all_reserved};

/// The variable that names the socket.
pub(super) const VARIABLE: &str = "HALLPASS_SOCKET";

/// What a policy may not allow.
const TOKENS: &str = "tokens from HALLPASS_SOCKET";

/// How long the other hallpass may take: it may have to request a token, or to open a keychain.
const LIMIT: Duration = Duration::from_secs(120);

/// The longest text of another program in a message.
const TEXT_LIMIT: usize = message::FOREIGN_TEXT_LIMIT;

/// The response with a token.
#[derive(Deserialize)]
struct Issued {
    access_token: String,
    token_type: String,
    expires_in: u64,
    scope: Option<String>,
    binding: Option<Binding>,
}

/// The response without one.
#[derive(Deserialize)]
struct Refused {
    error_description: String,
}

/// A token, and a profile that stands for the one outside.
pub(super) struct Remote {
    pub(super) obtained: Obtained,
    pub(super) selected: SelectedProfile,
}

/// Asks the hallpass at the socket, if the environment names one. None if it does not, or if that
/// profile has another name or is not bound to the URL.
///
/// Called only after there was no profile here: a cached token is found without it.
pub(super) fn token(url: Option<&WebUrl>, profile: Option<&str>) -> Result<Option<Remote>> {
    let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let policy = policy::current()?;
    policy.check_serve(TOKENS)?;
    policy.check_user_profiles(TOKENS)?;
    let mut form = "grant_type=client_credentials".to_owned();
    for (name, value) in [("url", url.map(WebUrl::as_str)), ("profile", profile)] {
        if let Some(value) = value {
            form.extend(["&", name, "=", &encode_all_reserved(value)]);
        }
    }
    let path = Path::new(&path);
    let shown = path.display();
    message::step(|| format!("socket: {shown}"));
    let length = form.len();
    let request = format!(
        "POST /token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
        Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
    );
    let response = platform::ask_socket(path, request.as_bytes(), LIMIT);
    let response = response.map_err(|error| {
        Error::unavailable(format!("cannot use the socket {shown} ({VARIABLE})")).because(error)
    })?;
    let unusable = || Error::unavailable(format!("hallpass does not listen on {shown}"));
    let text = str::from_utf8(&response).map_err(|_| unusable())?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(unusable)?;
    match head.split(' ').nth(1) {
        Some("200") => read(body, url).ok_or_else(unusable).map(Some),
        Some("404") => Ok(None),
        status => {
            let refused: Refused = serde_json::from_str(body).map_err(|_| unusable())?;
            let kind = match status {
                Some("503") => Kind::Unavailable,
                _ => Kind::Refused,
            };
            Err(Error::new(
                kind,
                message::clean(&refused.error_description, TEXT_LIMIT),
            ))
        }
    }
}

fn read(body: &str, url: Option<&WebUrl>) -> Option<Remote> {
    let issued: Issued = serde_json::from_str(body).ok()?;
    let now = Timestamp::now();
    let token = CachedToken {
        access_token: AccessToken::parse(&issued.access_token)?,
        token_type: issued.token_type,
        scope: issued.scope,
        members: BTreeMap::new(),
        requested_at: now,
        expires_at: now.plus(Duration::from_secs(issued.expires_in)),
        proof_key: None,
        warning: None,
    };
    let is_for = |binding: &Binding| url.is_some_and(|url| binding.url.covers(url));
    if url.is_some() && !issued.binding.as_ref().is_some_and(is_for) {
        return None;
    }
    let profile = json!({
        "format": 1,
        "generation": "socket",
        "token_endpoint": "http://localhost/",
        "client_auth": "none",
        "for": issued.binding.iter().collect::<Vec<_>>(),
    });
    let selected = SelectedProfile {
        name: ProfileName::parse("socket").ok()?,
        profile: serde_json::from_value(profile).ok()?,
        binding: issued.binding,
        url: url.cloned(),
    };
    let obtained = Obtained {
        token,
        scope: None::<Scope>,
        is_new: false,
        is_unsaved: false,
        failure: None,
    };
    Some(Remote { obtained, selected })
}

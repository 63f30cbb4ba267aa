//! A login that meets another one of the same name: a renewal keeps its settings, and another
//! client is replaced only if the user says so.

use super::prepare::Login;
use crate::error::{Error, Result};
use crate::message;
use crate::platform::prompt;
use crate::profile::binding::Binding;
use crate::profile::{Profile, ProfileName, SecretSource, TokenEndpoint};

/// Parts of a host's name that say nothing about whose it is.
const COMMON_LABELS: [&str; 12] = [
    "accounts", "api", "auth", "id", "identity", "idp", "login", "oauth", "oauth2", "sso", "token",
    "www",
];

/// Whether two profiles are for one client of one authorization server.
pub(super) fn is_same_client(one: &Profile, other: &Profile) -> bool {
    let issuer = other.issuer.as_ref();
    is_same_server(one, Some(&other.token_endpoint), issuer) && one.client_id == other.client_id
}

/// Whether a profile is for the authorization server with this token endpoint or this issuer.
pub(super) fn is_same_server(
    profile: &Profile,
    endpoint: Option<&TokenEndpoint>,
    issuer: Option<&String>,
) -> bool {
    endpoint == Some(&profile.token_endpoint)
        || (issuer.is_some() && issuer == profile.issuer.as_ref())
}

/// Whether the secret of the profile would go to another server, or be presented as another client or in
/// another way.
pub(super) fn goes_elsewhere(before: &Profile, after: &Profile) -> bool {
    let origins = |profile: &Profile| {
        let revocation = profile.revocation_endpoint.as_ref();
        let endpoints = [Some(&profile.token_endpoint), revocation]
            .into_iter()
            .flatten();
        endpoints
            .map(|it| it.origin().to_owned())
            .collect::<Vec<_>>()
    };
    let known = origins(before);
    before.token_endpoint != after.token_endpoint
        || before.client_id != after.client_id
        || before.client_auth != after.client_auth
        || origins(after).iter().any(|origin| !known.contains(origin))
}

/// Asks before another client is replaced. Without a terminal, that takes `--replace`.
///
/// # Errors
/// `Usage` when it is not to be replaced.
pub(super) fn confirm(
    name: &ProfileName,
    existing: &Profile,
    profile: &Profile,
    replace: bool,
) -> Result<()> {
    if replace || is_same_client(existing, profile) {
        return Ok(());
    }
    let taken = format!("profile {name} is {}", client_of(existing));
    let refused = || {
        Error::usage(taken.clone())
            .hint(format!(
                "to keep both, choose another name: hallpass login {} ...",
                suggested_name(&profile.token_endpoint)
                    .as_deref()
                    .unwrap_or("NAME")
            ))
            .hint("to replace it, with its secret, settings and URLs: add --replace")
    };
    if !prompt::can_ask() {
        return Err(refused());
    }
    message::note(&format!(
        "{taken}; its secret, settings and URLs would be lost"
    ));
    if prompt::confirm(&format!("Replace profile {name}?"), false)? {
        return Ok(());
    }
    Err(refused())
}

/// Whether the login may still be committed, now that nobody else can change the profile.
///
/// # Errors
/// `Usage` when another client was logged in meanwhile.
pub(super) fn check_current(
    name: &ProfileName,
    existing: Option<&Profile>,
    current: Option<&Profile>,
    profile: &Profile,
    replace: bool,
) -> Result<()> {
    let Some(current) = current else {
        return Ok(());
    };
    let is_known = existing.is_some_and(|existing| existing.generation == current.generation);
    if is_known || replace || is_same_client(current, profile) {
        return Ok(());
    }
    Err(Error::usage(format!(
        "another login replaced profile {name}: it is now {}",
        client_of(current)
    ))
    .hint("nothing was changed: log in again under another name, or add --replace"))
}

/// Adds the bindings that were added while the login waited.
pub(super) fn add_new_bindings(
    bindings: &mut Vec<Binding>,
    existing: Option<&Profile>,
    current: &Profile,
) {
    let known = existing.map_or(&[][..], |existing| &existing.bindings);
    let has = |all: &[Binding], new: &Binding| all.iter().any(|binding| binding.url == new.url);
    for new in &current.bindings {
        if !has(known, new) && !has(bindings, new) {
            bindings.push(new.clone());
        }
    }
}

/// As a message names a client.
pub(super) fn client_of(profile: &Profile) -> String {
    format!(
        "client {} at {}",
        profile.client(),
        profile.token_endpoint.as_str()
    )
}

/// A name that says whose server it is: `blooma` for `login.blooma.ai`.
pub(super) fn suggested_name(endpoint: &TokenEndpoint) -> Option<String> {
    let origin = endpoint.origin();
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    let host = host.split(':').next().unwrap_or_default();
    let is_address = host.starts_with('[') || host.ends_with(|c: char| c.is_ascii_digit());
    let mut telling = host.split('.');
    let name = telling.find(|label| !COMMON_LABELS.contains(label))?;
    let name = ProfileName::parse(name).ok().filter(|_| !is_address)?;
    Some(name.to_string())
}

impl Login<'_> {
    /// Says what the login replaced, and what it left where it was.
    pub(super) fn report_replaced(&self, profile: &Profile) {
        if self
            .renewed
            .as_ref()
            .is_some_and(|before| before.previous_secret().is_some())
            && profile.previous_secret().is_none()
        {
            message::note("the secret that `hallpass rotate --keep-old` kept was removed");
        }
        let before = self
            .renewed
            .as_ref()
            .and_then(|before| before.secret_expires);
        let is_lost =
            profile.secret_expires.is_none() && self.layers.given.secret_expires.is_unset();
        if let Some(before) = before.filter(|_| is_lost) {
            message::note(&format!(
                "the expiry date {before} was the previous secret's and was removed; --secret-expires sets a new one"
            ));
        }
        if let Some(replaced) = &self.replaced {
            let client = client_of(replaced);
            message::note(&format!("it replaced {client}"));
        }
        let moved = self
            .moving(profile)
            .and_then(|before| before.secret.as_ref());
        if let Some(SecretSource::File(path)) = moved {
            message::note(&format!(
                "the secret is also still in {}; delete it there if nothing else uses it",
                path.display()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggested_name_says_whose_server_it_is() {
        for (url, name) in [
            ("https://login.blooma.ai/oauth/token", "blooma"),
            ("https://acme.eu.auth0.com/oauth/token", "acme"),
            ("https://a.example:8443/token", "a"),
            ("http://127.0.0.1:8080/token", ""),
            ("http://[::1]:8080/token", ""),
        ] {
            let endpoint = TokenEndpoint::parse(url).expect("a URL");
            let suggested = suggested_name(&endpoint).unwrap_or_default();
            assert_eq!(suggested, name, "{url}");
        }
    }
}

//! Docker, Podman, Skopeo, Helm and ORAS: docker-credential-helpers.
//!
//! The clients read errors from standard output. [`NOT_FOUND`] is the one that makes them go on
//! without credentials.

use serde::Serialize;
use serde_json::Map;

use super::{Answer, Call, Protocol, read_to_end};
use crate::error::{Error, Result};
use crate::profile::binding::{Binding, Scheme};
use crate::profile::selected::SelectedProfile;
use crate::types::web_url::WebUrl;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "docker-credential",
    link: Some("docker-credential-hallpass"),
    about: "Docker, Podman, Skopeo, Helm: a credential helper (credHelpers)",
    run,
};

const NOT_FOUND: &str = "credentials not found in native keychain";

/// The user name by which the clients know that the secret is an identity token.
const IDENTITY_TOKEN: &str = "<token>";

fn run(call: &mut Call<'_>) -> Result<Answer> {
    match call.arguments.first().map(String::as_str) {
        Some("get") => {
            Ok(get(call).unwrap_or_else(|error| failure(error.to_string(), Some(error))))
        }
        Some("list") => list(call),
        Some("version") => Ok(Answer::of(concat!(
            "docker-credential-hallpass (hallpass) v",
            env!("CARGO_PKG_VERSION"),
            "\n"
        ))),
        Some("store") => Ok(failure(
            "hallpass does not store passwords; to add a client, run `hallpass login`",
            None,
        )),
        Some("erase") => erase(call),
        _ => Err(Error::usage(
            "unknown command; use get, list, store, erase or version",
        )),
    }
}

/// `docker logout`: the profile stays logged in, but the next `get` requests a new token. The
/// clients have no other way to report a rejected token.
fn erase(call: &mut Call<'_>) -> Result<Answer> {
    let server = String::from_utf8(read_to_end(call.input)?).unwrap_or_default();
    let server = server.strip_suffix('\n').unwrap_or(&server);
    for url in urls(server) {
        if let Some(selected) = call.provider.bound_to(&url)?
            && let Some(token) = call.provider.cached_token(&selected)
        {
            call.provider.discard_token(&selected, &token.access_token);
        }
    }
    Ok(Answer::nothing())
}

fn failure(text: impl Into<String>, error: Option<Error>) -> Answer {
    Answer {
        text: format!("{}\n", text.into()),
        error,
        exit_code: 1,
    }
}

fn get(call: &mut Call<'_>) -> Result<Answer> {
    let server = String::from_utf8(read_to_end(call.input)?).unwrap_or_default();
    let server = server.strip_suffix('\n').unwrap_or(&server);
    let mut found = None;
    for url in urls(server) {
        found = call.provider.bound_to(&url)?;
        if found.is_some() {
            break;
        }
    }
    let Some(mut selected) = found else {
        return Ok(failure(NOT_FOUND, None));
    };
    let token = call.provider.token(&mut selected, None)?;
    Ok(Answer::line(&Credentials {
        secret: token.access_token.expose(),
        server_url: server,
        username: username(&selected),
    }))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials<'a> {
    secret: &'a str,
    #[serde(rename = "ServerURL")]
    server_url: &'a str,
    username: &'a str,
}

/// The URLs that a server name may mean. Without a scheme it is https, and for loopback hosts also
/// http, as in the clients.
fn urls(server: &str) -> Vec<WebUrl> {
    let parse = |url: &str| WebUrl::parse(url).ok().filter(|url| !url.has_query());
    if server.contains("://") {
        return parse(server).into_iter().collect();
    }
    let Some(https) = parse(&["https://", server].concat()) else {
        return Vec::new();
    };
    // Most hosts are not loopback, and need not be parsed twice.
    let http = https
        .is_loopback()
        .then(|| parse(&["http://", server].concat()))
        .flatten();
    [https].into_iter().chain(http).collect()
}

fn username(selected: &SelectedProfile) -> &str {
    match &selected.binding {
        Some(binding) if binding.scheme == Some(Scheme::IdentityToken) => IDENTITY_TOKEN,
        binding => binding.as_ref().map(Binding::username).unwrap_or_default(),
    }
}

/// The hosts that a client can ask for: it never asks for a path.
fn list(call: &mut Call<'_>) -> Result<Answer> {
    let mut names = Map::new();
    for bound in call.provider.all_bindings()? {
        if let Some(binding) = bound
            .binding
            .as_ref()
            .filter(|binding| binding.url.is_web() && binding.url.prefix().is_empty())
        {
            let origin = binding.url.origin();
            // The clients expect the host without the scheme.
            if let Some((_, host)) = origin.split_once("://") {
                names.insert(host.to_owned(), username(&bound).into());
            }
        }
    }
    Ok(Answer::line(&names))
}

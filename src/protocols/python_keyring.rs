//! The `keyring` program that pip, uv and twine run, with the three output formats that they use.
//!
//! They send Basic credentials. They ask for a URL or a bare host. Not found is exit code 1.

use serde_json::json;

use super::{Answer, Call, Protocol};
use crate::error::Result;
use crate::profile::binding::Binding;
use crate::types::web_url::WebUrl;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "keyring",
    link: Some("keyring"),
    about: "pip, uv: the keyring program (link: keyring, in a directory of its own)",
    run,
};

enum Format {
    Password,
    /// The user name, then the password.
    Lines,
    Json,
}

#[expect(clippy::unnecessary_wraps, reason = "other protocols can fail")]
fn run(call: &mut Call<'_>) -> Result<Answer> {
    let mut format = Format::Password;
    let mut positional = Vec::new();
    let mut arguments = call.arguments.iter().map(String::as_str);
    while let Some(argument) = arguments.next() {
        match argument.split_once('=').unwrap_or((argument, "")) {
            (option @ ("--mode" | "--output"), value) => {
                let value = if value.is_empty() {
                    arguments.next().unwrap_or_default()
                } else {
                    value
                };
                format = match (option, value) {
                    ("--output", "json") => Format::Json,
                    ("--mode", "creds") if !matches!(format, Format::Json) => Format::Lines,
                    _ => format,
                };
            }
            // Unknown options are ignored: after an error, pip would report an outdated keyring.
            _ if argument.starts_with('-') => {}
            _ => positional.push(argument),
        }
    }
    let not_found = Answer {
        exit_code: 1,
        ..Answer::default()
    };
    let ["get", service, user @ ..] = positional.as_slice() else {
        return Ok(not_found);
    };
    // Mercurial uses the service name "Mercurial", and puts the URL after the user.
    let (service, user) = match (*service, user) {
        ("Mercurial", [user, ..]) => match user.split_once("@@") {
            Some((user, url)) => (url, Some(user)),
            None => return Ok(not_found),
        },
        (service, user) => (service, user.first().copied()),
    };
    let Some(url) = url(service) else {
        return Ok(not_found);
    };
    // The user name is printed on a line of its own.
    if user.is_some_and(|user| user.contains(char::is_control)) {
        return Ok(not_found);
    }
    // The client only learns that nothing was found. The reason is for the user, on standard error.
    let found = match call.provider.bound_to(&url) {
        Ok(None) => return Ok(not_found),
        Ok(Some(mut selected)) => call
            .provider
            .token(&mut selected, None)
            .map(|token| (selected, token)),
        Err(error) => Err(error),
    };
    let (selected, token) = match found {
        Ok(found) => found,
        Err(error) => {
            return Ok(Answer {
                error: Some(error),
                ..not_found
            });
        }
    };
    let token = token.access_token.expose();
    // A user name in the binding is the only one that the server accepts.
    let binding = selected.binding.as_ref();
    let bound_username = binding.and_then(|binding| binding.username.as_deref());
    let user = bound_username
        .or(user)
        .or(binding.map(Binding::username))
        .unwrap_or_default();
    Ok(match format {
        Format::Password => Answer::of(format!("{token}\n")),
        Format::Lines => Answer::of(format!("{user}\n{token}\n")),
        Format::Json => Answer::line(&json!({ "username": user, "password": token })),
    })
}

/// The clients ask for a bare host if nothing was found for the URL.
fn url(service: &str) -> Option<WebUrl> {
    if service.contains("://") {
        return WebUrl::parse(service).ok();
    }
    let url = WebUrl::parse(&format!("https://{service}")).ok()?;
    (url.path() == "/" && !url.has_query()).then_some(url)
}

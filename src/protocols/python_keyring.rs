//! The `keyring` program that pip, uv and twine run, in the three ways in which they do.
//!
//! They send Basic credentials. What they ask for is a URL or a bare host; not found is exit 1.

use serde_json::json;

use super::{Answer, Call, Protocol};
use crate::error::Result;
use crate::profile::binding::Binding;
use crate::types::web_url::WebUrl;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "keyring",
    link: Some("keyring"),
    about: "pip, uv: the keyring program (link: keyring, in a directory of its own)",
    converse,
};

/// How the answer is written.
enum Form {
    Password,
    /// The user name, then the password.
    Lines,
    Json,
}

#[expect(clippy::unnecessary_wraps, reason = "other protocols can fail")]
fn converse(call: &mut Call<'_>) -> Result<Answer> {
    let mut form = Form::Password;
    let mut words = Vec::new();
    let mut arguments = call.arguments.iter().map(String::as_str);
    while let Some(argument) = arguments.next() {
        match argument.split_once('=').unwrap_or((argument, "")) {
            (option @ ("--mode" | "--output"), value) => {
                let value = if value.is_empty() {
                    arguments.next().unwrap_or_default()
                } else {
                    value
                };
                form = match (option, value) {
                    ("--output", "json") => Form::Json,
                    ("--mode", "creds") if !matches!(form, Form::Json) => Form::Lines,
                    _ => form,
                };
            }
            // An option that is not known is no reason to give up: pip would call it outdated.
            _ if argument.starts_with('-') => {}
            _ => words.push(argument),
        }
    }
    let not_found = Answer {
        exit_code: 1,
        ..Answer::default()
    };
    let ["get", service, user @ ..] = words.as_slice() else {
        return Ok(not_found);
    };
    // Mercurial asks for a service of its own, and puts the URL behind the user.
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
    // It is given back on a line of its own.
    if user.is_some_and(|user| user.contains(char::is_control)) {
        return Ok(not_found);
    }
    // What went wrong is for the person to read: to the client it is all one.
    let found = match call.desk.bound(&url) {
        Ok(None) => return Ok(not_found),
        Ok(Some(mut who)) => (call.desk.token)(&mut who, None).map(|token| (who, token)),
        Err(error) => Err(error),
    };
    let (who, token) = match found {
        Ok(found) => found,
        Err(error) => {
            return Ok(Answer {
                complaint: Some(error),
                ..not_found
            });
        }
    };
    let token = token.access_token.expose();
    // A name that was bound is the only one that its server takes.
    let binding = who.binding.as_ref();
    let bound = binding.and_then(|binding| binding.username.as_deref());
    let user = bound
        .or(user)
        .or(binding.map(Binding::username))
        .unwrap_or_default();
    Ok(match form {
        Form::Password => Answer::of(format!("{token}\n")),
        Form::Lines => Answer::of(format!("{user}\n{token}\n")),
        Form::Json => Answer::line(&json!({ "username": user, "password": token })),
    })
}

/// A bare host is asked for when nothing was found for the URL.
fn url(service: &str) -> Option<WebUrl> {
    if service.contains("://") {
        return WebUrl::parse(service).ok();
    }
    let url = WebUrl::parse(&format!("https://{service}")).ok()?;
    (url.path() == "/" && !url.has_query()).then_some(url)
}

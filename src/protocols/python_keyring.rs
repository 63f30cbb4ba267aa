//! The `keyring` program that pip, uv and twine run, with the three output formats that they use.
//!
//! They send Basic credentials. They ask for a URL or a bare host. Not found is exit code 1.

use serde_json::json;

use super::{Answer, Call, Protocol};
use crate::error::{Error, Result};
use crate::profile::binding::Binding;
use crate::types::web_url::WebUrl;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "keyring",
    link: Some("keyring"),
    about: "pip, uv: the keyring program (link: keyring, in a directory of its own)",
    run,
};

#[derive(Debug, Eq, PartialEq)]
enum Format {
    Password,
    /// The user name, then the password.
    Lines,
    Json,
}

/// The arguments of `keyring get`.
struct Request<'a> {
    service: &'a str,
    user: Option<&'a str>,
    format: Format,
}

impl<'a> Request<'a> {
    /// None for other commands.
    fn parse(arguments: &'a [String]) -> Option<Self> {
        let mut format = Format::Password;
        let mut positional = Vec::new();
        let mut arguments = arguments.iter().map(String::as_str);
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
        let ["get", service, user @ ..] = positional.as_slice() else {
            return None;
        };
        // Mercurial uses the service name "Mercurial", and puts the URL after the user.
        let (service, user) = match (*service, user) {
            ("Mercurial", [user, ..]) => {
                let (user, url) = user.split_once("@@")?;
                (url, Some(user))
            }
            (service, user) => (service, user.first().copied()),
        };
        Some(Self {
            service,
            user,
            format,
        })
    }
}

#[expect(clippy::unnecessary_wraps, reason = "other protocols can fail")]
fn run(call: &mut Call<'_>) -> Result<Answer> {
    // The client only learns that nothing was found. The reason is for the user, on standard error.
    Ok(get(call).unwrap_or_else(|error| Answer {
        error,
        exit_code: 1,
        ..Answer::default()
    }))
}

/// The answer, or the error that explains why there is none.
fn get(call: &Call<'_>) -> std::result::Result<Answer, Option<Error>> {
    let request = Request::parse(call.arguments).ok_or(None)?;
    let url = url(request.service).ok_or(None)?;
    // The user name is printed on a line of its own.
    if request
        .user
        .is_some_and(|user| user.contains(char::is_control))
    {
        return Err(None);
    }
    let mut selected = call.provider.bound_to(&url)?.ok_or(None)?;
    let token = call.provider.token(&mut selected, None)?;
    let token = token.access_token.expose();
    // A user name in the binding is the only one that the server accepts.
    let binding = selected.binding.as_ref();
    let bound_username = binding.and_then(|binding| binding.username.as_deref());
    let user = bound_username
        .or(request.user)
        .or(binding.map(Binding::username))
        .unwrap_or_default();
    Ok(match request.format {
        Format::Password => Answer::of([token, "\n"].concat()),
        Format::Lines => Answer::of([user, "\n", token, "\n"].concat()),
        Format::Json => Answer::line(&json!({ "username": user, "password": token })),
    })
}

/// The clients ask for a bare host if nothing was found for the URL.
fn url(service: &str) -> Option<WebUrl> {
    if service.contains("://") {
        return WebUrl::parse(service).ok();
    }
    let url = WebUrl::parse(&["https://", service].concat()).ok()?;
    (url.path() == "/" && !url.has_query()).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &str) -> Option<(String, Format)> {
        let arguments: Vec<_> = arguments.split(' ').map(str::to_owned).collect();
        let request = Request::parse(&arguments)?;
        Some((request.service.to_owned(), request.format))
    }

    #[test]
    fn json_wins_over_lines_and_unknown_options_are_ignored() {
        for (arguments, format) in [
            ("get a.example", Format::Password),
            ("--mode creds get a.example", Format::Lines),
            ("--mode=creds --output=json get a.example", Format::Json),
            ("--output json --mode creds get a.example", Format::Json),
            ("--new -n get a.example", Format::Password),
        ] {
            let expected = Some(("a.example".to_owned(), format));
            assert_eq!(parse(arguments), expected, "{arguments}");
        }
        assert_eq!(parse("set a.example"), None);
    }
}

//! What a response without a token means: a refusal, or a server that cannot response now.

use super::error_texts::{Said, is_failure};
use super::json::Json;
use super::response::{HttpResponse, ResponseContext};
use crate::error::{Error, Kind};
use crate::profile::{BodyFormat, ClientAuth};

/// The error that a response stands for. None for a success whose members decide.
pub(super) fn verdict(
    response: &HttpResponse,
    document: Option<Json<'_>>,
    body: &[u8],
    context: &ResponseContext<'_>,
) -> Option<Error> {
    let status = response.status;
    // A failure whatever the status, even with a token (RFC 6749 §5.2).
    let has_error = document
        .and_then(Json::members)
        .and_then(|members| members.get("error"))
        .is_some_and(|error| !error.is_null());
    if (200..300).contains(&status) && !has_error {
        return None;
    }
    let challenge = response.www_authenticate.as_deref();
    let said = Said::by(document, challenge, status);
    let has_error = has_error || Said::by(None, challenge, status).code.is_some();
    let is_page = document.is_none() && is_web_page(response.content_type.as_deref(), body);
    let in_its_own_form = || document.is_some_and(is_failure);
    let kind = match (status, said.code.as_deref()) {
        // RFC 9110 §15.5.2: the credentials are not valid, whatever else is said. Only a web page
        // may come from a proxy or a VPN on the way.
        (401, _) if !is_page || has_error => Kind::Refused,
        (401 | 408 | 425 | 429 | 500.., _)
        | (_, Some("temporarily_unavailable" | "server_error" | "slow_down")) => Kind::Unavailable,
        _ if has_error => Kind::Refused,
        (404 | 405 | 407, _) => Kind::Unavailable,
        // Only the request's format can be meant (RFC 9110 §15.5.16).
        (415, _) if !is_page => Kind::Refused,
        // A 403 in no form at all may have nothing to do with the client (RFC 9110 §15.5.4).
        _ if in_its_own_form() => Kind::Refused,
        _ => Kind::Unavailable,
    };
    Some(error(kind, status, &said, challenge, context))
}

/// A success without an access token that is about a failure, in the server's own form.
pub(super) fn refusal_in_success(
    status: u16,
    document: Json<'_>,
    context: &ResponseContext<'_>,
) -> Option<Error> {
    let said = Said::by(Some(document), None, status);
    is_failure(document).then(|| error(Kind::Refused, status, &said, None, context))
}

fn error(
    kind: Kind,
    status: u16,
    said: &Said,
    challenge: Option<&str>,
    context: &ResponseContext<'_>,
) -> Error {
    let what = in_words(status, said, context);
    let url = context.url();
    let is_about_client = status == 401 || said.code.as_deref().is_some_and(is_about_client);
    let message = match kind {
        Kind::Refused if is_about_client => {
            format!("the server refused the client: {what}, at {url}")
        }
        Kind::Refused => format!("the server refused the request: {what}, at {url}"),
        _ => format!("the server answered {what}, at {url}"),
    };
    let hints = hints(kind, status, said, challenge, context);
    hints
        .into_iter()
        .fold(Error::new(kind, message), Error::hint)
}

fn is_about_client(code: &str) -> bool {
    matches!(
        code,
        "invalid_client" | "access_denied" | "unauthorized_client"
    )
}

/// `401 invalid_client (there is no such client)`.
fn in_words(status: u16, said: &Said, context: &ResponseContext<'_>) -> String {
    let clean = |text: &Option<String>| {
        let text = context.redactor.clean(text.as_deref().unwrap_or_default());
        Some(text).filter(|text| !text.is_empty())
    };
    let (code, text) = (clean(&said.code), clean(&said.text));
    let meaning = match status {
        401 => Some("unauthorized"),
        403 => Some("forbidden"),
        404 => Some("no such path on this server"),
        405 => Some("this path takes no POST request"),
        407 => Some("a proxy requires authentication"),
        415 => Some("the server does not support this body format"),
        429 => Some("too many requests"),
        503 => Some("out of service"),
        _ => None,
    };
    let meaning = meaning.filter(|_| code.is_none()).map(str::to_owned);
    let code = code.map(|code| format!(" {code}")).unwrap_or_default();
    let text = text.or(meaning).map(|text| format!(" ({text})"));
    format!("{status}{code}{}", text.unwrap_or_default())
}

fn hints(
    kind: Kind,
    status: u16,
    said: &Said,
    challenge: Option<&str>,
    context: &ResponseContext<'_>,
) -> Vec<String> {
    let code = said.code.as_deref().unwrap_or_default();
    let administrator = |what: &str| format!("ask the server's administrator to {what}");
    match (kind, status) {
        (_, 404 | 405) => {
            return vec![format!(
                "check the token URL: its path is {}",
                context.path()
            )];
        }
        (_, 415) => return vec![other_body(context)],
        (Kind::Unavailable, 400..=407 | 409..=424 | 426..=428 | 430..=499)
            if said.code.is_none() =>
        {
            return vec![
                "this is not an OAuth 2.0 response; check the token URL, or try again later"
                    .to_owned(),
            ];
        }
        (Kind::Unavailable, _) => return vec!["try again later".to_owned()],
        _ => {}
    }
    if said.mentions("dpop") {
        return vec![administrator(
            "register this client for bearer tokens: hallpass does not send proofs of possession (DPoP)",
        )];
    }
    let mut hints = about_parameters(code, said, context);
    match code {
        _ if status == 401 || is_about_client(code) => {
            let asks_for_basic = challenge
                .is_some_and(|challenge| challenge.to_ascii_lowercase().starts_with("basic"));
            hints.push(context.check_client());
            if asks_for_basic && context.profile.client_auth == ClientAuth::ClientSecretPost {
                hints.push(format!(
                    "the server asks for HTTP Basic: try {}",
                    context.setting(
                        "--auth client_secret_basic",
                        "HALLPASS_AUTH=client_secret_basic"
                    )
                ));
            }
        }
        "unsupported_grant_type" => {
            hints.push(administrator(
                "enable the client_credentials grant for this client",
            ));
        }
        "invalid_scope" if hints.is_empty() => hints.push(format!(
            "set a scope that this client may have ({})",
            context.setting("--scope", "HALLPASS_SCOPE")
        )),
        "invalid_target" if hints.is_empty() => hints.push(format!(
            "set an audience or resource that the server knows ({})",
            context.setting(
                "--audience, --resource",
                "HALLPASS_AUDIENCE, HALLPASS_RESOURCE"
            )
        )),
        _ => {}
    }
    // A server that does not read JSON misses every parameter.
    let is_unread = matches!(code, "invalid_request" | "unsupported_grant_type");
    if is_unread && context.profile.body == BodyFormat::Json {
        hints.push(other_body(context));
    }
    if hints.is_empty() {
        hints.push("check the profile's settings with the server's administrator".to_owned());
    }
    hints
}

/// The parameters that were sent and that the server may mean.
fn about_parameters(code: &str, said: &Said, context: &ResponseContext<'_>) -> Vec<String> {
    let rows: [(&str, &[&str], &str, &str, &str); 3] = [
        (
            "audience",
            &[
                "access_denied",
                "invalid_target",
                "invalid_audience",
                "invalid_request",
            ],
            "--audience",
            "HALLPASS_AUDIENCE",
            ", exactly as the server has it (a slash at the end counts)",
        ),
        (
            "resource",
            &["access_denied", "invalid_target", "invalid_resource"],
            "--resource",
            "HALLPASS_RESOURCE",
            ", exactly as the server has it (a slash at the end counts)",
        ),
        ("scope", &["invalid_scope"], "--scope", "HALLPASS_SCOPE", ""),
    ];
    let mut hints = Vec::new();
    for (name, codes, option, variable, more) in rows {
        let sent = context
            .request
            .parameters
            .iter()
            .find(|(sent, _)| sent == name);
        let Some((_, value)) = sent else { continue };
        if codes.contains(&code) || said.mentions(name) || said.mentions(value) {
            let value = context.redactor.clean(value);
            let setting = context.setting(option, variable);
            hints.push(format!("check the {name} {value} ({setting}){more}"));
        }
    }
    hints
}

fn other_body(context: &ResponseContext<'_>) -> String {
    let (option, variable) = match context.profile.body {
        BodyFormat::Form => ("--body json", "HALLPASS_BODY=json"),
        BodyFormat::Json => ("--body form", "HALLPASS_BODY=form"),
    };
    format!(
        "try the other body format: {}",
        context.setting(option, variable)
    )
}

/// Whether a body that is not JSON is a page for a browser.
fn is_web_page(content_type: Option<&str>, body: &[u8]) -> bool {
    let beginning = &body[..body.len().min(1024)];
    let beginning = String::from_utf8_lossy(beginning).to_ascii_lowercase();
    let beginning = beginning.trim_start();
    let is_html = beginning.contains("<html") || beginning.contains("<!doctype html");
    let says_html = content_type.is_some_and(|kind| kind.to_ascii_lowercase().contains("html"));
    let is_xml =
        beginning.starts_with("<?xml") || content_type.is_some_and(|kind| kind.contains("xml"));
    is_html || (says_html && beginning.contains('<')) || (beginning.starts_with('<') && !is_xml)
}

#[cfg(test)]
mod tests {
    use super::is_web_page;

    #[test]
    fn a_web_page_is_known_by_its_content() {
        for (content_type, body) in [
            (None, "<html>"),
            (None, " \r\n<!DOCTYPE HTML PUBLIC"),
            (None, "<h1>401</h1>"),
            (Some("text/html"), "Unauthorized<br>"),
            (
                Some("application/xhtml+xml"),
                r#"<?xml version="1.0"?><html/>"#,
            ),
            (Some("text/plain"), "<html>"),
        ] {
            assert!(is_web_page(content_type, body.as_bytes()), "{body}");
        }
        for (content_type, body) in [
            (None, ""),
            (Some("text/html"), ""),
            (Some("text/html; charset=utf-8"), "Unauthorized"),
            (Some("text/plain"), "1 < 2"),
            (Some("text/xml"), "<error>no</error>"),
            (None, r#"<?xml version="1.0"?><error>no</error>"#),
        ] {
            assert!(!is_web_page(content_type, body.as_bytes()), "{body}");
        }
    }
}

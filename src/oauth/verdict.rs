//! What a response without a token means: a refusal, or a server that cannot respond now.

mod hints;

use super::error_texts::{ServerError, is_failure};
use super::json::Json;
use super::response::{HttpResponse, ResponseContext};
use crate::error::{Error, Kind};
use crate::types::token_failure::AboutProofs;

use hints::hints;

/// The error that a response stands for. None for a success whose members decide.
pub(super) fn verdict(
    response: &HttpResponse,
    document: Option<Json<'_>>,
    body: &[u8],
    context: &ResponseContext<'_>,
) -> Option<Error> {
    let status = response.status;
    // A failure with any status, even with a token (RFC 6749 §5.2).
    let has_error = document
        .and_then(Json::members)
        .and_then(|members| members.get("error"))
        .is_some_and(|error| !error.is_null());
    if (200..300).contains(&status) && !has_error {
        return None;
    }
    let challenge = response.www_authenticate.as_deref();
    let reported = ServerError::find(document, challenge, status);
    let has_error = has_error || ServerError::find(None, challenge, status).code.is_some();
    let is_page = document.is_none() && is_web_page(response.content_type.as_deref(), body);
    let has_own_form = || document.is_some_and(is_failure);
    let kind = match (status, reported.code.as_deref()) {
        // The credentials are not valid (RFC 9110 §15.5.2), unless it is a web page of a proxy or a
        // VPN on the way.
        (401, _) if !is_page || has_error => Kind::Refused,
        (401 | 408 | 425 | 429 | 500.., _)
        | (_, Some("temporarily_unavailable" | "server_error" | "slow_down")) => Kind::Unavailable,
        _ if has_error => Kind::Refused,
        (404 | 405 | 407, _) => Kind::Unavailable,
        // It can only be the format of the request (RFC 9110 §15.5.16).
        (415, _) if !is_page => Kind::Refused,
        // A 403 without any text may have nothing to do with the client (RFC 9110 §15.5.4).
        _ if has_own_form() => Kind::Refused,
        _ => Kind::Unavailable,
    };
    Some(error(kind, status, &reported, challenge, context))
}

/// Whether a refusal is about the client's credential (RFC 6749 §5.2), not about what was requested.
pub(super) fn refuses_client(
    fault: &Error,
    response: &HttpResponse,
    document: Option<Json<'_>>,
) -> bool {
    let challenge = response.www_authenticate.as_deref();
    let reported = ServerError::find(document, challenge, response.status);
    let is_invalid = reported.code.as_deref() == Some("invalid_client");
    fault.kind == Kind::Refused
        && (response.status == 401 || is_invalid)
        && !reported.is_about_proofs()
}

/// What a refusal says about proofs of possession (RFC 9449 §5 and §8).
pub(super) fn about_proofs(
    fault: &Error,
    response: &HttpResponse,
    document: Option<Json<'_>>,
    context: &ResponseContext<'_>,
) -> Option<AboutProofs> {
    let challenge = response.www_authenticate.as_deref();
    let reported = ServerError::find(document, challenge, response.status);
    let was_sent = context.profile.dpop.is_some();
    match reported.code.as_deref() {
        _ if fault.kind != Kind::Refused => None,
        Some("use_dpop_nonce") if was_sent => Some(AboutProofs::NeedNonce),
        _ if !was_sent && reported.is_about_proofs() => Some(AboutProofs::Required),
        _ => None,
    }
}

/// A success without an access token that is about a failure, in the server's own form.
pub(super) fn refusal_in_success(
    status: u16,
    document: Json<'_>,
    context: &ResponseContext<'_>,
) -> Option<Error> {
    let reported = ServerError::find(Some(document), None, status);
    is_failure(document).then(|| error(Kind::Refused, status, &reported, None, context))
}

fn error(
    kind: Kind,
    status: u16,
    reported: &ServerError,
    challenge: Option<&str>,
    context: &ResponseContext<'_>,
) -> Error {
    let what = in_words(status, reported, context);
    let url = context.url();
    let is_about_client = status == 401 || reported.code.as_deref().is_some_and(is_about_client);
    let refuses_proof = reported.has_code_of_proofs() && context.profile.dpop.is_some();
    let message = match kind {
        Kind::Refused if refuses_proof => {
            format!("the server refused the proof of possession (DPoP): {what}, at {url}")
        }
        Kind::Refused if reported.is_about_proofs() => {
            format!("the server refused the request: {what}, at {url}")
        }
        Kind::Refused if is_about_client => {
            format!("the server refused the client: {what}, at {url}")
        }
        Kind::Refused => format!("the server refused the request: {what}, at {url}"),
        _ => format!("the server answered {what}, at {url}"),
    };
    let hints = hints(kind, status, reported, challenge, context);
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

/// `401 invalid_client (unknown client)`.
fn in_words(status: u16, reported: &ServerError, context: &ResponseContext<'_>) -> String {
    let clean = |text: &Option<String>| {
        let text = context.redactor.clean(text.as_deref().unwrap_or_default());
        Some(text).filter(|text| !text.is_empty())
    };
    let (code, text) = (clean(&reported.code), clean(&reported.text));
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
    fn a_web_page_is_recognised_by_its_content() {
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

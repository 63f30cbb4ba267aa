//! What a user can do about a response without a token.

use super::super::claims;
use super::super::error_texts::ServerError;
use super::super::response::ResponseContext;
use super::is_about_client;
use crate::error::Kind;
use crate::profile::{BodyFormat, ClientAuth};

/// At least one hint.
pub(super) fn hints(
    kind: Kind,
    status: u16,
    reported: &ServerError,
    challenge: Option<&str>,
    context: &ResponseContext<'_>,
) -> Vec<String> {
    let identity = context.identity.filter(|_| kind == Kind::Refused);
    if identity.is_some() && reported.is_about_reuse() {
        return vec![format!(
            "the server accepts an identity token only once: use a source that gives a new one for each request ({})",
            context.setting("--identity", "HALLPASS_IDENTITY")
        )];
    }
    let mut hints = usual(kind, status, reported, challenge, context);
    hints.extend(identity.map(claims::to_compare));
    hints
}

/// Hints for clients with and without an identity token.
fn usual(
    kind: Kind,
    status: u16,
    reported: &ServerError,
    challenge: Option<&str>,
    context: &ResponseContext<'_>,
) -> Vec<String> {
    if let Some(hint) = by_status(kind, status, reported, context) {
        return vec![hint];
    }
    let sends_proofs = context.profile.dpop.is_some();
    if reported.has_code_of_proofs() || (reported.is_about_proofs() && !sends_proofs) {
        return vec![about_proofs(reported, context)];
    }
    let code = reported.code.as_deref().unwrap_or_default();
    let mut hints = about_parameters(code, reported, context);
    match code {
        _ if status == 401 || is_about_client(code) => {
            hints.extend(about_client(reported, challenge, context));
        }
        "unsupported_grant_type" => {
            let profile = context.profile;
            let grant = profile.grant_type.as_deref();
            let grant = grant.unwrap_or_else(|| profile.default_grant_type());
            let what = format!("enable the {grant} grant for this client");
            hints.push(administrator(&what));
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
    if sends_proofs && reported.mentions_proofs() {
        hints.push(about_proofs(reported, context));
    } else if is_about_client(code) && reported.mentions_proofs() {
        let edit = context.edit("--dpop", "HALLPASS_DPOP=1");
        hints.push(format!(
            "if the server requires proofs of possession (DPoP) for this client: {edit}"
        ));
    }
    if hints.is_empty() {
        hints.push("check the profile's settings with the server's administrator".to_owned());
    }
    hints
}

/// The hint for a status that allows only one.
fn by_status(
    kind: Kind,
    status: u16,
    reported: &ServerError,
    context: &ResponseContext<'_>,
) -> Option<String> {
    Some(match (kind, status) {
        (_, 404 | 405) => format!("check the token URL: its path is {}", context.path()),
        (_, 407) => {
            "set HTTPS_PROXY to http://USER:PASSWORD@HOST:PORT, or list the server's host in NO_PROXY"
                .to_owned()
        }
        (_, 415) => other_body(context),
        (Kind::Unavailable, 400..=407 | 409..=424 | 426..=428 | 430..=499)
            if reported.code.is_none() =>
        {
            "this is not an OAuth 2.0 response; check the token URL, or try again later".to_owned()
        }
        (Kind::Unavailable, _) => "try again later".to_owned(),
        _ => return None,
    })
}

/// How Microsoft Entra says that the client secret has expired.
const ENTRA_EXPIRED: &str = "AADSTS7000222";

/// The hint for a secret that has expired: the server says so, or refuses the client after the date
/// that the user gave.
fn expired(reported: &ServerError, context: &ResponseContext<'_>) -> Option<String> {
    let may_be_secret = matches!(reported.code.as_deref(), None | Some("invalid_client"));
    let date = context.profile.secret_expires;
    let date = date.filter(|date| may_be_secret && date.has_come());
    if date.is_none() && !reported.mentions(ENTRA_EXPIRED) {
        return None;
    }
    let what = context.profile.credential_name();
    let when = date.map_or_else(
        || "has expired".to_owned(),
        |date| format!("expired on {date}"),
    );
    let then = match context.name {
        Some(name) if !name.is_from_environment() => context.profile.how_to_renew(name),
        _ => "create a new one at the server".to_owned(),
    };
    Some(format!("the {what} {when}; {then}"))
}

fn about_client(
    reported: &ServerError,
    challenge: Option<&str>,
    context: &ResponseContext<'_>,
) -> Vec<String> {
    if let Some(hint) = expired(reported, context) {
        return vec![hint];
    }
    let mut hints = vec![context.check_client()];
    let asks_for_basic =
        challenge.is_some_and(|challenge| challenge.to_ascii_lowercase().starts_with("basic"));
    if asks_for_basic && context.profile.client_auth == ClientAuth::ClientSecretPost {
        hints.push(format!(
            "the server asks for HTTP Basic: try {}",
            context.setting(
                "--auth client_secret_basic",
                "HALLPASS_AUTH=client_secret_basic"
            )
        ));
    }
    hints
}

/// The hint for a request whose proof of possession is missing, or was refused (RFC 9449).
fn about_proofs(reported: &ServerError, context: &ResponseContext<'_>) -> String {
    if context.profile.dpop.is_none() {
        return context.turn_on_proofs();
    }
    match reported.code.as_deref() {
        Some("use_dpop_nonce") => {
            "the server wants its nonce in the proof (DPoP), but gave none that it accepts; try again later".to_owned()
        }
        _ => format!(
            "check this machine's clock, and that the server knows its token endpoint as {}",
            context.url()
        ),
    }
}

fn administrator(what: &str) -> String {
    format!("ask the server's administrator to {what}")
}

/// The parameters of the request that the server may mean.
fn about_parameters(
    code: &str,
    reported: &ServerError,
    context: &ResponseContext<'_>,
) -> Vec<String> {
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
        if codes.contains(&code) || reported.mentions(name) || reported.mentions(value) {
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

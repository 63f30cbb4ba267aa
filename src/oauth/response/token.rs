//! The members of a successful response (RFC 6749 §5.1): the token, its type and its scope.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::super::json::{Json, Members};
use super::super::lifetime::{Clocks, Limits, lifetime};
use super::ResponseContext;
use crate::error::Error;
use crate::message::clean;
use crate::policy;
use crate::profile::TokenType;
use crate::types::dpop::DPOP;
use crate::types::secret::AccessToken;
use crate::types::token::{CachedToken, Timestamp};
use crate::types::token_failure::AboutProofs;

/// Members that callers need besides the token: the URLs of Salesforce's and Zoom's APIs.
const MEMBERS_FOR_CALLERS: [&str; 2] = ["instance_url", "api_url"];

const BEARER: &str = "Bearer";

/// # Errors
/// `Unavailable` when there is no usable token, `Refused` for one that is not a bearer token.
pub(super) fn read(
    access_token: Json<'_>,
    members: &Members<'_>,
    sent_at: Timestamp,
    clocks: Clocks,
    context: &ResponseContext<'_>,
) -> Result<CachedToken, Error> {
    let text = access_token
        .text()
        .ok_or_else(|| absent("has an access_token that is not a string", context))?;
    let access_token = AccessToken::parse(&text).ok_or_else(|| {
        let fault = "has an access_token that is empty or has characters that no token may have";
        absent(fault, context)
    })?;
    let token_type = token_type(members, context)?;
    let limits = Limits {
        default_ttl: context.profile.default_ttl(),
        max_ttl: policy::longest_ttl(context.profile),
    };
    let (lifetime, warning) = lifetime(members, &access_token, clocks, &limits);
    Ok(CachedToken {
        token_type,
        // The secret must not get into the cache or into other programs' output either.
        scope: scope(members).map(|scope| context.redactor.redact(&clean(&scope, usize::MAX))),
        members: members_for_callers(members, context),
        requested_at: sent_at,
        expires_at: sent_at.plus(lifetime),
        proof_key: None,
        warning,
        access_token,
    })
}

/// The error for a response without a usable token.
pub(super) fn absent(fault: &str, context: &ResponseContext<'_>) -> Error {
    Error::unavailable(format!("the response from {} {fault}", context.url()))
        .hint("check the token URL, or ask the server's administrator")
}

/// `Bearer`, in the server's upper and lower case; `DPoP` if the token is to be bound to a key.
fn token_type(members: &Members<'_>, context: &ResponseContext<'_>) -> Result<String, Error> {
    let sent = sent_type(members);
    if context.profile.dpop.is_some() {
        // A token of another type is not bound: to use it anyway would be what an attacker wants
        // (RFC 9449 §5).
        let is_bound = sent.trim().eq_ignore_ascii_case(DPOP);
        return if is_bound {
            Ok(DPOP.to_owned())
        } else {
            Err(not_bound(&sent, context))
        };
    }
    if sent.is_empty() {
        return Ok(BEARER.to_owned());
    }
    let sent = sent.as_ref();
    if !is_bearer(sent, context.profile.token_type) {
        return Err(other_type(sent, context));
    }
    let spelt = Some(sent.trim()).filter(|kind| kind.eq_ignore_ascii_case(BEARER));
    Ok(spelt.unwrap_or(BEARER).to_owned())
}

/// The `token_type` of a response; empty if it has none.
fn sent_type<'a>(members: &Members<'a>) -> Cow<'a, str> {
    let sent = members.get("token_type").filter(|kind| !kind.is_null());
    let sent = sent.map(|sent| sent.text().unwrap_or(Cow::Borrowed("unknown")));
    sent.unwrap_or_default()
}

/// What the type of a refused token says about proofs of possession.
pub(super) fn about_proofs(
    members: &Members<'_>,
    context: &ResponseContext<'_>,
) -> Option<AboutProofs> {
    let (sent, profile) = (sent_type(members), context.profile);
    if profile.dpop.is_some() {
        is_bearer(&sent, profile.token_type).then_some(AboutProofs::Ignored)
    } else {
        let is_bound = sent.trim().eq_ignore_ascii_case(DPOP);
        is_bound.then_some(AboutProofs::Required)
    }
}

fn not_bound(kind: &str, context: &ResponseContext<'_>) -> Error {
    let kind = context.redactor.clean(kind.trim());
    let kind = if kind.is_empty() {
        "without a token_type".to_owned()
    } else {
        format!("of type \"{kind}\"")
    };
    Error::refused(format!(
        "the server issued a token {kind}, which is not bound to the key of the proof (DPoP)"
    ))
    .hint(format!(
        "for tokens that are not bound to a key: {}",
        context.edit("--no-dpop", "HALLPASS_DPOP=0")
    ))
    .hint("or ask the server's administrator to enable DPoP for this client")
}

/// Bearer by its name (RFC 6750), by the name that Apigee's documentation gives it, or by none.
pub(super) fn is_bearer(kind: &str, setting: Option<TokenType>) -> bool {
    let letters = kind
        .trim()
        .chars()
        .filter(|c| !matches!(c, ' ' | '_' | '-'));
    let kind: String = letters.map(|c| c.to_ascii_lowercase()).collect();
    match kind.as_str() {
        "" | "bearer" | "bearertoken" => true,
        // They are of no use without a proof (RFC 9449), a signature, or at all (RFC 8693 §2.2.1).
        "dpop" | "mac" | "na" | "n/a" | "pop" => false,
        _ => setting == Some(TokenType::Bearer),
    }
}

fn other_type(kind: &str, context: &ResponseContext<'_>) -> Error {
    if kind.trim().eq_ignore_ascii_case(DPOP) {
        let what = "the server issued a token that is bound to a key (DPoP), although the request had no proof";
        return Error::refused(what).hint(context.turn_on_proofs());
    }
    let error = Error::refused(format!(
        "the server issued a token of type \"{}\"; hallpass supports only bearer tokens",
        context.redactor.clean(kind)
    ))
    .hint("ask the server's administrator to register this client for bearer tokens");
    if is_bearer(kind, Some(TokenType::Bearer)) {
        return error.hint(format!(
            "if the API accepts it as a bearer token: {}",
            context.setting("--token-type bearer", "HALLPASS_TOKEN_TYPE=bearer")
        ));
    }
    error
}

fn members_for_callers(
    members: &Members<'_>,
    context: &ResponseContext<'_>,
) -> BTreeMap<String, String> {
    let text = |name: &'static str| Some((name, members.get(name)?.text()?));
    let found = MEMBERS_FOR_CALLERS.into_iter().filter_map(text);
    found
        .map(|(name, value)| (name.to_owned(), context.redactor.clean_value(&value)))
        .collect()
}

/// Some servers write the scope as an array.
fn scope(members: &Members<'_>) -> Option<String> {
    let scope = members.get("scope")?;
    if let Some(text) = scope.text() {
        return Some(text.into_owned());
    }
    let scopes = scope.items()?;
    let scopes: Vec<_> = scopes.iter().filter_map(|scope| scope.text()).collect();
    Some(scopes.join(" "))
}

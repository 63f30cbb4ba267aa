//! Tokens for callers that can send proofs of possession (RFC 9449 §7), and the headers of their requests.

use zeroize::Zeroizing;

use super::obtain::{Obtained, TokenOptions, obtain};
use crate::error::{Error, Result};
use crate::message;
use crate::oauth::{ProvenRequest, Prover};
use crate::platform::disk::Directories;
use crate::profile::binding::Binding;
use crate::profile::selected::SelectedProfile;
use crate::profile::{Profile, ProfileName};
use crate::profiles::Profiles;
use crate::protocols::header;
use crate::secrets::{self, WaitLimit};
use crate::types::secret::AccessToken;

/// The error of a tool that cannot use tokens that are bound to a key (RFC 9449).
pub(super) fn bearer_only(name: &ProfileName) -> Error {
    let tokens = tokens_of(name);
    let fault = "are bound to a key (DPoP), and can only be used with proofs of it";
    Error::usage(format!("{tokens} {fault}"))
        .hint(format!(
            "for a program that cannot send proofs: {}, or for an MCP server: hallpass mcp URL",
            serve(name)
        ))
        .hint(turn_off(name))
}

/// Says which tools get no token, if the profile is for URLs and its tokens are bound to a key.
pub(super) fn note_bearer_only(name: &ProfileName, profile: &Profile) {
    if profile.dpop.is_some() && !profile.bindings.is_empty() {
        message::note(&format!(
            "its tokens are bound to a key (DPoP): git, docker and other tools can only send bearer tokens, so they get none; use `{}`",
            serve(name)
        ));
    }
}

/// The command for bearer tokens, if the server issues them.
pub(super) fn turn_off(name: &ProfileName) -> String {
    let way = if name.is_from_environment() {
        "set HALLPASS_DPOP=0".to_owned()
    } else {
        format!("hallpass profile edit {name} --no-dpop")
    };
    format!("for bearer tokens, if the server issues them: {way}")
}

/// Whose tokens they are, for the beginning of a message.
pub(super) fn tokens_of(name: &ProfileName) -> String {
    if name.is_from_environment() {
        "the tokens of the profile from the environment".to_owned()
    } else {
        format!("the tokens of profile {name}")
    }
}

/// The command that sends proofs for other programs.
pub(super) fn serve(name: &ProfileName) -> String {
    if name.is_from_environment() {
        "hallpass serve".to_owned()
    } else {
        format!("hallpass serve {name}")
    }
}

/// A header's name and value.
pub(super) type Header = (String, Zeroizing<String>);

/// Gets a token, and what proves the key that it is bound to, if it is bound to one. A token whose key is
/// gone is replaced.
///
/// # Errors
/// As [`obtain`]; `Locked` when the key cannot be used.
pub(super) fn obtain_provable(
    directories: &Directories,
    profiles: &Profiles,
    options: &mut TokenOptions,
    selected: &mut SelectedProfile,
) -> Result<(Obtained, Option<Prover>)> {
    options.sends_proofs = true;
    let obtained = obtain(directories, profiles, options, selected)?;
    if let Some(prover) = prover_of(&obtained, selected)? {
        return Ok((obtained, Some(prover)));
    }
    // Also an entry without a key, if the profile wants one.
    if obtained.token.proof_key.is_none() && selected.profile.dpop.is_none() {
        return Ok((obtained, None));
    }
    options.force_refresh = true;
    let obtained = obtain(directories, profiles, options, selected)?;
    match prover_of(&obtained, selected)? {
        Some(prover) => Ok((obtained, Some(prover))),
        None => Err(Error::unavailable(
            "the key that the token is bound to was replaced while the token was requested",
        )),
    }
}

/// None if the token has no key, or is bound to another one than there is.
pub(super) fn prover_of(obtained: &Obtained, selected: &SelectedProfile) -> Result<Option<Prover>> {
    let Some(key) = &obtained.token.proof_key else {
        return Ok(None);
    };
    let external = secrets::proof_key(&selected.name, &selected.profile, WaitLimit::Program)?;
    Prover::of(key, external.as_ref())
}

/// The header that carries a token that is bound to a key (RFC 9449 §7.1). A binding changes only that of
/// bearer tokens.
pub(super) fn authorization(token: &AccessToken) -> (&'static str, String) {
    ("Authorization", ["DPoP ", token.expose()].concat())
}

/// The headers of a request with this token: one, or with a token that is bound to a key two, which only
/// this request can use.
///
/// # Errors
/// `Locked` when another program does not sign.
pub(super) fn headers(
    obtained: &Obtained,
    prover: Option<&Prover>,
    binding: Option<&Binding>,
    request: &ProvenRequest<'_>,
) -> Result<Vec<Header>> {
    let token = &obtained.token.access_token;
    let Some(prover) = prover else {
        let (name, value) = header(binding, token);
        return Ok(vec![(name.to_owned(), Zeroizing::new(value))]);
    };
    let (name, value) = authorization(token);
    Ok(vec![
        (name.to_owned(), Zeroizing::new(value)),
        ("DPoP".to_owned(), prover.proof_of(request)?),
    ])
}

//! `hallpass token --request`: the headers of one request. With a token that is bound to a key, there are
//! two, and only that request can use them (RFC 9449 §7).

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::Args;
use super::format::{Format, curl_line};
use crate::commands::obtain::{Obtained, TokenOptions};
use crate::commands::proofs::{Header, headers, obtain_provable, serve, tokens_of, turn_off};
use crate::error::{Error, Result};
use crate::oauth::ProvenRequest;
use crate::platform::disk::Directories;
use crate::profile::ProfileName;
use crate::profile::binding::Binding;
use crate::profile::selected::SelectedProfile;
use crate::profiles::Profiles;
use crate::protocols::header;
use crate::types::secret::AccessToken;
use crate::types::web_url::WebUrl;

/// A method and a URL.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct HttpRequest {
    method: String,
    pub(super) url: WebUrl,
}

impl HttpRequest {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> std::result::Result<Box<Self>, String> {
        let (method, url) = text
            .split_once(' ')
            .ok_or("use a method and a URL in one argument, such as 'GET https://api.example/'")?;
        // RFC 9110 §9.1: upper and lower case are different methods.
        let is_method = |byte: u8| byte.is_ascii_uppercase() || b"-_".contains(&byte);
        if method.is_empty() || method.len() > 32 || !method.bytes().all(is_method) {
            return Err("write the method in capital letters, such as GET".to_owned());
        }
        let url = WebUrl::parse(url.trim()).and_then(WebUrl::for_secrets);
        Ok(Box::new(Self {
            method: method.to_owned(),
            url: url.map_err(|fault| format!("the URL {fault}"))?,
        }))
    }
}

/// Gets a token for one request, and the text of its headers.
pub(super) fn headers_of(
    request: &HttpRequest,
    args: &Args,
    format: Format,
    (directories, profiles): (&Directories, &Profiles),
    options: &mut TokenOptions,
    selected: &mut SelectedProfile,
) -> Result<(Obtained, String)> {
    let (obtained, prover) = obtain_provable(directories, profiles, options, selected)?;
    let described = ProvenRequest {
        method: &request.method,
        url: &request.url,
        token: Some(&obtained.token.access_token),
        nonce: args.nonce.as_ref(),
    };
    let headers = headers(
        &obtained,
        prover.as_ref(),
        selected.binding.as_ref(),
        &described,
    )?;
    Ok((obtained, write(&headers, format)))
}

/// The header of a request with a bearer token.
pub(super) fn bearer_header(
    token: &AccessToken,
    binding: Option<&Binding>,
    format: Format,
) -> String {
    let (name, value) = header(binding, token);
    write(&[(name.to_owned(), Zeroizing::new(value))], format)
}

fn write(headers: &[Header], format: Format) -> String {
    let lines =
        |line: fn(&Header) -> String| headers.iter().map(line).collect::<Vec<_>>().join("\n");
    match format {
        Format::Curl => lines(|(name, value)| curl_line(name, value)),
        Format::HeadersJson => {
            let members = headers.iter();
            let members = members.map(|(name, value)| (name.clone(), value.as_str().into()));
            Value::Object(members.collect::<Map<_, _>>()).to_string()
        }
        _ => lines(|(name, value)| format!("{name}: {}", value.as_str())),
    }
}

/// Refuses to print a token that is bound to a key in a format for bearer tokens.
///
/// # Errors
/// `Usage`: without a proof, each request with it would fail.
pub(super) fn check_bound(name: &ProfileName, format: Format) -> Result<()> {
    if format == Format::Json {
        return Ok(());
    }
    let (tokens, serve) = (tokens_of(name), serve(name));
    Err(Error::usage(format!(
        "{tokens} are bound to a key (DPoP): each request needs a proof as well"
    ))
    .hint("for the headers of one request: add --request 'GET URL'")
    .hint(format!("for a program that cannot send proofs: {serve}"))
    .hint("for the token itself: --json, which shows its type")
    .hint(turn_off(name)))
}

//! The metadata of an authorization server (RFC 8414 §2 and §3.2).

use std::borrow::Cow;

use super::super::json::{Json, Members, in_utf8};
use super::super::response::HttpResponse;
use crate::error::Error;
use crate::message::{self, FOREIGN_TEXT_LIMIT, clean};
use crate::profile::TokenEndpoint;
use crate::types::shell;

/// The part of a server's metadata that a client of this grant needs (RFC 8414 §2).
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) token_endpoint: TokenEndpoint,
    pub(crate) revocation_endpoint: Option<TokenEndpoint>,
    pub(crate) introspection_endpoint: Option<TokenEndpoint>,
    /// The same three for clients that authenticate with TLS (RFC 8705 §5).
    pub(crate) mtls_token_endpoint: Option<TokenEndpoint>,
    pub(crate) mtls_revocation_endpoint: Option<TokenEndpoint>,
    pub(crate) mtls_introspection_endpoint: Option<TokenEndpoint>,
    /// In the server's order. Not complete: some servers leave out methods that they support.
    pub(crate) methods: Vec<String>,
    pub(crate) signing_algorithms: Vec<String>,
    /// For proofs of possession (RFC 9449 §5.1). It does not say for which clients they are required.
    pub(crate) dpop_algorithms: Vec<String>,
    /// None if the metadata has no such list.
    pub(crate) grant_types: Option<Vec<String>>,
}

/// Why a location has no metadata, the least useful reason first: only the last one is reported.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub(in super::super) enum Failure {
    /// Most servers have only one of the locations.
    Missing,
    /// Another document, or no response.
    NotMetadata,
    /// A required member is missing or invalid.
    Incomplete,
    OtherIssuer,
}

type Outcome<T> = std::result::Result<T, (Failure, Error)>;

/// Reads the metadata of the issuer with this URL, which has to be the `issuer` in it.
///
/// # Errors
/// How far the response was metadata, with the error to report.
pub(in super::super) fn read(
    response: &HttpResponse,
    location: &str,
    issuer: &str,
    url: &TokenEndpoint,
) -> Outcome<Metadata> {
    if response.status != 200 {
        let failure = match response.status {
            404 | 410 => Failure::Missing,
            _ => Failure::NotMetadata,
        };
        let what = format!("no metadata: {location} answered {}", response.status);
        return Err((failure, unusable(what)));
    }
    let body = in_utf8(&response.body);
    let members = Json::document(&body).and_then(Json::members);
    let members = members.ok_or_else(|| {
        let what = format!("no metadata: {location} answered without a JSON object");
        (Failure::NotMetadata, unusable(what))
    })?;
    let document = Document {
        members,
        location,
        needs_tls: url.is_https(),
    };
    document.check_issuer(issuer)?;
    let aliases = document.aliases();
    let alias = |name| document.optional(aliases.as_ref()?, name, ", in mtls_endpoint_aliases");
    Ok(Metadata {
        token_endpoint: document.token_endpoint()?,
        revocation_endpoint: document.optional(&document.members, "revocation_endpoint", ""),
        introspection_endpoint: document.optional(&document.members, "introspection_endpoint", ""),
        mtls_token_endpoint: alias("token_endpoint"),
        mtls_revocation_endpoint: alias("revocation_endpoint"),
        mtls_introspection_endpoint: alias("introspection_endpoint"),
        methods: document.list("token_endpoint_auth_methods_supported"),
        signing_algorithms: document.list("token_endpoint_auth_signing_alg_values_supported"),
        dpop_algorithms: document.list("dpop_signing_alg_values_supported"),
        grant_types: document
            .members
            .get("grant_types_supported")
            .and_then(texts),
    })
}

struct Document<'a> {
    members: Members<'a>,
    location: &'a str,
    /// The issuer has an https URL, so its endpoints must have one too.
    needs_tls: bool,
}

impl<'a> Document<'a> {
    /// Without this check, one server could act for another (RFC 8414 §3.3).
    fn check_issuer(&self, expected: &str) -> Outcome<()> {
        match self.members.get("issuer").and_then(Json::text) {
            None => {
                let what = format!("the metadata at {} has no issuer", self.location);
                let hint = "use --token-url URL instead of --issuer";
                Err((Failure::Incomplete, Error::refused(what).hint(hint)))
            }
            Some(issuer) if issuer != expected => {
                Err((Failure::OtherIssuer, other_issuer(&issuer, self.location)))
            }
            Some(_) => Ok(()),
        }
    }

    fn token_endpoint(&self) -> Outcome<TokenEndpoint> {
        let found = self.endpoint(&self.members, "token_endpoint");
        let found = found.and_then(|found| found.ok_or("has no token_endpoint".to_owned()));
        found.map_err(|what| {
            let what = format!("the metadata at {} {what}", self.location);
            (Failure::Incomplete, unusable(what))
        })
    }

    /// An endpoint that may never be used: one that is invalid is only a warning.
    fn optional(&self, members: &Members<'_>, name: &str, within: &str) -> Option<TokenEndpoint> {
        self.endpoint(members, name).unwrap_or_else(|what| {
            self.warn(&format!("{what}{within}"));
            None
        })
    }

    /// What is wrong with it follows "the metadata at LOCATION ".
    fn endpoint(
        &self,
        members: &Members<'_>,
        name: &str,
    ) -> std::result::Result<Option<TokenEndpoint>, String> {
        let Some(value) = members.get(name).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let text = value.text();
        let text = text.ok_or_else(|| format!("has a {name} that is not a string"))?;
        let endpoint = TokenEndpoint::parse(&text);
        let endpoint = endpoint.map_err(|fault| format!("has a {name} that {fault}"))?;
        if self.needs_tls && !endpoint.is_https() {
            return Err(format!("has a {name} without TLS"));
        }
        Ok(Some(endpoint))
    }

    /// The endpoints for clients that authenticate with TLS (RFC 8705 §5).
    fn aliases(&self) -> Option<Members<'a>> {
        let aliases = self.members.get("mtls_endpoint_aliases");
        let aliases = aliases.filter(|aliases| !aliases.is_null())?;
        let members = aliases.members();
        if members.is_none() {
            self.warn("has mtls_endpoint_aliases that are not an object");
        }
        members
    }

    fn list(&self, name: &str) -> Vec<String> {
        self.members.get(name).and_then(texts).unwrap_or_default()
    }

    fn warn(&self, what: &str) {
        message::warning(&format!(
            "the metadata at {} {what}, which is ignored",
            self.location
        ));
    }
}

/// The strings of a list, without its other items. None if it is not a list.
pub(in crate::oauth) fn texts(list: Json<'_>) -> Option<Vec<String>> {
    let texts = list.items()?.into_iter().filter_map(Json::text);
    Some(texts.map(Cow::into_owned).collect())
}

fn unusable(what: String) -> Error {
    Error::unavailable(what).hint("check the issuer, or use --token-url URL instead of --issuer")
}

fn other_issuer(issuer: &str, location: &str) -> Error {
    let shown = clean(issuer, FOREIGN_TEXT_LIMIT);
    let error = Error::refused(format!(
        "the metadata at {location} is for another issuer: {shown}"
    ));
    let error = if TokenEndpoint::parse(issuer).is_ok() {
        error.hint(format!(
            "to use that issuer: --issuer {}",
            shell::word(&shown)
        ))
    } else {
        error
    };
    error.hint("use --token-url URL instead of --issuer")
}

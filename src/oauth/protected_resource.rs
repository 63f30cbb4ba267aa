//! What an MCP server publishes about its authorization (RFC 9728, as the MCP specification uses it).

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::challenge::Challenge;
use super::discovery::{get, not_received, texts};
use super::exchange::{noting, within};
use super::http::Http;
use super::json::{Json, in_utf8};
use super::response::HttpResponse;
use super::transport_error::TransportError;
use crate::error::{Error, Result};
use crate::message::{FOREIGN_TEXT_LIMIT, clean};
use crate::profile::TokenEndpoint;
use crate::profile::binding::BoundUrl;
use crate::types::checked_text::Resource;
use crate::types::shell;
use crate::types::web_url::WebUrl;

/// The metadata of a protected resource (RFC 9728 §2).
#[derive(Debug)]
pub(crate) struct ProtectedResource {
    /// The resource's identifier as the server writes it: a URL that covers the server's.
    pub(crate) resource: Resource,
    /// Issuers in the server's order, not checked yet.
    pub(crate) authorization_servers: Vec<String>,
    pub(crate) scopes: OfferedScopes,
    /// Whether it takes only tokens that are bound to a key (RFC 9449).
    pub(crate) requires_dpop: bool,
}

/// The scopes that a server asks for, not checked yet.
#[derive(Debug)]
pub(crate) enum OfferedScopes {
    /// In the challenge (RFC 6750 §3).
    Challenge(String),
    /// All that the metadata lists (RFC 9728 §2).
    Metadata(String),
    None,
}

/// The first request of an MCP client. Without a token, the response should be a challenge.
const INITIALIZE: &str = concat!(
    r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","#,
    r#""capabilities":{},"clientInfo":{"name":"hallpass","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}}}"#
);

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Requests the metadata of an MCP server, without any credential and from the server's own origin
/// only. Redirects are not followed.
///
/// # Errors
/// `Unavailable` if there are none, `Refused` if they are about another resource or at another origin.
pub(crate) fn discover_resource(
    server: &TokenEndpoint,
    ca_file: Option<&Path>,
    limit: Duration,
) -> Result<ProtectedResource> {
    let http = Http::to_issuer(server, ca_file)?;
    within(limit, async |deadline| {
        let requests = Requests {
            server,
            http,
            deadline,
            limit,
        };
        noting(server.origin(), requests.run()).await
    })?
}

/// The requests of one discovery.
struct Requests<'a> {
    server: &'a TokenEndpoint,
    http: Http,
    deadline: Instant,
    limit: Duration,
}

impl Requests<'_> {
    async fn run(&self) -> Result<ProtectedResource> {
        let challenge = self.challenge().await?;
        let scope = challenge
            .as_ref()
            .and_then(|challenge| challenge.parameter("scope"));
        let location = challenge
            .as_ref()
            .and_then(|challenge| challenge.parameter("resource_metadata"));
        if let Some(location) = location {
            let location = self.check_location(location)?;
            return match self.metadata(location.as_str()).await? {
                Ok(response) => read(&response, location.as_str(), self.server, scope),
                Err(missing) => Err(missing),
            };
        }
        let mut first_error = None;
        for location in well_known_locations(self.server) {
            match self.metadata(&location).await? {
                Ok(response) => return read(&response, &location, self.server, scope),
                Err(missing) => first_error = first_error.or(Some(missing)),
            }
        }
        Err(first_error.unwrap_or_else(|| Error::unavailable("no metadata")))
    }

    /// The challenge of the server, if it has one. Any status is accepted: a server that does not accept
    /// this request may still have metadata.
    async fn challenge(&self) -> Result<Option<Challenge>> {
        let head = self.http.exchange_up_to(0, |client| {
            client
                .post(self.server.as_str())
                .header("accept", "application/json, text/event-stream")
                .header("accept-encoding", "identity")
                .header("content-type", "application/json")
                .body(INITIALIZE)
        });
        let response = timeout_at(self.deadline, head).await;
        let response = match response.unwrap_or(Err(TransportError::TooLate)) {
            Ok(response) => response,
            Err(error) if error.is_connect_error() => {
                return Err(error.error(self.server.origin(), self.limit, None));
            }
            Err(_) => return Ok(None),
        };
        if let (300..400, Some(location)) = (response.status, &response.location) {
            return Err(self.redirected(location));
        }
        let header = response.www_authenticate.unwrap_or_default();
        let mut challenges = Challenge::all(&header);
        let has_metadata =
            |challenge: &Challenge| challenge.parameter("resource_metadata").is_some();
        let chosen = challenges
            .iter()
            .position(|it| it.is_bearer() && has_metadata(it))
            .or_else(|| challenges.iter().position(has_metadata))
            .or_else(|| challenges.iter().position(Challenge::is_bearer));
        Ok(chosen.map(|index| challenges.swap_remove(index)))
    }

    fn redirected(&self, location: &str) -> Error {
        let url = self.server.as_str();
        let error = Error::unavailable(format!(
            "{url} redirects to {}, and redirects are not followed",
            clean(location, FOREIGN_TEXT_LIMIT)
        ));
        // A path is one at the same server (RFC 9110 §10.2.2).
        let absolute = match location.strip_prefix('/') {
            Some(path) if !path.starts_with('/') => format!("{}/{path}", self.server.origin()),
            _ => location.to_owned(),
        };
        match TokenEndpoint::parse(&absolute) {
            Ok(url) if url.origin() == self.server.origin() => {
                error.hint(format!("use that URL: --mcp {}", shell::word(url.as_str())))
            }
            _ => error.hint("check the URL of the MCP server"),
        }
    }

    /// A server speaks only for itself: its metadata is at its own origin.
    fn check_location(&self, location: &str) -> Result<WebUrl> {
        let shown = clean(location, FOREIGN_TEXT_LIMIT);
        let url = WebUrl::parse(location).map_err(|fault| {
            Error::refused(format!(
                "{} names metadata at {shown}, a URL that {fault}",
                self.server.as_str()
            ))
        })?;
        if url.origin() == self.server.origin() {
            return Ok(url);
        }
        Err(Error::refused(format!(
            "{} names metadata at another server: {shown}",
            self.server.as_str()
        ))
        .hint("ask the administrator of the MCP server; nothing was sent to the other one"))
    }

    /// The response with the document, or why this location has none. Another location may have one.
    async fn metadata(&self, location: &str) -> Result<std::result::Result<HttpResponse, Error>> {
        let response = timeout_at(self.deadline, get(&self.http, location)).await;
        let response = match response.unwrap_or(Err(TransportError::TooLate)) {
            Ok(response) => response,
            Err(error) => {
                let is_final = error.is_connect_error();
                let error = not_received(error, location, self.limit);
                return if is_final { Err(error) } else { Ok(Err(error)) };
            }
        };
        Ok(match response.status {
            200 => Ok(response),
            status @ 300..400 => Err(no_metadata(&format!(
                "{location} answered {status}, and redirects are not followed"
            ))),
            status => Err(no_metadata(&format!("{location} answered {status}"))),
        })
    }
}

fn no_metadata(fault: &str) -> Error {
    Error::unavailable(format!("no metadata of the MCP server: {fault}"))
        .hint("use --issuer URL, --resource URL and --for URL instead of --mcp")
}

/// RFC 9728 §3.1, and the root, where the MCP specification looks next.
fn well_known_locations(server: &TokenEndpoint) -> Vec<String> {
    let origin = server.origin();
    let rest = &server.as_str()[origin.len()..];
    let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    let path = path.trim_end_matches('/');
    let mut locations = vec![[origin, WELL_KNOWN, path, query].concat()];
    if !path.is_empty() || !query.is_empty() {
        locations.push([origin, WELL_KNOWN].concat());
    }
    locations
}

pub(super) fn read(
    response: &HttpResponse,
    location: &str,
    server: &TokenEndpoint,
    challenged: Option<&str>,
) -> Result<ProtectedResource> {
    let body = in_utf8(&response.body);
    let members = Json::document(&body).and_then(Json::members);
    let members = members
        .ok_or_else(|| no_metadata(&format!("{location} answered without a JSON object")))?;
    let resource = members.get("resource").and_then(Json::text);
    let resource = resource
        .ok_or_else(|| Error::refused(format!("the metadata at {location} has no resource")))?;
    let checked = Resource::parse(&resource).ok();
    let Some(checked) = checked.filter(|_| covers(&resource, server)) else {
        let shown = clean(&resource, FOREIGN_TEXT_LIMIT);
        let error = Error::refused(format!(
            "the metadata at {location} is for another resource: {shown}, not {}",
            server.as_str()
        ));
        return Err(
            error.hint("check the URL of the MCP server; nothing was sent to other servers")
        );
    };
    let list = |name: &str| members.get(name).and_then(texts).unwrap_or_default();
    let supported = list("scopes_supported").join(" ");
    let scopes = match challenged {
        Some(scope) if !scope.trim().is_empty() => {
            OfferedScopes::Challenge(scope.trim().to_owned())
        }
        _ if !supported.is_empty() => OfferedScopes::Metadata(supported),
        _ => OfferedScopes::None,
    };
    Ok(ProtectedResource {
        resource: checked,
        authorization_servers: list("authorization_servers"),
        scopes,
        requires_dpop: members
            .get("dpop_bound_access_tokens_required")
            .is_some_and(|value| value.scalar() == Some("true")),
    })
}

/// Whether a resource is the server's URL (RFC 9728 §3.3), or a part of its path, as the MCP
/// specification allows.
fn covers(resource: &str, server: &TokenEndpoint) -> bool {
    let Ok(server) = WebUrl::parse(server.as_str()) else {
        return false;
    };
    if WebUrl::parse(resource).is_ok_and(|resource| resource == server) {
        return true;
    }
    BoundUrl::parse(resource).is_ok_and(|resource| resource.covers(&server))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> TokenEndpoint {
        TokenEndpoint::parse(url).expect("a URL")
    }

    #[test]
    fn the_well_known_part_comes_before_the_path() {
        for (url, locations) in [
            (
                "https://a.example/public/mcp/",
                vec![
                    "https://a.example/.well-known/oauth-protected-resource/public/mcp",
                    "https://a.example/.well-known/oauth-protected-resource",
                ],
            ),
            (
                "https://a.example",
                vec!["https://a.example/.well-known/oauth-protected-resource"],
            ),
            (
                "https://a.example/mcp?project=1",
                vec![
                    "https://a.example/.well-known/oauth-protected-resource/mcp?project=1",
                    "https://a.example/.well-known/oauth-protected-resource",
                ],
            ),
        ] {
            assert_eq!(well_known_locations(&server(url)), locations, "{url}");
        }
    }

    #[test]
    fn a_resource_is_the_url_or_a_part_of_its_path() {
        let url = server("https://a.example/public/mcp");
        for (resource, expected) in [
            ("https://a.example/public/mcp", true),
            ("HTTPS://A.example:443/public/mcp", true),
            ("https://a.example/public/mcp/", true),
            ("https://a.example/public", true),
            ("https://a.example", true),
            ("https://a.example/", true),
            ("https://a.example/pub", false),
            ("https://a.example/public/mcp/more", false),
            ("https://a.example/other", false),
            ("https://a.example:444/public/mcp", false),
            ("http://a.example/public/mcp", false),
            ("https://b.example/public/mcp", false),
            ("https://a.example.evil.example/public/mcp", false),
            ("https://a.example@evil.example/public/mcp", false),
            ("https://a.example/public/mcp#part", false),
            ("https://a.example/public/mcp?x=1", false),
            ("https://a.example/public/../public/mcp", false),
            ("smtp://a.example", false),
            ("urn:mcp", false),
            ("", false),
        ] {
            assert_eq!(covers(resource, &url), expected, "{resource}");
        }
        let url = server("https://a.example/mcp?project=1");
        assert!(covers("https://a.example/mcp?project=1", &url));
        assert!(covers("https://a.example/mcp", &url));
        assert!(!covers("https://a.example/mcp?project=2", &url));
    }
}

//! `hallpass login --mcp URL`: the authorization server of an MCP server is found, shown and confirmed
//! before a secret is read. The profile keeps the endpoint, so nothing is discovered later.

mod confirm;

use std::path::PathBuf;

use super::derived::timeout;
use super::prepare::Login;
use crate::error::{Error, Result};
use crate::message::{self, FOREIGN_TEXT_LIMIT, clean};
use crate::oauth::{Metadata, OfferedScopes, ProtectedResource, discover_resource, is_private};
use crate::platform::prompt;
use crate::profile::TokenEndpoint;
use crate::profile::binding::{Binding, BoundUrl};
use crate::profile::settings::{Setting, Settings};
use crate::types::checked_text::{Resource, Scope};

/// The MCP server of a login.
pub(super) struct McpServer {
    url: TokenEndpoint,
    binding: BoundUrl,
    resource: Resource,
    issuer: String,
    /// The scope that the server asks for, and where it does so.
    scope: Option<(Scope, &'static str)>,
    /// The grant types that the authorization server lists, if it has such a list.
    grant_types: Option<Vec<String>>,
    /// The client authentication methods that the authorization server lists.
    methods: Vec<String>,
    /// Whether it takes only tokens that are bound to a key.
    requires_dpop: bool,
}

impl Login<'_> {
    /// Finds the authorization server of `--mcp`. No credential is involved.
    ///
    /// # Errors
    /// Why there is none that may be used without `--issuer`.
    pub(super) fn discover_mcp_server(&mut self) -> Result<()> {
        let Some(url) = &self.args.mcp else {
            return Ok(());
        };
        // A query is a part of the request, and of no binding.
        let binding = url.as_str().split('?').next().unwrap_or_default();
        let binding = BoundUrl::parse(binding)
            .map_err(|fault| Error::usage(format!("the URL of the MCP server {fault}")))?;
        let ca_file = self.layers.find(|layer| &layer.ca_file);
        let ca_file = ca_file.map(PathBuf::as_path);
        let found = discover_resource(url, ca_file, timeout(&self.layers))?;
        let issuer = self.choose_issuer(url, &found)?;
        let scope = match found.scopes {
            OfferedScopes::Challenge(text) => Some((text, "from the challenge")),
            OfferedScopes::Metadata(text) => Some((text, "all that the server lists")),
            OfferedScopes::None => None,
        };
        let scope = scope.filter(|_| self.layers.given.scope.is_unset());
        let scope = scope.map(|(text, origin)| Ok((parse_scope(&text)?, origin)));
        self.layers.answered = Settings {
            issuer: Setting::Set(issuer.clone()),
            resource: Setting::Set(vec![found.resource.clone()]),
            ..Settings::default()
        };
        self.mcp = Some(McpServer {
            url: url.clone(),
            binding,
            resource: found.resource,
            requires_dpop: found.requires_dpop,
            issuer,
            scope: scope.transpose()?,
            grant_types: None,
            methods: Vec::new(),
        });
        Ok(())
    }

    /// The only authorization server, or the one that the user named.
    fn choose_issuer(&self, url: &TokenEndpoint, found: &ProtectedResource) -> Result<String> {
        let server = url.as_str();
        let issuers = known_once(&found.authorization_servers);
        let shown = issuers.iter().map(|it| clean(it, FOREIGN_TEXT_LIMIT));
        let shown = shown.collect::<Vec<_>>().join(", ");
        if let Some(given) = &self.args.issuer {
            if issuers.iter().any(|issuer| is_same_url(issuer, given)) {
                return Ok(given.clone());
            }
            let error = format!("{server} does not trust {given}; it trusts {shown}");
            return Err(Error::usage(error).hint("nothing was sent to any of them"));
        }
        let issuer = match issuers.as_slice() {
            [] => {
                return Err(
                    Error::refused(format!("{server} names no authorization server"))
                        .hint("use --issuer URL, --resource URL and --for URL instead of --mcp"),
                );
            }
            [issuer] => *issuer,
            several => {
                let error = format!("{server} trusts several authorization servers: {shown}");
                let usable = several.iter().filter(|it| TokenEndpoint::parse(it).is_ok());
                let hints = usable
                    .take(5)
                    .map(|issuer| self.command("--issuer", issuer));
                return Err(hints.fold(Error::usage(error), Error::hint));
            }
        };
        let endpoint = TokenEndpoint::parse(issuer).map_err(|fault| {
            Error::refused(format!("{server} names {shown}, a URL that {fault}"))
        })?;
        let limit = timeout(&self.layers);
        if is_private(&endpoint, limit)? && !is_private(url, limit)? {
            return Err(Error::refused(format!(
                "{server} names {shown}, which is in a private network or on this machine"
            ))
            .hint(self.command("--issuer", issuer)));
        }
        if !prompt::can_ask() {
            return Err(Error::usage(format!(
                "{server} trusts {shown}, which has to be confirmed, and there is no terminal to ask at"
            ))
            .hint(self.command("--issuer", issuer)));
        }
        Ok(issuer.to_owned())
    }

    /// Binds the profile to the MCP server as well.
    ///
    /// # Errors
    /// `Usage` if the tokens of the profile are for something else.
    pub(super) fn bind_to_mcp_server(&mut self) -> Result<()> {
        let Some(mcp) = &self.mcp else {
            return Ok(());
        };
        let mut bindings = self.layers.given.bindings.value().cloned();
        if let Some(renewed) = &self.renewed {
            let is_same = renewed.resource.as_slice() == [mcp.resource.clone()];
            if !is_same && !self.args.replace {
                let name = &self.name;
                return Err(Error::usage(format!(
                    "profile {name} has tokens for something else than {}",
                    mcp.resource
                ))
                .hint("to keep it, choose another name: hallpass login NAME --mcp ...")
                .hint("to use it for this server only: add --replace"));
            }
            if is_same && self.layers.given.bindings.is_unset() {
                bindings = Some(renewed.bindings.clone());
            }
        }
        let mut bindings = bindings.unwrap_or_default();
        if bindings.iter().all(|binding| binding.url != mcp.binding) {
            bindings.push(Binding::of(mcp.binding.clone()));
        }
        self.layers.given.bindings = Setting::Set(bindings);
        Ok(())
    }

    /// Takes over what the authorization server says about itself. The layer of the metadata is there.
    pub(super) fn use_mcp_metadata(&mut self, metadata: &Metadata) {
        let Some(mcp) = &mut self.mcp else {
            return;
        };
        mcp.grant_types.clone_from(&metadata.grant_types);
        mcp.methods.clone_from(&metadata.methods);
        let layers = &mut self.layers;
        if mcp.requires_dpop {
            layers.metadata.dpop = Setting::Set(());
        }
        if let Some((scope, _)) = &mcp.scope {
            layers.metadata.scope = Setting::Set(scope.clone());
        }
        // What is confirmed now holds at later logins, too.
        let endpoint = layers.metadata.token_endpoint.clone();
        if let Some(revocation) = layers.metadata.revocation_endpoint.value()
            && let Some(token) = layers.given.token_endpoint.value().or(endpoint.value())
            && revocation.origin() != token.origin()
        {
            message::warning(&format!(
                "tokens are not revoked at logout: {} is another server than {}",
                revocation.as_str(),
                token.origin()
            ));
            layers.metadata.revocation_endpoint = Setting::Removed;
        }
        layers.answered.token_endpoint = endpoint;
    }
}

/// RFC 6749 §3.3.
fn parse_scope(text: &str) -> Result<Scope> {
    let is_valid = text
        .bytes()
        .all(|byte| matches!(byte, 0x20..=0x7e) && !matches!(byte, b'"' | b'\\'));
    let scope = Scope::parse(text).ok().filter(|_| is_valid);
    scope.ok_or_else(|| {
        Error::refused("the scope that the MCP server asks for has characters that no scope has")
            .hint("choose one with --scope")
    })
}

/// Each issuer once, in the server's order.
fn known_once(issuers: &[String]) -> Vec<&str> {
    let mut known: Vec<&str> = Vec::new();
    for issuer in issuers {
        if !known.iter().any(|known| is_same_url(known, issuer)) {
            known.push(issuer);
        }
    }
    known
}

/// Whether two issuers differ at most in a slash at the end, or in the case of the host.
fn is_same_url(one: &str, other: &str) -> bool {
    let canonical = |text: &str| {
        let url = TokenEndpoint::parse(text).ok()?;
        Some(url.as_str().trim_end_matches('/').to_owned())
    };
    one == other || canonical(one).is_some_and(|one| Some(one) == canonical(other))
}

#[cfg(test)]
mod tests {
    use super::{is_same_url, known_once, parse_scope};

    #[test]
    fn issuers_that_differ_in_spelling_are_one() {
        assert!(is_same_url("https://as.example", "https://AS.example:443/"));
        assert!(!is_same_url("https://as.example", "https://as.example/a"));
        assert!(!is_same_url("https://as.example", "http://as.example"));
        let issuers = ["https://a.example", "https://a.example/", "x"].map(str::to_owned);
        assert_eq!(known_once(&issuers), ["https://a.example", "x"]);
    }

    #[test]
    fn a_scope_has_no_character_that_a_terminal_obeys() {
        assert!(parse_scope("read write:all").is_ok());
        for text in ["a\u{1b}[2J", "a\nb", "a\"b", "a\\b", "\u{202e}a", ""] {
            assert!(parse_scope(text).is_err(), "{text:?}");
        }
    }
}

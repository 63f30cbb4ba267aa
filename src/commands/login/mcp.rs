//! `hallpass login --mcp URL`: the authorization server of an MCP server is found, shown and confirmed
//! before a secret is read. The profile keeps the endpoint, so nothing is discovered later.

use std::path::{Path, PathBuf};

use super::derived::timeout;
use super::options::Args;
use super::prepare::Login;
use crate::error::{Error, Result};
use crate::message::{self, FOREIGN_TEXT_LIMIT, clean};
use crate::oauth::{Metadata, OfferedScopes, ProtectedResource, discover_resource, is_private};
use crate::platform::prompt;
use crate::profile::binding::{Binding, BoundUrl};
use crate::profile::settings::{Setting, Settings};
use crate::profile::token_request::CLIENT_CREDENTIALS;
use crate::profile::{Profile, TokenEndpoint};
use crate::types::checked_text::{Resource, Scope};

/// The MCP server of a login.
pub(super) struct McpServer {
    url: TokenEndpoint,
    binding: BoundUrl,
    resource: Resource,
    issuer: String,
    /// The scope that the server asks for, and where it does so.
    scope: Option<(Scope, &'static str)>,
    /// The client authentication methods that the authorization server lists.
    methods: Vec<String>,
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
            issuer,
            scope: scope.transpose()?,
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
    ///
    /// # Errors
    /// `Refused` if the server lists other grants only.
    pub(super) fn use_mcp_metadata(&mut self, metadata: &Metadata) -> Result<()> {
        let Some(mcp) = &mut self.mcp else {
            return Ok(());
        };
        let grant = self.layers.find(|layer| &layer.grant_type);
        let grant = grant.map_or(CLIENT_CREDENTIALS, String::as_str);
        if let Some(offered) = &metadata.grant_types
            && offered.iter().all(|offered| offered != grant)
        {
            return Err(Error::refused(format!(
                "{} does not offer the grant {grant}; it offers {}",
                mcp.issuer,
                listed(offered)
            ))
            .hint("ask its administrator to enable the grant for this client"));
        }
        mcp.methods.clone_from(&metadata.methods);
        let layers = &mut self.layers;
        if let Some((scope, _)) = &mcp.scope {
            layers.metadata.scope = Setting::Set(scope.clone());
        }
        // What is confirmed now holds at later logins, too.
        let endpoint = layers.metadata.token_endpoint.clone();
        if let Some(revocation) = layers.metadata.revocation_endpoint.value()
            && let Some(token) = endpoint.value()
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
        Ok(())
    }

    /// Shows where the secret will go, and lets the user confirm it.
    ///
    /// # Errors
    /// `Usage` if that is not confirmed, `Refused` if the server lists other methods only.
    pub(super) fn confirm_mcp_server(&self) -> Result<()> {
        let Some(mcp) = &self.mcp else {
            return Ok(());
        };
        let profile = self.merge()?;
        let method = profile.client_auth.as_str();
        let is_chosen = self.args.auth.is_some() || mcp.methods.is_empty();
        if !is_chosen && mcp.methods.iter().all(|offered| offered != method) {
            return Err(Error::refused(format!(
                "{} does not offer {method}; it offers {}",
                mcp.issuer,
                listed(&mcp.methods)
            ))
            .hint("choose another method with --auth, and its key with --jwt-key or --cert"));
        }
        let can_ask = prompt::can_ask();
        if can_ask {
            prompt::show(&mcp.text(&profile));
        }
        let origin = profile.token_endpoint.origin();
        let is_at_issuer =
            TokenEndpoint::parse(&mcp.issuer).is_ok_and(|issuer| issuer.origin() == origin);
        let is_named =
            self.args.token_url.is_some() || (self.args.issuer.is_some() && is_at_issuer);
        if is_named {
            return Ok(());
        }
        if !can_ask {
            let endpoint = profile.token_endpoint.as_str();
            return Err(Error::usage(format!(
                "the token endpoint of {} is at another server: {endpoint}",
                mcp.issuer
            ))
            .hint(self.command("--token-url", endpoint)));
        }
        let what = if profile.client_auth.has_key() {
            "Authenticate this client at"
        } else {
            "Send the secret to"
        };
        let server = if is_at_issuer {
            origin.to_owned()
        } else {
            format!("{origin}, which is not {}", mcp.issuer)
        };
        if prompt::confirm(&format!("{what} {server}?"), false)? {
            return Ok(());
        }
        Err(Error::usage("cancelled: nothing was sent"))
    }

    /// This login with one more option, which confirms a server.
    fn command(&self, option: &str, value: &str) -> String {
        let words = words_of(self.args, option, value);
        let words = words.iter().map(String::as_str);
        // An argument has no NUL, the only character that cannot be quoted.
        let command = shlex::try_join(words).unwrap_or_default();
        format!("to confirm it, add {option}: {command}")
    }
}

impl McpServer {
    fn text(&self, profile: &Profile) -> String {
        let endpoint = profile.token_endpoint.as_str();
        let mut lines = vec![
            ("server", self.url.as_str().to_owned()),
            ("resource", self.resource.to_string()),
            (
                "trusts",
                format!("{}  (token endpoint {endpoint})", self.issuer),
            ),
            (
                "client",
                format!("{}  ({})", profile.client(), profile.client_auth.as_str()),
            ),
        ];
        if let Some(scope) = &profile.scope {
            let origin = self.scope.as_ref().filter(|(asked, _)| asked == scope);
            let origin = origin.map(|(_, origin)| format!("  ({origin})"));
            lines.push(("scopes", format!("{scope}{}", origin.unwrap_or_default())));
        }
        let lines = lines.iter().map(|(name, value)| {
            let value = clean(value, 4 * FOREIGN_TEXT_LIMIT);
            format!("  {name:<10} {value}\n")
        });
        lines.collect()
    }
}

/// The options that make a login what it is, as they were given. None of them holds a secret.
fn words_of(args: &Args, option: &str, value: &str) -> Vec<String> {
    let path = |path: &PathBuf| Path::display(path).to_string();
    let text = |text: &str| text.to_owned();
    let mut words = vec!["hallpass".to_owned(), "login".to_owned()];
    words.extend(args.profile.clone());
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            words.extend([name.to_owned(), value]);
        }
    };
    add("--mcp", args.mcp.as_ref().map(|url| text(url.as_str())));
    add("--issuer", args.issuer.clone());
    add(option, Some(value.to_owned()));
    add("--client-id", args.client_id.as_deref().map(text));
    add("--auth", args.auth.map(|auth| text(auth.as_str())));
    for scope in &args.scope {
        add("--scope", Some(scope.clone()));
    }
    add("--audience", args.audience.clone());
    add("--ca-file", args.ca_file.as_ref().map(path));
    add("--secret-file", args.secret_file.as_ref().map(path));
    add("--secret-env", args.secret_env.clone());
    add("--secret-credential", args.secret_credential.clone());
    add("--jwt-key", args.jwt_key.as_ref().map(ToString::to_string));
    let command = args.jwt_sign_command.as_ref();
    add("--jwt-sign-command", command.map(ToString::to_string));
    add("--jwt-public", args.jwt_public.as_ref().map(path));
    add("--agent-socket", args.agent_socket.as_ref().map(path));
    add("--cert", args.cert.as_ref().map(path));
    add("--key", args.key.as_ref().map(ToString::to_string));
    let flags = [
        ("--secret-stdin", args.secret_stdin),
        ("--key-stdin", args.key_stdin),
        ("--replace", args.replace),
        ("--no-verify", args.no_verify),
    ];
    let given = flags.into_iter().filter(|(_, is_given)| *is_given);
    words.extend(given.map(|(name, _)| name.to_owned()));
    words
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

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    clean(&names.join(", "), FOREIGN_TEXT_LIMIT)
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

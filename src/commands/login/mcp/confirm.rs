//! What the user confirms before a credential goes to the authorization server of an MCP server.

use std::path::{Path, PathBuf};

use super::McpServer;
use crate::commands::login::options::Args;
use crate::commands::login::prepare::Login;
use crate::error::{Error, Result};
use crate::message::{FOREIGN_TEXT_LIMIT, clean};
use crate::platform::prompt;
use crate::profile::{CredentialKind, Profile, TokenEndpoint};

impl Login<'_> {
    /// Shows where the secret will go, and lets the user confirm it.
    ///
    /// # Errors
    /// `Usage` if that is not confirmed, `Refused` if the server lists other methods only.
    pub(in crate::commands::login) fn confirm_mcp_server(&self) -> Result<()> {
        let Some(mcp) = &self.mcp else {
            return Ok(());
        };
        let profile = self.merge()?;
        mcp.check_offers(&profile, self.args.auth.is_some())?;
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
        let what = match profile.client_auth.credential() {
            CredentialKind::Secret => "Send the secret to",
            CredentialKind::Key => "Authenticate this client at",
            CredentialKind::None => "Send the identity token to",
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
    pub(super) fn command(&self, option: &str, value: &str) -> String {
        let words = words_of(self.args, option, value);
        let words = words.iter().map(String::as_str);
        // An argument has no NUL, the only character that cannot be quoted.
        let command = shlex::try_join(words).unwrap_or_default();
        format!("to confirm it, add {option}: {command}")
    }
}

impl McpServer {
    /// Whether the authorization server offers the grant and the method of this profile. A method that
    /// the user chose needs no list.
    fn check_offers(&self, profile: &Profile, is_chosen: bool) -> Result<()> {
        let grant = profile.grant_type.as_deref();
        let grant = grant.unwrap_or(profile.default_grant_type());
        if let Some(offered) = &self.grant_types
            && offered.iter().all(|offered| offered != grant)
        {
            return Err(Error::refused(format!(
                "{} does not offer the grant {grant}; it offers {}",
                self.issuer,
                listed(offered)
            ))
            .hint("ask its administrator to enable the grant for this client"));
        }
        let method = profile.client_auth;
        let is_registered = method.credential() != CredentialKind::None;
        let is_listed = self.methods.is_empty()
            || self
                .methods
                .iter()
                .any(|offered| offered == method.as_str());
        if is_chosen || is_listed || !is_registered {
            return Ok(());
        }
        Err(Error::refused(format!(
            "{} does not offer {}; it offers {}",
            self.issuer,
            method.as_str(),
            listed(&self.methods)
        ))
        .hint("choose another method with --auth, and its key with --jwt-key or --cert"))
    }

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
    add(
        "--identity",
        args.identity.as_ref().map(ToString::to_string),
    );
    add(
        "--identity-as",
        args.identity_as.map(|role| text(role.as_str())),
    );
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

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    clean(&names.join(", "), FOREIGN_TEXT_LIMIT)
}

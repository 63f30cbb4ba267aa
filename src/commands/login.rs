//! `hallpass login`: proves a client, then keeps its settings, its secret and the token it just got.
//!
//! A transaction over two stores. The keychain item of a new generation is written first, under an
//! account of its own; renaming the profile makes it the one that counts; the old item goes last.
//! A crash anywhere leaves the old login or the new one, never one client with the other's secret.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::{duration, warn_of_narrower_scope, words};
use crate::cache::Cache;
use crate::digest::hex;
use crate::disk::Directories;
use crate::error::{Error, Kind, Result};
use crate::message;
use crate::profile::{
    BodyFormat, BoundUrl, ClientAuth, Profile, ProfileName, SecretSource, TokenEndpoint,
};
use crate::profiles::{Editor, Profiles, name_given};
use crate::prompt;
use crate::refusal::Refusal;
use crate::secret::ClientSecret;
use crate::secrets::{self, Patience, keychain};
use crate::token::{CachedToken, TokenRequest};
use crate::token_endpoint;

/// A login without a name goes here: never to the only other profile there is, which it would replace.
const DEFAULT_NAME: &str = "default";

/// Parameters that have an option of their own, or that only hallpass may set.
const STANDARD_PARAMETERS: [&str; 8] = [
    "grant_type",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "scope",
    "audience",
    "resource",
];

/// Keep a client's settings, and its secret in the keychain
///
/// What is not given is asked for at a terminal. Without `--token-url`, a profile that is there
/// keeps its settings, and what is given changes them. An empty value removes a setting.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The profile's name [default: `$HALLPASS_PROFILE`, else `default`]
    profile: Option<String>,
    /// The token endpoint (https, or http on this machine itself)
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    token_url: Option<TokenEndpoint>,
    /// The client identifier
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// What the tokens are for, where the server wants to know (Auth0, Blooma)
    #[arg(long)]
    audience: Option<String>,
    /// The scope to ask for (repeatable)
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// A resource that the tokens are for, RFC 8707 (repeatable)
    #[arg(long, value_name = "URI", value_parser = resource)]
    resource: Vec<String>,
    /// Another parameter of the token request (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = parameter)]
    param: Vec<(String, String)>,
    /// How the client proves itself [default: `client_secret_basic`, with a JSON body `client_secret_post`]
    #[arg(long, value_name = "METHOD")]
    auth: Option<AuthArg>,
    /// How the token request is written [default: form]
    #[arg(long, value_name = "FORMAT")]
    body: Option<BodyArg>,
    /// A URL that the tokens are meant for (repeatable)
    #[arg(long = "for", value_name = "URL", value_parser = bound_url)]
    bound_urls: Vec<OrNothing<BoundUrl>>,
    /// Where tokens are revoked at logout, RFC 7009
    #[arg(long, value_name = "URL", value_parser = revocation_url)]
    revocation_url: Option<OrNothing<TokenEndpoint>>,
    // The parser of paths takes no empty one, which removes the setting.
    /// PEM certificates to trust beside the system's
    #[arg(long, value_name = "FILE", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    ca_file: Option<PathBuf>,
    /// The longest time that a token request may take [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// Read the secret from standard input
    #[arg(long, group = "source")]
    secret_stdin: bool,
    /// Leave the secret in this file, which only you may read, and keep its path
    #[arg(long, value_name = "FILE", group = "source")]
    secret_file: Option<PathBuf>,
    /// Have this command print the secret, and keep the command (one that begins with `!` is for the shell)
    #[arg(long, value_name = "COMMAND", group = "source", value_parser = secret_command)]
    secret_command: Option<SecretSource>,
    /// Keep the login without proving it by a token request
    #[arg(long)]
    no_verify: bool,
    /// Always refused: an argument can be seen by every process
    #[arg(long, hide = true, aliases = ["secret", "password", "client_secret"], num_args = 0..=1)]
    client_secret: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum AuthArg {
    ClientSecretBasic,
    ClientSecretPost,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum BodyArg {
    Form,
    Json,
}

pub(crate) fn run(args: Args) -> Result<String> {
    if args.client_secret.is_some() {
        return Err(Error::usage("a secret is not taken as an argument: every process on this machine can read it")
            .hint("leave it out to be asked for it, or pipe it in: some-command | hallpass login --secret-stdin"));
    }
    let directories = Directories::locate()?;
    let profiles = Profiles::of(&directories);
    let name = match name_given(args.profile.as_deref())? {
        Some(name) => name,
        None => ProfileName::parse(DEFAULT_NAME)?,
    };
    let before = match profiles.load(&name) {
        Ok(profile) => Some(profile),
        Err(error) if error.kind == Kind::NotFound || args.token_url.is_some() => None,
        Err(error) => return Err(error),
    };
    let from_stdin = args.secret_stdin;
    let verify = !args.no_verify;
    let mut profile = args.profile(before)?;
    let secret = match &profile.secret {
        SecretSource::Keychain { .. } => Some(if from_stdin {
            prompt::read_secret_from_stdin()?
        } else {
            ask_secret()?
        }),
        _ => None,
    };
    if secret.is_some() {
        profile.secret = SecretSource::Keychain {
            account: profile.keychain_account(&name),
        };
    }
    let request = TokenRequest::new(
        &name,
        &profile,
        None,
        None,
        secrets::version(&profile.secret).as_deref(),
    );
    let token = if verify {
        Some(prove(&name, &profile, secret.as_ref(), &request)?)
    } else {
        None
    };
    let editor = profiles.edit()?;
    let stale = commit(&editor, &name, &profile, secret.as_ref())?;
    // From here on the login counts, and what goes wrong is worth a warning.
    let cache = Cache::of(&directories, &name);
    let kept = cache.clear().and_then(|()| {
        token
            .as_ref()
            .map_or(Ok(()), |token| cache.place(&request).keep(token))
    });
    if let Err(error) = kept {
        message::warning(&format!("the cache could not be renewed: {error}"));
    }
    if let Err(error) = remove_stale(&editor, &name, &profile, &stale) {
        message::warning(&format!(
            "the previous secret is still in the keychain: {error}; the next login or logout removes it"
        ));
    }
    report(&name, &profile, token.as_ref());
    Ok(String::new())
}

impl Args {
    /// Asks for what a new profile needs and was not given.
    fn ask_for_the_rest(&mut self) -> Result<()> {
        let without_any_setting = self.token_url.is_none();
        if without_any_setting {
            let answer = ask("Token URL", "--token-url")?;
            let parsed = TokenEndpoint::parse(&answer);
            self.token_url =
                Some(parsed.map_err(|fault| Error::usage(format!("the token URL {fault}")))?);
        }
        if self.client_id.is_none() {
            self.client_id = Some(ask("Client ID", "--client-id")?);
        }
        if without_any_setting {
            // Who begins without any setting is asked for the usual ones, too.
            if self.audience.is_none() {
                self.audience = Some(prompt::ask("Audience (empty for none)")?);
            }
            if self.scope.is_empty() {
                self.scope = vec![prompt::ask("Scope (empty for none)")?];
            }
        }
        Ok(())
    }

    /// The profile to be: what was given, else what was there, else what a person answers.
    fn profile(mut self, before: Option<Profile>) -> Result<Profile> {
        let before = before.filter(|_| self.token_url.is_none());
        let is_new = before.is_none();
        if is_new {
            self.ask_for_the_rest()?;
        }
        let mut profile = match (before, self.token_url) {
            (Some(before), _) => before,
            (None, Some(endpoint)) => Profile::new(endpoint),
            (None, None) => return Err(Error::usage("the token URL is missing")),
        };
        profile.generation = generation()?;
        replace(&mut profile.client_id, self.client_id);
        if profile.client_id.is_empty() || profile.client_id.contains(char::is_control) {
            return Err(Error::usage(
                "the client id is empty or holds a control character",
            ));
        }
        if let Some(body) = self.body {
            let (format, usual) = body.with_its_usual_method();
            profile.body = format;
            if is_new {
                profile.client_auth = usual;
            }
        }
        replace(
            &mut profile.client_auth,
            self.auth.map(AuthArg::client_auth),
        );
        replace_text(&mut profile.audience, self.audience);
        replace_text(&mut profile.scope, joined(&self.scope));
        if !self.resource.is_empty() {
            let given = self.resource.into_iter();
            profile.resource = given.filter(|resource| !resource.is_empty()).collect();
        }
        if !self.bound_urls.is_empty() {
            profile.bound_urls = self
                .bound_urls
                .into_iter()
                .filter_map(|url| url.0)
                .collect();
        }
        for (name, value) in self.param {
            if value.is_empty() {
                profile.parameters.remove(&name);
            } else {
                profile.parameters.insert(name, value);
            }
        }
        if let Some(OrNothing(endpoint)) = self.revocation_url {
            profile.revocation_endpoint = endpoint;
        }
        if let Some(path) = self.ca_file {
            let given = !path.as_os_str().is_empty();
            profile.ca_file = given.then(|| absolute(&path)).transpose()?;
        }
        if let Some(timeout) = self.timeout {
            if timeout.is_zero() {
                return Err(Error::usage(
                    "a token request needs some time: --timeout 30s",
                ));
            }
            profile.timeout_seconds = Some(timeout.as_secs());
        }
        let source = match (self.secret_stdin, self.secret_file, self.secret_command) {
            (true, ..) => Some(SecretSource::new_keychain_item()),
            (_, Some(path), _) => Some(SecretSource::File(absolute(&path)?)),
            (.., command) => command,
        };
        replace(&mut profile.secret, source);
        Ok(profile)
    }
}

impl AuthArg {
    fn client_auth(self) -> ClientAuth {
        match self {
            Self::ClientSecretBasic => ClientAuth::ClientSecretBasic,
            Self::ClientSecretPost => ClientAuth::ClientSecretPost,
        }
    }
}

impl BodyArg {
    /// With a JSON body, servers expect the credentials in it, too.
    fn with_its_usual_method(self) -> (BodyFormat, ClientAuth) {
        match self {
            Self::Form => (BodyFormat::Form, ClientAuth::ClientSecretBasic),
            Self::Json => (BodyFormat::Json, ClientAuth::ClientSecretPost),
        }
    }
}

/// A repeatable option's values as one text; none if it was not given.
fn joined(values: &[String]) -> Option<String> {
    (!values.is_empty()).then(|| words(values))
}

fn replace<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}

/// An empty text removes the setting: no parameter is ever sent empty.
fn replace_text(setting: &mut Option<String>, given: Option<String>) {
    if let Some(given) = given {
        *setting = Some(given).filter(|text| !text.is_empty());
    }
}

/// 128 bits that no other login has.
fn generation() -> Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|error| Error::broken("the system has no randomness").because(error))?;
    Ok(hex(&random))
}

/// Asks for what was not given; without a terminal, says which option would have given it.
fn ask(question: &str, option: &str) -> Result<String> {
    if prompt::can_ask() {
        prompt::ask(question)
    } else {
        Err(Error::usage(format!(
            "{option} is missing, and there is no terminal to ask at"
        ))
        .hint("a new login takes --token-url, --client-id, and one of --secret-stdin, --secret-file and --secret-command"))
    }
}

fn ask_secret() -> Result<ClientSecret> {
    if prompt::can_ask() {
        prompt::ask_secret("Client secret")
    } else {
        Err(Error::usage("the client secret is missing, and there is no terminal to ask at")
            .hint("pipe it in with --secret-stdin, or name its place with --secret-file or --secret-command"))
    }
}

/// One real token request, before anything is stored.
fn prove(
    name: &ProfileName,
    profile: &Profile,
    secret: Option<&ClientSecret>,
    request: &TokenRequest,
) -> Result<CachedToken> {
    let secret = match secret {
        Some(secret) => secret.clone(),
        None => secrets::read(name, profile, Patience::Person)?,
    };
    let token = token_endpoint::ask(profile, request, &secret).map_err(Refusal::into_error)?;
    warn_of_narrower_scope(request, &token);
    Ok(token)
}

/// Makes the login count. Returns the accounts of keychain items that no longer do.
fn commit(
    editor: &Editor<'_>,
    name: &ProfileName,
    profile: &Profile,
    secret: Option<&ClientSecret>,
) -> Result<BTreeSet<String>> {
    let stale = editor.items(name)?;
    if let (Some(secret), Some(account)) = (secret, profile.secret.keychain_account()) {
        let mut items = stale.clone();
        items.insert(account.to_owned());
        // Listed before it exists, so that no crash leaves a secret that nobody knows of.
        editor.save_items(name, &items)?;
        if let Err(unwritten) = keychain::write(name, account, secret, Patience::Person.limit()) {
            if unwritten.nothing_left {
                editor.save_items(name, &stale)?;
            }
            return Err(unwritten.error);
        }
    }
    editor.save(name, profile)?;
    Ok(stale)
}

fn remove_stale(
    editor: &Editor<'_>,
    name: &ProfileName,
    profile: &Profile,
    stale: &BTreeSet<String>,
) -> Result<()> {
    for account in stale {
        keychain::delete(name, account, Patience::Person.limit())?;
    }
    let current = profile.secret.keychain_account().map(str::to_owned);
    editor.save_items(name, &current.into_iter().collect())
}

fn report(name: &ProfileName, profile: &Profile, token: Option<&CachedToken>) {
    let place = match &profile.secret {
        SecretSource::Keychain { .. } => {
            format!("its secret is in the keychain ({})", keychain::NAME)
        }
        SecretSource::File(path) => format!("its secret stays in {}", path.display()),
        SecretSource::Command(_) | SecretSource::Shell(_) => {
            "its secret comes from the command".to_owned()
        }
    };
    message::note(&format!(
        "logged in to the profile `{name}` as the client `{}`; {place}",
        profile.client_id
    ));
    match token {
        Some(token) => message::note(&format!(
            "a token was issued that lasts until {}",
            token.expires_at.rfc3339()
        )),
        None => message::note("the login was not proven by a token request"),
    }
}

fn absolute(path: &std::path::Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path);
    absolute.map_err(|error| {
        Error::usage(format!("cannot use the path {}", path.display())).because(error)
    })
}

fn endpoint(text: &str) -> std::result::Result<TokenEndpoint, String> {
    TokenEndpoint::parse(text).map_err(|fault| format!("the URL {fault}"))
}

/// A value, or the empty text that removes it.
#[derive(Clone, Debug)]
struct OrNothing<T>(Option<T>);

fn revocation_url(text: &str) -> std::result::Result<OrNothing<TokenEndpoint>, String> {
    let given = Some(text).filter(|text| !text.is_empty());
    given.map(endpoint).transpose().map(OrNothing)
}

fn bound_url(text: &str) -> std::result::Result<OrNothing<BoundUrl>, String> {
    let given = Some(text).filter(|text| !text.is_empty());
    let url = given.map(BoundUrl::parse).transpose();
    url.map(OrNothing)
        .map_err(|fault| format!("the URL {fault}"))
}

/// An absolute URI without a fragment (RFC 8707 §2); an empty one removes what was there.
fn resource(text: &str) -> std::result::Result<String, String> {
    let scheme_fits = text.split_once(':').is_some_and(|(scheme, rest)| {
        !rest.is_empty()
            && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    });
    let fits =
        scheme_fits && !text.contains('#') && text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.is_empty() || fits {
        Ok(text.to_owned())
    } else {
        Err("a resource is an absolute URI without a fragment".to_owned())
    }
}

fn parameter(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    if name.is_empty() || text.contains(char::is_control) {
        return Err("write NAME=VALUE, without control characters".to_owned());
    }
    if STANDARD_PARAMETERS.contains(&name) {
        return Err(format!(
            "`{name}` is set by an option of its own, or by hallpass itself"
        ));
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn secret_command(text: &str) -> std::result::Result<SecretSource, String> {
    if let Some(line) = text.strip_prefix('!') {
        return Ok(SecretSource::Shell(line.to_owned()));
    }
    match shlex::split(text) {
        Some(words) if !words.is_empty() => Ok(SecretSource::Command(words)),
        _ => Err("the command is empty, or a quote in it is not closed".to_owned()),
    }
}

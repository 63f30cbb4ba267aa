//! `hallpass token`: prints an access token, from the cache while it is valid.

pub(super) mod format;
mod inspect;
mod lines;
mod remote;
mod request;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::command_line::{Word, Words, flag, once};
use super::expiry;
use super::obtain::{TokenOptions, obtain};
use super::template::{Template, Values};
use super::{DEFAULT_VARIABLE, duration, scope};
use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::message;
use crate::platform::disk::Output;
use crate::platform::prompt;
use crate::platform::variables;
use crate::profile::selected::SelectedProfile;
use crate::profile::{INSPECT, ProfileName, TokenEndpoint};
use crate::profiles::{self, Bound, Profiles, from_environment};
use crate::types::dpop::Nonce;
use crate::types::shell;
use crate::types::web_url::WebUrl;
use clap::ValueEnum as _;
use format::{Format, no_machine};
use inspect::inspect;
use request::{HttpRequest, check_bound, headers_of};

pub(crate) use remote::run_with_socket;

const EXAMPLES: &str = "\
Examples:
  hallpass token prod
  hallpass token prod --min-ttl 5m    # a token valid for at least five more minutes
  hallpass token inspect prod         # the claims of a JWT, but not the token
  hallpass token prod --format curl | curl -K - https://api.example/";

/// Print an access token, from the cache while it is valid
#[derive(Debug, Default, Eq, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "options that take no value")]
pub(crate) struct Args {
    /// Profile [default: `$HALLPASS_PROFILE`, or the only profile]
    profile: Option<String>,
    /// Require at least this much remaining lifetime (90, 90s, 5m, 2h)
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s", hide_default_value = true)]
    min_ttl: Duration,
    /// Request this scope instead of the profile's (repeatable)
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// Request this audience instead of the profile's
    #[arg(long)]
    audience: Option<String>,
    /// Request a new token, even if one is cached
    #[arg(long)]
    refresh: bool,
    /// Read the client secret from standard input (only with `HALLPASS_TOKEN_URL`)
    #[arg(long, conflicts_with = "url")]
    secret_stdin: bool,
    /// Print the token of the profile that is bound to this URL
    #[arg(long, value_name = "URL", value_parser = web_url)]
    url: Option<WebUrl>,
    /// Print the headers of this request, such as `GET https://api.example/x` (formats header, headers-json and curl); with `--dpop` at the login, only this request can use them
    #[arg(long, value_name = "METHOD URL", value_parser = HttpRequest::parse, conflicts_with_all = ["url", "secret_stdin"])]
    request: Option<Box<HttpRequest>>,
    /// With `--request`: the nonce that the API sent in its `DPoP-Nonce` header
    #[arg(long, value_parser = Nonce::parse, allow_hyphen_values = true)]
    nonce: Option<Nonce>,
    /// Output format [default: raw, or header with `--request`]
    #[arg(long, value_name = "FORMAT", conflicts_with = "json")]
    format: Option<Format>,
    /// Same as `--format json`
    #[arg(long)]
    json: bool,
    /// Print this text with `{token}`, `{token_percent}`, `{type}`, `{expires_at}`, `{expires_in}`, `{expires_unix}` and `{scope}` filled in
    #[arg(long, value_name = "TEMPLATE", value_parser = Template::parse, conflicts_with_all = ["format", "json"])]
    template: Option<Template>,
    /// Variable that the formats env, dotenv and powershell set [default: `HALLPASS_TOKEN`]
    #[arg(long, value_name = "NAME", value_parser = variable)]
    variable: Option<String>,
    /// Show what is known of the token (the claims of a JWT), but not the token itself
    #[arg(long, conflicts_with_all = ["request", "format", "template", "output"])]
    inspect: bool,
    /// With `--inspect`: ask this endpoint about the token (RFC 7662), at the token URL's server [default, for an opaque token: the one in the server's metadata at login]
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    introspection_url: Option<TokenEndpoint>,
    /// Remove the cached tokens of the profile, without a logout
    #[arg(long, conflicts_with_all = ["min_ttl", "scope", "audience", "refresh", "secret_stdin", "url", "request", "nonce", "format", "json", "template", "variable", "inspect", "introspection_url", "output"])]
    forget: bool,
    /// Write the token to this file, readable only by you, without a newline (`-`: standard output)
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A name that every shell accepts.
fn variable(text: &str) -> std::result::Result<String, String> {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if text.is_empty()
        || text.starts_with(|c: char| c.is_ascii_digit())
        || !text.bytes().all(is_name)
    {
        return Err("use letters, digits and \"_\", not starting with a digit".to_owned());
    }
    Ok(text.to_owned())
}

fn endpoint(text: &str) -> std::result::Result<TokenEndpoint, String> {
    TokenEndpoint::parse(text).map_err(|fault| format!("the URL {fault}"))
}

fn web_url(text: &str) -> std::result::Result<WebUrl, String> {
    WebUrl::parse(text).map_err(|fault| format!("the URL {fault}"))
}

impl Args {
    /// Parses the words after `token`. None if clap must parse them: see [`super::command_line`].
    pub(crate) fn read(words: &[OsString]) -> Option<Self> {
        let mut args = Self::default();
        let mut min_ttl = None;
        let mut words = Words::new(words);
        loop {
            match words.next()? {
                Word::End => break,
                Word::Argument(name) => once(&mut args.profile, name.to_owned())?,
                Word::Option("--min-ttl") => once(&mut min_ttl, duration(words.value()?).ok()?)?,
                Word::Option("--scope") => args.scope.push(words.value()?.to_owned()),
                Word::Option("--audience") => once(&mut args.audience, words.value()?.to_owned())?,
                Word::Option("--refresh") => flag(&mut args.refresh)?,
                Word::Option("--secret-stdin") => flag(&mut args.secret_stdin)?,
                Word::Option("--url") => once(&mut args.url, web_url(words.value()?).ok()?)?,
                Word::Option("--request") => {
                    once(&mut args.request, HttpRequest::parse(words.value()?).ok()?)?;
                }
                Word::Option("--nonce") => {
                    once(&mut args.nonce, Nonce::parse(words.value()?).ok()?)?;
                }
                Word::Option("--format") => {
                    let format = Format::from_str(words.value()?, false).ok()?;
                    once(&mut args.format, format)?;
                }
                Word::Option("--json") => flag(&mut args.json)?,
                Word::Option("--template") => {
                    once(&mut args.template, Template::parse(words.value()?).ok()?)?;
                }
                Word::Option("--variable") => {
                    once(&mut args.variable, variable(words.value()?).ok()?)?;
                }
                Word::Option("--inspect") => flag(&mut args.inspect)?,
                Word::Option("--introspection-url") => {
                    once(&mut args.introspection_url, endpoint(words.value()?).ok()?)?;
                }
                Word::Option("--forget") => flag(&mut args.forget)?,
                Word::Option("--output") => once(&mut args.output, words.value()?.into())?,
                Word::Option(_) | Word::Rest(_) => return None,
            }
        }
        if args.forget {
            let profile = args.profile.take();
            let only = Self {
                forget: true,
                ..Self::default()
            };
            return (args == only && min_ttl.is_none()).then_some(Self { profile, ..only });
        }
        args.min_ttl = min_ttl.unwrap_or_default();
        let formats = [args.json, args.format.is_some(), args.template.is_some()];
        let conflict = formats.into_iter().filter(|given| *given).count() > 1
            || (args.inspect && args.prints_token())
            || (args.secret_stdin && args.url.is_some())
            || (args.request.is_some()
                && (args.url.is_some() || args.secret_stdin || args.inspect));
        (!conflict).then_some(args)
    }

    /// Whether an option says how or where the token itself is printed.
    fn prints_token(&self) -> bool {
        self.format.is_some() || self.template.is_some() || self.output.is_some()
    }

    /// # Errors
    /// `Usage` if the format needs another option, or has no use for one that is given.
    fn format(&self) -> Result<Format> {
        let format = match (self.json, self.format) {
            (true, _) => Format::Json,
            (false, Some(format)) => format,
            (false, None) if self.request.is_some() => Format::Header,
            (false, None) => Format::default(),
        };
        let has_headers = matches!(format, Format::Header | Format::HeadersJson | Format::Curl);
        if self.request.is_some() && (!has_headers || self.template.is_some()) {
            return Err(Error::usage(
                "--request works only with --format header, headers-json and curl",
            ));
        }
        if self.nonce.is_some() && self.request.is_none() {
            return Err(Error::usage("--nonce needs --request"));
        }
        if self.variable.is_some() && !format.has_variable() {
            return Err(Error::usage(
                "--variable works only with --format env, dotenv and powershell",
            ));
        }
        if format == Format::Netrc && self.url.is_none() {
            return Err(no_machine());
        }
        Ok(format)
    }
}

/// The command line with `--inspect` instead of the word `inspect`, which clap takes for a profile's name.
pub(crate) fn inspecting(arguments: &[OsString]) -> Option<Vec<OsString>> {
    match arguments {
        [program, token, word, rest @ ..] if token == "token" && word == INSPECT => {
            let start = [program.clone(), token.clone(), "--inspect".into()];
            Some(start.into_iter().chain(rest.iter().cloned()).collect())
        }
        _ => None,
    }
}

pub(crate) fn run(args: &Args) -> Result<String> {
    if args.forget {
        return forget(args.profile.as_deref());
    }
    let format = args.format()?;
    let directories = profiles::directories()?;
    let profiles = Profiles::of(&directories);
    let mut named = args.profile.as_deref();
    let mut is_inspected = args.inspect;
    if named == Some(INSPECT) && !args.inspect {
        check_inspect(args, &profiles)?;
        (named, is_inspected) = (None, true);
    }
    if args.introspection_url.is_some() && !is_inspected {
        return Err(Error::usage(
            "--introspection-url works only with --inspect",
        ));
    }
    let scope = scope(&args.scope)?;
    let audience = args.audience.clone();
    if args.secret_stdin && (named.is_some() || from_environment()?.is_none()) {
        return Err(Error::usage(
            "--secret-stdin works only with HALLPASS_TOKEN_URL, not with a stored profile",
        )
        .hint("to change the profile's secret: hallpass login PROFILE --secret-stdin"));
    }
    let url = args.request.as_ref().map(|request| &request.url);
    let mut selected = match args.url.as_ref().or(url) {
        Some(url) => bound_to(&profiles, url, named)?,
        None => profiles.find(named)?,
    };
    let prints_token = args.request.is_none() && !is_inspected;
    if selected.profile.dpop.is_some() && prints_token {
        check_bound(&selected.name, format)?;
    }
    // Checked before a token is requested.
    let file = args
        .output
        .as_deref()
        .filter(|path| path.as_os_str() != "-");
    let output = file.map(Output::to).transpose()?;
    let secret = args.secret_stdin.then(prompt::read_secret_from_stdin);
    let mut options = TokenOptions {
        secret: secret.transpose()?,
        scope,
        audience: audience.filter(|audience| !audience.is_empty()),
        min_ttl: args.min_ttl,
        force_refresh: args.refresh,
        sends_proofs: true,
        ..TokenOptions::default()
    };
    let mut headers = None;
    let obtained = if let Some(request) = &args.request {
        let stores = (&directories, &profiles);
        let options = &mut options;
        let (obtained, text) = headers_of(request, args, format, stores, options, &mut selected)?;
        headers = Some(text);
        obtained
    } else {
        obtain(&directories, &profiles, &options, &mut selected)?
    };
    // Another login may have turned DPoP on meanwhile.
    if obtained.token.proof_key.is_some() && prints_token {
        check_bound(&selected.name, format)?;
    }
    if obtained.is_new {
        variables::warn_about_unknown();
        expiry::warn(&directories, &selected);
    }
    let mut text = if let Some(headers) = headers {
        headers
    } else if is_inspected {
        let endpoint = args.introspection_url.as_ref();
        inspect(endpoint, &selected, &options, &obtained)?.write(&obtained, format)
    } else if let Some(template) = &args.template {
        template.fill(&Values::of(&obtained))
    } else {
        let variable = args.variable.as_deref().unwrap_or(DEFAULT_VARIABLE);
        format.write(&obtained, &selected, variable)?
    };
    if output.is_none() || format.is_line() {
        text.push('\n');
    }
    match output {
        None => Ok(text),
        Some(output) => output.write(text.as_bytes()).map(|()| String::new()),
    }
}

/// Checks that the word `inspect` can mean only one thing: no token is printed where it may mean `--inspect`.
fn check_inspect(args: &Args, profiles: &Profiles) -> Result<()> {
    if profiles.exists(&ProfileName::parse(INSPECT)?) {
        let what = "`inspect` is also the name of a profile";
        return Err(Error::usage(what)
            .hint("to inspect the token of that profile: hallpass token --inspect inspect")
            .hint("to print its token, rename it: hallpass profile rename inspect NAME"));
    }
    if args.prints_token() {
        let what = "`hallpass token inspect` prints no token: --format, --template and --output cannot be used with it";
        return Err(Error::usage(what).hint("to print JSON: --json"));
    }
    Ok(())
}

/// Removes the cached tokens of a profile. A request that is running may still store one.
fn forget(named: Option<&str>) -> Result<String> {
    let directories = profiles::directories()?;
    let profiles = Profiles::of(&directories);
    let name = profiles.find(named)?.name;
    Cache::of(&directories, &name).clear()?;
    message::note(&if name.is_from_environment() {
        "removed the cached tokens of profiles from the environment".to_owned()
    } else {
        format!("removed the cached tokens of profile {name}")
    });
    Ok(String::new())
}

pub(super) fn bound_to(
    profiles: &Profiles,
    url: &WebUrl,
    named: Option<&str>,
) -> Result<SelectedProfile> {
    let named = named.map(ProfileName::parse).transpose()?;
    let bound = profiles.bound_to(url, named.as_ref())?;
    let profile = named.as_ref().map_or("PROFILE", ProfileName::as_str);
    let reason = match (bound, &named) {
        (Bound::By(selected), _) => return Ok(*selected),
        (_, Some(name)) => format!("profile {name} is not bound to this URL"),
        (Bound::Elsewhere, None) => {
            "no profile is bound to this URL, only to other paths of its server".to_owned()
        }
        (Bound::ByNobody, None) => "no profile is bound to this URL".to_owned(),
    };
    let url = url.as_str().split('?').next().unwrap_or_default();
    let url = shell::word(url);
    Err(Error::not_found(reason).hint(format!("to allow it: hallpass bind {profile} {url}")))
}

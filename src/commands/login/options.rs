//! Command-line options of login, and how their values are parsed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::commands::{OrNothing, choice, choice_or_nothing, or_nothing};
use crate::profile::binding::BoundUrl;
use crate::profile::external_key::{AgentKey, CommandLine, KeyReference};
use crate::profile::headers::{Headers, header_name};
use crate::profile::identity::{AssertionType, IdentityRole, IdentitySource, SubjectTokenType};
use crate::profile::share::{ShareSecret, ShareUrl};
use crate::profile::{
    BasicEncoding, BodyFormat, CacheMode, CertificateHeader, ClaimName, ClientAuth, JwtAlgorithm,
    ParameterName, ReservedParameter, SourceKind, TlsVersion, TokenEndpoint, TokenType,
};
use crate::secrets::HeaderValue;
use crate::types::checked_text::{ClientId, Resource};
use crate::types::choice::Choice as _;
use crate::types::date::Date;
use crate::types::seconds::{Lifetime, Timeout};

/// The headings of the options in the help.
const SERVER: &str = "Server";
const CLIENT: &str = "Client";
const SECRET: &str = "Secret";
const TOKEN: &str = "Token";
const IDENTITY: &str = "Identity";
const KEY: &str = "Key";
const SHARE: &str = "Shared cache";
const ADVANCED: &str = "Advanced";

const EXAMPLES: &str = "\
Examples:
  hallpass login                      # choose a server, then answer the questions
  hallpass login ci --issuer https://login.example --client-id ID
  hallpass login linear --mcp https://mcp.example/mcp --client-id ID
  hallpass login ci --provider auth0 --set domain=acme.eu.auth0.com --client-id ID
  pass show ci | hallpass login ci --secret-stdin        # change the secret
  hallpass login ci --token-url https://login.example/token --client-id ID --jwt-key key.pem";

/// Log in a client: check it, save its settings, put its secret in the keychain
///
/// Prompts for whatever you leave out, if run at a terminal. Run it again to change the secret or a
/// setting: the other settings stay. An empty value removes a setting.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub(crate) struct Args {
    /// Profile [default: `$HALLPASS_PROFILE`, or `default`]
    pub(super) profile: Option<String>,
    /// Token endpoint (https; http only for localhost)
    #[arg(long, help_heading = SERVER, value_name = "URL", value_parser = endpoint)]
    pub(super) token_url: Option<TokenEndpoint>,
    /// Authorization server; its metadata provides the endpoints (RFC 8414)
    #[arg(long, help_heading = SERVER, value_name = "URL")]
    pub(super) issuer: Option<String>,
    /// MCP server; its metadata provides the authorization server, which you confirm (RFC 9728)
    #[arg(long, help_heading = SERVER, value_name = "URL", value_parser = endpoint, conflicts_with_all = ["provider", "resource"])]
    pub(super) mcp: Option<TokenEndpoint>,
    /// Preset for a provider; `help` lists them
    #[arg(long, help_heading = SERVER, value_name = "NAME")]
    pub(super) provider: Option<String>,
    /// Setting of the preset (repeatable)
    #[arg(long, help_heading = SERVER, value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub(super) set: Vec<(String, String)>,
    /// Where logout revokes tokens, RFC 7009
    #[arg(long, help_heading = SERVER, value_name = "URL", value_parser = or_nothing(endpoint))]
    pub(super) revocation_url: Option<OrNothing<TokenEndpoint>>,
    // The parser of paths takes no empty one, which removes the setting.
    /// Extra PEM CA certificates to trust
    #[arg(long, help_heading = SERVER, value_name = "FILE", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub(super) ca_file: Option<PathBuf>,
    /// Client ID
    #[arg(long, help_heading = CLIENT, value_name = "ID", value_parser = ClientId::parse)]
    pub(super) client_id: Option<ClientId>,
    /// Client authentication method [default: the first supported one in the server's metadata, or `client_secret_basic`]
    #[arg(long, help_heading = CLIENT, value_name = "METHOD", value_parser = choice::<ClientAuth>())]
    pub(super) auth: Option<ClientAuth>,
    /// Where to keep the secret [default: keychain]; file, command, env and credential are set with `--secret-...`
    #[arg(long, help_heading = SECRET, value_name = "STORE", value_parser = store())]
    pub(super) store: Option<SourceKind>,
    /// Read the secret (or the key's passphrase) from standard input
    #[arg(long, help_heading = SECRET, group = "source")]
    pub(super) secret_stdin: bool,
    /// Read the secret (or the key's passphrase) from this file each time; it must be readable only by you
    #[arg(long, help_heading = SECRET, value_name = "FILE", group = "source")]
    pub(super) secret_file: Option<PathBuf>,
    /// Run this command to get the secret each time; runs in a shell if it begins with `!`
    #[arg(long, help_heading = SECRET, value_name = "COMMAND", group = "source", value_parser = CommandLine::parse)]
    pub(super) secret_command: Option<CommandLine>,
    /// Read the secret from this environment variable each time; only its name is saved
    #[arg(long, help_heading = SECRET, value_name = "VARIABLE", group = "source", value_parser = variable)]
    pub(super) secret_env: Option<String>,
    /// Read the secret from this systemd credential each time (`LoadCredential=`)
    #[arg(long, help_heading = SECRET, value_name = "NAME", group = "source", value_parser = credential)]
    pub(super) secret_credential: Option<String>,
    /// When the secret expires: a date, or a number of days; `hallpass token` warns from 30 days before
    #[arg(long, help_heading = SECRET, value_name = "DATE|90d", value_parser = or_nothing(Date::parse_future))]
    pub(super) secret_expires: Option<OrNothing<Date>>,
    /// The API that the token is for, if the server requires it (Auth0, Blooma)
    #[arg(long, help_heading = TOKEN)]
    pub(super) audience: Option<String>,
    /// Scope to request (repeatable)
    #[arg(long, help_heading = TOKEN, value_name = "SCOPE")]
    pub(super) scope: Vec<String>,
    /// Resource that the token is for, RFC 8707 (repeatable)
    #[arg(long, help_heading = TOKEN, value_name = "URI", value_parser = or_nothing(Resource::parse))]
    pub(super) resource: Vec<OrNothing<Resource>>,
    /// Bind tokens to a key, and send a proof of it with each request (RFC 9449) [default: if the server requires it]
    #[arg(long, help_heading = TOKEN)]
    pub(super) dpop: bool,
    /// Request bearer tokens, which need no key
    #[arg(long, help_heading = TOKEN, conflicts_with_all = ["dpop", "dpop_key"])]
    pub(super) no_dpop: bool,
    /// P-256 key in an ssh-agent to bind tokens to (agent: lists the keys) [default: a new key for each token, in the cache]
    #[arg(long, help_heading = TOKEN, value_name = "agent:KEY", value_parser = or_nothing(agent_key))]
    pub(super) dpop_key: Option<OrNothing<AgentKey>>,
    /// Allow tools to use this profile's tokens for this URL (repeatable)
    #[arg(long = "for", help_heading = TOKEN, value_name = "URL", value_parser = or_nothing(bound_url))]
    pub(super) bound_urls: Vec<OrNothing<BoundUrl>>,
    /// Lifetime of a token without `expires_in` [default: 5m]
    #[arg(long, help_heading = TOKEN, value_name = "DURATION", value_parser = Lifetime::parse)]
    pub(super) default_ttl: Option<Lifetime>,
    /// Never cache a token longer than this [default: 1d]
    #[arg(long, help_heading = TOKEN, value_name = "DURATION", value_parser = Lifetime::parse)]
    pub(super) max_ttl: Option<Lifetime>,
    /// How tokens are kept on disk: encrypted where possible, only encrypted, not encrypted, or not at all [default: auto]
    #[arg(long, help_heading = TOKEN, value_name = "MODE", value_parser = choice::<CacheMode>())]
    pub(super) cache: Option<CacheMode>,
    /// Identity token to present instead of a secret: `file:PATH`, `env:NAME`, `command:CMD` or `github:AUDIENCE`; read for each request, never saved
    #[arg(long, help_heading = IDENTITY, value_name = "SOURCE", value_parser = identity)]
    pub(super) identity: Option<IdentitySource>,
    /// What the identity token is in the request [default: `client_assertion`]
    #[arg(long, help_heading = IDENTITY, value_name = "ROLE", value_parser = choice::<IdentityRole>())]
    pub(super) identity_as: Option<IdentityRole>,
    /// Type of that assertion: `jwt-bearer`, or `jwt-spiffe` for SPIFFE [default: `jwt-bearer`]
    #[arg(long, help_heading = IDENTITY, value_name = "TYPE", value_parser = choice::<AssertionType>())]
    pub(super) assertion_type: Option<AssertionType>,
    /// Type of the token to exchange, RFC 8693: `jwt`, `id_token` or a URI [default: `jwt`]
    #[arg(long, help_heading = IDENTITY, value_name = "TYPE", value_parser = subject_token_type)]
    pub(super) subject_token_type: Option<SubjectTokenType>,
    /// Private key for assertions: PEM or JWK file, or agent:KEY (agent: lists the keys)
    #[arg(long, help_heading = KEY, value_name = "FILE|agent:KEY", group = "key-source", value_parser = OsStringValueParser::new().map(KeyReference::from))]
    pub(super) jwt_key: Option<KeyReference>,
    /// Run this command to sign assertions: it reads what to sign, and prints the signature; runs in a shell if it begins with `!`
    #[arg(long, help_heading = KEY, value_name = "COMMAND", group = "key-source", requires = "jwt_public", value_parser = CommandLine::parse)]
    pub(super) jwt_sign_command: Option<CommandLine>,
    /// PEM public key or certificate that verifies what that command prints
    #[arg(long, help_heading = KEY, value_name = "FILE", requires = "jwt_sign_command")]
    pub(super) jwt_public: Option<PathBuf>,
    /// Socket of the ssh-agent [default: `$SSH_AUTH_SOCK`]
    #[arg(long, help_heading = KEY, value_name = "PATH", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub(super) agent_socket: Option<PathBuf>,
    /// Signature algorithm of assertions [default: the key's own, or the first one in the server's metadata that fits the key]
    #[arg(long, help_heading = KEY, value_name = "ALGORITHM", value_parser = choice::<JwtAlgorithm>())]
    pub(super) jwt_alg: Option<JwtAlgorithm>,
    /// Key ID (`kid` header) [default: the JWK's]
    #[arg(long, help_heading = KEY, value_name = "ID")]
    pub(super) jwt_kid: Option<String>,
    /// Audience of the assertion: `issuer`, `token_endpoint` or a text [default: issuer, if known]
    #[arg(long, help_heading = KEY, value_name = "AUDIENCE")]
    pub(super) jwt_aud: Option<String>,
    /// The `typ` header of assertions [default: client-authentication+jwt]
    #[arg(long, help_heading = KEY, value_name = "TYPE")]
    pub(super) jwt_typ: Option<String>,
    /// Extra claim of assertions, as text (repeatable)
    #[arg(long, help_heading = KEY, value_name = "NAME=VALUE", value_parser = claim)]
    pub(super) jwt_claim: Vec<(ClaimName, String)>,
    /// PEM certificate of the key, which assertions carry in their header (x5t#S256)
    #[arg(long, help_heading = KEY, value_name = "FILE")]
    pub(super) jwt_cert: Option<PathBuf>,
    /// How assertions carry the certificate: as a thumbprint or itself (several with commas) [default: x5t#S256]
    #[arg(long, help_heading = KEY, value_name = "HEADER", value_delimiter = ',', value_parser = choice_or_nothing::<CertificateHeader>())]
    pub(super) jwt_header: Vec<OrNothing<CertificateHeader>>,
    /// TLS client certificate (mTLS), as PEM; authenticates the client unless another method is set
    #[arg(long, help_heading = KEY, value_name = "FILE", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub(super) cert: Option<PathBuf>,
    /// Private key of the TLS client certificate: PEM file, or agent:KEY
    #[arg(long, help_heading = KEY, value_name = "FILE|agent:KEY", value_parser = OsStringValueParser::new().map(KeyReference::from))]
    pub(super) key: Option<KeyReference>,
    /// Read the private key from standard input and save it in the keychain
    #[arg(long, help_heading = KEY, groups = ["key-source", "source"])]
    pub(super) key_stdin: bool,
    /// Share tokens with other machines through this Redis or Valkey server: `rediss://HOST:PORT/DATABASE`
    #[arg(long, help_heading = SHARE, value_name = "URL", value_parser = or_nothing(share_url))]
    pub(super) share: Option<OrNothing<ShareUrl>>,
    /// User of that server [default: its default user]
    #[arg(long, help_heading = SHARE, value_name = "USER")]
    pub(super) share_user: Option<String>,
    /// Password of that server: `file:PATH`, `env:NAME` or `command:CMD`; read when it is needed, never saved
    #[arg(long, help_heading = SHARE, value_name = "SOURCE", value_parser = or_nothing(share_secret))]
    pub(super) share_password: Option<OrNothing<ShareSecret>>,
    /// Key that seals the shared tokens, the same on all machines: `file:PATH`, `env:NAME` or `command:CMD` [default: derived from the client secret]
    #[arg(long, help_heading = SHARE, value_name = "SOURCE", value_parser = or_nothing(share_secret))]
    pub(super) share_key: Option<OrNothing<ShareSecret>>,
    /// Extra PEM CA certificates to trust for that server
    #[arg(long, help_heading = SHARE, value_name = "FILE", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub(super) share_ca_file: Option<PathBuf>,
    /// TLS client certificate for that server, as PEM
    #[arg(long, help_heading = SHARE, value_name = "FILE", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub(super) share_cert: Option<PathBuf>,
    /// Private key of that certificate, as PEM
    #[arg(long, help_heading = SHARE, value_name = "FILE", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub(super) share_cert_key: Option<PathBuf>,
    /// Extra parameter of the token request (repeatable)
    #[arg(long, help_heading = ADVANCED, value_name = "NAME=VALUE", value_parser = parameter)]
    pub(super) param: Vec<(ParameterName, String)>,
    /// Extra header of the token request (repeatable); {uuid} is replaced by a new UUID in each request
    #[arg(long, help_heading = ADVANCED, value_name = "NAME=VALUE", value_parser = header)]
    pub(super) header: Vec<(String, String)>,
    /// Extra header with a secret value (repeatable); the value is asked for, or read once from `file:PATH` or `env:VARIABLE`, and saved in the keychain
    #[arg(long, help_heading = ADVANCED, value_name = "NAME[=SOURCE]", value_parser = secret_header)]
    pub(super) header_secret: Vec<(String, HeaderValue)>,
    /// Grant type, for servers with their own (Zoom) [default: `client_credentials`]
    #[arg(long, help_heading = ADVANCED, value_name = "TYPE")]
    pub(super) grant_type: Option<String>,
    /// Accept the server's tokens as bearer tokens even if `token_type` differs
    #[arg(long, help_heading = ADVANCED, value_name = "TYPE", value_parser = choice::<TokenType>())]
    pub(super) token_type: Option<TokenType>,
    /// Format of the token request [default: form]
    #[arg(long, help_heading = ADVANCED, value_name = "FORMAT", value_parser = choice::<BodyFormat>())]
    pub(super) body: Option<BodyFormat>,
    /// Encoding of the credentials in an HTTP Basic header [default: percent]
    #[arg(long, help_heading = ADVANCED, value_name = "ENCODING", value_parser = choice::<BasicEncoding>())]
    pub(super) basic_encoding: Option<BasicEncoding>,
    /// Newest version of TLS, for servers or keys that cannot use TLS 1.3 [default: 1.3]
    #[arg(long, help_heading = ADVANCED, value_name = "VERSION", value_parser = choice::<TlsVersion>())]
    pub(super) tls_max: Option<TlsVersion>,
    /// Time limit of a token request [default: 30s]
    #[arg(long, help_heading = ADVANCED, value_name = "DURATION", value_parser = Timeout::parse)]
    pub(super) timeout: Option<Timeout>,
    /// Replace another client's login of this name, with its secret, settings and URLs
    #[arg(long, help_heading = ADVANCED)]
    pub(super) replace: bool,
    /// `hallpass profile edit`: the profile exists, and its secret stays if it goes to the same server.
    #[arg(skip)]
    pub(super) is_edit: bool,
    /// Save the login without requesting a token
    #[arg(long, help_heading = ADVANCED)]
    pub(super) no_verify: bool,
    /// Always refused: an argument can be seen by every process
    #[arg(long, hide = true, aliases = ["secret", "password", "client_secret"], num_args = 0..=1)]
    pub(super) client_secret: Option<Vec<String>>,
}

/// A place of secrets. The help does not list those of keys, which have options of their own.
fn store() -> impl TypedValueParser<Value = SourceKind> {
    let kinds = SourceKind::ALL.iter();
    let of_profiles = kinds.filter(|kind| **kind != SourceKind::Stdin);
    let values = of_profiles.map(|kind| {
        let is_key = matches!(kind, SourceKind::Agent | SourceKind::SignCommand);
        PossibleValue::new(kind.as_str()).hide(is_key)
    });
    PossibleValuesParser::new(values).try_map(|name| SourceKind::parse(&name).ok_or("unknown"))
}

fn endpoint(text: &str) -> std::result::Result<TokenEndpoint, String> {
    TokenEndpoint::parse(text).map_err(|fault| format!("the URL {fault}"))
}

fn share_url(text: &str) -> std::result::Result<ShareUrl, String> {
    ShareUrl::parse(text).map_err(|fault| format!("the URL {fault}"))
}

fn share_secret(text: &str) -> std::result::Result<ShareSecret, &'static str> {
    text.parse()
}

fn bound_url(text: &str) -> std::result::Result<BoundUrl, String> {
    BoundUrl::parse(text).map_err(|fault| format!("the URL {fault}"))
}

fn name_and_value(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !text.contains(char::is_control) => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("use NAME=VALUE, without control characters".to_owned()),
    }
}

fn parameter(text: &str) -> std::result::Result<(ParameterName, String), String> {
    let (name, value) = name_and_value(text)?;
    match ParameterName::parse(&name) {
        Ok(name) => Ok((name, value)),
        Err(ReservedParameter::Credential(name)) => Err(format!(
            "`{name}` is a credential, and other processes can read arguments; use --secret-stdin for a secret, --jwt-key for a key, or --identity for a token of another issuer"
        )),
        Err(ReservedParameter::Standard(name)) => Err(format!(
            "`{name}` has an option of its own, or is set by hallpass"
        )),
    }
}

/// A header's name and value; an empty value removes the header.
fn header(text: &str) -> std::result::Result<(String, String), String> {
    // The value may be a secret: what is wrong is said without it.
    let (name, value) = name_and_value(text)?;
    Headers::default().set(&name, &value)?;
    Ok((name.to_ascii_lowercase(), value))
}

/// A header's name, and where its value is; `NAME=` removes the header. What is given instead of a
/// source may be the secret itself: no message shows it.
fn secret_header(text: &str) -> std::result::Result<(String, HeaderValue), String> {
    let (name, source) = text
        .split_once('=')
        .map_or((text, None), |(name, source)| (name, Some(source)));
    let value = match source.map(|source| source.split_once(':').unwrap_or((source, ""))) {
        None => HeaderValue::Typed,
        Some(("", "")) => HeaderValue::Nothing,
        Some(("file", path)) if !path.is_empty() => HeaderValue::File(path.into()),
        Some(("env", name)) => HeaderValue::Env(variable(name)?),
        Some(_) => {
            return Err(
                "use NAME, NAME=file:PATH or NAME=env:VARIABLE: other processes can read arguments"
                    .to_owned(),
            );
        }
    };
    Ok((header_name(name)?, value))
}

fn agent_key(text: &str) -> std::result::Result<AgentKey, &'static str> {
    match KeyReference::from(OsString::from(text)) {
        KeyReference::Agent(key) => Ok(key),
        KeyReference::File(_) => Err("use agent:KEY, with the fingerprint or the comment of a key"),
    }
}

fn claim(text: &str) -> std::result::Result<(ClaimName, String), String> {
    let (name, value) = name_and_value(text)?;
    match ClaimName::parse(&name) {
        Ok(name) => Ok((name, value)),
        Err(_) => Err(format!("hallpass sets the claim `{name}` itself")),
    }
}

/// POSIX names only; this also catches most secrets that are passed by mistake.
fn variable(text: &str) -> std::result::Result<String, String> {
    let fits = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if fits {
        Ok(text.to_owned())
    } else {
        Err("the name of an environment variable has letters, digits and _".to_owned())
    }
}

/// A file name without path separators.
fn credential(text: &str) -> std::result::Result<String, String> {
    let fits = !text.is_empty()
        && !text.starts_with('.')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-@:".contains(c));
    if fits {
        Ok(text.to_owned())
    } else {
        Err("a credential is a file's name, without a directory".to_owned())
    }
}

fn identity(text: &str) -> Result<IdentitySource, &'static str> {
    text.parse()
}

fn subject_token_type(text: &str) -> Result<SubjectTokenType, &'static str> {
    text.parse()
}

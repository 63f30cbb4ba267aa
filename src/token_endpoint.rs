//! The token endpoint: one POST over HTTP, within one deadline. The only room that knows HTTP.

mod answer;
mod client_auth;
mod discovery;
mod key;
mod redact;
mod request;

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::path::Path;
use std::time::Duration;

use reqwest::{Client, ClientBuilder, Response, redirect, tls};
use tokio::time::{Instant, sleep, timeout_at};

use crate::error::{Error, Result};
use crate::message::{FOREIGN_TEXT_LIMIT, clean};
use crate::profile::{Profile, TokenEndpoint};
use crate::refusal::Refusal;
use crate::secret::{AccessToken, Credential};
use crate::token::{CachedToken, Timestamp, TokenRequest};

use answer::{Answer, Question};
use redact::Redactor;
use request::Message;

pub(crate) use discovery::{Metadata, discover};
pub(crate) use key::Key;

/// The largest answer that is read.
const BODY_LIMIT: usize = 1024 * 1024;

/// How long a revocation may take: it is a courtesy.
const REVOCATION_TIMEOUT: Duration = Duration::from_secs(3);

/// Why there is no token yet, and whether one more try is worth it.
struct Setback {
    refusal: Refusal,
    /// Try once more, after this pause.
    again_after: Option<Duration>,
}

/// Asks for a token (RFC 6749 §4.4).
///
/// One request; one more where the first was cut off, met a server in trouble, or was told to come
/// back within the deadline. Redirects are not followed: the secret is for this origin alone.
///
/// # Errors
/// What the token endpoint, or the network on the way to it, had to say.
pub(crate) fn ask(
    profile: &Profile,
    request: &TokenRequest,
    credential: &Credential,
) -> std::result::Result<CachedToken, Refusal> {
    let not_sent = |error: Error| Refusal::now(&error, Timestamp::now());
    let endpoint = &profile.token_endpoint;
    let client = client(endpoint, profile, credential).map_err(not_sent)?;
    let question = Question {
        origin: endpoint.origin(),
        redactor: &Redactor::of(&profile.client_id, credential),
        default_ttl: profile.default_ttl(),
        max_ttl: profile.max_ttl(),
    };
    within(profile.timeout(), async |deadline| {
        let attempt = async || {
            let proof = client_auth::prove(profile, credential).map_err(|error| Setback {
                refusal: not_sent(error),
                again_after: None,
            })?;
            let message = Message::token_request(profile.body, request, &proof);
            let asked_at = Timestamp::now();
            let sent = timeout_at(deadline, post(&client, endpoint, &message)).await;
            match sent.unwrap_or(Err(Fault::TooLate)) {
                Ok(answer) => answer::read(&answer, &question, asked_at),
                Err(fault) => Err(fault.setback(endpoint.origin(), profile.timeout())),
            }
        };
        match attempt().await {
            Err(Setback {
                again_after: Some(pause),
                ..
            }) if pause < deadline.saturating_duration_since(Instant::now()) => {
                sleep(pause).await;
                attempt().await
            }
            first => first,
        }
    })
    .map_err(not_sent)?
    .map_err(|setback| setback.refusal)
}

/// Tells the authorization server that a token is no longer needed (RFC 7009 §2.1).
///
/// # Errors
/// What went wrong: a caller tells and goes on.
pub(crate) fn revoke(
    endpoint: &TokenEndpoint,
    profile: &Profile,
    tokens: &[AccessToken],
    credential: &Credential,
) -> Result<()> {
    let client = client(endpoint, profile, credential)?;
    within(REVOCATION_TIMEOUT, async |deadline| {
        let mut result = Ok(());
        for token in tokens {
            let message = Message::revocation(token, &client_auth::prove(profile, credential)?);
            let sent = timeout_at(deadline, post(&client, endpoint, &message)).await;
            let revoked = match sent.unwrap_or(Err(Fault::TooLate)) {
                Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
                Ok(answer) => Err(Error::unavailable(format!(
                    "{} answered {} to the revocation",
                    endpoint.origin(),
                    answer.status
                ))),
                Err(fault) => Err(fault.error(endpoint.origin(), REVOCATION_TIMEOUT)),
            };
            // One that is not revoked keeps no other.
            result = result.and(revoked);
        }
        result
    })?
}

/// Runs one conversation on this thread, and leaves behind what does not end in time (a name
/// server that is mute keeps a thread busy).
fn within<T, F: Future<Output = T>>(
    limit: Duration,
    conversation: impl FnOnce(Instant) -> F,
) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::broken("cannot start the network").because(error))?;
    let result = runtime.block_on(async { conversation(Instant::now() + limit).await });
    runtime.shutdown_background();
    Ok(result)
}

/// A client for this endpoint of this profile alone: its trust, its certificate, its proxies,
/// nothing kept between requests.
fn client(endpoint: &TokenEndpoint, profile: &Profile, credential: &Credential) -> Result<Client> {
    let ca_file = profile.ca_file.as_deref();
    let mut builder = builder(endpoint.is_https(), ca_file)?;
    if let (true, Credential::Key { key, passphrase }) = (profile.client_auth.is_tls(), credential)
    {
        let key = Key::read(key, passphrase.as_ref())?;
        builder = builder.identity(identity(profile, &key)?);
    }
    build(builder, ca_file)
}

/// What the client shows in the TLS handshake (RFC 8705 §2).
fn identity(profile: &Profile, key: &Key) -> Result<tls::Identity> {
    let path = profile.certificate.as_deref().unwrap_or(Path::new(""));
    let unusable = || Error::locked(format!("cannot use the certificate {}", path.display()));
    let mut pem = std::fs::read(path).map_err(|error| unusable().because(error))?;
    // Here it is known which file is at fault.
    key.fits(&pem).map_err(|error| {
        let hint = "it has to be PEM, and the certificate of the private key that was given";
        unusable().because(error).hint(hint)
    })?;
    pem.push(b'\n');
    pem.extend_from_slice(key.pem().as_bytes());
    let identity = tls::Identity::from_pem(&zeroize::Zeroizing::new(pem));
    identity.map_err(|error| unusable().because(error))
}

fn builder(is_https: bool, ca_file: Option<&Path>) -> Result<ClientBuilder> {
    // Only the first call in a process counts, and there is no other provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(concat!("hallpass/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .tls_version_min(tls::Version::TLS_1_2);
    if !is_https {
        // Loopback: no proxy may see the secret in clear, and no trust store is needed.
        return Ok(builder.no_proxy().tls_certs_only([]));
    }
    let Some(ca_file) = ca_file else {
        return Ok(builder);
    };
    let pem = std::fs::read(ca_file).map_err(|error| unusable(ca_file).because(error))?;
    let certificates = tls::Certificate::from_pem_bundle(&pem);
    let certificates = certificates.map_err(|error| unusable(ca_file).because(error))?;
    if certificates.is_empty() {
        return Err(unusable(ca_file).hint("it holds no PEM certificate"));
    }
    Ok(builder.tls_certs_merge(certificates))
}

fn build(builder: ClientBuilder, ca_file: Option<&Path>) -> Result<Client> {
    builder.build().map_err(|error| match (ca_file, find(&error)) {
        // A bad certificate among the system's is passed over.
        (Some(ca_file), Some(rustls::Error::InvalidCertificate(_))) => {
            unusable(ca_file).hint("it holds a certificate that is none")
        }
        _ => Error::broken(format!("cannot set up TLS: {}", deepest(&error)))
            .hint("the system's CA certificates may be missing (Debian: ca-certificates), or name a bundle in SSL_CERT_FILE"),
    })
}

fn unusable(ca_file: &Path) -> Error {
    Error::usage(format!("cannot use the CA file {}", ca_file.display()))
}

/// What kept us from an answer.
enum Fault {
    TooLate,
    TooLarge,
    Network(reqwest::Error),
}

impl From<reqwest::Error> for Fault {
    fn from(error: reqwest::Error) -> Self {
        Self::Network(error)
    }
}

async fn post(
    client: &Client,
    endpoint: &TokenEndpoint,
    message: &Message,
) -> std::result::Result<Answer, Fault> {
    let mut post = client
        .post(endpoint.as_str())
        .header("accept", "application/json")
        .header("content-type", message.content_type);
    if let Some(authorization) = &message.authorization {
        post = post.header("authorization", authorization.as_str());
    }
    receive(post.body(message.body.to_string()).send().await?).await
}

/// Reads an answer, and no more of it than is good for us.
async fn receive(mut response: Response) -> std::result::Result<Answer, Fault> {
    let header = |name| {
        let value = response.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let mut answer = Answer {
        status: response.status().as_u16(),
        retry_after: header("retry-after"),
        location: header("location"),
        body: Vec::new(),
    };
    while let Some(chunk) = response.chunk().await? {
        if answer.body.len() + chunk.len() > BODY_LIMIT {
            return Err(Fault::TooLarge);
        }
        answer.body.extend_from_slice(&chunk);
    }
    Ok(answer)
}

impl Fault {
    fn setback(self, origin: &str, limit: Duration) -> Setback {
        let cut_off =
            matches!(&self, Self::Network(error) if !error.is_connect() && !error.is_builder());
        Setback {
            again_after: cut_off.then(answer::jitter),
            refusal: Refusal::brief(&self.error(origin, limit), Timestamp::now()),
        }
    }

    fn error(self, origin: &str, limit: Duration) -> Error {
        match self {
            Self::TooLate => Error::unavailable(format!(
                "{origin} did not answer within {} s",
                limit.as_secs()
            )),
            Self::TooLarge => Error::unavailable(format!("{origin} answered more than 1 MiB")),
            Self::Network(error) => {
                let (cause, hint) = diagnose(&error);
                let error =
                    Error::unavailable(format!("cannot get an answer from {origin}: {cause}"));
                match hint {
                    Some(hint) => error.hint(hint),
                    None => error,
                }
            }
        }
    }
}

/// What lies at the bottom of a network error, and what to do about it.
fn diagnose(error: &reqwest::Error) -> (String, Option<&'static str>) {
    if let Some(rustls::Error::InvalidCertificate(fault)) = find::<rustls::Error>(error) {
        let hint = match fault {
            rustls::CertificateError::UnknownIssuer => {
                "if the server's CA is a private one, name its certificate with `hallpass login --ca-file FILE`, or in SSL_CERT_FILE"
            }
            rustls::CertificateError::NotValidForName
            | rustls::CertificateError::NotValidForNameContext { .. } => {
                "the certificate is for another host: check the token URL (a private CA is named with `--ca-file FILE`, it does not change this)"
            }
            rustls::CertificateError::Expired | rustls::CertificateError::ExpiredContext { .. } => {
                "the certificate has expired, or this machine's clock is wrong (`--ca-file FILE` does not change this)"
            }
            _ => {
                "the server's certificate is not trusted; a private CA is named with `hallpass login --ca-file FILE`"
            }
        };
        return (
            format!("its certificate was refused ({})", deepest(error)),
            Some(hint),
        );
    }
    let hint = if error.is_connect() {
        Some("check the network, the token URL and the proxy settings (HTTPS_PROXY, NO_PROXY)")
    } else {
        None
    };
    (deepest(error), hint)
}

/// The innermost cause: the outer ones only say that something went wrong.
fn deepest(error: &(dyn StdError + 'static)) -> String {
    let innermost = causes(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default();
    clean(&innermost, FOREIGN_TEXT_LIMIT)
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| below(*error))
}

fn below<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>() {
        // An I/O error that wraps another hides it from `source`.
        Some(wrapper) => wrapper.get_ref().map(|inner| inner as _),
        None => error.source(),
    }
}

//! How a request authenticates the client (RFC 6749 §2.3): in one place, from the profile's method and
//! the credential.
//!
//! There are two layers. [`authenticate`] is for the request itself, and [`tls_key`] for the handshake
//! before it (RFC 8705), which may come with any of the other methods.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::sign::SigningKey;
use zeroize::Zeroizing;

use super::advice;
use super::assertion::client_assertion;
use super::external_signer::ExternalSigner;
use super::key::Key;
use super::signer::signer;
use super::tls_key::ExternalTlsKey;
use crate::error::{Error, Kind, Result};
use crate::profile::identity::IdentityRole;
use crate::profile::{BasicEncoding, ClientAuth, Profile, ProfileName};
use crate::types::identity_token::IdentityToken;
use crate::types::secret::{ClientSecret, Credential};
use crate::types::web_url::encode_all_reserved;

/// A signed JWT as the client's assertion (RFC 7523 §2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What a request carries to authenticate the client.
#[derive(Default)]
pub(super) struct ClientAuthentication {
    /// The value of the Authorization header.
    pub(super) authorization: Option<Zeroizing<String>>,
    pub(super) parameters: Vec<(&'static str, Zeroizing<String>)>,
}

impl ClientAuthentication {
    fn with_parameters(parameters: Vec<(&'static str, Zeroizing<String>)>) -> Self {
        Self {
            authorization: None,
            parameters,
        }
    }
}

/// The authentication of one attempt: an assertion is signed again for each.
///
/// # Errors
/// `Usage` when the credential does not fit the method, `Locked` when a key or certificate cannot be
/// used.
pub(super) fn authenticate(
    profile: &Profile,
    name: Option<&ProfileName>,
    credential: &Credential,
    identity: Option<&IdentityToken>,
) -> Result<ClientAuthentication> {
    let id = profile.client_id();
    let client_id = ("client_id", Zeroizing::new(id.to_owned()));
    let with = ClientAuthentication::with_parameters;
    Ok(match (profile.client_auth, credential) {
        (ClientAuth::ClientSecretBasic, Credential::Secret(secret)) => ClientAuthentication {
            authorization: Some(basic(profile.basic_encoding, id, secret)),
            parameters: vec![],
        },
        (ClientAuth::ClientSecretPost, Credential::Secret(secret)) => with(vec![
            client_id,
            ("client_secret", Zeroizing::new(secret.expose().to_owned())),
        ]),
        (ClientAuth::ClientSecretJwt, Credential::Secret(_))
        | (ClientAuth::PrivateKeyJwt, Credential::Key { .. } | Credential::External(_)) => {
            let settings = profile.assertion.as_ref().ok_or_else(unsuitable)?;
            let signer = signer(credential)?;
            let assertion =
                client_assertion(id, settings, &*signer).map_err(|error| advise(error, name))?;
            with(vec![
                client_id,
                (
                    "client_assertion_type",
                    Zeroizing::new(JWT_BEARER.to_owned()),
                ),
                ("client_assertion", assertion),
            ])
        }
        // The handshake authenticates the client; the parameter identifies it (RFC 8705 §2).
        (
            ClientAuth::TlsClientAuth | ClientAuth::SelfSignedTlsClientAuth,
            Credential::Key { .. } | Credential::External(_),
        ) => with(vec![client_id]),
        (ClientAuth::Identity, Credential::None) => {
            let token = identity.ok_or_else(unsuitable)?;
            let settings = profile.identity.as_ref().ok_or_else(unsuitable)?;
            let kind = settings.assertion_type.urn().to_owned();
            let assertion = Zeroizing::new(token.expose().to_owned());
            let mut parameters = vec![
                ("client_assertion_type", Zeroizing::new(kind)),
                ("client_assertion", assertion),
            ];
            if profile.client_id.is_some() {
                parameters.insert(0, client_id);
            }
            with(parameters)
        }
        (ClientAuth::None, Credential::None) if profile.client_id.is_some() => {
            with(vec![client_id])
        }
        (ClientAuth::None, Credential::None) => ClientAuthentication::default(),
        _ => return Err(unsuitable()),
    })
}

/// The parameters of a grant that presents an identity token: RFC 7523 §2.1, RFC 8693 §2.1.
pub(super) fn grant(
    profile: &Profile,
    identity: Option<&IdentityToken>,
) -> Vec<(&'static str, Zeroizing<String>)> {
    let (Some(settings), Some(token)) = (&profile.identity, identity) else {
        return Vec::new();
    };
    let token = Zeroizing::new(token.expose().to_owned());
    match settings.role {
        IdentityRole::ClientAssertion => Vec::new(),
        IdentityRole::Assertion => vec![("assertion", token)],
        IdentityRole::SubjectToken => {
            let kind = settings.subject_token_type.clone().unwrap_or_default();
            let kind = Zeroizing::new(String::from(kind));
            vec![("subject_token_type", kind), ("subject_token", token)]
        }
    }
}

/// The private key of the certificate for the TLS handshake: the credential itself, where that is the
/// method, or the key of a certificate that the profile has as well.
///
/// # Errors
/// `Locked` when the key cannot be used.
pub(super) fn tls_key(
    profile: &Profile,
    name: Option<&ProfileName>,
    credential: Option<&Credential>,
    certificate_key: Option<&Credential>,
) -> Result<Option<Arc<dyn SigningKey>>> {
    Ok(match tls_credential(profile, credential, certificate_key) {
        Some(Credential::Key { key, passphrase }) => {
            Some(Key::read(key, passphrase.as_ref())?.signing_key())
        }
        Some(Credential::External(key)) => {
            let key = ExternalTlsKey::new(ExternalSigner::new(key)?, profile, name)?;
            Some(Arc::new(key))
        }
        Some(Credential::Secret(_) | Credential::None) | None => None,
    })
}

/// Checks at login whether another program's key can sign in the TLS handshake.
///
/// # Errors
/// As [`tls_key`], which is called for each request.
pub(crate) fn check_tls_key(
    profile: &Profile,
    credential: Option<&Credential>,
    certificate_key: Option<&Credential>,
) -> Result<()> {
    match tls_credential(profile, credential, certificate_key) {
        Some(Credential::External(key)) => {
            ExternalTlsKey::new(ExternalSigner::new(key)?, profile, None).map(drop)
        }
        _ => Ok(()),
    }
}

fn tls_credential<'a>(
    profile: &Profile,
    credential: Option<&'a Credential>,
    certificate_key: Option<&'a Credential>,
) -> Option<&'a Credential> {
    let credential = credential.filter(|_| profile.client_auth.is_tls());
    credential.or(certificate_key)
}

/// Adds what to do about an algorithm that does not fit the key, or a key that fits several.
fn advise(error: Error, name: Option<&ProfileName>) -> Error {
    if error.kind != Kind::Usage {
        return error;
    }
    let choice = advice::set(
        name,
        "--jwt-alg ALGORITHM",
        "HALLPASS_JWT_ALG to one of them",
    );
    error.hint(format!("choose an algorithm that fits the key: {choice}"))
}

fn unsuitable() -> Error {
    Error::usage("the profile's authentication method does not match its secret or private key")
}

/// The credentials of HTTP Basic: percent-encoded first (RFC 6749 §2.3.1), so that a colon or a
/// letter outside ASCII in either survives.
pub(super) fn basic(
    encoding: BasicEncoding,
    client_id: &str,
    secret: &ClientSecret,
) -> Zeroizing<String> {
    let encode = |text: &str| match encoding {
        BasicEncoding::Percent => Zeroizing::new(encode_all_reserved(text)),
        BasicEncoding::Raw => Zeroizing::new(text.to_owned()),
    };
    let pair = Zeroizing::new(format!(
        "{}:{}",
        *encode(client_id),
        *encode(secret.expose())
    ));
    Zeroizing::new(format!(
        "Basic {}",
        *Zeroizing::new(STANDARD.encode(&*pair))
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::profile::{self, Assertion};

    fn secret(text: &str) -> ClientSecret {
        ClientSecret::parse(&Zeroizing::new(text.as_bytes().to_vec())).expect("a secret")
    }

    #[test]
    fn basic_credentials_are_encoded_before_they_are_joined() {
        let header = basic(BasicEncoding::Percent, "cli:ent", &secret("s%c+r t"));
        assert_eq!(
            *header,
            format!("Basic {}", STANDARD.encode("cli%3Aent:s%25c%2Br%20t"))
        );
        let header = basic(BasicEncoding::Raw, "cli:ent", &secret("s%c+r t"));
        assert_eq!(
            *header,
            format!("Basic {}", STANDARD.encode("cli:ent:s%c+r t"))
        );
    }

    #[test]
    fn a_client_authenticates_once_in_each_method() {
        let credential = Credential::Secret(secret("s3cret"));
        let mut profile = profile::example();
        profile.assertion = Some(Assertion {
            algorithm: None,
            audience: "https://login.blooma.ai/".to_owned(),
            typ: "JWT".to_owned(),
            key_id: None,
            certificate: None,
            certificate_headers: Vec::new(),
            claims: BTreeMap::new(),
        });
        for (method, header, parameters) in [
            (ClientAuth::ClientSecretBasic, true, &[][..]),
            (
                ClientAuth::ClientSecretPost,
                false,
                &["client_id", "client_secret"],
            ),
            (
                ClientAuth::ClientSecretJwt,
                false,
                &["client_id", "client_assertion_type", "client_assertion"],
            ),
        ] {
            profile.client_auth = method;
            let sent = authenticate(&profile, None, &credential, None).expect("an authentication");
            let names: Vec<_> = sent.parameters.iter().map(|(name, _)| *name).collect();
            assert_eq!(
                (sent.authorization.is_some(), names.as_slice()),
                (header, parameters)
            );
        }
        profile.client_auth = ClientAuth::PrivateKeyJwt;
        assert!(authenticate(&profile, None, &credential, None).is_err());
    }
}

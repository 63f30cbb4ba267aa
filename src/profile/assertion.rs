//! Signed assertions, with which a client authenticates (RFC 7523).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::extra::ClaimName;
use crate::types::choice::choice;

/// The `typ` in an assertion's header, so that it cannot be taken for another kind of JWT
/// (draft-ietf-oauth-rfc7523bis).
pub(crate) const ASSERTION_TYPE: &str = "client-authentication+jwt";

/// How a client makes its assertions (RFC 7523 §3).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Assertion {
    /// None where the key decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) algorithm: Option<JwtAlgorithm>,
    /// The `aud` claim: only one text, so that only one server accepts the assertion.
    pub(crate) audience: String,
    /// The header's `typ`.
    #[serde(rename = "type")]
    pub(crate) typ: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key_id: Option<String>,
    /// The PEM certificate of the key, with which the header identifies the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<PathBuf>,
    /// How the header does so: with `x5t#S256`, if none is set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) certificate_headers: Vec<CertificateHeader>,
    /// Other claims, which some servers require.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) claims: BTreeMap<ClaimName, String>,
}

choice! {
    /// How an assertion's header identifies the key by its certificate (RFC 7515 §4.1.6 to §4.1.8).
    pub(crate) enum CertificateHeader {
        /// The SHA-1 thumbprint (AD FS).
        X5t = "x5t",
        /// The SHA-256 thumbprint.
        X5tS256 = "x5t#S256",
        /// The certificate itself, and those of its authorities.
        X5c = "x5c",
    }
}

choice! {
    /// How an assertion is signed, by its registered name (RFC 7518 §3.1, RFC 8037).
    pub(crate) enum JwtAlgorithm {
        HS256 = "HS256",
        HS384 = "HS384",
        HS512 = "HS512",
        RS256 = "RS256",
        RS384 = "RS384",
        RS512 = "RS512",
        PS256 = "PS256",
        PS384 = "PS384",
        PS512 = "PS512",
        ES256 = "ES256",
        ES384 = "ES384",
        EdDsa = "EdDSA",
    }
}

impl JwtAlgorithm {
    /// Signs with a secret that both sides know, not with a private key.
    pub(crate) fn is_hmac(self) -> bool {
        matches!(self, Self::HS256 | Self::HS384 | Self::HS512)
    }
}

//! The names of what a profile adds to a token request, or to an assertion, besides its settings.

use std::fmt;
use std::ops::Deref;

use crate::types::checked_text::checked_text;

checked_text! {
    /// A parameter of the token request that has no setting of its own, and that is no credential.
    ParameterName(ReservedParameter): |name| if is_credential(name) {
        Err(ReservedParameter::Credential(name.to_owned()))
    } else if STANDARD_PARAMETERS.contains(&name) {
        Err(ReservedParameter::Standard(name.to_owned()))
    } else {
        Ok(())
    };

    /// A claim of assertions (RFC 7523 §3) that hallpass neither sets nor leaves out on purpose.
    ClaimName(ReservedClaim): |name| if STANDARD_CLAIMS.contains(&name) {
        Err(ReservedClaim(name.to_owned()))
    } else {
        Ok(())
    };
}

/// Parameters that have a setting of their own, or that only hallpass may send.
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

/// Whether a parameter is a credential in some grant (RFC 6749 §4, RFC 7521, RFC 8693), which does not
/// belong into settings.
fn is_credential(name: &str) -> bool {
    const CREDENTIALS: [&str; 12] = [
        "password",
        "passwd",
        "refresh_token",
        "access_token",
        "assertion",
        "subject_token",
        "actor_token",
        "id_token",
        "code",
        "code_verifier",
        "device_code",
        "token",
    ];
    CREDENTIALS.contains(&name.to_ascii_lowercase().as_str())
}

const STANDARD_CLAIMS: [&str; 7] = ["iss", "sub", "aud", "iat", "nbf", "exp", "jti"];

/// Why a name cannot be that of an extra parameter.
#[derive(Debug)]
pub(crate) enum ReservedParameter {
    Standard(String),
    Credential(String),
}

impl fmt::Display for ReservedParameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Standard(name) | Self::Credential(name)) = self;
        write!(f, "`{name}` cannot be an extra parameter")
    }
}

/// The name of a claim that hallpass sets.
#[derive(Debug)]
pub(crate) struct ReservedClaim(String);

impl fmt::Display for ReservedClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it sets `{}` as an extra claim", self.0)
    }
}

//! Why the settings of a login make no profile, as a message.

use crate::error::Error;
use crate::profile::settings::MergeError;
use crate::profile::settings::presets::Preset;

/// How to give the private key.
pub(super) const MISSING_KEY: &str =
    "add --jwt-key FILE (or --key FILE for TLS), or pipe it in with --key-stdin";

/// The error for what is missing or contradictory.
pub(super) fn explain(error: &MergeError, preset: Option<&Preset>) -> Error {
    match (error, preset) {
        (MergeError::NoKey, Some(preset)) if preset.auth.has_key() => {
            Error::usage(format!("preset {} needs a private key", preset.name))
                .hint("add --jwt-key FILE")
        }
        (MergeError::NoTokenEndpoint, _) => Error::usage("the token URL is missing"),
        (MergeError::NoIdentity, _) => Error::usage("no identity was given for this method")
            .hint("add --identity file:PATH, env:NAME, command:CMD or github:AUDIENCE"),
        (MergeError::TwoAuthentications(method), _) => Error::usage(format!(
            "--identity authenticates the client, and so does {}",
            method.as_str()
        ))
        .hint("leave out the other one, or add --identity-as assertion or subject_token"),
        (MergeError::NoClientId, _) => Error::usage("the client ID is missing"),
        (MergeError::NoKey, _) => Error::usage("the private key is missing").hint(MISSING_KEY),
        (MergeError::NoCertificate, _) => Error::usage("the client's certificate is missing")
            .hint("add --cert FILE and --key FILE"),
        (MergeError::NoCertificateKey, _) => {
            Error::usage("--cert needs --key with its private key")
        }
        (MergeError::NoCertificateForKey, _) => {
            Error::usage("--key needs --cert with its certificate")
        }
        (MergeError::NoCertificateForHeader, _) => {
            Error::usage("--jwt-header needs --jwt-cert with the key's certificate")
        }
        (MergeError::NoIssuer, _) => Error::usage("the issuer is not known")
            .hint("set it with --issuer URL, or set the audience with --jwt-aud AUDIENCE"),
        (MergeError::Header(fault), _) => Error::usage(fault.clone()),
    }
}

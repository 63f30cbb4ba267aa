//! The shared cache of a profile: what its entries are called, and how they are sealed.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::platform::disk::Directories;
use crate::policy;
use crate::profile::headers::Headers;
use crate::profile::identity::IdentityRole;
use crate::profile::share::Share;
use crate::profile::token_request::TokenRequest;
use crate::profile::trust::RecordedTrust;
use crate::profile::{Profile, ProfileName};
use crate::secrets::{self, WaitLimit};
use crate::share::{Access, Keys, SharedEntry};
use crate::types::digest::{Digest, sha256};
use crate::types::secret::Credential;

/// The profile with the shared cache that the policy requires, or its own.
///
/// # Errors
/// The policy cannot be read.
pub(in crate::commands) fn in_effect(profile: &Profile) -> Result<Profile> {
    let mut profile = profile.clone();
    policy::current()?.apply_share(&mut profile);
    Ok(profile)
}

/// The shared entry of a request. None if the profile shares no tokens. What a request presents, the
/// credential and the secret headers, is part of the entry's name.
pub(in crate::commands) fn shared_entry<'a>(
    directories: &'a Directories,
    (name, profile, request): (&'a ProfileName, &'a Profile, &TokenRequest),
    (credential, secret_headers): (&'a Credential, &Headers),
    wait: WaitLimit,
) -> Option<SharedEntry<'a>> {
    let share = profile.shared_cache()?;
    Some(SharedEntry {
        share,
        trust: &profile.trust,
        request: shared_request(profile, request, secret_headers),
        directory: &directories.cache,
        open: Box::new(move || open(name, profile, share, credential, wait)),
    })
}

/// Reads the password and derives the keys.
///
/// # Errors
/// Why one of the secrets cannot be read.
fn open(
    name: &ProfileName,
    profile: &Profile,
    share: &Share,
    credential: &Credential,
    wait: WaitLimit,
) -> Result<Access> {
    let read = |source, option| secrets::share::read(source, option, name, wait);
    let key = match (&share.key, credential) {
        (Some(source), _) => read(source, secrets::share::KEY)?,
        (None, Credential::Secret(secret)) => secret.clone(),
        (None, _) => return Err(Error::usage("the shared cache needs --share-key")),
    };
    let password = share.password.as_ref();
    let password = password.map(|source| read(source, secrets::share::PASSWORD));
    let client = Digest::of("hallpass share 1 client")
        .field(profile.token_endpoint.as_str())
        .field(profile.client_id())
        .hex();
    let keys = Keys::of(&key, client.as_bytes());
    Ok(Access {
        keys: keys.ok_or_else(|| Error::broken("cannot derive the keys of the shared cache"))?,
        password: password.transpose()?,
    })
}

/// Everything that decides what token is issued, and that all machines of a fleet have in common: the
/// profile without what belongs to one machine or one login. Settings that a later version adds belong to it.
fn shared_request(profile: &Profile, request: &TokenRequest, secret_headers: &Headers) -> Vec<u8> {
    let mut common = Profile {
        generation: String::new(),
        scope: None,
        audience: None,
        resource: Vec::new(),
        parameters: BTreeMap::new(),
        agent_socket: None,
        certificate: None,
        certificate_key: None,
        encrypted_key: None,
        tls_max: None,
        headers: profile.headers.clone().with(secret_headers),
        secret_headers: None,
        bindings: Vec::new(),
        issuer: None,
        revocation_endpoint: None,
        introspection_endpoint: None,
        ca_file: None,
        trust: RecordedTrust::default(),
        timeout_seconds: None,
        secret: None,
        secret_expires: None,
        rotation: None,
        share: None,
        derived: Vec::new(),
        removed: Vec::new(),
        ..profile.clone()
    };
    // Machines may read their identity from different places.
    let role = common.identity.take().map(|identity| identity.role);
    if let Some(assertion) = &mut common.assertion {
        assertion.certificate = None;
    }
    let common = serde_json::to_vec(&common).unwrap_or_default();
    let parameters = request.parameters.iter();
    let parameters: Vec<_> = parameters.flat_map(|(name, value)| [name, value]).collect();
    // A token can be bound to the certificate (RFC 8705 §3).
    let certificate = profile.certificate.as_deref();
    let certificate = certificate.map(|path| sha256(&std::fs::read(path).unwrap_or_default()));
    Digest::of("hallpass share 1 request")
        .field(common)
        .fields(parameters.into_iter())
        .optional(certificate)
        .optional(role.map(IdentityRole::as_str))
        .hex()
        .into_bytes()
}

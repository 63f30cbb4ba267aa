//! How assertions are signed: what was named, else what the key and the server allow.

use crate::error::{Error, Result};
use crate::oauth::{choose_among, signer};
use crate::profile::settings::Layers;
use crate::profile::{JwtAlgorithm, Profile};
use crate::types::choice::Choice as _;
use crate::types::secret::Credential;

/// What the record of derived settings calls the algorithm.
const RECORD: &str = "jwt_algorithm";

/// Settles how assertions are signed, when the key is known.
///
/// # Errors
/// `Usage` when the key cannot sign so, or fits several algorithms of which none was named.
pub(super) fn choose_algorithm(
    profile: &mut Profile,
    credential: &Credential,
    layers: &Layers,
    listed_by_server: &[String],
) -> Result<()> {
    use JwtAlgorithm::HS256;
    let Some(assertion) = &mut profile.assertion else {
        return Ok(());
    };
    let signer = signer(credential)?;
    let fitting = signer.algorithms();
    let named = layers.given.jwt_algorithm.value().copied();
    let kept = assertion.algorithm.filter(|kept| fitting.contains(kept));
    let listed = listed_by_server.iter();
    let mut listed = listed.filter_map(|name| JwtAlgorithm::parse(name));
    let listed = listed.find(|algorithm| fitting.contains(algorithm));
    let only = match fitting {
        [only] => Some(*only),
        // With a secret, the shortest.
        [HS256, ..] => Some(HS256),
        _ => None,
    };
    let found = named
        .or(kept)
        .or(signer.own_algorithm())
        .or(listed)
        .or(only);
    let algorithm = found.ok_or_else(|| choose_among(fitting).hint("choose one with --jwt-alg"))?;
    if !fitting.contains(&algorithm) {
        let what = match credential {
            Credential::Key { .. } | Credential::External(_) => "the private key",
            Credential::Secret(_) | Credential::None => "a client secret",
        };
        let fault = format!("{what} cannot sign with {}", algorithm.as_str());
        let fitting: Vec<_> = fitting.iter().map(|it| it.as_str()).collect();
        let hint = format!("it can sign with {}", fitting.join(", "));
        return Err(Error::usage(fault).hint(hint));
    }
    let is_chosen_here = assertion.algorithm != Some(algorithm);
    assertion.algorithm = Some(algorithm);
    if is_chosen_here && named.is_none() && !profile.derived.iter().any(|it| it == RECORD) {
        profile.derived.push(RECORD.to_owned());
        profile.derived.sort();
    }
    Ok(())
}

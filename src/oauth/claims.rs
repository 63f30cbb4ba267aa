//! What a message shows of an identity token: the claims that decide whether a server trusts it.

use crate::message::{FOREIGN_TEXT_LIMIT, clean};
use crate::types::identity_token::IdentityToken;
use crate::types::token::Timestamp;

/// A hint for a token that a server refused.
pub(super) fn to_compare(identity: &IdentityToken) -> String {
    let claims = identity.claims().unwrap_or_default();
    let shown = |text: String| clean(&text, FOREIGN_TEXT_LIMIT);
    let audience = claims.aud.map(|audience| audience.to_string());
    let mut parts: Vec<_> = [("iss", claims.iss), ("sub", claims.sub), ("aud", audience)]
        .into_iter()
        .map(|(name, value)| match value {
            Some(value) => format!("{name} {}", shown(value)),
            None => format!("no {name}"),
        })
        .collect();
    if let Some(expiry) = claims.exp {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a number out of range becomes the nearest one"
        )]
        let expiry = Timestamp((expiry * 1000.0) as u64);
        parts.push(expiry.as_expiry(Timestamp::now()));
    }
    format!(
        "the identity token has {}: compare this with what the server trusts",
        parts.join(", ")
    )
}

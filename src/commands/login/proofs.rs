//! Whether tokens are bound to a key (RFC 9449), as the server wants where the user does not say.

use std::sync::Arc;

use super::prepare::Login;
use crate::error::{Error, Kind, Result};
use crate::message;
use crate::oauth::{self, Prover};
use crate::profile::Profile;
use crate::profile::settings::Setting;
use crate::secrets::{self, WaitLimit};
use crate::types::external_key::ExternalKey;
use crate::types::token_failure::TokenFailure;

impl Login<'_> {
    /// Turns proofs on if the server requires them, and off if it does not bind tokens, unless the user chose.
    /// Returns whether anything changed, so that a request may succeed.
    pub(super) fn follow_server(&mut self, failure: &TokenFailure) -> bool {
        let layers = &mut self.layers;
        let chosen = [&layers.given, &layers.answered, &layers.kept];
        if chosen.iter().any(|layer| !layer.dpop.is_unset()) {
            return false;
        }
        if failure.requires_proofs() {
            layers.answered.dpop = Setting::Set(());
            message::note(
                "the server requires proofs of possession (DPoP), so tokens are bound to a key",
            );
            return true;
        }
        if failure.ignores_proofs() {
            layers.answered.dpop = Setting::Removed;
            message::note(
                "the server issues bearer tokens for this client, so DPoP is turned off (--no-dpop)",
            );
            return true;
        }
        false
    }

    /// Some servers refuse a request without a proof of possession and do not say why.
    pub(super) fn with_hint_at_proofs(&self, failure: TokenFailure, profile: &Profile) -> Error {
        let is_about_client = failure.refuses_client();
        let error = failure.into_error();
        let has_hint = error.hints.iter().any(|hint| hint.contains("--dpop"));
        if self.offers_dpop
            && profile.dpop.is_none()
            && error.kind == Kind::Refused
            && !is_about_client
            && !has_hint
        {
            return error.hint(
                "if the server requires proofs of possession (DPoP) for this client: add --dpop",
            );
        }
        error
    }

    /// Reads the key in an ssh-agent that the tokens are to be bound to, and records it.
    pub(super) fn record_proof_key(
        &self,
        profile: &mut Profile,
    ) -> Result<Option<Arc<dyn ExternalKey>>> {
        let key = secrets::proof_key(&self.name, profile, WaitLimit::Person)?;
        let settings = profile.dpop.as_mut().and_then(|dpop| dpop.key.as_mut());
        if let (Some(settings), Some(key)) = (settings, &key) {
            // One that cannot sign proofs is better known now.
            Prover::external(key)?;
            settings.public_key = Some(oauth::public_key_of(&**key)?);
        }
        Ok(key)
    }
}

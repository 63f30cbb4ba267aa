//! Whether tokens are bound to a key (RFC 9449), as the server wants where the user does not say.

use std::sync::Arc;

use super::prepare::Login;
use crate::error::{Error, Kind, Result};
use crate::oauth::{self, Prover};
use crate::profile::Profile;
use crate::profile::settings::Setting;
use crate::secrets::{self, WaitLimit};
use crate::types::external_key::ExternalKey;
use crate::types::token_failure::TokenFailure;

impl Login<'_> {
    /// Turns proofs on if the server requires them, unless the user chose. Turns them off if the server does
    /// not bind tokens, and only a preset asks for proofs now: what an earlier login had, or an MCP server
    /// requires, may have been removed on the way.
    ///
    /// Returns what to say if a request succeeds now. None if nothing changed.
    pub(super) fn follow_server(&mut self, failure: &TokenFailure) -> Option<&'static str> {
        let layers = &mut self.layers;
        let chosen = [&layers.given, &layers.answered, &layers.kept];
        if chosen.iter().any(|layer| !layer.dpop.is_unset()) {
            return None;
        }
        if failure.requires_proofs() {
            layers.answered.dpop = Setting::Set(());
            return Some(
                "the server requires proofs of possession (DPoP), so tokens are bound to a key",
            );
        }
        let others = [&layers.metadata, &layers.derived_before];
        if failure.ignores_proofs() && others.iter().all(|layer| layer.dpop.is_unset()) {
            // Nobody chose that: a later login tries again what the preset says.
            layers.preset.dpop = Setting::Removed;
            return Some(
                "the server issues bearer tokens for this client, so DPoP is turned off (--no-dpop)",
            );
        }
        None
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

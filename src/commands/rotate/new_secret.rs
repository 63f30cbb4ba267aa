//! The new secret of a rotation, and the token request that verifies it.

use super::{Rotate, Verified};
use crate::commands::verification::request_token;
use crate::error::{Error, Kind, Result};
use crate::message;
use crate::platform::prompt::{self, Attempts};
use crate::profile::Profile;
use crate::secrets::{self, WaitLimit};
use crate::types::secret::{ClientSecret, Credential};

impl Rotate<'_> {
    /// The new secret, and the token that it was verified with. A person who typed something wrong may
    /// correct it.
    pub(super) fn new_secret(&self, rotated: &Profile) -> Result<(ClientSecret, Option<Verified>)> {
        let mut attempts = Attempts::new();
        loop {
            let secret = self.read_secret(&mut attempts)?;
            self.warn_of_the_same(&secret)?;
            let mut error = match self.verify(rotated, &secret) {
                Ok(verified) => return Ok((secret, verified)),
                Err(error) => error,
            };
            if error.kind == Kind::Refused {
                error.hints = vec![
                    "nothing was changed; check the new secret".to_owned(),
                    format!(
                        "if the server accepts a new secret only some time later: hallpass rotate {} --keep-old --no-verify",
                        self.name
                    ),
                ];
            }
            if error.kind != Kind::Refused || self.args.secret_stdin || !attempts.are_left() {
                return Err(error);
            }
            message::error(&error);
        }
    }

    /// The token that the server issued for the secret; none if none is to be requested.
    pub(super) fn verify(
        &self,
        rotated: &Profile,
        secret: &ClientSecret,
    ) -> Result<Option<Verified>> {
        if self.args.no_verify {
            return Ok(None);
        }
        let credential = Credential::Secret(secret.clone());
        request_token(self.name, rotated, self.profile, credential).map(Some)
    }

    pub(super) fn read_secret(&self, attempts: &mut Attempts) -> Result<ClientSecret> {
        if self.args.secret_stdin {
            return prompt::read_secret_from_stdin();
        }
        if !prompt::can_ask() {
            return Err(Error::usage(
                "the new secret is missing, and there is no terminal to ask at",
            )
            .hint("pipe it in with --secret-stdin"));
        }
        let endpoint = self.profile.token_endpoint.as_str();
        message::note(&format!("client {} at {endpoint}", self.profile.client()));
        prompt::ask_secret("New client secret", attempts)
    }

    /// Warns of the secret that the profile has already. One that no longer exists does not hinder its
    /// replacement.
    pub(super) fn warn_of_the_same(&self, secret: &ClientSecret) -> Result<()> {
        match secrets::content(self.name, self.profile, WaitLimit::Person) {
            Ok(current) if current.as_slice() == secret.expose().as_bytes() => {
                message::warning("the new secret is the same as the old one");
            }
            Err(error) if matches!(error.kind, Kind::Locked | Kind::Unavailable) => {
                return Err(error);
            }
            _ => {}
        }
        Ok(())
    }
}

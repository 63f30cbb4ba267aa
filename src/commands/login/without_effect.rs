//! Options of a login that would have no effect.

use super::prepare::Login;
use crate::error::{Error, Result};
use crate::profile::{ClientAuth, Profile};

impl Login<'_> {
    /// A user who gives an option expects that it is used.
    pub(super) fn reject_unused_options(&self, profile: &Profile) -> Result<()> {
        let method = profile.client_auth;
        let name = method.as_str();
        let args = self.args;
        if !method.has_key() && (args.key_stdin || args.signs()) {
            return Err(Error::usage(format!("{name} takes no private key")));
        }
        if !method.has_key() && args.key.is_some() && profile.certificate_key.is_none() {
            return Err(Error::usage("--key needs --cert with its certificate"));
        }
        self.check_headers()?;
        args.check_share(profile)?;
        if profile.secret.is_none() && (args.gives_secret() || args.key_stdin) {
            let fault = "a client that authenticates with an identity token, or not at all, takes no secret";
            return Err(Error::usage(fault)
                .hint("leave out the secret, or add --identity-as assertion or subject_token"));
        }
        if let Some(algorithm) = self.layers.given.unfitting_algorithm(method) {
            let fault = format!("{} does not fit {name}", algorithm.as_str());
            return Err(Error::usage(fault));
        }
        let without_effect = if args.signs() && method != ClientAuth::PrivateKeyJwt {
            Some(if args.jwt_key.is_some() {
                "jwt-key"
            } else {
                "jwt-sign-command"
            })
        } else if profile.has_external_key() && args.gives_secret() {
            return Err(Error::usage(
                "a key that another program keeps needs no secret and no passphrase",
            ));
        } else {
            self.layers.given.without_effect(profile)
        };
        match without_effect {
            Some(option) => {
                let choice = choice_of(profile, option);
                let fault = format!("--{option} has no effect with {choice}");
                Err(Error::usage(fault))
            }
            None => Ok(()),
        }
    }
}

/// The user's choice that leaves an option without an effect.
fn choice_of(profile: &Profile, option: &str) -> String {
    let method = profile.client_auth;
    match &profile.identity {
        Some(identity) if matches!(option, "assertion-type" | "subject-token-type") => {
            format!("--identity-as {}", identity.role.as_str())
        }
        Some(_) if matches!(method, ClientAuth::Identity | ClientAuth::None) => {
            "--identity".to_owned()
        }
        _ => method.as_str().to_owned(),
    }
}

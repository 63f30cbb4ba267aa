//! The secret headers of a login: those that are given, and those that the profile already has.

use std::collections::BTreeSet;

use super::prepare::Login;
use super::replace::goes_elsewhere;
use crate::error::{Error, Result};
use crate::message;
use crate::platform::prompt;
use crate::profile::headers::{Headers, SecretHeaders};
use crate::profile::{Item, Profile};
use crate::secrets::{self, HeaderValue, WaitLimit};
use crate::types::secret::ClientSecret;

impl Login<'_> {
    /// Reads the values of the secret headers, once in a login.
    pub(super) fn read_secret_headers(&mut self) -> Result<Headers> {
        if let Some(headers) = &self.secret_headers {
            return Ok(headers.clone());
        }
        let mut headers = self.kept_headers()?;
        for (name, value) in &self.args.header_secret {
            let content = match value {
                HeaderValue::Nothing => {
                    let _ = headers.set(name, "");
                    continue;
                }
                HeaderValue::Typed => ask(name)?,
                source => parse(name, &source.read()?.unwrap_or_default())?,
            };
            set(&mut headers, name, &content)?;
        }
        self.secret_headers = Some(headers.clone());
        Ok(headers)
    }

    /// The secret headers of the profile that this login renews, but those that it changes.
    fn kept_headers(&self) -> Result<Headers> {
        let Some(renewed) = &self.renewed else {
            return Ok(Headers::default());
        };
        let changed: BTreeSet<_> = self.given_headers().collect();
        let headers = renewed.secret_headers.iter();
        let names = headers.flat_map(|headers| &headers.names);
        let kept: Vec<_> = names.filter(|name| !changed.contains(name)).collect();
        if kept.is_empty() {
            return Ok(Headers::default());
        }
        let goes_elsewhere = self
            .merge()
            .is_ok_and(|merged| goes_elsewhere(renewed, &merged));
        let kept_values = || {
            if goes_elsewhere {
                return Err(Error::usage(format!(
                    "the saved values of the secret headers are only for {}",
                    renewed.token_endpoint.as_str()
                )));
            }
            secrets::headers(&self.name, renewed, WaitLimit::Person)
        };
        let error = match kept_values() {
            Ok(mut headers) => {
                for name in &changed {
                    let _ = headers.set(name, "");
                }
                return Ok(headers);
            }
            Err(error) => error,
        };
        let mut headers = Headers::default();
        if prompt::can_ask() {
            message::note(&error.to_string());
            for name in kept {
                set(&mut headers, name, &ask(name)?)?;
            }
            return Ok(headers);
        }
        let options: Vec<_> = kept
            .iter()
            .map(|name| format!("--header-secret {name}=file:PATH"))
            .collect();
        let mut error = error;
        error.hints = vec![format!("give the value again: {}", options.join(" "))];
        Err(error)
    }

    /// The names of the headers that the options set or remove.
    fn given_headers(&self) -> impl Iterator<Item = &String> {
        let plain = self.args.header.iter().map(|(name, _)| name);
        let secret = self.args.header_secret.iter().map(|(name, _)| name);
        plain.chain(secret)
    }

    /// Refuses a header that is given twice: only one value can count.
    pub(super) fn check_headers(&self) -> Result<()> {
        let mut seen = BTreeSet::new();
        match self.given_headers().find(|name| !seen.insert(*name)) {
            Some(name) => Err(Error::usage(format!("the header {name} is given twice"))),
            None => Ok(()),
        }
    }

    /// Records the secret headers in a profile whose item names are known.
    pub(super) fn record_secret_headers(&self, profile: &mut Profile, headers: &Headers) {
        profile.secret_headers = (!headers.is_empty()).then(|| SecretHeaders {
            names: headers.names(),
            item: Item {
                store: profile.item().map(|item| item.store).unwrap_or_default(),
                account: profile.headers_account(&self.name),
            },
        });
    }

    /// Whether another login changed the secret headers of the same client meanwhile.
    pub(super) fn has_other_headers(&self, current: &Profile) -> bool {
        let seen = self.renewed.as_ref().map(|seen| &seen.secret_headers);
        seen.is_some_and(|seen| *seen != current.secret_headers)
    }
}

fn parse(name: &str, content: &zeroize::Zeroizing<Vec<u8>>) -> Result<ClientSecret> {
    ClientSecret::parse(content)
        .map_err(|fault| Error::usage(format!("the value of the header {name} {fault}")))
}

fn set(headers: &mut Headers, name: &str, value: &ClientSecret) -> Result<()> {
    headers.set(name, value.expose()).map_err(Error::usage)
}

fn ask(name: &str) -> Result<ClientSecret> {
    if !prompt::can_ask() {
        let fault = format!(
            "the value of the header {name} is missing, and there is no terminal to ask at"
        );
        let hint = format!("add --header-secret {name}=file:PATH or {name}=env:VARIABLE");
        return Err(Error::usage(fault).hint(hint));
    }
    let question = format!("Value of the header {name}");
    prompt::ask_secret(&question, &mut prompt::Attempts::new())
}

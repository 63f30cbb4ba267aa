//! A secret that replaced another one, which may be kept for a while.

use serde::{Deserialize, Serialize};

use super::{Item, Profile, ProfileName, SecretSource};
use crate::types::date::Date;

/// The last rotation of the secret. It leaves the login as it is, so that cached tokens stay in use.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotation {
    /// Random, new with each rotation: the items of two secrets have different names.
    generation: String,
    /// The secret that was replaced, if it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<PreviousSecret>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviousSecret {
    pub(crate) secret: SecretSource,
    /// Of the login or the rotation that stored it.
    generation: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<Date>,
}

/// Which secret stays when a rotation replaces the current one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Keep {
    Neither,
    Current,
    /// The one that an earlier rotation kept.
    Previous,
}

impl Profile {
    /// The generation of the secret: of its login, or of the rotation that replaced it since.
    pub(crate) fn secret_generation(&self) -> &str {
        let rotation = self.rotation.as_ref();
        rotation.map_or(&self.generation, |rotation| &rotation.generation)
    }

    /// The secret that was replaced, if it is kept.
    pub(crate) fn previous_secret(&self) -> Option<&PreviousSecret> {
        self.rotation.as_ref()?.previous.as_ref()
    }

    /// The same profile with the secret that was replaced, unless that one has expired.
    pub(crate) fn with_previous_secret(&self) -> Option<Self> {
        let expires = self.previous_secret()?.expires;
        let is_expired = expires.is_some_and(|date| date.days_left() < 0);
        self.with_kept_secret().filter(|_| !is_expired)
    }

    /// The same profile with the secret that was replaced, which may have expired.
    pub(crate) fn with_kept_secret(&self) -> Option<Self> {
        let previous = self.previous_secret()?;
        Some(Self {
            secret: Some(previous.secret.clone()),
            secret_expires: previous.expires,
            rotation: Some(Box::new(Rotation {
                generation: previous.generation.clone(),
                previous: None,
            })),
            ..self.clone()
        })
    }

    /// The same profile without the secret that was replaced.
    pub(crate) fn without_previous_secret(&self) -> Self {
        let mut profile = self.clone();
        if let Some(rotation) = &mut profile.rotation {
            rotation.previous = None;
        }
        profile
    }

    /// The same profile with a new item for its secret, in the same store. None if hallpass does not
    /// store the secret.
    pub(crate) fn rotated(
        &self,
        name: &ProfileName,
        generation: String,
        expires: Option<Date>,
        kept: Keep,
    ) -> Option<Self> {
        let item = self.item()?;
        let current = || PreviousSecret {
            secret: SecretSource::kept(item.clone()),
            generation: self.secret_generation().to_owned(),
            expires: self.secret_expires,
        };
        let previous = match kept {
            Keep::Neither => None,
            Keep::Current => Some(current()),
            Keep::Previous => self.previous_secret().cloned(),
        };
        let mut profile = Self {
            secret_expires: expires,
            rotation: Some(Box::new(Rotation {
                generation,
                previous,
            })),
            ..self.clone()
        };
        profile.secret = Some(SecretSource::kept(Item {
            account: profile.item_account(name),
            ..item
        }));
        Some(profile)
    }

    /// The same profile, as a login with this generation makes it, with the secret that `other` keeps
    /// during a rotation. Its item has no name yet: see [`Self::named`].
    pub(crate) fn with_kept_secret_of(&self, other: &Self) -> Self {
        let previous = other.previous_secret().cloned();
        let generation = self.generation.clone();
        Self {
            rotation: Some(Box::new(Rotation {
                generation,
                previous,
            })),
            ..self.clone()
        }
    }

    /// The same profile with only the current secret, as a login makes it.
    pub(crate) fn without_rotation(&self) -> Self {
        Self {
            rotation: None,
            ..self.clone()
        }
    }

    /// The same profile under another name: its items have other accounts.
    pub(crate) fn named(&self, name: &ProfileName) -> Self {
        let mut profile = self.clone();
        let previous = self.with_previous_secret();
        let account = previous.map(|previous| previous.item_account(name));
        let kept = profile
            .rotation
            .as_mut()
            .and_then(|rotation| rotation.previous.as_mut());
        if let (Some(kept), Some(account)) = (kept, account)
            && let Some(item) = kept.secret.item()
        {
            kept.secret = SecretSource::kept(Item { account, ..item });
        }
        if let Some(item) = self.item() {
            let account = self.item_account(name);
            profile.secret = Some(SecretSource::kept(Item { account, ..item }));
        }
        if let Some(headers) = &mut profile.secret_headers {
            headers.item.account = self.headers_account(name);
        }
        profile
    }
}

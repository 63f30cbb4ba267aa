//! What a policy says about the shared cache: that there is none, or which one all profiles use.

use std::fmt;
use std::path::Path;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::profile::share::{Share, ShareSecret, ShareUrl};

/// `false`, or an object as in the profile's file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SharePolicy {
    NotAllowed,
    /// Instead of what a profile has.
    Required(Box<Share>),
}

impl SharePolicy {
    pub(super) fn allows(&self, url: &ShareUrl) -> bool {
        matches!(self, Self::Required(share) if share.url == *url)
    }
}

impl Serialize for SharePolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::NotAllowed => serializer.serialize_bool(false),
            Self::Required(share) => share.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for SharePolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Member)
    }
}

struct Member;

impl<'de> Visitor<'de> for Member {
    type Value = SharePolicy;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("false, or an object with the url of a shared cache")
    }

    fn visit_bool<E: serde::de::Error>(self, is_allowed: bool) -> Result<SharePolicy, E> {
        if is_allowed {
            return Err(E::invalid_value(serde::de::Unexpected::Bool(true), &self));
        }
        Ok(SharePolicy::NotAllowed)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SharePolicy, A::Error> {
        let share = Share::deserialize(MapAccessDeserializer::new(map))?;
        if let Some(fault) = share.fault() {
            return Err(A::Error::custom(format!("the shared cache {fault}")));
        }
        // Else it depends on the directory of each call.
        if let Some(path) = paths(&share).find(|path| !path.is_absolute()) {
            let fault = format!("{} is not an absolute path", path.display());
            return Err(A::Error::custom(fault));
        }
        Ok(SharePolicy::Required(Box::new(share)))
    }
}

/// The files that a shared cache needs.
fn paths(share: &Share) -> impl Iterator<Item = &Path> {
    let files = [&share.ca_file, &share.certificate, &share.certificate_key];
    let secrets = [&share.password, &share.key].into_iter().flatten();
    let secrets = secrets.filter_map(|secret| match secret {
        ShareSecret::File(path) => Some(path.as_path()),
        ShareSecret::Env(_) | ShareSecret::Command(_) => None,
    });
    let files = files.into_iter().flatten();
    files.map(std::path::PathBuf::as_path).chain(secrets)
}

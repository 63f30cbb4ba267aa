//! The profile that a call is for.

use super::binding::Binding;
use super::{Profile, ProfileName};
use crate::error::{Error, Result};
use crate::types::web_url::WebUrl;

/// A profile that was selected, and by which binding: none where the client names no URL.
#[derive(Clone, Debug)]
pub(crate) struct SelectedProfile {
    pub(crate) name: ProfileName,
    pub(crate) profile: Profile,
    pub(crate) binding: Option<Binding>,
    /// What the token is for, where the client names a URL: the binding covers it.
    pub(crate) url: Option<WebUrl>,
}

impl SelectedProfile {
    /// Goes on with the profile as it is now.
    ///
    /// # Errors
    /// `NotFound` when that one is not bound to the URL: the token of another login, or after an
    /// `unbind`, is not for it.
    pub(crate) fn update(&mut self, profile: Profile) -> Result<()> {
        if let Some(url) = &self.url {
            let Some(binding) = longest(&profile, |binding| binding.url.covers(url)) else {
                let name = &self.name;
                let what = format!("profile {name} is no longer bound to this URL");
                let hint = format!("to allow it: hallpass bind {name} URL");
                return Err(Error::not_found(what).hint(hint));
            };
            self.binding = Some(binding.clone());
        }
        self.profile = profile;
        Ok(())
    }
}

/// Of the bindings that fit, the one with the longest path.
pub(crate) fn longest(profile: &Profile, fits: impl Fn(&Binding) -> bool) -> Option<&Binding> {
    let fitting = profile.bindings.iter().filter(|binding| fits(binding));
    fitting.max_by_key(|binding| binding.url.prefix().len())
}

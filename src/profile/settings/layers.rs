//! The layers of a profile's settings, in order of precedence.

use super::{NO_METHODS, SECRET_METHODS, Setting, Settings};
use crate::profile::binding::Binding;
use crate::profile::identity::IdentityRole;
use crate::profile::{ClientAuth, CredentialKind, Profile};

/// Where a layer comes from, as far as the profile records it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    Given,
    Earlier,
    Derived,
}

/// All layers, in order of precedence: the first in which a setting is not unset decides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    /// On the command line, or in the environment.
    pub(crate) given: Settings,
    /// At the terminal, where the command line said nothing. An answer is given as well: it changes
    /// what a profile has that turns out to be the same client's.
    pub(crate) answered: Settings,
    /// Given at an earlier login.
    pub(crate) kept: Settings,
    pub(crate) preset: Settings,
    pub(crate) metadata: Settings,
    /// Derived at an earlier login: it holds until a preset or metadata renew it.
    pub(crate) derived_before: Settings,
}

impl Layers {
    /// Takes over what a profile has, where it works with what is given.
    pub(crate) fn keep(&mut self, profile: &Profile) {
        let (mut given, mut derived) = Settings::of_profile(profile);
        self.complete_identity(&given.identity_role);
        let had = profile.client_auth.credential();
        given.fit(&self.given, had);
        derived.fit(&self.given, had);
        if let Setting::Set(bindings) = &mut self.given.bindings {
            // The user name and scheme that `bind` set for a URL are kept when a login repeats the URL.
            for binding in bindings {
                let known = |known: &&Binding| known.url == binding.url;
                if let Some(known) = profile.bindings.iter().find(known) {
                    *binding = known.clone();
                }
            }
        }
        self.kept = given;
        self.derived_before = derived;
    }

    /// Takes a preset's layer, where its method works with the credential that is given.
    pub(crate) fn set_preset(&mut self, mut preset: Settings) {
        self.complete_identity(&preset.identity_role);
        preset.fit(&self.given, CredentialKind::Secret);
        let kept = [&self.kept, &self.derived_before];
        let kept = kept.iter().find_map(|layer| layer.client_auth.value());
        let method = preset.client_auth.value();
        if let (Some(kept), Some(method)) = (kept, method)
            && kept.credential() != method.credential()
        {
            preset.client_auth = Setting::Unset;
        }
        self.preset = preset;
    }

    /// An identity that is given without its role has the one that is known: the methods that fit
    /// depend on both.
    fn complete_identity(&mut self, role: &Setting<IdentityRole>) {
        if self.given.identity.value().is_some() && self.given.identity_role.is_unset() {
            self.given.identity_role.clone_from(role);
        }
    }

    /// The methods that work with the credential that there is.
    pub(crate) fn fitting_methods(&self) -> &'static [ClientAuth] {
        let kept = [&self.kept, &self.derived_before];
        let mut kept = kept.iter().filter_map(|layer| layer.fitting_methods());
        let fitting = self.given.fitting_methods();
        let fitting = fitting.or_else(|| kept.next()).unwrap_or(SECRET_METHODS);
        // An identity, and a secret that is given to a profile that has the identity.
        if fitting == NO_METHODS && self.given.secret.value().is_some() {
            return SECRET_METHODS;
        }
        fitting
    }

    pub(super) fn in_order(&self) -> [(&Settings, Origin); 6] {
        [
            (&self.given, Origin::Given),
            (&self.answered, Origin::Given),
            (&self.kept, Origin::Earlier),
            (&self.preset, Origin::Derived),
            (&self.metadata, Origin::Derived),
            (&self.derived_before, Origin::Derived),
        ]
    }

    /// What the layers say about one setting.
    pub(crate) fn find<T>(&self, get: impl Fn(&Settings) -> &Setting<T>) -> Option<&T> {
        let layers = self.in_order();
        let settings = layers.iter().map(|(layer, _)| get(layer));
        let mut settings = settings.filter(|setting| !setting.is_unset());
        settings.next().and_then(Setting::value)
    }
}

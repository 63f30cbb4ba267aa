//! The requests of helpers' clients. The first line of an input has the arguments, the second one the
//! value of the protocol's environment variable; the rest is standard input.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::{Answer, Call, PROTOCOLS, TokenProvider};
use crate::error::Result;
use crate::fuzz::split_line;
use crate::profile::binding::{Binding, BoundUrl};
use crate::profile::selected::SelectedProfile;
use crate::profile::{self, ProfileName};
use crate::types::secret::AccessToken;
use crate::types::token::{CachedToken, Timestamp};
use crate::types::web_url::WebUrl;

pub(super) const TOKEN: &str = "the-t0ken";

/// The only profile. Its tokens are for `https://a.example`.
pub(super) fn profile() -> SelectedProfile {
    let url = BoundUrl::parse("https://a.example").expect("a URL to bind");
    SelectedProfile {
        name: ProfileName::parse("prod").expect("a name"),
        profile: profile::example(),
        url: Some(url.as_url().clone()),
        binding: Some(Binding::of(url)),
    }
}

pub(super) fn token() -> CachedToken {
    CachedToken {
        access_token: AccessToken::parse(TOKEN).expect("a token"),
        token_type: "Bearer".to_owned(),
        scope: None,
        members: BTreeMap::new(),
        requested_at: Timestamp(1_795_000_000_000),
        expires_at: Timestamp(1_795_003_600_000),
        proof_key: None,
        warning: None,
    }
}

/// Provides one profile and its token, and records the calls.
#[derive(Default)]
pub(super) struct OneProfile {
    pub(super) bound: Cell<bool>,
    pub(super) selected: Cell<bool>,
}

impl TokenProvider for OneProfile {
    fn find_bound(&self, url: &WebUrl, _name: Option<&str>) -> Result<Option<SelectedProfile>> {
        let profile = profile();
        let binding = profile.binding.as_ref().expect("a binding");
        let covers = binding.url.covers(url);
        assert_eq!(
            covers,
            url.origin() == "https://a.example" && !url.hides_a_slash()
        );
        self.bound.set(self.bound.get() || covers);
        Ok(covers.then_some(profile))
    }

    fn selected(&self) -> Result<SelectedProfile> {
        self.selected.set(true);
        Ok(profile())
    }

    fn all_bindings(&self) -> Result<Vec<SelectedProfile>> {
        Ok(vec![profile()])
    }

    fn token(
        &self,
        _selected: &mut SelectedProfile,
        _rejected: Option<Timestamp>,
    ) -> Result<CachedToken> {
        let is_allowed = self.bound.get() || self.selected.get();
        assert!(is_allowed, "a token for a URL that is not bound");
        Ok(token())
    }

    fn cached_token(&self, _selected: &SelectedProfile) -> Option<CachedToken> {
        Some(token())
    }

    fn discard_token(&self, _selected: &SelectedProfile, _rejected: &AccessToken) {
        assert!(self.bound.get(), "a token of a URL that is not bound");
    }
}

/// The result of a helper's call.
pub(super) struct Outcome {
    pub(super) answer: Result<Answer>,
    /// Everything that was printed, including what was printed before the answer.
    pub(super) printed: String,
    /// A bound URL was looked up.
    pub(super) bound: bool,
    /// The selected profile was requested.
    pub(super) selected: bool,
}

pub(super) fn call(
    name: &str,
    arguments: &[String],
    mut input: &[u8],
    variable: Option<&str>,
) -> Outcome {
    let mut protocols = PROTOCOLS.iter();
    let protocol = protocols.find(|protocol| protocol.name == name);
    let provider = OneProfile::default();
    let printed = RefCell::new(String::new());
    let answer = (protocol.expect("a protocol").run)(&mut Call {
        arguments,
        input: &mut input,
        print: &|text| {
            printed.borrow_mut().push_str(text);
            Ok(())
        },
        if_it_panics: &|_| {},
        variable: &|_| variable.map(str::to_owned),
        provider: &provider,
    });
    let mut printed = printed.into_inner();
    if let Ok(answer) = &answer {
        printed.push_str(&answer.text);
    }
    Outcome {
        answer,
        printed,
        bound: provider.bound.get(),
        selected: provider.selected.get(),
    }
}

fn fuzz(name: &str, bytes: &[u8]) {
    let (arguments, rest) = split_line(bytes);
    let (variable, input) = split_line(rest);
    let arguments = String::from_utf8_lossy(arguments);
    let arguments: Vec<_> = arguments.split_terminator(' ').map(str::to_owned).collect();
    let variable = String::from_utf8_lossy(variable);
    let variable = Some(&*variable).filter(|value| !value.is_empty());
    let outcome = call(name, &arguments, input, variable);
    let printed = &outcome.printed;
    let is_whole = printed.is_empty() || printed.ends_with('\n');
    assert!(is_whole, "{printed:?}");
    let is_control = |c: char| c != '\n' && c.is_control();
    assert!(!printed.contains(is_control), "{printed:?}");
    if printed.contains(TOKEN) {
        assert!(outcome.bound || outcome.selected);
        assert!(outcome.answer.is_ok());
    }
}

macro_rules! protocols {
    ($($function:ident $name:literal)*) => {
        $(pub(crate) fn $function(bytes: &[u8]) {
            fuzz($name, bytes);
        })*
    };
}

protocols! {
    askpass "askpass"
    bazel "bazel-credential"
    cargo "--cargo-plugin"
    docker "docker-credential"
    git "git-credential"
    goauth "goauth"
    google "google-executable"
    keyring "keyring"
    kubectl "kubectl-credential"
    pnpm "pnpm-tokenhelper"
    terraform "terraform-credentials"
}

//! Go's GOAUTH: first a call without arguments, then a call with the URL after each 401 response.

use std::collections::BTreeSet;

use super::{Answer, Call, Protocol};
use crate::error::Result;
use crate::profile::selected::SelectedProfile;
use crate::types::token::CachedToken;
use crate::types::web_url::WebUrl;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "goauth",
    link: None,
    about: "Go: an authentication command (GOAUTH)",
    run,
};

fn run(call: &mut Call<'_>) -> Result<Answer> {
    match call.arguments.first() {
        None => cached(call),
        Some(url) => rejected(call, url),
    }
}

/// Every token that is cached, without a token request. For other URLs, Go calls again after a 401.
fn cached(call: &Call<'_>) -> Result<Answer> {
    let mut urls = BTreeSet::new();
    let mut answer = String::new();
    for bound in call.provider.all_bindings()? {
        let Some(binding) = &bound.binding else {
            continue;
        };
        let url = binding.url.as_url();
        // Go accepts only https. A URL that two profiles are bound to selects neither.
        let is_selected = url.is_https()
            && call
                .provider
                .bound_to(url)
                .is_ok_and(|found| found.is_some_and(|found| found.name == bound.name));
        if is_selected
            && urls.insert(binding.url.as_str().to_owned())
            && let Some(token) = call.provider.cached_token(&bound)
        {
            answer.push_str(&block(&bound, &token));
        }
    }
    Ok(Answer::of(answer))
}

/// A token for a URL that answered 401 (the response is on standard input). If a token was cached, Go
/// sent it, and the server rejected it.
fn rejected(call: &Call<'_>, url: &str) -> Result<Answer> {
    let Ok(url) = WebUrl::parse(url) else {
        return Ok(Answer::nothing());
    };
    let Some(mut selected) = call.provider.bound_to(&url)? else {
        return Ok(Answer::nothing());
    };
    let rejected = call
        .provider
        .cached_token(&selected)
        .map(|token| token.requested_at);
    let token = call.provider.token(&mut selected, rejected)?;
    Ok(Answer::of(block(&selected, &token)))
}

/// The bound URL and its header, which Go also sends to paths below that URL.
fn block(selected: &SelectedProfile, token: &CachedToken) -> String {
    let binding = selected.binding.as_ref();
    let url = binding.map(|binding| binding.url.as_str());
    let (name, value) = super::header(binding, &token.access_token);
    format!("{}\n\n{name}: {value}\n\n", url.unwrap_or_default())
}

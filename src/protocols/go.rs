//! Go's GOAUTH: first a call without arguments, then one with a URL after each refused request.

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
    converse,
};

fn converse(call: &mut Call<'_>) -> Result<Answer> {
    match call.arguments.first() {
        None => cached(call),
        Some(url) => refused(call, url),
    }
}

/// What is at hand, without asking anybody: the other URLs cost Go one refused request each.
fn cached(call: &Call<'_>) -> Result<Answer> {
    let mut seen = BTreeSet::new();
    let mut answer = String::new();
    for who in (call.desk.all_bindings)()? {
        let Some(binding) = &who.binding else {
            continue;
        };
        // Of a URL that two profiles are bound to, neither is meant.
        let url = WebUrl::parse(binding.url.as_str());
        let is_ours = url.is_ok_and(|url| {
            // Go takes no others.
            url.is_https()
                && call
                    .desk
                    .bound(&url)
                    .is_ok_and(|found| found.is_some_and(|found| found.name == who.name))
        });
        if is_ours
            && seen.insert(binding.url.as_str().to_owned())
            && let Some(token) = (call.desk.cached)(&who)
        {
            answer.push_str(&block(&who, &token));
        }
    }
    Ok(Answer::of(answer))
}

/// The response to the refused request is on standard input. A token that was cached went with it.
fn refused(call: &Call<'_>, url: &str) -> Result<Answer> {
    let Ok(url) = WebUrl::parse(url) else {
        return Ok(Answer::nothing());
    };
    let Some(mut who) = call.desk.bound(&url)? else {
        return Ok(Answer::nothing());
    };
    let rejected = (call.desk.cached)(&who).map(|token| token.received_at);
    let token = (call.desk.token)(&mut who, rejected)?;
    Ok(Answer::of(block(&who, &token)))
}

/// The URL that the header is for, whole path segments below it included.
fn block(who: &SelectedProfile, token: &CachedToken) -> String {
    let url = who.binding.as_ref().map(|binding| binding.url.as_str());
    format!(
        "{}\n\nAuthorization: {}\n\n",
        url.unwrap_or_default(),
        super::header(who, token)
    )
}

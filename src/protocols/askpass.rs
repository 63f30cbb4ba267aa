//! Askpass programs (`GIT_ASKPASS`, `SSH_ASKPASS`): a question as the argument, one line as the answer.

use super::{Answer, Call, Protocol};
use crate::binding::Binding;
use crate::error::{Error, Result};
use crate::web_url::WebUrl;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "askpass",
    link: Some("askpass-hallpass"),
    about: "git, wget: an askpass program (GIT_ASKPASS)",
    converse,
};

fn converse(call: &mut Call<'_>) -> Result<Answer> {
    let question = call
        .arguments
        .first()
        .map(String::as_str)
        .unwrap_or_default();
    let Some((user, url)) = quoted_url(question) else {
        return Err(Error::not_found("the question names no URL between quotes"));
    };
    let Some(mut who) = call.desk.bound(&url)? else {
        return Err(Error::not_found(
            "no profile is bound to the URL of the question",
        ));
    };
    if user.is_none() {
        let username = who.binding.as_ref().map(Binding::username);
        return Ok(Answer::of(format!("{}\n", username.unwrap_or_default())));
    }
    let token = (call.desk.token)(&mut who, None)?;
    Ok(Answer::of(format!("{}\n", token.access_token.expose())))
}

/// The words around it are in the person's language. With a user in the URL, the password is asked for.
fn quoted_url(question: &str) -> Option<(Option<&str>, WebUrl)> {
    let (_, rest) = question.split_once('\'')?;
    let (quoted, _) = rest.split_once('\'')?;
    let (scheme, rest) = quoted.split_once("://")?;
    let (user, rest) = match rest.split_once('@') {
        Some((user, rest)) if !user.contains(['/', '?', '#', ':']) => (Some(user), rest),
        Some(_) => return None,
        None => (None, rest),
    };
    let url = WebUrl::parse(&format!("{scheme}://{rest}")).ok()?;
    Some((user, url))
}

//! Askpass programs (`GIT_ASKPASS`, `SSH_ASKPASS`): a question as the argument, one line as the answer.

use super::{Answer, Call, Protocol};
use crate::error::{Error, Result};
use crate::profile::binding::Binding;
use crate::profile::selected::SelectedProfile;
use crate::types::web_url::WebUrl;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "askpass",
    link: Some("askpass-hallpass"),
    about: "git, wget: an askpass program (GIT_ASKPASS)",
    run,
};

fn run(call: &mut Call<'_>) -> Result<Answer> {
    let question = call
        .arguments
        .first()
        .map(String::as_str)
        .unwrap_or_default();
    let Some(Quoted {
        user,
        url,
        has_port,
    }) = quoted_url(question)
    else {
        return Err(Error::not_found("the prompt contains no quoted URL"));
    };
    let mut found = call.provider.bound_to(&url)?;
    if found.is_none() && !has_port && !is_called_by_git(call) {
        found = bound_with_a_port(call, &url)?;
    }
    let Some(mut selected) = found else {
        return Err(Error::not_found(
            "no profile is bound to the URL in the prompt",
        ));
    };
    if user.is_none() {
        let username = selected.binding.as_ref().map(Binding::username);
        return Ok(Answer::of(format!("{}\n", username.unwrap_or_default())));
    }
    let token = call.provider.token(&mut selected, None)?;
    Ok(Answer::of([token.access_token.expose(), "\n"].concat()))
}

/// The only URL that is bound at this host, with any port: wget's question has no port.
fn bound_with_a_port(call: &Call<'_>, url: &WebUrl) -> Result<Option<SelectedProfile>> {
    let bindings = call.provider.all_bindings()?.into_iter();
    let bindings = bindings
        .filter_map(|bound| bound.binding)
        .filter(|binding| {
            let port = binding.url.origin().strip_prefix(url.origin());
            port.is_some_and(|port| port.starts_with(':')) && binding.url.prefix().is_empty()
        });
    let mut urls: Vec<_> = bindings.map(|binding| binding.url).collect();
    urls.dedup();
    match urls.as_slice() {
        [only] => match WebUrl::parse(only.as_str()) {
            Ok(url) => call.provider.bound_to(&url),
            Err(_) => Ok(None),
        },
        _ => Ok(None),
    }
}

/// Whether git runs this program. git's question contains every port but the default one. The only
/// other difference from wget is that git puts its own programs first on the PATH.
fn is_called_by_git(call: &Call<'_>) -> bool {
    let path = (call.variable)("PATH").unwrap_or_default();
    let first = std::env::split_paths(&path).next();
    first.is_some_and(|directory| directory.ends_with("git-core"))
}

/// The text between the quotes of a question, parsed.
struct Quoted<'a> {
    /// With a user, the client asks for the password, otherwise for the user name.
    user: Option<&'a str>,
    url: WebUrl,
    has_port: bool,
}

/// The text around the quotes is in the user's language, and not read.
fn quoted_url(question: &str) -> Option<Quoted<'_>> {
    let (_, rest) = question.split_once('\'')?;
    let (quoted, _) = rest.split_once('\'')?;
    let (scheme, rest) = quoted.split_once("://")?;
    let (user, rest) = match rest.split_once('@') {
        Some((user, rest)) if !user.contains(['/', '?', '#', ':']) => (Some(user), rest),
        Some(_) => return None,
        None => (None, rest),
    };
    let url = WebUrl::parse(&[scheme, "://", rest].concat()).ok()?;
    let authority = rest.split('/').next().unwrap_or_default();
    let after_address = authority.rsplit(']').next().unwrap_or_default();
    let has_port = after_address.contains(':');
    Some(Quoted {
        user,
        url,
        has_port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_read_from_a_question_only_before_the_host() {
        let read = |question| {
            let quoted = quoted_url(question)?;
            Some((quoted.user, quoted.url.as_str().to_owned(), quoted.has_port))
        };
        let url = |text: &str| text.to_owned();
        for (question, expected) in [
            (
                "Username for 'https://a.example': ",
                Some((None, url("https://a.example/"), false)),
            ),
            (
                "Password for 'https://me@a.example:8443': ",
                Some((Some("me"), url("https://a.example:8443/"), true)),
            ),
            ("Password for 'https://b.example/me@a.example': ", None),
            ("Password for 'https://b.example?me@a.example': ", None),
            ("Password for 'https://b.example#me@a.example': ", None),
            ("Password for 'https://b.example:me@a.example': ", None),
            ("Password for \"https://a.example\": ", None),
        ] {
            assert_eq!(read(question), expected, "{question}");
        }
    }
}

//! git, git-lfs, libgit2 and `JGit`: gitcredentials(7), lines of `key=value`.
//!
//! git 2.46 and later offer the capability `authtype`, which allows a Bearer token. Older versions
//! know only a user name and a password. git ignores a helper's exit code and uses whatever it
//! printed. `quit=1` keeps git from prompting the user.

use std::io::BufRead;

use super::{Answer, Call, Protocol, REQUEST_LIMIT, unreadable};
use crate::error::{Error, Result};
use crate::profile::binding::{Binding, Scheme};
use crate::profile::selected::SelectedProfile;
use crate::types::secret::AccessToken;
use crate::types::token::{CachedToken, Timestamp};
use crate::types::web_url::WebUrl;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "git-credential",
    link: Some("git-credential-hallpass"),
    about: "git: a credential helper (git, git-lfs, cargo's git dependencies)",
    run,
};

/// Prefix of the state that we give git with a cached token: the time at which the token was received.
/// git returns the state when the server rejected the token.
const STATE: &str = "hallpass:";

/// Without it, git would prompt for a user name.
const FAILED: &str = "quit=1\n";

fn run(call: &mut Call<'_>) -> Result<Answer> {
    match call.arguments.first().map(String::as_str) {
        Some("get") => get(call),
        Some("erase") => erase(call),
        Some("capability") => Ok(Answer::of(
            "version 0\ncapability authtype\ncapability state\n",
        )),
        // `store` runs after every command that succeeded. Unknown operations must be ignored.
        Some(_) => Ok(Answer::nothing()),
        None => Err(Error::usage("no operation given; use get, store or erase")),
    }
}

fn get(call: &mut Call<'_>) -> Result<Answer> {
    let request = Request::read(call.input)?;
    let rejected = request.rejected();
    (call.if_it_panics)(FAILED);
    let answer = bound_profile(call, &request).and_then(|mut selected| {
        let token = selected
            .as_mut()
            .map(|selected| call.provider.token(selected, rejected));
        Ok(selected.zip(token.transpose()?))
    });
    Ok(match answer {
        Ok(None) => Answer::nothing(),
        Ok(Some((selected, token))) => {
            Answer::of(credential(&request, &selected, &token, rejected.is_some()))
        }
        Err(error) => Answer {
            text: FAILED.to_owned(),
            error: Some(error),
            exit_code: 1,
        },
    })
}

/// The profile that is bound to the URL of the request.
///
/// # Errors
/// Also if a profile is bound to the server, but the rest of the URL cannot be read. Otherwise git would
/// prompt the user without giving the reason.
fn bound_profile(call: &Call<'_>, request: &Request) -> Result<Option<SelectedProfile>> {
    let Some((scheme, host)) = request.server() else {
        return Ok(None);
    };
    let url = match request.path() {
        _ if request.is_malformed => Err("is in a request with a line that is not key=value"),
        Some(path) => WebUrl::of_service(scheme, host, path),
        None => Err("has two paths"),
    };
    match url {
        Ok(url) => call.provider.bound_to(&url),
        Err(fault) => {
            let Ok(server) = WebUrl::of_service(scheme, host, b"") else {
                return Ok(None);
            };
            let mut bindings = call.provider.all_bindings()?.into_iter();
            let is_bound = bindings.any(|bound| {
                let binding = bound.binding.as_ref();
                binding.is_some_and(|binding| binding.url.origin() == server.origin())
            });
            if is_bound {
                Err(Error::usage(format!("the URL that git asks for {fault}")))
            } else {
                Ok(None)
            }
        }
    }
}

fn credential(
    request: &Request,
    selected: &SelectedProfile,
    token: &CachedToken,
    is_new: bool,
) -> String {
    let secret = token.access_token.expose();
    let expiry = token.refresh_at().seconds().to_string();
    let received = token.requested_at.0.to_string();
    let mut lines = Vec::new();
    if request.takes_bearer(selected) {
        lines.push(["capability[]", "authtype", ""]);
        if request.offers("state") && !is_new {
            lines.push(["capability[]", "state", ""]);
            lines.push(["state[]", STATE, &received]);
            lines.push(["continue", "1", ""]);
        }
        lines.push(["authtype", "Bearer", ""]);
        lines.push(["credential", secret, ""]);
        lines.push(["ephemeral", "1", ""]);
    } else {
        // Some servers accept a token only with a certain user name, so the binding's comes first.
        let binding = selected.binding.as_ref();
        let bound_username = binding.and_then(|binding| binding.username.as_deref());
        let username = bound_username
            .or(request.single("username"))
            .or(binding.map(Binding::username))
            .unwrap_or_default();
        lines.push(["username", username, ""]);
        lines.push(["password", secret, ""]);
    }
    lines.push(["password_expiry_utc", &expiry, ""]);
    let mut text = String::with_capacity(secret.len() + 200);
    for [key, value, more] in lines {
        text.extend([key, "=", value, more, "\n"]);
    }
    text
}

fn erase(call: &mut Call<'_>) -> Result<Answer> {
    let request = Request::read(call.input)?;
    let rejected = request.single("credential").or(request.single("password"));
    if let Some(token) = rejected.and_then(AccessToken::parse)
        && let Some(selected) = bound_profile(call, &request)?
    {
        call.provider.discard_token(&selected, &token);
    }
    Ok(Answer::nothing())
}

/// git's request, line by line. Values are bytes, because git passes on server headers in any
/// encoding, and decoded paths.
struct Request {
    lines: Vec<(String, Vec<u8>)>,
    is_malformed: bool,
}

impl Request {
    /// Reads up to the blank line, or the end of the input.
    fn read(input: &mut dyn BufRead) -> Result<Self> {
        let mut request = Self {
            lines: Vec::new(),
            is_malformed: false,
        };
        let mut input = std::io::Read::take(input, REQUEST_LIMIT);
        loop {
            let mut line = Vec::new();
            let count = input.read_until(b'\n', &mut line).map_err(unreadable)?;
            if line.last() == Some(&b'\n') {
                line.pop();
            } else if input.limit() == 0 {
                return Err(Error::usage("the request is too long"));
            }
            if count == 0 || line.is_empty() {
                return Ok(request);
            }
            let Some(equals) = line.iter().position(|byte| *byte == b'=') else {
                request.is_malformed = true;
                continue;
            };
            let value = line.split_off(equals + 1);
            line.pop();
            if let Ok(key) = String::from_utf8(line) {
                request.lines.push((key, value));
            }
        }
    }

    fn all(&self, wanted: &str) -> impl Iterator<Item = &[u8]> {
        let lines = self.lines.iter().filter(move |(key, _)| key == wanted);
        lines.map(|(_, value)| value.as_slice())
    }

    /// The value of a key, if it is given once and is text on one line.
    fn single(&self, key: &str) -> Option<&str> {
        let mut values = self.all(key);
        let value = std::str::from_utf8(values.next()?).ok()?;
        (values.next().is_none() && !value.contains(char::is_control)).then_some(value)
    }

    /// The server of the request, as a scheme and an authority.
    fn server(&self) -> Option<(&str, &str)> {
        Some((self.single("protocol")?, self.single("host")?))
    }

    /// The path without its first slash, or none if there are two paths. git sends a path only if
    /// `credential.useHttpPath` is set, so it may be empty.
    fn path(&self) -> Option<&[u8]> {
        let mut paths = self.all("path");
        let path = paths.next().unwrap_or_default();
        paths.next().is_none().then_some(path)
    }

    fn offers(&self, capability: &str) -> bool {
        self.all("capability[]")
            .any(|offered| offered == capability.as_bytes())
    }

    /// When the token that the server rejected was received, from the state that git returns.
    fn rejected(&self) -> Option<Timestamp> {
        let mut states = self.all("state[]");
        let state = states.find_map(|state| state.strip_prefix(STATE.as_bytes()))?;
        std::str::from_utf8(state).ok()?.parse().ok().map(Timestamp)
    }

    /// Bearer, unless git does not support it, the server offers only Basic, or the binding sets Basic.
    fn takes_bearer(&self, selected: &SelectedProfile) -> bool {
        let offered = |scheme: &str| {
            self.all("wwwauth[]").any(|challenge| {
                let word = challenge.split(|byte| b" \t,".contains(byte)).next();
                word.is_some_and(|word| word.eq_ignore_ascii_case(scheme.as_bytes()))
            })
        };
        let bound_scheme = selected.binding.as_ref().and_then(|binding| binding.scheme);
        self.offers("authtype")
            && match bound_scheme {
                Some(Scheme::Basic) => false,
                Some(Scheme::Bearer) => true,
                _ => offered("bearer") || !offered("basic"),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::{profile, token};
    use super::*;

    fn request(text: &str) -> Request {
        Request::read(&mut text.as_bytes()).expect("a request")
    }

    #[test]
    fn a_request_ends_with_a_blank_line_or_the_input() {
        for text in ["host=a\n\nhost=b\n", "host=a\n", "host=a"] {
            let request = request(text);
            assert_eq!(request.single("host"), Some("a"), "{text:?}");
            assert!(!request.is_malformed);
        }
        let malformed = request("host=a\nx\nusername=u\n");
        assert!(malformed.is_malformed);
        assert_eq!(malformed.single("username"), Some("u"));
    }

    #[test]
    fn a_value_counts_if_it_is_given_once_and_is_one_line_of_text() {
        let request = request("a=1\nb=1\nb=2\nc=\u{1}\nd=\n");
        assert_eq!(request.single("a"), Some("1"));
        assert_eq!(request.single("d"), Some(""));
        for key in ["b", "c", "e"] {
            assert_eq!(request.single(key), None, "{key}");
        }
    }

    #[test]
    fn a_request_has_one_path_or_none() {
        for (text, path) in [
            ("host=a\n", Some(&b""[..])),
            ("path=x/y\n", Some(b"x/y")),
            ("path=x\npath=y\n", None),
        ] {
            assert_eq!(request(text).path(), path, "{text:?}");
        }
    }

    #[test]
    fn the_scheme_is_that_of_the_binding_or_one_that_the_server_offers() {
        for (bound, offered, bearer) in [
            (None, "", true),
            (None, "wwwauth[]=Basic realm=x\n", false),
            (None, "wwwauth[]=Basic\nwwwauth[]=bearer\n", true),
            (Some(Scheme::Basic), "wwwauth[]=Bearer\n", false),
            (Some(Scheme::Bearer), "wwwauth[]=Basic\n", true),
        ] {
            let mut selected = profile();
            let binding = selected.binding.as_mut().expect("a binding");
            binding.scheme = bound;
            let text = ["capability[]=authtype\n", offered].concat();
            let is_bearer = request(&text).takes_bearer(&selected);
            assert_eq!(is_bearer, bearer, "{bound:?} {offered:?}");
            assert!(!request(offered).takes_bearer(&selected), "an old git");
        }
    }

    #[test]
    fn the_state_is_for_clients_that_return_it_and_for_tokens_that_may_be_refused() {
        let with_state = "capability[]=authtype\ncapability[]=state\n";
        for (text, is_new, has_state) in [
            (with_state, false, true),
            (with_state, true, false),
            ("capability[]=authtype\n", false, false),
        ] {
            let credential = credential(&request(text), &profile(), &token(), is_new);
            assert_eq!(credential.contains("state[]="), has_state, "{text:?}");
            assert!(credential.contains("authtype=Bearer\n"), "{credential}");
        }
        let credential = credential(&request("host=a\n"), &profile(), &token(), false);
        assert!(credential.contains("password=the-t0ken\n"), "{credential}");
    }
}

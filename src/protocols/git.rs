//! git, git-lfs, libgit2 and `JGit`: gitcredentials(7), lines of `key=value`.
//!
//! git 2.46 and later offer the capability `authtype`: then a token goes out as Bearer. Older ones
//! know a user name and a password alone. A helper's exit code is ignored, whatever it printed is
//! used, and `quit=1` keeps git from asking a person.

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
    converse,
};

/// What precedes the moment when a token was received that was handed out from the cache. git gives
/// it back when the server rejected that token.
const STATE: &str = "hallpass:";

fn converse(call: &mut Call<'_>) -> Result<Answer> {
    match call.arguments.first().map(String::as_str) {
        Some("get") => get(call),
        Some("erase") => erase(call),
        Some("capability") => Ok(Answer::of(
            "version 0\ncapability authtype\ncapability state\n",
        )),
        // `store` runs after every command that succeeded; other operations may come to be.
        Some(_) => Ok(Answer::nothing()),
        None => Err(Error::usage(
            "which operation? git runs get, store and erase",
        )),
    }
}

fn get(call: &mut Call<'_>) -> Result<Answer> {
    let request = Request::read(call.input)?;
    let rejected = request.rejected();
    let answer = selected(call, &request).and_then(|mut who| {
        let token = who.as_mut().map(|who| (call.desk.token)(who, rejected));
        Ok(who.zip(token.transpose()?))
    });
    Ok(match answer {
        Ok(None) => Answer::nothing(),
        Ok(Some((who, token))) => {
            Answer::of(credential(&request, &who, &token, rejected.is_some()))
        }
        // Otherwise git asks a person for a user name.
        Err(error) => Answer {
            text: "quit=1\n".to_owned(),
            complaint: Some(error),
            exit_code: 1,
        },
    })
}

/// The profile that is bound to what git is about to talk to.
///
/// # Errors
/// Also where some profile is bound to that server, and the rest cannot be read: git would ask a
/// person, who does not know why.
fn selected(call: &Call<'_>, request: &Request) -> Result<Option<SelectedProfile>> {
    let Some((scheme, host)) = request.server() else {
        return Ok(None);
    };
    let url = match request.path() {
        _ if request.is_malformed => Err("comes with a line that is not key=value"),
        Some(path) => WebUrl::of_service(scheme, host, path),
        None => Err("has two paths"),
    };
    match url {
        Ok(url) => call.desk.bound(&url),
        Err(fault) => {
            let Ok(server) = WebUrl::of_service(scheme, host, b"") else {
                return Ok(None);
            };
            let mut bindings = (call.desk.all_bindings)()?.into_iter();
            let is_bound = bindings.any(|who| {
                let binding = who.binding.as_ref();
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
    who: &SelectedProfile,
    token: &CachedToken,
    fresh: bool,
) -> String {
    let secret = token.access_token.expose();
    let expiry = token.due_at().seconds().to_string();
    let received = token.received_at.0.to_string();
    let mut lines = Vec::new();
    if request.takes_bearer(who) {
        lines.push(["capability[]", "authtype", ""]);
        if request.offers("state") && !fresh {
            lines.push(["capability[]", "state", ""]);
            lines.push(["state[]", STATE, &received]);
            lines.push(["continue", "1", ""]);
        }
        lines.push(["authtype", "Bearer", ""]);
        lines.push(["credential", secret, ""]);
        lines.push(["ephemeral", "1", ""]);
    } else {
        // Some servers accept a token only under a user name of their own, whatever the URL says.
        let binding = who.binding.as_ref();
        let bound = binding.and_then(|binding| binding.username.as_deref());
        let username = bound
            .or(request.one("username"))
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
    let rejected = request.one("credential").or(request.one("password"));
    if let Some(token) = rejected.and_then(AccessToken::parse)
        && let Some(who) = selected(call, &request)?
    {
        (call.desk.forget)(&who, &token);
    }
    Ok(Answer::nothing())
}

/// What git says, line by line. Values are bytes: git passes on what servers say in whatever
/// encoding, and paths after it has decoded them.
struct Request {
    lines: Vec<(String, Vec<u8>)>,
    is_malformed: bool,
}

impl Request {
    /// Up to the blank line, or the end.
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

    /// The value of a key that may stand there once, if it is text on one line.
    fn one(&self, key: &str) -> Option<&str> {
        let mut values = self.all(key);
        let value = std::str::from_utf8(values.next()?).ok()?;
        (values.next().is_none() && !value.contains(char::is_control)).then_some(value)
    }

    /// The server that git is about to talk to, as a scheme and an authority.
    fn server(&self) -> Option<(&str, &str)> {
        Some((self.one("protocol")?, self.one("host")?))
    }

    /// The path, without the first slash; none if there are two. git names none unless
    /// `credential.useHttpPath` is set.
    fn path(&self) -> Option<&[u8]> {
        let mut paths = self.all("path");
        let path = paths.next().unwrap_or_default();
        paths.next().is_none().then_some(path)
    }

    fn offers(&self, capability: &str) -> bool {
        self.all("capability[]")
            .any(|offered| offered == capability.as_bytes())
    }

    /// When the token of ours was received that the server did not take.
    fn rejected(&self) -> Option<Timestamp> {
        let mut states = self.all("state[]");
        let state = states.find_map(|state| state.strip_prefix(STATE.as_bytes()))?;
        std::str::from_utf8(state).ok()?.parse().ok().map(Timestamp)
    }

    /// Bearer, unless git cannot, the server names Basic alone, or the binding says otherwise.
    fn takes_bearer(&self, who: &SelectedProfile) -> bool {
        let named = |scheme: &str| {
            self.all("wwwauth[]").any(|challenge| {
                let word = challenge.split(|byte| b" \t,".contains(byte)).next();
                word.is_some_and(|word| word.eq_ignore_ascii_case(scheme.as_bytes()))
            })
        };
        let told = who.binding.as_ref().and_then(|binding| binding.scheme);
        self.offers("authtype")
            && match told {
                Some(Scheme::Basic) => false,
                Some(Scheme::Bearer) => true,
                _ => named("bearer") || !named("basic"),
            }
    }
}

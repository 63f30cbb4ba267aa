//! git, git-lfs, libgit2 and `JGit`: gitcredentials(7), lines of `key=value`.
//!
//! git 2.46 and later offer the capability `authtype`: then a token goes out as Bearer. Older ones
//! know a user name and a password alone. A helper's exit code is ignored, whatever it printed is
//! used, and `quit=1` keeps git from asking a person.

use std::io::BufRead;

use super::{Answer, Call, Protocol, REQUEST_LIMIT, unreadable};
use crate::binding::{Binding, Scheme};
use crate::error::{Error, Result};
use crate::profiles::Answering;
use crate::secret::AccessToken;
use crate::token::{CachedToken, Timestamp};
use crate::web_url::WebUrl;

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
    let Some(request) = Request::read(call.input)? else {
        return Ok(Answer::nothing());
    };
    let Some(url) = request.url() else {
        return Ok(Answer::nothing());
    };
    let rejected = request.rejected();
    let answer = call.desk.bound(&url).and_then(|who| {
        let token = who.as_ref().map(|who| (call.desk.token)(who, rejected));
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

fn credential(request: &Request, who: &Answering, token: &CachedToken, fresh: bool) -> String {
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
        let bound = who.binding.as_ref().map(Binding::username);
        let username = request.one("username").or(bound).unwrap_or_default();
        lines.push(["username", username, ""]);
        lines.push(["password", secret, ""]);
    }
    lines.push(["password_expiry_utc", &expiry, ""]);
    let lines = lines.into_iter();
    lines
        .flat_map(|[key, value, more]| [key, "=", value, more, "\n"])
        .collect()
}

fn erase(call: &mut Call<'_>) -> Result<Answer> {
    let Some(request) = Request::read(call.input)? else {
        return Ok(Answer::nothing());
    };
    let rejected = request.one("credential").or(request.one("password"));
    if let (Some(url), Some(token)) = (request.url(), rejected.and_then(AccessToken::parse))
        && let Some(who) = call.desk.bound(&url)?
    {
        (call.desk.forget)(&who, &token);
    }
    Ok(Answer::nothing())
}

/// What git says, line by line.
struct Request(Vec<(String, String)>);

impl Request {
    /// Up to the blank line, or the end. None where anything in it could be read in two ways.
    fn read(input: &mut dyn BufRead) -> Result<Option<Self>> {
        let mut lines = Vec::new();
        let mut input = std::io::Read::take(input, REQUEST_LIMIT);
        loop {
            let mut line = Vec::new();
            let count = input.read_until(b'\n', &mut line).map_err(unreadable)?;
            if line.last() == Some(&b'\n') {
                line.pop();
            } else if input.limit() == 0 {
                return Ok(None);
            }
            if count == 0 || line.is_empty() {
                return Ok(Some(Self(lines)));
            }
            let Ok(line) = String::from_utf8(line) else {
                return Ok(None);
            };
            match line.split_once('=') {
                Some((key, value)) if !line.contains(char::is_control) => {
                    lines.push((key.to_owned(), value.to_owned()));
                }
                _ => return Ok(None),
            }
        }
    }

    fn all(&self, wanted: &str) -> impl Iterator<Item = &str> {
        let lines = self.0.iter().filter(move |(key, _)| key == wanted);
        lines.map(|(_, value)| value.as_str())
    }

    /// The value of a key that may stand there once.
    fn one(&self, key: &str) -> Option<&str> {
        let mut lines = self.0.iter().filter(|(written, _)| written == key);
        let (_, value) = lines.next()?;
        lines.next().is_none().then_some(value)
    }

    /// What git is about to talk to: none without a host, or with two.
    fn url(&self) -> Option<WebUrl> {
        let (protocol, host) = (self.one("protocol")?, self.one("host")?);
        let path = match self.all("path").count() {
            0 => "",
            _ => self.one("path")?,
        };
        if protocol.contains(['/', ':']) || host.contains(['/', '?', '#', '@']) {
            return None;
        }
        WebUrl::parse(&[protocol, "://", host, "/", path].concat()).ok()
    }

    fn offers(&self, capability: &str) -> bool {
        self.all("capability[]")
            .any(|offered| offered == capability)
    }

    /// When the token of ours was received that the server did not take.
    fn rejected(&self) -> Option<Timestamp> {
        let mut states = self.all("state[]");
        let state = states.find_map(|state| state.strip_prefix(STATE))?;
        state.parse().ok().map(Timestamp)
    }

    /// Bearer, unless git cannot, the server names Basic alone, or the binding says otherwise.
    fn takes_bearer(&self, who: &Answering) -> bool {
        let named = |scheme: &str| {
            self.all("wwwauth[]").any(|challenge| {
                let word = challenge.split([' ', ',']).next().unwrap_or_default();
                word.eq_ignore_ascii_case(scheme)
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

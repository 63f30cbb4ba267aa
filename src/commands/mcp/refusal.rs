//! Why a server refused a message, in words for the user of the client.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderMap, LOCATION, RETRY_AFTER};
use serde_json::Value;

use super::exchange::content_type;
use crate::commands::upstream::tokens::Token;
use crate::message::{FOREIGN_TEXT_LIMIT, clean};
use crate::oauth::{self, bearer_error};
use crate::types::{duration, shell};

/// A response that is not a success.
pub(super) struct ErrorResponse<'a> {
    pub(super) url: &'a str,
    pub(super) status: StatusCode,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

impl ErrorResponse<'_> {
    /// One line, without the token.
    pub(super) fn text(&self, is_initialize: bool, token: &Token) -> String {
        let Self { url, status, .. } = self;
        let code = status.as_u16();
        let detail = self.detail().filter(|text| !token.is_in(text.as_bytes()));
        let what = match *status {
            _ if status.is_redirection() => return self.redirection(token),
            StatusCode::UNAUTHORIZED => format!("{url} refused the token ({code})"),
            StatusCode::FORBIDDEN => format!("{url} does not allow this with the token ({code})"),
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
                if is_initialize && detail.is_none() =>
            {
                format!(
                    "{url} answered {code}; it has to be the URL of an MCP server with Streamable HTTP (the older transport HTTP+SSE is not supported)"
                )
            }
            _ => format!("{url} answered {code}"),
        };
        let detail = detail.map(|detail| format!(": {detail}"));
        let later = self
            .retry_after()
            .map(|after| format!("; try again in {after}"));
        [what, detail.unwrap_or_default(), later.unwrap_or_default()].concat()
    }

    /// What the server says: in the challenge, in JSON or in plain text. HTML is for browsers.
    fn detail(&self) -> Option<String> {
        let text = bearer_error(self.headers).or_else(|| self.detail_of_body())?;
        Some(clean(&text, FOREIGN_TEXT_LIMIT)).filter(|text| !text.is_empty())
    }

    /// A date is not shown.
    fn retry_after(&self) -> Option<String> {
        let seconds = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let seconds = Duration::from_secs(seconds.parse().ok()?);
        Some(duration::in_words(seconds))
    }

    fn detail_of_body(&self) -> Option<String> {
        let content_type = content_type(self.headers);
        if content_type == "text/plain" {
            return str::from_utf8(self.body).ok().map(str::to_owned);
        }
        let body: Value = serde_json::from_slice(self.body).ok()?;
        let candidates = [
            &body["error"]["message"],
            &body["error_description"],
            &body["message"],
            &body["detail"],
            &body["error"],
        ];
        let text = candidates.iter().find_map(|value| value.as_str());
        text.map(str::to_owned)
    }

    fn redirection(&self, token: &Token) -> String {
        let Self { url, status, .. } = self;
        let code = status.as_u16();
        let target = self.target();
        let target = target.filter(|target| !token.is_in(target.as_bytes()));
        match target {
            Some(target) if origin_and_path(&target).0 == origin_and_path(url).0 => format!(
                "{url} redirects to {target} ({code}); use that URL: hallpass mcp {}",
                shell::word(&target)
            ),
            target => {
                let to = target.map(|target| format!(" to {target}"));
                let to = to.unwrap_or_default();
                format!(
                    "{url} redirects{to} ({code}); hallpass sends the token only to the URL that it was given"
                )
            }
        }
    }

    /// Where it redirects to, without what may be secret: user name, password, query and fragment.
    fn target(&self) -> Option<String> {
        let location = self.headers.get(LOCATION)?.to_str().ok()?;
        let target = oauth::resolve_location(self.url, location)?;
        let target = target.split(['?', '#']).next()?;
        let (origin, path) = origin_and_path(target);
        let (scheme, authority) = origin.split_once("//")?;
        let host = authority.rsplit('@').next()?;
        Some(clean(
            &format!("{scheme}//{host}{path}"),
            FOREIGN_TEXT_LIMIT,
        ))
    }
}

fn origin_and_path(url: &str) -> (&str, &str) {
    let authority = url.find("//").map_or(0, |at| at + 2);
    let path = url[authority..].find('/');
    url.split_at(path.map_or(url.len(), |at| authority + at))
}

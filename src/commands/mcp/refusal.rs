//! Why a server refused a message, in words for the user of the client.

use hyper::StatusCode;
use hyper::header::{HeaderMap, LOCATION};
use serde_json::Value;

use super::exchange::content_type;
use crate::commands::upstream::tokens::Token;
use crate::message::{FOREIGN_TEXT_LIMIT, clean};
use crate::oauth::bearer_error;

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
            _ if status.is_redirection() => {
                let to = self
                    .location()
                    .map(|to| format!(" to {to}"))
                    .unwrap_or_default();
                return format!(
                    "{url} redirects{to} ({code}); hallpass sends the token only to the URL that it was given"
                );
            }
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
        match detail {
            Some(detail) => format!("{what}: {detail}"),
            None => what,
        }
    }

    /// What the server says: in the challenge, in JSON or in plain text. HTML is for browsers.
    fn detail(&self) -> Option<String> {
        let text = bearer_error(self.headers).or_else(|| self.detail_of_body())?;
        Some(clean(&text, FOREIGN_TEXT_LIMIT)).filter(|text| !text.is_empty())
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

    fn location(&self) -> Option<String> {
        let location = self.headers.get(LOCATION)?.to_str().ok()?;
        let location = location.split('?').next()?;
        Some(clean(location, FOREIGN_TEXT_LIMIT))
    }
}

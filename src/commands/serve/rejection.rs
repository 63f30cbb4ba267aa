//! Why a request is not sent on. The reasons name no key, token or URL.

use hyper::StatusCode;

/// Why a request of a client is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rejection {
    /// It is not written as RFC 9112 says, or names a server.
    Malformed,
    HeadTooLarge,
    WrongHost,
    Browser,
    /// The key is missing or wrong.
    NotFound,
    /// It could leave the bound URL.
    Path,
    Method,
    /// The body did not come.
    BodyTooLate,
}

impl Rejection {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Malformed | Self::Path => StatusCode::BAD_REQUEST,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::WrongHost => StatusCode::MISDIRECTED_REQUEST,
            Self::Browser => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLate => StatusCode::REQUEST_TIMEOUT,
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Malformed => "the request is not valid HTTP/1.1",
            Self::HeadTooLarge => "the head of the request is too large",
            Self::WrongHost => "the Host header is not this address",
            Self::Browser => "requests from web pages are refused",
            Self::NotFound => "no such path",
            Self::Path => {
                "the path cannot be sent on safely: it has an empty part, dots, a backslash, or an encoding that servers read differently"
            }
            Self::Method => "this method is refused",
            Self::BodyTooLate => "the body of the request did not arrive",
        }
    }
}

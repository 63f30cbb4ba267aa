//! JSON-RPC 2.0 messages, as far as the bridge has to understand them.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::line::Line;

/// The line is not JSON.
pub(super) const PARSE_ERROR: i32 = -32700;
/// It is not a message.
pub(super) const INVALID_REQUEST: i32 = -32600;
/// There is no response of the server.
pub(super) const NO_RESPONSE: i32 = -32000;

/// Some programs write it at the start.
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

/// What identifies a request, as JSON: a string or a number.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Id(Value);

impl Id {
    /// None if the value cannot be one. 1.0 is 1.
    pub(super) fn of(value: Value) -> Option<Self> {
        match &value {
            Value::String(_) => Some(Self(value)),
            Value::Number(number) => {
                #[expect(clippy::cast_possible_truncation, reason = "compared afterwards")]
                #[expect(
                    clippy::cast_precision_loss,
                    clippy::float_cmp,
                    reason = "only an equal one is taken"
                )]
                let whole = number
                    .as_f64()
                    .filter(|_| number.is_f64())
                    .filter(|float| *float as i64 as f64 == *float)
                    .map(|float| Value::from(float as i64));
                Some(Self(whole.unwrap_or(value)))
            }
            _ => None,
        }
    }
}

impl From<String> for Id {
    fn from(text: String) -> Self {
        Self(Value::String(text))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One message: a request, a notification or a response.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Message<'a> {
    #[serde(deserialize_with = "present")]
    id: Option<Value>,
    #[serde(borrow)]
    pub(super) method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    pub(super) result: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

/// Also `null` is a value.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// What every error has.
#[derive(Deserialize)]
struct ErrorObject {
    code: i64,
    #[serde(rename = "message")]
    _message: String,
}

/// The members of a request's parameters that matter for the transport.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Params<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    uri: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
    #[serde(rename = "requestId")]
    request_id: Option<Value>,
    #[serde(rename = "_meta", borrow)]
    meta: Option<&'a RawValue>,
}

/// The id of a message, whatever else it has.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Outline {
    id: Option<Value>,
    method: Option<String>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "io.modelcontextprotocol/protocolVersion")]
    version: String,
}

impl Message<'_> {
    pub(super) fn id(&self) -> Option<Id> {
        self.id.clone().and_then(Id::of)
    }

    /// The id of a request. None for a notification and a response.
    pub(super) fn request_id(&self) -> Option<Id> {
        self.method.as_ref().and_then(|_| self.id())
    }

    pub(super) fn is_method(&self, name: &str) -> bool {
        self.method.as_deref() == Some(name)
    }

    /// Whether it looks like a request, but has the id `null`. Some programs write that in notifications.
    pub(super) fn has_null_id(&self) -> bool {
        let is_notification = |name: &str| name.starts_with("notifications/");
        self.id == Some(Value::Null) && !self.method.as_deref().is_none_or(is_notification)
    }

    /// Whether it is a request, a notification or a response. An error may have no id. Some programs write
    /// the result `null` in other messages than responses.
    fn is_valid(&self) -> bool {
        let has_usable_id = matches!(self.id, None | Some(Value::Null)) || self.id().is_some();
        let is_other = self.method.is_some() || self.error.is_some();
        let result = self
            .result
            .filter(|result| !is_other || result.get() != "null");
        has_usable_id
            && match (&self.method, result, self.error) {
                (Some(_), None, None) => true,
                (None, Some(_), None) => self.id().is_some(),
                (None, None, Some(_)) => self.error_code().is_some(),
                _ => false,
            }
    }

    pub(super) fn error_code(&self) -> Option<i64> {
        let error: ErrorObject = serde_json::from_str(self.error?.get()).ok()?;
        Some(error.code)
    }

    pub(super) fn params(&self) -> Params<'_> {
        let params = self.params.map(RawValue::get);
        params
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }
}

impl Params<'_> {
    /// The version of MCP, in a message of 2026-07-28 or later. Older ones agree on it at the beginning.
    pub(super) fn version(&self) -> Option<String> {
        let meta: Meta = serde_json::from_str(self.meta?.get()).ok()?;
        Some(meta.version)
    }

    pub(super) fn name(&self) -> Option<String> {
        serde_json::from_str(self.name?.get()).ok()
    }

    pub(super) fn uri(&self) -> Option<String> {
        serde_json::from_str(self.uri?.get()).ok()
    }

    pub(super) fn request_id(&self) -> Option<Id> {
        self.request_id.clone().and_then(Id::of)
    }
}

/// The messages of a line or a body: one, or the several of a batch (MCP 2025-03-26).
pub(super) struct Batch<'a> {
    pub(super) messages: Vec<(&'a str, Message<'a>)>,
    pub(super) is_array: bool,
}

impl<'a> Batch<'a> {
    /// # Errors
    /// The code of the error, for a text that is not JSON or not a message.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, i32> {
        let text = str::from_utf8(bytes).map_err(|_| PARSE_ERROR)?;
        let text = text.trim_start_matches(BYTE_ORDER_MARK).trim();
        let is_array = text.starts_with('[');
        let parts: Vec<&RawValue> = if is_array {
            serde_json::from_str(text).map_err(|_| PARSE_ERROR)?
        } else {
            vec![serde_json::from_str(text).map_err(|_| PARSE_ERROR)?]
        };
        let parse = |part: &'a RawValue| {
            let message = serde_json::from_str(part.get()).ok();
            message
                .filter(Message::is_valid)
                .map(|message| (part.get(), message))
        };
        let messages: Option<Vec<_>> = parts.into_iter().map(parse).collect();
        let messages = messages.filter(|messages| !messages.is_empty());
        Ok(Self {
            messages: messages.ok_or(INVALID_REQUEST)?,
            is_array,
        })
    }
}

/// The id of a request that is no message for another reason, or that is too long for one.
pub(super) fn id_of_request(text: impl Read) -> Option<Id> {
    let outline: Outline = serde_json::from_reader(text).ok()?;
    outline.method.and(outline.id).and_then(Id::of)
}

/// Whether something that is no message was meant as the response to this request.
pub(super) fn is_damaged_response(bytes: &[u8], id: &Id) -> bool {
    match serde_json::from_slice::<Outline>(bytes) {
        Ok(outline) => outline.method.is_none() && outline.id.and_then(Id::of).as_ref() == Some(id),
        Err(_) => bytes.trim_ascii_start().starts_with(b"{"),
    }
}

/// The response to a request that has none of the server.
pub(super) fn error(id: Option<&Id>, code: i32, text: &str) -> Line {
    let message = json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}});
    Line::of(&message.to_string())
}

/// An error of the server as the response to this request.
pub(super) fn error_for(id: &Id, error: &RawValue) -> Line {
    Line::of(&format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Option<String> {
        let value = serde_json::from_str(text).expect("JSON");
        Id::of(value).map(|id| id.to_string())
    }

    #[test]
    fn an_id_is_a_string_or_a_number() {
        for (text, expected) in [
            ("1", Some("1")),
            ("1.0", Some("1")),
            ("1.5", Some("1.5")),
            ("-7", Some("-7")),
            ("18446744073709551615", Some("18446744073709551615")),
            (r#""1""#, Some(r#""1""#)),
            (r#""a\"b""#, Some(r#""a\"b""#)),
            ("null", None),
            ("{}", None),
            ("true", None),
        ] {
            assert_eq!(id(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_line_is_a_message_a_batch_or_an_error() {
        let parse = |text: &str| {
            let batch = Batch::parse(text.as_bytes())?;
            Ok::<_, i32>((batch.messages.len(), batch.is_array))
        };
        for (text, expected) in [
            (r#"{"method":"ping","id":1}"#, Ok((1, false))),
            (r#" {"method":"a"} "#, Ok((1, false))),
            (r#"{"id":1,"result":{}}"#, Ok((1, false))),
            (
                r#"{"id":null,"error":{"code":-1,"message":"m"}}"#,
                Ok((1, false)),
            ),
            (r#"{"id":1,"result":null}"#, Ok((1, false))),
            (r#"{"id":null,"result":{}}"#, Err(INVALID_REQUEST)),
            (r#"{"id":1,"method":"a","result":null}"#, Ok((1, false))),
            (r#"{"id":1,"method":"a","result":{}}"#, Err(INVALID_REQUEST)),
            (
                r#"{"id":1,"result":null,"error":{"code":-1,"message":"m"}}"#,
                Ok((1, false)),
            ),
            ("\u{feff}{\"method\":\"a\"}", Ok((1, false))),
            (r#"{"id":1,"error":"invalid_token"}"#, Err(INVALID_REQUEST)),
            (r#"[{"method":"a"},{"method":"b","id":2}]"#, Ok((2, true))),
            ("[]", Err(INVALID_REQUEST)),
            ("{}", Err(INVALID_REQUEST)),
            ("1", Err(INVALID_REQUEST)),
            (r#"{"method":1}"#, Err(INVALID_REQUEST)),
            (r#"{"method":"a","id":{}}"#, Err(INVALID_REQUEST)),
            (r#"[{"method":"a"},1]"#, Err(INVALID_REQUEST)),
            ("", Err(PARSE_ERROR)),
            ("{", Err(PARSE_ERROR)),
            ("<html>", Err(PARSE_ERROR)),
            (r#"{"method":"a"}{"#, Err(PARSE_ERROR)),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!(Batch::parse(b"\"\xff\"").err(), Some(PARSE_ERROR));
    }
}

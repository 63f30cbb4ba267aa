//! What is sent: the parameters in the profile's format, and the client's proof of itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::profile::{BodyFormat, ClientAuth, Profile};
use crate::secret::{AccessToken, ClientSecret};
use crate::token::TokenRequest;

/// A POST, ready to be sent, and sent again.
pub(super) struct Message {
    pub(super) authorization: Option<Zeroizing<String>>,
    pub(super) content_type: &'static str,
    pub(super) body: Zeroizing<String>,
}

impl Message {
    /// RFC 6749 §4.4.2.
    pub(super) fn token_request(
        profile: &Profile,
        request: &TokenRequest,
        secret: &ClientSecret,
    ) -> Self {
        let parameters = request.parameters.iter();
        let parameters = parameters
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        Self::new(profile, profile.body, parameters, secret)
    }

    /// RFC 7009 §2.1: a form, whatever the token endpoint takes.
    pub(super) fn revocation(
        profile: &Profile,
        token: &AccessToken,
        secret: &ClientSecret,
    ) -> Self {
        let parameters = vec![
            ("token", token.expose()),
            ("token_type_hint", "access_token"),
        ];
        Self::new(profile, BodyFormat::Form, parameters, secret)
    }

    fn new<'a>(
        profile: &'a Profile,
        format: BodyFormat,
        mut parameters: Vec<(&'a str, &'a str)>,
        secret: &'a ClientSecret,
    ) -> Self {
        // One proof per request, never two (RFC 6749 §2.3).
        let authorization = match profile.client_auth {
            ClientAuth::ClientSecretBasic => Some(basic(&profile.client_id, secret)),
            ClientAuth::ClientSecretPost => {
                parameters.push(("client_id", &profile.client_id));
                parameters.push(("client_secret", secret.expose()));
                None
            }
        };
        match format {
            BodyFormat::Form => Self {
                authorization,
                content_type: "application/x-www-form-urlencoded",
                body: form(&parameters),
            },
            BodyFormat::Json => Self {
                authorization,
                content_type: "application/json",
                body: json(&parameters),
            },
        }
    }
}

/// The credentials of HTTP Basic: percent-encoded first (RFC 6749 §2.3.1), so that a colon or a
/// letter outside ASCII in either survives.
pub(super) fn basic(client_id: &str, secret: &ClientSecret) -> Zeroizing<String> {
    let pair = Zeroizing::new(format!(
        "{}:{}",
        percent_encode(client_id),
        *Zeroizing::new(percent_encode(secret.expose()))
    ));
    Zeroizing::new(format!(
        "Basic {}",
        *Zeroizing::new(STANDARD.encode(&*pair))
    ))
}

fn form(parameters: &[(&str, &str)]) -> Zeroizing<String> {
    let mut body = Zeroizing::new(String::new());
    for (name, value) in parameters {
        let separator = if body.is_empty() { "" } else { "&" };
        let value = Zeroizing::new(percent_encode(value));
        body.push_str(&Zeroizing::new(format!(
            "{separator}{}={}",
            percent_encode(name),
            *value
        )));
    }
    body
}

/// A parameter that is given twice becomes an array.
fn json(parameters: &[(&str, &str)]) -> Zeroizing<String> {
    let mut members = Map::new();
    for (name, value) in parameters {
        let value = Value::from(*value);
        match members.get_mut(*name) {
            None => drop(members.insert((*name).to_owned(), value)),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Zeroizing::new(Value::Object(members).to_string())
}

/// Everything but RFC 3986's unreserved characters: the one spelling that every server reads alike.
/// A space is `%20`; some servers take `+` for a plus, in Basic credentials above all.
pub(super) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(3 * text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(byte.into());
            }
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                encoded.push('%');
                encoded.push(DIGITS[usize::from(byte >> 4)].into());
                encoded.push(DIGITS[usize::from(byte & 15)].into());
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile;

    fn secret(text: &str) -> ClientSecret {
        ClientSecret::parse(&Zeroizing::new(text.as_bytes().to_vec())).expect("a secret")
    }

    #[test]
    fn unreserved_characters_alone_are_left_as_they_are() {
        assert_eq!(percent_encode("aZ09-._~"), "aZ09-._~");
        assert_eq!(
            percent_encode("a b+c:d%e&ä*"),
            "a%20b%2Bc%3Ad%25e%26%C3%A4%2A"
        );
    }

    #[test]
    fn basic_credentials_are_encoded_before_they_are_joined() {
        let header = basic("cli:ent", &secret("s%c+r t"));
        assert_eq!(
            *header,
            format!("Basic {}", STANDARD.encode("cli%3Aent:s%25c%2Br%20t"))
        );
    }

    #[test]
    fn json_and_form_hold_the_same_parameters() {
        let parameters = [
            ("grant_type", "client_credentials"),
            ("resource", "urn:a"),
            ("resource", "urn:b"),
            ("resource", "urn:c"),
        ];
        assert_eq!(
            *form(&parameters),
            "grant_type=client_credentials&resource=urn%3Aa&resource=urn%3Ab&resource=urn%3Ac"
        );
        assert_eq!(
            *json(&parameters),
            r#"{"grant_type":"client_credentials","resource":["urn:a","urn:b","urn:c"]}"#
        );
    }

    #[test]
    fn a_client_proves_itself_once() {
        let name = profile::ProfileName::parse("p").expect("a good name");
        let mut profile = profile::example();
        profile.body = BodyFormat::Form;
        let request = TokenRequest::new(&name, &profile, None, None, None);
        let post = Message::token_request(&profile, &request, &secret("s3cret"));
        assert!(post.authorization.is_none());
        assert_eq!(
            *post.body,
            "grant_type=client_credentials&audience=https%3A%2F%2Facme.blooma.ai%2Fapi%2F&client_id=client&client_secret=s3cret"
        );
        profile.client_auth = ClientAuth::ClientSecretBasic;
        let post = Message::token_request(&profile, &request, &secret("s3cret"));
        assert!(post.authorization.is_some());
        assert!(!post.body.contains("client_id") && !post.body.contains("s3cret"));
    }
}

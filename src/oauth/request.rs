//! The request: its parameters in the profile's format, with the client's authentication.

use bytes::Bytes;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::client_auth::{ClientAuthentication, grant};
use crate::error::Result;
use crate::profile::headers::{Headers, UUID};
use crate::profile::token_request::TokenRequest;
use crate::profile::{BodyFormat, Profile};
use crate::types::digest::unique;
use crate::types::identity_token::IdentityToken;
use crate::types::secret::AccessToken;
use crate::types::web_url::encode_all_reserved;

/// A POST, ready to be sent. The texts are in memory that is wiped when the last part of the program
/// that uses it ends, also within the libraries: they get no copies.
pub(super) struct Message {
    pub(super) authorization: Option<Bytes>,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
    /// Other headers, the secret ones included.
    pub(super) headers: Vec<(String, Bytes)>,
}

impl Message {
    /// RFC 6749 §4.4.2.
    ///
    /// # Errors
    /// `Broken` when the system has no randomness for a UUID.
    pub(super) fn token_request(
        profile: &Profile,
        request: &TokenRequest,
        authentication: ClientAuthentication,
        identity: Option<&IdentityToken>,
        headers: &Headers,
    ) -> Result<Self> {
        let parameters = request.parameters.iter();
        let parameters = parameters.map(|(name, value)| (name.as_str(), value.as_str()));
        let grant = grant(profile, identity);
        let grant = grant.iter().map(|(name, value)| (*name, value.as_str()));
        let parameters: Vec<_> = parameters.chain(grant).collect();
        Self::new(headers, profile.body, &parameters, authentication)
    }

    /// With a proof of possession (RFC 9449 §5).
    pub(super) fn with_proof(mut self, proof: Option<Zeroizing<String>>) -> Self {
        let proof = proof.map(|proof| ("dpop".to_owned(), Bytes::from_owner(proof)));
        self.headers.extend(proof);
        self
    }

    /// Revocation and introspection (RFC 7009 §2.1, RFC 7662 §2.1): a form, whatever the token endpoint
    /// takes.
    ///
    /// # Errors
    /// `Broken` when the system has no randomness for a UUID.
    pub(super) fn about_token(
        headers: &Headers,
        token: &AccessToken,
        authentication: ClientAuthentication,
    ) -> Result<Self> {
        let parameters = [
            ("token", token.expose()),
            ("token_type_hint", "access_token"),
        ];
        Self::new(headers, BodyFormat::Form, &parameters, authentication)
    }

    fn new(
        headers: &Headers,
        format: BodyFormat,
        parameters: &[(&str, &str)],
        authentication: ClientAuthentication,
    ) -> Result<Self> {
        let added = authentication.parameters.iter();
        let added = added.map(|(name, value)| (*name, value.as_str()));
        let parameters: Vec<_> = parameters.iter().copied().chain(added).collect();
        let (content_type, body) = match format {
            BodyFormat::Form => ("application/x-www-form-urlencoded", form(&parameters)),
            BodyFormat::Json => ("application/json", json(&parameters)),
        };
        let headers = headers.iter().map(|(name, value)| {
            let value = if value.contains(UUID) {
                value.replace(UUID, &uuid()?)
            } else {
                value.to_owned()
            };
            Ok((name.to_owned(), Bytes::from_owner(Zeroizing::new(value))))
        });
        Ok(Self {
            body: Bytes::from_owner(body),
            content_type,
            authorization: authentication.authorization.map(Bytes::from_owner),
            headers: headers.collect::<Result<_>>()?,
        })
    }
}

/// A random UUID (RFC 9562 §5.4).
fn uuid() -> Result<String> {
    let mut digits = unique()?;
    digits.replace_range(12..13, "4");
    let variant = match digits.as_bytes()[16] & 3 {
        0 => "8",
        1 => "9",
        2 => "a",
        _ => "b",
    };
    digits.replace_range(16..17, variant);
    for hyphen in [20, 16, 12, 8] {
        digits.insert(hyphen, '-');
    }
    Ok(digits)
}

fn form(parameters: &[(&str, &str)]) -> Zeroizing<String> {
    let mut body = Zeroizing::new(String::new());
    for (name, value) in parameters {
        let separator = if body.is_empty() { "" } else { "&" };
        let value = Zeroizing::new(encode_all_reserved(value));
        body.push_str(&Zeroizing::new(format!(
            "{separator}{}={}",
            encode_all_reserved(name),
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

#[cfg(test)]
mod tests {
    use super::*;

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
}

//! What is sent: the parameters in the profile's format, and the client's proof of itself.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::client_auth::Proof;
use crate::profile::BodyFormat;
use crate::secret::AccessToken;
use crate::token::TokenRequest;
pub(super) use crate::web_url::encode_all_reserved as percent_encode;

/// A POST, ready to be sent.
pub(super) struct Message {
    pub(super) authorization: Option<Zeroizing<String>>,
    pub(super) content_type: &'static str,
    pub(super) body: Zeroizing<String>,
}

impl Message {
    /// RFC 6749 §4.4.2.
    pub(super) fn token_request(format: BodyFormat, request: &TokenRequest, proof: &Proof) -> Self {
        let parameters = request.parameters.iter();
        let parameters = parameters.map(|(name, value)| (name.as_str(), value.as_str()));
        Self::new(format, parameters.collect(), proof)
    }

    /// RFC 7009 §2.1: a form, whatever the token endpoint takes.
    pub(super) fn revocation(token: &AccessToken, proof: &Proof) -> Self {
        let parameters = vec![
            ("token", token.expose()),
            ("token_type_hint", "access_token"),
        ];
        Self::new(BodyFormat::Form, parameters, proof)
    }

    fn new<'a>(
        format: BodyFormat,
        mut parameters: Vec<(&'a str, &'a str)>,
        proof: &'a Proof,
    ) -> Self {
        let proven = proof.parameters.iter();
        parameters.extend(proven.map(|(name, value)| (*name, value.as_str())));
        let (content_type, body) = match format {
            BodyFormat::Form => ("application/x-www-form-urlencoded", form(&parameters)),
            BodyFormat::Json => ("application/json", json(&parameters)),
        };
        Self {
            body,
            content_type,
            authorization: proof.authorization.clone(),
        }
    }
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

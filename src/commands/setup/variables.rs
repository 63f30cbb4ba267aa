//! A profile's settings as variables, for machines where nobody logs in.

use serde_json::Value;

use crate::profile::Profile;

/// The members of a profile, and their variables. Files and keys are left out: they are elsewhere on
/// another machine.
const VARIABLES: &[(&str, &str)] = &[
    ("token_endpoint", "HALLPASS_TOKEN_URL"),
    ("client_id", "HALLPASS_CLIENT_ID"),
    ("client_auth", "HALLPASS_AUTH"),
    ("basic_encoding", "HALLPASS_BASIC_ENCODING"),
    ("body", "HALLPASS_BODY"),
    ("token_type", "HALLPASS_TOKEN_TYPE"),
    ("grant_type", "HALLPASS_GRANT_TYPE"),
    ("audience", "HALLPASS_AUDIENCE"),
    ("scope", "HALLPASS_SCOPE"),
    ("resource", "HALLPASS_RESOURCE"),
];

/// `NAME=value` for each setting that has a value.
pub(super) fn of_profile(profile: &Profile) -> Vec<String> {
    let members = serde_json::to_value(profile).unwrap_or_default();
    let variables = VARIABLES.iter().filter_map(|(member, variable)| {
        let value = match &members[member] {
            Value::String(text) => text.clone(),
            Value::Array(texts) if !texts.is_empty() => words(texts),
            _ => return None,
        };
        Some(format!("{variable}={value}"))
    });
    variables.collect()
}

fn words(texts: &[Value]) -> String {
    let texts: Vec<_> = texts.iter().filter_map(Value::as_str).collect();
    texts.join(" ")
}

//! The environment variables that hallpass reads, and those that may be misspelled.

use crate::message;

/// Every variable of hallpass's own; the manual has an entry for each.
pub(crate) const KNOWN: &[&str] = &[
    "HALLPASS_AUDIENCE",
    "HALLPASS_AUTH",
    "HALLPASS_BASIC_ENCODING",
    "HALLPASS_BODY",
    "HALLPASS_CA_FILE",
    "HALLPASS_CERT",
    "HALLPASS_CLIENT_ID",
    "HALLPASS_CLIENT_SECRET",
    "HALLPASS_CLIENT_SECRET_FILE",
    "HALLPASS_DEFAULT_TTL",
    "HALLPASS_FOR",
    "HALLPASS_GRANT_TYPE",
    "HALLPASS_HEADER",
    "HALLPASS_JWT_ALG",
    "HALLPASS_JWT_AUD",
    "HALLPASS_JWT_CERT",
    "HALLPASS_JWT_CLAIM",
    "HALLPASS_JWT_KEY",
    "HALLPASS_JWT_KID",
    "HALLPASS_JWT_TYP",
    "HALLPASS_KEY",
    "HALLPASS_KEYCHAIN_TIMEOUT",
    "HALLPASS_MAX_TTL",
    "HALLPASS_PARAM",
    "HALLPASS_PROFILE",
    "HALLPASS_PROVIDER",
    "HALLPASS_RESOURCE",
    "HALLPASS_SCOPE",
    "HALLPASS_SET",
    "HALLPASS_TIMEOUT",
    // For the program that `hallpass exec` runs, which may run hallpass.
    "HALLPASS_TOKEN",
    "HALLPASS_TOKEN_TYPE",
    "HALLPASS_TOKEN_URL",
];

/// What to say of each variable that is set, begins like ours, and is not read. Its value is not
/// repeated: it may be a secret.
pub(crate) fn unknown() -> Vec<String> {
    let set = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut unknown: Vec<_> = set
        .filter(|name| name.starts_with("HALLPASS_") && !KNOWN.contains(&name.as_str()))
        .map(|name| match similar(&name) {
            Some(known) => {
                format!("{name} is set, but hallpass does not read it: did you mean {known}?")
            }
            None => format!("{name} is set, but hallpass does not read it"),
        })
        .collect();
    unknown.sort();
    unknown
}

/// The same for a command that succeeds: not where a cached token is given, nor in a helper, whose
/// standard error some programs take for a part of its answer.
pub(crate) fn warn_of_unknown() {
    for text in unknown() {
        message::warning(&text);
    }
}

fn similar(name: &str) -> Option<&'static str> {
    let (distance, known) = KNOWN
        .iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .min()?;
    (distance <= 2).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_name_is_similar_to_the_one_that_was_meant() {
        assert_eq!(similar("HALLPASS_TOKN_URL"), Some("HALLPASS_TOKEN_URL"));
        assert_eq!(similar("HALLPASS_CLIENTID"), Some("HALLPASS_CLIENT_ID"));
        assert_eq!(similar("HALLPASS_SOMETHING"), None);
        assert!(KNOWN.is_sorted());
    }
}

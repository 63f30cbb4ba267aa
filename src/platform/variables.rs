//! The environment variables that hallpass reads, and a check for misspelled ones.

use super::os;
use crate::message;

/// Whether the steps of this call are shown, as with `-v`. Only at the start of the process.
pub(crate) fn steps_are_wanted() -> bool {
    os::is_switched_on(c"HALLPASS_LOG")
}

/// Every variable of hallpass. The manual has an entry for each.
pub(crate) const KNOWN: &[&str] = &[
    "HALLPASS_AGENT_SOCKET",
    "HALLPASS_ASSERTION_TYPE",
    "HALLPASS_AUDIENCE",
    "HALLPASS_AUDIT",
    "HALLPASS_AUTH",
    "HALLPASS_BASIC_ENCODING",
    "HALLPASS_BODY",
    "HALLPASS_CACHE",
    "HALLPASS_CA_FILE",
    "HALLPASS_CERT",
    "HALLPASS_CLIENT_ID",
    "HALLPASS_CLIENT_SECRET",
    "HALLPASS_CLIENT_SECRET_FILE",
    "HALLPASS_DEFAULT_TTL",
    "HALLPASS_DPOP",
    "HALLPASS_DPOP_KEY",
    "HALLPASS_FOR",
    "HALLPASS_GRANT_TYPE",
    "HALLPASS_HEADER",
    "HALLPASS_IDENTITY",
    "HALLPASS_IDENTITY_AS",
    "HALLPASS_JWT_ALG",
    "HALLPASS_JWT_AUD",
    "HALLPASS_JWT_CERT",
    "HALLPASS_JWT_CLAIM",
    "HALLPASS_JWT_HEADER",
    "HALLPASS_JWT_KEY",
    "HALLPASS_JWT_KID",
    "HALLPASS_JWT_PUBLIC",
    "HALLPASS_JWT_SIGN_COMMAND",
    "HALLPASS_JWT_TYP",
    "HALLPASS_KEY",
    "HALLPASS_KEYCHAIN_TIMEOUT",
    "HALLPASS_LOG",
    "HALLPASS_MAX_TTL",
    "HALLPASS_PARAM",
    "HALLPASS_PROFILE",
    "HALLPASS_PROVIDER",
    "HALLPASS_RESOURCE",
    "HALLPASS_SCOPE",
    "HALLPASS_SET",
    "HALLPASS_SHARE",
    "HALLPASS_SHARE_CA_FILE",
    "HALLPASS_SHARE_CERT",
    "HALLPASS_SHARE_CERT_KEY",
    "HALLPASS_SHARE_KEY",
    "HALLPASS_SHARE_KEY_FILE",
    "HALLPASS_SHARE_PASSWORD",
    "HALLPASS_SHARE_PASSWORD_FILE",
    "HALLPASS_SHARE_USER",
    "HALLPASS_SOCKET",
    "HALLPASS_SUBJECT_TOKEN_TYPE",
    "HALLPASS_TIMEOUT",
    "HALLPASS_TLS_MAX",
    // For the program that `hallpass exec` runs, which may run hallpass.
    "HALLPASS_TOKEN",
    "HALLPASS_TOKEN_HEADER",
    "HALLPASS_TOKEN_TYPE",
    "HALLPASS_TOKEN_URL",
    // For the program that `hallpass serve` runs.
    "HALLPASS_URL",
];

/// Those with a secret, which programs that hallpass runs do not get.
pub(crate) const SECRET: &[&str] = &[
    "HALLPASS_CLIENT_SECRET",
    "HALLPASS_SHARE_KEY",
    "HALLPASS_SHARE_PASSWORD",
];

/// The variables that are set and start with `HALLPASS_`, in alphabetical order: those that hallpass
/// knows, and the others.
pub(crate) fn set() -> (Vec<String>, Vec<String>) {
    let names = std::env::vars_os().map(|(name, _)| name);
    let mut names: Vec<_> = names
        .filter(|name| name.as_encoded_bytes().starts_with(b"HALLPASS_"))
        .filter_map(|name| name.into_string().ok())
        .collect();
    names.sort();
    names
        .into_iter()
        .partition(|name| KNOWN.contains(&name.as_str()))
}

/// A message for each variable that starts with `HALLPASS_` and is not known. The messages do not contain
/// values, which may be secrets.
pub(crate) fn unknown() -> Vec<String> {
    set().1.iter().map(|name| describe_unknown(name)).collect()
}

/// The message for one of them.
pub(crate) fn describe_unknown(name: &str) -> String {
    match similar(name) {
        Some(known) => {
            format!("{name} is set, but hallpass does not read it: did you mean {known}?")
        }
        None => format!("{name} is set, but hallpass does not read it"),
    }
}

/// Warns about these variables in a command that succeeded. Not for a cached token, which must cost
/// little, nor in helpers, because some clients take standard error for a part of the answer.
pub(crate) fn warn_about_unknown() {
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
        assert!(SECRET.iter().all(|name| KNOWN.contains(name)));
    }
}

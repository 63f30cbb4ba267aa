//! Which variable a setting of the profile from the environment comes from.

use super::variables::variable;

/// The settings of a profile's file, and the variables that set them.
const VARIABLES: &[(&str, &[&str])] = &[
    ("token_endpoint", &["HALLPASS_TOKEN_URL"]),
    ("client_id", &["HALLPASS_CLIENT_ID"]),
    (
        "client_auth",
        &[
            "HALLPASS_AUTH",
            "HALLPASS_JWT_KEY",
            "HALLPASS_JWT_SIGN_COMMAND",
            "HALLPASS_CERT",
            "HALLPASS_IDENTITY",
        ],
    ),
    ("identity", &["HALLPASS_IDENTITY"]),
    ("basic_encoding", &["HALLPASS_BASIC_ENCODING"]),
    (
        "assertion",
        &[
            "HALLPASS_JWT_KEY",
            "HALLPASS_JWT_SIGN_COMMAND",
            "HALLPASS_AUTH",
        ],
    ),
    ("certificate", &["HALLPASS_CERT"]),
    ("certificate_key", &["HALLPASS_KEY"]),
    ("agent_socket", &["HALLPASS_AGENT_SOCKET"]),
    ("dpop", &["HALLPASS_DPOP", "HALLPASS_DPOP_KEY"]),
    ("tls_max", &["HALLPASS_TLS_MAX"]),
    ("encrypted_key", &["HALLPASS_JWT_KEY", "HALLPASS_KEY"]),
    ("body", &["HALLPASS_BODY"]),
    ("token_type", &["HALLPASS_TOKEN_TYPE"]),
    ("grant_type", &["HALLPASS_GRANT_TYPE"]),
    ("audience", &["HALLPASS_AUDIENCE"]),
    ("scope", &["HALLPASS_SCOPE"]),
    ("resource", &["HALLPASS_RESOURCE"]),
    ("parameters", &["HALLPASS_PARAM"]),
    ("headers", &["HALLPASS_HEADER"]),
    ("for", &["HALLPASS_FOR"]),
    ("ca_file", &["HALLPASS_CA_FILE"]),
    ("share", &["HALLPASS_SHARE"]),
    ("trust", &["SSL_CERT_FILE", "SSL_CERT_DIR"]),
    ("timeout_seconds", &["HALLPASS_TIMEOUT"]),
    ("default_ttl_seconds", &["HALLPASS_DEFAULT_TTL"]),
    ("max_ttl_seconds", &["HALLPASS_MAX_TTL"]),
    ("cache", &["HALLPASS_CACHE"]),
    (
        "secret",
        &[
            "HALLPASS_CLIENT_SECRET_FILE",
            "HALLPASS_JWT_KEY",
            "HALLPASS_JWT_SIGN_COMMAND",
            "HALLPASS_KEY",
            "HALLPASS_CLIENT_SECRET",
        ],
    ),
];

/// The variable that gives this setting, by its name in a profile's file: the first of those for it
/// that is set.
pub(crate) fn variable_of(setting: &str) -> Option<&'static str> {
    let (_, variables) = VARIABLES.iter().find(|(name, _)| *name == setting)?;
    let is_set = |name: &&&str| matches!(variable(name), Ok(Some(_)));
    variables.iter().find(is_set).copied()
}

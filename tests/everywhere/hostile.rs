//! Secrets that a store or an encoding may change: the lists that every store is tested with.

/// All of them: client secrets, which are text without control characters, and private keys.
pub(crate) fn all() -> Vec<String> {
    let mut all = client_secrets();
    if !cfg!(windows) {
        all.push(long_secret());
    }
    all.extend(keys());
    all
}

/// Only a key may have several lines.
pub(crate) fn is_key(secret: &str) -> bool {
    secret.contains('\n')
}

fn client_secrets() -> Vec<String> {
    let every_printable_character: String = (' '..='~').collect();
    let mut secrets: Vec<String> = [
        "\\",
        "back\\slash",
        "\\n",
        "line\\nbreak\\r\\t",
        "two\\\\backslashes",
        "ends in a backslash\\",
        "\\u00e9\\x41\\101",
        "C:\\Users\\x",
        " before",
        "after ",
        "  two around  ",
        " ",
        "a  b",
        "\"quoted\"",
        "'quoted'",
        "\"",
        "it's \"both\" `ways`",
        "{\"client_secret\":\"a\\\"b\"}",
        "[keyring]",
        "[1]",
        "secret=x",
        "#comment",
        ";comment",
        "100%",
        "%41%2B%00",
        "a+b&c=d?e/f:g@h",
        "padding==",
        "c2VjcmV0",
        "hallpass-base64:",
        "hallpass-base64:c2VjcmV0",
        "hallpass-base64:%%%",
        "hallpass-base64: ",
        "schl\u{fc}ssel",
        "\u{1f511}\u{1f511}",
        "\u{43f}\u{430}\u{440}\u{43e}\u{43b}\u{44c}",
        "e\u{301}\u{e9}",
        "\u{a0}no-break\u{a0}",
        "\u{2028}line separator",
        "<a href=\"x\">&amp;</a>",
        "$(id) `id` ${HOME} !! ~",
        "--client-secret",
        "-",
        "-----BEGIN PRIVATE KEY----- MC4= -----END PRIVATE KEY-----",
    ]
    .map(str::to_owned)
    .into();
    secrets.push(every_printable_character.trim().to_owned());
    secrets.push(every_printable_character);
    secrets
}

/// Longer than Windows allows, with characters that an encoding changes.
fn long_secret() -> String {
    "0123456789abc\\ \"\u{fc}%".repeat(5_000 / 19 + 1)
}

/// Private keys for signatures with ES256, of several lines each.
fn keys() -> Vec<String> {
    let pem = rcgen::KeyPair::generate()
        .expect("a P-256 key")
        .serialize_pem();
    vec![
        pem.clone(),
        pem.trim_end().to_owned(),
        pem.replace('\n', "\r\n"),
        format!("Bag Attributes\n    friendlyName: a\\b\n{pem}\n\n"),
    ]
}

//! Removes the client secret from a server's text: some servers repeat what they were sent.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::message::{FOREIGN_TEXT_LIMIT, clean};
use crate::profile::headers::{Headers, UUID};
use crate::types::identity_token::IdentityToken;
use crate::types::secret::{ClientSecret, Credential};
use crate::types::web_url::encode_all_reserved;

/// Finds the secret in texts. Its spellings are built for each text, so that no copies of the secret
/// are in memory during a request.
pub(super) struct Redactor<'a> {
    client_id: &'a str,
    /// The one that was sent, and others of the profile. Without a private key: it is never sent, so no
    /// server can repeat it.
    client_secrets: Vec<&'a str>,
    /// The identity token, and its signature: without it, the rest of the token is of no use.
    identity: Vec<&'a str>,
    secret_headers: Vec<&'a str>,
    /// Values of all headers, which may be secrets, too.
    headers: Vec<&'a str>,
}

/// A shorter value of a header is not a secret, and may be part of many texts.
const SHORTEST_HEADER: usize = 4;

impl<'a> Redactor<'a> {
    pub(super) fn of(client_id: &'a str, credential: &'a Credential) -> Self {
        let secret = match credential {
            Credential::Secret(secret) => Some(secret.expose()),
            Credential::None | Credential::Key { .. } | Credential::External(_) => None,
        };
        Self {
            client_id,
            client_secrets: secret.into_iter().collect(),
            identity: Vec::new(),
            secret_headers: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Hides these as well.
    pub(super) fn with_other_secrets(mut self, secrets: &'a [ClientSecret]) -> Self {
        self.client_secrets
            .extend(secrets.iter().map(ClientSecret::expose));
        self
    }

    /// Hides the identity token as well.
    pub(super) fn with_identity(mut self, token: Option<&'a IdentityToken>) -> Self {
        let parts = |token: &'a IdentityToken| {
            let signature = token.expose().rsplit('.').next();
            [token.expose(), signature.unwrap_or_default()]
        };
        self.identity = token.into_iter().flat_map(parts).collect();
        self
    }

    /// What a server was sent and must not come back.
    fn secrets(&self) -> impl Iterator<Item = &'a str> {
        let secrets = self.client_secrets.iter().chain(&self.identity);
        secrets.chain(&self.secret_headers).copied()
    }

    /// Hides the values of these headers in messages as well.
    pub(super) fn with_headers(mut self, headers: &'a Headers) -> Self {
        let values = headers.iter().map(|(_, value)| value);
        // A value with a UUID helps to find the request in the server's log.
        let values = values.filter(|value| value.len() >= SHORTEST_HEADER && !value.contains(UUID));
        self.headers = values.collect();
        self
    }

    /// Hides the values of these headers everywhere.
    pub(super) fn with_secret_headers(mut self, headers: &'a Headers) -> Self {
        let values = headers.iter().map(|(_, value)| value);
        self.secret_headers = values
            .filter(|value| value.len() >= SHORTEST_HEADER)
            .collect();
        self
    }

    /// Text from a server for a message: cleaned, without secrets, shortened.
    pub(super) fn clean(&self, text: &str) -> String {
        let secrets = self.secrets().chain(self.headers.iter().copied());
        let text = self.without(secrets, &clean(text, usize::MAX));
        clean(&text, FOREIGN_TEXT_LIMIT)
    }

    /// A value from a server for the caller: cleaned, without the client secret, shortened. It may
    /// contain the value of a header, such as the name of a tenant.
    pub(super) fn clean_value(&self, text: &str) -> String {
        clean(&self.redact(&clean(text, usize::MAX)), FOREIGN_TEXT_LIMIT)
    }

    /// Text from a server without the client secret, otherwise unchanged.
    ///
    /// A text may have the secret in it only once its invisible characters are removed, which is done
    /// where it is printed. Then they are removed here.
    pub(super) fn redact(&self, text: &str) -> String {
        let visible = clean(text, usize::MAX);
        let redacted = self.without(self.secrets(), &visible);
        if redacted == visible {
            self.without(self.secrets(), text)
        } else {
            redacted
        }
    }

    /// Occurrences that overlap are one.
    fn without<'s>(&self, secrets: impl IntoIterator<Item = &'s str>, text: &str) -> String {
        let secrets = secrets.into_iter();
        let spellings: Vec<_> = secrets
            .map(|raw| Spellings::of(self.client_id, raw))
            .collect();
        let mut kept = String::with_capacity(text.len());
        // The end of the last occurrence.
        let mut end = 0;
        for (at, c) in text.char_indices() {
            let lengths = spellings.iter();
            let lengths = lengths.filter_map(|spellings| spellings.length_at(&text[at..]));
            if let Some(length) = lengths.max() {
                if at >= end {
                    kept.push_str(REDACTED);
                }
                end = end.max(at + length);
            }
            if at >= end {
                kept.push(c);
            }
        }
        kept
    }
}

/// Every spelling of the secret that a server may send.
struct Spellings {
    /// Unchanged, and in base64, with and without the client ID.
    literal: Vec<Zeroizing<String>>,
    /// The spellings of each character in an encoding. Encoders differ in the characters that they
    /// leave unchanged, and in upper and lower case.
    encoded: Vec<Vec<Vec<Zeroizing<String>>>>,
}

impl Spellings {
    fn of(client_id: &str, raw: &str) -> Self {
        // Control characters do not separate: "s3\u{0}cret" must not become the secret once it is cleaned.
        let mut literal = vec![raw.to_owned(), clean(raw, usize::MAX)];
        for sent in [
            raw.to_owned(),
            format!("{client_id}:{raw}"),
            format!(
                "{}:{}",
                encode_all_reserved(client_id),
                encode_all_reserved(raw)
            ),
        ]
        .map(Zeroizing::new)
        {
            literal.extend([
                STANDARD.encode(&*sent),
                STANDARD_NO_PAD.encode(&*sent),
                URL_SAFE_NO_PAD.encode(&*sent),
            ]);
        }
        literal.retain(|spelling| !spelling.is_empty());
        // Cleaning removes a space at the end of a text.
        let mut secrets = vec![raw, raw.trim()];
        secrets.retain(|secret| !secret.is_empty());
        secrets.dedup();
        let spell = |secret: &&str, ways: fn(char) -> Vec<String>| {
            let ways = secret.chars().map(ways);
            ways.map(|ways| ways.into_iter().map(Zeroizing::new).collect())
                .collect()
        };
        let both = |secret| [spell(secret, in_url), spell(secret, in_json)];
        Self {
            encoded: secrets.iter().flat_map(both).collect(),
            literal: literal.into_iter().map(Zeroizing::new).collect(),
        }
    }

    /// The length of the longest spelling of the secret at the beginning of this text.
    fn length_at(&self, text: &str) -> Option<usize> {
        let literal = self.literal.iter();
        let literal = literal.filter(|spelling| text.starts_with(spelling.as_str()));
        let literal = literal.map(|spelling| spelling.len());
        let encoded = self.encoded.iter().filter_map(|characters| {
            characters.iter().try_fold(0, |at, ways| {
                let stands_there = |way: &&Zeroizing<String>| {
                    let there = text.get(at..at + way.len());
                    there.is_some_and(|there| there.eq_ignore_ascii_case(way))
                };
                Some(at + ways.iter().find(stands_there)?.len())
            })
        });
        literal.chain(encoded).max()
    }
}

const REDACTED: &str = "[secret]";

/// No spelling of a character begins like another one, so the first match is the right one.
fn in_url(c: char) -> Vec<String> {
    let bytes = c.to_string().into_bytes();
    let bytes: Vec<_> = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
    let mut ways = vec![bytes.concat()];
    ways.extend((c == ' ').then(|| "+".to_owned()));
    ways.extend((c != '%').then(|| c.to_string()));
    ways
}

fn in_json(c: char) -> Vec<String> {
    let units = c.encode_utf16(&mut [0; 2]).to_vec();
    let units: Vec<_> = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
    let mut ways = vec![units.concat()];
    ways.extend("\"\\/".contains(c).then(|| format!("\\{c}")));
    ways.extend((!"\"\\".contains(c)).then(|| c.to_string()));
    // What servers write for a character that they cannot read.
    if !c.is_ascii() {
        ways.extend(["?", "\u{fffd}"].map(str::to_owned));
    }
    ways
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::super::client_auth::basic;
    use super::*;
    use crate::profile::BasicEncoding;

    #[test]
    fn the_secret_is_removed_in_every_spelling() {
        let raw = "s3 c+r/e\"t";
        let secret =
            ClientSecret::parse(&Zeroizing::new(raw.as_bytes().to_vec())).expect("a secret");
        let credential = Credential::Secret(secret.clone());
        let redactor = Redactor::of("id", &credential);
        for echo in [
            raw.to_owned(),
            encode_all_reserved(raw),
            "s3+c%2Br%2Fe%22t".to_owned(),
            "s3+c%2br%2fe%22t".to_owned(),
            r"s3 c\u002br\/e\u0022t".to_owned(),
            r#"s3 c+r/e\"t"#.to_owned(),
            STANDARD.encode(raw),
            STANDARD.encode(format!("id:{raw}")),
            basic(BasicEncoding::Percent, "id", &secret).to_string(),
            "s3 c\u{0}+r/\u{200b}e\"t".to_owned(),
        ] {
            let cleaned = redactor.clean(&format!("bad client <{echo}>"));
            assert!(cleaned.contains("[secret]"), "{echo}: {cleaned}");
            assert!(!cleaned.contains(&echo), "{echo}: {cleaned}");
            // Also where the text is cleaned only when it is printed.
            let redacted = redactor.redact(&echo);
            assert!(redacted.contains("[secret]"), "{echo}: {redacted}");
        }
    }

    #[test]
    fn each_occurrence_is_replaced_once() {
        for (raw, sent, cleaned) in [
            (
                "secret",
                "a wrong secret was sent",
                "a wrong [secret] was sent",
            ),
            (
                "secret",
                "[secret]secretsecret",
                "[[secret]][secret][secret]",
            ),
            ("a", "a banana", "[secret] b[secret]n[secret]n[secret]"),
            ("aa", "aaa b aaaa", "[secret] b [secret]"),
            ("abab", "xababab", "x[secret]"),
            (
                "secret",
                "c2VjcmV0 and c2VjcmV0Cg==",
                "[secret] and [secret]Cg==",
            ),
            (
                "s c",
                "s%20c, s+c, s\\u0020c",
                "[secret], [secret], [secret]",
            ),
            (
                "sch\u{f6}n1",
                "sch?n1 sch\u{fffd}n1 SCH%C3%B6N1",
                "[secret] [secret] [secret]",
            ),
        ] {
            let secret = ClientSecret::parse(&Zeroizing::new(raw.as_bytes().to_vec()));
            let credential = Credential::Secret(secret.expect("a secret"));
            let redactor = Redactor::of("id", &credential);
            assert_eq!(redactor.clean(sent), cleaned, "{raw}");
        }
    }
}

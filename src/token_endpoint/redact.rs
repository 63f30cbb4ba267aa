//! Takes the client secret out of what a server says: some repeat what they were sent.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::request::percent_encode;
use crate::message::{FOREIGN_TEXT_LIMIT, clean};
use crate::secret::{ClientSecret, Credential};

/// Every spelling in which the secret may come back.
pub(super) struct Redactor {
    secret: Zeroizing<String>,
    /// As it is, and in base64, alone or beside the client identifier; the longest first.
    spellings: Vec<Zeroizing<String>>,
}

impl Redactor {
    /// A private key is never sent, so that no server can repeat it.
    pub(super) fn of(client_id: &str, credential: &Credential) -> Self {
        match credential {
            Credential::Secret(secret) => Self::new(client_id, secret),
            Credential::Key { .. } => Self {
                secret: Zeroizing::default(),
                spellings: Vec::new(),
            },
        }
    }

    pub(super) fn new(client_id: &str, secret: &ClientSecret) -> Self {
        let raw = secret.expose();
        // Control characters do not separate: "s3\u{0}cret" must not become the secret once it is cleaned.
        let mut spellings = vec![raw.to_owned(), clean(raw, usize::MAX)];
        for sent in [
            raw.to_owned(),
            format!("{client_id}:{raw}"),
            format!("{}:{}", percent_encode(client_id), percent_encode(raw)),
        ]
        .map(Zeroizing::new)
        {
            spellings.extend([
                STANDARD.encode(&*sent),
                STANDARD_NO_PAD.encode(&*sent),
                URL_SAFE_NO_PAD.encode(&*sent),
            ]);
        }
        spellings.retain(|spelling| !spelling.is_empty());
        spellings.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
        Self {
            secret: Zeroizing::new(raw.to_owned()),
            spellings: spellings.into_iter().map(Zeroizing::new).collect(),
        }
    }

    /// Text from a server, fit for a message: cleaned, without the secret, cut.
    pub(super) fn clean(&self, text: &str) -> String {
        clean(&self.redact(&clean(text, usize::MAX)), FOREIGN_TEXT_LIMIT)
    }

    /// Text from a server without the secret, otherwise as it is.
    pub(super) fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for spelling in &self.spellings {
            text = text.replace(spelling.as_str(), REDACTED);
        }
        // A space at its end does not survive at the end of a cleaned text.
        for secret in [self.secret.as_str(), self.secret.trim()] {
            text = without(&without(&text, secret, in_url), secret, in_json);
        }
        text
    }
}

const REDACTED: &str = "[secret]";

/// Takes out the secret where each of its characters is written in one of the ways of an encoding,
/// in upper or lower case: encoders differ in which characters they leave alone.
fn without(text: &str, secret: &str, ways: fn(char) -> Vec<String>) -> String {
    // A secret of spaces alone is one when it is trimmed: nothing stands everywhere.
    if secret.is_empty() {
        return text.to_owned();
    }
    if secret.is_empty() {
        return text.to_owned();
    }
    // Once, not for each character of what may be a megabyte.
    let characters: Vec<_> = secret.chars().map(ways).collect();
    let spelt = |text: &str| {
        characters.iter().try_fold(0, |at, ways| {
            let stands_there = |way: &String| {
                let there = text.get(at..at + way.len());
                there.is_some_and(|there| there.eq_ignore_ascii_case(way))
            };
            Some(at + ways.iter().find(|way| stands_there(way))?.len())
        })
    };
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = spelt(rest).inspect(|_| kept.push_str(REDACTED));
        let length = length.unwrap_or_else(|| {
            kept.push(first);
            first.len_utf8()
        });
        rest = &rest[length..];
    }
    kept
}

/// No two of a character's ways begin alike: the first that fits is the right one.
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
    ways
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::super::client_auth::basic;
    use super::*;
    use crate::profile::BasicEncoding;

    #[test]
    fn the_secret_is_taken_out_in_every_spelling() {
        let raw = "s3 c+r/e\"t";
        let secret =
            ClientSecret::parse(&Zeroizing::new(raw.as_bytes().to_vec())).expect("a secret");
        let redactor = Redactor::new("id", &secret);
        for echo in [
            raw.to_owned(),
            percent_encode(raw),
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
        }
    }
}

//! Takes the client secret out of what a server says: some repeat what they were sent.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::request::{basic, percent_encode};
use crate::message::{FOREIGN_TEXT_LIMIT, clean};
use crate::secret::ClientSecret;

/// Every spelling in which the secret may come back.
pub(super) struct Redactor(Vec<Zeroizing<String>>);

impl Redactor {
    pub(super) fn new(client_id: &str, secret: &ClientSecret) -> Self {
        let raw = secret.expose();
        let json = serde_json::to_string(raw).unwrap_or_default();
        let credentials = basic(client_id, secret);
        let mut spellings = vec![
            raw.to_owned(),
            percent_encode(raw),
            percent_encode(raw).replace("%20", "+"),
            percent_encode(raw).to_lowercase(),
            json.trim_matches('"').to_owned(),
            STANDARD.encode(raw),
            STANDARD_NO_PAD.encode(raw),
            URL_SAFE_NO_PAD.encode(raw),
            credentials.trim_start_matches("Basic ").to_owned(),
            STANDARD.encode(format!("{client_id}:{raw}")),
        ];
        // Control characters do not separate: "s3\u{0}cret" must not become the secret once it is cleaned.
        spellings.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
        spellings.dedup();
        Self(spellings.into_iter().map(Zeroizing::new).collect())
    }

    /// Text from a server, fit for a message: cleaned, without the secret, cut.
    pub(super) fn clean(&self, text: &str) -> String {
        let mut text = clean(text, usize::MAX);
        for spelling in &self.0 {
            text = text.replace(spelling.as_str(), "[secret]");
        }
        clean(&text, FOREIGN_TEXT_LIMIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            r#"s3 c+r/e\"t"#.to_owned(),
            STANDARD.encode(raw),
            STANDARD.encode(format!("id:{raw}")),
            basic("id", &secret).to_string(),
            "s3 c\u{0}+r/\u{200b}e\"t".to_owned(),
        ] {
            let cleaned = redactor.clean(&format!("bad client <{echo}>"));
            assert!(cleaned.contains("[secret]"), "{echo}: {cleaned}");
            assert!(!cleaned.contains(&echo), "{echo}: {cleaned}");
        }
    }
}

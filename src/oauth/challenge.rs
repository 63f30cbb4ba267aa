//! Challenges of a `WWW-Authenticate` header (RFC 9110 §11.6.1).

use super::error_texts::value;

/// One challenge: a scheme and its parameters.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Challenge {
    /// As the server writes it. Empty if the header begins with a parameter.
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The challenges of a header, in order. What is no challenge is skipped.
    pub(super) fn all(header: &str) -> Vec<Self> {
        let is_separator = |c: char| c == ',' || c.is_whitespace();
        let mut challenges: Vec<Self> = Vec::new();
        let mut rest = header.trim_start_matches(is_separator);
        while !rest.is_empty() {
            let end = rest.find(|c| is_separator(c) || c == '=' || c == '"');
            let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
            let after = after.trim_start();
            if let Some(text) = after.strip_prefix('=') {
                let (value, left) = value(text.trim_start());
                if challenges.is_empty() {
                    challenges.push(Self::default());
                }
                if let Some(challenge) = challenges.last_mut() {
                    challenge.parameters.push((name.to_owned(), value));
                }
                rest = left;
            } else if after.starts_with('"') {
                rest = value(after).1;
            } else {
                challenges.push(Self {
                    scheme: name.to_owned(),
                    ..Self::default()
                });
                rest = after;
            }
            rest = rest.trim_start_matches(is_separator);
        }
        challenges
    }

    pub(super) fn is_bearer(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("bearer")
    }

    pub(super) fn is_dpop(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("dpop")
    }

    /// The first parameter of this name, in any case.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        let found = parameters.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }
}

#[cfg(test)]
mod tests {
    use super::Challenge;

    #[test]
    fn each_challenge_has_its_own_parameters() {
        let header = r#"Negotiate, Basic realm="a, \"b\", Bearer scope=x" , charset = UTF-8, Bearer  resource_metadata="https://a.example/m?a=b,c", scope="read write",error=invalid_token, DPoP algs="ES256 PS256""#;
        let challenges = Challenge::all(header);
        let schemes: Vec<_> = challenges.iter().map(|it| it.scheme.as_str()).collect();
        assert_eq!(schemes, ["Negotiate", "Basic", "Bearer", "DPoP"]);
        let bearer = challenges.iter().find(|it| it.is_bearer());
        let bearer = bearer.expect("a Bearer challenge");
        for (name, value) in [
            ("resource_metadata", Some("https://a.example/m?a=b,c")),
            ("Scope", Some("read write")),
            ("error", Some("invalid_token")),
            ("realm", None),
            ("algs", None),
        ] {
            assert_eq!(bearer.parameter(name), value, "{name}");
        }
        let realm = challenges[1].parameter("realm");
        assert_eq!(realm, Some(r#"a, "b", Bearer scope=x"#));
    }

    #[test]
    fn a_url_without_quotes_is_read_up_to_the_comma() {
        let challenges = Challenge::all("bearer resource_metadata=https://a.example/m, scope=read");
        assert_eq!(
            challenges[0].parameter("resource_metadata"),
            Some("https://a.example/m")
        );
        assert_eq!(challenges[0].parameter("scope"), Some("read"));
    }

    #[test]
    fn a_malformed_header_ends() {
        for header in [
            "",
            ",, ,",
            "=",
            "==\"",
            "\"",
            "Bearer \"x\"",
            "Bearer =",
            "Bearer a=\"",
            "Bearer a=\"\\",
            "Basic abc==",
            "\u{e4}=\u{e4},\u{e4}",
        ] {
            let _ = Challenge::all(header);
        }
        let long = "a=b ".repeat(10_000);
        assert_eq!(Challenge::all(&long).len(), 1);
    }
}

//! The error that a server reports, in any form: RFC 6749 §5.2, RFC 9457, a gateway's or
//! a framework's own JSON, or a header. Nothing here is cleaned or redacted yet.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::json::Json;

/// How many objects and lists are looked at.
const MOST_VALUES: usize = 200;

/// How many texts are shown: some servers list every fault.
const MOST_TEXTS: usize = 3;

/// Names of members without `_`, `-` and upper case, the most specific first.
const CODES: [&str; 8] = [
    "errorcode",
    "errcode",
    "code",
    "faultcode",
    "status",
    "type",
    "error",
    "reason",
];
const TEXTS: [&str; 13] = [
    "errordescription",
    "detail",
    "message",
    "errormessage",
    "errorsummary",
    "faultstring",
    "errmsg",
    "msg",
    "description",
    "error",
    "reason",
    "title",
    "details",
];

/// Members that only an error has.
const SIGNS: [&str; 12] = [
    "code",
    "error",
    "errors",
    "errorcode",
    "errcode",
    "errordescription",
    "errormessage",
    "errorsummary",
    "errmsg",
    "fault",
    "detail",
    "title",
];

/// The code and the text of a failure, as the server sent them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ServerError {
    pub(super) code: Option<String>,
    pub(super) text: Option<String>,
}

impl ServerError {
    /// In the response's JSON, else in its `WWW-Authenticate` header.
    pub(super) fn find(document: Option<Json<'_>>, challenge: Option<&str>, status: u16) -> Self {
        let mut found = document.map_or_else(Self::default, |document| in_json(document, status));
        let challenge = challenge.unwrap_or_default();
        if found.code.is_none() {
            found.code = challenge_parameter(challenge, "error");
        }
        if found.text.is_none() {
            found.text = challenge_parameter(challenge, "error_description");
        }
        found
    }

    /// Whether its text has this word, in upper or lower case.
    pub(super) fn mentions(&self, word: &str) -> bool {
        let has = |text: &String| text.to_lowercase().contains(&word.to_lowercase());
        self.text.as_ref().is_some_and(has) || self.code.as_ref().is_some_and(has)
    }

    /// Whether its code is one of proofs of possession (RFC 9449 §5 and §8).
    pub(super) fn has_code_of_proofs(&self) -> bool {
        let code = self.code.as_deref();
        matches!(code, Some("invalid_dpop_proof" | "use_dpop_nonce"))
    }

    /// Whether its text may be about a wrong proof of possession, or none.
    pub(super) fn mentions_proofs(&self) -> bool {
        const WORDS: [&str; 5] = ["proof", "header", "missing", "requir", "must"];
        self.mentions("dpop") && WORDS.iter().any(|word| self.mentions(word))
    }

    /// Whether a proof of possession is missing or wrong. Some servers say so only in the text, with a
    /// code that has no other meaning.
    pub(super) fn is_about_proofs(&self) -> bool {
        let code = self.code.as_deref();
        let is_of_any_fault = matches!(code, None | Some("invalid_request" | "invalid_grant"));
        self.has_code_of_proofs() || (is_of_any_fault && self.mentions_proofs())
    }

    /// Whether a JWT was refused because the server has already accepted it (RFC 7519 §4.1.7).
    pub(super) fn is_about_reuse(&self) -> bool {
        const WORDS: [&str; 6] = [
            "already been used",
            "already used",
            "replay",
            "reuse",
            "used before",
            "used once",
        ];
        WORDS.iter().any(|word| self.mentions(word))
    }
}

/// Whether the JSON of a response is about a failure, in the server's own form.
pub(super) fn is_failure(document: Json<'_>) -> bool {
    let first = document.items().and_then(|items| items.first().copied());
    let Some(members) = first.unwrap_or(document).members() else {
        return false;
    };
    members
        .iter()
        .any(|(name, value)| !value.is_null() && SIGNS.contains(&&*plain(name)))
}

/// The outer objects come first.
fn in_json(document: Json<'_>, status: u16) -> ServerError {
    let mut found = ServerError::default();
    let mut texts: Vec<String> = Vec::new();
    let mut queue = VecDeque::from([(document, false)]);
    for _ in 0..MOST_VALUES {
        let Some((value, in_error)) = queue.pop_front() else {
            break;
        };
        if let Some(items) = value.items() {
            // A list of texts counts only in a member that is named for errors.
            let lines = items
                .iter()
                .filter_map(|item| item.text())
                .filter(|_| in_error);
            texts.extend(lines.map(Cow::into_owned));
            queue.extend(items.into_iter().map(|item| (item, in_error)));
        } else if let Some(members) = value.members() {
            let members: Vec<_> = members
                .iter()
                .map(|(name, value)| (plain(name), value))
                .collect();
            let named = |wanted: &str| {
                // The last one counts, as in most parsers.
                let found = members.iter().rfind(|(name, _)| name == wanted);
                found.map(|(_, value)| *value)
            };
            let code = code(&named, status);
            let text = TEXTS.iter().filter_map(|name| named(name)?.text());
            let mut text = text.filter(|text| !text.trim().is_empty());
            let text = text.find(|text| Some(&**text) != code.as_deref());
            if in_error && code.is_none() && text.is_none() {
                // Errors by the names of parameters.
                let lines = members.iter().filter_map(|(name, value)| {
                    let text = value.text()?;
                    Some(format!("{name}: {text}"))
                });
                texts.extend(lines);
            }
            texts.extend(text.map(Into::into));
            found.code = found.code.or(code);
            let within = |name: &str| in_error || name.contains("err") || name.contains("fault");
            queue.extend(members.iter().map(|(name, value)| (*value, within(name))));
        }
    }
    texts.dedup();
    texts.truncate(MOST_TEXTS);
    found.text = Some(texts.join("; ")).filter(|text| !text.is_empty());
    found
}

/// The code in an object: that of RFC 6749 if there is one.
fn code<'a>(named: &impl Fn(&str) -> Option<Json<'a>>, status: u16) -> Option<String> {
    let usable = |code: &str| !code.trim().is_empty() && code != status.to_string();
    if let Some(code) = named("error").and_then(Json::text)
        && usable(&code)
        && (!code.contains(' ') || CODES[..3].iter().all(|name| named(name).is_none()))
    {
        return Some(code.into_owned());
    }
    let candidates = CODES.iter().filter_map(|name| {
        let value = named(name)?;
        let number = || {
            let digits = value.scalar()?;
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            (is_number && *name != "status").then(|| digits.into())
        };
        value.text().or_else(number)
    });
    // A text is not a code, and neither is a URL.
    let is_word = |code: &str| !code.contains([' ', ':', '/']);
    let mut candidates = candidates.filter(|code| usable(code) && is_word(code));
    candidates.next().map(Cow::into_owned)
}

/// Servers write `errorCode`, `error_code` and `ErrorCode`.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(|c| !matches!(c, '_' | '-'));
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

/// A parameter of a challenge, quoted or not (RFC 9110 §11.2, RFC 6750 §3).
fn challenge_parameter(challenge: &str, wanted: &str) -> Option<String> {
    let mut rest = challenge;
    loop {
        let (before, after) = rest.split_once('=')?;
        let name = before.trim_end().rsplit([' ', ',', '\t']).next()?;
        let (value, left) = value(after.trim_start());
        if name.eq_ignore_ascii_case(wanted) && !value.trim().is_empty() {
            return Some(value);
        }
        rest = left;
    }
}

/// The value at the beginning, and what follows it.
pub(super) fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => break,
            '\\' => value.extend(characters.next()),
            c => value.push(c),
        }
    }
    (value, characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> (Option<String>, Option<String>) {
        let found = ServerError::find(Json::document(body.as_bytes()), None, status);
        (found.code, found.text)
    }

    #[test]
    fn the_code_and_the_text_are_found_in_every_form() {
        let rows = [
            (
                r#"{"error":"invalid_client","error_description":"no"}"#,
                "invalid_client",
                "no",
            ),
            (r#"{"error":"invalid_client"}"#, "invalid_client", ""),
            (
                r#"{"response":{"errors":[{"code":"1041","message":"no client has this id"}]}}"#,
                "1041",
                "no client has this id",
            ),
            (
                r#"{"error":[{"code":"NOT_ALLOWED","field":"authorization","description":"not known"}]}"#,
                "NOT_ALLOWED",
                "not known",
            ),
            (
                r#"{"errorCode":"E0000004","errorSummary":"Authentication failed","errorCauses":[]}"#,
                "E0000004",
                "Authentication failed",
            ),
            (
                r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"unknown client"}"#,
                "",
                "unknown client",
            ),
            (
                r#"{"title":"Unauthorized","status":401}"#,
                "",
                "Unauthorized",
            ),
            (
                r#"{"error":{"code":401,"message":"bad key","status":"UNAUTHENTICATED"}}"#,
                "UNAUTHENTICATED",
                "bad key",
            ),
            (
                r#"{"status":401,"error":"Unauthorized","message":"Bad credentials","path":"/t"}"#,
                "Unauthorized",
                "Bad credentials",
            ),
            (
                r#"{"fault":{"faultstring":"Invalid client","detail":{"errorcode":"oauth.v2.InvalidClient"}}}"#,
                "oauth.v2.InvalidClient",
                "Invalid client",
            ),
            (
                r#"{"ErrorCode":"invalid_client","Error":"ClientId is Invalid"}"#,
                "invalid_client",
                "ClientId is Invalid",
            ),
            (
                r#"{"errors":["one","two","two","three","four"]}"#,
                "",
                "one; two; three",
            ),
            (
                r#"{"errcode":40013,"errmsg":"invalid appid"}"#,
                "40013",
                "invalid appid",
            ),
            (
                r#"[{"errorCode":"INVALID_LOGIN","message":"no"}]"#,
                "INVALID_LOGIN",
                "no",
            ),
            (
                r#"{"errors":{"scope":"is unknown","client":["a","b"]}}"#,
                "",
                "scope: is unknown; a; b",
            ),
            (r#"{"error":true,"message":"no"}"#, "", "no"),
            (r#"{"error":{"code":1},"error_description":[]}"#, "1", ""),
            (r#"{"error":"","error_description":""}"#, "", ""),
            (r#"{"access_token":"t","scope":["a"],"x":null}"#, "", ""),
        ];
        for (body, code, text) in rows {
            let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            assert_eq!(read(401, body), (some(code), some(text)), "{body}");
        }
    }

    #[test]
    fn a_challenge_has_the_error_if_the_body_has_none() {
        let challenge = r#"Basic realm="a \"b\", error=c", Bearer scope=x, error="invalid_client", error_description="no such, client""#;
        let found = ServerError::find(None, Some(challenge), 401);
        assert_eq!(found.code.as_deref(), Some("invalid_client"));
        assert_eq!(found.text.as_deref(), Some("no such, client"));
        for challenge in [
            "",
            "Negotiate",
            "Basic realm=",
            "Bearer error",
            "NTLM abc==",
        ] {
            assert_eq!(
                ServerError::find(None, Some(challenge), 401),
                ServerError::default()
            );
        }
    }

    #[test]
    fn a_deep_and_wide_response_costs_little() {
        let deep = format!("{}1{}", "[".repeat(50_000), "]".repeat(50_000));
        let wide = format!("[{}1]", "{},".repeat(50_000));
        for body in [deep, wide] {
            assert_eq!(read(401, &body), (None, None));
        }
    }
}

//! Reading the answer: a token, or why there is none. Nothing here believes a server.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::Setback;
use super::redact::Redactor;
use crate::error::{Error, Kind};
use crate::refusal::Refusal;
use crate::secret::AccessToken;
use crate::token::{CachedToken, Timestamp};
use crate::web_url::WebUrl;

/// Members of an answer that callers need beside the token: where Salesforce's and Zoom's APIs are.
const MEMBERS_FOR_CALLERS: [&str; 2] = ["instance_url", "api_url"];

/// An HTTP answer, read whole.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<String>,
    pub(super) location: Option<String>,
    pub(super) body: Vec<u8>,
}

/// What an answer is read against.
pub(super) struct Question<'a> {
    pub(super) origin: &'a str,
    pub(super) redactor: &'a Redactor,
    /// How long a token is kept whose lifetime nobody tells.
    pub(super) default_ttl: Duration,
    /// The longest time that a token is kept, whatever the server promises.
    pub(super) max_ttl: Duration,
}

/// RFC 6749 §5.1 and §5.2, as servers really speak it.
pub(super) fn read(
    answer: &Answer,
    question: &Question<'_>,
    asked_at: Timestamp,
) -> Result<CachedToken, Setback> {
    let Question { origin, .. } = question;
    if (300..400).contains(&answer.status) {
        return Err(refused_for_now(&redirected(answer, question)));
    }
    let members = json_object(&answer.body);
    if let Some(fault) = members
        .as_ref()
        .and_then(|members| oauth_error(members, answer.status, question))
    {
        return Err(setback(fault, answer));
    }
    if !(200..300).contains(&answer.status) {
        let fault = Error::unavailable(format!("{origin} answered {}", status_text(answer.status)));
        return Err(setback(
            fault.hint(
                "the answer is not one of OAuth 2.0: check the token URL, or try again later",
            ),
            answer,
        ));
    }
    let Some(members) = members else {
        let fault = Error::unavailable(format!(
            "{origin} answered {} without a JSON object",
            answer.status
        ))
        .hint("something else answered (a login page, a proxy), or the token URL is wrong");
        return Err(refused_for_now(&fault));
    };
    token(&members, asked_at, question).map_err(|fault| refused_for_now(&fault))
}

/// A pause before a retry, so that many machines do not come back in step.
pub(super) fn jitter() -> Duration {
    let mut random = [0; 1];
    // Without randomness, a fixed pause is still a pause.
    let _ = getrandom::fill(&mut random);
    Duration::from_millis(100 + u64::from(random[0]))
}

fn token(
    members: &Map<String, Value>,
    asked_at: Timestamp,
    question: &Question<'_>,
) -> Result<CachedToken, Error> {
    let origin = question.origin;
    let access_token = match members.get("access_token") {
        Some(Value::String(text)) => AccessToken::parse(text)
            .ok_or("that is empty or holds characters that no token may have"),
        Some(_) => Err("that is not a string"),
        None => Err("that is missing"),
    }
    .map_err(|fault| {
        Error::unavailable(format!("{origin} answered with an access_token {fault}"))
            .hint("check the token URL, or ask who runs the authorization server")
    })?;
    let token_type = match members.get("token_type") {
        None | Some(Value::Null) => "Bearer".to_owned(),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("bearer") => text.clone(),
        Some(other) => {
            let other = other.as_str().unwrap_or("that is not a string");
            return Err(Error::refused(format!(
                "{origin} issued a token of type {}, which hallpass cannot use",
                question.redactor.clean(other)
            ))
            .hint("have the client registered for bearer tokens"));
        }
    };
    let lifetime = lifetime(members, &access_token, asked_at, question);
    Ok(CachedToken {
        token_type,
        // A file and other programs' output are no place for the secret either.
        scope: scope(members).map(|scope| question.redactor.redact(&scope)),
        members: members_for_callers(members, question),
        received_at: asked_at,
        expires_at: asked_at.plus(lifetime),
        access_token,
    })
}

/// `expires_in`, else `expires_on`, else the token's own `exp`, else a few minutes; never longer
/// than the token's own `exp`, and never for ever.
fn lifetime(
    members: &Map<String, Value>,
    token: &AccessToken,
    asked_at: Timestamp,
    question: &Question<'_>,
) -> Duration {
    let until = |seconds: f64| seconds - Duration::from_millis(asked_at.0).as_secs_f64();
    let told =
        number(members.get("expires_in")).or_else(|| number(members.get("expires_on")).map(until));
    let own = jwt_expiry(token.expose()).map(until);
    let seconds = match (told, own) {
        (Some(told), Some(own)) => told.min(own),
        (Some(seconds), None) | (None, Some(seconds)) => seconds,
        (None, None) => question.default_ttl.as_secs_f64(),
    };
    Duration::from_secs_f64(seconds.clamp(0.0, question.max_ttl.as_secs_f64()))
}

/// An integer, a fraction, an exponent, or one of these as a string (Entra v1 and others).
fn number(value: Option<&Value>) -> Option<f64> {
    let number = match value? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number: &f64| number.is_finite())
}

/// The `exp` of an access token that is a JWT (RFC 9068): read, not verified; it only shortens.
fn jwt_expiry(token: &str) -> Option<f64> {
    let mut parts = token.split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    let claims = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Map<String, Value> = serde_json::from_slice(&claims).ok()?;
    number(claims.get("exp"))
}

fn members_for_callers(
    members: &Map<String, Value>,
    question: &Question<'_>,
) -> BTreeMap<String, String> {
    let text = |name| Some((name, members.get(name)?.as_str()?));
    let found = MEMBERS_FOR_CALLERS.into_iter().filter_map(text);
    let clean = |(name, value): (&str, &str)| (name.to_owned(), question.redactor.clean(value));
    found.map(clean).collect()
}

/// Some servers write the scope as an array.
fn scope(members: &Map<String, Value>) -> Option<String> {
    match members.get("scope")? {
        Value::String(scope) => Some(scope.clone()),
        Value::Array(scopes) => {
            let scopes: Vec<_> = scopes.iter().filter_map(Value::as_str).collect();
            Some(scopes.join(" "))
        }
        _ => None,
    }
}

/// An `error` member means failure, whatever the status, even beside a token (RFC 6749 §5.2).
fn oauth_error(
    members: &Map<String, Value>,
    status: u16,
    question: &Question<'_>,
) -> Option<Error> {
    let code = members.get("error").filter(|error| !error.is_null())?;
    let code = question
        .redactor
        .clean(code.as_str().unwrap_or("an error without a code"));
    let description = members
        .get("error_description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let description = question.redactor.clean(description);
    let description = if description.is_empty() {
        description
    } else {
        format!(": {description}")
    };
    let kind = match (status, code.as_str()) {
        (408 | 429 | 500.., _) | (_, "temporarily_unavailable" | "server_error" | "slow_down") => {
            Kind::Unavailable
        }
        _ => Kind::Refused,
    };
    let fault = Error::new(
        kind,
        format!("{} answered {status} {code}{description}", question.origin),
    );
    Some(match (kind, code.as_str()) {
        (Kind::Unavailable, _) => fault.hint("try again later"),
        (_, "invalid_client" | "access_denied" | "unauthorized_client") => {
            fault.hint("check the client id, the secret and the method (`--auth`), then run `hallpass login` again")
        }
        (_, "invalid_scope") => fault.hint("ask for a scope that this client may have (`--scope`)"),
        (_, "invalid_target") => fault.hint("ask for an audience or resource that this server knows"),
        (_, "unsupported_grant_type") => fault.hint("have the client_credentials grant enabled for this client"),
        _ => fault.hint("check the profile's settings with whoever runs the authorization server"),
    })
}

fn redirected(answer: &Answer, question: &Question<'_>) -> Error {
    let target = answer.location.as_deref().unwrap_or_default();
    let target = match WebUrl::parse(target) {
        Ok(url) => format!("to {}", question.redactor.clean(url.origin())),
        Err(_) if target.starts_with('/') && !target.starts_with("//") => {
            format!("within {}", question.origin)
        }
        Err(_) => "to an address that is no web URL".to_owned(),
    };
    Error::unavailable(format!(
        "{} answered {}, a redirect {target}, which is not followed: the secret is for this endpoint alone",
        question.origin, answer.status
    ))
    .hint("if the token endpoint has moved, run `hallpass login` again with its new URL")
}

fn status_text(status: u16) -> String {
    match status {
        404 => "404 (nothing is there)".to_owned(),
        429 => "429 (too many requests)".to_owned(),
        503 => "503 (out of service)".to_owned(),
        status => status.to_string(),
    }
}

fn refused_for_now(fault: &Error) -> Setback {
    Setback {
        refusal: Refusal::brief(fault, Timestamp::now()),
        again_after: None,
    }
}

/// What to make of a failure that time may mend: when to come back, and who says so.
fn setback(fault: Error, answer: &Answer) -> Setback {
    let now = Timestamp::now();
    let told = match answer.status {
        429 | 503 => answer
            .retry_after
            .as_deref()
            .and_then(|value| retry_after(value, now)),
        _ => None,
    };
    match told {
        Some(pause) => Setback {
            refusal: Refusal::retry_after(
                &fault.hint(format!(
                    "the server asked for no request before {}; `hallpass login` asks all the same",
                    now.plus(pause).rfc3339()
                )),
                now,
                pause,
            ),
            again_after: Some(pause),
        },
        None => Setback {
            again_after: (answer.status >= 500).then(jitter),
            refusal: Refusal::brief(&fault, now),
        },
    }
}

/// Seconds, or a date (RFC 9110 §10.2.3).
fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number beyond all bounds means a long time, too.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = OffsetDateTime::parse(value, &Rfc2822).ok()?;
    let date = Timestamp(
        u64::try_from(date.unix_timestamp())
            .ok()?
            .saturating_mul(1000),
    );
    Some(date.since(now))
}

/// The body as one JSON object in UTF-8 and nothing else; a byte order mark is passed over.
fn json_object(body: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;
    use zeroize::Zeroizing;

    use super::*;
    use crate::secret::ClientSecret;

    const NOW: Timestamp = Timestamp(1_795_000_000_000);

    fn read_status(status: u16, body: &str) -> Result<CachedToken, Setback> {
        let secret =
            ClientSecret::parse(&Zeroizing::new(b"s3cret-s3cret".to_vec())).expect("a secret");
        let answer = Answer {
            status,
            retry_after: None,
            location: None,
            body: body.into(),
        };
        let question = Question {
            origin: "https://a.example",
            redactor: &Redactor::new("id", &secret),
            default_ttl: Duration::from_secs(300),
            max_ttl: Duration::from_secs(86_400),
        };
        read(&answer, &question, NOW)
    }

    fn lifetime_of(members: &str) -> u64 {
        let body = format!(r#"{{"access_token":"t"{members}}}"#);
        let token = read_status(200, &body).unwrap_or_else(|_| panic!("{body}"));
        token.expires_at.since(NOW).as_secs()
    }

    fn jwt(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    fn error(status: u16, body: &str) -> Error {
        let Err(setback) = read_status(status, body) else {
            panic!("{status} {body}")
        };
        setback.refusal.into_error()
    }

    #[test]
    fn a_lifetime_is_read_in_every_spelling() {
        for (members, seconds) in [
            (r#","expires_in":3600"#, 3600),
            (r#","expires_in":3600.9"#, 3600),
            (r#","expires_in":3.6e3"#, 3600),
            (r#","expires_in":"3600""#, 3600),
            (r#","expires_in":" 3600 ""#, 3600),
            (r#","expires_in":0"#, 0),
            (r#","expires_in":-5"#, 0),
            (r#","expires_in":1e308"#, 86_400),
            (r#","expires_in":9223372036854775807"#, 86_400),
            (r#","expires_in":"inf""#, 300),
            (r#","expires_in":"soon""#, 300),
            (r#","expires_in":null"#, 300),
            (r#","expires_in":true"#, 300),
            (r#","expires_in":{}"#, 300),
            ("", 300),
            (r#","expires_on":1795000600"#, 600),
            (r#","expires_on":"1795000600""#, 600),
            (r#","expires_on":1"#, 0),
            (r#","expires_in":60,"expires_on":1795000600"#, 60),
        ] {
            assert_eq!(lifetime_of(members), seconds, "{members}");
        }
    }

    #[test]
    fn a_jwt_tells_its_end_and_only_shortens_what_the_server_says() {
        for (expires_in, claims, seconds) in [
            ("", r#"{"exp":1795000060}"#, 60),
            (r#","expires_in":3600"#, r#"{"exp":1795000060}"#, 60),
            (r#","expires_in":3600"#, r#"{"exp":1795009999}"#, 3600),
            (r#","expires_in":3600"#, r#"{"exp":1}"#, 0),
            ("", r#"{"sub":"x"}"#, 300),
            ("", "[1]", 300),
        ] {
            let body = format!(r#"{{"access_token":"{}"{expires_in}}}"#, jwt(claims));
            let token = read_status(200, &body).unwrap_or_else(|_| panic!("{body}"));
            assert_eq!(token.expires_at.since(NOW).as_secs(), seconds, "{body}");
        }
    }

    #[test]
    fn an_error_member_is_a_failure_whatever_the_status() {
        for status in [200, 400, 401, 403] {
            let error = error(
                status,
                r#"{"error":"invalid_client","error_description":"no\n\u001b[31m","access_token":"t"}"#,
            );
            assert_eq!(error.kind, Kind::Refused);
            assert!(
                error
                    .message
                    .ends_with(&format!("answered {status} invalid_client: no [31m")),
                "{}",
                error.message
            );
        }
        for (status, code) in [
            (500, "invalid_client"),
            (503, "x"),
            (429, "x"),
            (400, "temporarily_unavailable"),
        ] {
            assert_eq!(
                error(status, &format!(r#"{{"error":"{code}"}}"#)).kind,
                Kind::Unavailable
            );
        }
        assert!(read_status(200, r#"{"error":null,"access_token":"t"}"#).is_ok());
    }

    #[test]
    fn what_is_no_answer_of_oauth_is_no_verdict_on_the_client() {
        for (status, body) in [
            (200, "<html>please log in</html>"),
            (200, ""),
            (204, ""),
            (200, "[]"),
            (200, "null"),
            (200, r#"{"access_token":"t"} trailing"#),
            (200, r#"{"access_token":"t""#),
            (200, "\u{fffe}"),
            (401, "<html>"),
            (403, "{}"),
            (404, ""),
            (418, "x"),
            (500, ""),
        ] {
            assert_eq!(
                error(status, body).kind,
                Kind::Unavailable,
                "{status} {body}"
            );
        }
        assert_eq!(error(200, &"[".repeat(100_000)).kind, Kind::Unavailable);
    }

    #[test]
    fn a_token_is_taken_from_any_success_and_only_if_it_is_one_word() {
        for (status, body) in [
            (200, r#"{"access_token":"t"}"#),
            (201, r#"{"access_token":"t"}"#),
            (200, "\u{feff}{\"access_token\":\"t\"}"),
            (200, r#"{"access_token":"t","token_type":"bEARER"}"#),
            (200, r#"{"access_token":"t","token_type":null}"#),
        ] {
            assert!(read_status(status, body).is_ok(), "{body}");
        }
        for token in [
            r#""""#,
            "1",
            "null",
            "[\"t\"]",
            r#""a b""#,
            r#""tok\npassword=evil""#,
            r#""\u0000""#,
            r#""t\u202e""#,
        ] {
            let error = error(200, &format!(r#"{{"access_token":{token}}}"#));
            assert!(
                error.message.contains("access_token"),
                "{token}: {}",
                error.message
            );
        }
        for kind in ["mac", "DPoP", "N_A"] {
            let error = error(
                200,
                &format!(r#"{{"access_token":"t","token_type":"{kind}"}}"#),
            );
            assert_eq!(error.kind, Kind::Refused);
            assert!(error.message.contains(kind), "{}", error.message);
        }
    }

    #[test]
    fn a_scope_may_be_an_array() {
        let token = read_status(200, r#"{"access_token":"t","scope":["a","b"]}"#);
        assert_eq!(
            token.ok().and_then(|token| token.scope).as_deref(),
            Some("a b")
        );
    }

    /// What servers really answer, whole and in pieces: where the search for a bad answer begins.
    const CORPUS: &[&str] = &[
        r#"{"access_token":"eyJz93a...k4laUWw","token_type":"Bearer","scope":"USER","expires_in":86400}"#,
        r#"{"access_token":"e30.eyJleHAiOjE3OTUwMDAwNjB9.c2ln","expires_on":"1795000600","scope":["a","b"]}"#,
        r#"{"access_token":"t","expires_in":"3.6e3","instance_url":"https://a.example","token_type":null}"#,
        r#"{"error":"invalid_client","error_description":"no\n\u001b[31m s3cret-s3cret","access_token":"t"}"#,
        r#"{"error":{"code":1},"error_description":[]}"#,
        "\u{feff}{\"access_token\":\"a b\",\"expires_in\":-1e308}",
        "<html>please log in</html>",
        "",
    ];

    /// Some answer with some of its bytes replaced, or another one's end behind its beginning.
    fn answers() -> impl Strategy<Value = Vec<u8>> {
        let bytes = || proptest::sample::select(CORPUS).prop_map(|text| text.as_bytes().to_vec());
        let interesting = prop_oneof![
            any::<u8>(),
            proptest::sample::select(&br#"{}[]",:\0e-.tn "#[..])
        ];
        let replacements = proptest::collection::vec((any::<Index>(), interesting), 0..8);
        let changed = (bytes(), replacements).prop_map(|(mut body, replacements)| {
            for (at, byte) in replacements {
                if !body.is_empty() {
                    let at = at.index(body.len());
                    body[at] = byte;
                }
            }
            body
        });
        let spliced =
            (bytes(), any::<Index>(), bytes(), any::<Index>()).prop_map(|(a, cut, b, from)| {
                [&a[..cut.index(a.len() + 1)], &b[from.index(b.len() + 1)..]].concat()
            });
        prop_oneof![4 => changed, 2 => spliced, 1 => proptest::collection::vec(any::<u8>(), 0..200)]
    }

    proptest! {
        /// `PROPTEST_CASES=10000000 cargo test --release no_answer` searches for minutes.
        #[test]
        fn no_answer_breaks_the_reader_or_yields_an_unclean_token(
            status in 100_u16..=599,
            body in answers(),
            retry_after in proptest::option::of("[0-9]{1,30}|[ -~]{0,40}"),
            location in proptest::option::of(".{0,60}"),
        ) {
            let secret = ClientSecret::parse(&Zeroizing::new(b"s3cret-s3cret".to_vec())).expect("a secret");
            let redactor = Redactor::new("id", &secret);
            let question = Question {
                origin: "https://a.example",
                redactor: &redactor,
                default_ttl: Duration::from_secs(300),
                max_ttl: Duration::from_secs(86_400),
            };
            match read(&Answer { status, retry_after, location, body }, &question, NOW) {
                Ok(token) => {
                    prop_assert!((200..300).contains(&status));
                    prop_assert!(!token.access_token.expose().is_empty());
                    prop_assert!(token.access_token.expose().bytes().all(|byte| (0x21..=0x7e).contains(&byte)));
                    prop_assert!(token.expires_at.since(NOW) <= question.max_ttl);
                }
                Err(setback) => {
                    let error = setback.refusal.into_error();
                    let text = format!("{error} {:?}", error.hints);
                    prop_assert!(!text.contains("s3cret-s3cret") && !text.contains(char::is_control), "{text}");
                }
            }
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Timestamp(784_111_777_000);
        let after = |value| retry_after(value, now).map(|pause| pause.as_secs());
        assert_eq!(after("120"), Some(120));
        assert_eq!(after("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(after("Sun, 06 Nov 1994 08:48:37 GMT"), Some(0));
        assert_eq!(after("soon"), None);
        assert_eq!(after("-1"), None);
    }
}

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::*;
use crate::error::Kind;
use crate::profile::{self, ProfileName, TokenType};
use crate::types::checked_text::{Resource, Scope};
use crate::types::seconds::Lifetime;
use crate::types::secret::{ClientSecret, Credential};

pub(super) const NOW: Timestamp = Timestamp(1_795_000_000_000);

pub(super) fn read_with(
    response: &HttpResponse,
    change: impl Fn(&mut Profile),
) -> Result<CachedToken, FailedAttempt> {
    let secret = ClientSecret::parse(&Zeroizing::new(b"s3cret-s3cret".to_vec()));
    let credential = Credential::Secret(secret.expect("a secret"));
    let mut profile = profile::example();
    profile.audience = None;
    change(&mut profile);
    let name = ProfileName::parse("p").expect("a good name");
    let request = TokenRequest::new(&name, &profile, None, None, None);
    let context = ResponseContext {
        profile: &profile,
        request: &request,
        name: Some(&name),
        identity: None,
        redactor: Redactor::of("id", &credential),
    };
    read(response, &context, NOW)
}

fn http_response(status: u16, body: &str) -> HttpResponse {
    HttpResponse {
        status,
        body: body.into(),
        ..HttpResponse::default()
    }
}

fn read_status(status: u16, body: &str) -> Result<CachedToken, FailedAttempt> {
    read_with(&http_response(status, body), |_| ())
}

fn lifetime_of(members: &str) -> u64 {
    let body = format!(r#"{{"access_token":"t"{members}}}"#);
    let token = read_status(200, &body).unwrap_or_else(|_| panic!("{body}"));
    token.expires_at.since(NOW).as_secs()
}

fn jwt(claims: &str) -> String {
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}

fn failure(result: Result<CachedToken, FailedAttempt>) -> Error {
    match result {
        Err(setback) => setback.refusal.into_error(),
        Ok(_) => panic!("a token"),
    }
}

fn error(status: u16, body: &str) -> Error {
    failure(read_status(status, body))
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
fn the_expiry_of_a_jwt_can_only_shorten_the_lifetime_in_the_response() {
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
fn an_expiry_time_may_be_in_any_unit_or_a_date() {
    for (members, seconds) in [
        (r#","expires_on":1795000600000"#, 600),
        (r#","expires_on":"1794999999000""#, 0),
        (r#","expires_at":1795000600"#, 600),
        (r#","expires_at":1795000600000"#, 600),
        (r#","expires_at":1795000600000000"#, 600),
        (r#","expires_at":1795000600000000000"#, 600),
        (r#","expires_at":1795000600.5"#, 600),
        (r#","expires_at":999999999999"#, 86_400),
        (r#","expires_at":1000000000000"#, 0),
        (r#","expires":1795000600"#, 600),
        (r#","expires":600"#, 600),
        (r#","expires_at":"2026-11-18T11:16:40Z""#, 600),
        (r#","expires_at":"2026-11-18T11:16:40.123456789Z""#, 600),
        (r#","expires_at":"2026-11-18T13:16:40+02:00""#, 600),
        (r#","expires_at":"2026-11-18T13:16:40+0200""#, 600),
        (r#","expires_at":"2026-11-18T11:16:40""#, 600),
        (r#","expires_at":"2026-11-18 11:16:40""#, 600),
        (r#","expires_at":"2026-11-18 11:16:40 UTC""#, 600),
        (r#","expires_at":"20261118T111640Z""#, 600),
        (r#",".expires":"Wed, 18 Nov 2026 11:16:40 GMT""#, 600),
        (r#","expires":"1969-12-31T23:59:59Z""#, 0),
        (r#","expires_at":"tomorrow""#, 300),
        (r#","expires_at":"""#, 300),
        (r#","expires_at":null,"expires":[1795000600]"#, 300),
        (r#","expires_at":1e300"#, 86_400),
        (r#","expires_at":-1e300"#, 0),
        // The moment in the place of the length.
        (r#","expires_in":1795000600"#, 600),
        (r#","expires_in":1795000600000"#, 600),
        (r#","expires_in":2147483647"#, 86_400),
        // A time that is not in the future is none, so this is a length.
        (r#","expires_in":1795000000"#, 86_400),
        (r#","expires_in":1600000000"#, 86_400),
        (r#","expires":999999999"#, 86_400),
        (r#","expires":1000000000"#, 0),
        (r#","expires_in":1e999"#, 86_400),
        (r#","expires_in":-1e999"#, 0),
        (r#","expires_in":NaN"#, 300),
        (r#","expires_in":"soon","expires_on":1795000600"#, 600),
    ] {
        assert_eq!(lifetime_of(members), seconds, "{members}");
    }
}

#[test]
fn a_time_in_the_place_of_the_length_is_at_most_ten_years_ahead() {
    let any_lifetime =
        |profile: &mut Profile| profile.max_ttl_seconds = Lifetime::try_from(u64::MAX).ok();
    for (expires_in, seconds) in [
        (2_110_575_999_u64, 315_575_999),
        (2_110_576_000, 2_110_576_000),
    ] {
        let body = format!(r#"{{"access_token":"t","expires_in":{expires_in}}}"#);
        let token = read_with(&http_response(200, &body), any_lifetime);
        let Ok(token) = token else { panic!("{body}") };
        assert_eq!(token.expires_at.since(NOW).as_secs(), seconds, "{body}");
    }
}

#[test]
fn no_limit_is_too_large() {
    let huge = |profile: &mut Profile| {
        profile.max_ttl_seconds = Lifetime::try_from(u64::MAX).ok();
        profile.default_ttl_seconds = Lifetime::try_from(u64::MAX).ok();
    };
    for members in [
        "",
        r#","expires_in":1e300"#,
        r#","expires_in":1e999"#,
        r#","expires_at":1e300"#,
    ] {
        let body = format!(r#"{{"access_token":"t"{members}}}"#);
        let Ok(token) = read_with(&http_response(200, &body), huge) else {
            panic!("{body}")
        };
        assert!(token.lasts() && token.expires_at.0 > 1 << 62, "{body}");
    }
}

const TWO_HOURS_AGO: Option<&str> = Some("Wed, 18 Nov 2026 09:06:40 GMT");
const IN_TWO_HOURS: Option<&str> = Some("Wed, 18 Nov 2026 13:06:40 GMT");
const HOUR: &str = r#","expires_in":3600"#;

/// A Date header, members, the claims of the token, how long it is kept, and the warning.
type ClockRow = (
    Option<&'static str>,
    &'static str,
    &'static str,
    u64,
    &'static str,
);

const CLOCKS: [ClockRow; 19] = [
    // The Date header is another machine's.
    (
        TWO_HOURS_AGO,
        HOUR,
        r#"{"iat":1795000000,"exp":1795000600}"#,
        600,
        "",
    ),
    // The server's clock is two hours behind this machine's.
    (
        TWO_HOURS_AGO,
        HOUR,
        r#"{"exp":1794996400}"#,
        3600,
        "2 h ahead",
    ),
    (
        TWO_HOURS_AGO,
        "",
        r#"{"exp":1794996400}"#,
        3600,
        "2 h ahead",
    ),
    (
        TWO_HOURS_AGO,
        HOUR,
        r#"{"exp":1794993400}"#,
        600,
        "2 h ahead",
    ),
    (
        None,
        HOUR,
        r#"{"iat":1794992800,"exp":1794996400}"#,
        3600,
        "2 h ahead",
    ),
    (
        None,
        HOUR,
        r#"{"nbf":1794992800,"exp":1794996400}"#,
        3600,
        "2 h ahead",
    ),
    (
        None,
        "",
        r#"{"iat":1794992800,"exp":1794993400}"#,
        600,
        "2 h ahead",
    ),
    // This machine's clock is behind.
    (IN_TWO_HOURS, "", r#"{"exp":1795007800}"#, 600, "2 h behind"),
    (
        None,
        "",
        r#"{"iat":1795007200,"exp":1795007800}"#,
        600,
        "2 h behind",
    ),
    // Only one clock is known.
    (
        None,
        HOUR,
        r#"{"exp":1794996400}"#,
        0,
        "expired by this machine's clock",
    ),
    (None, HOUR, r#"{"exp":1794999999}"#, 0, ""),
    // The clocks agree.
    (
        Some("Wed, 18 Nov 2026 11:06:00 GMT"),
        HOUR,
        r#"{"exp":1795000600}"#,
        600,
        "",
    ),
    (
        Some("Wed, 18 Nov 2026 11:06:40 GMT"),
        HOUR,
        r#"{"iat":1,"exp":2}"#,
        0,
        "expired by",
    ),
    // A minute is no difference.
    (
        Some("Wed, 18 Nov 2026 11:07:40 GMT"),
        "",
        r#"{"exp":1795003600}"#,
        3600,
        "",
    ),
    (None, "", r#"{"iat":1794996340,"exp":1794999940}"#, 0, ""),
    // A token without a life says nothing about clocks.
    (None, "", r#"{"iat":1794990000,"exp":1794990000}"#, 0, ""),
    (None, r#","expires_in":0"#, r#"{"exp":1794990000}"#, 0, ""),
    // It does not matter.
    (TWO_HOURS_AGO, HOUR, "{}", 3600, ""),
    (Some("yesterday"), HOUR, r#"{"exp":1795000600}"#, 600, ""),
];

#[test]
fn a_wrong_clock_is_reported_and_does_not_shorten_a_token() {
    for (date, members, claims, seconds, warning) in CLOCKS {
        let body = format!(r#"{{"access_token":"{}"{members}}}"#, jwt(claims));
        let date = date.map(str::to_owned);
        let token = read_with(
            &HttpResponse {
                date,
                ..http_response(200, &body)
            },
            |_| (),
        );
        let Ok(token) = token else { panic!("{body}") };
        assert_eq!(
            token.expires_at.since(NOW).as_secs(),
            seconds,
            "{members} {claims}"
        );
        let printed = token.warning.unwrap_or_default();
        assert!(
            printed.contains(warning) && printed.is_empty() == warning.is_empty(),
            "{claims}: {printed}"
        );
    }
}

#[test]
fn an_error_member_is_a_failure_with_any_status() {
    for status in [200, 400, 401, 403] {
        let error = error(
            status,
            r#"{"error":"invalid_client","error_description":"no\n\u001b[31m","access_token":"t"}"#,
        );
        assert_eq!(error.kind, Kind::Refused);
        assert_eq!(
            error.message,
            format!(
                "the server refused the client: {status} invalid_client (no [31m), at https://login.blooma.ai/oauth/token"
            )
        );
    }
    for (status, code) in [
        (500, "invalid_client"),
        (503, "x"),
        (429, "x"),
        (400, "temporarily_unavailable"),
    ] {
        let error = error(status, &format!(r#"{{"error":"{code}"}}"#));
        assert_eq!(error.kind, Kind::Unavailable);
        assert!(
            error
                .message
                .starts_with(&format!("the server answered {status} {code}, at "))
        );
    }
    assert!(read_status(200, r#"{"error":null,"access_token":"t"}"#).is_ok());
}

#[test]
fn the_status_401_refuses_the_client_with_any_body() {
    for body in [
        "",
        "no",
        "{}",
        "null",
        "[]",
        "{\"error\":\"invalid_client",
        r#"{"error":"server_error"}"#,
        r#"{"error":"temporarily_unavailable"}"#,
        r#"{"response":{"errors":[{"code":"1041","message":"no client has this id"}]}}"#,
        r#"{"type":"about:blank","status":401,"detail":"no"}"#,
        "{\"error\":\"x\",\"odd\":1e999}",
    ] {
        let error = error(401, body);
        assert_eq!(error.kind, Kind::Refused, "{body}");
        assert!(
            error
                .message
                .starts_with("the server refused the client: 401")
        );
    }
    let page = || http_response(401, "<html>Log in, invalid_client</html>");
    let error = failure(read_with(&page(), |_| ()));
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(!error.message.contains("Log in"));
    let challenge = r#"Basic realm="x", error="invalid_client""#.to_owned();
    let with_challenge = HttpResponse {
        www_authenticate: Some(challenge),
        ..page()
    };
    let error = failure(read_with(&with_challenge, |_| ()));
    assert_eq!(error.kind, Kind::Refused);
    assert!(
        error.message.contains("401 invalid_client, at"),
        "{}",
        error.message
    );
}

#[test]
fn an_error_is_found_despite_invalid_bytes_and_numbers() {
    for odd in [
        "1e999".to_owned(),
        "9".repeat(400),
        r#""\ud800""#.to_owned(),
        "\"\u{0}\"".to_owned(),
        format!("{}{}", "[".repeat(9000), "]".repeat(9000)),
    ] {
        let body = format!(r#"{{"odd":{odd},"error":"invalid_scope","error_description":"no"}}"#);
        let error = error(400, &body);
        assert_eq!(error.kind, Kind::Refused);
        assert!(
            error.message.contains("400 invalid_scope (no), at"),
            "{}",
            error.message
        );
    }
    let latin_1 = b"{\"error\":\"invalid_client\",\"error_description\":\"unbekannt: f\xfcr\"}";
    let response = HttpResponse {
        status: 401,
        body: latin_1.to_vec(),
        ..HttpResponse::default()
    };
    let error = failure(read_with(&response, |_| ()));
    assert!(
        error.message.contains("(unbekannt: f\u{fc}r)"),
        "{}",
        error.message
    );
}

#[test]
fn the_code_is_compared_as_the_server_sent_it() {
    let secret = ClientSecret::parse(&Zeroizing::new(b"a".to_vec())).expect("a secret");
    let credential = Credential::Secret(secret);
    let name = ProfileName::parse("p").expect("a good name");
    let profile = profile::example();
    let request = TokenRequest::new(&name, &profile, None, None, None);
    let context = ResponseContext {
        profile: &profile,
        request: &request,
        name: Some(&name),
        identity: None,
        redactor: Redactor::of("id", &credential),
    };
    let body = r#"{"error":"temporarily_unavailable"}"#;
    let error = failure(read(&http_response(400, body), &context, NOW));
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(
        error
            .message
            .contains("tempor[secret]rily_un[secret]v[secret]il[secret]ble")
    );
}

#[test]
fn a_hint_names_the_parameters_that_were_sent() {
    let first = |status, body: &str, change: fn(&mut Profile)| {
        let error = failure(read_with(&http_response(status, body), change));
        error.hints.first().cloned().unwrap_or_default()
    };
    let audience = |p: &mut Profile| p.audience = Some("https://api.example/v2".to_owned());
    let refused = r#"{"error":"access_denied","error_description":"no service is called https://api.example/v2"}"#;
    assert_eq!(
        first(403, refused, audience),
        "check the audience https://api.example/v2 (--audience), exactly as the server has it (a slash at the end counts)"
    );
    assert!(first(403, refused, |_| ()).starts_with("check the client ID"));
    let body = r#"{"error":"invalid_client"}"#;
    assert!(first(401, body, audience).starts_with("check the client ID"));
    let body = r#"{"error":"invalid_target"}"#;
    let resource =
        |p: &mut Profile| p.resource = Resource::parse("https://r.example/").into_iter().collect();
    assert!(first(400, body, resource).starts_with("check the resource https://r.example/ "));
    let body = r#"{"error":"invalid_scope"}"#;
    let scope = |p: &mut Profile| p.scope = Scope::parse("read write").ok();
    assert_eq!(
        first(400, body, scope),
        "check the scope read write (--scope)"
    );
    for body in [
        r#"{"error":"invalid_dpop_proof"}"#,
        r#"{"error":"use_dpop_nonce"}"#,
        r#"{"error":"invalid_request","error_description":"the DPoP header is missing"}"#,
    ] {
        assert!(
            first(400, body, |_| ()).contains("proofs of possession"),
            "{body}"
        );
    }
    for (status, body) in [
        (404, ""),
        (405, ""),
        (404, r#"{"error":"invalid_client"}"#),
        (405, "<html>"),
    ] {
        let hint = first(status, body, |_| ());
        assert_eq!(hint, "check the token URL: its path is /oauth/token");
    }
    assert_eq!(
        first(415, "", |_| ()),
        "try the other body format: --body form"
    );
    let form = |p: &mut Profile| p.body = crate::profile::BodyFormat::Form;
    assert_eq!(
        first(415, "{}", form),
        "try the other body format: --body json"
    );
}

#[test]
fn a_response_that_is_not_of_oauth_does_not_refuse_the_client() {
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
        (403, "<html>"),
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
fn a_token_is_read_from_any_success_if_it_is_one_word() {
    for (status, body) in [
        (200, r#"{"access_token":"t"}"#),
        (201, r#"{"access_token":"t"}"#),
        (200, "\u{feff}{\"access_token\":\"t\"}"),
        (200, r#"{"access_token":"t","token_type":"bEARER"}"#),
        (200, r#"{"access_token":"t","token_type":null}"#),
        (200, r#"{"access_token":"t","token_type":""}"#),
        (200, r#"{"access_token":"t","token_type":" Bearer "}"#),
        (200, r#"{"access_token":"t","token_type":"BearerToken"}"#),
        (200, r#"{"access_token":"t","token_type":"bearer_token"}"#),
    ] {
        let Ok(token) = read_status(status, body) else {
            panic!("{body}")
        };
        assert!(token.token_type.eq_ignore_ascii_case("Bearer"), "{body}");
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
    let bearer = |profile: &mut Profile| profile.token_type = Some(TokenType::Bearer);
    for (kind, may_be_bearer) in [("mac", false), ("N_A", false), ("JWT", true)] {
        let body = format!(r#"{{"access_token":"t","token_type":"{kind}"}}"#);
        let error = error(200, &body);
        assert_eq!(error.kind, Kind::Refused);
        assert!(
            error.message.contains(&format!("of type \"{kind}\"")),
            "{}",
            error.message
        );
        let hints = error.hints.join(" ");
        assert_eq!(hints.contains("--token-type bearer"), may_be_bearer);
        let with_setting = read_with(&http_response(200, &body), bearer);
        assert_eq!(with_setting.is_ok(), may_be_bearer, "{kind}");
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

#[test]
fn the_pause_before_a_retry_is_a_fraction_of_a_second() {
    let range = Duration::from_millis(100)..=Duration::from_millis(355);
    for _ in 0..100 {
        let pause = jitter();
        assert!(range.contains(&pause), "{pause:?}");
    }
}

#[test]
fn a_redirect_is_described_by_its_target() {
    for (location, target) in [
        (Some("https://b.example/x?token=1"), "to https://b.example,"),
        (Some("/other"), "within https://login.blooma.ai,"),
        (Some("//b.example/"), "to an address that is not a web URL,"),
        (
            Some("mailto:x@b.example"),
            "to an address that is not a web URL,",
        ),
        (None, "to an address that is not a web URL,"),
    ] {
        let response = HttpResponse {
            location: location.map(str::to_owned),
            ..http_response(302, "")
        };
        let message = failure(read_with(&response, |_| ())).message;
        assert!(
            message.contains(&format!("answered 302, a redirect {target} which")),
            "{message}"
        );
    }
}

//! Responses that are changed at random.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use super::HttpResponse;
use super::tests::{NOW, read_with};
use super::token::is_bearer;
use crate::types::secret::AccessToken;

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
fn bodies() -> impl Strategy<Value = Vec<u8>> {
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
    fn no_response_breaks_the_reader_or_yields_an_unclean_token(
        status in 100_u16..=599,
        body in bodies(),
        retry_after in proptest::option::of("[0-9]{1,30}|[ -~]{0,40}"),
        location in proptest::option::of(".{0,60}"),
        www_authenticate in proptest::option::of("(Basic|Bearer|error|=|\"|,| |s3cret-s3cret|.){0,9}"),
        content_type in proptest::option::of("(text|/|html|json|.){0,5}"),
        date in proptest::option::of("(Wed, )?[0-9]{1,2} Nov [0-9]{4} [0-9:]{8} GMT"),
        dpop_nonce in proptest::option::of(".{0,20}"),
    ) {
        let response = HttpResponse { status, retry_after, location, www_authenticate, content_type, date, dpop_nonce, body };
        match read_with(&response, |_| ()) {
            Ok(token) => {
                prop_assert!((200..300).contains(&status));
                prop_assert!(!token.access_token.expose().is_empty());
                prop_assert!(token.access_token.expose().bytes().all(|byte| (0x21..=0x7e).contains(&byte)));
                prop_assert!(token.expires_at.since(NOW) <= Duration::from_secs(86_400));
            }
            Err(setback) => {
                let error = setback.refusal.into_error();
                let text = format!("{error} {:?}", error.hints);
                prop_assert!(!text.contains("s3cret-s3cret") && !text.contains(char::is_control), "{text}");
            }
        }
    }
}

/// What servers send with a token, whole: some in the form of a certain product.
const TOKENS: [&str; 5] = [
    r#"{"access_token":"eyJz93a...k4laUWw","token_type":"Bearer","scope":"USER","expires_in":86400}"#,
    r#"{"token_type":"BearerToken","issued_at":"1795000000000","client_id":"app-1","access_token":"tok-1","scope":"","status":"approved","expires_in":"1799","refresh_count":"0"}"#,
    "\u{feff}{\"access_token\":\"AQAAANCMnd8\",\"token_type\":\"bearer\",\"expires_in\":1209599,\"userName\":\"M\u{fc}ller\",\".issued\":\"Wed, 18 Nov 2026 11:06:40 GMT\",\".expires\":\"Wed, 02 Dec 2026 11:06:40 GMT\"}",
    "{\r\n  \"access_token\" : \"00D!AQ\\/x\\u0041=\",\r\n  \"instance_url\" : \"https://a.example\",\r\n  \"nested\" : {\"list\":[1,2.5e3,true,null,{\"a\":\"\\ud83d\\ude00\"}]}\r\n}\r\n",
    r#"{"error":null,"expires_at":"2026-11-18T12:06:40Z","access_token":"first","access_token":"last"}"#,
];

/// A changed response: bytes replaced, inserted or removed, its end cut off, its start doubled, a
/// member added (odd, or a second `access_token`), or all of it in UTF-16.
fn changed_tokens() -> impl Strategy<Value = Vec<u8>> {
    let body = || proptest::sample::select(&TOKENS[..]).prop_map(|text| text.as_bytes().to_vec());
    let odd_bytes = &b"{}[]\",:\\0e-.tn \t\n\0\x01\x7f\x80\xc3\xe9\xed\xff"[..];
    let byte = prop_oneof![any::<u8>(), proptest::sample::select(odd_bytes)];
    let edits = proptest::collection::vec((any::<Index>(), byte, 0..3_u8), 1..4);
    let edited = (body(), edits).prop_map(|(mut body, edits)| {
        for (at, byte, how) in edits {
            let at = at.index(body.len());
            match how {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                _ => drop(body.remove(at)),
            }
        }
        body
    });
    let cut = (body(), any::<Index>()).prop_map(|(body, at)| body[..at.index(body.len())].to_vec());
    let doubled = (body(), any::<Index>())
        .prop_map(|(body, at)| [&body[..at.index(body.len())], &body].concat());
    let members: [&[u8]; 14] = [
        b"\"odd\":\"f\xfcr\"",
        br#""odd":"\ud800""#,
        br#""odd":1e999"#,
        br#""odd":-0.0e-0"#,
        br#""odd":NaN"#,
        br#""odd":[[[[[[[[]]]]]]]]"#,
        br#""odd":{"access_token":"inner"}"#,
        br#""odd":{"error":"inner"}"#,
        br#""access_token":"second""#,
        br#""access_token":"two words""#,
        br#""access_token":null"#,
        br#""access\u005ftoken":"es\u0063aped""#,
        br#""error":"invalid_client""#,
        b"\"odd\":\"\0\n\"",
    ];
    let digits = format!(r#""odd":{}"#, "7".repeat(400));
    let members = members
        .map(<[u8]>::to_vec)
        .into_iter()
        .chain([digits.into_bytes()]);
    let member = proptest::sample::select(members.collect::<Vec<_>>());
    let added = (body(), member, any::<bool>()).prop_map(|(body, member, at_end)| {
        let brace = if at_end { b'}' } else { b'{' };
        let at = if at_end {
            body.iter().rposition(|byte| *byte == brace)
        } else {
            body.iter().position(|byte| *byte == brace).map(|at| at + 1)
        };
        let (before, after) = body.split_at(at.unwrap_or(0));
        if at_end {
            [before, b",", &member, after].concat()
        } else {
            [before, &member, b",", after].concat()
        }
    });
    let utf_16 = (body(), any::<bool>()).prop_map(|(body, big)| {
        let units: Vec<_> = String::from_utf8_lossy(&body).encode_utf16().collect();
        let bytes = |unit: &u16| {
            if big {
                unit.to_be_bytes()
            } else {
                unit.to_le_bytes()
            }
        };
        units.iter().flat_map(bytes).collect()
    });
    prop_oneof![8 => edited, 2 => cut, 1 => doubled, 6 => added, 1 => utf_16]
}

/// What Python's json finds in each body: the members of an object, or null. Bytes that are no
/// text are replaced, and control characters are allowed in strings.
fn found_by_python(bodies: &[Vec<u8>]) -> Vec<Value> {
    const PROGRAM: &str = r"
import base64, json, sys
for line in sys.stdin:
    body, found = base64.b64decode(line), None
    for text in (body, body.decode('utf-8-sig', 'replace')):
        try:
            found = json.loads(text, strict=False)
        except (ValueError, RecursionError):
            continue
        break
    found = found if isinstance(found, dict) else None
    wanted = ('access_token', 'token_type', 'error')
    print(json.dumps(found and {k: repr(v) if isinstance(v, float) else v for k, v in found.items() if k in wanted}))
";
    let mut python = Command::new("python3")
        .args(["-c", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let lines: String = bodies
        .iter()
        .map(|body| STANDARD.encode(body) + "\n")
        .collect();
    let mut input = python.stdin.take().expect("its input");
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = python.wait_with_output().expect("its output");
    writer.join().expect("a writer").expect("written");
    let text = String::from_utf8(output.stdout).expect("ASCII");
    let found: Vec<_> = text
        .lines()
        // Python escapes half a surrogate, and such a token is unclean.
        .map(|line| serde_json::from_str(&line.replace("\\ud", "\\u00d")).expect("JSON"))
        .collect();
    assert_eq!(found.len(), bodies.len());
    found
}

#[test]
fn what_a_lenient_client_finds_in_a_changed_response_is_found_and_nothing_unclean() {
    let mut runner = TestRunner::deterministic();
    let bodies: Vec<_> = (0..3000)
        .map(|_| {
            changed_tokens()
                .new_tree(&mut runner)
                .expect("a body")
                .current()
        })
        .collect();
    let mut tokens = 0;
    for (body, found) in bodies.iter().zip(found_by_python(&bodies)) {
        let response = HttpResponse {
            status: 200,
            body: body.clone(),
            ..HttpResponse::default()
        };
        let read = read_with(&response, |_| ()).ok();
        let text = String::from_utf8_lossy(body);
        let found_here = read.as_ref().map(|token| token.access_token.expose());
        if let Some(token) = found_here {
            let is_clean = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
            assert!(is_clean, "{text}");
        }
        if found.is_null() {
            continue;
        }
        let kind = &found["token_type"];
        let is_bearer = kind.is_null() || kind.as_str().is_some_and(|kind| is_bearer(kind, None));
        let theirs = found["access_token"].as_str().and_then(AccessToken::parse);
        let theirs = theirs.filter(|_| is_bearer && found["error"].is_null());
        assert_eq!(
            found_here,
            theirs.as_ref().map(AccessToken::expose),
            "{text}"
        );
        tokens += usize::from(theirs.is_some());
    }
    assert!(tokens > 500, "{tokens}");
}

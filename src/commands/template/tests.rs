use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::types::secret::AccessToken;

const NOW: Timestamp = Timestamp(1_795_000_000_000);

fn token(access_token: &str, token_type: &str) -> CachedToken {
    CachedToken {
        access_token: AccessToken::parse(access_token).expect("a token"),
        token_type: token_type.to_owned(),
        scope: None,
        members: BTreeMap::new(),
        requested_at: NOW,
        expires_at: NOW.plus(Duration::from_secs(3600)),
        proof_key: None,
        warning: None,
    }
}

fn filled(template: &str, access_token: &str, scope: Option<&str>) -> String {
    let template = Template::parse(template).unwrap_or_else(|fault| panic!("{template} {fault}"));
    template.fill(&Values {
        token: &token(access_token, "Bearer"),
        scope,
        now: NOW,
    })
}

#[test]
fn fields_are_filled_in() {
    for (template, result) in [
        ("{token}", "t/1"),
        ("{type} {token}\n", "Bearer t/1\n"),
        ("{token_percent}", "t%2F1"),
        ("x{{{token}}}", "x{t/1}"),
        ("a{{token}}{token}", "a{token}t/1"),
        (
            "{expires_in} {expires_unix} {expires_at}",
            "3600 1795003600 2026-11-18T12:06:40Z",
        ),
        ("<{scope}>", "<a b>"),
        ("  \"{token}\\{token}", "  \"t/1\\t/1"),
        (
            r#"{"headers":{"Authorization":"Bearer {token}"}}"#,
            r#"{"headers":{"Authorization":"Bearer t/1"}}"#,
        ),
        (
            r#" ["{token}",{"a":{"b":"{type}"}}]"#,
            r#" ["t/1",{"a":{"b":"Bearer"}}]"#,
        ),
        (
            r#"{"t":{token},"in":{expires_in}}"#,
            r#"{"t":"t/1","in":3600}"#,
        ),
        (r#"{{"a":{{"b":"{token}"}}}}"#, r#"{"a":{"b":"t/1"}}"#),
        (r#"{{"in":{expires_in}}}"#, r#"{"in":3600}"#),
        (
            r#"["\\{token}","\"{token}","\u007btoken}"]"#,
            r#"["\\t/1","\"t/1","\u007btoken}"]"#,
        ),
        (r#"["{ {token} }","{"]"#, r#"["{ t/1 }","{"]"#),
    ] {
        assert_eq!(filled(template, "t/1", Some("a b")), result, "{template}");
    }
    assert_eq!(filled("<{scope}>", "t", None), "<>");
    assert_eq!(filled(r#"["{scope}",{scope}]"#, "t", None), r#"["",null]"#);
}

#[test]
fn a_template_that_cannot_be_filled_is_refused() {
    for template in [
        "",
        "x",
        "{tokn}",
        "{token",
        "token}",
        "{Token}",
        "{token:x}",
        "{ token}",
        "{{token}}",
        "{}",
        "{.token}",
        "{{.token}} {token}",
        "{{",
        "{{{{token}}}}",
        "[",
        r#"["{tokn}"]"#,
        r#"["x"]"#,
        r#"{"a":"{token}""#,
        r#"{"a":"{token}"}}"#,
        r#"["\{token}"]"#,
        r#"["\u00{token}"]"#,
        r#"["\ud800{token}"]"#,
        "[1{expires_in}]",
        "[{expires_in}{expires_in}]",
        "[-{expires_in}]",
        "[{expires_in}.5]",
        "[{expires_in}e5]",
        "[{token}x]",
        "{{token}:1}",
        "[\"a\n{token}\"]",
        "[section]\ntoken = {token}",
        r#"{{"a":{"b":"{token}"}}}"#,
    ] {
        assert!(Template::parse(template).is_err(), "{template}");
    }
}

#[test]
fn values_of_a_server_are_cleaned_or_escaped() {
    let scope = Some("a\u{1b}[31m\n\u{202e}\u{9b}b");
    assert_eq!(filled("{scope}", "t", scope), "a[31m b");
    for template in [r#"["{scope}"]"#, "[{scope}]"] {
        let result = filled(template, "t", scope);
        assert!(result.chars().all(|c| c.is_ascii_graphic()), "{result}");
        let parsed: Value = serde_json::from_str(&result).expect("JSON");
        assert_eq!(parsed, json!([scope]));
    }
}

/// One case fills several templates.
const TEMPLATES: [&str; 5] = [
    r#"{"headers":{"Authorization":"{type} {token}"},"scope":"{scope}"}"#,
    r#"["{token}{scope}{expires_at}",{scope},{token},{expires_in},{expires_unix}]"#,
    r#"{{"{scope}":{{"a":"\\{token}\"{scope}"}},"u":"{token_percent}"}}"#,
    r#"{"\u007b{scope}":[{type},"{scope}{{token}}"]}"#,
    " [ {scope} , \"{expires_in}{token}\" ]",
];

/// More than a hundred thousand values, as each template has two to four. Half of their characters have a
/// meaning in JSON or in a terminal.
#[test]
fn no_value_breaks_json() {
    const SPECIAL: &[u8] = b"\"\\{}[]:,/u0 \n\r\t\x00\x1b\x7f'`$<>&%";
    let templates = TEMPLATES.map(|template| Template::parse(template).expect(template));
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: u64| {
        // Xorshift: the same values in each run.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    for number in 0..32_000 {
        let length = random(12);
        let mut any = || match random(2) {
            0 => char::from(SPECIAL[usize::try_from(random(SPECIAL.len() as u64)).expect("small")]),
            _ => char::from_u32(u32::try_from(random(0x11_0000)).expect("small"))
                .unwrap_or('\u{2028}'),
        };
        let text = |any: &mut dyn FnMut() -> char| (0..length).map(|_| any()).collect::<String>();
        let (scope, token_type) = (text(&mut any), text(&mut any));
        let graphic: String = text(&mut any)
            .chars()
            .filter(char::is_ascii_graphic)
            .collect();
        let access_token = format!("t{graphic}");
        let token = token(&access_token, &token_type);
        let values = Values {
            token: &token,
            scope: Some(&scope),
            now: NOW,
        };
        let template = &templates[number % templates.len()];
        let result = template.fill(&values);
        let parsed: Value =
            serde_json::from_str(&result).unwrap_or_else(|fault| panic!("{result}: {fault}"));
        if number % templates.len() == 0 {
            assert_eq!(
                parsed,
                json!({"headers": {"Authorization": format!("{token_type} {access_token}")}, "scope": scope})
            );
        }
    }
}

proptest! {
    /// A template of any text is refused, or its result is JSON.
    #[test]
    fn a_json_template_gives_json_with_any_value(
        parts in prop::collection::vec(
            prop::sample::select(&["{token}", "{scope}", "{expires_in}", "{", "}", "[", "]", "\"", "\\", "a", ":", ",", "1", "-", "u00", " "][..]),
            0..12,
        ),
        scope in any::<String>(),
    ) {
        let text = format!("[{}]", parts.concat());
        if let Ok(template) = Template::parse(&text) {
            let result = template.fill(&Values { token: &token("41\"\\n", "Bearer"), scope: Some(&scope), now: NOW });
            prop_assert!(serde_json::from_str::<Value>(&result).is_ok(), "{text}: {result}");
        }
    }
}

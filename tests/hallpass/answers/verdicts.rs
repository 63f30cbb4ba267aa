//! Whether a response refuses the client, and the hint for the user.

use std::time::Instant;

use super::{first_then, refused, shift_entry};
use crate::machine::{CLIENT_ID, Machine, SECRET};
use crate::server::{Reply, Server};

// Verdicts, and what is none.

#[test]
fn an_oauth_error_is_a_verdict_after_one_request() {
    let rows = [
        (400, "invalid_request", "hint: "),
        (400, "invalid_grant", "hint: "),
        (400, "invalid_scope", "--scope"),
        (400, "invalid_target", "audience or resource"),
        (400, "unsupported_grant_type", "client_credentials grant"),
        (400, "unauthorized_client", "hallpass login default"),
        (401, "invalid_client", "hallpass login default"),
        (401, "server_error", "hallpass login default"),
        (401, "temporarily_unavailable", "hallpass login default"),
        (403, "access_denied", "hallpass login default"),
        (404, "invalid_client", "token URL: its path is /oauth/token"),
        (405, "invalid_client", "token URL: its path is /oauth/token"),
        (415, "invalid_request", "--body json"),
        (400, "invalid_dpop_proof", "proofs of possession"),
        (402, "something_new", "hint: "),
    ];
    for (status, code, hint) in rows {
        let body = format!(r#"{{"error":"{code}","error_description":"Because."}}"#);
        let ran = refused(Reply::json(status, body), 4, 1);
        let client = "invalid_client unauthorized_client access_denied";
        let what = match status {
            401 => "client",
            _ if client.contains(code) => "client",
            _ => "request",
        };
        let expected = format!(
            "hallpass: error: the server refused the {what}: {status} {code} (Because.), at http://127.0.0.1:"
        );
        assert!(ran.stderr.starts_with(&expected), "{ran:?}");
        assert!(ran.stderr.contains("/oauth/token\n"), "{ran:?}");
        assert!(ran.stderr.contains(hint), "{ran:?}");
        assert_eq!(ran.stderr.lines().count(), 2, "{ran:?}");
    }
}

#[test]
fn a_401_is_a_refusal_in_whatever_form_it_comes() {
    let rows = [
        ("", "401 (unauthorized)"),
        ("Unauthorized", "401 (unauthorized)"),
        ("{}", "401 (unauthorized)"),
        (r#"{"error":"#, "401 (unauthorized)"),
        (
            r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"who are you"}"#,
            "401 (who are you)",
        ),
        (
            r#"{"response":{"errors":[{"code":"1041","message":"no client has this id"}]}}"#,
            "401 1041 (no client has this id)",
        ),
        (
            r#"{"error":[{"code":"NOT_ALLOWED","field":"authorization","description":"not known"}]}"#,
            "401 NOT_ALLOWED (not known)",
        ),
        (
            r#"{"errorCode":"E0000004","errorSummary":"Authentication failed","errorCauses":[]}"#,
            "401 E0000004 (Authentication failed)",
        ),
        (
            r#"{"ErrorCode":"invalid_client","Error":"ClientId is Invalid"}"#,
            "401 invalid_client (ClientId is Invalid)",
        ),
        (
            r#"{"fault":{"faultstring":"Invalid API call","detail":{"errorcode":"oauth.v2.Invalid"}}}"#,
            "401 oauth.v2.Invalid (Invalid API call)",
        ),
        (
            r#"[{"message":"one"},{"message":"two\u001b[31m"}]"#,
            "401 (one; two[31m)",
        ),
        (
            r#"{"odd":1e999,"error":"invalid_client","error_description":"x \ud800 y"}"#,
            "401 invalid_client (x \u{fffd} y)",
        ),
        (
            &serde_json::json!({ "errors": [{ "message": format!("bad {SECRET}") }] }).to_string(),
            "401 (bad [secret])",
        ),
    ];
    for (body, expected) in rows {
        let ran = refused(Reply::new(401).body(body), 4, 1);
        let expected = format!("the server refused the client: {expected}, at http://127.0.0.1:");
        assert!(ran.stderr.contains(&expected), "{body}: {ran:?}");
        assert!(!ran.stderr.contains("try again later"), "{ran:?}");
    }
    let challenge =
        r#"Bearer realm="x", error="invalid_client", error_description="no such client""#;
    for body in ["", "<html>Log in</html>"] {
        let reply = Reply::new(401).header("WWW-Authenticate", challenge);
        let ran = refused(reply.body(body), 4, 1);
        let expected = "401 invalid_client (no such client), at ";
        assert!(ran.stderr.contains(expected), "{ran:?}");
    }
}

#[test]
fn a_web_page_is_no_verdict_on_the_client() {
    for status in [400, 401, 402, 403, 404, 405, 407, 410, 415, 418, 451] {
        for body in [
            "<html>blocked</html>",
            "\r\n<!DOCTYPE html><p>blocked",
            "<h1>blocked</h1>",
        ] {
            let ran = refused(Reply::new(status).body(body), 5, 1);
            assert!(
                ran.stderr
                    .contains(&format!("the server answered {status}")),
                "{ran:?}"
            );
            assert!(!ran.stderr.contains("blocked"), "{ran:?}");
        }
    }
}

#[test]
fn a_status_unrelated_to_the_client_is_no_verdict_on_it() {
    for status in [400, 402, 403, 404, 405, 407, 410, 418, 451] {
        for body in ["", "no", "{}", r#"{"message":"Forbidden"}"#, "[]"] {
            let ran = refused(Reply::new(status).body(body), 5, 1);
            let expected = format!("the server answered {status}");
            assert!(ran.stderr.contains(&expected), "{ran:?}");
        }
    }
}

#[test]
fn a_hint_names_the_audience_first_if_one_was_sent() {
    let body = r#"{"error":"access_denied","error_description":"no service is called https://api.example/v2"}"#;
    let server = Server::start(move |_| Reply::json(403, body));
    let machine = Machine::new();
    let audience = ["--no-verify", "--audience", "https://api.example/v2"];
    machine.login("default", &server, &audience);
    let ran = machine.run(&["token"]).failure(4);
    let hints: Vec<_> = ran.stderr.lines().skip(1).collect();
    assert!(
        hints[0]
            .starts_with("hallpass: hint: check the audience https://api.example/v2 (--audience)"),
        "{ran:?}"
    );
    assert!(hints[1].contains("check the client ID"), "{ran:?}");
}

#[test]
fn a_challenge_with_an_error_refuses_the_client() {
    for status in [400, 401, 403] {
        let challenge = r#"Bearer realm="x",error="unauthorized_client",error_description="no""#;
        for body in ["", "<html>blocked</html>", r#"{"message":"no"}"#] {
            let reply = Reply::new(status).header("WWW-Authenticate", challenge);
            let ran = refused(reply.body(body), 4, 1);
            let expected = format!("{status} unauthorized_client (no), at http");
            assert!(ran.stderr.contains(&expected), "{ran:?}");
        }
    }
    for challenge in ["Basic realm=\"x\"", "Negotiate", "NTLM", "Bearer"] {
        let page = Reply::new(401).body("<html>blocked</html>");
        refused(page.header("WWW-Authenticate", challenge), 5, 1);
        let ran = refused(Reply::new(401).header("WWW-Authenticate", challenge), 4, 1);
        assert!(
            ran.stderr.contains("401 (unauthorized), at http"),
            "{ran:?}"
        );
    }
}

#[test]
fn a_hint_names_the_variables_where_the_environment_describes_the_profile() {
    let rows = [
        (
            401,
            "invalid_client",
            "check HALLPASS_CLIENT_ID, HALLPASS_AUTH and the secret",
        ),
        (
            403,
            "access_denied",
            "check the audience urn:a (HALLPASS_AUDIENCE)",
        ),
        (
            400,
            "invalid_scope",
            "set a scope that this client may have (HALLPASS_SCOPE)",
        ),
        (
            415,
            "invalid_request",
            "try the other body format: HALLPASS_BODY=json",
        ),
    ];
    for (status, code, hint) in rows {
        let server =
            Server::start(move |_| Reply::json(status, format!(r#"{{"error":"{code}"}}"#)));
        let mut machine = Machine::new();
        machine.set("HALLPASS_TOKEN_URL", &server.url("/oauth/token"));
        machine.set("HALLPASS_CLIENT_ID", CLIENT_ID);
        machine.set("HALLPASS_CLIENT_SECRET", SECRET);
        machine.set("HALLPASS_AUDIENCE", "urn:a");
        let ran = machine.run(&["token"]).failure(4);
        let first = ran.stderr.lines().nth(1).expect("a hint");
        assert!(first.contains(hint), "{ran:?}");
        assert!(!ran.stderr.contains("hallpass login"), "{ran:?}");
    }
}

#[test]
fn a_token_of_an_unknown_type_is_used_if_a_setting_says_that_it_is_bearer() {
    let rows = [
        ("JWT", true),
        ("access_token", true),
        ("mac", false),
        ("DPoP", false),
    ];
    for (kind, may_be_bearer) in rows {
        let body = format!(r#"{{"access_token":"t","token_type":"{kind}","expires_in":60}}"#);
        let server = Server::start(move |_| Reply::json(200, body.clone()));
        let mut machine = Machine::new();
        machine.set("HALLPASS_TOKEN_URL", &server.url("/oauth/token"));
        machine.set("HALLPASS_CLIENT_ID", CLIENT_ID);
        machine.set("HALLPASS_CLIENT_SECRET", SECRET);
        let ran = machine.run(&["token", "--refresh"]).failure(4);
        let hint = "HALLPASS_TOKEN_TYPE=bearer";
        assert_eq!(ran.stderr.contains(hint), may_be_bearer, "{ran:?}");
        machine.set("HALLPASS_TOKEN_TYPE", "bearer");
        let ran = machine.run(&["token", "--refresh", "--format", "header"]);
        if may_be_bearer {
            assert_eq!(ran.success().stdout, "Authorization: Bearer t\n");
        } else {
            ran.failure(4);
        }
    }
}

#[test]
fn a_refused_client_gets_no_expired_token() {
    let (machine, server) = first_then(
        Reply::token("old", 3600),
        Reply::json(401, r#"{"error":"invalid_client"}"#),
    );
    assert_eq!(machine.run(&["token"]).token(), "old");
    shift_entry(&machine, -3_600_000);
    machine.run(&["token"]).failure(4);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_refused_request_is_not_repeated() {
    let server = Server::start(|_| Reply::json(401, r#"{"error":"invalid_client"}"#));
    let machine = Machine::new();
    machine.login("default", &server, &["--no-verify"]);
    let begun = Instant::now();
    for _ in 0..5 {
        machine.run(&["token"]).failure(4);
    }
    // One request for all callers within two seconds.
    let most = 1 + usize::try_from(begun.elapsed().as_secs() / 2).expect("a small number");
    assert!(
        server.requests().len() <= most,
        "{}",
        server.requests().len()
    );
}

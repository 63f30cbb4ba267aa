//! What is shown of a response: cleaned, cut, and without the secret.

use super::{base64, refused};
use crate::machine::{CLIENT_ID, Machine, SECRET};
use crate::server::{Reply, Server};

// Messages.

#[test]
fn a_description_is_cleaned_and_cut() {
    let describe = |description: &str| {
        let body =
            serde_json::json!({ "error": "invalid_client", "error_description": description });
        let ran = refused(Reply::json(401, body.to_string()), 4, 1);
        let (_, rest) = ran
            .stderr
            .split_once("401 invalid_client")
            .expect("the code");
        let (message, _) = rest.split_once(", at http://").expect("a URL");
        message.to_owned()
    };
    let rows = [
        ("", String::new()),
        (
            "\u{1b}[31mred\u{1b}[0m \u{9b}31m\u{7}",
            " ([31mred[0m 31m)".to_owned(),
        ),
        (
            "a\nhallpass: hint: run rm -rf\r\n\tb",
            " (a hallpass: hint: run rm -rf   b)".to_owned(),
        ),
        (
            "a\u{202e}b\u{2066}c\u{200b}d\u{feff}e\u{2028}f\u{e0041}g\u{ad}h",
            " (abcde fgh)".to_owned(),
        ),
        ("\0\u{7f}\u{85}", String::new()),
        (&"x".repeat(400), format!(" ({})", "x".repeat(400))),
        (&"ü".repeat(5000), format!(" ({}…)", "ü".repeat(400))),
    ];
    for (description, message) in rows {
        assert_eq!(describe(description), message, "{description:?}");
    }
    for body in [
        format!(r#"{{"error":"{}"}}"#, "x".repeat(5000)),
        r#"{"error":"inv\u001b[31malid\n\u202eclient","error_description":{"a":"\u001b"}}"#
            .to_owned(),
    ] {
        let ran = refused(Reply::json(400, body), 4, 1);
        assert!(ran.stderr.len() < 1000, "{ran:?}");
    }
}

#[test]
fn a_secret_that_a_server_repeats_is_not_shown() {
    const MIXED: &str = "S3cr/t+V!lue* 'Ü\"x ";
    let encode = |text: &str, left: &str, upper: bool| -> String {
        text.bytes()
            .map(|byte| match char::from(byte) {
                c if c.is_ascii_alphanumeric() || left.contains(c) => c.to_string(),
                _ if upper => format!("%{byte:02X}"),
                _ => format!("%{byte:02x}"),
            })
            .collect()
    };
    for secret in [SECRET, MIXED] {
        let strict = encode(secret, "-._~", true);
        let basic = base64(&format!("client%3Aone:{strict}"));
        let echoes = [
            secret.to_owned(),
            strict.clone(),
            strict.replace("%20", "+"),
            encode(secret, "-._~", false),
            encode(secret, "-._~", false).replace("%20", "+"),
            // JavaScript's encodeURIComponent, Python's quote, and what browsers send.
            encode(secret, "-_.!~*'()", true),
            encode(secret, "-._~/", true),
            encode(secret, "*-._", true).replace("%20", "+"),
            serde_json::to_string(secret)
                .expect("JSON")
                .trim_matches('"')
                .to_owned(),
            base64(secret),
            base64(secret).trim_end_matches('=').to_owned(),
            basic,
            base64(&format!("{CLIENT_ID}:{secret}")),
        ];
        for echo in &echoes {
            for member in ["error_description", "error"] {
                let mut body = serde_json::json!({ "error": "invalid_client" });
                body[member] = format!("bad: <{echo}> or {echo}").into();
                let file = format!("{secret}\n");
                let server = Server::start(move |_| Reply::json(401, body.to_string()));
                let machine = Machine::new();
                let path = machine.private_file("its-secret", file.as_bytes());
                let path = path.to_str().expect("a path in UTF-8");
                let url = server.url("/oauth/token");
                let ran = machine
                    .run(&[
                        "login",
                        "--token-url",
                        &url,
                        "--client-id",
                        CLIENT_ID,
                        "--secret-file",
                        path,
                    ])
                    .failure(4);
                assert!(!ran.stderr.contains(echo.trim()), "{echo}: {ran:?}");
                // What pads base64 may be left.
                assert_eq!(ran.stderr.matches("[secret]").count(), 2, "{echo}: {ran:?}");
            }
        }
    }
}

#[test]
fn a_secret_that_comes_back_in_another_member_is_not_shown() {
    let secret = "abcdefgh12345678";
    let replies = [
        Reply::new(302).header("Location", &format!("https://{secret}.evil.example/")),
        Reply::new(302).header("Location", &format!("https://a.example/{secret}")),
        Reply::json(
            200,
            format!(r#"{{"access_token":"t","token_type":"{secret}"}}"#),
        ),
        Reply::raw(format!("{secret} {secret}\r\n\r\n")),
        Reply::json(200, format!(r#"{{"access_token":"{secret} {secret}"}}"#)),
        Reply::new(400).body(format!("client_secret={secret}")),
        Reply::new(503).header("Retry-After", secret),
    ];
    for reply in replies {
        let server = Server::start(move |_| reply.clone());
        let machine = Machine::new();
        let path = machine.private_file("its-secret", secret.as_bytes());
        let path = path.to_str().expect("a path in UTF-8");
        let url = server.url("/oauth/token");
        let ran = machine.run(&[
            "login",
            "--token-url",
            &url,
            "--client-id",
            CLIENT_ID,
            "--secret-file",
            path,
        ]);
        assert!([4, 5].contains(&ran.code), "{ran:?}");
        assert!(!ran.stderr.contains(secret), "{ran:?}");
    }
}

#[test]
fn a_login_that_is_refused_stores_nothing() {
    for (reply, code) in [
        (Reply::json(401, r#"{"error":"invalid_client"}"#), 4),
        (Reply::new(404), 5),
        (Reply::new(503).header("Retry-After", "3600"), 5),
        (Reply::json(200, r#"{"access_token":"a b"}"#), 5),
    ] {
        let server = Server::start(move |_| reply.clone());
        let machine = Machine::new();
        let path = machine.private_file("its-secret", SECRET.as_bytes());
        let path = path.to_str().expect("a path in UTF-8");
        let url = server.url("/oauth/token");
        machine
            .run(&[
                "login",
                "--token-url",
                &url,
                "--client-id",
                CLIENT_ID,
                "--secret-file",
                path,
            ])
            .failure(code);
        assert_eq!(machine.files(), [] as [std::path::PathBuf; 0]);
    }
}

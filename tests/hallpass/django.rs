//! Token endpoints that people write with Django, served over https by Python's wsgiref and as Django's
//! `runserver` does it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use crate::machine::{Machine, Ran};
use crate::material::Material;
use crate::real_servers::python;

/// A server that runs until it is dropped.
struct Django {
    process: Child,
    url: String,
}

impl Django {
    fn start(served_by: &str, material: &Material) -> Self {
        let mut command = python("django_server.py");
        command.arg(material.path("")).arg(served_by);
        // The server ends with its standard input.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("python starts");
        let mut url = String::new();
        let stdout = process.stdout.take().expect("the server's standard output");
        BufReader::new(stdout)
            .read_line(&mut url)
            .expect("the server's URL");
        let url = url.trim_end().to_owned();
        assert!(!url.is_empty(), "the server does not start");
        Self { process, url }
    }
}

impl Drop for Django {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn login(machine: &Machine, server: &Django, path: &str, secret: &str, ca: &str) -> Ran {
    let secret = machine.private_file("secret", secret.as_bytes());
    let url = format!("{}{path}", server.url);
    machine.run(&[
        "login",
        "p",
        "--token-url",
        &url,
        "--client-id",
        "client",
        "--secret-file",
        secret.to_str().expect("UTF-8"),
        "--ca-file",
        ca,
    ])
}

#[test]
fn django_gives_a_token_or_the_right_verdict() {
    let material = Material::new();
    let ca = material.argument("ca.crt");
    for served_by in ["wsgiref", "runserver"] {
        let server = Django::start(served_by, &material);
        let mut number = 0;
        for path in ["/token/", "/streamed/"] {
            let machine = Machine::new();
            login(&machine, &server, path, "secret", &ca).success();
            // One request for each: the server counts them.
            number += 1;
            let token = machine.run(&["token"]).token();
            assert_eq!(token, format!("django-{number}"), "{served_by} {path}");
            number += 1;
            let token = machine.run(&["token", "--refresh"]).token();
            assert_eq!(token, format!("django-{number}"), "{served_by} {path}");
        }
        for (path, secret, code, message) in [
            ("/token/", "another", 4, "401 invalid_client (Who is this?)"),
            // What Django shows of an error has all that was in the request.
            ("/refused/", "a-secret", 4, "401 (unauthorized), at https"),
            ("/refused-with-a-page/", "a-secret", 5, "answered 401"),
            ("/crashed/", "a-secret", 5, "answered 500"),
            ("/protected/", "secret", 5, "answered 403"),
            (
                "/login-required/",
                "secret",
                5,
                "answered 302, a redirect within",
            ),
            ("/nowhere/", "secret", 5, "answered 404"),
            // Without its slash.
            ("/token", "secret", 5, "answered 404"),
        ] {
            let machine = Machine::new();
            let failed = login(&machine, &server, path, secret, &ca).failure(code);
            let row = format!("{served_by} {path}: {failed:?}");
            assert!(failed.stderr.contains(message), "{row}");
            assert!(failed.stderr.contains("hallpass: hint: "), "{row}");
            // Nothing of a page, nor of what it repeats.
            for text in ["<", "a-secret", "Traceback", "Basic "] {
                assert!(!failed.stderr.contains(text), "{row}");
            }
        }
    }
}

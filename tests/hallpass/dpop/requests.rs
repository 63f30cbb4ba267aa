//! `hallpass token --request`: the headers of one request.

use super::proof::DpopProof;
use super::{logged_in, strict};
use crate::machine::Machine;

fn proof_in(headers: &str, token: &str) -> DpopProof {
    let mut lines = headers.lines();
    assert_eq!(
        lines.next(),
        Some(format!("Authorization: DPoP {token}").as_str())
    );
    let proof = lines.next().and_then(|line| line.strip_prefix("DPoP: "));
    assert_eq!(lines.next(), None);
    DpopProof::read(proof.expect("a proof"))
}

#[test]
fn a_request_gets_its_two_headers_in_each_format() {
    let machine = logged_in(strict());
    let request = "POST https://api.example:443/a/b?c=d";
    let headers = machine.run(&["token", "p", "--request", request]).output();
    let proof = proof_in(&headers, "bound-1");
    proof.verify_with("POST", "https://api.example/a/b", "bound-1");
    assert!(proof.claims.get("nonce").is_none());
    let headers = machine
        .run(&[
            "token",
            "--request",
            request,
            "--nonce",
            "n-1",
            "--format",
            "header",
        ])
        .output();
    assert_eq!(proof_in(&headers, "bound-1").claims["nonce"], "n-1");
    let json = machine
        .run(&[
            "token",
            "p",
            "--request",
            request,
            "--format",
            "headers-json",
        ])
        .json();
    assert_eq!(json["Authorization"], "DPoP bound-1");
    DpopProof::read(json["DPoP"].as_str().expect("a proof")).verify_with(
        "POST",
        "https://api.example/a/b",
        "bound-1",
    );
    let curl = machine
        .run(&["token", "p", "--request", request, "--format", "curl"])
        .output();
    let lines: Vec<_> = curl.lines().collect();
    assert_eq!(lines[0], "header = \"Authorization: DPoP bound-1\"");
    let proof = lines[1]
        .strip_prefix("header = \"DPoP: ")
        .and_then(|it| it.strip_suffix('"'));
    DpopProof::read(proof.expect("a proof")).verify("POST", "https://api.example/a/b");
    assert_eq!(lines.len(), 2);
    assert_eq!(machine.server().requests().len(), 1);
}

#[test]
fn a_bearer_profile_gets_its_one_header() {
    let machine = Machine::new();
    machine.login("p", machine.server(), &["--for", "https://api.example/"]);
    let request = ["token", "p", "--request", "GET https://api.example/"];
    let with = |format: &str| {
        machine
            .run(&[&request[..], &["--format", format]].concat())
            .output()
    };
    assert_eq!(
        machine.run(&request).output(),
        "Authorization: Bearer token-1\n"
    );
    assert_eq!(with("curl"), "header = \"Authorization: Bearer token-1\"\n");
    assert_eq!(
        with("headers-json"),
        "{\"Authorization\":\"Bearer token-1\"}\n"
    );
    machine
        .run(&["bind", "p", "https://api.example/", "--header", "X-Token"])
        .success();
    assert_eq!(machine.run(&request).output(), "X-Token: token-1\n");
}

#[test]
fn no_headers_are_made_for_other_urls_and_methods() {
    let machine = logged_in(strict());
    for (request, code) in [
        ("GET https://api.example.evil/", 3),
        ("GET http://api.example/", 2),
        ("GET https://api.example:8443/", 3),
        ("https://api.example/", 2),
        ("GET", 2),
        ("G=T https://api.example/", 2),
        ("get https://api.example/", 2),
        ("GET https://user@api.example/", 2),
        ("GET https://api.example/a\nb", 2),
        ("GET https://b\u{fc}cher.example/", 2),
        ("GET https://api.example/#f", 2),
    ] {
        let ran = machine
            .run(&["token", "p", "--request", request])
            .failure(code);
        assert_eq!(ran.stdout, "", "{ran:?}");
    }
    let good = "GET https://api.example/";
    for more in [
        &["--format", "raw"][..],
        &["--format", "json"],
        &["--json"],
        &["--template", "{token}"],
        &["--nonce", "a b"],
        &["--url", "https://api.example/"],
        &["--inspect"],
    ] {
        let ran = machine.run(&[&["token", "p", "--request", good][..], more].concat());
        assert_eq!(ran.failure(2).stdout, "");
    }
    machine.run(&["token", "p", "--nonce", "n"]).failure(2);
}

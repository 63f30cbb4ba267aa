//! `OpenBao` issues the identity of a workload, and authorization servers that nobody of this project wrote trust it:
//! they know its issuer, and fetch the keys that it publishes.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::machine::{Machine, Ran};
use crate::material::Material;
use crate::real_servers::{AUTHLIB, Kind, OIDC_PROVIDER, RealServer, found, identity_party};

/// A server that runs until it is dropped.
struct OpenBao {
    process: Child,
    facts: Value,
}

impl OpenBao {
    fn start() -> OpenBao {
        let mut command = identity_party("openbao.py");
        // It ends with its standard input.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = found(command.spawn(), "openbao.py", "python3 and python3-venv");
        let stdout = process.stdout.take().expect("a pipe");
        let mut facts = String::new();
        let read = BufReader::new(stdout).read_line(&mut facts);
        read.expect("its facts");
        let facts = serde_json::from_str(&facts).expect("JSON");
        OpenBao { process, facts }
    }

    fn fact(&self, path: &str) -> &str {
        let fact = self.facts.pointer(path).and_then(Value::as_str);
        fact.expect("a fact")
    }

    /// Runs `OpenBao`'s own program as its administrator.
    #[track_caller]
    fn administer(&self, arguments: &[&str]) {
        let mut command = Command::new(self.fact("/program"));
        command.args(arguments).env_clear();
        command.env("BAO_ADDR", self.fact("/address"));
        command.env("BAO_TOKEN", "root");
        Ran::from(command.output().expect("a program")).success();
    }

    /// Lets workloads have identity tokens for this audience, by the name of a role.
    fn add_role(&self, name: &str, audience: &str) {
        let path = format!("identity/oidc/role/{name}");
        let audience = format!("client_id={audience}");
        self.administer(&["write", &path, "key=ci", &audience, "ttl=10m"]);
    }

    /// What reads an identity token with the program.
    fn source(&self, role: &str) -> String {
        let program = self.fact("/program");
        format!("command:'{program}' read -field=token identity/oidc/token/{role}")
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// The servers, and the options with which each takes an identity token.
const SERVERS: [(&Kind, [&[&str]; 2]); 2] = [
    (
        &OIDC_PROVIDER,
        [
            &[
                "--identity-as",
                "assertion",
                "--client-id",
                "federated-client",
            ],
            &[
                "--identity-as",
                "subject_token",
                "--client-id",
                "federated-client",
            ],
        ],
    ),
    (
        &AUTHLIB,
        [
            &["--identity-as", "client_assertion"],
            &["--identity-as", "assertion"],
        ],
    ),
];

#[test]
fn servers_that_trust_openbao_issue_tokens_for_its_identities_and_for_no_other() {
    let issuer = OpenBao::start();
    let material = Material::new();
    let trust = [
        ("TRUSTED_ISSUER", issuer.fact("/issuer")),
        ("TRUSTED_SUBJECT", issuer.fact("/ci/subject")),
    ];
    issuer.add_role("elsewhere", "https://elsewhere.example");
    for (kind, roles) in SERVERS {
        let server = RealServer::start_with(kind, "http", &material, &trust);
        issuer.add_role("here", &server.issuer().expect("an issuer"));
        for options in roles {
            check(&issuer, &server, options);
        }
    }
}

fn check(issuer: &OpenBao, server: &RealServer, options: &[&str]) {
    let audience = server.issuer().expect("an issuer");
    let subject = issuer.fact("/ci/subject");
    let mut machine = Machine::new();
    machine.set("BAO_ADDR", issuer.fact("/address"));
    machine.set("BAO_TOKEN", issuer.fact("/ci/token"));
    let login = |machine: &Machine, role: &str| {
        let login = ["login", "p", "--replace", "--issuer", &audience];
        let source = issuer.source(role);
        let source = ["--identity", &source];
        machine.run(&[&login, &source[..], options].concat())
    };
    let what = format!("{} {options:?}", server.name());
    login(&machine, "here").success();
    let first = machine.run(&["token"]).token();
    let shown = server.introspect(&first);
    assert_eq!(shown["active"], true, "{what}");
    let client = options.iter().position(|option| *option == "--client-id");
    let client = client.map_or(subject, |position| options[position + 1]);
    assert_eq!(shown["client_id"], client, "{what}");
    assert_eq!(machine.run(&["token"]).token(), first, "{what}");
    // The servers fetch the new key.
    issuer.administer(&["write", "-f", "identity/oidc/key/ci/rotate"]);
    let second = machine.run(&["token", "--refresh"]).token();
    assert_eq!(server.introspect(&second)["active"], true, "{what}");
    assert_ne!(first, second, "{what}");

    let refused = |ran: Ran, subject: &str, audience: &str| {
        let ran = ran.failure(4);
        let iss = format!("iss {}", issuer.fact("/issuer"));
        for claim in [iss, format!("sub {subject}"), format!("aud {audience}")] {
            assert!(ran.stderr.contains(&claim), "{what}: {claim}: {ran:?}");
        }
    };
    let elsewhere = login(&machine, "elsewhere");
    refused(elsewhere, subject, "https://elsewhere.example");
    machine.set("BAO_TOKEN", issuer.fact("/other/token"));
    let refreshed = machine.run(&["token", "--refresh"]);
    refused(refreshed, issuer.fact("/other/subject"), &audience);
    // The cached token is still that of the workload that logged in.
    assert_eq!(machine.run(&["token"]).token(), second, "{what}");
    assert_eq!(server.introspect(&second)["active"], true, "{what}");
}

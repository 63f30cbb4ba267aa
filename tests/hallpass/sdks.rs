//! The requests that providers' own packages send for an identity token, and those of hallpass with the matching
//! preset: both go to the providers' real hosts, whose part a proxy of the test plays.

use std::collections::BTreeMap;
use std::process::Command;

use crate::identity::{Workload, jwt};
use crate::machine::{Machine, Ran};
use crate::real_servers::{actions_core, found, identity_party};
use crate::server::{Reply, Request, Server};
use crate::tls::Authority;

const HOSTS: [&str; 6] = [
    "acme.cloud.databricks.com",
    "api.anthropic.com",
    "api.openai.com",
    "auth.openai.com",
    "login.microsoftonline.com",
    "sts.googleapis.com",
];

/// What HTTP itself needs.
const OF_HTTP: [&str; 4] = ["accept", "accept-encoding", "connection", "content-length"];

/// What packages say of themselves.
const TELEMETRY: [&str; 4] = [
    "client-request-id",
    "user-agent",
    "x-goog-api-client",
    "x-ms-lib-capability",
];

/// Requests a member of the response that only the package uses: MSAL's cache names accounts with it.
const FOR_THE_PACKAGE: &str = "client_info";

/// A request without order and telemetry.
#[derive(Debug, Eq, PartialEq)]
struct Comparable {
    line: String,
    headers: BTreeMap<String, String>,
    parameters: BTreeMap<String, String>,
}

impl Comparable {
    fn of(request: &Request) -> Comparable {
        let headers = request.headers.iter();
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
        let is_compared = |(name, _): &(String, String)| {
            let name = name.as_str();
            !OF_HTTP.contains(&name) && !TELEMETRY.contains(&name) && !name.starts_with("x-client-")
        };
        let headers: BTreeMap<_, _> = headers.filter(is_compared).collect();
        let mut parameters: BTreeMap<_, _> = if headers["content-type"] == "application/json" {
            serde_json::from_slice(&request.body).expect("an object of texts")
        } else {
            request.form().into_iter().collect()
        };
        parameters.remove(FOR_THE_PACKAGE);
        Comparable {
            line: format!("{} {}", request.method, request.target),
            headers,
            parameters,
        }
    }
}

/// What each host says.
fn answer(request: &Request) -> Reply {
    if request.method == "POST" {
        return Reply::token("token-1", 3600);
    }
    let host = request.header("host").expect("a host");
    let endpoints = match host {
        "login.microsoftonline.com" => Some("acme.example/oauth2/v2.0"),
        "acme.cloud.databricks.com" => Some("oidc/v1"),
        _ => None,
    };
    match endpoints {
        Some(path) => Reply::json(
            200,
            format!(
                r#"{{"issuer":"https://{host}/","oidc_endpoint":"https://{host}/oidc","authorization_endpoint":"https://{host}/{path}/authorize","token_endpoint":"https://{host}/{path}/token"}}"#
            ),
        ),
        None => Reply::json(200, r#"{"object":"list","data":[]}"#),
    }
}

#[test]
fn the_presets_of_identities_send_what_the_providers_own_packages_send() {
    let authority = Authority::new();
    let proxy = Server::start_in_place_of_all(&authority.identity(&HOSTS), answer);
    let mut machine = Machine::new();
    let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
    let ca = ca.to_str().expect("UTF-8");
    let identity = machine.private_file("identity", jwt("workload").as_bytes());
    let identity = identity.to_str().expect("UTF-8");
    for name in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"] {
        machine.set(name, ca);
    }
    machine.set("HTTPS_PROXY", &proxy.url(""));
    let source = format!("file:{identity}");
    let mut differences = Vec::new();
    for (package, preset, options) in ROWS {
        let seen = proxy.requests().len();
        let sent = |seen: usize| {
            let mut requests = proxy.requests().split_off(seen);
            requests.retain(|request| request.method == "POST");
            assert_eq!(requests.len(), 1, "{package}");
            requests.remove(0)
        };
        let mut program = identity_party("request_token.py");
        run(&machine, program.args([package, identity]));
        let theirs = Comparable::of(&sent(seen));
        let seen = proxy.requests().len();
        let login = [
            "login",
            package,
            "--provider",
            preset,
            "--identity",
            &source,
        ];
        machine.run(&[&login[..], options].concat()).success();
        let ours = Comparable::of(&sent(seen));
        if ours != theirs {
            differences.push(format!("{package}: {theirs:#?}\nhallpass: {ours:#?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Runs a program with the environment of a machine, and its own.
#[track_caller]
fn run(machine: &Machine, program: &Command) -> Ran {
    let mut command = machine.command(program.get_program());
    command.args(program.get_args());
    for (name, value) in program.get_envs() {
        command.env(name, value.expect("a value"));
    }
    let name = program.get_program().to_string_lossy();
    Ran::from(found(command.output(), &name, "python3 and python3-venv")).success()
}

/// A package, the preset for the same provider, and the options that give what only the user knows.
const ROWS: [(&str, &str, &[&str]); 5] = [
    (
        "msal",
        "entra",
        &[
            "--set",
            "tenant=acme.example",
            "--set",
            "resource=https://api.example",
            "--client-id",
            "client:one",
        ],
    ),
    (
        "google-auth",
        "google-wif",
        &[
            "--set",
            "project=12",
            "--set",
            "pool=ci",
            "--set",
            "provider=github",
        ],
    ),
    (
        "openai",
        "openai-wif",
        &[
            "--set",
            "identity_provider=idp_1",
            "--set",
            "service_account=sa",
        ],
    ),
    (
        "anthropic",
        "anthropic-wif",
        &[
            "--set",
            "rule=fdrl_1",
            "--set",
            "organization=org",
            "--set",
            "service_account=svac_1",
        ],
    ),
    (
        "databricks-sdk",
        "databricks-wif",
        &["--set", "host=acme.cloud.databricks.com"],
    ),
];

#[test]
fn github_gets_the_request_that_its_own_package_sends() {
    let mut workload = Workload::new();
    let server = Server::start(|_| Reply::token("token-1", 3600));
    // The double that the other tests have takes it, too.
    let ran = run(&workload.machine, actions_core().arg("api://exchange"));
    assert_eq!(ran.stdout.lines().last(), Some(&*jwt("github")));
    for audience in ["api://exchange", "https://a.example/?b=c d&e=f+g%20ü#h"] {
        let github = Server::start(|_| {
            Reply::json(200, format!(r#"{{"count":1,"value":"{}"}}"#, jwt("github")))
        });
        let url = github.url("/id/1/idtoken/2?api-version=2.0");
        workload.machine.set("ACTIONS_ID_TOKEN_REQUEST_URL", &url);
        run(&workload.machine, actions_core().arg(audience));
        let source = format!("github:{audience}");
        let login = workload.login(&server, &source, &["--client-id", "c"]);
        login.success();
        let [theirs, ours] = &github.requests()[..] else {
            panic!("two requests");
        };
        assert_eq!(ours.method, theirs.method);
        assert_eq!(ours.target, theirs.target);
        assert_eq!(ours.body, theirs.body);
        assert!(ours.header("authorization").is_some());
        for header in ["accept", "authorization", "host"] {
            assert_eq!(ours.header(header), theirs.header(header), "{header}");
        }
    }
}

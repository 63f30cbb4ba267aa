//! What is sent with each provider's preset, and from the environment only.

use crate::machine::{CLIENT_ID, Machine, Ran, SECRET, numbered_tokens};
use crate::server::{Reply, Request, Server};

/// A preset, the answers to its questions, and the parameters that it sends besides the client's.
const ROWS: [(&str, &[&str], &str); 13] = [
    (
        "adobe",
        &["scopes=openid,AdobeID"],
        "grant_type=client_credentials&scope=openid%2CAdobeID",
    ),
    (
        "auth0",
        &["domain=acme.eu.auth0.com", "audience=https://api.example/"],
        "grant_type=client_credentials&audience=https%3A%2F%2Fapi.example%2F",
    ),
    (
        "blooma",
        &["base_url=acme.blooma.ai"],
        r#""audience":"https://acme.blooma.ai/api/""#,
    ),
    (
        "cognito",
        &["domain=acme.example"],
        "grant_type=client_credentials",
    ),
    (
        "entra",
        &["tenant=acme.example", "resource=https://api.example/"],
        "grant_type=client_credentials&scope=https%3A%2F%2Fapi.example%2F%2F.default",
    ),
    (
        "keycloak",
        &["host=sso.example:8443", "realm=acme"],
        "grant_type=client_credentials",
    ),
    (
        "okta",
        &["domain=acme.okta.com", "server=default", "scopes=a b"],
        "grant_type=client_credentials&scope=a%20b",
    ),
    (
        "paypal",
        &["host=api-m.paypal.com"],
        "grant_type=client_credentials",
    ),
    (
        "salesforce",
        &["domain=acme.my.salesforce.com"],
        "grant_type=client_credentials",
    ),
    (
        "sap",
        &["subdomain=acme", "region=eu10"],
        "grant_type=client_credentials",
    ),
    ("spotify", &[], "grant_type=client_credentials"),
    ("x", &[], "grant_type=client_credentials"),
    (
        "zoom",
        &["account_id=7"],
        "grant_type=account_credentials&account_id=7",
    ),
];

/// A preset, its answers, and the whole body that it sends with the identity token `IDENTITY`: the
/// one of the provider's own packages, but for the order of parameters.
const IDENTITY_ROWS: [(&str, &[&str], &str); 4] = [
    (
        "anthropic-wif",
        &["rule=fdrl_1", "organization=org", "service_account=svac_1"],
        r#"{"assertion":"IDENTITY","federation_rule_id":"fdrl_1","grant_type":"urn:ietf:params:oauth:grant-type:jwt-bearer","organization_id":"org","service_account_id":"svac_1"}"#,
    ),
    (
        "databricks-wif",
        &["host=acme.cloud.databricks.com"],
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&scope=all-apis&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&subject_token=IDENTITY",
    ),
    (
        "google-wif",
        &["project=12", "pool=ci", "provider=github"],
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&scope=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform&audience=%2F%2Fiam.googleapis.com%2Fprojects%2F12%2Flocations%2Fglobal%2FworkloadIdentityPools%2Fci%2Fproviders%2Fgithub&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&subject_token=IDENTITY",
    ),
    (
        "openai-wif",
        &["identity_provider=idp_1", "service_account=sa"],
        r#"{"grant_type":"urn:ietf:params:oauth:grant-type:token-exchange","identity_provider_id":"idp_1","service_account_id":"sa","subject_token":"IDENTITY","subject_token_type":"urn:ietf:params:oauth:token-type:jwt"}"#,
    ),
];

/// These take the secret in the body; the others take it in the header.
const IN_THE_BODY: [&str; 5] = ["adobe", "auth0", "blooma", "entra", "salesforce"];

#[track_caller]
fn assert_sent(request: &Request, preset: &str, parameters: &str) {
    let text = request.text();
    if preset == "blooma" {
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert!(text.contains(parameters), "{preset}: {text}");
    } else {
        assert!(text.starts_with(parameters), "{preset}: {text}");
    }
    let in_the_body = IN_THE_BODY.contains(&preset);
    let has_secret = text.contains("client_secret");
    assert_eq!(has_secret, in_the_body, "{preset}: {text}");
    let has_header = request.header("authorization").is_some();
    assert_eq!(has_header, !in_the_body, "{preset}");
    if !in_the_body {
        assert_eq!(text, parameters, "{preset}");
    }
}

#[test]
fn each_preset_sends_the_request_of_its_provider() {
    let server = Server::start(numbered_tokens());
    let url = server.url("/oauth/token");
    for (preset, answers, parameters) in ROWS {
        let machine = Machine::new();
        let mut arguments = vec!["login", "--provider", preset, "--token-url", &url];
        arguments.extend(answers.iter().flat_map(|answer| ["--set", answer]));
        arguments.extend(["--client-id", CLIENT_ID]);
        let secret = machine.private_file("secret", SECRET.as_bytes());
        arguments.extend(["--secret-file", secret.to_str().expect("UTF-8")]);
        machine.run(&arguments).success();
        let request = server.requests().pop().expect("a request");
        assert_sent(&request, preset, parameters);
    }
    let listed = Machine::new()
        .run(&["login", "--provider", "help"])
        .success();
    let names = listed.stdout.lines().filter(|line| !line.starts_with(' '));
    let names: Vec<_> = names.filter_map(|line| line.split(' ').next()).collect();
    // The org server of Okta takes only keys, and the others only identities: see below.
    let known = ROWS.map(|(preset, ..)| preset);
    let rest: Vec<_> = names.iter().filter(|name| !known.contains(name)).collect();
    let identities = IDENTITY_ROWS.map(|(preset, ..)| preset);
    assert_eq!(
        rest,
        [
            &identities[0],
            &identities[1],
            &identities[2],
            &"okta-org",
            &identities[3]
        ]
    );
}

#[test]
fn the_preset_of_oktas_own_apis_signs_an_assertion_and_names_the_setting_that_okta_needs() {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    let key = machine.root().join("key.pem");
    let key = key.to_str().expect("UTF-8");
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["genrsa", "-out", key, "2048"]);
    crate::support::ran(openssl).success();
    let url = server.url("/oauth2/v1/token");
    let answers = [
        "--set",
        "domain=acme.okta.com",
        "--set",
        "scopes=okta.users.read",
    ];
    let login = ["login", "--provider", "okta-org", "--token-url", &url];
    let rest = ["--client-id", CLIENT_ID, "--jwt-key", key];
    let ran = machine
        .run(&[&login[..], &answers, &rest].concat())
        .success();
    assert!(ran.stderr.contains("Proof of Possession (DPoP)"), "{ran:?}");
    // An app for which it is turned off issues bearer tokens.
    assert!(ran.stderr.contains("DPoP is turned off"), "{ran:?}");
    let requests = server.requests();
    let has_proof = requests.iter().map(|it| it.header("dpop").is_some());
    assert_eq!(has_proof.collect::<Vec<_>>(), [true, false]);
    for text in requests.iter().map(Request::text) {
        assert!(text.contains("scope=okta.users.read"), "{text}");
        assert!(text.contains("client_assertion="), "{text}");
    }
    // Okta's default: no grant fails.
    let server = Server::start(|request| match request.header("dpop") {
        Some(_) => Reply::json(
            200,
            r#"{"access_token":"t","token_type":"DPoP","expires_in":60}"#,
        ),
        None => Reply::json(400, r#"{"error":"invalid_dpop_proof"}"#),
    });
    let url = server.url("/oauth2/v1/token");
    let login = [
        "login",
        "okta",
        "--provider",
        "okta-org",
        "--token-url",
        &url,
    ];
    let ran = machine.run(&[&login[..], &answers, &rest].concat());
    assert!(!ran.success().stderr.contains("turned off"));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn the_presets_of_federated_identities_send_the_requests_of_the_providers_own_packages() {
    let server = Server::start(numbered_tokens());
    let url = server.url("/oauth/token");
    let token = crate::identity::jwt("workload");
    for (preset, answers, body) in IDENTITY_ROWS {
        let mut machine = Machine::new();
        machine.set("ID_TOKEN", &token);
        let mut arguments = vec!["login", "--provider", preset, "--token-url", &url];
        arguments.extend(answers.iter().flat_map(|answer| ["--set", answer]));
        let ran = machine.run(&arguments).failure(2);
        assert!(ran.stderr.contains("--identity file:PATH"), "{ran:?}");
        arguments.extend(["--identity", "env:ID_TOKEN"]);
        let ran = machine.run(&arguments).success();
        assert!(
            ran.stderr.contains("the identity from env:ID_TOKEN"),
            "{ran:?}"
        );
        let answers = answers.join("\n");
        let variables = [
            ("HALLPASS_PROVIDER", preset),
            ("HALLPASS_SET", &answers),
            ("HALLPASS_TOKEN_URL", &url),
            ("HALLPASS_IDENTITY", "env:ID_TOKEN"),
            ("ID_TOKEN", &token),
        ];
        with_environment(&mut Machine::new(), &variables).success();
        let requests = server.requests();
        for request in &requests[requests.len() - 2..] {
            assert_eq!(request.header("authorization"), None);
            let has_header = request.header("anthropic-beta").is_some();
            assert_eq!(has_header, preset == "anthropic-wif");
            assert_eq!(request.text().replace(&token, "IDENTITY"), body, "{preset}");
        }
    }
}

/// Presets whose servers also take an identity token as the client's assertion.
#[test]
fn a_preset_for_secrets_takes_an_identity_instead() {
    let server = Server::start(numbered_tokens());
    let url = server.url("/oauth/token");
    let mut machine = Machine::new();
    machine.set("ID_TOKEN", &crate::identity::jwt("workload"));
    for (preset, answers) in [
        (
            "entra",
            &["tenant=acme.example", "resource=https://api.example"][..],
        ),
        ("keycloak", &["host=sso.example", "realm=acme"]),
    ] {
        let mut arguments = vec!["login", preset, "--provider", preset, "--token-url", &url];
        arguments.extend(answers.iter().flat_map(|answer| ["--set", answer]));
        arguments.extend(["--client-id", CLIENT_ID, "--identity", "env:ID_TOKEN"]);
        machine.run(&arguments).success();
        let form = server.requests().pop().expect("a request").form();
        let mut names: Vec<_> = form.iter().map(|(name, _)| name.as_str()).collect();
        names.retain(|name| *name != "scope");
        assert_eq!(
            names,
            [
                "grant_type",
                "client_id",
                "client_assertion_type",
                "client_assertion"
            ]
        );
    }
}

fn with_environment(machine: &mut Machine, variables: &[(&str, &str)]) -> Ran {
    for (name, value) in variables {
        machine.set(name, value);
    }
    machine.run(&["token"])
}

#[test]
fn the_environment_may_name_a_preset() {
    let server = Server::start(numbered_tokens());
    let url = server.url("/oauth/token");
    for (preset, answers, parameters) in ROWS {
        let answers = answers.join("\n");
        let variables = [
            ("HALLPASS_PROVIDER", preset),
            ("HALLPASS_SET", &answers),
            ("HALLPASS_TOKEN_URL", &url),
            ("HALLPASS_CLIENT_ID", CLIENT_ID),
            ("HALLPASS_CLIENT_SECRET", SECRET),
        ];
        with_environment(&mut Machine::new(), &variables).success();
        let request = server.requests().pop().expect("a request");
        assert_sent(&request, preset, parameters);
    }
    // The variables of one setting win over the preset.
    let variables = [
        ("HALLPASS_PROVIDER", "auth0"),
        ("HALLPASS_SET", "domain=acme.eu.auth0.com"),
        ("HALLPASS_AUDIENCE", "urn:mine"),
        ("HALLPASS_AUTH", "client_secret_basic"),
        ("HALLPASS_TOKEN_URL", &url),
        ("HALLPASS_CLIENT_ID", CLIENT_ID),
        ("HALLPASS_CLIENT_SECRET", SECRET),
    ];
    with_environment(&mut Machine::new(), &variables).success();
    let request = server.requests().pop().expect("a request");
    assert_eq!(
        request.text(),
        "grant_type=client_credentials&audience=urn%3Amine"
    );
    assert!(request.header("authorization").is_some());
}

#[test]
fn a_preset_of_the_environment_says_what_it_still_needs() {
    let client = [
        ("HALLPASS_CLIENT_ID", CLIENT_ID),
        ("HALLPASS_CLIENT_SECRET", SECRET),
    ];
    for (variables, message) in [
        (
            &[("HALLPASS_PROVIDER", "auth0")][..],
            "preset auth0 needs domain in HALLPASS_SET",
        ),
        (
            &[("HALLPASS_PROVIDER", "nobody")],
            "HALLPASS_PROVIDER is not the name of a preset",
        ),
        (
            &[("HALLPASS_PROVIDER", "spotify"), ("HALLPASS_SET", "a=b")],
            "has no setting \"a\"; it takes none",
        ),
        (
            &[
                ("HALLPASS_PROVIDER", "cognito"),
                ("HALLPASS_SET", "domain=a@b"),
            ],
            "domain: ",
        ),
        (
            &[
                ("HALLPASS_TOKEN_URL", "https://a.example/"),
                ("HALLPASS_SET", "a=b"),
            ],
            "HALLPASS_SET is set but HALLPASS_PROVIDER is not",
        ),
        (
            &[
                ("HALLPASS_PROVIDER", "okta-org"),
                ("HALLPASS_SET", "domain=a.example\nscopes=b"),
            ],
            "needs HALLPASS_JWT_KEY",
        ),
    ] {
        let ran = with_environment(&mut Machine::new(), &[&client[..], variables].concat());
        let ran = ran.failure(2);
        assert!(ran.stderr.contains(message), "{message}: {ran:?}");
    }
    let only = [("HALLPASS_PROVIDER", "spotify")];
    let ran = with_environment(&mut Machine::new(), &only).failure(2);
    let message = "HALLPASS_PROVIDER is set but HALLPASS_CLIENT_ID is not";
    assert!(ran.stderr.contains(message), "{ran:?}");
}

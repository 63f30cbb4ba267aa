//! Clouds and clusters.

use std::fs;

use serde_json::{Value, json};

use super::{AWKWARD, QUOTES, Recipe, commands, settings_and_commands};
use crate::clients::{Demands, Site, shown};
use crate::real_servers::python_program;
use crate::server::{Reply, Server};

#[test]
fn kubectl_reads_the_user_of_its_settings() {
    use crate::tls::Authority;
    let authority = Authority::new();
    let identity = authority.identity(&["127.0.0.1", "localhost"]);
    let cluster = Server::start_tls(&identity, |request| match shown(request, Demands::Bearer) {
        Some(_) => Reply::json(200, r#"{"major":"1"}"#),
        None => Reply::json(401, r#"{"kind":"Status","status":"Failure","code":401}"#),
    });
    let nothing = |_: &_| Reply::new(200);
    for recipe in Recipe::each_at("kubectl", AWKWARD, Demands::Bearer, nothing, |_| {
        cluster.url("")
    }) {
        if !recipe.compiled_client("kubectl") {
            return;
        }
        let ca = recipe
            .machine
            .private_file("ca.pem", authority.pem().as_bytes());
        let settings = format!(
            "apiVersion: v1\nkind: Config\n\
            clusters: [{{ name: k, cluster: {{ certificate-authority: \"{}\" }} }}]\n{}",
            ca.display(),
            recipe.text,
        );
        let file = recipe
            .machine
            .private_file("kubeconfig", settings.as_bytes());
        let user = if recipe.variables.is_empty() {
            "prod"
        } else {
            "hallpass"
        };
        let urls = [
            cluster.url(""),
            cluster.url("").replace("127.0.0.1", "localhost"),
        ];
        for url in &urls[..recipe.urls("").len()] {
            let line = format!(
                "kubectl --kubeconfig '{}' --cluster k --user {user} --server {url} get --raw /version",
                file.display()
            );
            assert!(recipe.shell("sh", &line).success().stdout.contains("major"));
        }
        recipe.used_one_token();
    }
}

#[test]
fn googles_library_runs_the_command() {
    let site = Site::start(Demands::Bearer, |_| Reply::new(200));
    let text = site.setup(AWKWARD, &["google"]);
    let source = text
        .lines()
        .find(|line| line.starts_with('"'))
        .expect("a member");
    let exports = text
        .lines()
        .find(|line| line.starts_with("export"))
        .expect("a variable");
    let settings = format!("{{{source}}}");
    let settings = site
        .machine
        .private_file("google.json", settings.as_bytes());
    let script = "import json, sys
from google.auth import pluggable
credentials = pluggable.Credentials(
    audience='//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x',
    subject_token_type='urn:ietf:params:oauth:token-type:jwt',
    token_url='https://sts.googleapis.com/v1/token',
    **json.load(open(sys.argv[1])))
print(credentials.retrieve_subject_token(None))
";
    let program = site.machine.private_file("script.py", script.as_bytes());
    let python = python_program("python");
    let line = format!(
        "{exports}\n'{}' '{}' '{}'",
        python.display(),
        program.display(),
        settings.display()
    );
    assert_eq!(site.shell("sh", &line).success().stdout, "token-1\n");
}

fn each(tool: &str) -> [Recipe; 2] {
    Recipe::each(tool, AWKWARD, "/", Demands::Bearer, |_| {
        Reply::json(200, "{}")
    })
}

/// The value that a form of a request has by this name.
fn form_value(server: &Server, name: &str) -> Option<String> {
    let requests = server.requests();
    let mut pairs = requests.iter().flat_map(crate::server::Request::form);
    pairs
        .find(|(found, _)| found == name)
        .map(|(_, value)| value)
}

#[test]
fn aws_exchanges_the_token_in_the_file() {
    for recipe in each("aws") {
        let sts = Server::start(|request| {
            let name = "AssumeRoleWithWebIdentity";
            let body = if request.text().contains(name) {
                format!(
                    "<{name}Response><{name}Result><Credentials><AccessKeyId>A</AccessKeyId>\
                     <SecretAccessKey>S</SecretAccessKey><SessionToken>T</SessionToken>\
                     <Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></{name}Result></{name}Response>"
                )
            } else {
                "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>1</Account>\
                 </GetCallerIdentityResult></GetCallerIdentityResponse>"
                    .to_owned()
            };
            Reply::new(200)
                .header("Content-Type", "text/xml")
                .body(body)
        });
        recipe.python_client("aws", "");
        let (keep, variables) = settings_and_commands(&recipe.text);
        let _kept = recipe.keep(&commands(keep));
        let script = format!(
            "{variables}\nexport AWS_ENDPOINT_URL_STS={} AWS_DEFAULT_REGION=eu-west-1\naws sts get-caller-identity",
            sts.url("")
        );
        recipe.shell("sh", &script).success();
        assert_eq!(form_value(&sts, "WebIdentityToken"), Some(recipe.token()));
        recipe.used_one_token();
    }
}

#[test]
fn azures_library_presents_the_token_in_the_file() {
    use crate::tls::Authority;
    let authority = Authority::new();
    for recipe in each("azure") {
        let entra = Server::start_tls(&authority.identity(&["127.0.0.1"]), |request| {
            let base = format!("https://{}", request.header("host").unwrap_or_default());
            let body = if request.method == "POST" {
                json!({ "access_token": "azure", "token_type": "Bearer", "expires_in": 3600 })
            } else {
                json!({ "issuer": format!("{base}/TENANT/v2.0"), "token_endpoint": format!("{base}/token"),
                    "authorization_endpoint": format!("{base}/authorize") })
            };
            Reply::json(200, body.to_string())
        });
        let ca = recipe.project_file("ca.pem", &authority.pem());
        let (url, ca) = (entra.url(""), ca.display());
        let (keep, variables) = settings_and_commands(&recipe.text);
        let _kept = recipe.keep(&commands(keep));
        let variables =
            format!("{variables}\nexport AZURE_AUTHORITY_HOST={url} REQUESTS_CA_BUNDLE='{ca}'");
        let script = "from azure.identity import WorkloadIdentityCredential\n\
            credential = WorkloadIdentityCredential(disable_instance_discovery=True)\n\
            print(credential.get_token('https://a.example/.default').token)\n";
        let printed = recipe.python(&variables, script).success().stdout;
        assert_eq!(printed, "azure\n");
        assert_eq!(form_value(&entra, "client_assertion"), Some(recipe.token()));
        recipe.used_one_token();
    }
}

#[test]
fn databricks_runs_the_script_in_place_of_its_command_line() {
    for recipe in each("databricks") {
        let (file, commands) = settings_and_commands(&recipe.text);
        let (_, file) = file.split_once('\n').expect("a script");
        let path = recipe.machine.home().join("hallpass-databricks");
        fs::write(path, file).expect("a script");
        let (commands, other) = commands.split_once("\n\n").expect("two ways");
        let host = format!("\nexport DATABRICKS_HOST={}\n", recipe.server.url(""));
        let commands = commands.to_owned() + &host;
        let script = "from databricks.sdk import WorkspaceClient\n\
            WorkspaceClient().api_client.do('GET', '/api/test')\n";
        recipe.python(&commands, script).success();
        recipe.python_client("python", "-B script.py");
        recipe.script("PROGRAM", "#!/bin/sh\nexec python\n");
        recipe.shell("sh", &(host + other)).success();
        let mut requests = recipe.accepted();
        requests.retain(|request| request.target == "/api/test");
        assert_eq!(requests.len(), 2);
        recipe.used_one_token();
    }
}

#[test]
fn gcloud_finds_the_file() {
    for recipe in each("gcloud") {
        let (keep, variables) = settings_and_commands(&recipe.text);
        let _kept = recipe.keep(&commands(keep));
        let script = variables.to_owned() + "\ncat \"$CLOUDSDK_AUTH_ACCESS_TOKEN_FILE\"";
        let printed = recipe.shell("sh", &script).success().stdout;
        assert_eq!(printed, recipe.token());
    }
}

/// Terraform reads strings like those of JSON, with `$${` for a dollar sign and a brace.
#[test]
fn terraforms_external_program_prints_a_map_of_strings() {
    for directory in [AWKWARD, QUOTES, "${a}%{b}"] {
        for recipe in Recipe::each(
            "terraform-external",
            directory,
            "/",
            Demands::Bearer,
            |_| Reply::new(200),
        ) {
            let (settings, command) = settings_and_commands(&recipe.text);
            let block = commands(settings);
            let list = block
                .split("program = ")
                .nth(1)
                .and_then(|rest| rest.lines().next());
            let list = list
                .expect("a list")
                .replace("$${", "${")
                .replace("%%{", "%{");
            let words: Vec<String> = serde_json::from_str(&list).expect("strings");
            let mut program = recipe.command(&words[0]);
            program.args(&words[1..]);
            let printed: Value = crate::support::ran(program).success().json();
            assert_eq!(printed, json!({ "token": recipe.token() }));
            recipe.script("terraform", "#!/bin/sh\nprintenv TF_VAR_token\n");
            let printed = recipe.shell("sh", command).success().token();
            assert_eq!(printed, recipe.token());
        }
    }
}

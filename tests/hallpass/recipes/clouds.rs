//! Clouds and clusters.

use super::AWKWARD;
use crate::clients::{Demands, Site};
use crate::real_servers::python_program;
use crate::server::{Reply, Server};

#[test]
fn kubectl_reads_the_user_of_its_settings() {
    use crate::tls::Authority;
    let authority = Authority::new();
    let identity = authority.identity(&["127.0.0.1"]);
    let cluster = Server::start_tls(&identity, |request| match request.header("authorization") {
        Some("Bearer token-1") => Reply::json(200, r#"{"major":"1"}"#),
        _ => Reply::json(401, r#"{"kind":"Status","status":"Failure","code":401}"#),
    });
    let site = Site::start(Demands::Bearer, |_| Reply::new(200));
    site.machine
        .run(&["bind", "prod", &cluster.url("")])
        .success();
    let ca = site
        .machine
        .private_file("ca.pem", authority.pem().as_bytes());
    let settings = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
        contexts: [{{ name: c, context: {{ cluster: k, user: prod }} }}]\n\
        clusters: [{{ name: k, cluster: {{ server: \"{}\", certificate-authority: \"{}\" }} }}]\n{}",
        cluster.url(""),
        ca.display(),
        // Clients of that age know it under this name only.
        site.setup(AWKWARD, &["kubectl"])
            .replace("k8s.io/v1\n", "k8s.io/v1beta1\n"),
    );
    let file = site.machine.private_file("kubeconfig", settings.as_bytes());
    let file = file.to_str().expect("UTF-8");
    let get = ["--kubeconfig", file, "get", "--raw", "/version"];
    assert!(site.run("kubectl", &get).success().stdout.contains("major"));
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

//! Clients that `PyPI` has as compiled programs, for x86-64.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::data::Double;
use super::{AWKWARD, Recipe, commands, settings_and_commands};
use crate::clients::{Demands, shown};
use crate::server::{Reply, Request, Server};
use crate::support::ran;
use crate::tls::Authority;

#[test]
fn k6_reads_the_variable() {
    let content = |_: &_| Reply::json(200, "{}");
    for recipe in Recipe::each("k6", AWKWARD, "/it/", Demands::Bearer, content) {
        if !recipe.compiled_client("k6") {
            return;
        }
        let (requests, command) = settings_and_commands(&recipe.text);
        let script =
            format!("import http from 'k6/http';\nexport default () => {{\n{requests}}};\n");
        recipe.project_file("FILE", &script);
        recipe.shell("sh", command).success();
        assert_eq!(recipe.accepted().len(), recipe.urls("").len());
        recipe.used_one_token();
    }
}

#[test]
fn grpcurl_expands_the_variable_in_the_header() {
    let mut server = Double::start("grpc");
    let url = format!("http://127.0.0.1:{}", server.port);
    let nothing = |_: &_| Reply::new(200);
    for recipe in Recipe::each_at("grpcurl", AWKWARD, Demands::Bearer, nothing, |_| {
        url.clone()
    }) {
        if !recipe.compiled_client("grpcurl") {
            return;
        }
        let printed = recipe.shell("sh", &recipe.text).success().stdout;
        assert_eq!(printed, "a.Search\n".repeat(recipe.urls("").len()));
        for _ in recipe.urls("") {
            assert_eq!(server.received(), recipe.header());
        }
        recipe.used_one_token();
    }
}

#[test]
fn fnox_gets_its_lease_from_the_command() {
    let nothing = |_: &_| Reply::new(200);
    for recipe in Recipe::each("fnox", AWKWARD, "/", Demands::Bearer, nothing) {
        if !recipe.compiled_client("fnox") {
            return;
        }
        let (settings, command) = settings_and_commands(&recipe.text);
        recipe.project_file("fnox.toml", settings);
        recipe.script("PROGRAM", "#!/bin/sh\nprintenv HALLPASS_TOKEN\n");
        let printed = recipe.shell("sh", command).success().stdout;
        assert_eq!(printed, format!("{}\n", recipe.token()));
        recipe.used_one_token();
    }
}

/// What kubectl asks a cluster before it applies a secret.
fn cluster(request: &Request) -> Reply {
    let path = request.target.split('?').next().unwrap_or_default();
    let secret = "/api/v1/namespaces/{namespace}/secrets/{name}";
    let answer = match (&*request.method, path) {
        ("PATCH", "/api/v1/namespaces/default/secrets/hallpass-token") => {
            return Reply::json(200, request.body.clone());
        }
        ("GET", "/api") => json!({ "kind": "APIVersions", "versions": ["v1"] }),
        ("GET", "/apis") => json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [] }),
        ("GET", "/api/v1") => json!({ "kind": "APIResourceList", "groupVersion": "v1",
            "resources": [{ "name": "secrets", "singularName": "secret", "namespaced": true,
                "kind": "Secret", "verbs": ["get", "patch"] }] }),
        ("GET", "/openapi/v3") => {
            json!({ "paths": { "api/v1": { "serverRelativeURL": "/schema" } } })
        }
        ("GET", "/schema") => json!({ "openapi": "3.0.0", "info": { "title": "", "version": "" },
            "paths": { secret: { "patch": { "responses": {},
                "parameters": [{ "name": "fieldValidation", "in": "query" }],
                "x-kubernetes-group-version-kind":
                    { "group": "", "version": "v1", "kind": "Secret" } } } } }),
        _ => return Reply::json(404, r#"{"kind":"Status","status":"Failure","code":404}"#),
    };
    Reply::json(200, answer.to_string())
}

#[test]
fn kubectl_applies_the_secret_when_it_changed() {
    let nothing = |_: &_| Reply::new(200);
    for recipe in Recipe::each("kubernetes", AWKWARD, "/", Demands::Bearer, nothing) {
        if !recipe.compiled_client("kubectl") {
            return;
        }
        let server = Server::start(cluster);
        let settings = json!({ "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{ "name": "c", "context": { "cluster": "k" } }],
            "clusters": [{ "name": "k", "cluster": { "server": server.url("") } }] });
        let file = recipe.directory("home/.kube").join("config");
        fs::write(file, settings.to_string()).expect("kubectl's settings");
        let (keep, _) = recipe.text.split_once("\n\n").expect("a command");
        let _kept = recipe.keep(&commands(keep));
        let mut requests = server.requests();
        requests.retain(|request| request.method == "PATCH");
        assert_eq!(requests.len(), 1);
        let secret: Value = serde_json::from_slice(&requests[0].body).expect("JSON");
        assert_eq!(secret["kind"], "Secret");
        assert_eq!(secret["stringData"]["token"], recipe.token());
    }
}

#[test]
fn terraform_asks_its_helper_for_a_registry_of_modules() {
    let authority = Authority::new();
    let module = tempfile::tempdir().expect("a directory");
    fs::write(module.path().join("module.tf"), "").expect("a module");
    let mut tar = Command::new("tar");
    tar.args(["-cz", "module.tf"]).current_dir(module.path());
    let archive = tar.output().expect("tar").stdout;
    let identity = authority.identity(&["127.0.0.1"]);
    let registry = Server::start_tls(&identity, move |request| {
        let path = request.target.split('?').next().unwrap_or_default();
        match (path, shown(request, Demands::Bearer)) {
            ("/.well-known/terraform.json", _) => Reply::json(200, r#"{"modules.v1":"/m/"}"#),
            ("/m/space/name/system/versions", Some(_)) => {
                Reply::json(200, r#"{"modules":[{"versions":[{"version":"1.0.0"}]}]}"#)
            }
            ("/m/space/name/system/1.0.0/download", Some(_)) => {
                Reply::new(204).header("X-Terraform-Get", "/module.tar.gz")
            }
            ("/module.tar.gz", _) => Reply::new(200).body(archive.clone()),
            _ => Reply::new(401),
        }
    });
    let nothing = |_: &_| Reply::new(200);
    for recipe in Recipe::each_at("terraform", AWKWARD, Demands::Bearer, nothing, |_| {
        registry.url("")
    }) {
        if !recipe.compiled_client("terraform") {
            return;
        }
        recipe.setup(AWKWARD, &["links"]);
        let settings = recipe.machine.home().join(".terraformrc");
        fs::write(settings, &recipe.text).expect("Terraform's settings");
        let source = registry.url("/space/name/system").replace("https://", "");
        let module =
            format!("module \"m\" {{\n  source  = \"{source}\"\n  version = \"1.0.0\"\n}}\n");
        recipe.project_file("main.tf", &module);
        let ca = recipe
            .machine
            .private_file("ca.pem", authority.pem().as_bytes());
        let line = format!(
            "SSL_CERT_FILE='{}' terraform init -input=false",
            ca.display()
        );
        recipe.shell("sh", &line).success();
        let requests = registry.requests();
        let download = requests
            .iter()
            .rfind(|request| request.target.contains("1.0.0/download"));
        let header = download.and_then(|request| request.header("authorization"));
        assert_eq!(header, Some(&*recipe.header()));
        recipe.used_one_token();
    }
}

/// A registry with one chart.
fn charts(request: &Request) -> Reply {
    let digest = |content: &str| {
        let digest = ring::digest::digest(&ring::digest::SHA256, content.as_bytes());
        let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
        format!("sha256:{}", digits.collect::<String>())
    };
    let config = r#"{"apiVersion":"v2","name":"app","version":"1.0.0"}"#;
    let chart = "a chart";
    let blob = |kind: &str, content: &str| {
        json!({ "mediaType": format!("application/vnd.cncf.helm.{kind}"),
            "digest": digest(content), "size": content.len() })
    };
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({ "schemaVersion": 2, "mediaType": kind,
        "config": blob("config.v1+json", config),
        "layers": [blob("chart.content.v1.tar+gzip", chart)] });
    let manifest = manifest.to_string();
    for (content, kind) in [
        (config, "application/octet-stream"),
        (chart, "application/octet-stream"),
        (&manifest, kind),
    ] {
        let is_tag = kind.contains("manifest") && request.target.ends_with("/manifests/1.0.0");
        if is_tag || request.target.ends_with(&digest(content)) {
            return Reply::new(200)
                .header("Content-Type", kind)
                .header("Docker-Content-Digest", &digest(content))
                .body(content);
        }
    }
    Reply::json(200, r#"{"name":"app","tags":["1.0.0"]}"#)
}

#[test]
fn helm_runs_the_helper_of_docker() {
    for recipe in Recipe::each("docker", AWKWARD, "", Demands::Basic, charts) {
        if !recipe.compiled_client("helm") {
            return;
        }
        let file = recipe.directory("home/.docker").join("config.json");
        fs::write(file, commands(&recipe.text)).expect("a file");
        let bin = recipe.directory("bin");
        recipe.setup(AWKWARD, &["links", "--dir", bin.to_str().expect("UTF-8")]);
        for url in recipe.urls("/app") {
            let chart = url.replace("http://", "oci://");
            let mut helm = recipe.command("helm");
            helm.args(["pull", &chart, "--version", "1.0.0", "--plain-http"])
                .current_dir(recipe.directory("project"));
            ran(helm).success();
        }
        assert!(recipe.directory("project").join("app-1.0.0.tgz").exists());
        recipe.used_one_token();
    }
}

//! Package managers and registries.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use super::{AWKWARD, QUOTES, Recipe, commands, settings_and_commands};
use crate::clients::{
    Demands, NPM_PROJECT, Site, crate_archive, index, npm_registry, registry, rustup_home, shown,
};
use crate::machine::HALLPASS;
use crate::real_servers::{go_program, node_program, npm_program, pnpm_program, python_program};
use crate::server::{Reply, Server};
use crate::support::ran;

#[test]
fn docker_and_skopeo_run_the_link_that_was_made() {
    let site = Site::start(Demands::Basic, registry);
    let bin = site.directory("bin");
    site.machine
        .run(&["bind", "prod", "https://other.example"])
        .success();
    let links = ["--dir", bin.to_str().expect("UTF-8")];
    let text = commands(&site.setup(AWKWARD, &["docker"]));
    let printed: Value = serde_json::from_str(&text).expect("one JSON object");
    site.setup(AWKWARD, &["docker", "--write", links[0], links[1]]);
    let file = site.machine.home().join(".docker/config.json");
    let written: Value = serde_json::from_slice(&fs::read(file).expect("a file")).expect("JSON");
    assert_eq!(written, printed);
    let image = format!("{}/app:latest", site.host());
    site.run("docker", &["manifest", "inspect", "--insecure", &image])
        .success();
    let source = format!("docker://{image}");
    site.run(
        "skopeo",
        &["inspect", "--tls-verify=false", "--raw", &source],
    )
    .success();
    assert_eq!(site.issued(), 1);
}

#[test]
fn cargo_reads_one_table_for_each_url() {
    let package = crate_archive();
    let digest = ring::digest::digest(&ring::digest::SHA256, &package);
    let sum: Vec<_> = digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let sum = sum.concat();
    let site = Site::start(Demands::Bearer, move |request| {
        let base = format!("http://{}", request.header("host").unwrap_or_default());
        match request.target.as_str() {
            "/index/config.json" => Reply::json(
                200,
                json!({ "dl": format!("{base}/dl"), "auth-required": true }).to_string(),
            ),
            "/index/pr/iv/private" => Reply::new(200).body(format!(
                "{}\n",
                json!({ "name": "private", "vers": "0.1.0", "deps": [], "cksum": sum,
                    "features": {}, "yanked": false })
            )),
            "/dl/private/0.1.0/download" => Reply::new(200).body(package.clone()),
            _ => Reply::new(404),
        }
    });
    site.bind_only("/index/");
    site.machine
        .run(&["bind", "prod", "https://other.example"])
        .success();
    let settings = site.setup(AWKWARD, &["cargo"]);
    fs::write(site.directory("cargo").join("config.toml"), settings).expect("a file");
    let project = site.directory("project/src").with_file_name("");
    let manifest = "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
        [dependencies]\nprivate = { version = \"0.1\", registry = \"prod\" }\n";
    fs::write(project.join("Cargo.toml"), manifest).expect("a manifest");
    fs::write(project.join("src/lib.rs"), "").expect("a source");
    let mut cargo = site.command(env!("CARGO"));
    cargo
        .env("CARGO_HOME", site.directory("cargo"))
        .env("RUSTUP_HOME", rustup_home())
        .arg("fetch")
        .current_dir(&project);
    ran(cargo).success();
    assert_eq!(site.issued(), 1);
}

#[test]
fn go_keeps_and_runs_its_setting() {
    use crate::tls::Authority;
    let authority = Authority::new();
    let identity = authority.identity(&["127.0.0.1"]);
    let proxy = Server::start_tls(&identity, |request| {
        if shown(request, Demands::Bearer).is_none() {
            return Reply::new(401).header("WWW-Authenticate", "Bearer");
        }
        match request.target.as_str() {
            "/private.example/mod/@v/v1.0.0.info" => {
                Reply::json(200, r#"{"Version":"v1.0.0","Time":"2026-01-01T00:00:00Z"}"#)
            }
            "/private.example/mod/@v/v1.0.0.mod" => {
                Reply::new(200).body("module private.example/mod\n")
            }
            _ => Reply::new(404),
        }
    });
    let site = Site::start(Demands::Bearer, |_| Reply::new(200));
    site.machine
        .run(&["bind", "prod", &proxy.url("")])
        .success();
    let ca = site
        .machine
        .private_file("ca.pem", authority.pem().as_bytes());
    let go = go_program();
    symlink(&go, site.directory("bin").join("go")).expect("a link");
    // Go splits at semicolons, also between quotes.
    let directory = AWKWARD.replace(';', "");
    let value = || site.run("go", &["env", "GOAUTH"]).success().stdout;
    let list = |cache: &str| {
        let mut command = site.command("go");
        command
            .env("GOPROXY", proxy.url(""))
            .env("GONOSUMDB", "*")
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "-mod=mod")
            .env("GOPATH", site.directory(cache))
            .env("SSL_CERT_FILE", &ca)
            .args(["list", "-m", "private.example/mod@v1.0.0"])
            .current_dir(site.directory("project"));
        ran(command).success();
    };
    site.shell("sh", &site.setup(&directory, &["go"])).success();
    let printed = value();
    list("first");
    site.run("go", &["env", "-u", "GOAUTH"]).success();
    let default = value();
    // Once more by hallpass, with the other quotes, and with a setting that is only Go's default.
    for before in ["-u GOAUTH", "-w GOAUTH=netrc"] {
        site.run(
            "go",
            &[&["env"][..], &before.split(' ').collect::<Vec<_>>()].concat(),
        )
        .success();
        let settings = site.machine.home().join(".config/go/env");
        let kept = fs::read(&settings).expect("Go's settings");
        site.setup(QUOTES, &["go", "--write"]);
        list(before);
        site.setup(&directory, &["go", "--write"]);
        assert_eq!(value(), printed);
        site.setup(&directory, &["go", "--undo"]);
        assert_eq!(value(), default);
        assert_eq!(fs::read(&settings).expect("Go's settings"), kept);
    }
    let mut both = site.command(site.hallpass_in(AWKWARD).to_str().expect("UTF-8"));
    both.args(["setup", "go"]);
    assert!(ran(both).failure(2).stderr.contains("semicolon"));
}

#[test]
fn pip_and_uv_find_the_keyring_program() {
    let site = Site::start(Demands::Basic, index);
    site.bind_only("/simple/");
    site.setup(AWKWARD, &["links"]);
    for program in ["pip", "uv"] {
        symlink(python_program(program), site.directory("bin").join(program)).expect("a link");
    }
    let mut script = String::new();
    for line in commands(&site.setup(AWKWARD, &["pip"])).lines() {
        let name = line.split(' ').next().expect("a word");
        let to = format!("--no-deps --target by-{name} private");
        script += &line.replace("PACKAGE", &to);
        script.push('\n');
    }
    site.shell("sh", &script).success();
    for name in ["pip", "uv"] {
        let installed = site
            .directory("project")
            .join(format!("by-{name}/private.py"));
        assert!(installed.exists(), "{script}");
    }
    assert_eq!(site.issued(), 1);
}

fn private_package_is_there(site: &Site) {
    let installed = "node_modules/private/package.json";
    assert!(site.directory("project").join(installed).exists());
}

#[test]
fn npm_takes_the_token_from_a_variable() {
    for recipe in Recipe::each(
        "npm",
        AWKWARD,
        "/npm/",
        Demands::Bearer,
        npm_registry("/npm/"),
    ) {
        let (node, npm) = (node_program(), npm_program());
        let start = format!("exec '{}' '{}'", node.display(), npm.display());
        recipe.script("npm", &format!("#!/bin/sh\n{start} \"$@\"\n"));
        recipe.project_file("package.json", NPM_PROJECT);
        let (settings, command) = settings_and_commands(&recipe.text);
        for url in recipe.urls("/npm/") {
            recipe.project_file(".npmrc", &format!("registry={url}\n{settings}"));
            recipe.shell("sh", command).success();
            private_package_is_there(&recipe);
            fs::remove_dir_all(recipe.directory("project/node_modules")).expect("a directory");
        }
        recipe.used_one_token();
    }
}

#[test]
fn pnpm_runs_the_link_that_was_made() {
    let site = Site::start(Demands::Bearer, npm_registry("/npm/"));
    site.bind_only("/npm/");
    site.project_file("package.json", NPM_PROJECT);
    let settings = site.machine.home().join(".npmrc");
    let registry = format!("registry={}\n", site.server.url("/npm/"));
    fs::write(&settings, &registry).expect("pnpm's settings");
    site.setup(AWKWARD, &["pnpm", "--write"]);
    let mut pnpm = site.command(node_program().to_str().expect("UTF-8"));
    pnpm.arg(pnpm_program())
        .args(["install", "--store-dir"])
        .arg(site.directory("store"))
        .current_dir(site.directory("project"));
    ran(pnpm).success();
    private_package_is_there(&site);
    assert_eq!(site.issued(), 1);
    site.setup(AWKWARD, &["pnpm", "--undo"]);
    assert_eq!(fs::read_to_string(&settings).expect("a file"), registry);
    assert!(!site.machine.home().join(".local/bin").exists());
}

/// Bazel's words: a backslash takes the meaning from what follows, quotes hold spaces.
#[test]
fn bazel_finds_the_link() {
    let site = Site::start(Demands::Bearer, |_| Reply::new(200));
    site.machine
        .run(&["bind", "prod", "https://[::1]:8443/"])
        .success();
    for directory in [AWKWARD, QUOTES] {
        site.setup(directory, &["links"]);
        let text = commands(&site.setup(directory, &["bazel"]));
        let mut names = Vec::new();
        for line in text.lines() {
            let words = bazel_words(line);
            let [common, option] = words.as_slice() else {
                panic!("{words:?}");
            };
            assert_eq!(common, "common");
            let value = option
                .strip_prefix("--credential_helper=")
                .expect("the option");
            let (host, link) = value.split_once('=').expect("a host");
            names.push(host.to_owned());
            assert_eq!(
                fs::canonicalize(link).expect("a link"),
                fs::canonicalize(&*HALLPASS).expect("hallpass")
            );
        }
        assert_eq!(names, ["127.0.0.1", "[::1]"]);
        site.setup(directory, &["links", "--undo"]);
        let left = fs::read_dir(
            Path::new(&site.hallpass_in(directory))
                .parent()
                .expect("a directory"),
        );
        assert_eq!(left.expect("a directory").count(), 1, "only hallpass");
        assert!(!site.machine.home().join(".terraform.d").exists());
    }
}

fn bazel_words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match (c, quote) {
            ('\\', _) => word.extend(characters.next()),
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => quote = Some(c),
            ('#', None) => break,
            (' ' | '\t', None) => words.push(std::mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words.push(word);
    words
}

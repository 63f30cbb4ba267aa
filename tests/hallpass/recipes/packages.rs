//! Package managers and registries.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use super::{AWKWARD, QUOTES, Recipe, commands, settings_and_commands};
use crate::clients::{
    Demands, NPM_PROJECT, Site, crate_archive, index, npm_registry, registry, rustup_home, shown,
    wheel,
};
use crate::machine::HALLPASS;
use crate::real_servers::{go_program, node_program, npm_program, pnpm_program, python_program};
use crate::server::{Reply, Request, Server};
use crate::support::ran;

#[test]
fn docker_reads_what_is_shown() {
    for recipe in Recipe::each("docker", AWKWARD, "", Demands::Basic, registry) {
        let file = recipe.directory("home/.docker").join("config.json");
        fs::write(file, commands(&recipe.text)).expect("a file");
        let bin = recipe.directory("bin");
        recipe.setup(AWKWARD, &["links", "--dir", bin.to_str().expect("UTF-8")]);
        for url in recipe.urls("/app:latest") {
            let image = url.replace("http://", "");
            let inspect = ["manifest", "inspect", "--insecure", &image];
            recipe.run("docker", &inspect).success();
        }
        recipe.used_one_token();
    }
}

/// One JSON object for both registries.
#[test]
fn podman_and_skopeo_run_the_link_that_was_made() {
    let tags = |request: &Request| match registry(request) {
        reply if !request.target.ends_with("/tags/list") => reply,
        _ => Reply::json(200, r#"{"name":"app","tags":["latest"]}"#),
    };
    for recipe in Recipe::each("podman", AWKWARD, "", Demands::Basic, tags) {
        let settings = recipe.directory("home/.config/containers/auth.json");
        fs::remove_dir(&settings).expect("a directory");
        fs::write(&settings, commands(&recipe.text)).expect("a file");
        let bin = recipe.directory("bin");
        recipe.setup(AWKWARD, &["links", "--dir", bin.to_str().expect("UTF-8")]);
        let storage = recipe.directory("storage");
        let storage = storage.to_str().expect("UTF-8");
        for url in recipe.urls("/app") {
            let image = url.replace("http://", "");
            let source = format!("docker://{image}");
            recipe
                .run(
                    "skopeo",
                    &["inspect", "--tls-verify=false", "--raw", &source],
                )
                .success();
            let place = [
                "--root",
                storage,
                "--runroot",
                storage,
                "--storage-driver",
                "vfs",
            ];
            let search = ["search", "--list-tags", "--tls-verify=false", &image];
            let ran = recipe.run("podman", &[&place[..], &search].concat());
            assert!(ran.success().stdout.contains("latest"));
        }
        recipe.used_one_token();
    }
}

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
    let registry = move |request: &Request| {
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
    };
    for recipe in Recipe::each("cargo", AWKWARD, "/index/", Demands::Bearer, registry) {
        let settings = recipe.directory("cargo").join("config.toml");
        fs::write(settings, &recipe.text).expect("a file");
        let names = recipe.text.split("[registries.").skip(1);
        let names = names.filter_map(|rest| rest.split(']').next());
        let dependencies = names.map(|name| {
            format!(
                "{name}-private = {{ package = \"private\", version = \"0.1\", registry = \"{name}\" }}\n"
            )
        });
        let dependencies: Vec<_> = dependencies.collect();
        assert_eq!(dependencies.len(), recipe.urls("").len());
        let manifest = "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
            [dependencies]\n";
        recipe.project_file(
            "Cargo.toml",
            &(manifest.to_owned() + &dependencies.concat()),
        );
        recipe.project_file("src/lib.rs", "");
        let mut cargo = recipe.command(env!("CARGO"));
        cargo
            .env("CARGO_HOME", recipe.directory("cargo"))
            .env("RUSTUP_HOME", rustup_home())
            .arg("fetch")
            .current_dir(recipe.directory("project"));
        ran(cargo).success();
        recipe.used_one_token();
    }
}

/// A proxy with one module.
fn module_proxy(request: &Request) -> Reply {
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
}

#[test]
fn go_keeps_and_runs_its_setting() {
    use crate::tls::Authority;
    let authority = Authority::new();
    let identity = authority.identity(&["127.0.0.1"]);
    let proxy = Server::start_tls(&identity, module_proxy);
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
fn go_runs_its_setting_for_each_url() {
    use crate::tls::Authority;
    let authority = Authority::new();
    let identity = authority.identity(&["127.0.0.1", "localhost"]);
    let proxy = Server::start_tls(&identity, module_proxy);
    let nothing = |_: &_| Reply::new(404);
    let directory = AWKWARD.replace(';', "");
    let url = |_: &_| proxy.url("");
    for recipe in Recipe::each_at("go", &directory, Demands::Bearer, nothing, url) {
        symlink(go_program(), recipe.directory("bin").join("go")).expect("a link");
        recipe.shell("sh", &recipe.text).success();
        let ca = recipe.project_file("ca.pem", &authority.pem());
        let urls = [
            proxy.url(""),
            proxy.url("").replace("127.0.0.1", "localhost"),
        ];
        for (number, url) in urls[..recipe.urls("").len()].iter().enumerate() {
            let mut go = recipe.command("go");
            go.env("GOPROXY", url)
                .env("GONOSUMDB", "*")
                .env("GOTOOLCHAIN", "local")
                .env("GOFLAGS", "-mod=mod")
                .env("GOPATH", recipe.directory(&format!("modules-{number}")))
                .env("SSL_CERT_FILE", &ca)
                .args(["list", "-m", "private.example/mod@v1.0.0"])
                .current_dir(recipe.directory("project"));
            ran(go).success();
        }
        recipe.used_one_token();
    }
}

#[test]
fn pip_and_uv_find_the_keyring_program() {
    for recipe in Recipe::each("pip", AWKWARD, "/simple/", Demands::Basic, index) {
        recipe.setup(AWKWARD, &["links"]);
        for program in ["pip", "uv"] {
            symlink(
                python_program(program),
                recipe.directory("bin").join(program),
            )
            .expect("a link");
        }
        let mut script = String::new();
        let mut targets = Vec::new();
        for (number, line) in commands(&recipe.text).lines().enumerate() {
            let target = format!("target-{number}");
            script += &line.replace("PACKAGE", &format!("--no-deps --target {target} private"));
            script.push('\n');
            if line.contains("install") {
                targets.push(target);
            }
        }
        assert_eq!(targets.len(), 2 * recipe.urls("").len());
        recipe.shell("sh", &script).success();
        for target in targets {
            let installed = recipe.directory("project").join(target).join("private.py");
            assert!(installed.exists(), "{script}");
        }
        recipe.used_one_token();
    }
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
            let lock = recipe.directory("project").join("package-lock.json");
            fs::remove_file(lock).expect("a lock file");
        }
        // Bun reads the same settings.
        recipe.client("bun");
        let command = command.replace("npm install", "bun install --no-save");
        recipe.shell("sh", &command).success();
        private_package_is_there(&recipe);
        recipe.used_one_token();
    }
}

#[test]
fn pnpm_runs_the_link_that_is_shown() {
    let registry = npm_registry("/npm/");
    for recipe in Recipe::each("pnpm", AWKWARD, "/npm/", Demands::Bearer, registry) {
        let link = recipe
            .text
            .lines()
            .find_map(|line| line.strip_prefix("# ln "));
        recipe.directory("home/.local/bin");
        let link = format!("ln {}", link.expect("a command"));
        recipe.shell("sh", &link).success();
        for url in recipe.urls("/npm/") {
            let settings = format!("registry={url}\n{}", recipe.text);
            fs::write(recipe.machine.home().join(".npmrc"), settings).expect("pnpm's settings");
            recipe.project_file("package.json", NPM_PROJECT);
            let mut pnpm = recipe.command(node_program().to_str().expect("UTF-8"));
            pnpm.arg(pnpm_program())
                .args(["install", "--no-lockfile", "--store-dir"])
                .arg(recipe.directory("store"))
                .current_dir(recipe.directory("project"));
            ran(pnpm).success();
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

#[test]
fn yarn_takes_the_token_from_a_variable() {
    let registry = npm_registry("/npm/");
    for recipe in Recipe::each("yarn", AWKWARD, "/npm/", Demands::Bearer, registry) {
        recipe.client("yarn");
        let (settings, command) = settings_and_commands(&recipe.text);
        for url in recipe.urls("/npm") {
            let more = "unsafeHttpWhitelist: [127.0.0.1, localhost]\nenableTelemetry: false\n\
                nodeLinker: node-modules\nenableGlobalCache: false\nnpmMinimalAgeGate: 0\n";
            let settings = format!("npmRegistryServer: \"{url}\"\n{more}{settings}");
            recipe.project_file(".yarnrc.yml", &settings);
            recipe.project_file("package.json", NPM_PROJECT);
            recipe.project_file("yarn.lock", "");
            recipe.shell("sh", command).success();
            private_package_is_there(&recipe);
            for directory in ["project/node_modules", "project/.yarn"] {
                fs::remove_dir_all(recipe.directory(directory)).expect("a directory");
            }
        }
        recipe.used_one_token();
    }
}

#[test]
fn deno_takes_the_tokens_of_all_hosts_from_one_variable() {
    let module = |request: &Request| match request.target.as_str() {
        "/mod.ts" => Reply::new(200)
            .header("Content-Type", "application/typescript")
            .body("console.log('hello')"),
        _ => Reply::new(404),
    };
    for recipe in Recipe::each("deno", AWKWARD, "/", Demands::Bearer, module) {
        recipe.client("deno");
        for url in recipe.urls("/mod.ts") {
            let command = recipe.text.replace("FILE", &url);
            assert_eq!(recipe.shell("sh", &command).success().stdout, "hello\n");
        }
        recipe.used_one_token();
    }
}

#[test]
fn buf_takes_the_tokens_of_all_hosts_from_one_variable() {
    use crate::tls::Authority;
    let authority = Authority::new();
    let identity = authority.identity(&["127.0.0.1", "localhost"]);
    let registry = Server::start_tls(&identity, |_| Reply::new(404));
    let nothing = |_: &_| Reply::new(404);
    let url = |_: &_| registry.url("");
    for recipe in Recipe::each_at("buf", AWKWARD, Demands::Bearer, nothing, url) {
        recipe.client("buf");
        let ca = recipe.project_file("ca.pem", &authority.pem());
        let before = format!("export SSL_CERT_FILE='{}'\n", ca.display());
        let hosts = [
            registry.url(""),
            registry.url("").replace("127.0.0.1", "localhost"),
        ];
        for host in &hosts[..recipe.urls("").len()] {
            let whoami = format!("buf registry whoami {}", host.replace("https://", ""));
            let command = recipe.text.replace("buf build", &whoami);
            // This registry knows nobody.
            assert_ne!(recipe.shell("sh", &(before.clone() + &command)).code, 0);
            let shown = registry.requests().pop().expect("a request");
            let token = format!("Bearer token-{}", recipe.issued());
            assert_eq!(shown.header("authorization"), Some(&*token));
        }
        recipe.used_one_token();
    }
}

#[test]
fn twine_uploads_with_the_token_in_a_variable() {
    let upload = |request: &Request| Reply::new(if request.method == "POST" { 200 } else { 404 });
    for recipe in Recipe::each("twine", AWKWARD, "/legacy/", Demands::Basic, upload) {
        recipe.client("twine");
        let package = recipe.project_file("dist/private-1.0-py3-none-any.whl", "");
        fs::write(package, wheel()).expect("a package");
        recipe.shell("sh", &recipe.text).success();
        recipe.used_one_token();
    }
}

#[test]
fn poetry_takes_the_password_of_each_source_from_a_variable() {
    for recipe in Recipe::each("poetry", AWKWARD, "/simple/", Demands::Basic, index) {
        recipe.client("poetry");
        let project = "[project]\nname = 'app'\nversion = '1.0'\nrequires-python = '>=3.9'\n\
            dependencies = ['private==1.0']\n[tool.poetry]\npackage-mode = false\n";
        let file = recipe.project_file("pyproject.toml", project);
        let (sources, command) = settings_and_commands(&recipe.text);
        let command = command.replace("poetry install", "poetry lock -n --no-cache");
        recipe.shell("sh", sources).success();
        let project = fs::read_to_string(&file).expect("a project");
        let names = project
            .lines()
            .filter_map(|line| line.strip_prefix("name = \""));
        let names: Vec<_> = names
            .map(|name| name.trim_end_matches('"').to_owned())
            .collect();
        assert_eq!(names.len(), recipe.urls("").len(), "{project}");
        for name in names {
            let source =
                format!("\n[tool.poetry.dependencies]\nprivate = {{ source = '{name}' }}\n");
            fs::write(&file, project.clone() + &source).expect("a project");
            let variables = sources.lines().filter(|line| line.starts_with("export"));
            let variables: Vec<_> = variables.collect();
            let script = variables.join("\n") + "\n" + &command;
            recipe.shell("sh", &script).success();
        }
        recipe.used_one_token();
    }
}

/// The server's own token, which it sends for the user's, is the same one.
#[test]
fn conan_takes_the_password_of_each_remote_from_a_variable() {
    let remote = |request: &Request| match request.basic_credentials() {
        Some((_, token)) if request.target.ends_with("/users/authenticate") => {
            Reply::new(200).body(token)
        }
        _ => Reply::new(200),
    };
    for recipe in Recipe::each("conan", AWKWARD, "/conan/", Demands::Either, remote) {
        recipe.client("conan");
        let names = recipe
            .text
            .lines()
            .filter(|line| line.starts_with("conan remote add"));
        let logins: Vec<_> = names
            .map(|line| {
                format!(
                    "conan remote login {}",
                    line.split(' ').nth(3).expect("a name")
                )
            })
            .collect();
        assert_eq!(logins.len(), recipe.urls("").len());
        recipe.script(
            "login",
            &format!("#!/bin/sh\nset -e\n{}\n", logins.join("\n")),
        );
        let script = recipe.text.replace("conan install .", "login");
        let ran = recipe.shell("sh", &script).success();
        assert_eq!(
            ran.stdout.matches("Changed user").count(),
            logins.len(),
            "{ran:?}"
        );
        recipe.used_one_token();
    }
}

#[test]
fn composer_takes_the_tokens_of_all_hosts_from_one_variable() {
    let packages = |request: &Request| match request.target.as_str() {
        "/packages.json" => Reply::json(
            200,
            r#"{"packages":{"acme/private":{"1.0.0":{"name":"acme/private","version":"1.0.0","type":"metapackage"}}}}"#,
        ),
        _ => Reply::new(404),
    };
    for recipe in Recipe::each("composer", AWKWARD, "/", Demands::Bearer, packages) {
        for url in recipe.urls("") {
            let project = json!({ "name": "a/b", "require": { "acme/private": "1.0.0" },
                "repositories": [{ "type": "composer", "url": url }, { "packagist.org": false }],
                "config": { "secure-http": false } });
            recipe.project_file("composer.json", &project.to_string());
            let script = format!("export COMPOSER_ALLOW_SUPERUSER=1\n{}", recipe.text);
            recipe.shell("sh", &script).success();
            let lock = recipe.directory("project").join("composer.lock");
            let locked = fs::read_to_string(&lock).expect("a lock file");
            assert!(locked.contains("acme/private"), "{locked}");
            fs::remove_file(lock).expect("a lock file");
        }
        recipe.used_one_token();
    }
}

#[test]
fn bundler_takes_the_password_of_each_host_from_a_variable() {
    let gems = |request: &Request| match request.target.as_str() {
        "/versions" => Reply::new(200).body(format!(
            "created_at: 2026-01-01T00:00:00Z\n---\nprivate 1.0.0 {}\n",
            "0".repeat(32)
        )),
        "/info/private" => {
            Reply::new(200).body(format!("---\n1.0.0 |checksum:{}\n", "0".repeat(64)))
        }
        _ => Reply::new(404),
    };
    for recipe in Recipe::each("bundler", AWKWARD, "/", Demands::Basic, gems) {
        for url in recipe.urls("/") {
            recipe.project_file("Gemfile", &format!("source \"{url}\"\ngem \"private\"\n"));
            let command = recipe.text.replace("bundle install", "bundle lock");
            recipe.shell("sh", &command).success();
            let lock = recipe.directory("project").join("Gemfile.lock");
            let locked = fs::read_to_string(&lock).expect("a lock file");
            assert!(locked.contains("private (1.0.0)"), "{locked}");
            fs::remove_file(lock).expect("a lock file");
        }
        recipe.used_one_token();
    }
}

#[test]
fn nix_reads_the_file_that_is_kept() {
    let cache = |request: &Request| match request.target.as_str() {
        "/nix-cache-info" => Reply::new(200).body("StoreDir: /nix/store\n"),
        _ => Reply::new(404),
    };
    for recipe in Recipe::each("nix", AWKWARD, "/", Demands::Basic, cache) {
        let (settings, keep) = settings_and_commands(&recipe.text);
        let directory = recipe.directory("home/.config/nix");
        fs::write(directory.join("nix.conf"), settings).expect("nix's settings");
        let _kept = recipe.keep(keep);
        for url in recipe.urls("") {
            let ping = [
                "--extra-experimental-features",
                "nix-command",
                "store",
                "ping",
            ];
            recipe
                .run("nix", &[&ping[..], &["--store", &url]].concat())
                .success();
        }
        recipe.used_one_token();
    }
}

/// The parent of a project is in the private repository: with two, that of a higher version is in the
/// second one.
#[test]
fn maven_takes_the_token_from_a_variable() {
    let repository = |request: &Request| {
        let is_second = request
            .header("host")
            .is_some_and(|host| host.starts_with("localhost"));
        let version = if is_second { "2.0" } else { "1.0" };
        if request.target == format!("/maven/acme/parent/{version}/parent-{version}.pom") {
            return Reply::new(200).body(format!(
                "<project><modelVersion>4.0.0</modelVersion><groupId>acme</groupId>\
                <artifactId>parent</artifactId><version>{version}</version>\
                <packaging>pom</packaging></project>"
            ));
        }
        Reply::new(404)
    };
    for recipe in Recipe::each("maven", AWKWARD, "/maven/", Demands::Bearer, repository) {
        let (servers, command) = settings_and_commands(&recipe.text);
        let ids = servers
            .split("<id>")
            .skip(1)
            .map(|rest| rest.split('<').next());
        let urls = recipe.urls("/maven/");
        let repositories: Vec<_> = ids
            .zip(&urls)
            .map(|(id, url)| {
                let id = id.expect("an id");
                format!("<repository><id>{id}</id><url>{url}</url></repository>")
            })
            .collect();
        assert_eq!(repositories.len(), urls.len());
        let settings = format!(
            "<settings><servers>{servers}</servers><profiles><profile><id>p</id><repositories>{}\
            </repositories></profile></profiles><activeProfiles><activeProfile>p</activeProfile>\
            </activeProfiles></settings>",
            repositories.concat()
        );
        let directory = recipe.directory("home/.m2");
        fs::write(directory.join("settings.xml"), settings).expect("Maven's settings");
        let project = format!(
            "<project><modelVersion>4.0.0</modelVersion><parent><groupId>acme</groupId>\
            <artifactId>parent</artifactId><version>{}.0</version><relativePath/></parent>\
            <artifactId>app</artifactId><packaging>pom</packaging></project>",
            urls.len()
        );
        recipe.project_file("pom.xml", &project);
        // Without a home of the user's own, Java takes that of the password file.
        let home = recipe.machine.home();
        let start = format!("mvn -q -B -Duser.home='{}' validate", home.display());
        let command = command.replace("mvn verify", &start);
        recipe.shell("sh", &command).success();
        recipe.used_one_token();
    }
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

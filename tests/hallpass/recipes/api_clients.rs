//! HTTP and API clients.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::{AWKWARD, QUOTES, Recipe, commands, settings_and_commands};
use crate::clients::Demands;
use crate::real_servers::npm_packages;
use crate::server::Reply;

#[test]
fn curl_takes_the_token_from_the_pipe() {
    let hello = |_: &_| Reply::new(200).body("hello");
    for directory in [AWKWARD, QUOTES] {
        for recipe in Recipe::each("curl", directory, "/it's;here/", Demands::Bearer, hello) {
            let lines = recipe.text.replace("curl -K", "curl -sSf -K");
            let printed = recipe.shell("sh", &lines).success().stdout;
            assert_eq!(printed, "hello".repeat(recipe.urls("/").len()));
            recipe.used_one_token();
        }
    }
}

#[test]
fn wget_asks_the_askpass_program() {
    let hello = |_: &_| Reply::new(200).body("hello");
    for recipe in Recipe::each("wget", AWKWARD, "/", Demands::Basic, hello) {
        recipe.setup(AWKWARD, &["links"]);
        let lines = recipe.text.replace("wget ", "wget -q -O - ");
        let printed = recipe.shell("sh", &lines).success().stdout;
        assert_eq!(printed, "hello".repeat(recipe.urls("/").len()));
        recipe.used_one_token();
    }
}

fn each(tool: &str) -> [Recipe; 2] {
    Recipe::each(tool, AWKWARD, "/it/", Demands::Bearer, |_| {
        Reply::json(200, "{}")
    })
}

/// A file of the npm packages of tests/api-clients.
fn package(file: &str) -> PathBuf {
    npm_packages("api-clients", &[])
        .join("node_modules")
        .join(file)
}

impl Recipe {
    /// Each URL was requested with the token, and none without it.
    #[track_caller]
    fn each_url_got_the_token(&self) {
        let mut seen: Vec<_> = self
            .accepted()
            .iter()
            .map(|request| {
                format!(
                    "http://{}{}",
                    request.header("host").unwrap_or_default(),
                    request.target
                )
            })
            .collect();
        seen.sort();
        assert_eq!(seen, self.urls("/it/"));
        self.used_one_token();
    }
}

#[test]
fn httpie_reads_the_header_from_a_pipe() {
    for recipe in each("httpie") {
        recipe.python_client("http", "--check-status --ignore-stdin");
        recipe.shell("bash", &recipe.text).success();
        recipe.each_url_got_the_token();
    }
}

/// `httpYac` reads the files of VS Code's REST Client, too.
#[test]
fn httpyac_reads_the_variable_for_itself_and_for_the_rest_client() {
    for recipe in each("httpyac") {
        let (file, command) = settings_and_commands(&recipe.text);
        recipe.project_file("FILE", file);
        recipe.node_client("httpyac", &package("httpyac/bin/httpyac.js"), "");
        recipe.shell("sh", command).success();
        recipe.each_url_got_the_token();
    }
    for recipe in each("vscode") {
        let (file, command) = settings_and_commands(&recipe.text);
        let requests = file.replace("\n\n", "\n\n###\n");
        recipe.project_file("file.http", &requests);
        recipe.node_client("code", &package("httpyac/bin/httpyac.js"), "");
        let command = command.replace("code .", "code send file.http --all");
        recipe.shell("sh", &command).success();
        recipe.each_url_got_the_token();
    }
}

#[test]
fn bruno_reads_the_variable() {
    for recipe in each("bruno") {
        let (settings, commands) = settings_and_commands(&recipe.text);
        let token = settings
            .lines()
            .find(|line| line.starts_with("{{"))
            .expect("a variable");
        recipe.project_file(
            "bruno.json",
            r#"{"version":"1","name":"c","type":"collection"}"#,
        );
        for (number, url) in recipe.urls("/it/").iter().enumerate() {
            recipe.project_file(
                &format!("r{number}.bru"),
                &format!(
                    "meta {{\n  name: r{number}\n  type: http\n  seq: {number}\n}}\n\
                 get {{\n  url: {url}\n  auth: bearer\n}}\nauth:bearer {{\n  token: {token}\n}}\n"
                ),
            );
        }
        recipe.node_client("bru", &package("@usebruno/cli/bin/bru.js"), "");
        recipe.script("bruno", "#!/bin/sh\n");
        recipe.shell("sh", commands).success();
        recipe.each_url_got_the_token();
    }
}

#[test]
fn newman_reads_an_environment_from_the_pipe() {
    for recipe in each("newman") {
        let (settings, command) = settings_and_commands(&recipe.text);
        let token = settings
            .lines()
            .find(|line| line.starts_with("{{"))
            .expect("a variable");
        let items: Vec<_> = recipe
            .urls("/it/")
            .iter()
            .map(|url| json!({ "name": url, "request": { "url": url, "method": "GET" } }))
            .collect();
        let collection = json!({
            "info": { "name": "c", "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json" },
            "auth": { "type": "bearer", "bearer": [{ "key": "token", "value": token, "type": "string" }] },
            "item": items,
        });
        recipe.project_file("FILE", &collection.to_string());
        recipe.node_client("newman", &package("newman/bin/newman.js"), "");
        recipe.shell("sh", command).success();
        recipe.each_url_got_the_token();
    }
}

/// Insomnia's tag shows the file as it is.
#[test]
fn insomnias_tag_names_the_file_that_is_kept() {
    for recipe in Recipe::each("insomnia", AWKWARD, "/", Demands::Bearer, |_| {
        Reply::new(200)
    }) {
        let (script, rest) = recipe.text.split_once("\n\n").expect("commands");
        let script = commands(script);
        let (make, keep) = script.split_once('\n').expect("two commands");
        recipe.shell("sh", make).success();
        let _kept = recipe.keep(keep);
        let file = rest.split('"').nth(1).expect("a path");
        let token = fs::read_to_string(file).expect("a token");
        assert_eq!(token, recipe.token());
        recipe.used_one_token();
    }
}

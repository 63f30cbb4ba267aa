//! `NuGet`, which Debian's mono runs.

use serde_json::json;

use super::{AWKWARD, Recipe, settings_and_commands};
use crate::clients::Demands;
use crate::real_servers::npm_packages;
use crate::server::{Reply, Request};

/// `nuget restore` needs a solution; `nuget list` reads the same settings.
#[test]
fn nuget_reads_the_variable_in_its_settings() {
    let index = |request: &Request| {
        let base = format!(
            "http://{}/flat/",
            request.header("host").unwrap_or_default()
        );
        if !request.target.ends_with("/v3/index.json") {
            return Reply::new(404);
        }
        let resources = ["PackageBaseAddress/3.0.0", "RegistrationsBaseUrl/3.6.0"];
        let resources = resources.map(|kind| json!({ "@id": base, "@type": kind }));
        Reply::json(
            200,
            json!({ "version": "3.0.0", "resources": resources }).to_string(),
        )
    };
    for recipe in Recipe::each("nuget", AWKWARD, "/v3/", Demands::Basic, index) {
        let (settings, command) = settings_and_commands(&recipe.text);
        let file = recipe.project_file("nuget.config", settings);
        let nuget = npm_packages("api-clients", &[]).join("node_modules/nuget-exe/nuget-5.8.0.exe");
        let keys = settings.split("key=\"").skip(1);
        let names: Vec<_> = keys.filter_map(|rest| rest.split('"').next()).collect();
        let (nuget, file) = (nuget.display(), file.display());
        let line = format!("mono '{nuget}' list private -NonInteractive -ConfigFile '{file}'");
        let names = names.join(" ");
        recipe.script(
            "nuget",
            &format!("#!/bin/sh\nfor name in {names}; do {line} -Source $name; done\n"),
        );
        // The sources have no package.
        let ran = recipe.shell("sh", command);
        for url in recipe.urls("") {
            let host = url.strip_prefix("http://");
            let requests = recipe.accepted();
            assert!(
                requests
                    .iter()
                    .any(|request| request.header("host") == host),
                "{url} {ran:?}"
            );
        }
        recipe.used_one_token();
    }
}

//! Docker: the credential helper of each registry.

use std::path::PathBuf;

use serde_json::Value;

use super::{Call, not_set_up, report};
use crate::commands::doctor::Machine;
use crate::commands::doctor::report::Finding;
use crate::platform::disk;
use crate::types::web_url::WebUrl;

/// Docker runs `docker-credential-` and this name.
const HELPER: &str = "hallpass";
const PROGRAM: &str = "docker-credential-hallpass";

pub(in crate::commands::doctor) fn check(machine: &Machine) -> Vec<Finding> {
    let Some(path) = settings_file() else {
        return vec![not_set_up("docker")];
    };
    let Ok(text) = std::fs::read_to_string(&path) else {
        return vec![not_set_up("docker")];
    };
    let Ok(settings) = serde_json::from_str::<Value>(&text) else {
        return vec![Finding::skipped(format!("{} is not JSON", path.display()))];
    };
    let helpers = settings["credHelpers"].as_object().into_iter().flatten();
    let calls = helpers.filter(|(_, helper)| *helper == HELPER);
    let calls: Vec<_> = calls.map(|(host, _)| call(host)).collect();
    report(machine, "docker", &calls, Vec::new())
}

fn settings_file() -> Option<PathBuf> {
    let directory = std::env::var_os("DOCKER_CONFIG").filter(|path| !path.is_empty());
    let directory = directory.map(PathBuf::from);
    let directory = directory.or_else(|| Some(disk::home().ok()?.join(".docker")))?;
    Some(directory.join("config.json"))
}

/// A registry is a host, which Docker reaches by https, or by http on this machine.
fn call(host: &str) -> Call {
    let schemes = ["https://", "http://"].into_iter();
    let urls = schemes.filter_map(|scheme| WebUrl::parse(&[scheme, host].concat()).ok());
    Call {
        at: host.to_owned(),
        urls: urls.filter_map(|url| url.for_secrets().ok()).collect(),
        profile: None,
        program: PROGRAM.to_owned(),
    }
}

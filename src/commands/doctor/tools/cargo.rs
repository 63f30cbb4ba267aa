//! Cargo: the credential provider of each registry.

use std::path::PathBuf;

use super::{Call, named_profile, not_set_up, report};
use crate::commands::doctor::Machine;
use crate::commands::doctor::report::Finding;
use crate::platform::disk;
use crate::types::web_url::WebUrl;

pub(in crate::commands::doctor) fn check(machine: &Machine) -> Vec<Finding> {
    let text = settings_files()
        .into_iter()
        .find_map(|path| std::fs::read_to_string(path).ok());
    let Some(text) = text else {
        return vec![not_set_up("cargo")];
    };
    let calls: Vec<_> = registries(&text).iter().filter_map(call).collect();
    report(machine, "cargo", &calls, Vec::new())
}

/// The file without an extension comes first.
fn settings_files() -> Vec<PathBuf> {
    let directory = std::env::var_os("CARGO_HOME").filter(|path| !path.is_empty());
    let directory = directory.map(PathBuf::from);
    let directory = directory.or_else(|| Some(disk::home().ok()?.join(".cargo")));
    let names = ["config", "config.toml"].into_iter();
    directory.map_or_else(Vec::new, |directory| {
        names.map(|name| directory.join(name)).collect()
    })
}

/// A table `[registries.NAME]`.
#[derive(Debug, Default, PartialEq)]
struct Registry {
    index: String,
    /// The program and its arguments.
    provider: Vec<String>,
}

/// The registries in Cargo's settings, as `hallpass setup cargo` writes them: one setting in each line.
fn registries(text: &str) -> Vec<Registry> {
    let mut registries = Vec::new();
    let mut current = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            registries.extend(current.take());
            current = line.starts_with("[registries.").then(Registry::default);
            continue;
        }
        let (Some(registry), Some((key, value))) = (&mut current, line.split_once('=')) else {
            continue;
        };
        match key.trim() {
            "index" => registry.index = strings(value).into_iter().next().unwrap_or_default(),
            "credential-provider" => registry.provider = strings(value),
            _ => {}
        }
    }
    registries.extend(current);
    registries
}

/// The strings of a value, which is a string or a list. Without escapes, which URLs and paths rarely need.
fn strings(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = value;
    while let Some(start) = rest.find(['"', '\'', '#']) {
        let mark = &rest[start..=start];
        let Some((inside, after)) = rest[start + 1..].split_once(mark).filter(|_| mark != "#")
        else {
            break;
        };
        found.push(inside.to_owned());
        rest = after;
    }
    found
}

fn call(registry: &Registry) -> Option<Call> {
    let index = &registry.index;
    let program = registry.provider.first()?;
    if !program.contains("hallpass") {
        return None;
    }
    let url = WebUrl::parse(index.strip_prefix("sparse+").unwrap_or(index));
    Some(Call {
        at: index.clone(),
        urls: url.into_iter().collect(),
        profile: named_profile(&registry.provider),
        program: program.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_read_as_setup_writes_them() {
        let text = r#"
            [build]
            index = "no"
            [registries.one]
            index = "sparse+https://a.example/" # ours
            credential-provider = ["hallpass", '--profile=p']
            [registries."two"]
            credential-provider = "cargo:token"
            index='https://b.example/'
            [net]
            credential-provider = "hallpass"
        "#;
        let registry = |index: &str, provider: &[&str]| Registry {
            index: index.to_owned(),
            provider: provider.iter().map(ToString::to_string).collect(),
        };
        let expected = [
            registry("sparse+https://a.example/", &["hallpass", "--profile=p"]),
            registry("https://b.example/", &["cargo:token"]),
        ];
        assert_eq!(registries(text), expected);
        assert_eq!(strings(r#""unclosed"#), Vec::<String>::new());
    }
}

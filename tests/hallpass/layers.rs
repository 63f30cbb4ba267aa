//! The layers, held by a test: each module uses only what it may, and an external crate belongs to
//! one module.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What each module may use. Between the layers, imports go down only.
const ALLOWED: [(&str, &[&str]); 14] = [
    ("main", &["cli", "platform"]),
    ("cli", &["commands", "error", "message", "platform"]),
    (
        "commands",
        &[
            "broker",
            "cache",
            "error",
            "message",
            "oauth",
            "platform",
            "profile",
            "profiles",
            "protocols",
            "secrets",
            "types",
        ],
    ),
    // A protocol reaches no store and no server: it requests what it needs.
    ("protocols", &["error", "profile", "types"]),
    ("broker", &["cache", "error", "types"]),
    ("cache", &["error", "platform", "profile", "types"]),
    (
        "oauth",
        &["error", "message", "platform", "profile", "types"],
    ),
    ("profiles", &["error", "platform", "profile", "types"]),
    (
        "secrets",
        &["error", "message", "platform", "profile", "types"],
    ),
    ("profile", &["error", "types"]),
    ("platform", &["error", "message", "types"]),
    ("types", &["error"]),
    ("message", &["error"]),
    ("error", &[]),
];

/// Each external crate, the modules that may use it, and why there.
const CRATES: [(&str, &[&str]); 31] = [
    ("strsim", &["platform"]),
    ("percent_encoding", &["types"]),
    ("url", &["types"]),
    // It signs as rustls does, with the same code.
    ("ring", &["oauth"]),
    ("pkcs8", &["oauth"]),
    // The keychain's quirks are met in one place.
    ("secret_service", &["secrets"]),
    ("zbus", &["secrets"]),
    ("zbus_secret_service_keyring_store", &["secrets"]),
    ("apple_native_keyring_store", &["secrets"]),
    ("security_framework", &["secrets"]),
    ("windows_native_keyring_store", &["secrets"]),
    ("keyring_core", &["secrets"]),
    ("linux_keyutils", &["secrets"]),
    // HTTP and TLS: nobody else can send a secret anywhere.
    ("reqwest", &["oauth"]),
    ("rustls", &["oauth"]),
    ("tokio", &["oauth"]),
    // What a fault of HTTP is, whose certificates the system trusts, and compressed bodies.
    ("hyper", &["oauth"]),
    ("openssl_probe", &["oauth"]),
    ("rustls_native_certs", &["oauth"]),
    ("rustls_platform_verifier", &["oauth"]),
    ("flate2", &["oauth"]),
    ("base64", &["oauth", "protocols", "secrets"]),
    ("rpassword", &["platform"]),
    ("tempfile", &["platform"]),
    ("rustix", &["platform"]),
    ("signal_hook", &["platform"]),
    ("clap", &["cli", "commands"]),
    ("shlex", &["commands"]),
    ("sha2", &["types"]),
    ("getrandom", &["types", "oauth"]),
    ("time", &["types", "oauth"]),
];

#[test]
fn a_module_uses_only_what_it_may() {
    for (module, text) in modules() {
        let allowed = ALLOWED.iter().find(|(name, _)| *name == module);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("`{module}` is in no layer"));
        for used in names_after(&text, "crate::") {
            assert!(
                used == module || allowed.contains(&used.as_str()),
                "`{module}` uses `{used}`, which it may not"
            );
        }
    }
}

#[test]
fn main_describes_every_module() {
    let main = fs::read_to_string("src/main.rs").expect("a file");
    let described: Vec<_> = main
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `")?.split('`').next())
        .collect();
    let declared = main
        .lines()
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
    let mut sorted = described.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, declared.collect::<Vec<_>>());
    let mut listed: Vec<_> = ALLOWED.iter().map(|(name, _)| *name).collect();
    listed.retain(|name| *name != "main");
    // In the same order, and each may use only modules that come after it.
    listed.sort_by_key(|name| described.iter().position(|it| it == name));
    assert_eq!(listed, described);
    for (module, allowed) in ALLOWED {
        let position = |name: &str| described.iter().position(|it| *it == name);
        for used in allowed {
            assert!(position(module) < position(used), "{module} uses {used}");
        }
    }
}

#[test]
fn an_external_crate_belongs_to_one_module() {
    let modules = modules();
    for (name, allowed) in CRATES {
        let users: Vec<_> = modules
            .iter()
            .filter(|(_, text)| uses_crate(text, name))
            .map(|(module, _)| module.as_str())
            .collect();
        assert!(!users.is_empty(), "nobody uses {name}");
        for user in users {
            assert!(
                allowed.contains(&user),
                "`{user}` uses {name}, which is for {allowed:?}"
            );
        }
    }
}

#[test]
fn every_external_crate_is_listed_here() {
    let manifest = fs::read_to_string("Cargo.toml").expect("the manifest");
    let (_, dependencies) = manifest.split_once("[dependencies]").expect("dependencies");
    let (dependencies, _) = dependencies
        .split_once("[dev-dependencies]")
        .expect("an end of them");
    // The serialisers, and the wiper of secrets, are used wherever nouns are.
    let everywhere = ["serde", "serde_json", "zeroize"];
    for line in dependencies
        .lines()
        .filter(|line| !line.starts_with(['[', '#']))
    {
        let Some((name, _)) = line.split_once(" = ") else {
            continue;
        };
        let name = name.replace('-', "_");
        let listed = CRATES.iter().any(|(listed, _)| *listed == name);
        assert!(
            listed || everywhere.contains(&name.as_str()),
            "{name} belongs to no module"
        );
    }
}

#[test]
fn only_the_platform_module_has_unsafe_code() {
    for (module, text) in modules() {
        let has_it = text.contains("unsafe {") || text.contains("unsafe extern");
        assert!(!has_it || module == "platform", "{module}");
    }
}

#[test]
fn only_these_files_print() {
    for (path, text) in files() {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let prints = ["println!", "print!", "io::stdout", "io::stderr"]
            .iter()
            .any(|word| text.contains(word));
        assert!(
            !prints || ["unix.rs", "windows.rs", "message.rs", "prompt.rs"].contains(&name),
            "{} prints",
            path.display()
        );
    }
}

/// Whether a path begins with the crate's name: `time::` is one, `crate::time::` and `tokio::time::` are not.
fn uses_crate(text: &str, name: &str) -> bool {
    text.match_indices(&format!("{name}::"))
        .any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
}

/// The words that follow `prefix`, and those in braces after it.
fn names_after(text: &str, prefix: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut names = Vec::new();
    for (at, _) in text.match_indices(prefix) {
        let rest = &text[at + prefix.len()..];
        match rest.strip_prefix('{') {
            None => names.push(word(rest)),
            Some(list) => {
                let (list, _) = list.split_once('}').unwrap_or_default();
                names.extend(
                    list.split(',')
                        .map(|item| word(item.trim()))
                        .filter(|item| !item.is_empty()),
                );
            }
        }
    }
    names
}

/// Each module's text: its file, and the files in the directory of its name.
fn modules() -> BTreeMap<String, String> {
    let mut modules: BTreeMap<String, String> = BTreeMap::new();
    for (path, text) in files() {
        let below_src = path.strip_prefix("src").expect("below src");
        let first = below_src
            .iter()
            .next()
            .and_then(|part| part.to_str())
            .expect("a name");
        *modules
            .entry(first.trim_end_matches(".rs").to_owned())
            .or_default() += &text;
    }
    modules
}

/// The program's files without their tests and comments.
fn files() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut directories = vec![Path::new("src").to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = fs::read_to_string(&path).expect("a file");
            let text = text
                .split("#[cfg(test)]\nmod tests")
                .next()
                .unwrap_or_default();
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            files.push((path, code.collect::<Vec<_>>().join("\n")));
        }
    }
    files
}

#[test]
fn every_variable_that_the_code_reads_is_known_and_in_the_manual() {
    let known = fs::read_to_string("src/platform/variables.rs").expect("a file");
    let (known, _) = known.split_once("];").expect("a list");
    let manual = fs::read_to_string("man/hallpass.1").expect("the manual");
    for (path, text) in files() {
        for word in text.split('"').filter(|word| word.starts_with("HALLPASS_")) {
            let is_name = word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
            if is_name && word.len() > "HALLPASS_".len() && !path.ends_with("variables.rs") {
                assert!(known.contains(&format!("\"{word}\"")), "{path:?}: {word}");
            }
        }
    }
    for name in known
        .split('"')
        .filter(|word| word.starts_with("HALLPASS_"))
    {
        assert!(manual.contains(name), "{name} is not in the manual");
    }
}

//! The plan of the house, held by a test: imports go down only, and an outside crate has one room.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// From the top floor down. A room may use its own floor's rooms only where it is said below.
const FLOORS: [&[&str]; 8] = [
    &["main"],
    &["cli"],
    &["commands"],
    &["protocols"],
    &["broker"],
    &["cache", "token_endpoint", "profiles", "prompt", "secrets"],
    &["disk", "system"],
    &[
        "profile",
        "headers",
        "settings",
        "binding",
        "token",
        "refusal",
        "secret",
        "private_key",
        "secret_source",
        "trust",
        "web_url",
        "digest",
        "variables",
        "duration",
        "error",
        "message",
    ],
];

/// Who may use whom on one floor: the nouns are made of one another, and files need the platform.
const SAME_FLOOR: [(&str, &str); 32] = [
    ("digest", "error"),
    ("disk", "system"),
    ("token", "profile"),
    ("token", "secret"),
    ("token", "digest"),
    ("settings", "binding"),
    ("settings", "profile"),
    ("settings", "web_url"),
    ("settings", "trust"),
    ("settings", "headers"),
    ("settings", "settings"),
    ("profile", "digest"),
    ("profile", "web_url"),
    ("profile", "binding"),
    ("profile", "headers"),
    ("profile", "secret_source"),
    ("binding", "web_url"),
    ("profile", "error"),
    ("profile", "trust"),
    ("trust", "digest"),
    ("refusal", "error"),
    ("refusal", "token"),
    ("secret", "digest"),
    ("secret", "private_key"),
    ("private_key", "error"),
    ("message", "error"),
    ("variables", "message"),
    // A command's helpers and its files are one room.
    ("commands", "commands"),
    ("token_endpoint", "token_endpoint"),
    ("secrets", "secrets"),
    ("protocols", "protocols"),
    ("system", "system"),
];

/// Each outside crate, the rooms that know it, and why there.
const ROOMS: [(&str, &[&str]); 31] = [
    ("strsim", &["variables"]),
    ("percent_encoding", &["web_url"]),
    ("url", &["web_url"]),
    // It signs as rustls does, with the same code.
    ("ring", &["token_endpoint"]),
    ("pkcs8", &["token_endpoint"]),
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
    ("reqwest", &["token_endpoint"]),
    ("rustls", &["token_endpoint"]),
    ("tokio", &["token_endpoint"]),
    // What a fault of HTTP is, whose certificates the system trusts, and compressed bodies.
    ("hyper", &["token_endpoint"]),
    ("openssl_probe", &["token_endpoint"]),
    ("rustls_native_certs", &["token_endpoint"]),
    ("rustls_platform_verifier", &["token_endpoint"]),
    ("flate2", &["token_endpoint"]),
    ("base64", &["token_endpoint", "protocols", "secrets"]),
    ("rpassword", &["prompt"]),
    ("tempfile", &["disk"]),
    ("rustix", &["system"]),
    ("signal_hook", &["system"]),
    ("clap", &["cli", "commands"]),
    ("shlex", &["commands"]),
    ("sha2", &["digest"]),
    ("getrandom", &["digest", "token_endpoint"]),
    ("time", &["token", "token_endpoint"]),
];

#[test]
fn imports_go_down_only() {
    for (room, text) in rooms() {
        let floor = floor_of(&room);
        for used in names_after(&text, "crate::") {
            let below = floor_of(&used) > floor;
            let beside = SAME_FLOOR.contains(&(room.as_str(), used.as_str()));
            assert!(
                below || beside,
                "`{room}` uses `{used}`, which is not below it"
            );
        }
    }
}

#[test]
fn an_outside_crate_has_one_room() {
    let rooms = rooms();
    for (name, allowed) in ROOMS {
        let users: Vec<_> = rooms
            .iter()
            .filter(|(_, text)| uses_crate(text, name))
            .map(|(room, _)| room.as_str())
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
fn every_outside_crate_is_listed_here() {
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
        let listed = ROOMS.iter().any(|(listed, _)| *listed == name);
        assert!(
            listed || everywhere.contains(&name.as_str()),
            "{name} has no room"
        );
    }
}

#[test]
fn one_room_alone_has_unsafe_code() {
    for (room, text) in rooms() {
        let has_it = text.contains("unsafe {") || text.contains("unsafe extern");
        assert!(!has_it || room == "system", "{room}");
    }
}

#[test]
fn nothing_but_three_files_prints() {
    for (path, text) in files() {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let prints = ["println!", "print!", "io::stdout", "io::stderr"]
            .iter()
            .any(|word| text.contains(word));
        assert!(
            !prints || ["system.rs", "message.rs", "prompt.rs"].contains(&name),
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

fn floor_of(room: &str) -> usize {
    FLOORS
        .iter()
        .position(|rooms| rooms.contains(&room))
        .unwrap_or_else(|| panic!("`{room}` is on no floor"))
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

/// Each room's text: its file, and the files in the directory of its name.
fn rooms() -> BTreeMap<String, String> {
    let mut rooms: BTreeMap<String, String> = BTreeMap::new();
    for (path, text) in files() {
        let below_src = path.strip_prefix("src").expect("below src");
        let first = below_src
            .iter()
            .next()
            .and_then(|part| part.to_str())
            .expect("a name");
        *rooms
            .entry(first.trim_end_matches(".rs").to_owned())
            .or_default() += &text;
    }
    rooms
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
    let known = fs::read_to_string("src/variables.rs").expect("a file");
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

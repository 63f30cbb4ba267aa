//! The layers: each module uses only the modules that it may use, and an external crate belongs to one
//! module.

mod planted;
mod program;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use program::Program;

/// The modules that each module may use, with the reason. They must come after it.
///
/// A protocol reaches no store and no server: it requests what it needs.
const ALLOWED: [(&str, &[(&str, &str)]); 17] = [
    (
        "main",
        &[
            ("cli", "the program's one call"),
            ("platform", "the entry point of each platform"),
        ],
    ),
    (
        "cli",
        &[
            ("commands", "it starts them"),
            ("error", "the exit code"),
            ("message", "it prints the error"),
            ("platform", "the arguments, standard output and the signals"),
            ("policy", "it must be readable before a command runs"),
        ],
    ),
    (
        "commands",
        &[
            ("audit", "a token of the shared cache"),
            ("broker", "the token of a profile"),
            ("cache", "tokens to list and to remove"),
            ("error", "what failed"),
            ("message", "warnings and notes"),
            ("oauth", "login and logout talk to the server"),
            ("platform", "files, the terminal, child processes"),
            ("policy", "what the administrator allows"),
            ("profile", "the settings that a login makes"),
            ("profiles", "which profile is meant"),
            ("protocols", "the helper that is called"),
            ("secrets", "the secret to keep, read or remove"),
            ("share", "the shared cache of a profile"),
            ("types", "durations, URLs, secrets"),
        ],
    ),
    (
        "protocols",
        &[
            ("error", "each protocol reports errors in its own format"),
            ("profile", "the binding that a request matches"),
            ("types", "the token and the URL of a reply"),
        ],
    ),
    (
        "broker",
        &[
            ("cache", "tokens and locks"),
            ("error", "what failed"),
            ("message", "the steps of a call"),
            ("types", "the token, and a failure that others share"),
        ],
    ),
    (
        "share",
        &[
            ("error", "a secret that cannot be read"),
            ("message", "the steps of a call"),
            ("oauth", "the TLS of an authorization server"),
            ("platform", "the record of a problem"),
            ("profile", "where the server is"),
            ("types", "what an entry holds"),
        ],
    ),
    (
        "cache",
        &[
            ("error", "what failed"),
            ("message", "the steps of a call, and what it waits for"),
            ("platform", "files and locks"),
            ("policy", "how long a token may be kept"),
            ("profile", "entries belong to a profile"),
            ("types", "what an entry holds"),
        ],
    ),
    (
        "oauth",
        &[
            ("audit", "the record of each request"),
            ("error", "what the server refused"),
            ("message", "warnings about its responses"),
            ("platform", "certificate files and key commands"),
            ("policy", "where a secret may be sent"),
            ("profile", "the settings of the request"),
            ("types", "URLs, keys, tokens"),
        ],
    ),
    (
        "profiles",
        &[
            ("error", "which profile is missing or broken"),
            ("message", "the steps of a call, and what it waits for"),
            ("platform", "profile files"),
            ("policy", "whether a user's own profiles may be used"),
            ("profile", "what the files hold"),
            ("types", "durations and URLs"),
        ],
    ),
    (
        "secrets",
        &[
            ("error", "why there is no secret"),
            ("message", "hints about the keychain"),
            ("platform", "files, commands, deadlines"),
            ("profile", "where the secret is"),
            ("types", "secrets, and the digest that names them"),
        ],
    ),
    (
        "audit",
        &[
            ("error", "why a request cannot be recorded"),
            ("message", "warnings, and text without control characters"),
            ("platform", "the file or socket, and who asks"),
            ("policy", "what the administrator requires"),
            ("profile", "what was requested"),
            ("types", "the token's fingerprint, and the time"),
        ],
    ),
    (
        "policy",
        &[
            ("error", "what the policy does not allow"),
            ("message", "the policy's text in a message"),
            ("platform", "the policy's file"),
            ("profile", "what is checked"),
            ("types", "durations and names"),
        ],
    ),
    (
        "profile",
        &[
            ("error", "settings that cannot be used"),
            ("types", "URLs and digests"),
        ],
    ),
    (
        "platform",
        &[
            ("error", "what the system refused"),
            ("message", "warnings about variables and signals"),
            ("types", "secrets that are typed or read"),
        ],
    ),
    ("types", &[("error", "values that cannot be parsed")]),
    ("message", &[("error", "it prints errors")]),
    ("error", &[]),
];

/// Each external crate, the modules that may use it, and why there.
const CRATES: [(&str, &[&str]); 36] = [
    ("strsim", &["platform"]),
    ("unicode_width", &["commands"]),
    ("percent_encoding", &["types"]),
    ("url", &["types"]),
    // It signs as rustls does, with the same code, and encrypts cached and shared tokens.
    ("ring", &["cache", "oauth", "share"]),
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
    // HTTP and TLS: no other module can send a secret.
    ("reqwest", &["oauth"]),
    // The shared cache has a protocol of its own, over the same TLS.
    ("redis", &["share"]),
    ("rustls", &["oauth", "share"]),
    // `hallpass serve` is a server.
    ("tokio", &["oauth", "commands"]),
    ("hyper", &["oauth", "commands"]),
    ("bytes", &["oauth"]),
    ("hyper_util", &["commands"]),
    // Whose certificates the system trusts, and compressed bodies.
    ("openssl_probe", &["oauth"]),
    ("rustls_native_certs", &["oauth"]),
    ("rustls_platform_verifier", &["oauth"]),
    ("flate2", &["oauth"]),
    (
        "base64",
        &["commands", "oauth", "protocols", "secrets", "types"],
    ),
    ("rpassword", &["platform"]),
    ("tempfile", &["platform"]),
    ("libc", &["platform"]),
    ("rustix", &["platform"]),
    ("signal_hook", &["platform"]),
    ("clap", &["cli", "commands"]),
    ("shlex", &["commands", "profile", "types"]),
    ("sha2", &["types"]),
    ("getrandom", &["types", "oauth"]),
    ("time", &["types", "oauth"]),
];

/// Used wherever values are: the serialisers, and what wipes secrets from memory.
const EVERYWHERE: [&str; 3] = ["serde", "serde_json", "zeroize"];

#[test]
fn a_module_uses_only_the_modules_that_it_may_use() {
    assert_eq!(violations(&PROGRAM), Vec::<String>::new());
}

#[test]
fn nothing_is_allowed_that_no_module_uses() {
    let uses = PROGRAM.uses();
    let is_used = |user: &str, used: &str| uses.iter().any(|it| it.user == user && it.used == used);
    for (user, allowed) in ALLOWED {
        for (used, _) in allowed {
            assert!(is_used(user, used), "`{user}` does not use `{used}`");
        }
    }
    for (used, users) in CRATES {
        for user in users {
            assert!(is_used(user, used), "`{user}` does not use {used}");
        }
    }
}

#[test]
fn each_file_is_part_of_the_program_or_of_its_tests() {
    for (path, _) in files() {
        let below_src = path
            .strip_prefix("src")
            .expect("below src")
            .with_extension("");
        let parts = below_src.iter().filter_map(|part| part.to_str());
        let module: Vec<_> = parts.map(str::to_owned).collect();
        assert!(
            module == ["main"] || PROGRAM.has_module(&module),
            "{}",
            path.display()
        );
    }
}

#[test]
fn main_describes_every_module() {
    let main = fs::read_to_string("src/main.rs").expect("a file");
    let described: Vec<_> = main
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `")?.split('`').next())
        .collect();
    let mut sorted = described.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, PROGRAM.modules());
    let mut listed: Vec<_> = ALLOWED.iter().map(|(name, _)| *name).collect();
    listed.retain(|name| *name != "main");
    // In the same order, and each may use only modules that come after it.
    listed.sort_by_key(|name| described.iter().position(|it| it == name));
    assert_eq!(listed, described);
    for (module, allowed) in ALLOWED {
        let position = |name: &str| described.iter().position(|it| *it == name);
        for (used, _) in allowed {
            assert!(position(module) < position(used), "{module} uses {used}");
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
            listed || EVERYWHERE.contains(&name.as_str()),
            "{name} belongs to no module"
        );
    }
}

/// Secrets and tokens have no `Display`: only `expose` would put one into a step.
#[test]
fn no_step_exposes_a_secret() {
    let mut count = 0;
    for (path, text) in files() {
        for call in text.split("step(||").skip(1) {
            let mut depth = 1;
            let end = call.find(|c| {
                depth += i32::from(c == '(') - i32::from(c == ')');
                depth == 0
            });
            let call = &call[..end.expect("the end of the call")];
            assert!(!call.contains("expose"), "{}: {call}", path.display());
            count += 1;
        }
    }
    assert!(count > 15, "{count} steps");
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
            !prints
                || [
                    "unix.rs",
                    "windows.rs",
                    "message.rs",
                    "program.rs",
                    "prompt.rs"
                ]
                .contains(&name),
            "{} prints",
            path.display()
        );
    }
}

static PROGRAM: LazyLock<Program> = LazyLock::new(|| {
    let text_of = |module: &[String]| {
        let path = match module {
            [] => PathBuf::from("src/main.rs"),
            _ => Path::new("src").join(module.join("/")).with_extension("rs"),
        };
        fs::read_to_string(path).ok()
    };
    Program::read(&crate_names(), text_of)
});

fn crate_names() -> Vec<&'static str> {
    CRATES.iter().map(|(name, _)| *name).collect()
}

/// Each use that the tables above do not allow.
fn violations(program: &Program) -> Vec<String> {
    let mut violations = BTreeSet::new();
    for it in program.uses() {
        let allowed = if it.is_external {
            let users = CRATES.iter().find(|(name, _)| *name == it.used);
            users.is_none_or(|(_, users)| users.contains(&it.user.as_str()))
        } else {
            let module = ALLOWED.iter().find(|(name, _)| *name == it.user);
            module.is_some_and(|(_, allowed)| allowed.iter().any(|(name, _)| *name == it.used))
        };
        if !allowed {
            violations.insert(format!("`{}` uses `{}`: {}", it.user, it.used, it.place));
        }
    }
    for user in program.unsafe_code() {
        if user != "platform" {
            violations.insert(format!("`{user}` has unsafe code"));
        }
    }
    violations.into_iter().collect()
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

//! The files of `packaging/`. `packaging/check` checks what they make, with the tools of each channel.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::machine::{HALLPASS, Machine, Ran, skip};
use crate::support::ran;

/// Runs a script of `packaging/` as the release does, with its own target directory.
fn run(directory: &Path, program: &str, arguments: &[&str]) -> Ran {
    let mut command = Command::new(program);
    command.args(arguments);
    command.env("CARGO_TARGET_DIR", directory);
    command.env("SOURCE_DATE_EPOCH", "1700000000");
    command.env("DOWNLOADS", "https://downloads.example/v1");
    command.env("HOMEPAGE", "https://hallpass.example");
    ran(command).success()
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.into_string().expect("UTF-8"))
        .collect()
}

#[test]
fn a_package_has_the_links_that_setup_creates_their_manuals_and_the_completions() {
    let machine = Machine::new();
    let links = machine.root().join("links");
    let prefix = machine.root().join("prefix");
    let created = ["setup", "links", "--dir", links.to_str().expect("UTF-8")];
    machine.run(&created).success();
    let mut expected = names(&links);
    assert!(expected.remove("hallpass-keyring"));

    // The script copies the program, which is large in a test: a link is enough.
    fs::create_dir_all(prefix.join("bin")).expect("a directory");
    let program = prefix.join("bin/hallpass");
    symlink(&*HALLPASS, &program).expect("a link");
    let prefix_text = prefix.to_str().expect("UTF-8");
    let program = program.to_str().expect("UTF-8");
    run(
        machine.root(),
        "sh",
        &["packaging/stage", program, prefix_text],
    );

    let manuals = names(&prefix.join("share/man/man1"));
    for link in &expected {
        assert!(manuals.contains(&format!("{link}.1.gz")), "{link}");
        let helper = link.trim_end_matches("-hallpass");
        let mut called = machine.command(prefix.join("bin").join(link));
        called.arg("--help");
        let usage = format!("Usage: hallpass {helper} ");
        let help = ran(called).success().stdout;
        assert!(help.contains(&usage), "{link}: {help}");
    }
    let keyring = prefix.join("lib/hallpass/hallpass-keyring/keyring");
    assert_eq!(
        fs::canonicalize(keyring).expect("a link"),
        fs::canonicalize(&*HALLPASS).expect("hallpass")
    );
    for file in [
        "share/man/man1/hallpass.1.gz",
        "share/man/man5/hallpass-contract.5.gz",
        "share/bash-completion/completions/hallpass",
        "share/zsh/site-functions/_hallpass",
        "share/fish/vendor_completions.d/hallpass.fish",
    ] {
        assert!(prefix.join(file).exists(), "{file}");
    }

    // Scoop's shims are given the subcommand: they do not pass on the name that they are called by.
    let scoop = fs::read_to_string("packaging/hallpass.json").expect("a manifest");
    let scoop: Value = serde_json::from_str(&scoop).expect("JSON");
    let shims = scoop["bin"].as_array().expect("programs").iter();
    let shims: BTreeSet<_> = shims
        .filter_map(|shim| shim.as_array())
        .map(|shim| (shim[1].as_str(), shim[2].as_str()))
        .collect();
    let wanted = expected
        .iter()
        .map(|link| (Some(&**link), link.strip_suffix("-hallpass")));
    assert_eq!(shims, wanted.collect());
    expected.insert("hallpass".to_owned());
    assert_eq!(names(&prefix.join("bin")), expected);
}

#[test]
fn the_manifests_are_filled_in() {
    let directory = tempfile::tempdir().expect("a directory");
    let dist = directory.path().join("dist");
    fs::create_dir(&dist).expect("a directory");
    let version = env!("CARGO_PKG_VERSION");
    for target in [
        "x86_64-unknown-linux-musl.tar.gz",
        "aarch64-unknown-linux-musl.tar.gz",
        "x86_64-apple-darwin.tar.gz",
        "aarch64-apple-darwin.tar.gz",
        "x86_64-pc-windows-msvc.zip",
    ] {
        fs::write(dist.join(format!("hallpass-{version}-{target}")), target).expect("a file");
    }
    run(directory.path(), "sh", &["packaging/finish"]);

    let bill = fs::read_to_string(dist.join(format!("hallpass-{version}.cdx.json")));
    let bill: Value = serde_json::from_str(&bill.expect("a bill of materials")).expect("JSON");
    assert_eq!(bill["metadata"]["component"]["name"], "hallpass");
    let crates: Vec<_> = bill["components"]
        .as_array()
        .expect("crates")
        .iter()
        .map(|component| component["name"].as_str().expect("a name"))
        .collect();
    assert!(crates.contains(&"rustls") && !crates.contains(&"proptest"));

    let sums = fs::read_to_string(dist.join("SHA256SUMS")).expect("checksums");
    assert_eq!(sums.lines().count(), 6, "{sums}");
    let winget = format!("winget/manifests/h/hallpass/hallpass/{version}/hallpass.hallpass");
    let mut used = BTreeSet::new();
    for file in [
        "homebrew/Formula/hallpass.rb",
        "scoop/bucket/hallpass.json",
        &format!("{winget}.yaml"),
        &format!("{winget}.installer.yaml"),
        &format!("{winget}.locale.en-US.yaml"),
    ] {
        let path = dist.join("manifests").join(file);
        let text = fs::read_to_string(&path).expect("a manifest");
        assert!(text.contains(version) && !text.contains('@'), "{text}");
        for line in sums.lines() {
            let (sum, name) = line.split_once("  ").expect("a checksum");
            if text.contains(sum) {
                let url = format!("https://downloads.example/v1/{name}");
                assert!(text.contains(&url), "{url}: {text}");
                used.insert(name);
            }
        }
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => drop(serde_json::from_str::<Value>(&text).expect("JSON")),
            Some("rb") => parse("ruby", &["-c", path.to_str().expect("UTF-8")]),
            _ => {}
        }
    }
    assert_eq!(used.len(), 5, "{used:?}");
    parse("nix-instantiate", &["--parse", "packaging/flake.nix"]);
}

fn parse(program: &str, arguments: &[&str]) {
    match Command::new(program).args(arguments).output() {
        Ok(output) => assert!(output.status.success(), "{program}: {output:?}"),
        Err(_) => skip(&format!("{program} is not installed")),
    }
}

#[test]
fn the_same_tree_makes_the_same_archive() {
    let directory = tempfile::tempdir().expect("a directory");
    for kind in ["tar.gz", "zip"] {
        let archives = ["one", "two"].map(|copy| {
            let tree = directory.path().join(copy).join("tree");
            fs::create_dir_all(tree.join("bin")).expect("a directory");
            // The files are new each time.
            for name in ["b", "bin/a"] {
                fs::write(tree.join(name), name).expect("a file");
            }
            let archive = directory.path().join(format!("{copy}.{kind}"));
            let [tree, file] = [&tree, &archive].map(|path| path.to_str().expect("UTF-8"));
            run(
                directory.path(),
                "python3",
                &["packaging/archive", tree, file],
            );
            fs::read(archive).expect("an archive")
        });
        assert!(
            !archives[0].is_empty() && archives[0] == archives[1],
            "{kind}"
        );
    }
}

/// What a release does can be done on any machine, and no action changes unnoticed.
#[test]
fn the_workflows_run_scripts_and_pinned_actions() {
    let Ok(workflows) = fs::read_dir(".github/workflows") else {
        return skip("the package for crates.io has no workflows");
    };
    for workflow in workflows {
        let path = workflow.expect("a workflow").path();
        let text = fs::read_to_string(&path).expect("text");
        for line in text.lines().map(str::trim) {
            let line = line.trim_start_matches("- ");
            if let Some(action) = line.strip_prefix("uses: ") {
                let (_, version) = action.split_once('@').expect("a version");
                let (commit, tag) = version.split_once(" # v").expect("a commit and its tag");
                let is_commit = commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit());
                assert!(is_commit && !tag.is_empty(), "{}: {line}", path.display());
            }
            if let Some(command) = line.strip_prefix("run: ") {
                let script = command
                    .split(' ')
                    .find(|word| word.starts_with("packaging/") || word.starts_with("tests/"));
                let is_known = match script {
                    Some(script) => Path::new(script).exists(),
                    None => command.starts_with("cargo ") || command.starts_with("cp "),
                };
                assert!(is_known, "{}: {command}", path.display());
            }
        }
    }
}

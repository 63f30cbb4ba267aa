//! The files of `packaging/`. `packaging/check` checks what they make, with the tools of each channel.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

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

#[test]
fn unpacking_an_archive_keeps_the_modes_of_directories_that_exist() {
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path().join("home");
    let tree = directory.path().join("tree");
    for root in [&home, &tree] {
        fs::create_dir_all(root.join("share")).expect("a directory");
    }
    fs::write(tree.join("share/a"), "a").expect("a file");
    fs::set_permissions(home.join("share"), Permissions::from_mode(0o700)).expect("a mode");
    let archive = directory.path().join("a.tar.gz");
    let [tree, archive, home_text] =
        [&tree, &archive, &home].map(|path| path.to_str().expect("UTF-8"));
    let packed = ["packaging/archive", tree, archive];
    run(directory.path(), "python3", &packed);
    let unpacked = ["-xzf", archive, "--strip-components=1", "-C", home_text];
    run(directory.path(), "tar", &unpacked);
    assert!(home.join("share/a").exists());
    let share = fs::metadata(home.join("share")).expect("a directory");
    assert_eq!(share.permissions().mode() & 0o777, 0o700);
}

/// A copy of what `packaging/publish` reads, with the version 1.2.3 as the tag, and files to publish.
struct Released {
    _directory: TempDir,
    root: PathBuf,
}

impl Released {
    fn new() -> Released {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("repository");
        fs::create_dir_all(root.join("target/dist/manifests/homebrew")).expect("a directory");
        fs::create_dir(root.join("packaging")).expect("a directory");
        for script in ["common", "notes", "publish"] {
            let path = Path::new("packaging").join(script);
            fs::copy(&path, root.join(&path)).expect("a copy");
        }
        for (file, text) in [
            ("Cargo.toml", "version = \"1.2.3\"\n"),
            (
                "CHANGELOG.md",
                "# Changelog\n\n## 1.2.3 (today)\n\n- New.\n\n## 1.2.2\n\n- Old.\n",
            ),
            (".gitignore", "/target\n"),
            (
                "target/dist/manifests/homebrew/hallpass.rb",
                "class Hallpass\n",
            ),
            ("target/dist/hallpass.deb", "a package\n"),
        ] {
            fs::write(root.join(file), text).expect("a file");
        }
        let released = Released {
            _directory: directory,
            root,
        };
        released.shell(
            "cd target/dist; sha256sum hallpass.deb >SHA256SUMS; cd ../..
             git init --quiet --bare ../tap; git init --quiet; git add .
             git -c user.name=a -c user.email=a@a.example commit --quiet -m a; git tag v1.2.3",
        );
        released
    }

    fn try_shell(&self, script: &str) -> Ran {
        let mut command = Command::new("sh");
        command.args(["-euc", script]).current_dir(&self.root);
        command.env("CARGO_TARGET_DIR", self.root.join("target"));
        ran(command)
    }

    fn shell(&self, script: &str) -> String {
        self.try_shell(script).success().stdout
    }
}

#[test]
fn nothing_is_released_if_the_newest_section_of_the_changelog_is_about_another_version() {
    let released = Released::new();
    let notes = released.shell("sh packaging/notes v1.2.3");
    assert!(
        notes.contains("- New.") && !notes.contains("- Old."),
        "{notes}"
    );
    assert!(notes.contains("Built with rustc 1."), "{notes}");
    let refused = released.try_shell("sh packaging/notes v1.2.4");
    assert!(refused.code == 1 && refused.stderr.contains("v1.2.4"));

    for heading in ["Unreleased", "1.2.30", "1.2"] {
        fs::write(
            released.root.join("CHANGELOG.md"),
            format!("## {heading}\n\n- Newer.\n\n## 1.2.3\n\n- New.\n"),
        )
        .expect("a file");
        for script in ["notes", "publish homebrew"] {
            let refused = released.try_shell(&format!("HOMEBREW_TAP=../tap sh packaging/{script}"));
            let reason = format!("the newest section of CHANGELOG.md is \"{heading}\"");
            assert!(
                refused.code == 1 && refused.stderr.contains(&reason),
                "{refused:?}"
            );
        }
    }
}

/// `gh`, which keeps the state of one release in a directory.
const GH: &str = r#"#!/bin/sh
state=${0%/*}/state
echo "$*" >>"$state/calls"
case "$2" in
view) cat "$state/draft" 2>/dev/null ;;
create) echo true >"$state/draft" ;;
upload) cp "$PWD/target/dist/SHA256SUMS" "$state/"; ! [ -e "$state/fails" ] ;;
edit) echo false >"$state/draft" ;;
download) cp "$state/SHA256SUMS" "$7" ;;
esac
"#;

#[test]
fn publishing_again_after_a_failure_goes_on_where_it_ended() {
    let released = Released::new();
    let bin = released.root.join("target/bin");
    fs::create_dir_all(bin.join("state")).expect("a directory");
    fs::write(bin.join("gh"), GH).expect("a script");
    fs::set_permissions(bin.join("gh"), Permissions::from_mode(0o755)).expect("a mode");
    let publish = "PATH=$PWD/target/bin:$PATH GH_TOKEN=t sh packaging/publish release";
    let state = |name: &str| fs::read_to_string(bin.join("state").join(name)).unwrap_or_default();

    // A draft stays a draft until it has all files.
    fs::write(bin.join("state/fails"), "").expect("a file");
    assert_eq!(released.try_shell(publish).code, 1);
    assert_eq!(state("draft"), "true\n");
    fs::remove_file(bin.join("state/fails")).expect("a file");
    released.shell(publish);
    assert_eq!(state("draft"), "false\n");
    let calls = state("calls");
    assert_eq!(calls.matches("release create").count(), 1, "{calls}");
    assert!(
        calls.contains("--draft --verify-tag") && calls.contains("--clobber"),
        "{calls}"
    );

    // What is published is not replaced.
    assert!(
        released
            .shell(publish)
            .contains("published already, with these files")
    );
    fs::write(bin.join("state/SHA256SUMS"), "others").expect("a file");
    let refused = released.try_shell(publish);
    assert!(refused.stderr.contains("with other files"), "{refused:?}");
    assert_eq!(state("calls").matches("release upload").count(), 2);

    let push = "HOMEBREW_TAP=$PWD/../tap sh packaging/publish homebrew";
    released.shell(push);
    assert!(released.shell(push).contains("these files already"));
    let winget = "mkdir -p target/dist/manifests/winget; echo a >target/dist/manifests/winget/a
        WINGET_FORK=$PWD/../tap sh packaging/publish winget";
    released.shell(winget);
    assert!(released.shell(winget).contains("these files already"));
    let branches = released.shell("git -C ../tap log --all --format=%s");
    assert_eq!(branches, "hallpass 1.2.3\nhallpass 1.2.3\n");

    // A password in a URL would be in the argument lists of git's programs.
    let secret = "HOMEBREW_TAP=https://a:password@tap.example/ sh packaging/publish homebrew";
    let refused = released.try_shell(secret);
    assert!(refused.code == 1 && !refused.stderr.contains("password@"));
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
                    None => ["cargo ", "cp ", "rustup toolchain install "]
                        .iter()
                        .any(|program| command.starts_with(program)),
                };
                assert!(is_known, "{}: {command}", path.display());
            }
        }
    }
}

/// A job that has a secret, or may write, does not build, and installs nothing but the toolchain.
#[test]
fn a_job_of_the_release_has_either_rights_or_code_from_elsewhere() {
    let Ok(workflow) = fs::read_to_string(".github/workflows/release.yml") else {
        return skip("the package for crates.io has no workflows");
    };
    let (top, jobs) = workflow.split_once("\njobs:\n").expect("jobs");
    assert!(top.contains("permissions:\n  contents: read\n"), "{top}");
    let mut jobs_with_rights = Vec::new();
    let mut job = "";
    for line in jobs.lines() {
        let code = line.split(" #").next().expect("code");
        if let Some(name) = code
            .strip_prefix("  ")
            .filter(|name| !name.starts_with([' ', '#']))
        {
            job = name.trim_end_matches(':');
        }
        let is_right =
            code.contains(": write") || code.contains("secrets.") || code.contains("github.token");
        if is_right && !jobs_with_rights.contains(&job) {
            jobs_with_rights.push(job);
        }
        for elsewhere in ["build", "package", "finish", "check"] {
            if code.contains(&format!("packaging/{elsewhere}")) || code.contains("tests/") {
                assert!(!jobs_with_rights.contains(&job), "{job}: {line}");
            }
        }
    }
    assert_eq!(jobs_with_rights, ["sign", "attest", "publish"]);
    for job in ["sign", "publish"] {
        let (_, text) = jobs.split_once(&format!("\n  {job}:\n")).expect("a job");
        let (head, _) = text.split_once("    steps:\n").expect("steps");
        assert!(head.contains("environment: release\n"), "{job}");
        // A secret is in the environment of a step only.
        assert!(!head.contains("secrets."), "{job}");
    }
}

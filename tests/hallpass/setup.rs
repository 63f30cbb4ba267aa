//! `hallpass setup`: what it says is what it writes, and what it wrote it takes back.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Stdio};

use crate::machine::{HALLPASS, Machine, Ran, numbered_tokens};
use crate::recipes::tools;
use crate::server::Server;
use crate::support::ran;

fn machine_bound_to(urls: &[&str]) -> (Machine, Server) {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    let urls: Vec<_> = urls.iter().flat_map(|url| ["--for", *url]).collect();
    machine.login("prod", &server, &urls);
    (machine, server)
}

#[test]
fn setup_prints_the_configuration_of_every_tool_without_a_secret() {
    let (machine, server) = machine_bound_to(&[
        "https://acme.example:8443",
        "https://acme.example/api/",
        "smtp://mail.example:587",
    ]);
    let tools = tools(&machine);
    for wanted in [
        "git",
        "docker",
        "cargo",
        "bazel",
        "kubectl",
        "go",
        "terraform",
        "pnpm",
        "pip",
        "vscode",
        "jetbrains",
        "bruno",
        "insomnia",
        "hurl",
        "httpie",
        "curl",
        "claude-code",
        "codex",
    ] {
        assert!(tools.iter().any(|tool| tool == wanted), "{wanted}");
    }
    for tool in tools {
        let text = machine.run(&["setup", &tool]).success().stdout;
        assert!(text.contains("hallpass"), "{tool}: {text}");
        assert!(!text.contains("token-1"), "{tool}: {text}");
        // No place is left that nothing was put into.
        for name in [
            "hallpass", "profile", "url", "base", "under", "host", "name", "path", "links",
        ] {
            assert!(!text.contains(&format!("{{{name}}}")), "{tool}: {text}");
            assert!(!text.contains(&format!("{{\"{name}\"}}")), "{tool}: {text}");
        }
    }
    assert_eq!(server.requests().len(), 1);
    machine.run(&["setup", "no-such-tool"]).failure(2);
    machine.run(&["setup", "curl", "--write"]).failure(2);
}

#[test]
fn setup_of_an_unbound_profile_names_the_bind_command() {
    let (machine, _server) = machine_bound_to(&[]);
    let ran = machine.run(&["setup", "git"]).failure(3);
    assert!(
        ran.stderr.contains("hallpass bind prod https://HOST/"),
        "{ran:?}"
    );
    machine
        .run(&["bind", "prod", "https://a.example/path"])
        .success();
    machine.run(&["setup", "git"]).success();
    // Docker names only a host.
    machine.run(&["setup", "docker"]).failure(3);
}

#[test]
fn what_is_written_for_git_works_and_is_taken_back_byte_for_byte() {
    let (machine, _server) =
        machine_bound_to(&["https://acme.example", "https://acme.example/deep/er"]);
    let file = machine.home().join(".gitconfig");
    for before in [
        None,
        Some("[user]\n\tname = me\n"),
        Some("[user]\n\tname = me"),
    ] {
        if let Some(before) = before {
            fs::write(&file, before).expect("git's settings");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("their mode");
        }
        machine.run(&["setup", "git", "--write"]).success();
        let written = fs::read_to_string(&file).expect("git's settings");
        let message = machine.run(&["setup", "git"]).success().stdout;
        assert!(
            message
                .lines()
                .filter(|line| line.starts_with('\t'))
                .all(|line| written.contains(line))
        );
        if before.is_some() {
            let mode = fs::metadata(&file)
                .expect("git's settings")
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o644);
        }
        assert_eq!(fill(&machine, "acme.example", "x").trim_end(), "token-1");
        let ran = machine.run(&["setup", "git", "--write"]).success();
        assert!(
            ran.stderr.contains("nothing to do: ~/.gitconfig"),
            "{ran:?}"
        );
        assert_eq!(fs::read_to_string(&file).expect("git's settings"), written);
        machine.run(&["setup", "git", "--undo"]).success();
        match before {
            Some(before) => assert_eq!(fs::read_to_string(&file).expect("git's settings"), before),
            None => assert!(!file.exists()),
        }
        let _ = fs::remove_file(&file);
    }
}

/// The credential that git would send, whichever dialect it has.
fn fill(machine: &Machine, host: &str, path: &str) -> String {
    let mut git = Command::new("git");
    git.args(["credential", "fill"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").expect("a PATH"))
        .env("HOME", machine.home())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = git.spawn().expect("git starts");
    let request = format!("protocol=https\nhost={host}\npath={path}\n\n");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), request.as_bytes())
        .expect("a reader");
    let filled = Ran::from(child.wait_with_output().expect("its end"))
        .success()
        .stdout;
    let password = filled
        .lines()
        .find_map(|line| line.strip_prefix("password="));
    password.unwrap_or_default().to_owned()
}

#[test]
fn a_member_of_a_json_file_is_written_and_taken_back() {
    let (machine, _server) =
        machine_bound_to(&["https://registry.example", "http://127.0.0.1:5000"]);
    for (tool, path, member) in [
        (
            "docker",
            ".docker/config.json",
            "\"127.0.0.1:5000\": \"hallpass\"",
        ),
        (
            "claude-code",
            ".claude/settings.json",
            "\"apiKeyHelper\": \"",
        ),
    ] {
        let file = machine.home().join(path);
        let links = machine.root().join("links");
        let dir = ["--dir", links.to_str().expect("UTF-8")];
        let setup = |last: &str| machine.run(&[&["setup", tool, last], &dir[..]].concat());
        setup("--write").success();
        let written = fs::read_to_string(&file).expect("the tool's settings");
        assert!(written.contains(member), "{written}");
        setup("--undo").success();
        assert!(!file.parent().expect("a directory").exists());
        fs::create_dir(file.parent().expect("a directory")).expect("a directory");
        let before = "{\n\t\"z\": 1,\n\t\"a\": {\"b\": []}\n}";
        fs::write(&file, before).expect("the tool's settings");
        for _ in 0..2 {
            setup("--write").success();
        }
        let written = fs::read_to_string(&file).expect("the tool's settings");
        let read: serde_json::Value = serde_json::from_str(&written).expect("JSON");
        assert!(written.contains(member) && read["z"] == 1, "{written}");
        setup("--undo").success();
        assert_eq!(
            fs::read_to_string(&file).expect("the tool's settings"),
            before
        );
        fs::write(&file, "{ // a comment\n}").expect("the tool's settings");
        setup("--write").failure(2);
        assert_eq!(
            fs::read_to_string(&file).expect("the tool's settings"),
            "{ // a comment\n}"
        );
    }
}

#[test]
fn what_is_written_for_pnpm_comes_with_its_link() {
    let (machine, _server) = machine_bound_to(&["https://npm.example"]);
    let links = machine.root().join("links");
    let options = ["--dir", links.to_str().expect("UTF-8")];
    let setup = |last: &str| {
        machine
            .run(&[&["setup", "pnpm", last], &options[..]].concat())
            .success()
    };
    setup("--write");
    let written = fs::read_to_string(machine.home().join(".npmrc")).expect("pnpm's settings");
    let link = links.join("pnpm-tokenhelper-hallpass-prod");
    assert!(
        written.contains(&format!("//npm.example/:tokenHelper={}\n", link.display())),
        "{written}"
    );
    let mut helper = Command::new(&link);
    helper.env_clear().env("HOME", machine.home());
    assert_eq!(ran(helper).success().stdout, "Bearer token-1\n");
    setup("--undo");
    assert!(!link.exists() && !machine.home().join(".npmrc").exists());
}

#[test]
fn go_keeps_its_setting_itself() {
    let (mut machine, _server) = machine_bound_to(&["https://go.example"]);
    // A go that knows only `go env`.
    let bin = machine.root().join("bin");
    fs::create_dir(&bin).expect("a directory");
    let go = bin.join("go");
    let script = "#!/bin/sh\ncase $2 in\n-w) echo \"${3#GOAUTH=}\" >\"$HOME/goenv\" ;;\n-u) rm \"$HOME/goenv\" ;;\n\
        *) cat \"$HOME/goenv\" 2>/dev/null || echo netrc ;;\nesac\n";
    fs::write(&go, script).expect("a script");
    fs::set_permissions(&go, fs::Permissions::from_mode(0o755)).expect("its mode");
    let path = std::env::var("PATH").expect("a PATH");
    machine.set("PATH", &format!("{}:{path}", bin.display()));
    let value = || fs::read_to_string(machine.home().join("goenv")).unwrap_or_default();
    for _ in 0..2 {
        machine.run(&["setup", "go", "--write"]).success();
        assert_eq!(value(), format!("netrc; {} goauth\n", *HALLPASS));
    }
    machine.run(&["setup", "go", "--undo"]).success();
    assert_eq!(value(), "");
    fs::write(machine.home().join("goenv"), "git dir\n").expect("another setting");
    machine.run(&["setup", "go", "--write"]).failure(2);
    assert_eq!(value(), "git dir\n");
}

#[test]
fn links_are_made_once_and_nothing_of_others_is_overwritten() {
    let (machine, _server) = machine_bound_to(&[]);
    let links = machine.root().join("links");
    let setup = ["setup", "links", "--dir", links.to_str().expect("UTF-8")];
    let ran = machine.run(&setup).success();
    let made: Vec<_> = ran
        .stderr
        .lines()
        .filter(|line| line.contains("created "))
        .collect();
    assert_eq!(made.len(), 8, "{ran:?}");
    let git = links.join("git-credential-hallpass");
    let keyring = links.join("hallpass-keyring/keyring");
    let terraform = machine
        .home()
        .join(".terraform.d/plugins/terraform-credentials-hallpass");
    for link in [&git, &keyring, &terraform] {
        assert_eq!(
            fs::canonicalize(link).expect("a link"),
            fs::canonicalize(&*HALLPASS).expect("hallpass")
        );
    }
    assert_eq!(machine.run(&setup).success().stderr, "");
    fs::remove_file(&git).expect("a link");
    fs::write(&git, "another program").expect("a file");
    let ran = machine.run(&setup).failure(2);
    assert!(ran.stderr.contains("is not hallpass"), "{ran:?}");
    machine.run(&[&setup[..], &["--undo"]].concat()).success();
    assert_eq!(fs::read_to_string(&git).expect("a file"), "another program");
    assert!(!keyring.exists() && !terraform.exists());
}

/// A package has them in the system's directories, where a user cannot create any.
#[test]
fn the_links_of_a_package_are_used() {
    let (machine, _server) = machine_bound_to(&["https://pypi.example/"]);
    let prefix = machine.root().join("prefix");
    let bin = prefix.join("bin");
    let keyring = prefix.join("lib/hallpass/hallpass-keyring");
    for directory in [&bin, &keyring] {
        fs::create_dir_all(directory).expect("a directory");
    }
    symlink(&*HALLPASS, bin.join("hallpass")).expect("a link");
    symlink("../../../bin/hallpass", keyring.join("keyring")).expect("a link");
    let names = [
        "askpass-hallpass",
        "bazel-credential-hallpass",
        "docker-credential-hallpass",
        "git-credential-hallpass",
        "kubectl-credential-hallpass",
        "pnpm-tokenhelper-hallpass",
    ];
    for name in names {
        symlink("hallpass", bin.join(name)).expect("a link");
    }
    let run = |arguments: &[&str]| {
        let mut called = machine.command(bin.join("hallpass"));
        called.args(arguments);
        ran(called).success()
    };
    let said = run(&["setup", "links"]).stderr;
    for path in names.map(|name| bin.join(name)) {
        let line = format!("already there: {}", path.display());
        assert!(said.contains(&line), "{line} is not in {said}");
    }
    let path = keyring.join("keyring");
    assert!(
        said.contains(&format!("already there: {}", path.display())),
        "{said}"
    );
    assert_eq!(said.matches("created ").count(), 1, "{said}");
    assert!(said.contains("terraform-credentials-hallpass"), "{said}");
    let pip = run(&["setup", "pip"]).stdout;
    assert!(pip.contains(keyring.to_str().expect("UTF-8")), "{pip}");
    run(&["setup", "links", "--undo"]);
    assert!(path.exists() && names.iter().all(|name| bin.join(name).exists()));
}

/// Package managers keep a link and change what is behind it.
#[test]
fn what_is_written_names_the_link_that_hallpass_was_called_by() {
    let (machine, _server) = machine_bound_to(&["https://git.example/"]);
    let link = machine.root().join("hallpass");
    std::os::unix::fs::symlink(&*HALLPASS, &link).expect("a link");
    let mut called = machine.command(&link);
    called.args(["setup", "git"]);
    let text = ran(called).success().stdout;
    let helper = format!("{} git-credential", link.display());
    assert!(text.contains(&helper), "{text}");
}

/// What the machine has is on its PATH or in its home directory.
#[test]
fn all_shows_the_tools_of_this_machine_and_undoes_what_was_written() {
    let (mut machine, _server) = machine_bound_to(&["https://acme.example"]);
    let bin = machine.root().join("bin");
    fs::create_dir(&bin).expect("a directory");
    for name in ["cargo", "docker", "hallpass"] {
        std::os::unix::fs::symlink(&*HALLPASS, bin.join(name)).expect("a link");
    }
    fs::create_dir(machine.home().join(".m2")).expect("a directory");
    let kept = machine.files();
    machine.set("PATH", bin.to_str().expect("UTF-8"));
    let rows = |machine: &Machine, more: &[&str]| {
        let text = machine
            .run(&[&["setup", "all"], more].concat())
            .success()
            .stdout;
        let rows = text
            .lines()
            .take_while(|line| !line.starts_with("No other"));
        let words = rows.map(|row| row.split_whitespace().collect::<Vec<_>>().join(" "));
        words.collect::<Vec<_>>()
    };
    let shown = [
        "cargo hallpass setup cargo",
        "docker hallpass setup docker --write creates ~/.docker/config.json",
        "maven hallpass setup maven",
        "dockerfile hallpass setup dockerfile",
    ];
    assert_eq!(rows(&machine, &[]), shown);
    let named = rows(&machine, &["--profile", "prod"]);
    assert_eq!(named[0], "cargo hallpass setup cargo --profile prod");
    // The link is put next to the hallpass on the PATH, where Docker finds it.
    let mut hallpass = machine.command(bin.join("hallpass"));
    hallpass.args(["setup", "docker", "--write"]);
    let ran = ran(hallpass).success();
    let checked = "checked with: docker-credential-hallpass list";
    assert!(
        ran.stderr.contains(checked) && !ran.stderr.contains("warning"),
        "{ran:?}"
    );
    let written = "docker already set up undo: hallpass setup docker --undo";
    assert_eq!(rows(&machine, &[])[1], written);
    machine.run(&["setup", "all", "--write"]).failure(2);
    machine.run(&["logout", "prod"]).success();
    machine.run(&["setup", "all", "--undo"]).success();
    assert!(!bin.join("docker-credential-hallpass").exists());
    let left = machine.files();
    assert!(left.iter().all(|file| kept.contains(file)), "{left:?}");
}

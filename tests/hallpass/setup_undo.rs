//! What `hallpass setup --write` changes in the user's files, and what `--undo` leaves of it: nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::machine::{HALLPASS, Machine, Ran, numbered_tokens};
use crate::server::Server;
use crate::support::ran;

fn logged_in(profiles: &[(&str, &[&str])]) -> (Machine, Server) {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    for (profile, urls) in profiles {
        let urls: Vec<_> = urls.iter().flat_map(|url| ["--for", *url]).collect();
        machine.login(profile, &server, &urls);
    }
    (machine, server)
}

/// `hallpass setup` with its links in a directory of the test.
fn setup(machine: &Machine, arguments: &[&str]) -> Ran {
    let links = machine.root().join("links");
    let dir = ["--dir", links.to_str().expect("UTF-8")];
    machine.run(&[&["setup"], arguments, &dir[..]].concat())
}

/// Everything below the home directory but what hallpass keeps for itself: directories, too.
fn tree(machine: &Machine) -> Vec<(String, Vec<u8>)> {
    fn walk(directory: &Path, found: &mut Vec<(String, Vec<u8>)>) {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.display().to_string();
            if path.ends_with(".config/hallpass") || path.ends_with(".cache") {
                continue;
            }
            if let Ok(target) = fs::read_link(&path) {
                let target = target.display().to_string();
                found.push((name, target.into_bytes()));
            } else if path.is_dir() {
                found.push((name, Vec::new()));
                walk(&path, found);
            } else {
                found.push((name, fs::read(&path).expect("a file")));
            }
        }
    }
    let mut found = Vec::new();
    walk(&machine.home(), &mut found);
    found.sort();
    found
}

#[test]
fn undo_needs_no_profile_and_takes_back_those_of_all() {
    let profiles: [(&str, &[&str]); 2] = [
        ("a", &["https://localhost:5000"]),
        ("b", &["https://b.example", "http://localhost:5000"]),
    ];
    for tool in ["git", "docker", "claude-code", "pnpm"] {
        let (machine, _server) = logged_in(&profiles);
        fs::write(machine.home().join(".gitconfig"), "[user]\n\tname = me\n").expect("a file");
        let before = tree(&machine);
        let names = if tool == "claude-code" {
            &["a"][..]
        } else {
            &["a", "b"]
        };
        for name in names {
            setup(&machine, &[tool, "--write", "--profile", name]).success();
        }
        assert_ne!(tree(&machine), before, "{tool}");
        machine.run(&["logout", "--all", "--yes"]).success();
        setup(&machine, &[tool, "--undo"]).success();
        assert_eq!(tree(&machine), before, "{tool}");
        assert!(!machine.root().join("links").exists(), "{tool}");
        let again = setup(&machine, &[tool, "--undo"]).success();
        assert!(again.stderr.contains("nothing to undo"), "{again:?}");
        // Nothing is left of the record, either.
        assert!(!machine.config().join("setup").exists());
    }
}

#[test]
fn undo_of_one_profile_leaves_what_another_one_needs() {
    let (machine, _server) = logged_in(&[
        ("a", &["https://localhost:5000", "https://c.example"]),
        // For docker it is the same host.
        ("b", &["https://b.example", "http://localhost:5000"]),
    ]);
    for tool in ["git", "docker"] {
        for name in ["a", "b"] {
            setup(&machine, &[tool, "--write", "--profile", name]).success();
        }
        setup(&machine, &[tool, "--undo", "--profile", "a"]).success();
        // A name that is not there has nothing.
        setup(&machine, &[tool, "--undo", "--profile", "nosuch"]).success();
    }
    let git = fs::read_to_string(machine.home().join(".gitconfig")).expect("a file");
    assert!(
        git.contains("--profile b") && !git.contains("--profile a"),
        "{git}"
    );
    let docker = fs::read_to_string(machine.home().join(".docker/config.json")).expect("a file");
    assert!(
        docker.contains("localhost:5000") && docker.contains("b.example"),
        "{docker}"
    );
    assert!(!docker.contains("c.example"), "{docker}");
    assert!(
        machine
            .root()
            .join("links/docker-credential-hallpass")
            .exists()
    );
}

#[test]
fn what_the_user_had_there_before_stays() {
    let (machine, _server) = logged_in(&[("a", &["https://a.example", "https://b.example"])]);
    let docker = machine.home().join(".docker/config.json");
    fs::create_dir(machine.home().join(".docker")).expect("a directory");
    let claude = machine.home().join(".claude/settings.json");
    fs::create_dir(machine.home().join(".claude")).expect("a directory");
    fs::write(&claude, "{}").expect("a file");
    fs::write(machine.home().join(".npmrc"), "").expect("a file");
    for own in [
        "{}",
        "{\"credHelpers\": {}}",
        "{\"credHelpers\": {\"a.example\": \"hallpass\"}}",
        "{\r\n\t\"credHelpers\": {\"x\": \"y\"}\r\n}",
        "{\n}\n",
    ] {
        fs::write(&docker, own).expect("a file");
        let before = tree(&machine);
        for tool in ["docker", "claude-code", "pnpm"] {
            setup(&machine, &[tool, "--write"]).success();
            setup(&machine, &[tool, "--write"]).success();
            setup(&machine, &[tool, "--undo"]).success();
        }
        assert_eq!(tree(&machine), before, "{own}");
    }
    for damaged in [
        "{\"credHelpers\": {}, \"credHelpers\": {}}",
        "{\"a\": 1,}",
        "\u{feff}{}",
    ] {
        fs::write(&docker, damaged).expect("a file");
        setup(&machine, &["docker", "--write"]).failure(2);
        assert_eq!(fs::read_to_string(&docker).expect("a file"), damaged);
        assert!(
            !machine.root().join("links").exists(),
            "there is no partial state"
        );
    }
    fs::write(&docker, b"{\"a\": \"\xe9\"}").expect("a file");
    setup(&machine, &["docker", "--write"]).failure(2);
}

#[test]
fn a_binding_that_went_goes_with_the_next_write() {
    let (machine, _server) = logged_in(&[("a", &["https://a.example", "https://b.example"])]);
    setup(&machine, &["docker", "--write"]).success();
    setup(&machine, &["git", "--write"]).success();
    machine.run(&["unbind", "a", "https://b.example"]).success();
    setup(&machine, &["docker", "--write"]).success();
    setup(&machine, &["git", "--write"]).success();
    for file in [".docker/config.json", ".gitconfig"] {
        let text = fs::read_to_string(machine.home().join(file)).expect("a file");
        assert!(
            text.contains("a.example") && !text.contains("b.example"),
            "{text}"
        );
    }
}

#[test]
fn lines_that_git_put_between_those_of_hallpass_survive_a_rewrite_and_an_undo() {
    let (machine, _server) = logged_in(&[("a", &["https://a.example", "https://b.example"])]);
    setup(&machine, &["git", "--write"]).success();
    let config = |arguments: &[&str]| {
        let mut git = machine.command("git");
        git.args(["config", "--global"]).args(arguments);
        ran(git)
    };
    config(&["credential.https://a.example.username", "me"]).success();
    config(&["--add", "credential.https://b.example.helper", "other"]).success();
    let again = setup(&machine, &["git", "--write"]).success();
    assert!(again.stderr.contains("nothing to do"), "{again:?}");
    machine.run(&["bind", "a", "https://c.example"]).success();
    setup(&machine, &["git", "--write"]).success();
    let value = |name: &str| config(&["--get-all", name]).stdout;
    assert_eq!(value("credential.https://a.example.username"), "me\n");
    assert_eq!(
        value("credential.https://b.example.helper").lines().count(),
        3
    );
    setup(&machine, &["git", "--undo"]).success();
    assert_eq!(value("credential.https://a.example.username"), "me\n");
    assert_eq!(value("credential.https://b.example.helper"), "other\n");
    let text = fs::read_to_string(machine.home().join(".gitconfig")).expect("a file");
    assert!(
        !text.contains("hallpass") && !text.contains("c.example"),
        "{text}"
    );
}

#[test]
fn git_is_set_up_in_the_file_that_git_reads() {
    let (mut machine, _server) = logged_in(&[("a", &["https://a.example"])]);
    let helper = |machine: &Machine| {
        let mut git = machine.command("git");
        git.args([
            "config",
            "--global",
            "--get-all",
            "credential.https://a.example.helper",
        ]);
        ran(git).stdout
    };
    let check = |machine: &Machine, changed: &Path| {
        let before = tree(machine);
        setup(machine, &["git", "--write"]).success();
        assert!(helper(machine).contains("git-credential"));
        assert!(
            fs::read_to_string(changed)
                .expect("a file")
                .contains("hallpass")
        );
        setup(machine, &["git", "--undo"]).success();
        assert_eq!(tree(machine), before);
    };
    let home = machine.home();
    // A link to a file that is not there yet, in a directory that is not there yet.
    symlink("dotfiles/gitconfig", home.join(".gitconfig")).expect("a link");
    check(&machine, &home.join("dotfiles/gitconfig"));
    fs::remove_file(home.join(".gitconfig")).expect("a link");
    // Only the file of the other place, in Latin-1.
    fs::create_dir(home.join(".config/git")).expect("a directory");
    let latin = home.join(".config/git/config");
    fs::write(&latin, b"[user]\n\tname = Ren\xe9\n").expect("a file");
    let before = tree(&machine);
    setup(&machine, &["git", "--write"]).success();
    assert!(helper(&machine).contains("git-credential"));
    assert!(!home.join(".gitconfig").exists());
    setup(&machine, &["git", "--undo"]).success();
    assert_eq!(tree(&machine), before);
    let config = machine.root().join("config");
    fs::create_dir_all(config.join("git")).expect("a directory");
    fs::rename(machine.config(), config.join("hallpass")).expect("moved");
    fs::write(config.join("git/config"), "").expect("a file");
    machine.set("XDG_CONFIG_HOME", config.to_str().expect("UTF-8"));
    check(&machine, &config.join("git/config"));
    let own = machine.root().join("own");
    machine.set("GIT_CONFIG_GLOBAL", own.to_str().expect("UTF-8"));
    check(&machine, &own);
    assert!(!own.exists());
    machine.set("GIT_CONFIG_GLOBAL", "/dev/null");
    setup(&machine, &["git", "--write"]).failure(2);
    machine.set("GIT_CONFIG_GLOBAL", "");
    setup(&machine, &["git", "--write"]).failure(2);
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
    let (mut machine, _server) = logged_in(&[("a", &["https://a.example"])]);
    let pipe = machine.pipe("pipe");
    for name in ["GIT_CONFIG_GLOBAL", "NPM_CONFIG_USERCONFIG"] {
        machine.set(name, pipe.to_str().expect("UTF-8"));
    }
    symlink(&pipe, machine.home().join(".docker-config")).expect("a link");
    fs::create_dir(machine.home().join(".docker")).expect("a directory");
    symlink(&pipe, machine.home().join(".docker/config.json")).expect("a link");
    let links = machine.root().join("links");
    let dir = links.to_str().expect("UTF-8");
    for tool in ["git", "pnpm", "docker"] {
        let ran = machine.run(&["setup", tool, "--write", "--dir", dir]);
        assert!(ran.failure(2).stderr.contains("is not a regular file"));
        machine.run(&["setup", tool, "--undo"]).success();
    }
}

#[test]
fn docker_gets_its_link_with_its_settings() {
    let (mut machine, _server) = logged_in(&[("a", &["https://a.example"])]);
    let ran = setup(&machine, &["docker", "--write"]).success();
    assert!(ran.stderr.contains("links is not on the PATH"), "{ran:?}");
    let link = machine.root().join("links/docker-credential-hallpass");
    let real = fs::canonicalize(&*HALLPASS).expect("hallpass");
    assert_eq!(fs::canonicalize(&link).expect("a link"), real);
    setup(&machine, &["docker", "--undo"]).success();
    // One that is on the PATH already will do, and stays.
    let bin = machine.root().join("bin");
    fs::create_dir(&bin).expect("a directory");
    symlink(&*HALLPASS, bin.join("docker-credential-hallpass")).expect("a link");
    let path = std::env::var("PATH").expect("a PATH");
    machine.set("PATH", &format!("{}:{path}", bin.display()));
    let ran = machine.run(&["setup", "docker", "--write"]).success();
    assert!(
        !ran.stderr.contains("warning") && !ran.stderr.contains("created"),
        "{ran:?}"
    );
    machine.run(&["setup", "docker", "--undo"]).success();
    assert!(bin.join("docker-credential-hallpass").exists());
    // Another program of that name is not ours to replace.
    fs::create_dir(machine.root().join("links")).expect("a directory");
    fs::write(&link, "another program").expect("a file");
    setup(&machine, &["docker", "--write"]).failure(2);
    assert!(!machine.home().join(".docker").exists());
}

#[test]
fn a_profile_of_the_environment_is_shown_and_not_written() {
    let (mut machine, _server) = logged_in(&[]);
    machine.set("HALLPASS_TOKEN_URL", "https://login.example/token");
    let ran = machine.run(&["setup", "git"]).failure(2);
    assert!(ran.stderr.contains("HALLPASS_CLIENT_ID"), "{ran:?}");
    machine.set("HALLPASS_CLIENT_ID", "client");
    let ran = machine.run(&["setup", "git"]).failure(3);
    assert!(ran.stderr.contains("HALLPASS_FOR"), "{ran:?}");
    machine.set("HALLPASS_FOR", "https://a.example https://b.example");
    for (tool, part) in [
        ("git", "hallpass git-credential\"\n"),
        ("curl", "hallpass token --format curl | "),
        ("npm", "hallpass exec -e HALLPASS_TOKEN -- "),
        ("kubectl", "args: [\"kubectl-credential\"]\n"),
    ] {
        let text = machine.run(&["setup", tool]).success().stdout;
        assert!(text.contains(part), "{text}");
    }
    for tool in ["git", "docker", "pnpm", "go", "claude-code"] {
        let ran = machine.run(&["setup", tool, "--write"]).failure(2);
        assert!(
            ran.stderr.contains(&format!("hallpass setup {tool}")),
            "{ran:?}"
        );
    }
    assert_eq!(machine.files(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_profile_that_is_named_is_named_in_the_settings() {
    let (mut machine, _server) = logged_in(&[("a", &["https://a.example"])]);
    let helper = |machine: &Machine, more: &[&str]| {
        let text = machine
            .run(&[&["setup", "git"], more].concat())
            .success()
            .stdout;
        text.contains("git-credential --profile a\"")
    };
    assert!(helper(&machine, &["--profile", "a"]));
    assert!(!helper(&machine, &[]));
    machine.set("HALLPASS_PROFILE", "a");
    assert!(helper(&machine, &[]));
}

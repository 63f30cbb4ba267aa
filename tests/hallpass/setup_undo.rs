//! What `hallpass setup --write` changes in the user's files, and what `--undo` leaves of it: nothing.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
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

/// A text without some of its lines.
fn without(text: &str, is_lost: impl Fn(&str) -> bool) -> String {
    let kept = text.split_inclusive('\n');
    kept.filter(|line| !is_lost(line.trim_end())).collect()
}

/// As npm writes a file again.
fn without_comments(text: &str) -> String {
    without(text, |line| line.starts_with('#'))
}

#[test]
fn lines_that_lost_their_marks_are_not_written_twice_and_are_removed() {
    type Change = fn(&str) -> String;
    let formatted: Change = |text| {
        let text = without_comments(text).replace('\t', "    ");
        text.replace(" = ", "=").replace(" =\n", "=\n")
    };
    let without_end: Change = |text| without(text, |line| line.ends_with(") ends"));
    let without_begin: Change = |text| without(text, |line| line.ends_with(") begins"));
    let moved: Change = |text| {
        text.replace("# hallpass setup (a) begins\n", "")
            + "# hallpass setup (a) begins\n# hallpass setup (a) ends\n"
    };
    let changes = [
        without_comments,
        formatted,
        without_end,
        without_begin,
        moved,
    ];
    for (tool, file, own) in [
        ("pnpm", ".npmrc", "fund=false\n"),
        (
            "git",
            ".gitconfig",
            "[user]\n    name=me\n[credential \"https://x.example\"]\n    helper=\n",
        ),
    ] {
        let (machine, _server) = logged_in(&[("a", &["https://a.example", "https://b.example"])]);
        let file = machine.home().join(file);
        for change in changes {
            fs::write(&file, own).expect("a file");
            let before = tree(&machine);
            setup(&machine, &[tool, "--write"]).success();
            let text = fs::read_to_string(&file).expect("a file");
            fs::write(&file, change(&text)).expect("a file");
            let without_marks = tree(&machine);
            let again = setup(&machine, &[tool, "--write"]).success();
            assert!(again.stderr.contains("nothing to do"), "{again:?}");
            assert_eq!(tree(&machine), without_marks, "{tool}");
            let undone = setup(&machine, &[tool, "--undo"]).success();
            assert!(
                undone.stderr.contains(" lines of profile a from ~/"),
                "{undone:?}"
            );
            assert_eq!(tree(&machine), before, "{tool}: {undone:?}");
            assert!(!machine.config().join("setup").exists());
        }
        // Each binding's lines are removed without their marks, and then written for those that are left.
        setup(&machine, &[tool, "--write"]).success();
        let text = fs::read_to_string(&file).expect("a file");
        fs::write(&file, without_comments(&text)).expect("a file");
        machine.run(&["unbind", "a", "https://b.example"]).success();
        setup(&machine, &[tool, "--write"]).success();
        let text = fs::read_to_string(&file).expect("a file");
        assert_eq!(text.matches("a.example").count(), 1, "{text}");
        assert!(!text.contains("b.example"), "{text}");
    }
}

#[test]
fn npm_may_write_its_file_again_between_a_write_and_an_undo() {
    let (machine, _server) = logged_in(&[("a", &["https://a.example"])]);
    setup(&machine, &["pnpm", "--write"]).success();
    let mut npm = machine.command("npm");
    npm.args(["config", "set", "fund", "false"]);
    ran(npm).success();
    let file = machine.home().join(".npmrc");
    let text = fs::read_to_string(&file).expect("a file");
    assert!(
        text.contains("tokenHelper") && !text.contains("begins"),
        "{text}"
    );
    let undone = setup(&machine, &["pnpm", "--undo"]).success();
    assert!(
        undone.stderr.contains("removed 1 line of profile a"),
        "{undone:?}"
    );
    assert_eq!(fs::read_to_string(&file).expect("a file"), "fund=false\n");
}

#[test]
fn a_line_that_was_changed_stays_recorded_until_it_is_gone() {
    let (machine, _server) = logged_in(&[("a", &["https://a.example"])]);
    let file = machine.home().join(".npmrc");
    setup(&machine, &["pnpm", "--write"]).success();
    let text = without_comments(&fs::read_to_string(&file).expect("a file"));
    fs::write(&file, text.trim_end().to_owned() + " ; mine\n").expect("a file");
    let before = tree(&machine);
    for what in ["--undo", "--write"] {
        let ran = setup(&machine, &["pnpm", what]).failure(2);
        assert!(
            ran.stderr
                .contains("was changed since hallpass wrote it: //a.example/"),
            "{ran:?}"
        );
        assert_eq!(tree(&machine), before);
    }
    setup(&machine, &["all", "--undo"]).failure(2);
    assert_eq!(tree(&machine), before);
    fs::write(&file, "").expect("a file");
    // It is not shown as set up.
    let all = machine.run(&["setup", "all"]).success();
    assert!(
        !all.stdout.contains("pnpm          already set up"),
        "{all:?}"
    );
    let undone = setup(&machine, &["pnpm", "--undo"]).success();
    assert!(
        undone
            .stderr
            .contains("~/.npmrc no longer has the lines of profile a"),
        "{undone:?}"
    );
    assert!(!machine.root().join("links").exists());
    assert!(!machine.config().join("setup").exists());
    // A member of a JSON file with another value is the user's.
    setup(&machine, &["docker", "--write"]).success();
    let docker = machine.home().join(".docker/config.json");
    let other = "{\"credHelpers\": {\"a.example\": \"other\"}}";
    fs::write(&docker, other).expect("a file");
    let undone = setup(&machine, &["docker", "--undo"]).success();
    assert!(
        undone
            .stderr
            .contains("no longer has a.example as hallpass wrote it"),
        "{undone:?}"
    );
    assert!(!undone.stderr.contains("removed a.example"), "{undone:?}");
    assert_eq!(fs::read_to_string(&docker).expect("a file"), other);
}

#[test]
fn what_cannot_be_undone_does_not_keep_the_rest() {
    let (machine, _server) = logged_in(&[("a", &["https://a.example"])]);
    for tool in ["docker", "podman", "git", "pnpm"] {
        setup(&machine, &[tool, "--write"]).success();
    }
    let files = [".docker/config.json", ".config/containers/auth.json"];
    let damage = |from: &str, to: &str| {
        for file in files {
            let file = machine.home().join(file);
            let text = fs::read_to_string(&file).expect("a file");
            fs::write(&file, text.replacen(from, to, 1)).expect("a file");
        }
    };
    damage("{", "{ // c\n");
    let undone = setup(&machine, &["all", "--undo"]).failure(2);
    for file in files {
        assert!(
            undone.stderr.contains(&format!("{file} is not plain JSON")),
            "{undone:?}"
        );
    }
    assert!(!machine.home().join(".gitconfig").exists(), "{undone:?}");
    assert!(!machine.home().join(".npmrc").exists(), "{undone:?}");
    assert!(
        !machine
            .root()
            .join("links/pnpm-tokenhelper-hallpass-a")
            .exists()
    );
    // The link is still needed.
    assert!(
        machine
            .root()
            .join("links/docker-credential-hallpass")
            .exists()
    );
    damage("{ // c\n", "{");
    setup(&machine, &["all", "--undo"]).success();
    assert!(!machine.home().join(".docker").exists());
    assert!(!machine.root().join("links").exists());
    assert!(!machine.config().join("setup").exists());
}

#[test]
fn what_could_not_be_written_is_not_recorded() {
    let (mut machine, _server) = logged_in(&[("a", &["https://a.example"])]);
    // A regular file that not even root can replace.
    for name in [
        "GIT_CONFIG_GLOBAL",
        "NPM_CONFIG_USERCONFIG",
        "REGISTRY_AUTH_FILE",
    ] {
        machine.set(name, "/proc/version");
    }
    let before = tree(&machine);
    for tool in ["git", "pnpm"] {
        let ran = setup(&machine, &[tool, "--write"]).failure(1);
        assert!(ran.stderr.contains("cannot "), "{ran:?}");
        assert!(!machine.config().join("setup").exists());
    }
    setup(&machine, &["podman", "--write"]).failure(2);
    assert_eq!(tree(&machine), before);
    assert!(!machine.root().join("links").exists());
    let all = machine.run(&["setup", "all"]).success().stdout;
    assert!(!all.contains("already set up"), "{all}");
}

#[test]
fn tools_can_be_set_up_at_the_same_time() {
    let (machine, _server) = logged_in(&[("a", &["https://a.example"])]);
    let links = machine.root().join("links");
    let start = |arguments: [&str; 2]| {
        let mut hallpass = machine.command(&*HALLPASS);
        hallpass
            .arg("setup")
            .args(arguments)
            .arg("--dir")
            .arg(&links);
        hallpass.spawn().expect("hallpass starts")
    };
    for what in ["--write", "--undo"] {
        let tools = ["git", "pnpm", "docker", "claude-code", "podman", "links"];
        let of_links = |tool: &str| tool != "links" || what == "--undo";
        let running: Vec<_> = tools
            .into_iter()
            .filter(|tool| of_links(tool))
            .map(|tool| start([tool, what]))
            .collect();
        for mut child in running {
            assert!(child.wait().expect("an end").success());
        }
    }
    assert!(!machine.home().join(".gitconfig").exists());
    assert!(!links.exists());
    assert!(!machine.config().join("setup").exists());
}

#[test]
fn podman_is_set_up_in_the_file_that_it_reads() {
    let (mut machine, _server) = logged_in(&[("a", &["https://a.example"])]);
    let bin = machine.root().join("links");
    let path = std::env::var("PATH").expect("a PATH");
    machine.set("PATH", &format!("{}:{path}", bin.display()));
    let config = machine.root().join("config");
    fs::create_dir(&config).expect("a directory");
    fs::rename(machine.config(), config.join("hallpass")).expect("moved");
    let before = tree(&machine);
    machine.set("XDG_CONFIG_HOME", config.to_str().expect("UTF-8"));
    let ran = setup(&machine, &["podman", "--write"]).success();
    assert!(
        ran.stderr
            .contains("checked with: skopeo login --get-login"),
        "{ran:?}"
    );
    assert!(config.join("containers/auth.json").exists());
    assert_eq!(tree(&machine), before);
    // The check asks the program itself.
    fs::write(
        config.join("containers/auth.json"),
        "{\"credHelpers\": {\"a.example\": \"hallpass\"}}",
    )
    .expect("a file");
    machine.set("REGISTRY_AUTH_FILE", "/dev/null/nowhere");
    setup(&machine, &["podman", "--undo"]).success();
    assert!(!config.join("containers").exists());
}

#[test]
fn a_file_keeps_its_owner_its_group_its_names_and_its_attributes() {
    let (machine, _server) = logged_in(&[("a", &["https://a.example"])]);
    let file = machine.home().join(".gitconfig");
    let own = "[user]\n\tname = me\n";
    fs::write(&file, own).expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("a mode");
    // Only root may give a file away.
    let _ = chown(&file, Some(12), Some(60));
    let attributes = || {
        let mut value = [0; 8];
        let read = rustix::fs::getxattr(&file, "user.note", &mut value).ok();
        read.map(|length: usize| value[..length].to_vec())
    };
    let state = || {
        let file = fs::metadata(&file).expect("a file");
        (file.uid(), file.gid(), file.mode(), file.nlink())
    };
    let check = || {
        let before = (state(), attributes());
        setup(&machine, &["git", "--write"]).success();
        assert!(
            fs::read_to_string(&file)
                .expect("a file")
                .contains("hallpass")
        );
        assert_eq!((state(), attributes()), before);
        setup(&machine, &["git", "--undo"]).success();
        assert_eq!(fs::read_to_string(&file).expect("a file"), own);
        assert_eq!((state(), attributes()), before);
    };
    check();
    // Not every file system has them.
    let flags = rustix::fs::XattrFlags::empty();
    let _ = rustix::fs::setxattr(&file, "user.note", b"mine", flags);
    check();
    fs::hard_link(&file, machine.home().join("dotfile")).expect("a second name");
    check();
    let _ = rustix::fs::removexattr(&file, "user.note");
    check();
}

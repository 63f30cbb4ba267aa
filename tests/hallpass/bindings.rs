//! `hallpass bind` and `unbind`: the URLs of a profile, and the index that finds it by URL.

use std::fs;

use crate::machine::{Machine, numbered_tokens};
use crate::server::Server;
use crate::support::{after_shell, ran, run_by};

fn machine_with_profile() -> (Machine, Server) {
    let server = Server::start(numbered_tokens());
    let machine = Machine::new();
    machine.login("prod", &server, &["--for", "https://a.example"]);
    (machine, server)
}

fn answers(machine: &Machine, url: &str) -> bool {
    let ran = machine.run(&["token", "--url", url]);
    assert!(ran.code == 0 || ran.code == 3, "{ran:?}");
    ran.code == 0
}

#[test]
fn a_binding_is_changed_and_taken_back() {
    let (machine, server) = machine_with_profile();
    let bind = [
        "bind",
        "prod",
        "https://B.example:443/api",
        "--username",
        "me",
        "--scheme",
        "basic",
    ];
    machine.run(&bind).success();
    let listed = machine.run(&["status"]).success().stdout;
    assert!(
        listed.contains("https://b.example/api (scheme basic, username me)"),
        "{listed}"
    );
    assert!(answers(&machine, "https://b.example/api/x"));
    assert!(!answers(&machine, "https://b.example/"));
    // The profile's name can be left out while there is only one.
    machine.run(&["unbind", "https://b.example/api"]).success();
    assert!(!answers(&machine, "https://b.example/api/x"));
    machine.run(&["unbind", "https://b.example/api"]).failure(3);
    machine.run(&["bind", "prod"]).failure(2);
    machine
        .run(&["bind", "prod", "http://b.example/"])
        .failure(2);
    machine
        .run(&["bind", "prod", "https://b.example/?x"])
        .failure(2);
    machine
        .run(&["bind", "prod", "https://b.example/%2f"])
        .failure(2);
    assert_eq!(server.requests().len(), 1, "a binding changes no token");
}

/// What `hallpass token` prints with these words, without the line end.
fn token(machine: &Machine, words: &[&str]) -> String {
    let ran = machine.run(&[&["token"], words].concat()).success();
    assert_eq!(ran.stderr, "");
    ran.stdout.trim_end().to_owned()
}

#[test]
fn a_token_goes_into_the_header_that_its_url_is_bound_with() {
    let (machine, server) = machine_with_profile();
    let url = "https://api.example/v1";
    let bind = |more: &[&str]| {
        let arguments = [&["bind", "prod", url], more].concat();
        machine.run(&arguments).success();
    };
    let written = |words: &[&str]| {
        ["header", "curl", "headers-json", "raw", "bearer"].map(|format| {
            let format = ["--format", format];
            token(&machine, &[&format, words].concat())
        })
    };
    let in_header = |name: &str, value: &str| {
        [
            format!("{name}: {value}"),
            format!("header = \"{name}: {value}\""),
            format!("{{\"{name}\":\"{value}\"}}"),
            "token-1".to_owned(),
            "Bearer token-1".to_owned(),
        ]
    };
    let below = &["--url", "https://api.example/v1/items?page=2"];
    bind(&[]);
    assert_eq!(written(below), in_header("Authorization", "Bearer token-1"));
    bind(&["--header", "X-Access-Token"]);
    assert_eq!(written(below), in_header("X-Access-Token", "token-1"));
    // Without a URL it is the profile's only header, and another URL keeps its own.
    assert_eq!(written(&["prod"]), in_header("X-Access-Token", "token-1"));
    assert_eq!(written(&[]), in_header("X-Access-Token", "token-1"));
    let other = &["--url", "https://a.example/"];
    assert_eq!(written(other), in_header("Authorization", "Bearer token-1"));
    // Each option stays until it is changed.
    bind(&["--scheme", "bearer"]);
    assert_eq!(
        written(below),
        in_header("X-Access-Token", "Bearer token-1")
    );
    bind(&["--scheme", "basic", "--username", "me"]);
    bind(&[]);
    machine.login("prod", &server, &["--for", url]);
    let basic = "Basic bWU6dG9rZW4tMg==";
    let header = ["--format", "header"];
    let shown = token(&machine, &[&header[..], below].concat());
    assert_eq!(shown, format!("X-Access-Token: {basic}"));
    let listed = machine.run(&["status"]).success().stdout;
    let shown = format!("{url} (header X-Access-Token, scheme basic, username me)");
    assert!(listed.contains(&shown), "{listed}");
    bind(&["--scheme", "", "--username", ""]);
    let shown = token(&machine, &[&header[..], below].concat());
    assert_eq!(shown, "X-Access-Token: token-2");
    bind(&["--header", ""]);
    let listed = machine.run(&["status"]).success().stdout;
    assert!(listed.contains(&format!("{url}\n")), "{listed}");
    let shown = token(&machine, &[&header[..], below].concat());
    assert_eq!(shown, "Authorization: Bearer token-2");
}

#[test]
fn different_headers_of_a_profile_need_the_url() {
    let (machine, server) = machine_with_profile();
    let bind = |url: &str, header: &str| {
        let arguments = ["bind", "prod", url, "--header", header];
        machine.run(&arguments).success();
    };
    bind("https://b.example/", "X-Access-Token");
    bind("https://c.example/", "x-access-token");
    let format = ["token", "--format", "headers-json"];
    let shown = machine.run(&format).success().json();
    assert_eq!(shown["X-Access-Token"], "token-1");
    bind("https://c.example/", "X-Auth-Token");
    let ran = machine.run(&format).failure(2);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("use different headers"), "{ran:?}");
    let of_url = [&format[..], &["--url", "https://c.example/x"]].concat();
    let shown = machine.run(&of_url).success().json();
    assert_eq!(shown["X-Auth-Token"], "token-1");
    // No header is needed.
    assert_eq!(machine.run(&["token"]).token(), "token-1");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_header_that_cannot_carry_a_token_is_not_bound() {
    let (machine, _server) = machine_with_profile();
    for name in [
        "authorization",
        "AUTHORIZATION",
        "Proxy-Authorization",
        "Host",
        "Cookie",
        "Content-Type",
        "content-length",
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "X Access",
        "X-Access:",
        "X-Access\nEvil",
        "X-\u{e4}",
        "x\"y",
    ] {
        let bind = ["bind", "prod", "https://b.example/", "--header", name];
        machine.run(&bind).failure(2);
    }
    let path = machine.config().join("prod.json");
    let text = fs::read_to_string(&path).expect("a profile");
    let edited = r#"{"url":"https://a.example/","header":"Host"}"#;
    let text = text.replace(r#""https://a.example/""#, edited);
    assert!(text.contains("Host"), "{text}");
    fs::write(&path, text).expect("an edit");
    machine.run(&["token", "prod"]).failure(2);
}

#[test]
fn the_index_follows_logins_and_logouts() {
    let (machine, server) = machine_with_profile();
    let urls = || fs::read_dir(machine.config().join("urls")).map_or(0, Iterator::count);
    machine.login(
        "other",
        &server,
        &["--for", "https://a.example/x", "--for", "https://c.example"],
    );
    assert_eq!(urls(), 2);
    machine.login("other", &server, &["--for", "https://d.example"]);
    assert_eq!(urls(), 2);
    assert!(answers(&machine, "https://d.example/") && !answers(&machine, "https://c.example/"));
    machine.run(&["logout", "other"]).success();
    assert_eq!(urls(), 1);
    // The profile has the last word: what it does not say, the index cannot.
    let file = machine.config().join("prod.json");
    let text = fs::read_to_string(&file).expect("the profile");
    fs::write(
        &file,
        text.replace("https://a.example/", "https://e.example/"),
    )
    .expect("an edit");
    assert!(!answers(&machine, "https://a.example/") && !answers(&machine, "https://e.example/"));
    machine
        .run(&["bind", "prod", "https://e.example/"])
        .success();
    assert!(answers(&machine, "https://e.example/"));
    // A profile that cannot be read is forgotten with all that names it.
    fs::write(&file, "{").expect("damage");
    machine.run(&["logout", "--all", "--yes"]).success();
    assert_eq!(machine.files(), [machine.config().join("lock")]);
}

#[test]
fn a_url_belongs_to_one_profile() {
    let (machine, server) = machine_with_profile();
    machine.login("other", &server, &["--for", "https://a.example/x"]);
    for arguments in [
        &["bind", "other", "https://a.example"][..],
        &["bind", "other", "https://b.example", "https://a.example/"],
    ] {
        let ran = machine.run(arguments).failure(2);
        let message = "profile prod is already bound to https://a.example/";
        assert!(ran.stderr.contains(message), "{ran:?}");
        let hint = "hallpass unbind prod https://a.example/";
        assert!(ran.stderr.contains(hint), "{ran:?}");
        assert!(!answers(&machine, "https://b.example/"), "all or nothing");
    }
    // As the hint says.
    machine
        .run(&["unbind", "prod", "https://a.example/"])
        .success();
    machine
        .run(&["bind", "other", "https://a.example"])
        .success();
    // Again, with more to say.
    machine
        .run(&["bind", "other", "https://a.example", "--username", "x"])
        .success();
    assert!(answers(&machine, "https://a.example/"));
}

#[test]
fn a_url_can_be_bound_again_if_its_profile_is_gone_or_changed_but_not_if_it_is_damaged() {
    for case in ["gone", "changed", "damaged"] {
        let (machine, server) = machine_with_profile();
        machine.login("other", &server, &[]);
        let file = machine.config().join("prod.json");
        let profile = fs::read_to_string(&file).expect("the profile");
        let changed = match case {
            "gone" => fs::remove_file(&file),
            "changed" => fs::write(&file, profile.replace("a.example", "e.example")),
            _ => fs::write(&file, "{"),
        };
        changed.expect("a change behind hallpass' back");
        let bind = ["bind", "other", "https://a.example"];
        if case == "damaged" {
            let ran = machine.run(&bind).failure(2);
            assert!(ran.stderr.contains("prod.json"), "{ran:?}");
            continue;
        }
        let ran = machine.run(&["token", "--url", "https://a.example/"]);
        assert!(ran.failure(3).stderr.contains("no profile is bound"));
        machine.run(&bind).success();
        assert!(answers(&machine, "https://a.example/"), "{case}");
    }
}

#[test]
fn a_logout_removes_no_list_that_it_cannot_read() {
    for unreadable in [false, true] {
        let (machine, server) = machine_with_profile();
        machine.login("other", &server, &["--for", "https://a.example/x"]);
        machine.login("third", &server, &["--for", "https://c.example"]);
        let lists = machine.config().join("urls");
        let mine = machine.config().join("urls/notes");
        let damage = |path: &std::path::Path| fs::write(path, "[{").expect("damage");
        for list in fs::read_dir(&lists).expect("lists").flatten() {
            damage(&list.path());
        }
        fs::write(&mine, "of a person").expect("a file");
        damage(&machine.config().join("prod.json"));
        let third = machine.config().join("third.json");
        if unreadable {
            damage(&third);
        }
        let ran = machine.run(&["logout", "prod"]);
        assert!(!machine.config().join("prod.json").exists());
        assert!(mine.exists());
        assert_eq!(fs::read_dir(&lists).expect("lists").count(), 3);
        if unreadable {
            // Nobody knows what else was in the list.
            let ran = ran.failure(2);
            assert!(ran.stderr.contains("/urls/"), "{ran:?}");
            assert!(ran.stderr.contains("third.json"), "{ran:?}");
            machine.run(&["logout", "third"]).success();
        } else {
            ran.success();
            assert!(answers(&machine, "https://c.example/"));
        }
        assert!(answers(&machine, "https://a.example/x"));
        assert!(!answers(&machine, "https://a.example/"));
    }
}

#[test]
fn a_command_without_a_name_is_not_for_a_stored_profile_where_the_environment_describes_one() {
    let (mut machine, _server) = machine_with_profile();
    machine.set("HALLPASS_TOKEN_URL", "https://login.example/token");
    machine.set("HALLPASS_CLIENT_ID", "one");
    let before = machine.files();
    for (arguments, hint) in [
        (&["logout"][..], "hallpass logout PROFILE"),
        (&["bind", "https://b.example"], "HALLPASS_FOR"),
        (&["unbind", "https://a.example"], "HALLPASS_FOR"),
    ] {
        let ran = machine.run(arguments).failure(2);
        assert!(ran.stderr.contains(hint), "{ran:?}");
    }
    assert_eq!(machine.files(), before);
    machine
        .run(&["bind", "prod", "https://b.example"])
        .success();
    machine.run(&["logout", "prod"]).success();
}

#[test]
fn what_the_environment_lacks_is_named() {
    let mut machine = Machine::new();
    machine.set("HALLPASS_CLIENT_ID", "one");
    for arguments in [&["token"][..], &["bind", "https://b.example"], &["logout"]] {
        let ran = machine.run(arguments).failure(2);
        let what = "HALLPASS_CLIENT_ID is set but HALLPASS_TOKEN_URL is not";
        assert!(ran.stderr.contains(what), "{ran:?}");
    }
}

#[test]
fn docker_logout_makes_the_next_token_a_new_one() {
    let (machine, _server) = machine_with_profile();
    let docker = |operation: &str| {
        machine
            .run_with_input(&["docker-credential", operation], b"a.example")
            .success()
            .stdout
    };
    assert!(docker("get").contains("token-1"));
    assert!(docker("get").contains("token-1"));
    assert_eq!(docker("erase"), "");
    assert!(docker("get").contains("token-2"));
    let elsewhere = machine.run_with_input(&["docker-credential", "erase"], b"b.example");
    assert_eq!(elsewhere.success().stdout, "");
    assert!(docker("get").contains("token-2"));
}

#[test]
fn a_crash_between_the_writes_leaves_a_binding_that_works_or_none() {
    let (machine, _server) = machine_with_profile();
    let strace = |nth: usize| {
        let mut strace = std::process::Command::new("strace");
        strace.args([
            "-f",
            "-o",
            "/dev/null",
            "-e",
            "trace=rename,renameat,renameat2",
        ]);
        strace.args([
            "-e",
            &format!("inject=rename,renameat,renameat2:signal=KILL:when={nth}"),
        ]);
        strace
    };
    for nth in 1..=3 {
        let bind = machine.hallpass(&["bind", "prod", "https://b.example"]);
        let killed = ran(run_by(strace(nth), &bind)).code != 0;
        assert_eq!(killed, nth <= 2, "two files are written");
        let _ = answers(&machine, "https://b.example/");
        assert!(answers(&machine, "https://a.example/"));
        machine
            .run(&["bind", "prod", "https://b.example"])
            .success();
        assert!(answers(&machine, "https://b.example/"));
        machine
            .run(&["unbind", "prod", "https://b.example"])
            .success();
        assert!(!answers(&machine, "https://b.example/"));
    }
}

#[test]
fn finding_a_profile_by_its_url_does_not_read_all_profiles() {
    let (machine, _server) = machine_with_profile();
    let text = fs::read_to_string(machine.config().join("prod.json")).expect("the profile");
    let calls = || {
        let report = machine.root().join("report");
        let mut strace = std::process::Command::new("strace");
        strace.args(["-f", "-o"]).arg(&report);
        let helper = machine.hallpass(&["token", "--url", "https://a.example/x"]);
        ran(run_by(strace, &helper)).success();
        let calls = fs::read_to_string(&report).expect("strace's report");
        calls.lines().filter(|line| !line.contains("+++")).count()
    };
    let few = calls();
    for number in 0..1000 {
        let name = format!("other-{number}.json");
        fs::write(machine.config().join(name), &text).expect("a profile");
    }
    assert_eq!(calls(), few);
    let request = machine.private_file("request", b"protocol=https\nhost=a.example\n\n");
    let line = format!("exec <{}", request.display());
    let found = ran(after_shell(
        &line,
        &machine.hallpass(&["git-credential", "get"]),
    ));
    assert!(found.success().stdout.contains("token-1"));
}

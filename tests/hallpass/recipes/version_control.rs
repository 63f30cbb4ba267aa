//! Version control.

use std::fs;

use super::data::Double;
use super::{AWKWARD, QUOTES, Recipe};
use crate::clients::{Demands, git_backend, gits, repositories};
use crate::server::{Reply, Request};
use crate::support::ran;

#[test]
fn git_stores_the_token_nowhere() {
    let repositories = repositories();
    for (git, is_new) in gits() {
        for directory in [AWKWARD, QUOTES, "plain"] {
            let demands = if is_new {
                Demands::Either
            } else {
                Demands::Basic
            };
            let content = git_backend(repositories.path());
            for recipe in Recipe::each("git", directory, "/app.git", demands, content) {
                let settings = "[credential]\n\thelper = store\n".to_owned() + &recipe.text;
                fs::write(recipe.machine.home().join(".gitconfig"), settings).expect("a file");
                for url in recipe.urls("/app.git") {
                    let mut git = recipe.command(&git);
                    git.env("GIT_TERMINAL_PROMPT", "0")
                        .env("GIT_CONFIG_NOSYSTEM", "1")
                        .args(["ls-remote", &url]);
                    assert!(ran(git).success().stdout.contains("refs/heads/"));
                }
                let stored = recipe.machine.home().join(".git-credentials");
                assert!(!stored.exists(), "{git} {directory}");
                recipe.used_one_token();
            }
        }
    }
}

#[test]
fn git_asks_the_askpass_program() {
    let repositories = repositories();
    let content = git_backend(repositories.path());
    // git names no path in its prompt.
    for recipe in Recipe::each("askpass", AWKWARD, "", Demands::Basic, content) {
        recipe.setup(AWKWARD, &["links"]);
        for url in recipe.urls("/app.git") {
            let script = format!("{}\ngit ls-remote {url}", recipe.text);
            recipe.shell("sh", &script).success();
        }
        recipe.used_one_token();
    }
}

/// The mail server has no TLS.
#[test]
fn git_send_email_gets_the_token_as_password() {
    let reply = |_: &_| Reply::new(200);
    let mut server = Double::start("smtp");
    let url = format!("smtp://127.0.0.1:{}", server.port);
    for directory in [AWKWARD, QUOTES] {
        for recipe in Recipe::each_at("git-send-email", directory, Demands::Bearer, reply, |_| {
            url.clone()
        }) {
            let settings = recipe
                .text
                .replace("smtpEncryption = tls", "smtpEncryption = none");
            let settings =
                "[user]\n\tname = me\n\temail = me@example.com\n[credential]\n\thelper = store\n"
                    .to_owned()
                    + &settings;
            let file = recipe.machine.home().join(".gitconfig");
            fs::write(&file, &settings).expect("a file");
            recipe.project_file("a.patch", "From: me@example.com\nSubject: a\n\nhello\n");
            let options = "--from=me@example.com --to=you@example.com --confirm=never a.patch";
            let lines = recipe.text.lines();
            let lines = lines.filter_map(|line| line.strip_prefix("# then: "));
            let lines = lines.map(|line| line.replace("FILE", options));
            let lines: Vec<_> = lines.collect();
            assert_eq!(lines.len(), recipe.urls("/").len());
            for line in &lines {
                recipe.shell("sh", line).success();
                assert_eq!(
                    server.received(),
                    format!("oauth2 oauth2 {}", recipe.token())
                );
            }
            assert!(!recipe.machine.home().join(".git-credentials").exists());
            recipe.used_one_token();
            // Another server gets no token, whatever the settings say.
            let other = Double::start("smtp");
            fs::write(&file, settings.replace(&server.port, &other.port)).expect("a file");
            let line = format!("GIT_TERMINAL_PROMPT=0 {}", lines[0]);
            let ran = recipe.shell("sh", &line);
            assert!(ran.stderr.contains("could not read Password"), "{ran:?}");
            recipe.used_one_token();
        }
    }
}

/// An empty repository, as far as `pull` goes.
#[test]
fn mercurial_reads_the_token_from_the_pipe() {
    let repository = |request: &Request| {
        let answers = |part: &str| request.target.contains(&format!("cmd={part}"));
        let none = "0".repeat(40);
        let body = match () {
            () if answers("capabilities") => {
                "lookup branchmap known getbundle batch pushkey".to_owned()
            }
            () if answers("batch") => format!("{none}\n;"),
            () if answers("listkeys") => String::new(),
            () => format!("{none}\n"),
        };
        Reply::new(200)
            .header("Content-Type", "application/mercurial-0.1")
            .body(body)
    };
    for recipe in Recipe::each("mercurial", AWKWARD, "/hg/", Demands::Basic, repository) {
        recipe.shell("sh", "hg init").success();
        let printed = recipe.shell("sh", &recipe.text).success().stdout;
        assert_eq!(
            printed.matches("no changes found").count(),
            recipe.urls("").len()
        );
        recipe.used_one_token();
    }
}

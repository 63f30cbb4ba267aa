//! Version control.

use std::fs;

use super::{AWKWARD, QUOTES, Recipe};
use crate::clients::{Demands, git_site, gits};
use crate::server::{Reply, Request};
use crate::support::ran;

#[test]
fn git_stores_the_token_nowhere() {
    for (git, is_new) in gits() {
        for directory in [AWKWARD, QUOTES, "plain"] {
            let demands = if is_new {
                Demands::Either
            } else {
                Demands::Basic
            };
            let site = git_site(demands);
            site.bind_only("/app.git");
            let settings =
                "[credential]\n\thelper = store\n".to_owned() + &site.setup(directory, &["git"]);
            fs::write(site.machine.home().join(".gitconfig"), settings).expect("a file");
            let mut clone = site.command(&git);
            clone
                .env("GIT_TERMINAL_PROMPT", "0")
                .env("GIT_CONFIG_NOSYSTEM", "1")
                .args(["clone", "--quiet", &site.server.url("/app.git"), "copy"])
                .current_dir(site.machine.root());
            ran(clone).success();
            let stored = site.machine.home().join(".git-credentials");
            assert!(!stored.exists(), "{git} {directory}");
            assert_eq!(site.issued(), 1);
        }
    }
}

#[test]
fn git_asks_the_askpass_program() {
    let site = git_site(Demands::Basic);
    site.setup(AWKWARD, &["links"]);
    let exports = site.setup(AWKWARD, &["askpass"]);
    let url = site.server.url("/app.git");
    site.shell("sh", &format!("{exports}\ngit ls-remote {url}"))
        .success();
    assert_eq!(site.issued(), 1);
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

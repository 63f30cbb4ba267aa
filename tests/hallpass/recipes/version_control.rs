//! Version control.

use std::fs;

use super::{AWKWARD, QUOTES};
use crate::clients::{Demands, git_site, gits};
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
fn git_and_wget_ask_the_askpass_program() {
    let site = git_site(Demands::Basic);
    site.setup(AWKWARD, &["links"]);
    let text = site.setup(AWKWARD, &["askpass"]);
    let url = site.server.url("/app.git");
    let (exports, wget) = text.split_once("wget").expect("a line for wget");
    site.shell("sh", &format!("{exports}\ngit ls-remote {url}"))
        .success();
    let page = site
        .server
        .url("/app.git/info/refs?service=git-upload-pack");
    let wget = wget.replace(&site.server.url("/"), &format!("'{page}'"));
    site.shell("sh", &format!("wget -q -O refs {wget}"))
        .success();
    let refs = fs::read(site.directory("project").join("refs")).expect("what was fetched");
    assert!(!refs.is_empty());
    assert_eq!(site.issued(), 1);
}

//! Tools that tests/consumers compiles: without it, these tests are skipped.

use std::path::{Path, PathBuf};

use super::{AWKWARD, Recipe, commands, settings_and_commands};
use crate::clients::Demands;
use crate::machine::skip;
use crate::server::Reply;

fn each(tool: &str) -> Option<(PathBuf, [Recipe; 2])> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("consumers");
    let program = target.join("bin").join(tool);
    if !program.exists() {
        skip("nono and Hurl are compiled only by tests/consumers");
        return None;
    }
    let content = |_: &_| Reply::json(200, "{}");
    Some((
        program,
        Recipe::each(tool, AWKWARD, "/it/", Demands::Bearer, content),
    ))
}

impl Recipe {
    fn consumer(&self, name: &str, program: &Path) {
        self.script(
            name,
            &format!("#!/bin/sh\nexec '{}' \"$@\"\n", program.display()),
        );
    }
}

#[test]
fn hurl_reads_the_variable_as_a_secret() {
    let Some((program, recipes)) = each("hurl") else {
        return;
    };
    for recipe in recipes {
        let (file, command) = settings_and_commands(&recipe.text);
        recipe.project_file("FILE", file);
        recipe.consumer("hurl", &program);
        recipe.shell("sh", command).success();
        assert_eq!(recipe.accepted().len(), recipe.urls("/").len());
        recipe.used_one_token();
    }
}

/// In its sandbox, the program has a token of nono's, which nono's proxy replaces.
#[test]
fn nono_captures_the_credential_for_its_proxy() {
    let Some((program, recipes)) = each("nono") else {
        return;
    };
    for recipe in recipes {
        let profile = recipe.project_file("profile.json", &commands(&recipe.text));
        recipe.consumer("nono", &program);
        for url in [
            "$PROD_BASE_URL",
            "$HALLPASS_BASE_URL",
            "$HALLPASS_2_BASE_URL",
        ] {
            let fetch = format!(
                "test -z \"{url}\" || curl -sSf -H \"Authorization: Bearer $HALLPASS_TOKEN\" \"{url}/x\""
            );
            let line = format!(
                "nono run -s -p '{}' --allow-cwd -- sh -c '{fetch}'",
                profile.display()
            );
            recipe.shell("sh", &line).success();
        }
        assert_eq!(recipe.accepted().len(), recipe.urls("/").len());
        recipe.used_one_token();
    }
}

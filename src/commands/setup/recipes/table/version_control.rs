//! Version control, in alphabetical order.

use super::{HOME_FILE, PRINTED, Tool};
use crate::commands::setup::recipes::{SettingsFile, Write};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "askpass",
        programs: "git, wget",
        found_by: &["git", "wget"],
        feature: "an askpass program",
        head: "# the link is made by: hallpass setup links\n\
               @{variable: GIT_ASKPASS LINKS/askpass-hallpass}\n",
        each: "@{shell: wget --use-askpass=LINKS/askpass-hallpass URL}\n",
        ..PRINTED
    },
    Tool {
        name: "git",
        programs: "git, git-lfs",
        found_by: &["git"],
        feature: "a credential helper",
        head: "# ~/.gitconfig\n",
        // The empty helper first: no other one stores the token, or answers before.
        each: "[credential \"@{git-section: BASE}\"]\n\
               \thelper =\n\
               \thelper = @{git-helper>git-value: hallpass git-credential --profile=NAMED}\n\
               @{text: USE-PATH}",
        write: Write::Lines {
            file: SettingsFile {
                variables: &["GIT_CONFIG_GLOBAL"],
                in_home: ".gitconfig",
                in_config: Some("git/config"),
                empty_is_none: true,
                ..HOME_FILE
            },
            known: &["[credential \"", "\thelper =", "\tuseHttpPath = true"],
        },
        ..PRINTED
    },
];

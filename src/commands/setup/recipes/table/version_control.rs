//! Version control, in alphabetical order.

use super::{HOME_FILE, PRINTED, Tool};
use crate::commands::setup::recipes::{AsksFor, Check, SettingsFile, Write};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "askpass",
        programs: "git and other programs that ask for a password",
        found_by: &[],
        feature: "an askpass program",
        head: "# the link is made by: hallpass setup links\n\
               @{variable: GIT_ASKPASS LINKS/askpass-hallpass}\n",
        ..PRINTED
    },
    Tool {
        name: "git",
        programs: "git, git-lfs",
        found_by: &["git"],
        feature: "a credential helper",
        asks_for: AsksFor::Any,
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
        check: Some(Check {
            command: "git credential fill",
            input: "url=@{text: URL}\n\n",
            shows: "password=",
        }),
        ..PRINTED
    },
    Tool {
        name: "git-send-email",
        programs: "git send-email",
        found_by: &[],
        feature: "a credential helper for SMTP",
        head: "# ~/.gitconfig, for mail servers that take a token as the password\n",
        each: "# then: @{sh: git send-email --identity LABEL} FILE\n\
               [sendemail \"@{git-section: LABEL}\"]\n\
               \tsmtpServer = @{git-value: HOSTNAME}\n\
               @{text: SMTP-PORT}\
               \tsmtpEncryption = @{text: SMTP-ENCRYPTION}\n\
               \tsmtpUser = @{git-value: USER}\n\
               \tsmtpAuth = PLAIN\n\
               [credential \"@{git-section: BASE}\"]\n\
               \thelper =\n\
               \thelper = @{git-helper>git-value: hallpass git-credential --profile=NAMED}\n",
        asks_for: AsksFor::Smtp,
        ..PRINTED
    },
    Tool {
        name: "mercurial",
        programs: "Mercurial",
        found_by: &["hg"],
        feature: "a pipe, so that no argument list has the token",
        each: "@{shell: hallpass token PROFILE} | hg --config ui.nontty=true --config ui.interactive=true pull @{with-user>shell: SCHEME USER UNDER}\n",
        ..PRINTED
    },
];

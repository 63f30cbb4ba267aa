//! Data, mail and services, in alphabetical order.

use super::{PRINTED, Tool};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "msmtp",
        programs: "msmtp",
        found_by: &["msmtp"],
        feature: "passwordeval",
        head: "# ~/.msmtprc, in the account\n\
               auth oauthbearer\n\
               passwordeval @{sh: hallpass token PROFILE}\n",
        ..PRINTED
    },
    Tool {
        name: "rclone",
        programs: "rclone",
        found_by: &["rclone"],
        feature: "a WebDAV remote's token command",
        head: "# ~/.config/rclone/rclone.conf (rclone 1.60 splits the command at spaces, also between quotes)\n",
        each: "[@{text: LABEL}]\n\
               type = webdav\n\
               vendor = other\n\
               url = @{text: URL}\n\
               bearer_token_command = @{rclone: hallpass token PROFILE}\n\n",
        ..PRINTED
    },
];

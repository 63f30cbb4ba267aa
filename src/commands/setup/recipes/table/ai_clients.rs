//! AI clients, in alphabetical order.

use super::{HOME_FILE, PRINTED, Tool};
use crate::commands::setup::recipes::{SettingsFile, Write};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "claude-code",
        programs: "Claude Code",
        found_by: &["claude", "~/.claude"],
        feature: "apiKeyHelper and headersHelper",
        head: "# ~/.claude/settings.json, for the API or a gateway in front of it\n\
               {\"apiKeyHelper\": @{system>json: hallpass token PROFILE}}\n\n\
               # .mcp.json, in an MCP server's object\n\
               {\"headersHelper\": @{system>json: hallpass token PROFILE --format headers-json}}\n",
        write: Write::Json {
            file: SettingsFile {
                variables: &["CLAUDE_CONFIG_DIR"],
                below: "settings.json",
                in_home: ".claude/settings.json",
                ..HOME_FILE
            },
            object: None,
            key: "apiKeyHelper",
            value: "@{system: hallpass token PROFILE}",
        },
        ..PRINTED
    },
    Tool {
        name: "codex",
        programs: "Codex",
        found_by: &["codex", "~/.codex"],
        feature: "a model provider's auth command",
        head: "# ~/.codex/config.toml; the first line goes before any table\n\
               model_provider = @{toml: LABEL}\n",
        each: "\n[model_providers.@{text: LABEL}]\n\
               name = @{toml: LABEL}\n\
               base_url = @{toml: BASE}\n\
               auth = { command = @{toml: hallpass}, args = @{list: token PROFILE} }\n",
        ..PRINTED
    },
];

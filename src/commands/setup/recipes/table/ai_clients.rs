//! AI clients, in alphabetical order.

use super::{HOME_FILE, PRINTED, Tool};
use crate::commands::setup::recipes::{SettingsFile, Write};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "claude-code",
        programs: "Claude Code",
        found_by: &["claude", "~/.claude"],
        feature: "apiKeyHelper and headersHelper",
        head: "# ~/.claude/settings.json, for the API or a gateway in front of it; Claude Code keeps a key for 5 minutes\n\
               {\"apiKeyHelper\": @{system>json: hallpass token PROFILE --min-ttl 6m}}\n\n\
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
            value: "@{system: hallpass token PROFILE --min-ttl 6m}",
        },
        ..PRINTED
    },
    Tool {
        name: "codex",
        programs: "Codex",
        found_by: &["codex", "~/.codex"],
        feature: "a model provider's auth command",
        head: "# ~/.codex/config.toml; the first line goes before any table. Codex keeps a token for 5 minutes.\n\
               model_provider = @{toml: LABEL}\n",
        each: "\n[model_providers.@{text: LABEL}]\n\
               name = @{toml: LABEL}\n\
               base_url = @{toml: BASE}\n\
               auth = { command = @{toml: hallpass}, args = @{list: token PROFILE --min-ttl 6m}, timeout_ms = 30000 }\n",
        ..PRINTED
    },
    Tool {
        name: "fnox",
        programs: "fnox",
        found_by: &["fnox"],
        feature: "a lease",
        head: "# fnox.toml\n\
               [leases.@{text: LABEL}]\n\
               type = \"command\"\n\
               create_command = @{sh>toml: hallpass token PROFILE --min-ttl 10m --template {\"credentials\":{\"HALLPASS_TOKEN\":\"{token}\"},\"expires_at\":\"{expires_at}\"}}\n\n\
               # then\n\
               fnox exec -- PROGRAM\n",
        ..PRINTED
    },
    Tool {
        name: "gemini",
        programs: "Gemini CLI",
        found_by: &["gemini", "~/.gemini"],
        feature: "an environment variable",
        head: "# ~/.gemini/settings.json\n\
               {\"security\": {\"auth\": {\"selectedType\": \"gemini-api-key\"}}}\n\n\
               # then, for the API or a gateway in front of it (GOOGLE_GEMINI_BASE_URL). All that it starts has the token too, until it\n\
               # expires: hallpass serve gives an address that needs no token\n\
               @{variable: GEMINI_API_KEY_AUTH_MECHANISM bearer}\n\
               @{shell: hallpass exec -e GEMINI_API_KEY=PROFILE --min-ttl 30m -- gemini}\n",
        ..PRINTED
    },
    Tool {
        name: "nono",
        programs: "nono",
        found_by: &["nono"],
        feature: "a captured credential",
        // nono makes the name of a variable of each name.
        head: "# in nono's profile, which keeps a token for 15 minutes\n\
               {\n  \"credential_capture\": {\"hallpass\": {\n\
               \x20   \"command\": @{list: hallpass token PROFILE --min-ttl 16m --template {\"headers\":{\"Authorization\":\"Bearer\\u0020{token}\"}}},\n\
               \x20   \"cache_ttl_secs\": 900, \"timeout_secs\": 60,\n\
               \x20   \"output\": {\"format\": \"json\", \"allow_headers\": [\"Authorization\"]}}},\n\
               \x20 \"network\": {\n    \"credentials\": @{list: IDENTIFIERS},\n    \"custom_credentials\": {\n",
        each: "      @{json: IDENTIFIER}: {\"upstream\": @{json: BASE}, \"credential_key\": \"cmd://hallpass\", \"env_var\": \"HALLPASS_TOKEN\"}",
        between: ",\n",
        tail: "\n    }\n  }\n}\n",
        ..PRINTED
    },
    Tool {
        name: "opencode",
        programs: "opencode",
        found_by: &["opencode", "~/.config/opencode"],
        feature: "a provider's key, from an environment variable",
        head: "# opencode.json in the project, or ~/.config/opencode/opencode.json; name your models\n{\n  \"provider\": {\n",
        each: "    @{json: LABEL}: {\"npm\": \"@ai-sdk/openai-compatible\", \"options\": {\"baseURL\": @{json: BASE}, \"apiKey\": \"{env:HALLPASS_TOKEN}\"}, \"models\": {\"MODEL\": {}}}",
        between: ",\n",
        tail: "\n  }\n}\n\n# then. All that it starts has the token too, until it\n\
               # expires: hallpass serve gives an address that needs no token\n@{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE --min-ttl 30m -- opencode}\n",
        ..PRINTED
    },
];

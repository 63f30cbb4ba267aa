//! Clients of MCP servers, for `hallpass setup mcp PROFILE --client CLIENT`. A client that can run a
//! command for its headers gets a new token whenever it needs one; the others get theirs when they start.

use super::Tool;
use super::table::PRINTED;

/// In the order in which they are listed.
pub(in crate::commands::setup) const MCP_CLIENTS: &[Tool] = &[
    Tool {
        name: "claude-code",
        head: "# .mcp.json in the project\n{\n  \"mcpServers\": {\n",
        each: "    @{json: LABEL}: {\"type\": \"http\", \"url\": @{json: URL}, \"headersHelper\": @{system>json: hallpass token PROFILE --format headers-json}}",
        between: ",\n",
        tail: "\n  }\n}\n",
        ..PRINTED
    },
    Tool {
        name: "codex",
        head: "# ~/.codex/config.toml (Codex 0.171 or later)\n",
        each: "[mcp_servers.@{text: LABEL}]\n\
               url = @{toml: URL}\n\
               http_headers_helper = @{system>toml: hallpass token PROFILE --format headers-json}\n",
        between: "\n",
        ..PRINTED
    },
    Tool {
        name: "copilot",
        head: "# ~/.copilot/mcp-config.json\n{\n  \"mcpServers\": {\n",
        each: "    @{json: LABEL}: {\"type\": \"local\", \"command\": @{json: hallpass}, \"args\": @{list: mcp URL --profile=PROFILE}, \"tools\": [\"*\"]}",
        between: ",\n",
        tail: "\n  }\n}\n",
        ..PRINTED
    },
    Tool {
        name: "cursor",
        head: "# ~/.cursor/mcp.json\n{\n  \"mcpServers\": {\n",
        each: "    @{json: LABEL}: {\"command\": @{json: hallpass}, \"args\": @{list: mcp URL --profile=PROFILE}}",
        between: ",\n",
        tail: "\n  }\n}\n",
        ..PRINTED
    },
    Tool {
        name: "gemini",
        head: "# ~/.gemini/settings.json\n{\n  \"mcpServers\": {\n",
        each: "    @{json: LABEL}: {\"command\": @{json: hallpass}, \"args\": @{list: mcp URL --profile=PROFILE}}",
        between: ",\n",
        tail: "\n  }\n}\n",
        ..PRINTED
    },
    Tool {
        name: "opencode",
        head: "# opencode.json in the project, or ~/.config/opencode/opencode.json\n{\n  \"mcp\": {\n",
        each: "    @{json: LABEL}: {\"type\": \"local\", \"command\": @{list: hallpass mcp URL --profile=PROFILE}}",
        between: ",\n",
        tail: "\n  }\n}\n",
        ..PRINTED
    },
    Tool {
        name: "vscode",
        head: "# .vscode/mcp.json in the project\n{\n  \"servers\": {\n",
        each: "    @{json: LABEL}: {\"type\": \"stdio\", \"command\": @{json: hallpass}, \"args\": @{list: mcp URL --profile=PROFILE}}",
        between: ",\n",
        tail: "\n  }\n}\n",
        ..PRINTED
    },
];

//! The table of tools, a row each, in the order in which they are listed.

use super::{SettingsFile, Tool, Write};

/// A tool whose settings are only printed.
pub(super) const PRINTED: Tool = Tool {
    name: "",
    programs: "",
    feature: "",
    head: "",
    each: "",
    between: "",
    tail: "",
    hosts_only: false,
    write: Write::Never,
};

/// A file in the home directory, with no variable for it.
const HOME_FILE: SettingsFile = SettingsFile {
    variables: &[],
    below: "",
    in_home: "",
    in_config: None,
    empty_is_none: false,
};

pub(in crate::commands::setup) const TOOLS: &[Tool] = &[
    Tool {
        name: "askpass",
        programs: "git, wget",
        feature: "an askpass program",
        head: "# the link is made by: hallpass setup links\n\
               @{variable: GIT_ASKPASS LINKS/askpass-hallpass}\n",
        each: "@{shell: wget --use-askpass=LINKS/askpass-hallpass URL}\n",
        ..PRINTED
    },
    Tool {
        name: "aws",
        programs: "AWS command line and SDKs",
        feature: "a web identity token file",
        head: "# write the file again before the token expires\n\
               @{shell: hallpass token PROFILE --output TOKEN-FILE}\n\
               @{variable: AWS_WEB_IDENTITY_TOKEN_FILE TOKEN-FILE}\n\
               # the role that trusts the authorization server\n\
               @{variable: AWS_ROLE_ARN arn:aws:iam::ACCOUNT:role/ROLE}\n",
        ..PRINTED
    },
    Tool {
        name: "azure",
        programs: "Azure SDKs",
        feature: "a federated token file",
        head: "# write the file again before the token expires\n\
               @{shell: hallpass token PROFILE --output TOKEN-FILE}\n\
               @{variable: AZURE_FEDERATED_TOKEN_FILE TOKEN-FILE}\n\
               # the application that trusts the authorization server\n\
               @{variable: AZURE_TENANT_ID TENANT}\n\
               @{variable: AZURE_CLIENT_ID APPLICATION}\n",
        ..PRINTED
    },
    Tool {
        name: "bazel",
        programs: "Bazel, EngFlow",
        feature: "a credential helper",
        head: "# ~/.bazelrc; the link is made by: hallpass setup links\n",
        each: "common --credential_helper=@{text: HOSTNAME}=@{bazelrc: LINKS/bazel-credential-hallpass}\n",
        ..PRINTED
    },
    Tool {
        name: "bruno",
        programs: "Bruno",
        feature: "an environment variable",
        head: "# in the collection, Auth: Bearer Token\n{{process.env.HALLPASS_TOKEN}}\n\n\
               # then, for the command line and for the app\n\
               @{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE -- bru run}\n\
               @{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE --min-ttl 30m -- bruno}\n",
        ..PRINTED
    },
    Tool {
        name: "cargo",
        programs: "Cargo",
        feature: "a credential provider",
        head: "# ~/.cargo/config.toml; choose the registry's name, and check its index\n",
        each: "[registries.@{text: LABEL}]\n\
               index = @{toml: sparse+ BASE /}\n\
               credential-provider = @{list: hallpass --profile=PROFILE}\n\n",
        tail: "# git dependencies, with hallpass set up for git\n\
               [net]\n\
               git-fetch-with-cli = true\n",
        ..PRINTED
    },
    Tool {
        name: "claude-code",
        programs: "Claude Code",
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
        feature: "a model provider's auth command",
        head: "# ~/.codex/config.toml; the first line goes before any table\n\
               model_provider = @{toml: LABEL}\n",
        each: "\n[model_providers.@{text: LABEL}]\n\
               name = @{toml: LABEL}\n\
               base_url = @{toml: BASE}\n\
               auth = { command = @{toml: hallpass}, args = @{list: token PROFILE} }\n",
        ..PRINTED
    },
    Tool {
        name: "curl",
        programs: "curl",
        feature: "a pipe, so that no argument list has the token",
        each: "@{shell: hallpass token PROFILE --format curl} | curl -K - @{shell: URL}\n",
        ..PRINTED
    },
    Tool {
        name: "docker",
        programs: "Docker, Podman, Skopeo, Helm",
        feature: "a credential helper",
        head: "# ~/.docker/config.json (Podman, Skopeo: ~/.config/containers/auth.json); the link, on\n\
               # the PATH, is made by --write, or by: hallpass setup links\n\
               {\"credHelpers\": {",
        each: "@{json: HOST}: \"hallpass\"",
        between: ", ",
        tail: "}}\n",
        hosts_only: true,
        write: Write::Json {
            file: SettingsFile {
                variables: &["DOCKER_CONFIG"],
                below: "config.json",
                in_home: ".docker/config.json",
                ..HOME_FILE
            },
            object: Some("credHelpers"),
            key: "@{text: HOST}",
            value: "hallpass",
        },
    },
    Tool {
        name: "git",
        programs: "git, git-lfs",
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
    Tool {
        name: "go",
        programs: "Go",
        feature: "GOAUTH",
        head: "go env -w @{goauth>shell: hallpass goauth}\n",
        write: Write::Go("@{goauth: hallpass goauth}"),
        ..PRINTED
    },
    Tool {
        name: "google",
        programs: "Google Cloud libraries",
        feature: "an executable credential source",
        head: "# in the credential configuration of the workload identity pool\n\
               \"credential_source\": {\"executable\": {\"command\": @{sh>json: hallpass google-executable --profile=PROFILE}, \"timeout_millis\": 30000}}\n\n\
               # then\n\
               @{variable: GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES 1}\n",
        ..PRINTED
    },
    Tool {
        name: "httpie",
        programs: "HTTPie",
        feature: "a header from a file descriptor (bash, zsh)",
        each: "http @{sh: URL} Authorization:@<(@{sh: hallpass token PROFILE --format bearer})\n",
        ..PRINTED
    },
    Tool {
        name: "hurl",
        programs: "Hurl (7.1 or later)",
        feature: "a secret variable",
        head: "# in the .hurl file\n",
        each: "GET @{text: URL}\nAuthorization: Bearer {{token}}\n\n",
        tail: "# then\n@{shell: hallpass exec -e HURL_SECRET_token=PROFILE -- hurl FILE}\n",
        ..PRINTED
    },
    Tool {
        name: "insomnia",
        programs: "Insomnia",
        feature: "a file that the File tag reads",
        head: "# write the file again before the token expires\n\
               mkdir @{shell: FOLDER}\n\
               @{shell: hallpass token PROFILE --output FOLDER-FILE}\n\n\
               # in Preferences, Security, let Insomnia read this folder\n\
               @{text: FOLDER}\n\n\
               # in the request, Auth: Bearer Token, with the File tag\n\
               {% file @{json: FOLDER-FILE} %}\n",
        ..PRINTED
    },
    Tool {
        name: "jetbrains",
        programs: "JetBrains HTTP Client",
        feature: "an environment variable",
        head: "### in the .http file\n",
        each: "GET @{text: URL}\nAuthorization: Bearer {{$env.HALLPASS_TOKEN}}\n\n",
        tail: "# then, with the IDE's own launcher\n\
               @{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE --min-ttl 30m -- idea .}\n",
        ..PRINTED
    },
    Tool {
        name: "kubectl",
        programs: "kubectl and other Kubernetes clients",
        feature: "an exec plugin",
        head: "# in the kubeconfig; provideClusterInfo lets hallpass compare the cluster's URL\n\
               users:\n\
               - name: @{yaml: LABEL}\n\
               \x20 user:\n\
               \x20   exec:\n\
               \x20     apiVersion: client.authentication.k8s.io/v1\n\
               \x20     command: @{yaml: hallpass}\n\
               \x20     args: @{list: kubectl-credential --profile=PROFILE}\n\
               \x20     interactiveMode: Never\n\
               \x20     provideClusterInfo: true\n",
        ..PRINTED
    },
    Tool {
        name: "msmtp",
        programs: "msmtp",
        feature: "passwordeval",
        head: "# ~/.msmtprc, in the account\n\
               auth oauthbearer\n\
               passwordeval @{sh: hallpass token PROFILE}\n",
        ..PRINTED
    },
    Tool {
        name: "npm",
        programs: "npm, Bun, Yarn 1",
        feature: "an environment variable",
        head: "# .npmrc\n",
        each: "//@{npmrc-key: UNDER}/:_authToken=${HALLPASS_TOKEN}\n",
        tail: "\n# then\n@{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE -- npm install}\n",
        ..PRINTED
    },
    Tool {
        name: "pip",
        programs: "pip (23.1 or later), uv",
        feature: "the keyring program",
        head: "# the link is made by: hallpass setup links\n\
               @{path: LINKS/hallpass-keyring}\n",
        each: "pip install --keyring-provider subprocess --index-url @{with-user>shell: SCHEME USER UNDER} PACKAGE\n\
               uv pip install --keyring-provider subprocess --index-url @{with-user>shell: SCHEME USER UNDER} PACKAGE\n",
        ..PRINTED
    },
    Tool {
        name: "pnpm",
        programs: "pnpm",
        feature: "a token helper",
        head: "# ~/.npmrc, not a project's; the link is made by --write, or by:\n\
               # @{sh: ln -s hallpass PNPM-LINK}\n",
        each: "//@{npmrc-key: UNDER}/:tokenHelper=@{pnpm: PNPM-LINK}\n",
        write: Write::Lines {
            file: SettingsFile {
                variables: &["NPM_CONFIG_USERCONFIG", "npm_config_userconfig"],
                in_home: ".npmrc",
                ..HOME_FILE
            },
            known: &["//"],
        },
        ..PRINTED
    },
    Tool {
        name: "rclone",
        programs: "rclone",
        feature: "a WebDAV remote's token command",
        head: "# ~/.config/rclone/rclone.conf (rclone 1.60 splits the command at spaces, also between quotes)\n",
        each: "[@{text: LABEL}]\n\
               type = webdav\n\
               vendor = other\n\
               url = @{text: URL}\n\
               bearer_token_command = @{rclone: hallpass token PROFILE}\n\n",
        ..PRINTED
    },
    Tool {
        name: "terraform",
        programs: "Terraform, OpenTofu",
        feature: "a credentials helper",
        head: "# ~/.terraformrc; the link is made by: hallpass setup links\n\
               credentials_helper \"hallpass\" {\n\
               \x20 args = @{list: --profile=NAMED}\n\
               }\n",
        ..PRINTED
    },
    Tool {
        name: "vscode",
        programs: "VS Code REST Client",
        feature: "an environment variable",
        head: "### in the .http file\n",
        each: "GET @{text: URL}\nAuthorization: Bearer {{$processEnv HALLPASS_TOKEN}}\n\n",
        tail: "# then, while no VS Code is running\n\
               @{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE --min-ttl 30m -- code .}\n",
        ..PRINTED
    },
    Tool {
        name: "yarn",
        programs: "Yarn 2 or later",
        feature: "an environment variable",
        head: "# .yarnrc.yml\n\
               npmRegistries:\n",
        each: "  @{yaml: // UNDER}:\n\
               \x20   npmAlwaysAuth: true\n\
               \x20   npmAuthToken: \"${HALLPASS_TOKEN}\"\n",
        tail: "\n# then\n@{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE -- yarn install}\n",
        ..PRINTED
    },
];

//! The tools: a row each. What a row says is printed, and the same is written.

use super::Facts;
use super::template::Url;
use crate::error::{Error, Result};

/// A tool, and what its user puts where. The texts are filled by [`Facts::fill`].
pub(super) struct Tool {
    pub(super) name: &'static str,
    /// The programs that it stands for.
    programs: &'static str,
    /// By what they get their token.
    means: &'static str,
    /// Before the rest: where it goes.
    head: &'static str,
    /// Once for each URL that the profile is bound to; nothing if the tool needs no URL.
    pub(super) each: &'static str,
    between: &'static str,
    tail: &'static str,
    /// The tool asks for a host without a path: a binding to a path never answers.
    hosts_only: bool,
    pub(super) write: Write,
}

/// How `--write` does it.
pub(super) enum Write {
    /// Not at all.
    Never,
    /// `each`, at the end of a file that takes comments.
    Lines {
        file: CacheEntry,
        /// How lines begin that hallpass writes there, for a block without a record.
        known: &'static [&'static str],
    },
    /// A member of a JSON object, or of the object of this name in it, for each URL or once.
    Json {
        file: CacheEntry,
        object: Option<&'static str>,
        key: &'static str,
        value: &'static str,
    },
    /// With `go env -w`.
    Go(&'static str),
}

/// A tool's file: the variables that name it or its directory, and where it is otherwise.
pub(super) struct CacheEntry {
    pub(super) variables: &'static [&'static str],
    /// What is in the variable's directory; nothing if the variable names the file itself.
    pub(super) below: &'static str,
    pub(super) in_home: &'static str,
    /// Below the user's directory of settings (XDG): used if only this one is there.
    pub(super) in_config: Option<&'static str>,
    /// A variable without a value means no file at all, rather than the usual one.
    pub(super) empty_is_none: bool,
}

const PLAIN: Tool = Tool {
    name: "",
    programs: "",
    means: "",
    head: "",
    each: "",
    between: "",
    tail: "",
    hosts_only: false,
    write: Write::Never,
};

const PLAIN_PLACE: CacheEntry = CacheEntry {
    variables: &[],
    below: "",
    in_home: "",
    in_config: None,
    empty_is_none: false,
};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "askpass",
        programs: "git, wget",
        means: "an askpass program",
        head: "# the link is made by: hallpass setup links\n\
               @{variable: GIT_ASKPASS LINKS/askpass-hallpass}\n",
        each: "@{shell: wget --use-askpass=LINKS/askpass-hallpass URL}\n",
        ..PLAIN
    },
    Tool {
        name: "aws",
        programs: "AWS command line and SDKs",
        means: "a web identity token file",
        head: "# write the file again before the token expires\n\
               @{shell: hallpass token PROFILE --output TOKEN-FILE}\n\
               @{variable: AWS_WEB_IDENTITY_TOKEN_FILE TOKEN-FILE}\n\
               # the role that trusts the authorization server\n\
               @{variable: AWS_ROLE_ARN arn:aws:iam::ACCOUNT:role/ROLE}\n",
        ..PLAIN
    },
    Tool {
        name: "azure",
        programs: "Azure SDKs",
        means: "a federated token file",
        head: "# write the file again before the token expires\n\
               @{shell: hallpass token PROFILE --output TOKEN-FILE}\n\
               @{variable: AZURE_FEDERATED_TOKEN_FILE TOKEN-FILE}\n\
               # the application that trusts the authorization server\n\
               @{variable: AZURE_TENANT_ID TENANT}\n\
               @{variable: AZURE_CLIENT_ID APPLICATION}\n",
        ..PLAIN
    },
    Tool {
        name: "bazel",
        programs: "Bazel, EngFlow",
        means: "a credential helper",
        head: "# ~/.bazelrc; the link is made by: hallpass setup links\n",
        each: "common --credential_helper=@{text: HOSTNAME}=@{bazelrc: LINKS/bazel-credential-hallpass}\n",
        ..PLAIN
    },
    Tool {
        name: "bruno",
        programs: "Bruno",
        means: "an environment variable",
        head: "# in the collection, Auth: Bearer Token\n{{process.env.HALLPASS_TOKEN}}\n\n\
               # then, for the command line and for the app\n\
               @{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE -- bru run}\n\
               @{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE --min-ttl 30m -- bruno}\n",
        ..PLAIN
    },
    Tool {
        name: "cargo",
        programs: "Cargo",
        means: "a credential provider",
        head: "# ~/.cargo/config.toml; choose the registry's name, and check its index\n",
        each: "[registries.@{text: LABEL}]\n\
               index = @{toml: sparse+ BASE /}\n\
               credential-provider = @{list: hallpass --profile=PROFILE}\n\n",
        tail: "# git dependencies, with hallpass set up for git\n\
               [net]\n\
               git-fetch-with-cli = true\n",
        ..PLAIN
    },
    Tool {
        name: "claude-code",
        programs: "Claude Code",
        means: "apiKeyHelper and headersHelper",
        head: "# ~/.claude/settings.json, for the API or a gateway in front of it\n\
               {\"apiKeyHelper\": @{system>json: hallpass token PROFILE}}\n\n\
               # .mcp.json, in an MCP server's object\n\
               {\"headersHelper\": @{system>json: hallpass token PROFILE --format headers-json}}\n",
        write: Write::Json {
            file: CacheEntry {
                variables: &["CLAUDE_CONFIG_DIR"],
                below: "settings.json",
                in_home: ".claude/settings.json",
                ..PLAIN_PLACE
            },
            object: None,
            key: "apiKeyHelper",
            value: "@{system: hallpass token PROFILE}",
        },
        ..PLAIN
    },
    Tool {
        name: "codex",
        programs: "Codex",
        means: "a model provider's auth command",
        head: "# ~/.codex/config.toml; the first line goes before any table\n\
               model_provider = @{toml: LABEL}\n",
        each: "\n[model_providers.@{text: LABEL}]\n\
               name = @{toml: LABEL}\n\
               base_url = @{toml: BASE}\n\
               auth = { command = @{toml: hallpass}, args = @{list: token PROFILE} }\n",
        ..PLAIN
    },
    Tool {
        name: "curl",
        programs: "curl",
        means: "a pipe, so that no argument list has the token",
        each: "@{shell: hallpass token PROFILE --format curl} | curl -K - @{shell: URL}\n",
        ..PLAIN
    },
    Tool {
        name: "docker",
        programs: "Docker, Podman, Skopeo, Helm",
        means: "a credential helper",
        head: "# ~/.docker/config.json (Podman, Skopeo: ~/.config/containers/auth.json); the link, on\n\
               # the PATH, is made by --write, or by: hallpass setup links\n\
               {\"credHelpers\": {",
        each: "@{json: HOST}: \"hallpass\"",
        between: ", ",
        tail: "}}\n",
        hosts_only: true,
        write: Write::Json {
            file: CacheEntry {
                variables: &["DOCKER_CONFIG"],
                below: "config.json",
                in_home: ".docker/config.json",
                ..PLAIN_PLACE
            },
            object: Some("credHelpers"),
            key: "@{text: HOST}",
            value: "hallpass",
        },
    },
    Tool {
        name: "git",
        programs: "git, git-lfs",
        means: "a credential helper",
        head: "# ~/.gitconfig\n",
        // The empty helper first: no other one stores the token, or answers before.
        each: "[credential \"@{git-section: BASE}\"]\n\
               \thelper =\n\
               \thelper = @{git-helper>git-value: hallpass git-credential --profile=NAMED}\n\
               @{text: USE-PATH}",
        write: Write::Lines {
            file: CacheEntry {
                variables: &["GIT_CONFIG_GLOBAL"],
                in_home: ".gitconfig",
                in_config: Some("git/config"),
                empty_is_none: true,
                ..PLAIN_PLACE
            },
            known: &["[credential \"", "\thelper =", "\tuseHttpPath = true"],
        },
        ..PLAIN
    },
    Tool {
        name: "go",
        programs: "Go",
        means: "GOAUTH",
        head: "go env -w @{goauth>shell: hallpass goauth}\n",
        write: Write::Go("@{goauth: hallpass goauth}"),
        ..PLAIN
    },
    Tool {
        name: "google",
        programs: "Google Cloud libraries",
        means: "an executable credential source",
        head: "# in the credential configuration of the workload identity pool\n\
               \"credential_source\": {\"executable\": {\"command\": @{sh>json: hallpass google-executable --profile=PROFILE}, \"timeout_millis\": 30000}}\n\n\
               # then\n\
               @{variable: GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES 1}\n",
        ..PLAIN
    },
    Tool {
        name: "httpie",
        programs: "HTTPie",
        means: "a header from a file descriptor (bash, zsh)",
        each: "http @{sh: URL} Authorization:@<(@{sh: hallpass token PROFILE --format bearer})\n",
        ..PLAIN
    },
    Tool {
        name: "hurl",
        programs: "Hurl (7.1 or later)",
        means: "a secret variable",
        head: "# in the .hurl file\n",
        each: "GET @{text: URL}\nAuthorization: Bearer {{token}}\n\n",
        tail: "# then\n@{shell: hallpass exec -e HURL_SECRET_token=PROFILE -- hurl FILE}\n",
        ..PLAIN
    },
    Tool {
        name: "insomnia",
        programs: "Insomnia",
        means: "a file that the File tag reads",
        head: "# write the file again before the token expires\n\
               mkdir @{shell: FOLDER}\n\
               @{shell: hallpass token PROFILE --output FOLDER-FILE}\n\n\
               # in Preferences, Security, let Insomnia read this folder\n\
               @{text: FOLDER}\n\n\
               # in the request, Auth: Bearer Token, with the File tag\n\
               {% file @{json: FOLDER-FILE} %}\n",
        ..PLAIN
    },
    Tool {
        name: "jetbrains",
        programs: "JetBrains HTTP Client",
        means: "an environment variable",
        head: "### in the .http file\n",
        each: "GET @{text: URL}\nAuthorization: Bearer {{$env.HALLPASS_TOKEN}}\n\n",
        tail: "# then, with the IDE's own launcher\n\
               @{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE --min-ttl 30m -- idea .}\n",
        ..PLAIN
    },
    Tool {
        name: "kubectl",
        programs: "kubectl and other Kubernetes clients",
        means: "an exec plugin",
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
        ..PLAIN
    },
    Tool {
        name: "msmtp",
        programs: "msmtp",
        means: "passwordeval",
        head: "# ~/.msmtprc, in the account\n\
               auth oauthbearer\n\
               passwordeval @{sh: hallpass token PROFILE}\n",
        ..PLAIN
    },
    Tool {
        name: "npm",
        programs: "npm, Bun, Yarn 1",
        means: "an environment variable",
        head: "# .npmrc\n",
        each: "//@{npmrc-key: UNDER}/:_authToken=${HALLPASS_TOKEN}\n",
        tail: "\n# then\n@{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE -- npm install}\n",
        ..PLAIN
    },
    Tool {
        name: "pip",
        programs: "pip (23.1 or later), uv",
        means: "the keyring program",
        head: "# the link is made by: hallpass setup links\n\
               @{path: LINKS/hallpass-keyring}\n",
        each: "pip install --keyring-provider subprocess --index-url @{with-user>shell: SCHEME USER UNDER} PACKAGE\n\
               uv pip install --keyring-provider subprocess --index-url @{with-user>shell: SCHEME USER UNDER} PACKAGE\n",
        ..PLAIN
    },
    Tool {
        name: "pnpm",
        programs: "pnpm",
        means: "a token helper",
        head: "# ~/.npmrc, not a project's; the link is made by --write, or by:\n\
               # @{sh: ln -s hallpass PNPM-LINK}\n",
        each: "//@{npmrc-key: UNDER}/:tokenHelper=@{pnpm: PNPM-LINK}\n",
        write: Write::Lines {
            file: CacheEntry {
                variables: &["NPM_CONFIG_USERCONFIG", "npm_config_userconfig"],
                in_home: ".npmrc",
                ..PLAIN_PLACE
            },
            known: &["//"],
        },
        ..PLAIN
    },
    Tool {
        name: "rclone",
        programs: "rclone",
        means: "a WebDAV remote's token command",
        head: "# ~/.config/rclone/rclone.conf (rclone 1.60 splits the command at spaces, also between quotes)\n",
        each: "[@{text: LABEL}]\n\
               type = webdav\n\
               vendor = other\n\
               url = @{text: URL}\n\
               bearer_token_command = @{rclone: hallpass token PROFILE}\n\n",
        ..PLAIN
    },
    Tool {
        name: "terraform",
        programs: "Terraform, OpenTofu",
        means: "a credentials helper",
        head: "# ~/.terraformrc; the link is made by: hallpass setup links\n\
               credentials_helper \"hallpass\" {\n\
               \x20 args = @{list: --profile=NAMED}\n\
               }\n",
        ..PLAIN
    },
    Tool {
        name: "vscode",
        programs: "VS Code REST Client",
        means: "an environment variable",
        head: "### in the .http file\n",
        each: "GET @{text: URL}\nAuthorization: Bearer {{$processEnv HALLPASS_TOKEN}}\n\n",
        tail: "# then, while no VS Code is running\n\
               @{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE --min-ttl 30m -- code .}\n",
        ..PLAIN
    },
    Tool {
        name: "yarn",
        programs: "Yarn 2 or later",
        means: "an environment variable",
        head: "# .yarnrc.yml\n\
               npmRegistries:\n",
        each: "  @{yaml: // UNDER}:\n\
               \x20   npmAlwaysAuth: true\n\
               \x20   npmAuthToken: \"${HALLPASS_TOKEN}\"\n",
        tail: "\n# then\n@{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE -- yarn install}\n",
        ..PLAIN
    },
];

/// Every tool, a line each; one that can be written is marked. The README's table is the same list.
pub(super) fn list() -> String {
    let rows = TOOLS.iter().map(|tool| {
        let marks = match tool.write {
            Write::Never => "",
            _ => " [--write]",
        };
        format!(
            "{:<13}{}: {}{marks}\n",
            tool.name, tool.programs, tool.means
        )
    });
    let links = "links        the names that tools look for, such as docker-credential-hallpass\n";
    rows.collect::<String>() + links
}

impl Tool {
    /// What to put where.
    pub(super) fn text(&self, facts: &Facts) -> Result<String> {
        let lines = self.lines(facts)?.join(self.between);
        Ok(facts.fill(self.head, None)? + &lines + &facts.fill(self.tail, None)?)
    }

    /// What there is to say for each URL; nothing if the tool needs none.
    pub(super) fn lines(&self, facts: &Facts) -> Result<Vec<String>> {
        if self.each.is_empty() {
            return Ok(Vec::new());
        }
        self.for_each(self.each, facts)
    }

    /// A text for each URL that the tool could ask for, at least one, each text once.
    pub(super) fn for_each(&self, text: &str, facts: &Facts) -> Result<Vec<String>> {
        let fits = |url: &str| !self.hosts_only || url.is_empty();
        let fitting = facts
            .bindings
            .iter()
            .filter(|binding| fits(binding.url.prefix()));
        let urls = Url::all(fitting);
        if urls.is_empty() {
            return Err(self.not_bound(facts));
        }
        let mut texts = Vec::new();
        for url in &urls {
            let text = facts.fill(text, Some(url))?;
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        Ok(texts)
    }

    fn not_bound(&self, facts: &Facts) -> Error {
        let (profile, hint) = match &facts.profile {
            Some(name) => (
                format!("profile {name}"),
                format!("bind it first: hallpass bind {name} https://HOST/"),
            ),
            None => (
                "the profile of the environment".to_owned(),
                "set HALLPASS_FOR=https://HOST/".to_owned(),
            ),
        };
        let fault = if facts.bindings.is_empty() {
            format!("{profile} is not bound to any URL")
        } else {
            format!(
                "{profile} is bound only to URLs with a path, but {} needs a whole host",
                self.name
            )
        };
        Error::not_found(fault).hint(hint)
    }
}

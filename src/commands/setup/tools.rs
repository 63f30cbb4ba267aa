//! The tools: data alone, a row each. What a row says is printed, and the same is written.

use super::Facts;
use crate::binding::BoundUrl;
use crate::error::{Error, Result};

/// A tool, and what its user puts where.
///
/// In the texts, `{hallpass}` stands for the program as a shell wants it, `{"hallpass"}` for the
/// same as JSON and TOML do, `{links}` for the directory of its other names, and `{profile}`. For
/// each URL of the profile there are `{url}`, `{base}` without the last slash, `{under}` without
/// the scheme, and `{host}`.
pub(super) struct Tool {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// Before the rest: where it goes.
    head: &'static str,
    /// Once for each URL that the profile is bound to.
    pub(super) each: &'static str,
    tail: &'static str,
    /// The tool names a host and no path: a profile that is bound to a path never answers.
    hosts_alone: bool,
    pub(super) way: Way,
}

/// How it is written for the user.
pub(super) enum Way {
    /// Not at all.
    Print,
    /// The lines for each URL, at the end of a file of the home directory that takes comments.
    Lines(File),
    /// A member of a JSON object, or of an object in it, for each URL or once.
    Json {
        file: File,
        object: Option<&'static str>,
        key: &'static str,
        value: &'static str,
    },
    /// By `go env`.
    Go,
}

/// A tool's file: the variable that names it or its directory, and where it is otherwise.
pub(super) struct File {
    pub(super) variable: &'static str,
    /// What is in the variable's directory; nothing if the variable names the file itself.
    pub(super) below: &'static str,
    pub(super) in_home: &'static str,
}

const PLAIN: Tool = Tool {
    name: "",
    title: "",
    head: "",
    each: "",
    tail: "",
    hosts_alone: false,
    way: Way::Print,
};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "bazel",
        title: "Bazel and EngFlow: a credential helper",
        head: "# ~/.bazelrc; the link is made by: hallpass setup links\n",
        each: "common --credential_helper={name}={links}/bazel-credential-hallpass\n",
        ..PLAIN
    },
    Tool {
        name: "bruno",
        title: "Bruno: a variable of the process",
        head: "# in the collection, Auth: Bearer Token\n{{process.env.HALLPASS_TOKEN}}\n\n",
        tail: "# then, for the command line and for the app\n\
               {hallpass} exec -e HALLPASS_TOKEN={profile} -- bru run\n\
               {hallpass} exec -e HALLPASS_TOKEN={profile} --min-ttl 30m -- bruno\n",
        ..PLAIN
    },
    Tool {
        name: "cargo",
        title: "Cargo: a credential provider",
        head: "# ~/.cargo/config.toml; the registry's name and its index are yours to say\n",
        each: "[registries.{\"profile\"}]\n\
               index = \"sparse+{base}/\"\n\
               credential-provider = [{\"hallpass\"}, \"--profile\", {\"profile\"}]\n\n",
        tail: "# git dependencies, with hallpass set up for git\n\
               [net]\n\
               git-fetch-with-cli = true\n",
        ..PLAIN
    },
    Tool {
        name: "claude-code",
        title: "Claude Code: apiKeyHelper and headersHelper",
        head: "# ~/.claude/settings.json, for the API or a gateway before it\n\
               {\"apiKeyHelper\": {\"hallpass token\"}}\n\n\
               # .mcp.json, in an MCP server's object\n\
               {\"headersHelper\": {\"hallpass headers\"}}\n",
        way: Way::Json {
            file: File {
                variable: "CLAUDE_CONFIG_DIR",
                below: "settings.json",
                in_home: ".claude/settings.json",
            },
            object: None,
            key: "apiKeyHelper",
            value: "{hallpass} token {profile}",
        },
        ..PLAIN
    },
    Tool {
        name: "codex",
        title: "Codex: a model provider's auth command",
        head: "# ~/.codex/config.toml\n",
        each: "[model_providers.{\"profile\"}]\n\
               name = {\"profile\"}\n\
               base_url = \"{base}\"\n\
               auth = { command = {\"hallpass\"}, args = [\"token\", {\"profile\"}] }\n",
        ..PLAIN
    },
    Tool {
        name: "curl",
        title: "curl: by a pipe, so that no argument list has the token",
        each: "{hallpass} token {profile} --format curl | curl -K - {url}\n",
        ..PLAIN
    },
    Tool {
        name: "docker",
        title: "Docker, Podman, skopeo, Helm: a credential helper",
        head: "# ~/.docker/config.json (Podman, skopeo: ~/.config/containers/auth.json); the link, on\n\
               # the PATH, is made by: hallpass setup links\n",
        each: "{\"credHelpers\": {\"{host}\": \"hallpass\"}}\n",
        hosts_alone: true,
        way: Way::Json {
            file: File {
                variable: "DOCKER_CONFIG",
                below: "config.json",
                in_home: ".docker/config.json",
            },
            object: Some("credHelpers"),
            key: "{host}",
            value: "hallpass",
        },
        ..PLAIN
    },
    Tool {
        name: "git",
        title: "git, git-lfs: a credential helper",
        head: "# ~/.gitconfig\n",
        // The empty helper first: no other one stores the token, or answers before.
        each: "[credential \"{base}\"]\n\
               \thelper =\n\
               \thelper = {\"git helper\"}\n\
               {path}",
        way: Way::Lines(File {
            variable: "GIT_CONFIG_GLOBAL",
            below: "",
            in_home: ".gitconfig",
        }),
        ..PLAIN
    },
    Tool {
        name: "go",
        title: "Go: GOAUTH",
        head: "go env -w '{goauth}'\n",
        way: Way::Go,
        ..PLAIN
    },
    Tool {
        name: "httpie",
        title: "HTTPie: a header from a file descriptor (bash, zsh)",
        each: "http {url} Authorization:@<({hallpass} token {profile} --format bearer)\n",
        ..PLAIN
    },
    Tool {
        name: "hurl",
        title: "Hurl: a variable",
        head: "# in the .hurl file\n",
        each: "GET {url}\nAuthorization: Bearer {{token}}\n\n",
        tail: "# then\n{hallpass} exec -e HURL_VARIABLE_token={profile} -- hurl FILE\n",
        ..PLAIN
    },
    Tool {
        name: "insomnia",
        title: "Insomnia: a file that the File tag reads",
        head: "# a file for you alone; write it anew when the token is due\n\
               {hallpass} token {profile} --output {token file}\n\n\
               # in the request, Auth: Bearer Token, with the File tag\n\
               {% file {\"token file\"} %}\n",
        ..PLAIN
    },
    Tool {
        name: "jetbrains",
        title: "JetBrains HTTP Client: a variable of the process",
        head: "### in the .http file\n",
        each: "GET {url}\nAuthorization: Bearer {{$env.HALLPASS_TOKEN}}\n\n",
        tail: "# then, with the IDE's own launcher\n\
               {hallpass} exec -e HALLPASS_TOKEN={profile} --min-ttl 30m -- idea .\n",
        ..PLAIN
    },
    Tool {
        name: "kubectl",
        title: "kubectl and what uses client-go: an exec plugin",
        head: "# in the kubeconfig; provideClusterInfo lets hallpass compare the cluster's URL\n\
               users:\n\
               - name: {\"profile\"}\n\
               \x20 user:\n\
               \x20   exec:\n\
               \x20     apiVersion: client.authentication.k8s.io/v1\n\
               \x20     command: {\"hallpass\"}\n\
               \x20     args: [\"kubectl-credential\", \"--profile\", {\"profile\"}]\n\
               \x20     interactiveMode: Never\n\
               \x20     provideClusterInfo: true\n",
        ..PLAIN
    },
    Tool {
        name: "npm",
        title: "npm, Yarn and Bun: a variable",
        head: "# .npmrc\n",
        each: "//{under}/:_authToken=${HALLPASS_TOKEN}\n",
        tail: "\n# then\n{hallpass} exec -e HALLPASS_TOKEN={profile} -- npm install\n",
        ..PLAIN
    },
    Tool {
        name: "pip",
        title: "pip and uv: the keyring program",
        head: "# the link is made by: hallpass setup links\n\
               export PATH={links}/hallpass-keyring:\"$PATH\"\n",
        each: "pip install --keyring-provider subprocess --index-url {with user} PACKAGE\n\
               uv pip install --keyring-provider subprocess --index-url {with user} PACKAGE\n",
        ..PLAIN
    },
    Tool {
        name: "pnpm",
        title: "pnpm: tokenHelper",
        head: "# ~/.npmrc, not a project's; the link is made by --write, or: ln -s {hallpass} {pnpm link}\n",
        each: "//{under}/:tokenHelper={pnpm link}\n",
        way: Way::Lines(File {
            variable: "NPM_CONFIG_USERCONFIG",
            below: "",
            in_home: ".npmrc",
        }),
        ..PLAIN
    },
    Tool {
        name: "terraform",
        title: "Terraform: a credentials helper",
        head: "# ~/.terraformrc; the link is made by: hallpass setup links\n\
               credentials_helper \"hallpass\" {\n\
               \x20 args = [\"--profile\", {\"profile\"}]\n\
               }\n",
        ..PLAIN
    },
    Tool {
        name: "vscode",
        title: "VS Code REST Client: a variable of the process",
        head: "### in the .http file\n",
        each: "GET {url}\nAuthorization: Bearer {{$processEnv HALLPASS_TOKEN}}\n\n",
        tail: "# then, where no VS Code is running\n\
               {hallpass} exec -e HALLPASS_TOKEN={profile} --min-ttl 30m -- code .\n",
        ..PLAIN
    },
];

/// What Go runs, beside what it would run without us.
pub(super) const GOAUTH: &str = "GOAUTH=netrc; {hallpass} goauth";

/// Every tool, a line each; one that can be written is marked.
pub(super) fn list() -> String {
    let rows = TOOLS.iter().map(|tool| {
        let writes = if matches!(tool.way, Way::Print) {
            ""
        } else {
            " [--write]"
        };
        format!("{:<13}{}{writes}\n", tool.name, tool.title)
    });
    let links = "links        the names that tools look for, such as docker-credential-hallpass\n";
    rows.collect::<String>() + links
}

impl Tool {
    /// What to put where.
    pub(super) fn text(&self, facts: &Facts) -> Result<String> {
        let lines = self.lines(facts)?;
        Ok(facts.fill(self.head) + &lines + &facts.fill(self.tail))
    }

    /// What there is to say for each URL.
    pub(super) fn lines(&self, facts: &Facts) -> Result<String> {
        if self.each.is_empty() {
            return Ok(String::new());
        }
        Ok(self.for_each(self.each, facts)?.concat())
    }

    /// A text for each URL that the tool could ask for: one at least.
    pub(super) fn for_each(&self, text: &str, facts: &Facts) -> Result<Vec<String>> {
        let Facts { profile, urls, .. } = facts;
        let fits = |url: &&BoundUrl| !self.hosts_alone || url.prefix().is_empty();
        let lines: Vec<_> = urls
            .iter()
            .filter(fits)
            .map(|url| facts.fill_for(text, url))
            .collect();
        if lines.is_empty() {
            let fault = format!(
                "the profile `{profile}` is bound to no URL that {} could ask for",
                self.name
            );
            let hint =
                format!("say whom its tokens are for: hallpass bind {profile} https://HOST/");
            return Err(Error::not_found(fault).hint(hint));
        }
        Ok(lines)
    }
}

/// As a shell, git and Go take one word.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// As JSON, TOML and git's settings take a text.
pub(super) fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl Facts {
    /// Puts what is known into a text.
    pub(super) fn fill(&self, text: &str) -> String {
        let program = self.program.display().to_string();
        let links = self.links.display().to_string();
        let hallpass = quoted(&program);
        let profile = self.profile.as_str();
        let token_file = self.home.join(format!("hallpass-{profile}.token"));
        let token_file = token_file.display().to_string();
        let pnpm = self
            .links
            .join(format!("pnpm-tokenhelper-hallpass-{profile}"));
        [
            ("{goauth}", GOAUTH.to_owned()),
            ("{hallpass}", hallpass.clone()),
            ("{\"hallpass\"}", json(&program)),
            (
                "{\"hallpass token\"}",
                json(&format!("{hallpass} token {profile}")),
            ),
            (
                "{\"hallpass headers\"}",
                json(&format!("{hallpass} token {profile} --format headers-json")),
            ),
            (
                "{\"git helper\"}",
                json(&format!("{hallpass} git-credential")),
            ),
            ("{links}", links),
            ("{pnpm link}", pnpm.display().to_string()),
            ("{profile}", profile.to_owned()),
            ("{\"profile\"}", json(profile)),
            ("{token file}", quoted(&token_file)),
            ("{\"token file\"}", json(&token_file)),
        ]
        .into_iter()
        .fold(text.to_owned(), |text, (name, value)| {
            text.replace(name, &value)
        })
    }

    /// The same for one URL.
    fn fill_for(&self, text: &str, url: &BoundUrl) -> String {
        let whole = url.as_str();
        let base = whole.trim_end_matches('/');
        let (scheme, under) = base.split_once("://").unwrap_or_default();
        let host = under.split('/').next().unwrap_or_default();
        let name = host.split(':').next().unwrap_or_default();
        // git tells its helper the path only where it is told to.
        let path = if url.prefix().is_empty() {
            ""
        } else {
            "\tuseHttpPath = true\n"
        };
        let with_user = quoted(&format!("{scheme}://oauth2@{under}/"));
        let text = [
            ("{url}", whole),
            ("{base}", base),
            ("{under}", under),
            ("{host}", host),
            ("{name}", name),
            ("{path}", path),
            ("{with user}", &with_user),
        ]
        .into_iter()
        .fold(text.to_owned(), |text, (name, value)| {
            text.replace(name, value)
        });
        self.fill(&text)
    }
}

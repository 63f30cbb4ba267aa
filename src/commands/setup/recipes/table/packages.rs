//! Package managers and registries, in alphabetical order.

use super::{HOME_FILE, PRINTED, Tool};
use crate::commands::setup::recipes::{SettingsFile, Write};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "bazel",
        programs: "Bazel, EngFlow",
        found_by: &["bazel", "bazelisk"],
        feature: "a credential helper",
        head: "# ~/.bazelrc; the link is made by: hallpass setup links\n",
        each: "common --credential_helper=@{text: HOSTNAME}=@{bazelrc: LINKS/bazel-credential-hallpass}\n",
        ..PRINTED
    },
    Tool {
        name: "cargo",
        programs: "Cargo",
        found_by: &["cargo"],
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
        name: "docker",
        programs: "Docker, Podman, Skopeo, Helm",
        found_by: &["docker", "podman", "skopeo", "helm"],
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
        name: "go",
        programs: "Go",
        found_by: &["go"],
        feature: "GOAUTH",
        head: "go env -w @{goauth>shell: hallpass goauth}\n",
        write: Write::Go("@{goauth: hallpass goauth}"),
        ..PRINTED
    },
    Tool {
        name: "npm",
        programs: "npm, Bun, Yarn 1",
        found_by: &["npm", "bun"],
        feature: "an environment variable",
        head: "# .npmrc\n",
        each: "//@{npmrc-key: UNDER}/:_authToken=${HALLPASS_TOKEN}\n",
        tail: "\n# then\n@{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE -- npm install}\n",
        ..PRINTED
    },
    Tool {
        name: "pip",
        programs: "pip (23.1 or later), uv",
        found_by: &["pip", "pip3", "uv"],
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
        found_by: &["pnpm"],
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
        name: "yarn",
        programs: "Yarn 2 or later",
        found_by: &["yarn"],
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

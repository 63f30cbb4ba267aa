//! Package managers and registries, in alphabetical order.

use super::{HOME_FILE, NO_LIST, PRINTED, Tool};
use crate::commands::setup::recipes::{AsksFor, Check, List, SettingsFile, Write};

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
        name: "buf",
        programs: "buf",
        found_by: &["buf"],
        feature: "an environment variable",
        list: List {
            each: "{token}@@{text: HOST}",
            between: ",",
            ..NO_LIST
        },
        tail: "@{shell: hallpass exec -e BUF_TOKEN=PROFILE:LIST -- buf build}\n",
        ..PRINTED
    },
    Tool {
        name: "bundler",
        programs: "Bundler",
        found_by: &["bundle"],
        feature: "environment variables",
        list: List {
            each: "BUNDLE_@{bundle-key: HOSTNAME}=@{text: PROFILE}:@{percent: USER}:{token_percent}",
            ..NO_LIST
        },
        tail: "# Bundler sends the token to this host, whatever the port and the path\n\
               @{shell: hallpass exec -e=LIST -- bundle install}\n",
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
        name: "composer",
        programs: "Composer",
        found_by: &["composer"],
        feature: "an environment variable",
        list: List {
            open: "{\"bearer\":{",
            each: "@{json: HOST}:\"{token}\"",
            between: ",",
            close: "}}",
        },
        tail: "# Composer sends the token to this host, whatever the path\n\
               @{shell: hallpass exec -e COMPOSER_AUTH=PROFILE:LIST -- composer install}\n",
        ..PRINTED
    },
    Tool {
        name: "conan",
        programs: "Conan 2",
        found_by: &["conan"],
        feature: "environment variables",
        each: "conan remote add @{text: LABEL} @{shell: BASE}\n\
               @{variable: CONAN_LOGIN_USERNAME_LABEL-IN-VARIABLES USER}\n",
        list: List {
            each: "@{text: CONAN_PASSWORD_LABEL-IN-VARIABLES=PROFILE}",
            ..NO_LIST
        },
        tail: "\n# then\n@{shell: hallpass exec -e=LIST -- conan install .}\n",
        ..PRINTED
    },
    Tool {
        name: "deno",
        programs: "Deno",
        found_by: &["deno"],
        feature: "an environment variable",
        list: List {
            each: "{token}@@{text: HOST}",
            between: ";",
            ..NO_LIST
        },
        tail: "@{shell: hallpass exec -e DENO_AUTH_TOKENS=PROFILE:LIST -- deno run FILE}\n",
        ..PRINTED
    },
    Tool {
        name: "docker",
        programs: "Docker, Helm, ORAS",
        found_by: &["docker", "helm", "oras"],
        feature: "a credential helper",
        head: "# ~/.docker/config.json; the link, on the PATH, is made by --write, or by: hallpass setup links\n\
               {\"credHelpers\": {",
        each: "@{json: HOST}: \"hallpass\"",
        between: ", ",
        tail: "}}\n",
        link: Some("docker-credential-hallpass"),
        asks_for: AsksFor::Hosts,
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
        check: Some(Check {
            command: "docker-credential-hallpass list",
            input: "",
            shows: "@{json: HOST}",
        }),
        ..PRINTED
    },
    Tool {
        name: "go",
        programs: "Go",
        found_by: &["go"],
        feature: "GOAUTH",
        head: "go env -w @{goauth>shell: hallpass goauth}\n",
        write: Write::Go("@{goauth: hallpass goauth}"),
        check: Some(Check {
            command: "go env GOAUTH",
            input: "",
            shows: "@{text: hallpass}",
        }),
        ..PRINTED
    },
    Tool {
        name: "gradle",
        programs: "Gradle 7.5 or later",
        found_by: &["gradle", "~/.gradle"],
        feature: "a command in the build file",
        head: "// build.gradle.kts\n\
               val hallpass = providers.exec { commandLine(@{kotlin: hallpass token PROFILE}) }\n",
        each: "repositories {\n\
               \x20   maven {\n\
               \x20       url = uri(@{kotlin: URL})\n\
               \x20       credentials(HttpHeaderCredentials::class) {\n\
               \x20           name = \"Authorization\"\n\
               \x20           value = \"Bearer \" + hallpass.standardOutput.asText.get().trim()\n\
               \x20       }\n\
               \x20       authentication { create<HttpHeaderAuthentication>(\"header\") }\n\
               \x20   }\n\
               }\n",
        ..PRINTED
    },
    Tool {
        name: "maven",
        programs: "Maven",
        found_by: &["mvn", "~/.m2"],
        feature: "an environment variable",
        head: "<!-- ~/.m2/settings.xml, in servers; use the id of the repository -->\n",
        each: "<server>\n\
               \x20 <id>@{xml: LABEL}</id>\n\
               \x20 <configuration>\n\
               \x20   <httpHeaders>\n\
               \x20     <property><name>Authorization</name><value>Bearer ${env.HALLPASS_TOKEN}</value></property>\n\
               \x20   </httpHeaders>\n\
               \x20 </configuration>\n\
               </server>\n",
        tail: "\n# then\n@{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE -- mvn verify}\n",
        ..PRINTED
    },
    Tool {
        name: "nix",
        programs: "Nix",
        found_by: &["nix"],
        feature: "a netrc file",
        head: "# /etc/nix/nix.conf or ~/.config/nix/nix.conf; Nix sends the token to this host, whatever the port and the path\n\
               netrc-file = @{nix: TOKEN-FILE}\n",
        list: List {
            each: "machine @{netrc: HOSTNAME} login @{netrc: USER} password {token}",
            between: "\n",
            ..NO_LIST
        },
        tail: "\n# then leave this running\n\
               @{shell: hallpass keep PROFILE=TOKEN-FILE --template LIST}\n",
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
        name: "nuget",
        programs: "NuGet",
        found_by: &["nuget", "dotnet"],
        feature: "an environment variable",
        head: "<!-- nuget.config; check the index of each source -->\n<configuration>\n  <packageSources>\n",
        each: "    <add key=@{json: IDENTIFIER} value=@{xml-attribute: BASE /index.json} />\n",
        tail: "  </packageSources>\n</configuration>\n\n# then\n\
               @{shell: hallpass exec -eNuGetPackageSourceCredentials_IDENTIFIERS=PROFILE:Username=oauth2;Password={token};ValidAuthenticationTypes=basic -- nuget restore}\n",
        ..PRINTED
    },
    Tool {
        name: "pip",
        programs: "pip 23.1 or later, uv",
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
        check: Some(Check {
            command: "@{pnpm: PNPM-LINK}",
            input: "",
            shows: "Bearer ",
        }),
        ..PRINTED
    },
    Tool {
        name: "podman",
        programs: "Podman, Skopeo, Buildah",
        found_by: &["podman", "skopeo", "buildah"],
        feature: "a credential helper",
        head: "# ~/.config/containers/auth.json; the link, on the PATH, is made by --write, or by:\n\
               # hallpass setup links\n\
               {\"credHelpers\": {",
        each: "@{json: HOST}: \"hallpass\"",
        between: ", ",
        tail: "}}\n",
        link: Some("docker-credential-hallpass"),
        asks_for: AsksFor::Hosts,
        write: Write::Json {
            file: SettingsFile {
                variables: &["REGISTRY_AUTH_FILE"],
                in_home: "",
                in_config: Some("containers/auth.json"),
                ..HOME_FILE
            },
            object: Some("credHelpers"),
            key: "@{text: HOST}",
            value: "hallpass",
        },
        check: Some(Check {
            // The first one that is there: they read the same settings, and do not print the token.
            command: "skopeo login --get-login @{shell: HOST} || podman login --get-login @{shell: HOST} \
                      || buildah login --get-login @{shell: HOST}",
            input: "",
            shows: "@{text: USER}",
        }),
        ..PRINTED
    },
    Tool {
        name: "poetry",
        programs: "Poetry",
        found_by: &["poetry"],
        feature: "environment variables",
        each: "poetry source add --priority explicit @{text: LABEL} @{shell: URL}\n\
               @{variable: POETRY_HTTP_BASIC_LABEL-IN-VARIABLES_USERNAME USER}\n",
        list: List {
            each: "@{text: POETRY_HTTP_BASIC_LABEL-IN-VARIABLES_PASSWORD=PROFILE}",
            ..NO_LIST
        },
        tail: "\n# then\n@{shell: hallpass exec -e=LIST -- poetry install}\n",
        ..PRINTED
    },
    Tool {
        name: "sbt",
        programs: "sbt",
        found_by: &["sbt", "~/.sbt"],
        feature: "an environment variable",
        head: "// build.sbt; sbt sends the token to this host, whatever the port and the path\n",
        each: "credentials += Credentials(\"\", @{scala: HOSTNAME}, @{scala: USER}, sys.env(\"HALLPASS_TOKEN\"))\n",
        tail: "\n# then\n@{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE -- sbt update}\n",
        ..PRINTED
    },
    Tool {
        name: "twine",
        programs: "twine",
        found_by: &["twine"],
        feature: "an environment variable",
        each: "@{shell: hallpass exec -e TWINE_PASSWORD=PROFILE -- twine upload --username USER --repository-url URL} dist/*\n",
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
               \x20   npmAuthToken: \"${HALLPASS_TOKEN-}\"\n",
        tail: "\n# then\n@{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE -- yarn install}\n",
        ..PRINTED
    },
];

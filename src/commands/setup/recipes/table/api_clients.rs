//! HTTP and API clients, in alphabetical order.

use super::{PRINTED, Tool};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "bruno",
        programs: "Bruno",
        found_by: &["bru", "bruno"],
        feature: "an environment variable",
        head: "# in the collection, Auth: Bearer Token\n{{process.env.HALLPASS_TOKEN}}\n\n\
               # then, for the command line and for the app. All that it starts has the token too, until it\n\
               # expires: hallpass serve gives an address that needs no token\n\
               @{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE -- bru run}\n\
               @{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE --min-ttl 30m -- bruno}\n",
        ..PRINTED
    },
    Tool {
        name: "curl",
        programs: "curl",
        found_by: &["curl"],
        feature: "a pipe, so that no argument list has the token",
        each: "@{shell: hallpass token PROFILE --format curl} | curl -K - @{shell: URL}\n",
        ..PRINTED
    },
    Tool {
        name: "grpcurl",
        programs: "grpcurl",
        found_by: &["grpcurl"],
        feature: "a header from an environment variable",
        each: "@{shell: hallpass exec -e AUTHORIZATION=PROFILE:bearer -- grpcurl -expand-headers -H authorization:${AUTHORIZATION} -plaintext=HTTP ADDRESS list}\n",
        ..PRINTED
    },
    Tool {
        name: "httpie",
        programs: "HTTPie",
        found_by: &["http"],
        feature: "a header from a file descriptor (bash, zsh)",
        each: "http @{sh: URL} Authorization:@<(@{sh: hallpass token PROFILE --format bearer})\n",
        ..PRINTED
    },
    Tool {
        name: "httpyac",
        programs: "httpYac",
        found_by: &["httpyac"],
        feature: "an environment variable",
        head: "### in the .http file\n",
        each: "GET @{text: URL}\nAuthorization: Bearer {{$processEnv HALLPASS_TOKEN}}\n\n###\n",
        tail: "\n# then\n@{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE -- httpyac send FILE --all}\n",
        ..PRINTED
    },
    Tool {
        name: "hurl",
        programs: "Hurl 7.1 or later",
        found_by: &["hurl"],
        feature: "a secret variable",
        head: "# in the .hurl file\n",
        each: "GET @{text: URL}\nAuthorization: Bearer {{token}}\n\n",
        tail: "# then\n@{shell: hallpass exec -e HURL_SECRET_token=PROFILE -- hurl FILE}\n",
        ..PRINTED
    },
    Tool {
        name: "insomnia",
        programs: "Insomnia",
        found_by: &["insomnia", "inso"],
        feature: "a file that the File tag reads",
        head: "# leave the second command running\n\
               mkdir @{shell: FOLDER}\n\
               @{shell: hallpass keep PROFILE=FOLDER-FILE}\n\n\
               # in Preferences, Security, let Insomnia read this folder\n\
               @{text: FOLDER}\n\n\
               # in the request, Auth: Bearer Token, with the File tag\n\
               {% file @{json: FOLDER-FILE} %}\n",
        ..PRINTED
    },
    Tool {
        name: "jetbrains",
        programs: "JetBrains HTTP Client",
        found_by: &["idea", "pycharm", "webstorm", "goland", "rustrover"],
        feature: "an environment variable",
        head: "### in the .http file\n",
        each: "GET @{text: URL}\nAuthorization: Bearer {{$env.HALLPASS_TOKEN}}\n\n",
        tail: "# then, with the IDE's own launcher. All that it starts has the token too, until it\n\
               # expires: hallpass serve gives an address that needs no token\n\
               @{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE --min-ttl 30m -- idea .}\n",
        ..PRINTED
    },
    Tool {
        name: "k6",
        programs: "k6",
        found_by: &["k6"],
        feature: "an environment variable",
        head: "// in the script\n",
        each: "http.get(@{json: URL}, { headers: { Authorization: `Bearer ${__ENV.HALLPASS_TOKEN}` } });\n",
        tail: "\n# then\n@{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE --min-ttl 30m -- k6 run FILE}\n",
        ..PRINTED
    },
    Tool {
        name: "newman",
        programs: "Postman (newman)",
        found_by: &["newman"],
        feature: "an environment from a pipe",
        head: "# in the collection, Authorization: Bearer Token\n{{HALLPASS_TOKEN}}\n\n\
               # then\n\
               @{shell: hallpass token PROFILE --template {\"values\":[{\"key\":\"HALLPASS_TOKEN\",\"value\":\"{token}\"}]}} | newman run FILE -e /dev/stdin\n",
        ..PRINTED
    },
    Tool {
        name: "vscode",
        programs: "VS Code REST Client",
        found_by: &["code", "codium"],
        feature: "an environment variable",
        head: "### in the .http file; with the extension hallpass for VS Code (editors/vscode in the source) it\n\
               ### needs neither this variable nor a new start of VS Code\n",
        each: "GET @{text: URL}\nAuthorization: Bearer {{$processEnv HALLPASS_TOKEN}}\n\n",
        tail: "# then, while no VS Code is running. All that it starts has the token too, until it\n\
               # expires: hallpass serve gives an address that needs no token\n\
               @{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE --min-ttl 30m -- code .}\n",
        ..PRINTED
    },
    Tool {
        name: "wget",
        programs: "wget",
        found_by: &["wget"],
        feature: "an askpass program",
        head: "# the link is made by: hallpass setup links\n",
        each: "@{shell: wget --use-askpass=LINKS/askpass-hallpass URL}\n",
        ..PRINTED
    },
];

//! No protocol returns a token for a URL that the profile is not bound to.

use std::fs;

use serde_json::json;

use super::{GIT, bound_to};
use crate::machine::{Machine, Ran};

#[test]
fn naming_a_profile_does_not_replace_a_binding() {
    let machine = bound_to(&["https://a.example"]);
    machine.login("other", machine.server(), &["--for", "https://b.example"]);
    let [prod, other] = ["prod", "other"].map(|name| machine.run(&["token", name]).token());
    assert_ne!(prod, other);
    let get = |profile: &str, host: &str| {
        let option = format!("--profile={profile}");
        let request = format!("protocol=https\nhost={host}\n\n");
        machine
            .run_with_input(&["git-credential", &option, "get"], &request)
            .success()
            .stdout
    };
    assert!(get("prod", "a.example").contains(&prod));
    assert_eq!(get("prod", "b.example"), "");
    assert_eq!(get("other", "a.example"), "");
    // Two profiles cannot be bound to one URL. If they still are, that is an error.
    let tie = machine
        .run(&["bind", "other", "https://a.example"])
        .failure(2);
    assert!(
        tie.stderr
            .contains("hallpass unbind prod https://a.example/"),
        "{tie:?}"
    );
    let file = machine.config().join("other.json");
    let text = fs::read_to_string(&file).expect("a profile");
    fs::write(
        &file,
        text.replace("https://b.example/", "https://a.example/"),
    )
    .expect("an edit");
    // A binding to another path of the server rewrites its list of URLs.
    let lists = machine.config().join("urls");
    for list in fs::read_dir(&lists).expect("lists of URLs") {
        fs::write(list.expect("a list").path(), "damaged").expect("damage");
    }
    machine
        .run(&["bind", "other", "https://a.example/y"])
        .success();
    let ran = machine.run_with_input(GIT, "protocol=https\nhost=a.example\n\n");
    assert_eq!((ran.code, ran.stdout.as_str()), (1, "quit=1\n"), "{ran:?}");
    assert!(
        ran.stderr
            .contains("several profiles are bound to this URL: "),
        "{ran:?}"
    );
    assert!(get("other", "a.example").contains(&other));
    machine
        .run(&["unbind", "other", "https://a.example"])
        .success();
    // The longest path has precedence.
    machine
        .run(&["bind", "other", "https://a.example/api"])
        .success();
    let url = |path: &str| {
        machine
            .run(&["token", "--url", &format!("https://a.example{path}")])
            .token()
    };
    assert_eq!((url("/"), url("/api/x")), (prod, other));
}

/// How a protocol's request contains a URL.
type Call = fn(&Machine, &str, &str, &str) -> Option<Ran>;

const PROTOCOLS: [(&str, Call); 11] = [
    ("git", |machine, scheme, host, path| {
        let path = path.strip_prefix('/').map(|path| format!("path={path}\n"));
        let request = format!(
            "protocol={scheme}\nhost={host}\n{}\n",
            path.unwrap_or_default()
        );
        Some(machine.run_with_input(GIT, &request))
    }),
    ("bazel", |machine, scheme, host, path| {
        let request = json!({ "uri": format!("{scheme}://{host}{path}") });
        Some(machine.run_with_input(&["bazel-credential", "get"], request.to_string()))
    }),
    ("docker", |machine, scheme, host, path| {
        Some(machine.run_with_input(
            &["docker-credential", "get"],
            format!("{scheme}://{host}{path}"),
        ))
    }),
    ("docker, bare", |machine, scheme, host, path| {
        (scheme == "https" && path.is_empty())
            .then(|| machine.run_with_input(&["docker-credential", "get"], host))
    }),
    ("cargo", |machine, scheme, host, path| {
        let url = format!("sparse+{scheme}://{host}{path}");
        let request = json!({ "v": 1, "registry": { "index-url": url }, "kind": "get" });
        Some(machine.run_with_input(&["--cargo-plugin"], format!("{request}\n")))
    }),
    ("kubectl", |machine, scheme, host, path| {
        let info = json!({ "apiVersion": "client.authentication.k8s.io/v1",
            "spec": { "cluster": { "server": format!("{scheme}://{host}{path}") } } });
        let mut command = machine.hallpass(&["kubectl-credential"]);
        command.env("KUBERNETES_EXEC_INFO", info.to_string());
        Some(crate::support::ran(command))
    }),
    ("go", |machine, scheme, host, path| {
        argument(machine, &["goauth"], &format!("{scheme}://{host}{path}"))
    }),
    ("terraform", |machine, scheme, host, path| {
        (scheme == "https" && path.is_empty())
            .then(|| argument(machine, &["terraform-credentials", "get"], host))
            .flatten()
    }),
    ("keyring", |machine, scheme, host, path| {
        argument(
            machine,
            &["keyring", "get"],
            &format!("{scheme}://{host}{path}"),
        )
    }),
    ("askpass", |machine, scheme, host, path| {
        let question = format!("Password for '{scheme}://me@{host}{path}': ");
        argument(machine, &["askpass"], &question)
    }),
    ("token --url", |machine, scheme, host, path| {
        argument(
            machine,
            &["token"],
            &format!("--url={scheme}://{host}{path}"),
        )
    }),
];

/// No result for an argument with a NUL: no process can be started with one.
fn argument(machine: &Machine, before: &[&str], last: &str) -> Option<Ran> {
    (!last.contains('\0')).then(|| machine.run(&[before, &[last]].concat()))
}

/// Hosts that look like `a.example`, but are not.
const UNBOUND_URLS: [&str; 83] = [
    "",
    "@",
    ":",
    "/",
    ".",
    "..",
    "*",
    "*.example",
    "example",
    "a",
    "a.exampl",
    "a.examplee",
    "xa.example",
    "a.example.evil",
    "a.example.evil.example",
    "evil-a.example",
    "a-example",
    "sub.a.example",
    "aexample",
    "a..example",
    ".a.example",
    "a.example.",
    "a.example..",
    "user@a.example",
    "user:pass@a.example",
    "@a.example",
    "a.example@evil.example",
    "a.example:443@evil.example",
    "a.example%40evil.example",
    "evil.example#a.example",
    "evil.example?a.example",
    "evil.example/a.example",
    "evil.example\\a.example",
    "a.example\\@evil.example",
    "a.example\\.evil.example",
    "a.example#@evil.example",
    "a.example;evil.example",
    "a.example,evil.example",
    "a.example evil.example",
    " a.example",
    "a.example ",
    "a.example\t",
    "\ta.example",
    "a.example\r",
    "a.example\0",
    "a.example\0.evil.example",
    "a.example\u{b}",
    "a.example\u{85}",
    "a.example\u{2028}",
    "a.example\u{ad}",
    "a\u{200b}.example",
    "a%2eexample",
    "a.example%00",
    "a.example%2e",
    "%61.example",
    "a.example%2f",
    "a.example:",
    "a.example:80",
    "a.example:8443",
    "a.example:0443",
    "a.example:+443",
    "a.example:443:443",
    "a.example:65979",
    "a.example:-1",
    "a.example:4 43",
    "a.example:443a",
    "[a.example]",
    "[a.example",
    "a.example]",
    "a_example",
    "\u{ff41}.example",
    "\u{430}.example",
    "a\u{3002}example",
    "a\u{ff0e}example",
    "xn--a.example",
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "localhost",
    "0",
];

/// Schemes that are not https.
const SCHEMES: [&str; 14] = [
    "http", "HTTP", "ftp", "ssh", "git", "file", "ws", "wss", "smtp", "httpss", "", "https:",
    "https ", "xhttps",
];

/// Paths that are not below `/api`.
const PATHS: [&str; 27] = [
    "",
    "/",
    "/ap",
    "/apix",
    "/API",
    "/Api/",
    "//api",
    "//api/x",
    "/x/api",
    "/x/../api",
    "/./api",
    "/api/..",
    "/api/../x",
    "/api/./x",
    "/api/%2e%2e/x",
    "/api/%2E%2e",
    "/api%2f",
    "/api%2Fx",
    "/api/x%5c..",
    "/%61pi",
    "/api;x",
    "/api:x",
    "/api\\x",
    "/api%",
    "/api%zz",
    "/?/api",
    "/#/api",
];

#[test]
fn no_protocol_returns_a_token_for_a_url_that_is_not_bound() {
    let machine = bound_to(&["https://a.example", "https://b.example/api"]);
    let mut rows: Vec<(&str, &str, &str)> = Vec::new();
    for host in UNBOUND_URLS {
        rows.extend(["", "/", "/a.example"].map(|path| ("https", host, path)));
    }
    rows.extend(SCHEMES.map(|scheme| (scheme, "a.example", "")));
    rows.extend(PATHS.map(|path| ("https", "b.example", path)));
    rows.extend(PATHS.map(|path| ("https", "B.example:443", path)));
    assert!(rows.len() >= 300, "{}", rows.len());
    for (name, ask) in PROTOCOLS {
        for (scheme, host, path) in &rows {
            if let Some(ran) = ask(&machine, scheme, host, path) {
                let row = format!("{name}: {scheme}://{host}{path}: {ran:?}");
                assert!(!format!("{ran:?}").contains("token-"), "{row}");
                assert!((0..=6).contains(&ran.code), "{row}");
            }
        }
        // Those that are bound get theirs, however they are spelt.
        for (host, path) in [
            ("a.example", ""),
            ("A.Example", ""),
            ("a.example:443", ""),
            ("a.example", "/x"),
        ] {
            if let Some(ran) = ask(&machine, "https", host, path) {
                assert!(
                    ran.success().stdout.contains("token-"),
                    "{name}: {host}{path}"
                );
            }
        }
        if let Some(ran) = ask(&machine, "https", "b.example", "/api/x") {
            assert!(ran.success().stdout.contains("token-"), "{name}");
        }
    }
    // Lines that git would never write.
    for request in [
        "protocol=https\n\n",
        "host=a.example\n\n",
        "protocol=https\nhost=\n\n",
        "protocol=https\nhost=evil.example\nhost=a.example\n\n",
        "protocol=https\nhost=a.example\nhost=evil.example\n\n",
        "protocol=http\nprotocol=https\nhost=a.example\n\n",
        "protocol=https\r\nhost=a.example\r\n\r\n",
        "protocol=https\nhost=a.example\r\n\n",
        "protocol=https\nhost=evil.example\r\nhost=a.example\n\n",
        "protocol=https\nhost=evil.example\0\nhost=a.example\n\n",
        "protocol=https\nhost=a.example\nwhat\n\n",
        "protocol=https\nhost=a.example/../b\n\n",
        "protocol=https\nhost=a.example\npath=../../x\n\n",
        "protocol=https://a.example/\nhost=evil.example\n\n",
        "\nprotocol=https\nhost=a.example\n\n",
    ] {
        let ran = machine.run_with_input(GIT, request);
        assert!(!ran.stdout.contains("token-"), "{request:?}: {ran:?}");
    }
    let endless = format!(
        "protocol=https\nhost=a.example\nx={}\n\n",
        "x".repeat(100_000)
    );
    assert_eq!(machine.run_with_input(GIT, &endless).stdout, "");
    // The login's, and one for each of Go's five calls after a 401 that got a token.
    assert_eq!(machine.server().requests().len(), 1 + 5);
}

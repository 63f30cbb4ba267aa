//! The other tools, from Docker to askpass: the exact answer and the exact error of each.

use std::fs;

use serde_json::{Value, json};

use super::bound_to;
use crate::support::ran;

#[test]
fn docker_gets_the_error_texts_that_it_knows() {
    let machine = bound_to(&["https://registry.example", "http://127.0.0.1:5000"]);
    let get = &["docker-credential", "get"];
    for server in [
        "registry.example",
        "https://registry.example/v1/",
        "127.0.0.1:5000",
    ] {
        assert_eq!(
            machine.run_with_input(get, server).json(),
            json!({ "ServerURL": server, "Username": "oauth2", "Secret": "token-1" })
        );
    }
    // A loopback host may mean both https and http.
    machine
        .run(&["bind", "prod", "https://127.0.0.1:5000/path"])
        .success();
    machine.run_with_input(get, "127.0.0.1:5000").output();
    machine
        .run(&["unbind", "prod", "https://127.0.0.1:5000/path"])
        .success();
    let ran = machine.run_with_input(get, "other.example");
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    assert_eq!(ran.stdout, "credentials not found in native keychain\n");
    // Docker asks for no path, so it would ask for this in vain.
    machine
        .run(&["bind", "prod", "https://path.example/team/"])
        .success();
    assert_eq!(
        machine
            .run_with_input(&["docker-credential", "list"], "")
            .json(),
        json!({ "registry.example": "oauth2", "127.0.0.1:5000": "oauth2" })
    );
    machine
        .run(&[
            "bind",
            "prod",
            "https://registry.example",
            "--scheme",
            "identity-token",
        ])
        .success();
    assert_eq!(
        machine.run_with_input(get, "registry.example").json()["Username"],
        "<token>"
    );
    let stored = r#"{"ServerURL":"registry.example","Username":"a","Secret":"b"}"#;

    let ran = machine.run_with_input(&["docker-credential", "store"], stored);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    assert!(ran.stdout.contains("hallpass login"), "{ran:?}");
    assert_eq!(
        machine
            .run_with_input(&["docker-credential", "erase"], "registry.example")
            .output(),
        ""
    );
    fs::remove_dir_all(machine.cache()).expect("a cache");
    machine.server().stop();
    let ran = machine.run_with_input(get, "registry.example");
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("cannot connect"), "{ran:?}");
}

#[test]
fn cargo_gets_the_protocol_version_before_it_sends_a_request() {
    let machine = bound_to(&["https://cargo.example/index"]);
    let request = |url: &str, kind: &str, arguments: &str| {
        format!(
            r#"{{"v":1,"registry":{{"index-url":"{url}","name":"x","headers":[]}},"kind":"{kind}","operation":"read","args":[{arguments}]}}
"#
        )
    };
    let plugin = &["--cargo-plugin"];
    let bound = "sparse+https://cargo.example/index/";
    let answer = machine
        .run_with_input(plugin, request(bound, "get", ""))
        .output();
    assert!(answer.starts_with("{\"v\":[1]}\n"), "{answer}");
    // The line after the protocol version.
    let response = |input: &str| -> Value {
        let output = machine.run_with_input(plugin, input).output();
        serde_json::from_str(output.lines().last().expect("a response")).expect("JSON")
    };
    let granted = response(&request(bound, "get", r#""--profile","prod""#));
    assert_eq!(granted["Ok"]["token"], "Bearer token-1");
    assert_eq!(granted["Ok"]["cache"], "expires");
    assert!(granted["Ok"]["expiration"].is_u64());
    let refused = |input: &str| response(input)["Err"]["kind"].clone();
    assert_eq!(
        refused(&request("sparse+https://other.example/", "get", "")),
        "url-not-supported"
    );
    assert_eq!(
        refused(&request(bound, "login", "")),
        "operation-not-supported"
    );
    assert_eq!(refused("{}"), "operation-not-supported");
    assert_eq!(
        refused(&request(bound, "get", r#""--profile","none""#)),
        "not-found"
    );
    machine
        .run(&[
            "bind",
            "prod",
            "https://cargo.example/index",
            "--scheme",
            "raw",
        ])
        .success();
    assert_eq!(
        response(&request(bound, "get", ""))["Ok"]["token"],
        "token-1"
    );
    fs::write(machine.config().join("prod.json"), "{").expect("damage");
    assert_eq!(refused(&request(bound, "get", "")), "other");
}

#[test]
fn bazel_gets_headers() {
    let machine = bound_to(&["https://a.example"]);
    let get = &["bazel-credential", "get"];
    for uri in ["https://a.example/x", "grpcs://a.example"] {
        let answer = machine
            .run_with_input(get, json!({ "uri": uri }).to_string())
            .json();
        assert_eq!(
            answer["headers"],
            json!({ "Authorization": ["Bearer token-1"] })
        );
        let expires = answer["expires"].as_str().expect("a time");
        assert!(expires.len() == 20 && expires.ends_with('Z'), "{expires}");
    }
    let other = json!({ "uri": "https://b.example/" }).to_string();
    assert_eq!(
        machine.run_with_input(get, &other).json(),
        json!({ "headers": {} })
    );
    machine.run_with_input(get, "{}").failure(2);
}

#[test]
fn bazel_and_go_get_the_header_that_the_url_is_bound_with() {
    let machine = bound_to(&["https://a.example", "https://b.example"]);
    let url = "https://a.example";
    let bind = ["bind", "prod", url, "--header", "X-Access-Token"];
    machine.run(&bind).success();
    let get = |uri: &str| {
        let request = json!({ "uri": uri }).to_string();
        let bazel = ["bazel-credential", "get"];
        machine.run_with_input(&bazel, request).json()["headers"].clone()
    };
    assert_eq!(
        get("https://a.example/x"),
        json!({ "X-Access-Token": ["token-1"] })
    );
    assert_eq!(
        get("https://b.example/x"),
        json!({ "Authorization": ["Bearer token-1"] })
    );
    let go = machine.run_with_input(&["goauth"], "").output();
    let blocks = [
        "https://a.example/\n\nX-Access-Token: token-1\n\n",
        "https://b.example/\n\nAuthorization: Bearer token-1\n\n",
    ];
    assert_eq!(go, blocks.concat());
    // Cargo always sends Authorization.
    let request = json!({ "v": 1, "kind": "get", "operation": "read",
        "registry": { "index-url": "sparse+https://a.example/index/" } });
    let ran = machine.run_with_input(&["--cargo-plugin"], format!("{request}\n"));
    assert!(ran.success().stdout.contains("\"Bearer token-1\""));
}

#[test]
fn kubectl_gets_the_version_that_it_asked_for() {
    let mut machine = bound_to(&["https://k8s.example:6443"]);
    for version in ["v1", "v1beta1"] {
        let version = format!("client.authentication.k8s.io/{version}");
        for spec in [
            json!({}),
            json!({ "cluster": { "server": "https://k8s.example:6443" } }),
        ] {
            let info = json!({ "kind": "ExecCredential", "apiVersion": version, "spec": spec });
            machine.set("KUBERNETES_EXEC_INFO", &info.to_string());
            let answer = machine.run_with_input(&["kubectl-credential"], "").json();
            assert_eq!(answer["apiVersion"], version.as_str());
            assert_eq!(answer["kind"], "ExecCredential");
            assert_eq!(answer["status"]["token"], "token-1");
        }
    }
    let info = json!({ "apiVersion": "client.authentication.k8s.io/v1",
        "spec": { "cluster": { "server": "https://other.example:6443" } } });
    machine.set("KUBERNETES_EXEC_INFO", &info.to_string());
    let ran = machine
        .run(&["kubectl-credential", "--profile", "prod"])
        .failure(3);
    assert!(
        ran.stderr
            .contains("hallpass bind PROFILE https://other.example:6443"),
        "{ran:?}"
    );
    let info = json!({ "apiVersion": "client.authentication.k8s.io/v2", "spec": {} });
    machine.set("KUBERNETES_EXEC_INFO", &info.to_string());
    machine.run(&["kubectl-credential"]).failure(2);
    machine.set("KUBERNETES_EXEC_INFO", "");
    machine.run(&["kubectl-credential"]).failure(2);
}

#[test]
fn go_gets_cached_tokens_first_and_a_new_one_after_a_rejection() {
    let machine = bound_to(&["https://go.example/mod", "http://127.0.0.1:1/"]);
    let block =
        |number| format!("https://go.example/mod\n\nAuthorization: Bearer token-{number}\n\n");
    assert_eq!(machine.run_with_input(&["goauth"], "").output(), block(1));
    let response = "HTTP/1.1 401 Unauthorized\n\n";
    assert_eq!(
        machine
            .run_with_input(&["goauth", "https://go.example/mod/x"], response)
            .output(),
        block(2)
    );
    let ran = machine
        .run_with_input(&["goauth", "https://go.example/other"], response)
        .success();
    assert_eq!(ran.stdout, "");
    assert!(
        ran.stderr
            .contains("bound only to other paths of this server"),
        "{ran:?}"
    );
    assert_eq!(
        machine
            .run_with_input(&["goauth", "https://other.example/"], response)
            .output(),
        ""
    );
    fs::remove_dir_all(machine.cache()).expect("a cache");
    assert_eq!(machine.run_with_input(&["goauth"], "").output(), "");
    assert_eq!(machine.server().requests().len(), 2);
}

#[test]
fn terraform_gets_an_object() {
    let machine = bound_to(&["https://tf.example"]);
    let get = |host| {
        machine
            .run_with_input(&["terraform-credentials", "get", host], "")
            .json()
    };
    assert_eq!(get("tf.example"), json!({ "token": "token-1" }));
    assert_eq!(get("other.example"), json!({}));
    assert_eq!(get("tf.example/x"), json!({}));
    for (verb, reason) in [
        ("store", "does not store tokens"),
        ("forget", "does not store tokens"),
        ("list", "unknown command"),
    ] {
        let ran = machine.run_with_input(&["terraform-credentials", verb, "tf.example"], "{}");
        assert!(ran.failure(2).stderr.contains(reason), "{verb}");
    }
}

#[test]
fn keyring_has_three_output_formats_and_one_exit_code_for_not_found() {
    let machine = bound_to(&["https://pypi.example"]);
    let url = "https://pypi.example/simple";
    assert_eq!(
        machine
            .run_with_input(&["keyring", "get", url, "me"], "")
            .output(),
        "token-1\n"
    );
    assert_eq!(
        machine
            .run_with_input(&["keyring", "get", url, "--mode", "creds"], "")
            .output(),
        "oauth2\ntoken-1\n"
    );
    assert_eq!(
        machine
            .run_with_input(
                &["keyring", "--mode=creds", "--output=json", "get", url],
                ""
            )
            .json(),
        json!({ "username": "oauth2", "password": "token-1" })
    );
    assert_eq!(
        machine
            .run_with_input(&["keyring", "get", "pypi.example", "me"], "")
            .output(),
        "token-1\n"
    );
    let mercurial = ["keyring", "get", "Mercurial", "me@@https://pypi.example"];
    assert_eq!(machine.run_with_input(&mercurial, "").output(), "token-1\n");
    for arguments in [
        &["get", "https://other.example/", "me"][..],
        &["get", "other.example", "me"],
        &["get", "Mercurial", "me@@https://other.example"],
        &["get", "Mercurial", "me"],
        &["get", "Mercurial"],
        &["set", url, "me"],
        &["del", url, "me"],
        &["--unknown", "get"],
        &[],
    ] {
        let ran = machine.run(&[&["keyring"], arguments].concat());
        assert_eq!(
            (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
            (1, "", "")
        );
    }
    // The reason is for the user.
    fs::write(machine.config().join("prod.json"), "{").expect("damage");
    let ran = machine.run(&["keyring", "get", url, "me"]).failure(1);
    assert!(ran.stderr.contains("prod.json"), "{ran:?}");
}

#[test]
fn google_gets_a_failure_in_the_answer_itself() {
    let machine = bound_to(&[]);
    let answer = machine.run_with_input(&["google-executable"], "").json();
    assert_eq!(answer["success"], true);
    assert_eq!(answer["id_token"], "token-1");
    assert!(answer["expiration_time"].is_u64());
    fs::remove_dir_all(machine.cache()).expect("a cache");
    machine.server().stop();
    let answer = machine.run_with_input(&["google-executable"], "").json();
    assert_eq!(answer["success"], false);
    assert!(
        answer["message"]
            .as_str()
            .is_some_and(|text| text.contains("cannot connect"))
    );
}

#[test]
fn askpass_answers_a_question_in_any_language() {
    let machine = bound_to(&["https://a.example"]);
    let ask = |question| machine.run(&["askpass", question]);
    assert_eq!(
        ask("Password for 'https://me@a.example': ").token(),
        "token-1"
    );
    assert_eq!(
        ask("Passwort für 'https://me@a.example/x.git': ").token(),
        "token-1"
    );
    assert_eq!(ask("Username for 'https://a.example': ").token(), "oauth2");
    ask("Password for 'https://me@b.example': ").failure(3);
    ask("Enter passphrase for key").failure(3);
    ask("Password for 'https://a.example@evil.example': ").failure(3);
}

/// git's question contains a port that is not the default one, wget's contains none.
#[test]
fn askpass_uses_the_only_bound_port_for_a_question_without_a_port() {
    let machine = bound_to(&["https://a.example:8443", "https://b.example:1/path"]);
    let ask = |question| machine.run(&["askpass", question]);
    assert_eq!(ask("Username for 'https://a.example': ").token(), "oauth2");
    let question = "Password for 'https://me@a.example': ";
    assert_eq!(ask(question).token(), "token-1");
    ask("Password for 'https://me@a.example:443': ").failure(3);
    ask("Password for 'http://me@a.example': ").failure(3);
    ask("Password for 'https://me@example': ").failure(3);
    ask("Password for 'https://me@b.example': ").failure(3);
    let mut by_git = machine.hallpass(&["askpass", question]);
    by_git.env("PATH", "/usr/lib/git-core:/usr/bin");
    ran(by_git).failure(3);
    let bind = ["bind", "prod", "https://a.example:9443"];
    machine.run(&bind).success();
    machine.run(&["askpass", question]).failure(3);
}

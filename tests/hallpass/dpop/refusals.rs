//! Tools that can only send bearer tokens get none that is bound to a key, and learn why.

use super::{logged_in, strict};

const BOUND: &str = "bound to a key (DPoP)";

#[test]
fn a_bound_token_is_not_printed_as_a_bearer_token() {
    let machine = logged_in(strict());
    for more in [
        &[][..],
        &["--format", "raw"],
        &["--format", "header"],
        &["--format", "bearer"],
        &["--format", "headers-json"],
        &["--format", "curl"],
        &["--format", "env"],
        &["--format", "dotenv"],
        &["--format", "powershell"],
        &["--template", "{token}"],
        &["--url", "https://api.example/"],
        &["--url", "https://api.example/", "--format", "netrc"],
    ] {
        let ran = machine.run(&[&["token", "p"], more].concat()).failure(2);
        for expected in [BOUND, "--request 'GET URL'", "hallpass serve p", "--json"] {
            assert!(ran.stderr.contains(expected), "{ran:?}");
        }
        assert_eq!(ran.stdout, "");
    }
    assert_eq!(machine.server().requests().len(), 1, "the login's");
    let inspected = machine.run(&["token", "inspect", "p"]).success();
    assert!(inspected.stdout.contains("DPoP"), "{inspected:?}");
}

#[test]
fn helpers_and_other_commands_do_not_send_a_bound_token() {
    let mut machine = logged_in(strict());
    let kubernetes = r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"cluster":{"server":"https://api.example"},"interactive":false}}"#;
    let cargo = "{\"v\":1,\"registry\":{\"index-url\":\"sparse+https://api.example/index/\",\"name\":\"x\"},\"kind\":\"get\",\"operation\":\"read\",\"args\":[]}\n";
    machine.set("KUBERNETES_EXEC_INFO", kubernetes);
    let file = machine.root().join("token");
    let kept = format!("p={}", file.display());
    for (arguments, input) in [
        (
            &["git-credential", "get"][..],
            "capability[]=authtype\nprotocol=https\nhost=api.example\n\n",
        ),
        (&["docker-credential", "get"], "api.example\n"),
        (&["--cargo-plugin"], cargo),
        (
            &["bazel-credential", "get"],
            "{\"uri\":\"https://api.example/x\"}",
        ),
        (&["kubectl-credential"], ""),
        (&["goauth"], ""),
        (&["terraform-credentials", "get", "api.example"], ""),
        (&["pnpm-tokenhelper", "--profile", "p"], ""),
        (
            &["keyring", "get", "https://api.example/simple", "oauth2"],
            "",
        ),
        (&["google-executable", "--profile", "p"], ""),
        (&["askpass", "Password for 'https://x@api.example': "], ""),
        (&["exec", "-e", "TOKEN=p", "--", "true"], ""),
        (&["keep", "--once", &kept], ""),
    ] {
        let ran = machine.run_with_input(arguments, input);
        let said = [ran.stdout.as_str(), &ran.stderr].concat();
        assert!(said.contains(BOUND), "{arguments:?} {ran:?}");
        assert!(!said.contains("bound-1"), "{arguments:?} {ran:?}");
    }
    assert_eq!(machine.server().requests().len(), 1, "the login's");
    assert!(!file.exists());
}

#[test]
fn bind_and_setup_say_that_tools_send_only_bearer_tokens() {
    let machine = logged_in(strict());
    let ran = machine
        .run(&["bind", "p", "https://git.example/"])
        .success();
    assert!(
        ran.stderr.contains(BOUND) && ran.stderr.contains("hallpass serve p"),
        "{ran:?}"
    );
    for tool in ["git", "docker", "pip", "newman"] {
        let ran = machine.run(&["setup", tool]).failure(2);
        assert!(
            ran.stderr.contains(BOUND) && ran.stderr.contains("hallpass serve p"),
            "{ran:?}"
        );
    }
    let ran = machine.run(&["setup", "git", "--write"]).failure(2);
    assert!(!machine.home().join(".gitconfig").exists(), "{ran:?}");
}

//! CI, containers and services, and every tool that reads a variable or a file.

use std::fs;

use super::{AWKWARD, QUOTES, Recipe, commands, settings_and_commands};
use crate::clients::{Demands, Site};
use crate::machine::{CLIENT_ID, SECRET};
use crate::real_servers::service_client;
use crate::server::Reply;
use crate::support::ran;

/// Those that read a variable, started by what was printed. In their place is a script.
#[test]
fn programs_that_read_a_variable_are_started_with_it() {
    let site = Site::start(Demands::Bearer, |_| Reply::new(200));
    for (tool, variable, programs) in [
        ("bruno", "HALLPASS_TOKEN", &["bru", "bruno"][..]),
        ("compose", "HALLPASS_TOKEN", &["docker"]),
        ("dockerfile", "HALLPASS_TOKEN", &["docker"]),
        ("gemini", "GEMINI_API_KEY", &["gemini"]),
        ("hurl", "HURL_SECRET_token", &["hurl"]),
        ("jetbrains", "HALLPASS_TOKEN", &["idea"]),
        ("vscode", "HALLPASS_TOKEN", &["code"]),
        ("yarn", "HALLPASS_TOKEN", &["yarn"]),
    ] {
        for program in programs {
            site.script(program, &format!("#!/bin/sh\nprintenv {variable}\n"));
        }
        let text = site.setup(AWKWARD, &[tool]);
        let (_, commands) = settings_and_commands(&text);
        let printed = site.shell("sh", commands).success().stdout;
        assert_eq!(printed, "token-1\n".repeat(programs.len()), "{tool}");
    }
}

fn each(tool: &str) -> [Recipe; 2] {
    Recipe::each(tool, AWKWARD, "/", Demands::Bearer, |_| {
        Reply::new(200).body("hello")
    })
}

/// Checks a file against the schema of this name that check-jsonschema has.
#[track_caller]
fn assert_fits(recipe: &Recipe, schema: &str, file: &std::path::Path) {
    let mut check = recipe.command(service_client("check-jsonschema").to_str().expect("UTF-8"));
    check.args(["--builtin-schema", schema]).arg(file);
    ran(check).success();
}

#[test]
fn compose_and_ci_files_fit_their_schemas_and_their_commands_run() {
    for recipe in each("compose") {
        let (settings, _) = settings_and_commands(&recipe.text);
        assert_fits(
            &recipe,
            "vendor.compose-spec",
            &recipe.project_file("compose.yaml", settings),
        );
    }
    for recipe in each("github-actions") {
        let job: Vec<_> = recipe
            .text
            .lines()
            .map(|line| format!("    {line}\n"))
            .collect();
        let workflow = format!(
            "on: push\njobs:\n  job:\n    runs-on: ubuntu-latest\n{}",
            job.concat()
        );
        let file = recipe.project_file("workflow.yml", &workflow);
        assert_fits(&recipe, "vendor.github-workflows", &file);
        run_lines(&recipe, "github", &file);
    }
    for recipe in each("gitlab-ci") {
        let file = recipe.project_file("gitlab-ci.yml", &recipe.text);
        assert_fits(&recipe, "vendor.gitlab-ci", &file);
        run_lines(&recipe, "gitlab", &file);
    }
}

/// As a runner does: by `sh`, where nobody logged in.
#[track_caller]
fn run_lines(recipe: &Recipe, kind: &str, file: &std::path::Path) {
    recipe.script(
        "PROGRAM",
        "#!/bin/sh\nprintenv HALLPASS_TOKEN HALLPASS_CLIENT_ID\n",
    );
    let hallpass = recipe.hallpass_in("bin");
    assert!(hallpass.exists());
    let mut python = recipe.command(service_client("python").to_str().expect("UTF-8"));
    python
        .args(["-B", "tests/service-clients/run_lines.py", kind])
        .arg(file)
        .env("HOME", recipe.directory("nobody"))
        .env("HALLPASS_CLIENT_SECRET", SECRET);
    for name in ["HALLPASS_TOKEN_URL", "HALLPASS_CLIENT_ID", "HALLPASS_FOR"] {
        python.env_remove(name);
    }
    // The stored profile had its own token.
    let printed = ran(python).success().stdout;
    let number =
        1 + usize::from(!recipe.variables.is_empty()) + usize::from(recipe.variables.is_empty());
    let masked = match kind {
        "github" => format!("::add-mask::token-{number}\n"),
        _ => String::new(),
    };
    assert_eq!(printed, format!("{masked}token-{number}\n{CLIENT_ID}\n"));
}

#[test]
fn a_build_command_reads_the_secret_that_is_mounted() {
    for recipe in each("dockerfile") {
        let (file, _) = settings_and_commands(&recipe.text);
        let secret = recipe.project_file("secret", "token-1");
        let (_, command) = commands(file)
            .split_once("hallpass-token \\\n")
            .map(|(run, command)| (run.to_owned(), command.to_owned()))
            .expect("a command");
        let command = command.replace(
            "/run/secrets/hallpass-token",
            secret.to_str().expect("UTF-8"),
        );
        recipe.script("PROGRAM", "#!/bin/sh\nprintenv HALLPASS_TOKEN\n");
        assert_eq!(recipe.shell("sh", &command).success().stdout, "token-1\n");
    }
}

#[test]
fn cron_and_systemd_keep_the_token_file() {
    for recipe in each("cron") {
        let mut job = None;
        let mut script = String::new();
        for line in commands(&recipe.text).lines() {
            if let Some(line) = line.strip_prefix("* * * * * ") {
                // cron takes the backslash from a percent sign.
                job = Some(line.replace("\\%", "%"));
            } else {
                script += "export ";
                script += &line.replace("FILE=FILE", "FILE=\"$SECRET\"");
                script.push('\n');
            }
        }
        script += &job.expect("a job");
        let script = unset_variables(&recipe) + &script;
        recipe.shell("sh", &script).success();
        has_token_file(&recipe);
    }
    // systemd refuses to run a program with these in its path.
    let directory = AWKWARD.replace(['\\', '\''], "");
    let reply = |_: &_| Reply::new(200);
    for recipe in Recipe::each("systemd", &directory, "/", Demands::Bearer, reply) {
        let (service, _) = settings_and_commands(&recipe.text);
        let unit = recipe.project_file("hallpass-x.service", service);
        let mut verify = recipe.command("systemd-analyze");
        verify.args(["verify", "--man=no"]).arg(unit);
        let verified = ran(verify).success();
        assert_eq!(verified.stderr, "");
        let mut script = unset_variables(&recipe);
        for line in service.lines() {
            let plain = line.replace("%%", "%");
            if let Some(variables) = plain.strip_prefix("Environment=") {
                script += "export ";
                script += &variables.replace("FILE=FILE", "FILE=$SECRET");
                script.push('\n');
            } else if let Some(command) = plain.strip_prefix("ExecStart=") {
                // The quotes of systemd are those of a shell, where a dollar sign has a backslash.
                script += "exec ";
                script += &command.replacen('$', "\\$", 1).replace("$$", "\\$");
            }
        }
        let script = recipe.project_file("script", &script);
        let _kept = recipe.keep(&format!("sh '{}'", script.display()));
        has_token_file(&recipe);
    }
}

/// For a script that has only what a service has, and the file of the client secret.
fn unset_variables(recipe: &Recipe) -> String {
    let secret = recipe
        .machine
        .private_file("secret-file", SECRET.as_bytes());
    let unset = "unset HALLPASS_TOKEN_URL HALLPASS_CLIENT_ID HALLPASS_CLIENT_SECRET HALLPASS_FOR";
    format!("{unset}\nSECRET='{}'\n", secret.display())
}

#[track_caller]
fn has_token_file(recipe: &Recipe) {
    let files = recipe.machine.files().into_iter();
    let mut files = files.filter(|file| file.extension().is_some_and(|end| end == "token"));
    let file = recipe
        .machine
        .home()
        .join(files.next().expect("a token file"));
    let token = fs::read_to_string(file).expect("a token");
    assert!(token.starts_with("token-"), "{token}");
}

/// sshd gives the words of the command line to a shell, with spaces between.
#[test]
fn curl_at_the_other_end_of_ssh_reads_the_token_from_the_pipe() {
    for directory in [AWKWARD, QUOTES] {
        let hello = |_: &_| Reply::new(200).body("hello");
        for recipe in Recipe::each("ssh", directory, "/it's;here/", Demands::Bearer, hello) {
            recipe.script("ssh", "#!/bin/sh\nshift\nexec sh -c \"$*\"\n");
            let printed = recipe.shell("sh", &recipe.text).success().stdout;
            assert_eq!(printed, "hello".repeat(recipe.urls("/").len()));
            recipe.used_one_token();
        }
    }
}

#[test]
fn hallpass_in_wsl_is_that_of_windows() {
    for recipe in each("wsl") {
        let windows = recipe.hallpass_in("Program Files").display().to_string();
        recipe.script(
            "hallpass.exe",
            &format!("#!/bin/sh\nexec '{windows}' \"$@\"\n"),
        );
        let (script, command) = settings_and_commands(&recipe.text);
        let file = recipe.machine.home().join(".local/bin/hallpass");
        fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
        fs::write(file, script.split_once('\n').expect("a script").1).expect("a script");
        recipe.script("PROGRAM", "#!/bin/sh\nprintenv VARIABLE\n");
        let line = format!("{command}\n~/.local/bin/hallpass token --template 'a {{token}}'");
        let token = recipe.token();
        assert_eq!(
            recipe.shell("sh", &line).success().stdout,
            format!("{token}\na {token}\n")
        );
    }
}

#[test]
fn any_program_gets_a_variable_or_a_file() {
    for recipe in each("variable") {
        recipe.script("PROGRAM", "#!/bin/sh\nprintenv VARIABLE\n");
        let (command, keep) = recipe.text.split_once("\n\n").expect("two commands");
        let printed = recipe.shell("sh", command).success().stdout;
        assert_eq!(printed, format!("{}\n", recipe.token()));
        let _kept = recipe.keep(&commands(keep));
        has_token_file(&recipe);
        recipe.used_one_token();
    }
}

/// grpcurl has no usual port.
#[test]
fn grpcurl_gets_the_port_of_the_scheme() {
    let site = Site::start(Demands::Bearer, |_| Reply::new(200));
    let bound = site.server.url("");
    site.machine.run(&["unbind", "prod", &bound]).success();
    for (url, address) in [
        ("https://a.example/", "} a.example:443 list"),
        ("https://a.example:8443/x/", "} a.example:8443 list"),
        ("https://[::1]/", "} [::1]:443 list"),
        ("http://localhost/", "} -plaintext localhost:80 list"),
    ] {
        site.machine.run(&["bind", "prod", url]).success();
        let text = site.setup("bin", &["grpcurl"]).replace('\'', "");
        assert!(text.contains(address), "{text}");
        site.machine.run(&["unbind", "prod", url]).success();
    }
}

/// They get an identity token from the service itself.
#[test]
fn ci_files_of_a_client_without_a_secret_name_no_secret() {
    let site = Site::start(Demands::Bearer, |_| Reply::new(200));
    site.machine.run(&["logout", "prod"]).success();
    let identity = ["--identity", "env:CI_TOKEN", "--no-verify"];
    let url = site.server.url("/oauth/token");
    let login = ["login", "ci", "--token-url", &url, "--client-id", CLIENT_ID];
    site.machine
        .run(&[&login[..], &identity].concat())
        .success();
    let github = site.setup("bin", &["github-actions"]);
    assert!(
        github.contains("\npermissions: {id-token: write}\n"),
        "{github}"
    );
    assert!(
        github.contains(r#""HALLPASS_IDENTITY": "github:AUDIENCE""#),
        "{github}"
    );
    let gitlab = site.setup("bin", &["gitlab-ci"]);
    let tokens = "\n  id_tokens: {\"CI_TOKEN\": {\"aud\": \"AUDIENCE\"}}\n";
    assert!(gitlab.contains(tokens), "{gitlab}");
    assert!(
        gitlab.contains(r#""HALLPASS_IDENTITY": "env:CI_TOKEN""#),
        "{gitlab}"
    );
    for text in [github, gitlab] {
        assert!(!text.contains("secrets."), "{text}");
        assert!(!text.contains("HALLPASS_AUTH"), "{text}");
    }
}

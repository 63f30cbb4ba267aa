//! CI, containers and services, and every tool that reads a variable or a file.

use std::fs;

use serde_json::Value;

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
        ("k6", "HALLPASS_TOKEN", &["k6"]),
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

/// AWS and Azure read a file, Insomnia as well.
#[test]
fn token_files_are_where_the_settings_say() {
    let site = Site::start(Demands::Bearer, |_| Reply::new(200));
    for (tool, name) in [
        ("aws", "AWS_WEB_IDENTITY_TOKEN_FILE"),
        ("azure", "AZURE_FEDERATED_TOKEN_FILE"),
    ] {
        let text = site.setup(AWKWARD, &[tool]);
        let read = format!("{text}\ncat \"${name}\"");
        assert_eq!(
            site.shell("sh", &read).success().stdout,
            "token-1",
            "{tool}"
        );
    }
    let text = site.setup(AWKWARD, &["insomnia"]);
    let (script, rest) = text.split_once("\n\n").expect("commands");
    site.shell("sh", script).success();
    let file = rest.split('"').nth(1).expect("a path");
    assert_eq!(fs::read_to_string(file).expect("a token"), "token-1");
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
    assert_eq!(printed, format!("token-{number}\n{CLIENT_ID}\n"));
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
fn cron_and_systemd_write_the_token_file_again() {
    for recipe in each("cron") {
        let mut job = None;
        let mut script = String::new();
        for line in commands(&recipe.text).lines() {
            if let Some(line) = line.strip_prefix("*/10 * * * * ") {
                // cron takes the backslash from a percent sign.
                job = Some(line.replace("\\%", "%"));
            } else {
                script += "export ";
                script += &line.replace("FILE=FILE", "FILE=\"$SECRET\"");
                script.push('\n');
            }
        }
        script += &job.expect("a job");
        writes_the_file(&recipe, &script);
    }
    // systemd refuses to run a program with these in its path.
    let directory = AWKWARD.replace(['\\', '\''], "");
    let reply = |_: &_| Reply::new(200);
    for recipe in Recipe::each("systemd", &directory, "/", Demands::Bearer, reply) {
        let mut files = recipe
            .text
            .split("# ")
            .filter_map(|part| part.split_once('\n'));
        let (service, timer) = (
            files.next().expect("a unit").1,
            files.next().expect("a timer").1,
        );
        let unit = recipe.project_file("hallpass-x.service", service);
        let timer = recipe.project_file("hallpass-x.timer", timer);
        let mut verify = recipe.command("systemd-analyze");
        verify.args(["verify", "--man=no"]).arg(unit).arg(timer);
        let verified = ran(verify).success();
        assert_eq!(verified.stderr, "");
        let mut script = String::new();
        for line in service.lines() {
            let plain = line.replace("%%", "%");
            if let Some(variables) = plain.strip_prefix("Environment=") {
                script += "export ";
                script += &variables.replace("FILE=FILE", "FILE=$SECRET");
                script.push('\n');
            } else if let Some(command) = plain.strip_prefix("ExecStart=") {
                // The quotes of systemd are those of a shell, where a dollar sign has a backslash.
                script += &command.replacen('$', "\\$", 1).replace("$$", "\\$");
            }
        }
        writes_the_file(&recipe, &script);
    }
}

#[track_caller]
fn writes_the_file(recipe: &Recipe, script: &str) {
    let secret = recipe
        .machine
        .private_file("secret-file", SECRET.as_bytes());
    let unset = "unset HALLPASS_TOKEN_URL HALLPASS_CLIENT_ID HALLPASS_CLIENT_SECRET HALLPASS_FOR";
    let secret = secret.display();
    recipe
        .shell("sh", &format!("{unset}\nSECRET='{secret}'\n{script}"))
        .success();
    let files = recipe.machine.files().into_iter();
    let mut files = files.filter(|file| file.extension().is_some_and(|end| end == "token"));
    let file = recipe
        .machine
        .home()
        .join(files.next().expect("a token file"));
    let token = fs::read_to_string(file).expect("a token");
    assert!(token.starts_with("token-"), "{token}");
}

#[test]
fn kubectl_gets_the_secret_from_a_pipe() {
    for recipe in each("kubernetes") {
        recipe.script("kubectl", "#!/bin/sh\ncat\n");
        let (command, _) = recipe.text.split_once("\n\n").expect("a command");
        let secret: Value = recipe.shell("sh", command).success().json();
        assert_eq!(secret["kind"], "Secret");
        assert_eq!(secret["stringData"]["token"], recipe.token());
    }
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
        let line = format!("{command}\n~/.local/bin/hallpass token --template 'a {{token}}'");
        assert_eq!(
            recipe.shell("sh", &line).success().token(),
            format!("a {}", recipe.token())
        );
    }
}

#[test]
fn any_program_gets_a_variable_or_a_file() {
    for recipe in each("variable") {
        recipe.script("PROGRAM", "#!/bin/sh\nprintenv VARIABLE\n");
        let printed = recipe.shell("sh", &recipe.text).success().stdout;
        assert_eq!(printed, format!("{}\n", recipe.token()));
        recipe.used_one_token();
    }
    for recipe in each("grpcurl") {
        let show = "#!/bin/sh\nprintf '%s\\n' \"$AUTHORIZATION\" \"$@\"\n";
        recipe.script("grpcurl", show);
        let printed = recipe.shell("sh", &recipe.text).success().stdout;
        let words: Vec<_> = printed.lines().take(5).collect();
        let header = recipe.header();
        assert_eq!(
            words[..4],
            [
                &header,
                "-expand-headers",
                "-H",
                "authorization:${AUTHORIZATION}"
            ]
        );
        assert!(recipe.urls("").iter().any(|url| url.ends_with(words[4])));
    }
}

//! Compares the README and the manuals with the program, and runs the commands that they show.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::machine::{HALLPASS, Machine, skip};

#[test]
fn the_demonstration_shows_what_the_readme_shows() {
    let built = Path::new(env!("CARGO_BIN_EXE_hallpass"));
    let examples = built.with_file_name("examples");
    let server = examples.join("authorization-server");
    assert!(server.exists(), "cargo build --examples comes first");
    let directory = tempfile::tempdir().expect("a directory");
    let hallpass = directory.path().join("hallpass");
    symlink(&*HALLPASS, &hallpass).expect("a link");
    symlink(examples, directory.path().join("examples")).expect("a link");
    let ran = Command::new("bash")
        .arg("tests/demo")
        .arg(hallpass)
        .output();
    let ran = ran.expect("bash starts");
    let shown = String::from_utf8(ran.stdout).expect("text");
    assert!(
        ran.status.success(),
        "{shown}{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    assert!(shown.contains("4 token requests for 2 logins"), "{shown}");
    let (_, json) = shown
        .split_once("# a token request with a json body\n")
        .expect("the second part");
    let (json, _) = json.split_once("\n# ").expect("its end");
    assert_eq!(normalised(json), normalised(&block("```console\n")));
}

#[test]
fn the_readme_and_the_manual_agree_with_the_program_on_exit_codes() {
    for code in 0..=6 {
        assert!(readme().contains(&format!("\n| {code} | ")), "{code}");
        assert!(manual().contains(&format!("\n.B {code}\n")), "{code}");
    }
}

#[test]
fn the_manual_names_every_option_and_no_other() {
    let manual = manual();
    let (_, commands) = manual.split_once(".SH COMMANDS").expect("the commands");
    let (commands, _) = commands.split_once(".SH EXIT STATUS").expect("their end");
    let everywhere = ["--help", "--verbose", "--version"].map(str::to_owned);
    assert!(
        everywhere
            .iter()
            .all(|option| manual.contains(&option.replace('-', "\\-")))
    );
    for command in [
        "login",
        "token",
        "rotate",
        "logout",
        "status",
        "profile",
        "bind",
        "unbind",
        "exec",
        "keep",
        "mcp",
        "setup",
        "completions",
        "help",
        "version",
    ] {
        let (_, section) = commands
            .split_once(&format!(".SS hallpass {command}\n"))
            .expect("a section");
        let section = section.split("\n.SS ").next().unwrap_or_default();
        let titles = section.replace("\n.TP\n", "\n\u{1}");
        let documented: BTreeSet<_> = titles
            .lines()
            .filter(|line| line.starts_with('\u{1}'))
            .filter_map(|line| options(&line.replace('\\', "")))
            .collect();
        let help = Machine::new().run(&[command, "--help"]).success().stdout;
        let listed = help
            .lines()
            .filter(|line| line.trim_start().starts_with('-'));
        let known: BTreeSet<_> = listed
            .filter_map(options)
            .filter(|option| !everywhere.contains(option))
            .collect();
        assert_eq!(documented, known, "{command}");
        let synopsis = manual.split(".SH DESCRIPTION").next().unwrap_or_default();
        assert!(
            synopsis.contains(&format!(".B hallpass {command}\n")),
            "{command}"
        );
    }
}

#[test]
fn the_helpers_manual_has_a_section_for_each() {
    let manual = fs::read_to_string("man/hallpass-helpers.1")
        .expect("the manual")
        .replace('\\', "");
    let help = Machine::new().run(&["--help"]).success().stdout;
    let (_, helpers) = help
        .split_once("Helpers, run by other programs:\n")
        .expect("the helpers");
    assert_eq!(helpers.trim().lines().count(), 11);
    for line in helpers.trim().lines() {
        let name = line.split_whitespace().next().expect("a name");
        assert!(manual.contains(&format!("\n.SS {name}")), "{name}");
        let usage = Machine::new().run(&[name, "--help"]).success().stdout;
        assert!(
            usage.contains(&format!("Usage: hallpass {name} ")),
            "{usage}"
        );
    }
}

/// The name of a tool that `--write` supports is bold.
#[test]
fn the_readme_has_the_list_of_tools_that_setup_prints() {
    let list = Machine::new().run(&["setup"]).success().stdout;
    let groups = list
        .split("\n\n")
        .filter(|group| !group.starts_with("Others"));
    let rows = groups.map(|group| {
        let (title, tools) = group.split_once('\n').expect("a title");
        let tools = tools.lines().map(|line| {
            let (name, about) = line.trim_start().split_once(' ').expect("a name");
            let (programs, _) = about.trim_start().split_once(": ").expect("programs");
            let bold = if about.ends_with(" [--write]") {
                "**"
            } else {
                ""
            };
            let name_in_code = format!("{bold}`{name}`{bold}");
            if programs.eq_ignore_ascii_case(name) {
                name_in_code
            } else {
                format!("{name_in_code} ({programs})")
            }
        });
        let tools: Vec<_> = tools.collect();
        format!("| {title} | {} |\n", tools.join(", "))
    });
    let rows: Vec<_> = rows.collect();
    assert!(rows.len() > 5, "{list}");
    let readme = readme();
    let (_, table) = readme
        .split_once("| tools | `hallpass setup` |\n|---|---|\n")
        .expect("the table");
    let (table, _) = table.split_once("\n\n").expect("its end");
    assert_eq!(table.to_owned() + "\n", rows.concat());
}

#[test]
fn the_messages_in_the_readme_are_messages_of_the_program() {
    let mut sources = String::new();
    read_sources(Path::new("src"), &mut sources);
    let readme = readme();
    let (_, table) = readme
        .split_once("| message contains | cause | what to do |\n|---|---|---|\n")
        .expect("the table");
    let (table, _) = table.split_once("\n\n").expect("its end");
    assert!(table.lines().count() > 8, "{table}");
    for row in table.lines() {
        let message = row.split('`').nth(1).expect("a message");
        assert!(sources.contains(message), "{message}");
    }
}

fn read_sources(directory: &Path, sources: &mut String) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_sources(&path, sources);
        } else {
            sources.push_str(&fs::read_to_string(&path).expect("text"));
        }
    }
}

#[test]
fn the_files_that_the_documents_name_exist() {
    for document in ["README.md", "CONTRIBUTING.md", "SECURITY.md"] {
        let text = fs::read_to_string(document).expect("a document");
        let paths: Vec<_> = text
            .split(['`', '(', ')', ' ', '\n'])
            .filter(|word| {
                ["src/", "tests/", "man/", "packaging/"]
                    .iter()
                    .any(|start| word.starts_with(start))
            })
            .filter(|word| !word.contains("NAME"))
            .collect();
        assert!(!paths.is_empty(), "{document}");
        for path in paths {
            let path = path.trim_end_matches([',', ';', ':', '.']);
            assert!(Path::new(path).exists(), "{document}: {path}");
        }
    }
}

#[test]
fn the_manuals_are_formatted_without_a_warning() {
    for manual in [
        "man/hallpass.1",
        "man/hallpass-helpers.1",
        "man/hallpass-contract.5",
    ] {
        let ran = Command::new("groff")
            .args(["-ww", "-man", "-Tutf8", manual])
            .output();
        let Ok(ran) = ran else {
            return skip("groff is not installed");
        };
        let warnings = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success() && warnings.is_empty(), "{warnings}");
    }
}

/// The first long option of a line.
fn options(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("--")?;
    let name: String = rest
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect();
    Some(format!("--{name}"))
}

/// Replaces what differs from run to run (tokens, times, ports) by a fixed word.
fn normalised(transcript: &str) -> String {
    let known = |word: &str| {
        let bare = word.trim_end_matches([')', ',']);
        let all = |test: fn(&u8) -> bool| bare.bytes().all(|byte| test(&byte));
        if bare.len() == 43 && all(|b| b.is_ascii_alphanumeric() || b"-_".contains(b)) {
            "TOKEN".to_owned()
        } else if bare.len() == 10 && bare.starts_with("20") && bare.matches('-').count() == 2 {
            "DATE".to_owned()
        } else if bare.len() == 5 && all(|b| b.is_ascii_digit() || *b == b':') {
            "TIME".to_owned()
        } else if bare.len() == 12 && all(u8::is_ascii_hexdigit) {
            word.replace(bare, "FINGERPRINT")
        } else if let Some(rest) = word.strip_prefix("http://127.0.0.1:") {
            format!(
                "SERVER{}",
                rest.trim_start_matches(|c: char| c.is_ascii_digit())
            )
        } else if let Some(digits) = bare.strip_prefix("blooma:") {
            format!("blooma:{}", digits.len())
        } else {
            word.to_owned()
        }
    };
    transcript
        .trim_end()
        .split(' ')
        .map(|words| words.split('\n').map(known).collect::<Vec<_>>().join("\n"))
        .collect::<Vec<_>>()
        .join(" ")
}

fn block(start: &str) -> String {
    let readme = readme();
    let (_, block) = readme.split_once(start).expect("the block");
    block.split("```").next().unwrap_or_default().to_owned()
}

fn readme() -> String {
    fs::read_to_string("README.md").expect("the README")
}

fn manual() -> String {
    fs::read_to_string("man/hallpass.1").expect("the manual")
}

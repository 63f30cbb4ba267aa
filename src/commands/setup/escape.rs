//! Escapes a text so that a tool reads it back unchanged: one function for each syntax.
//!
//! Each takes the words of a command, or a single text, and returns why it cannot be written.

use crate::types::web_url::encode_all_reserved;

/// Why a text cannot be written in a syntax.
type Reason = &'static str;

/// The function of a syntax that a recipe names.
pub(super) type Syntax = fn(&[String]) -> Result<String, Reason>;

pub(super) const SYNTAXES: &[(&str, Syntax)] = &[
    ("sh", |words| Ok(posix_line(words))),
    ("shell", |words| Ok(users_shell(words))),
    ("argument", |words| Ok(argument(&words.concat()))),
    ("system", |words| system_shell(words)),
    ("text", |words| Ok(words.concat())),
    ("git-helper", |words| Ok(git_helper(words))),
    ("git-value", |words| Ok(git_value(&words.concat()))),
    ("git-section", |words| {
        Ok(backslashes(&words.concat(), "\"\\"))
    }),
    ("bazelrc", |words| {
        Ok(backslashes(&words.concat(), " \t\"'\\#"))
    }),
    ("npmrc", |words| Ok(backslashes(&words.concat(), ";#\\"))),
    ("npmrc-key", |words| npmrc_key(&words.concat())),
    ("pnpm", |words| pnpm(&words.concat())),
    ("goauth", |words| {
        Ok(format!("GOAUTH=netrc; {}", goauth(words)?))
    }),
    ("rclone", |words| Ok(rclone(words))),
    ("variable", variable),
    ("path", |words| path_entry(&words.concat())),
    ("with-user", with_user),
    // JSON's strings are strings of YAML and Scala as well, and of TOML where they have no control characters.
    ("json", |words| Ok(json(&words.concat()))),
    ("yaml", |words| Ok(json(&words.concat()))),
    ("toml", |words| Ok(json(&words.concat()))),
    ("list", |words| Ok(list(words))),
    ("kotlin", |words| Ok(kotlin(words))),
    ("scala", |words| Ok(json(&words.concat()))),
    ("xml", |words| Ok(xml(&words.concat()))),
    ("percent", |words| Ok(encode_all_reserved(&words.concat()))),
    ("bundle-key", |words| Ok(bundle_key(&words.concat()))),
    ("nix", |words| nix(&words.concat())),
    ("file-url", |words| file_url(&words.concat())),
    ("netrc", |words| netrc(&words.concat())),
    ("hcl-list", |words| Ok(hcl(&list(words)))),
    ("xml-attribute", |words| Ok(xml_attribute(&words.concat()))),
    ("sql", |words| Ok(sql(&words.concat()))),
    ("yaml-mapping", yaml_mapping),
    ("cron", |words| Ok(cron(&words.concat()))),
    ("cron-variables", cron_variables),
    ("systemd", systemd),
    ("systemd-variables", systemd_variables),
];

/// A string of JSON.
pub(super) fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn list(words: &[String]) -> String {
    let words: Vec<_> = words.iter().map(|word| json(word)).collect();
    format!("[{}]", words.join(", "))
}

/// Whether every shell leaves a text unchanged.
fn is_plain(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@,=".contains(c);
    !text.is_empty() && text.chars().all(plain)
}

fn join(words: &[String], quoted: impl Fn(&str) -> String) -> String {
    let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    words.join(" ")
}

/// A command of a POSIX shell, bash, zsh or fish.
fn posix_line(words: &[String]) -> String {
    join(words, |word| {
        if is_plain(word) {
            word.to_owned()
        } else {
            posix_string(word)
        }
    })
}

/// A string of a POSIX shell, bash, zsh or fish.
pub(in crate::commands) fn posix_string(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars() {
        match c {
            '\'' => quoted += r"'\''",
            // fish reads two backslashes in quotes as one. Outside quotes all shells agree.
            '\\' => quoted += r"'\\'",
            c => quoted.push(c),
        }
    }
    quoted + "'"
}

/// A string of PowerShell, which takes typographic quotes for quotes, too.
pub(in crate::commands) fn powershell_string(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars() {
        if matches!(c, '\'' | '\u{2018}'..='\u{201b}') {
            quoted.push(c);
        }
        quoted.push(c);
    }
    quoted + "'"
}

/// A command as PowerShell reads it.
fn powershell_line(words: &[String]) -> String {
    let quoted = |word: &str| {
        if is_plain(word) && !word.starts_with('@') && !word.contains(',') || is_windows_path(word)
        {
            word.to_owned()
        } else {
            powershell_string(word)
        }
    };
    let line = join(words, quoted);
    // Without `&`, a quoted word is a string and not a command.
    if line.starts_with('\'') {
        format!("& {line}")
    } else {
        line
    }
}

/// A command as cmd.exe reads it.
fn cmd_line(words: &[String]) -> Result<String, Reason> {
    // Variables are expanded in quotes too, and nothing escapes a percent sign.
    if words.iter().any(|word| word.contains(['"', '%'])) {
        return Err("cmd.exe cannot quote it");
    }
    Ok(join(words, |word| {
        if is_plain(word) && !word.contains([',', '=']) || is_windows_path(word) {
            word.to_owned()
        } else {
            format!("\"{word}\"")
        }
    }))
}

fn is_windows_path(word: &str) -> bool {
    is_plain(&word.replace('\\', "/")) && word.contains(":\\") && !word.contains([',', '=', '@'])
}

/// A command for the platform's usual shell.
fn users_shell(words: &[String]) -> String {
    if cfg!(windows) {
        powershell_line(words)
    } else {
        posix_line(words)
    }
}

/// A word of such a command that is not the first.
fn argument(text: &str) -> String {
    let word = users_shell(&[text.to_owned()]);
    word.strip_prefix("& ").unwrap_or(&word).to_owned()
}

/// A command that a program runs like `system(3)`.
fn system_shell(words: &[String]) -> Result<String, Reason> {
    if cfg!(windows) {
        cmd_line(words)
    } else {
        Ok(posix_line(words))
    }
}

/// git runs an absolute path, and anything after `!`, in a POSIX shell (also on Windows). It puts
/// `git credential-` before anything else, such as a quote.
fn git_helper(words: &[String]) -> String {
    let line = posix_line(words);
    if line.starts_with('/') {
        line
    } else {
        format!("!{line}")
    }
}

/// A value in git's settings.
fn git_value(text: &str) -> String {
    format!("\"{}\"", backslashes(text, "\"\\"))
}

/// The text with a backslash before each of these characters.
fn backslashes(text: &str, special: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if special.contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// The name of a setting ends at the equals sign, even in quotes.
fn npmrc_key(text: &str) -> Result<String, Reason> {
    if text.contains('=') {
        return Err("the name of a setting cannot have an equals sign in .npmrc");
    }
    Ok(backslashes(text, ";#\\"))
}

/// pnpm checks that the file exists, and then passes its path to a shell without quotes.
fn pnpm(text: &str) -> Result<String, Reason> {
    if is_plain_path(text) {
        Ok(backslashes(text, ";#\\"))
    } else {
        Err("pnpm gives it to a shell without quotes")
    }
}

/// Whether the platform's shell reads a path without quotes.
pub(super) fn is_plain_path(path: &str) -> bool {
    is_plain(path) || (cfg!(windows) && is_windows_path(path))
}

/// Go splits at semicolons first; then words are in quotes of either kind, without escapes.
fn goauth(words: &[String]) -> Result<String, Reason> {
    let mut quoted = Vec::new();
    for word in words {
        let needs_quotes = word.is_empty() || word.contains([' ', '"', '\'']);
        quoted.push(
            match (needs_quotes, word.contains('\''), word.contains('"')) {
                _ if word.contains(';') => return Err("GOAUTH cannot hold a semicolon"),
                (false, ..) => word.clone(),
                (true, false, _) => format!("'{word}'"),
                (true, true, false) => format!("\"{word}\""),
                (true, true, true) => return Err("GOAUTH cannot hold both kinds of quotes"),
            },
        );
    }
    Ok(quoted.join(" "))
}

/// rclone reads a command as a line of a CSV file whose separator is a space.
fn rclone(words: &[String]) -> String {
    join(words, |word| {
        if word.contains([' ', '"']) {
            format!("\"{}\"", word.replace('"', "\"\""))
        } else {
            word.to_owned()
        }
    })
}

/// Strings of Kotlin, where a dollar sign begins a template.
fn kotlin(words: &[String]) -> String {
    let words: Vec<_> = words
        .iter()
        .map(|word| json(word).replace('$', "\\$"))
        .collect();
    words.join(", ")
}

/// Text between two tags of XML.
fn xml(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// A host in the name of one of Bundler's variables.
fn bundle_key(host: &str) -> String {
    host.replace('.', "__")
        .replace('-', "___")
        .to_ascii_uppercase()
}

/// A value of nix.conf: the rest of the line, up to a comment.
fn nix(text: &str) -> Result<String, Reason> {
    if text.contains('#') {
        return Err("a number sign begins a comment in nix.conf");
    }
    Ok(text.to_owned())
}

/// The URL of a file in properties of Java. Kafka decodes no percent sign.
fn file_url(path: &str) -> Result<String, Reason> {
    if !is_plain_path(path) {
        return Err("Kafka cannot read a URL with a space or another special character");
    }
    let path = path.replace('\\', "/");
    Ok(format!("file:///{}", path.trim_start_matches('/')))
}

/// A word of .netrc, whose readers have no common quotes.
fn netrc(text: &str) -> Result<String, Reason> {
    if text.contains(|c: char| c.is_whitespace() || "#\"\\{}".contains(c)) {
        return Err(".netrc cannot hold its spaces or quotes");
    }
    Ok(text.to_owned())
}

/// Sets a variable in the user's shell: its name, then its value.
fn variable(words: &[String]) -> Result<String, Reason> {
    let (name, value) = words.split_first().ok_or("it has no name")?;
    let value = argument(&value.concat());
    Ok(if cfg!(windows) {
        let quoted = if value.starts_with('\'') {
            value
        } else {
            format!("'{value}'")
        };
        format!("$env:{name} = {quoted}")
    } else {
        format!("export {name}={value}")
    })
}

/// Puts a directory before the others of the PATH.
fn path_entry(text: &str) -> Result<String, Reason> {
    if cfg!(windows) {
        let directory = powershell_string(&format!("{text};"));
        return Ok(format!("$env:PATH = {directory} + $env:PATH"));
    }
    if text.contains(':') {
        return Err("a directory on the PATH cannot have a colon");
    }
    Ok(format!(
        "export PATH={}:\"$PATH\"",
        posix_line(&[text.to_owned()])
    ))
}

/// A URL with a user name: its scheme, the name, and what comes after.
fn with_user(words: &[String]) -> Result<String, Reason> {
    match words {
        [scheme, user, under] => Ok(format!("{scheme}://{}@{under}/", encode_all_reserved(user))),
        _ => Err("it is not a URL"),
    }
}

/// Strings of Terraform: those of JSON, but `${` and `%{` begin an expression.
fn hcl(json: &str) -> String {
    json.replace("${", "$${").replace("%{", "%%{")
}

/// The value of an attribute of XML, in quotes.
fn xml_attribute(text: &str) -> String {
    format!("\"{}\"", xml(text).replace('"', "&quot;"))
}

/// A string of SQL.
fn sql(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A mapping of YAML, and of JSON, made of `NAME=value`.
fn yaml_mapping(words: &[String]) -> Result<String, Reason> {
    let mut members = Vec::new();
    for word in words {
        let (name, value) = word.split_once('=').ok_or("it has no name")?;
        // CI services and Compose replace these.
        if value.contains('$') {
            return Err("a dollar sign begins an expression");
        }
        members.push(format!("{}: {}", json(name), json(value)));
    }
    Ok(format!("{{{}}}", members.join(", ")))
}

/// A command in a crontab, where a percent sign begins its input.
fn cron(text: &str) -> String {
    text.replace('%', r"\%")
}

/// Lines of a crontab that set variables. cron reads a value to the end of the line.
fn cron_variables(words: &[String]) -> Result<String, Reason> {
    in_one_line(words)?;
    let lines = words.iter().map(|word| format!("{word}\n"));
    Ok(lines.collect())
}

fn in_one_line(words: &[String]) -> Result<(), Reason> {
    if words.iter().any(|word| word.contains('\n')) {
        return Err("one of the variables has several lines");
    }
    Ok(())
}

/// A command in a unit. `$` begins a variable, except in the program's path, which has no escapes.
fn systemd(words: &[String]) -> Result<String, Reason> {
    let (program, arguments) = words.split_first().ok_or("it has no name")?;
    if program.contains(['\'', '"', '\\']) {
        return Err("systemd runs no program with quotes or backslashes in its path");
    }
    let arguments = arguments
        .iter()
        .map(|word| systemd_word(word).replace('$', "$$"));
    let words: Vec<_> = [systemd_word(program)]
        .into_iter()
        .chain(arguments)
        .collect();
    Ok(words.join(" "))
}

fn systemd_word(word: &str) -> String {
    format!("\"{}\"", backslashes(word, "\"\\").replace('%', "%%"))
}

/// A line that sets variables in a unit, or none.
fn systemd_variables(words: &[String]) -> Result<String, Reason> {
    in_one_line(words)?;
    let words: Vec<_> = words.iter().map(|word| systemd_word(word)).collect();
    Ok(if words.is_empty() {
        String::new()
    } else {
        format!("Environment={}\n", words.join(" "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_posix_shell_reads_back_what_was_quoted() {
        let given = words(&[
            "/a b/h",
            "C:\\x y\\h.exe",
            "d'e\"f",
            "$g`h`",
            "",
            "#",
            "é",
            "a*",
        ]);
        let line = posix_line(&given);
        assert_eq!(shlex::split(&line), Some(given), "{line}");
        assert_eq!(
            posix_line(&words(&["/usr/bin/h", "token", "p"])),
            "/usr/bin/h token p"
        );
    }

    #[test]
    fn windows_shells_get_quotes_where_they_need_them() {
        let spaced = words(&[r"C:\Program Files\it's\h.exe", "token", "p"]);
        assert_eq!(
            powershell_line(&spaced),
            r"& 'C:\Program Files\it''s\h.exe' token p"
        );
        assert_eq!(
            cmd_line(&spaced).as_deref(),
            Ok(r#""C:\Program Files\it's\h.exe" token p"#)
        );
        let plain = words(&[r"C:\bin\h.exe", "token", "p"]);
        assert_eq!(powershell_line(&plain), r"C:\bin\h.exe token p");
        assert_eq!(cmd_line(&plain).as_deref(), Ok(r"C:\bin\h.exe token p"));
        assert!(cmd_line(&words(&[r"C:\100%\h.exe"])).is_err());
    }

    #[test]
    fn git_runs_a_plain_path_as_it_is_and_everything_else_in_a_shell() {
        let helper = |program| git_helper(&words(&[program, "git-credential"]));
        assert_eq!(helper("/bin/h"), "/bin/h git-credential");
        assert_eq!(helper("/a b/h"), "!'/a b/h' git-credential");
        assert_eq!(
            git_value(&helper(r"C:\b\h")),
            r#""!'C:'\\\\'b'\\\\'h' git-credential""#
        );
    }

    #[test]
    fn go_has_quotes_without_escapes() {
        let value = |program| goauth(&words(&[program, "goauth"]));
        assert_eq!(value(r"C:\b\h").as_deref(), Ok(r"C:\b\h goauth"));
        assert_eq!(value("/a b/h").as_deref(), Ok("'/a b/h' goauth"));
        assert_eq!(value("/it's/h").as_deref(), Ok("\"/it's/h\" goauth"));
        assert!(value("/a;b/h").is_err() && value("/a'\"b/h").is_err());
    }
}

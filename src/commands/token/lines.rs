//! A token as a line of a shell or a file: one function for each syntax.

use crate::commands::setup::escape::{posix_string, powershell_string};
use crate::error::{Error, Result};

const OTHER_FORMAT: &str = "choose another --format, such as json";

/// For `eval` in a POSIX shell, bash, zsh or fish.
pub(super) fn posix(variable: &str, value: &str) -> String {
    format!("export {variable}={}", posix_string(value))
}

/// For `Invoke-Expression` in PowerShell.
pub(super) fn powershell(variable: &str, value: &str) -> String {
    format!("$env:{variable} = {}", powershell_string(value))
}

/// For a file of variables. Its readers differ: Docker takes quotes for a part of the value, and others
/// expand variables without them. So a value has quotes only if it needs them, and only those in which
/// nothing has a meaning.
///
/// # Errors
/// `Usage` if no such quotes exist for the value.
pub(super) fn dotenv(variable: &str, value: &str) -> Result<String> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=:@%,".contains(&b);
    if value.bytes().all(is_plain) {
        return Ok(format!("{variable}={value}"));
    }
    if value.contains(['\'', '\\']) || value.contains(char::is_control) {
        return Err(Error::usage(
            "a file of variables cannot hold this token: it has single quotes or backslashes",
        )
        .hint(OTHER_FORMAT));
    }
    Ok(format!("{variable}='{value}'"))
}

/// For .netrc, whose readers differ in quotes and escapes, so that it gets none.
///
/// # Errors
/// `Usage` if a value needs them.
pub(super) fn netrc(machine: &str, login: &str, password: &str) -> Result<String> {
    if let Some(fault) = netrc_fault(login) {
        let what = format!(".netrc cannot hold this user name: {fault}");
        return Err(
            Error::usage(what).hint("set another one: hallpass bind PROFILE URL --username NAME")
        );
    }
    if let Some(fault) = netrc_fault(password) {
        let what = format!(".netrc cannot hold this token: {fault}");
        return Err(Error::usage(what).hint(OTHER_FORMAT));
    }
    Ok(format!(
        "machine {machine} login {login} password {password}"
    ))
}

fn netrc_fault(word: &str) -> Option<&'static str> {
    let is_special = |c: char| c.is_whitespace() || c.is_control() || "\"'\\".contains(c);
    if word.starts_with('#') {
        Some("it begins with #")
    } else {
        (word.is_empty() || word.contains(is_special))
            .then_some("it has quotes, spaces or backslashes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_read_back_what_was_quoted() {
        for value in [
            "",
            "t",
            "a b",
            "it's",
            "\\",
            "a\\'b",
            "$x`y`\"z\"",
            "#",
            "a\nb",
            "é'",
            "!x",
        ] {
            let line = posix("T", value);
            let words = shlex::split(&line);
            assert_eq!(
                words,
                Some(vec!["export".to_owned(), format!("T={value}")]),
                "{line}"
            );
        }
        assert_eq!(powershell("T", "it's $x `y`"), "$env:T = 'it''s $x `y`'");
        assert_eq!(
            powershell("T", "\u{2019}; rm"),
            "$env:T = '\u{2019}\u{2019}; rm'"
        );
    }

    #[test]
    fn a_file_gets_only_what_all_its_readers_agree_on() {
        let value = |value| dotenv("T", value).ok();
        assert_eq!(value("eyJ.a-b_c~+/="), Some("T=eyJ.a-b_c~+/=".to_owned()));
        assert_eq!(value("a$b#c"), Some("T='a$b#c'".to_owned()));
        assert_eq!(value("a b\"`"), Some("T='a b\"`'".to_owned()));
        for refused in ["it's", "a\\b", "a\nb", "\u{1b}"] {
            assert_eq!(value(refused), None);
        }
        let line = |login, password| netrc("a.example", login, password).ok();
        let written = "machine a.example login oauth2 password a$b+/=".to_owned();
        assert_eq!(line("oauth2", "a$b+/="), Some(written));
        for refused in ["", "a b", "#a", "a\"", "a'", "a\\", "a\n"] {
            assert_eq!(line("x", refused), None);
            assert_eq!(line(refused, "x"), None);
        }
    }
}

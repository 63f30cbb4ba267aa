//! Foreign or user text in the commands that hallpass prints for a shell.

use std::path::Path;

/// A word that a POSIX shell reads as this text, and that it neither runs nor expands.
pub(crate) fn word(text: &str) -> String {
    // No argument can have a NUL, the only character that cannot be quoted.
    let text = text.replace('\0', "");
    shlex::try_quote(&text).map_or_else(|_| "''".to_owned(), std::borrow::Cow::into_owned)
}

/// A path as a word.
pub(crate) fn path(path: &Path) -> String {
    word(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_a_word_and_runs_nothing() {
        for text in [
            "",
            "a",
            "/a b",
            "$(id)",
            "`id`",
            "it's",
            "\"",
            "a\\b",
            ";|&<>*?[x]",
            "~",
            "#",
        ] {
            let line = format!("x {}", word(text));
            let words = shlex::split(&line);
            assert_eq!(words, Some(vec!["x".to_owned(), text.to_owned()]), "{line}");
        }
        assert_eq!(word("https://a.example:8443/x"), "https://a.example:8443/x");
        assert_eq!(word("$(id)"), "'$(id)'");
        assert_eq!(word("a\0b"), "ab");
    }
}

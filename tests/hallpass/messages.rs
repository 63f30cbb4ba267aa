//! The messages of the program: what a user sees in each situation, and their wording.
//!
//! The tables are the text files in `messages/`. A row is a block of lines:
//!
//! ```text
//! the situation, in a sentence
//! server: REPLY       what the server sends, `$SERVER` being its address (the next line: to the
//!                     next request)
//! tls: KIND           the server's certificate; without it, the server speaks plain http
//! keychain: STATE     from here on
//! first: COMMAND      a line of shell that prepares the situation and must succeed
//! $ COMMAND           what the user runs
//! types: PROMPT > ANSWER
//! exit CODE
//! what the user sees
//! > what is printed on standard output, if the row shows it
//! ```
//!
//! `REWRITE_MESSAGES=1 cargo test --test hallpass -- messages::` writes what is seen into the
//! tables. Review the changes.

mod situations;
mod templates;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A phrase, and what says the same in plain words.
const PHRASES: &[(&str, &str)] = &[
    ("anew", "again"),
    ("stand beside", "be used with"),
    ("unless told", "if you do not set it"),
    ("there is no such", "unknown"),
    ("alone", "only"),
    ("of ours", "of hallpass"),
    ("as it likes", "the default"),
    ("nobody tells", "unknown"),
    ("as it should be", "already up to date"),
    ("all the same", "anyway"),
    ("is told", "is given"),
    ("lies in", "is in"),
    ("nothing is there", "no such path"),
    ("in vain", "without success"),
    ("gone for good", "no longer exists"),
    ("goes with", "works only with"),
    ("of before", "previous"),
];

macro_rules! tables {
    ($($name:ident)*) => {
        const TABLES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                situations::check(stringify!($name));
            }
        )*
    };
}

tables! {
    agents
    arguments
    doctor
    dpop
    environment
    expiry
    helpers
    identity
    keep
    keychain
    keys
    login
    manage
    mcp
    network
    output
    profiles
    responses
    rotation
    secrets
    serve
    setup
    share
    steps
}

#[test]
fn each_table_is_run() {
    let names: Vec<_> = situations::tables().into_keys().collect();
    assert_eq!(names, TABLES);
}

#[test]
fn each_text_for_users_is_seen_in_a_situation() {
    let rows = situations::tables().into_values().flatten();
    let lines: Vec<_> = rows.flat_map(|situation| situation.seen).collect();
    let exceptions = exceptions();
    let mut missing = Vec::new();
    let mut unneeded: Vec<_> = exceptions.keys().cloned().collect();
    for file in sources(Path::new("src")) {
        let source = fs::read_to_string(&file).expect("a source file");
        let name = file.display().to_string();
        if exceptions.contains_key(&name) {
            unneeded.retain(|exception| *exception != name);
            continue;
        }
        for text in templates::texts(&source) {
            let parts = templates::parts(&text);
            let is_exception = exceptions.contains_key(&text);
            let is_seen = lines.iter().any(|line| templates::has_parts(line, &parts));
            if is_exception && !is_seen {
                unneeded.retain(|exception| *exception != text);
            } else if !is_seen {
                missing.push(format!("{name}: {text}"));
            }
        }
    }
    assert!(missing.is_empty(), "in no table:\n{}", missing.join("\n"));
    assert!(unneeded.is_empty(), "needless exceptions: {unneeded:#?}");
}

/// The texts, and the source files, that no row has to show, with the reasons.
fn exceptions() -> BTreeMap<String, String> {
    let path = situations::directory().join("exceptions.txt");
    let text = fs::read_to_string(path).expect("the exceptions");
    let mut exceptions = BTreeMap::new();
    let mut reason = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix("  ") {
            Some(text) => {
                exceptions.insert(text.to_owned(), reason.to_owned());
            }
            None => reason = line,
        }
    }
    exceptions
}

#[test]
fn messages_have_no_phrases_that_read_like_a_translation() {
    let mut number = 0;
    for file in sources(Path::new("src")) {
        let text = fs::read_to_string(&file).expect("a source file");
        for literal in literals(&text) {
            number += 1;
            if let Some((phrase, plain)) = PHRASES.iter().find(|(phrase, _)| has(&literal, phrase))
            {
                panic!(
                    "{}: write \"{plain}\", not \"{phrase}\": {literal}",
                    file.display()
                );
            }
        }
    }
    assert!(number > 1000, "only {number} literals");
}

#[test]
fn a_phrase_is_found_in_every_kind_of_literal_and_only_there() {
    let code = r##"
        //! "of ours" in a comment
        fn quote(c: char) -> bool { c == '"' || c == '\'' } // alone
        #[allow(dead_code, reason = "alone")]
        const A: &str = "it asks \
            anew";
        const B: &str = r#"a "raw" text"#;
        const C: &str = "a \"quoted\" word";
        #[cfg(test)]
        mod tests {
            const D: &str = "alone";
        }
    "##;
    let found = literals(code);
    assert_eq!(
        found,
        ["it asks anew", "a \"raw\" text", "a \\\"quoted\\\" word"]
    );
    assert!(has("it asks Anew.", "anew"));
    assert!(!has("a standalone program", "alone"));
}

/// Whether a text has these words, whole.
fn has(text: &str, phrase: &str) -> bool {
    let text = text.to_lowercase();
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(phrase).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + phrase.len()..].chars().next();
        !is_word(before) && !is_word(after)
    })
}

/// The program's source files, without those of unit tests.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
    found
}

/// The string literals of a file, as they are written there, without those of unit tests, and
/// without the reasons of lints.
fn literals(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]\n").collect::<Vec<_>>();
    let is_module = |part: &&str| part.trim_start().starts_with("mod tests {");
    let kept: Vec<_> = text
        .into_iter()
        .take_while(|part| !is_module(part))
        .collect();
    let mut rest = &*kept.concat();
    let mut found = Vec::new();
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let (before, from) = rest.split_at(at);
        rest = if from.starts_with("//") {
            from.split_once('\n').map_or("", |(_, next)| next)
        } else if let Some(inside) = from.strip_prefix('"') {
            let hashes = before.chars().rev().take_while(|c| *c == '#').count();
            let raw = before[..before.len() - hashes].ends_with('r');
            let (literal, next) = if raw {
                let end = format!("\"{}", "#".repeat(hashes));
                inside.split_once(&*end).unwrap_or_default()
            } else {
                quoted(inside)
            };
            if !before.trim_end().ends_with("reason =") {
                found.push(joined(literal));
            }
            next
        } else {
            after_character(from)
        };
    }
    found
}

/// A literal up to its quotation mark, and what follows that.
fn quoted(text: &str) -> (&str, &str) {
    let mut is_escaped = false;
    let end = text.find(|c| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    });
    let end = end.expect("the literal's end");
    (&text[..end], &text[end + 1..])
}

/// What follows a slash, a lifetime's mark, or a whole character literal.
fn after_character(text: &str) -> &str {
    let mut characters = text[1..].chars();
    if text.starts_with('\'') {
        let first = characters.next();
        let second = characters.next();
        if first == Some('\\') {
            let escaped = characters.as_str();
            return escaped.split_once('\'').map_or("", |(_, next)| next);
        }
        if second == Some('\'') {
            return characters.as_str();
        }
    }
    &text[1..]
}

/// Without the ends of lines that the compiler takes away.
fn joined(literal: &str) -> String {
    let mut parts = literal.split("\\\n");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.trim_start())
}

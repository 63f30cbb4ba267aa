//! Fills the templates of the recipes.
//!
//! `@{SYNTAX: WORDS}` stands for words in that syntax, so that a text is never put anywhere without
//! a decision on how to escape it. `@{sh>json: ...}` applies one syntax after the other. The words
//! are literal, except for those that [`Facts::value`] knows.

use std::path::Path;

use super::escape::{SYNTAXES, Syntax};
use super::{Facts, links, shown};
use crate::error::{Error, Result};
use crate::profile::ProfileName;
use crate::profile::binding::Binding;

/// The values for one of the profile's URLs.
pub(super) struct Url {
    /// Its number among those that the recipe lists, from 0.
    number: usize,
    binding: Binding,
}

impl Url {
    pub(super) fn all<'a>(bindings: impl Iterator<Item = &'a Binding>) -> Vec<Self> {
        let numbered = bindings.cloned().enumerate();
        numbered
            .map(|(number, binding)| Self { number, binding })
            .collect()
    }

    fn value(&self, word: &str) -> Option<Vec<String>> {
        let whole = self.binding.url.as_str();
        let base = whole.trim_end_matches('/');
        let (scheme, under) = base.split_once("://").unwrap_or_default();
        let origin = self.binding.url.origin();
        let (_, host) = origin.split_once("://").unwrap_or_default();
        // An address of IPv6 has colons of its own, in brackets.
        let after_address = host.rfind(']').map_or(0, |bracket| bracket + 1);
        let port = host[after_address..].find(':');
        let value = match word {
            "URL" => whole,
            // Without the last slash.
            "BASE" => base,
            // The same without the scheme.
            "UNDER" => under,
            "SCHEME" => scheme,
            // With the port, if the URL has one.
            "HOST" => host,
            "ADDRESS" if port.is_some() => host,
            "ADDRESS" if scheme == "http" => return Some(vec![format!("{host}:80")]),
            "ADDRESS" => return Some(vec![format!("{host}:443")]),
            "-plaintext=HTTP" if scheme == "http" => "-plaintext",
            "-plaintext=HTTP" => return Some(Vec::new()),
            "METRICS-PATH" if self.binding.url.prefix().is_empty() => "/metrics",
            "METRICS-PATH" => self.binding.url.prefix(),
            "HOSTNAME" => &host[..port.map_or(host.len(), |at| after_address + at)],
            "USER" => self.binding.username(),
            // git passes the path to a helper only with this setting.
            "USE-PATH" if self.binding.url.prefix().is_empty() => "",
            "USE-PATH" => "\tuseHttpPath = true\n",
            // git send-email asks for the port only if its settings have one.
            "SMTP-PORT" => {
                let line = port.map(|at| {
                    let number = &host[after_address + at + 1..];
                    format!("\tsmtpServerPort = {number}\n")
                });
                return Some(line.into_iter().collect());
            }
            "SMTP-ENCRYPTION" if host.ends_with(":465") => "ssl",
            "SMTP-ENCRYPTION" => "tls",
            _ => return None,
        };
        Some(vec![value.to_owned()])
    }
}

/// What a text is filled for, beside the profile.
#[derive(Clone, Copy, Default)]
pub(super) struct Context<'a> {
    /// One of the profile's URLs.
    pub(super) url: Option<&'a Url>,
    /// The items of the recipe's list.
    pub(super) items: &'a [String],
    /// The list as one text.
    pub(super) list: &'a str,
}

impl Facts {
    pub(super) fn fill(&self, text: &str, url: Option<&Url>) -> Result<String> {
        let context = Context {
            url,
            ..Context::default()
        };
        self.fill_in(text, context)
    }

    /// A text without `@{` is left as it is.
    pub(super) fn fill_in(&self, text: &str, context: Context<'_>) -> Result<String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("@{") {
            let (placeholder, after) = placeholder(after).ok_or_else(mistake)?;
            filled += before;
            filled += &self.escaped(placeholder, context)?;
            rest = after;
        }
        Ok(filled + rest)
    }

    fn escaped(&self, placeholder: &str, context: Context<'_>) -> Result<String> {
        let (syntaxes, words) = placeholder.split_once(": ").ok_or_else(mistake)?;
        let mut values = Vec::new();
        for word in words.split_whitespace() {
            values.extend(self.value(word, context)?);
        }
        let mut words = values;
        for name in syntaxes.split('>') {
            let known = SYNTAXES.iter().find(|(known, _)| *known == name);
            let syntax: Syntax = known.ok_or_else(mistake)?.1;
            let escaped = syntax(&words).map_err(|fault| self.cannot_write(&words, fault))?;
            words = vec![escaped];
        }
        Ok(words.concat())
    }

    fn cannot_write(&self, words: &[String], fault: &str) -> Error {
        let shown = words.first().map_or("", String::as_str);
        let error = Error::usage(format!("cannot write {shown} into these settings: {fault}"));
        let is_program =
            |word: &String| *word == self.program || Path::new(word).starts_with(&self.links);
        if !words.iter().any(is_program) {
            return error;
        }
        error.hint(
            "run hallpass through a link in a directory with a plain name, or choose one with --dir",
        )
    }

    /// The value of a word in a placeholder. The profile from the environment has no name, so words
    /// that would name it are left out.
    fn value(&self, word: &str, context: Context<'_>) -> Result<Vec<String>> {
        let profile = self.profile.as_ref().map(|name| name.as_str().to_owned());
        let option = || {
            profile
                .iter()
                .flat_map(|name| ["--profile".to_owned(), name.clone()])
        };
        // What `hallpass keep` takes.
        if let Some(file) = word.strip_prefix("PROFILE=") {
            let file = self.value(file, context)?.concat();
            return Ok(vec![match &profile {
                Some(name) => format!("{name}={file}"),
                None => file,
            }]);
        }
        let number = context.url.map_or(0, |url| url.number);
        if let Some(url) = context.url
            && let Some(values) = url.value(word)
        {
            return Ok(values);
        }
        Ok(match word {
            "hallpass" => vec![self.program.clone()],
            "PROFILE" => profile.into_iter().collect(),
            // For settings that are always for one profile.
            "--profile=PROFILE" => option().collect(),
            // For settings where hallpass can find the profile by the URL.
            "--profile=NAMED" if self.named => option().collect(),
            "--profile=NAMED" => Vec::new(),
            "LABEL" => vec![self.label(number)],
            "IDENTIFIER" => vec![self.identifier(number)],
            "LIST" => vec![context.list.to_owned()],
            // An option for each item.
            "-e=LIST" => {
                let option = |item: &String| ["-e".to_owned(), item.clone()];
                context.items.iter().flat_map(option).collect()
            }
            "TOKEN-VARIABLE" => vec![self.token_variable()],
            "PNPM-LINK" => vec![shown(&self.pnpm_link()?)?],
            "TOKEN-FILE" => vec![self.own_file("token")?],
            // A file that has the token and what is around it.
            "MANIFEST-FILE" => vec![self.own_file("json")?],
            "FOLDER" => vec![shown(&self.home()?.join("hallpass-tokens"))?],
            "FOLDER-FILE" => {
                let folder = self.home()?.join("hallpass-tokens");
                vec![shown(&folder.join(self.label(0)))?]
            }
            // The settings of the profile as variables: of this machine if it is not stored, or of a CI service.
            "UNSTORED-SETTINGS" if self.profile.is_some() => Vec::new(),
            "UNSTORED-SETTINGS" => self.variables.here()?,
            "GITHUB-SETTINGS" => self.variables.in_github()?,
            "GITHUB-PERMISSIONS" => vec![self.variables.github_permissions().to_owned()],
            "GITHUB-SECRET" => vec![self.variables.github_secret().to_owned()],
            "GITLAB-SETTINGS" => self.variables.in_gitlab()?,
            "GITLAB-ID-TOKENS" => vec![self.variables.gitlab_id_tokens()],
            _ => self.each_label(&self.part(word, number, context.list)?),
        })
    }

    /// A word with LABELS or IDENTIFIERS in it, once for each web URL that the profile is bound to.
    fn each_label(&self, word: &str) -> Vec<String> {
        if !word.contains("LABELS") && !word.contains("IDENTIFIERS") {
            return vec![word.to_owned()];
        }
        let web = self.bindings.iter().filter(|binding| binding.url.is_web());
        let filled = (0..web.count()).map(|number| {
            let word = word.replace("LABELS", &self.label(number));
            word.replace("IDENTIFIERS", &self.identifier(number))
        });
        filled.collect()
    }

    /// The label without a dash, for the name of a variable: a shell drops other names.
    fn identifier(&self, number: usize) -> String {
        self.label(number).replace('-', "_")
    }

    /// A file in the home directory that no other profile has.
    fn own_file(&self, extension: &str) -> Result<String> {
        let name = format!("hallpass-{}.{extension}", self.label(0));
        shown(&self.home()?.join(name))
    }

    /// A word of which a part is a value.
    fn part(&self, word: &str, number: usize, list: &str) -> Result<String> {
        let profile = self.profile.as_ref().map(ProfileName::as_str);
        if let Some((before, name)) = word.split_once("LINKS/") {
            let path = match name {
                links::KEYRING_DIRECTORY => links::keyring_directory(self),
                link => links::path(link, self),
            };
            return Ok(before.to_owned() + &shown(&path)?);
        }
        if let Some(name) = word.strip_prefix("HOME/") {
            return shown(&self.home()?.join(name));
        }
        let in_variables = self.identifier(number).to_ascii_uppercase();
        let word = word.replace("LABEL-IN-VARIABLES", &in_variables);
        // A form of the token follows the profile.
        let Some((variable, form)) = word.split_once("=PROFILE") else {
            return Ok(word);
        };
        let form = form.replace("LIST", list);
        let variable = match variable {
            "TOKEN-VARIABLE" => self.token_variable(),
            variable => variable.to_owned(),
        };
        Ok(match profile {
            None if form.is_empty() => variable,
            profile => format!("{variable}={}{form}", profile.unwrap_or_default()),
        })
    }

    /// An environment variable for the token of this profile. No two profiles have the same one, as a
    /// client may have servers of several profiles.
    fn token_variable(&self) -> String {
        let mut variable = "MCP_TOKEN".to_owned();
        if let Some(name) = &self.profile {
            variable.push('_');
            for c in name.as_str().chars() {
                match c {
                    '-' => variable.push('_'),
                    '_' => variable.push_str("__"),
                    '.' => variable.push_str("_DOT_"),
                    c => variable.push(c.to_ascii_uppercase()),
                }
            }
        }
        variable
    }

    /// A name for this profile in a tool's settings: letters, digits, `-` and `_`, beginning with a
    /// letter, as Cargo requires.
    fn label(&self, number: usize) -> String {
        let name = self
            .profile
            .as_ref()
            .map_or("hallpass", |name| name.as_str());
        let allowed = |c: char| {
            if c.is_ascii_alphanumeric() || "-_".contains(c) {
                c
            } else {
                '-'
            }
        };
        let mut label: String = name.chars().map(allowed).collect();
        if label.starts_with(|c: char| !c.is_ascii_alphabetic()) {
            label.insert_str(0, "hallpass-");
        }
        match number {
            0 => label,
            more => format!("{label}-{}", more + 1),
        }
    }
}

/// A placeholder up to its closing brace, and what follows. It can have pairs of braces in it, as the
/// templates of `hallpass token` have.
fn placeholder(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some((&text[..at], &text[at + 1..])),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// A recipe is wrong. A test fills every recipe, so this is never seen.
fn mistake() -> Error {
    Error::broken("a recipe of hallpass has a mistake")
}

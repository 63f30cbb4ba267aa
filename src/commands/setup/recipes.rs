//! What each tool needs in its settings: printed, or written as it is printed.

mod mcp_clients;
mod table;

use super::Facts;
use super::template::{Context, Url};
use crate::commands::proofs::bearer_only;
use crate::error::{Error, Result};
use crate::profile::binding::BoundUrl;

pub(super) use mcp_clients::MCP_CLIENTS;
pub(super) use table::GROUPS;

/// A tool and its settings. The texts are templates for [`Facts::fill`].
pub(super) struct Tool {
    pub(super) name: &'static str,
    /// The programs that have these settings.
    programs: &'static str,
    /// Programs on the PATH, or paths in the home directory, that show that this machine has the tool.
    pub(super) found_by: &'static [&'static str],
    /// The feature of the tool that fetches the token.
    feature: &'static str,
    /// The beginning, which names the file.
    head: &'static str,
    /// Once for each URL that the profile is bound to; nothing if the tool needs no URL.
    pub(super) each: &'static str,
    between: &'static str,
    tail: &'static str,
    /// What `LIST` stands for in the tail: a variable's value that has every URL, or a variable for each.
    list: List,
    /// The program name that the tool looks for on the PATH, a link to hallpass.
    pub(super) link: Option<&'static str>,
    asks_for: AsksFor,
    pub(super) write: Write,
    /// What is run after `--write`.
    check: Option<Check>,
}

/// Which of the profile's URLs a tool can ask for.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum AsksFor {
    Any,
    Web,
    /// A host without a path, so a binding to a path never matches.
    Hosts,
    /// The server of a mail program.
    Smtp,
}

impl AsksFor {
    fn fits(self, url: &BoundUrl) -> bool {
        match self {
            Self::Any => true,
            Self::Web => url.is_web(),
            Self::Hosts => url.is_web() && url.prefix().is_empty(),
            Self::Smtp => url.as_str().starts_with("smtp:"),
        }
    }
}

/// A run of the tool that shows whether it finds hallpass. The texts are filled for the first URL.
pub(super) struct Check<Text = &'static str> {
    /// A line for the platform's shell.
    pub(super) command: Text,
    /// Its standard input.
    pub(super) input: Text,
    /// Part of what it prints if it works.
    pub(super) shows: Text,
}

/// A list with an item for each URL.
pub(super) struct List {
    open: &'static str,
    each: &'static str,
    between: &'static str,
    close: &'static str,
}

/// How `--write` changes the settings.
pub(super) enum Write {
    /// hallpass only prints them.
    Never,
    /// `each`, at the end of a file that allows comments.
    Lines {
        file: SettingsFile,
        /// The beginnings of hallpass's lines, for a block without a record.
        known: &'static [&'static str],
    },
    /// A member of a JSON object, or of the object of this name in it, for each URL or once.
    Json {
        file: SettingsFile,
        object: Option<&'static str>,
        key: &'static str,
        value: &'static str,
    },
    /// With `go env -w`.
    Go(&'static str),
}

/// A tool's file of settings: the variables that name it or its directory, and its usual path.
pub(super) struct SettingsFile {
    pub(super) variables: &'static [&'static str],
    /// The file in the variable's directory; empty if the variable names the file itself.
    pub(super) below: &'static str,
    /// Empty if there is none but the next.
    pub(super) in_home: &'static str,
    /// Below the user's directory of settings (XDG): used if only this one is there.
    pub(super) in_config: Option<&'static str>,
    /// An empty variable means no file at all, rather than the usual one.
    pub(super) empty_is_none: bool,
}

/// Every tool.
pub(super) fn tools() -> impl Iterator<Item = &'static Tool> {
    GROUPS.iter().flat_map(|group| group.tools)
}

/// What else `hallpass setup` takes, and what it is for.
pub(super) const OTHERS: [(&str, &str); 3] = [
    (
        "all",
        "the tools that this machine has, and the command for each",
    ),
    (
        "links",
        "the names that tools look for, such as docker-credential-hallpass",
    ),
    (
        "mcp",
        "clients of an MCP server (setup mcp PROFILE --client CLIENT)",
    ),
];

/// Every tool, a line each below the title of its group; one that can be written is marked. The
/// README's table is the same list.
pub(super) fn list() -> String {
    let row = |name: &str, about: &str| format!("  {name:<20}{about}\n");
    let groups = GROUPS.iter().filter(|group| !group.tools.is_empty());
    let groups = groups.map(|group| {
        let rows = group.tools.iter().map(|tool| row(tool.name, &tool.about()));
        format!("{}\n{}\n", group.title, rows.collect::<String>())
    });
    let others = OTHERS.map(|(name, about)| row(name, about));
    groups.collect::<String>() + "Others\n" + &others.concat()
}

impl Tool {
    pub(super) fn about(&self) -> String {
        let marks = if self.can_write() { " [--write]" } else { "" };
        format!("{}: {}{marks}", self.programs, self.feature)
    }

    /// # Errors
    /// `Usage` if the tool sends requests itself, and the tokens are bound to a key.
    pub(super) fn check_bearer(&self, facts: &Facts) -> Result<()> {
        let texts = [self.head, self.each, self.tail];
        match &facts.bound_to_key {
            Some(name) if !texts.iter().any(|text| text.contains(": hallpass mcp ")) => {
                Err(bearer_only(name))
            }
            _ => Ok(()),
        }
    }

    /// The settings as they are printed.
    pub(super) fn text(&self, facts: &Facts) -> Result<String> {
        self.check_bearer(facts)?;
        let lines = self.lines(facts)?.join(self.between);
        let items = if self.list.each.is_empty() {
            Vec::new()
        } else {
            self.for_each(self.list.each, facts)?
        };
        let (open, close) = (facts.fill(self.list.open, None)?, self.list.close);
        let context = Context {
            items: &items,
            list: &[&open, &*items.join(self.list.between), close].concat(),
            ..Context::default()
        };
        Ok(facts.fill(self.head, None)? + &lines + &facts.fill_in(self.tail, context)?)
    }

    /// The settings for each URL; none if the tool needs no URL.
    pub(super) fn lines(&self, facts: &Facts) -> Result<Vec<String>> {
        if self.each.is_empty() {
            return Ok(Vec::new());
        }
        self.for_each(self.each, facts)
    }

    pub(super) fn can_write(&self) -> bool {
        !matches!(self.write, Write::Never)
    }

    pub(super) fn is_go(&self) -> bool {
        matches!(self.write, Write::Go(_))
    }

    /// The file that `--write` changes.
    pub(super) fn file(&self) -> Option<&SettingsFile> {
        match &self.write {
            Write::Never | Write::Go(_) => None,
            Write::Lines { file, .. } | Write::Json { file, .. } => Some(file),
        }
    }

    pub(super) fn check(&self, facts: &Facts) -> Result<Option<Check<String>>> {
        let Some(check) = &self.check else {
            return Ok(None);
        };
        let needs_url = !self.each.is_empty();
        let fill = |text| {
            if needs_url {
                return Ok(self.for_each(text, facts)?.swap_remove(0));
            }
            facts.fill(text, None)
        };
        Ok(Some(Check {
            command: fill(check.command)?,
            input: fill(check.input)?,
            shows: fill(check.shows)?,
        }))
    }

    /// A text for each URL that the tool could ask for, at least one, each text once.
    pub(super) fn for_each(&self, text: &str, facts: &Facts) -> Result<Vec<String>> {
        let bindings = facts.bindings.iter();
        let urls = Url::all(bindings.filter(|binding| self.asks_for.fits(&binding.url)));
        if urls.is_empty() {
            return Err(self.not_bound(facts));
        }
        let mut texts = Vec::new();
        for url in &urls {
            let text = facts.fill(text, Some(url))?;
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        Ok(texts)
    }

    /// The URLs with a path that the settings leave out, if the tool asks for hosts.
    pub(super) fn left_out(&self, facts: &Facts) -> Option<String> {
        if self.asks_for != AsksFor::Hosts || self.each.is_empty() {
            return None;
        }
        let urls = facts.bindings.iter().map(|binding| &binding.url);
        let urls = urls.filter(|url| url.is_web() && !AsksFor::Hosts.fits(url));
        let urls: Vec<_> = urls.map(BoundUrl::as_str).collect();
        (!urls.is_empty()).then(|| {
            format!(
                "left out {}: {} asks for a host without a path",
                urls.join(", "),
                self.name
            )
        })
    }

    fn not_bound(&self, facts: &Facts) -> Error {
        let url = match self.asks_for {
            AsksFor::Smtp => "smtp://HOST:587",
            _ => "https://HOST/",
        };
        let (profile, hint) = match &facts.profile {
            Some(name) => (
                format!("profile {name}"),
                format!("bind it first: hallpass bind {name} {url}"),
            ),
            None => (
                "the profile of the environment".to_owned(),
                format!("set HALLPASS_FOR={url}"),
            ),
        };
        let is_web = facts.bindings.iter().any(|binding| binding.url.is_web());
        let fault = match self.asks_for {
            AsksFor::Smtp => format!("{profile} is not bound to an smtp:// server"),
            _ if facts.bindings.is_empty() => format!("{profile} is not bound to any URL"),
            AsksFor::Hosts if is_web => format!(
                "{profile} is bound only to URLs with a path, but {} needs a whole host",
                self.name
            ),
            _ => format!("{profile} is bound only to mail servers"),
        };
        Error::not_found(fault).hint(hint)
    }
}

//! `hallpass config`: every value that applies, where it comes from, and what the policy fixes. Shows no
//! secret.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::status::{Origin, SettingOf, settings_of};
use crate::error::Result;
use crate::message;
use crate::platform::disk;
use crate::platform::variables;
use crate::policy::{self, Policy, SharePolicy};
use crate::profile::CacheMode;
use crate::profiles::{self, Profiles, cache_mode, from_environment, name_given};

/// What `--json` prints, as a JSON schema (draft 2020-12).
const SCHEMA: &str = include_str!("../../schema/hallpass-config.schema.json");

/// What a policy may have, as a JSON schema (draft 2020-12).
const POLICY_SCHEMA: &str = include_str!("../../schema/hallpass-policy.schema.json");

/// A later version may have more members, but these stay as they are.
const VERSION: u32 = 1;

/// The longest value that is shown, in characters.
const VALUE_LIMIT: usize = 2000;

/// The most bytes of a profile's file in which lines are counted.
const FILE_LIMIT: u64 = 256 * 1024;

/// Variables whose values are shown: no secret is in them.
const SHOWN_VARIABLES: &[&str] = &[
    "HALLPASS_AUDIT",
    "HALLPASS_CACHE",
    "HALLPASS_KEYCHAIN_TIMEOUT",
    "HALLPASS_LOG",
    "HALLPASS_PROFILE",
    "HALLPASS_SOCKET",
];

/// Show each setting that applies, where it comes from, and what the policy of this machine fixes
///
/// Shows no secret.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hallpass config                  # of the profile that `hallpass token` would use
  hallpass config prod --json")]
pub(crate) struct Args {
    /// Profile [default: the one that `hallpass token` would use]
    profile: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print the JSON schema of what `--json` prints
    #[arg(long, exclusive = true)]
    schema: bool,
    /// Print the JSON schema of the policy's file
    #[arg(long, exclusive = true)]
    policy_schema: bool,
}

/// A value, and where it comes from.
struct Applied {
    name: String,
    value: Value,
    source: String,
    /// In the file that `source` names.
    line: Option<usize>,
    is_fixed: bool,
}

/// The policy, and the text of its file, in which lines are counted.
struct PolicyInFile {
    rules: Arc<Policy>,
    text: String,
}

impl PolicyInFile {
    /// # Errors
    /// There is a policy that cannot be read or believed.
    fn current() -> Result<Self> {
        let rules = policy::current()?;
        let text = text_of(&policy::path());
        Ok(Self { rules, text })
    }

    /// A setting that the policy fixes, with the line of the first of these members that the file has.
    fn fixed(&self, name: &str, value: Value, members: &[&str]) -> Applied {
        let line = members
            .iter()
            .find_map(|member| line_of(&self.text, member));
        Applied {
            name: name.to_owned(),
            value,
            source: policy::path().display().to_string(),
            line,
            is_fixed: true,
        }
    }

    fn all_fixed(&self) -> Vec<Applied> {
        let requirements = self.rules.requirements().into_iter();
        let fixed = |(name, value): (&str, Value)| self.fixed(name, value, &[name]);
        requirements.map(fixed).collect()
    }
}

/// Prints the output itself, because an unusable policy or profile has output and is an error.
pub(crate) fn run(args: &Args, print: &dyn Fn(&str) -> Result<()>) -> Result<String> {
    if args.schema {
        return Ok(SCHEMA.to_owned());
    }
    if args.policy_schema {
        return Ok(POLICY_SCHEMA.to_owned());
    }
    let policy = PolicyInFile::current();
    let required = policy.as_ref().map(PolicyInFile::all_fixed);
    let required = required.unwrap_or_default();
    let variables = variable_lines();
    let profile = profile_lines(args.profile.as_deref(), policy.as_ref().ok());
    let error = policy.err();
    let (name, settings, error) = match profile {
        Ok(Some((name, settings))) => (Some(name), settings, error),
        Ok(None) => (None, Vec::new(), error),
        Err(unusable) => (None, Vec::new(), error.or(Some(unusable))),
    };
    let output = if args.json {
        let policy = json!({
            "file": policy::path(),
            "exists": disk::exists(&policy::path()).unwrap_or(true),
            "requirements": lines_json(&required),
        });
        let output = json!({
            "version": VERSION,
            "policy": policy,
            "variables": lines_json(&variables),
            "profile": name,
            "settings": lines_json(&settings),
        });
        format!("{output:#}\n")
    } else {
        let sections = [
            ("policy".to_owned(), &required),
            ("variables".to_owned(), &variables),
            (name.unwrap_or_default(), &settings),
        ];
        sections
            .iter()
            .map(|(title, lines)| section(title, lines))
            .collect()
    };
    print(&output)?;
    error.map_or(Ok(String::new()), Err)
}

fn section(title: &str, lines: &[Applied]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut text = format!("{title}\n");
    for line in lines {
        let value = match &line.value {
            Value::String(value) => value.clone(),
            value => value.to_string(),
        };
        let value = message::clean(&value, VALUE_LIMIT);
        let source = message::clean(&line.source, VALUE_LIMIT);
        let at = line.line.map_or(String::new(), |line| format!(":{line}"));
        let fixed = if line.is_fixed {
            ", fixed by policy"
        } else {
            ""
        };
        let line = format!("  {:<24} {value} ({source}{at}{fixed})\n", line.name);
        text.push_str(&line);
    }
    text
}

fn lines_json(lines: &[Applied]) -> Value {
    let line = |line: &Applied| {
        let mut members = Map::new();
        members.insert("value".to_owned(), line.value.clone());
        members.insert("source".to_owned(), line.source.clone().into());
        members.insert("line".to_owned(), line.line.into());
        members.insert("fixed_by_policy".to_owned(), line.is_fixed.into());
        (line.name.clone(), Value::Object(members))
    };
    Value::Object(lines.iter().map(line).collect())
}

/// The variables of hallpass that are set.
fn variable_lines() -> Vec<Applied> {
    let (known, _) = variables::set();
    let line = |name: String| {
        let is_shown = SHOWN_VARIABLES.contains(&name.as_str());
        let value = std::env::var(&name).ok().filter(|_| is_shown);
        Applied {
            source: "environment".to_owned(),
            value: value.map_or_else(|| "(set)".into(), Value::from),
            name,
            line: None,
            is_fixed: false,
        }
    };
    known.into_iter().map(line).collect()
}

/// The profile's name, and its settings; none if no profile is named and none would be used.
fn profile_lines(
    named: Option<&str>,
    policy: Option<&PolicyInFile>,
) -> Result<Option<(String, Vec<Applied>)>> {
    let profiles = Profiles::of(&profiles::directories()?);
    let is_chosen = named.is_some() || name_given(None)?.is_some() || from_environment()?.is_some();
    let selected = match profiles.find(named) {
        Err(_) if !is_chosen => return Ok(None),
        found => found?,
    };
    let wanted = cache_mode(&selected.profile).ok();
    let most = policy.and_then(|policy| Some((policy, policy.rules.max_ttl()?.as_secs())));
    let name = selected.name.to_string();
    let (file, settings) = settings_of(selected, &profiles);
    let text = file.as_deref().map(text_of).unwrap_or_default();
    let place = file.map(|file| file.display().to_string());
    let line = |SettingOf {
                    name,
                    value,
                    origin,
                }: SettingOf| {
        let is_over = |most: u64| value.as_u64().is_none_or(|own| own > most);
        let limit = most.filter(|(_, most)| name == "max_ttl_seconds" && is_over(*most));
        if let Some((policy, most)) = limit {
            return policy.fixed(&name, most.into(), &["max_ttl_seconds"]);
        }
        if let (Origin::Policy, Some(policy)) = (origin, policy) {
            return policy.fixed(&name, value, &[&name]);
        }
        let source = match (origin, &place) {
            (Origin::Default, _) => "built-in".to_owned(),
            (Origin::Variable(variable), _) => variable.to_owned(),
            (_, Some(place)) => place.clone(),
            (origin, None) => origin.to_string(),
        };
        let has_no_line = matches!(origin, Origin::Default | Origin::Variable(_));
        Applied {
            line: line_of(&text, &name).filter(|_| !has_no_line),
            name,
            value,
            source,
            is_fixed: false,
        }
    };
    let (caching, settings): (Vec<_>, Vec<_>) = settings
        .into_iter()
        .partition(|setting| setting.name == "cache");
    let mut lines: Vec<_> = settings.into_iter().map(line).collect();
    let caching = caching.into_iter().map(line).next();
    lines.extend(wanted.map(|mode| cache_line(mode, caching, policy)));
    lines.extend(policy.and_then(no_share_line));
    Ok(Some((name, lines)))
}

/// That the policy allows no shared cache.
fn no_share_line(policy: &PolicyInFile) -> Option<Applied> {
    if policy.rules.share()? != SharePolicy::NotAllowed {
        return None;
    }
    // `"cache": "none"` implies it.
    let members = ["share", "cache"];
    Some(policy.fixed("share", false.into(), &members))
}

/// How tokens are cached, and who decided it: the policy, the environment, the profile or nobody.
fn cache_line(
    mode: CacheMode,
    of_profile: Option<Applied>,
    policy: Option<&PolicyInFile>,
) -> Applied {
    let value = Value::from(mode.as_str());
    let is_required = |policy: &&PolicyInFile| policy.rules.required_cache_mode() == Some(mode);
    if let Some(policy) = policy.filter(is_required) {
        return policy.fixed("cache", value, &["cache"]);
    }
    let of_variable = std::env::var("HALLPASS_CACHE").is_ok_and(|value| !value.is_empty());
    let (source, line) = match of_profile {
        _ if of_variable => ("HALLPASS_CACHE".to_owned(), None),
        Some(Applied { source, line, .. }) => (source, line),
        None => ("built-in".to_owned(), None),
    };
    Applied {
        name: "cache".to_owned(),
        value,
        source,
        line,
        is_fixed: false,
    }
}

fn text_of(path: &Path) -> String {
    let content = disk::read_foreign(path, FILE_LIMIT).unwrap_or_default();
    String::from_utf8(content).unwrap_or_default()
}

/// The line of a member, in a file that has a line for each, or one for all.
fn line_of(text: &str, name: &str) -> Option<usize> {
    let start = format!("\"{name}\"");
    let is_member = |line: &str| {
        let line = line.trim_start_matches(['{', ',', ' ', '\t']);
        line.starts_with(&start)
    };
    let is_only_line = || (text.lines().count() == 1).then_some(0);
    let index = text.lines().position(is_member).or_else(is_only_line);
    index.map(|index| index + 1)
}

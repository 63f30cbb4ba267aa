//! git: the helpers of each URL, in the order in which git calls them.

use std::time::Duration;

use super::{Call, named_profile, not_set_up, report, set_up};
use crate::commands::doctor::Machine;
use crate::commands::doctor::report::Finding;
use crate::platform::program;
use crate::profile::ProfileName;
use crate::profile::binding::BoundUrl;

/// How long git may take to print its settings.
const LIMIT: Duration = Duration::from_secs(10);

/// A line `helper` of git's settings.
struct Helper {
    /// None for all URLs.
    url: Option<BoundUrl>,
    value: String,
}

impl Helper {
    /// The words of its command line.
    fn words(&self) -> Vec<String> {
        let line = self.value.strip_prefix('!').unwrap_or(&self.value);
        shlex::split(line).unwrap_or_default()
    }

    fn is_hallpass(&self) -> bool {
        self.words().iter().any(|word| word == "git-credential") && self.value.contains("hallpass")
    }

    /// Its program, if it has a plain name: the rest may have a password in it.
    fn name(&self) -> String {
        let first = self.words().into_iter().next().unwrap_or_default();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        if !first.is_empty() && first.chars().all(is_plain) {
            first
        } else {
            "a shell command".to_owned()
        }
    }
}

pub(in crate::commands::doctor) fn check(machine: &Machine) -> Vec<Finding> {
    let Ok(mut git) = program::command("git".as_ref()) else {
        return vec![Finding::skipped("it is not on the PATH")];
    };
    git.args(["config", "--list", "-z"]);
    for (_, profile) in machine.readable() {
        for variable in profile.secret_variables() {
            git.env_remove(variable);
        }
    }
    let settings = match program::output_within(&mut git, &[], LIMIT) {
        Ok(Some(settings)) => String::from_utf8_lossy(&settings).into_owned(),
        Ok(None) | Err(_) => return vec![Finding::skipped("it does not print its settings")],
    };
    let helpers = helpers(&settings);
    if !helpers.iter().any(Helper::is_hallpass) {
        return vec![not_set_up("git")];
    }
    let calls = calls(&helpers);
    let bound = machine.readable().flat_map(|(name, profile)| {
        let urls = profile.bindings.iter().map(|binding| &binding.url);
        urls.filter(|url| url.is_web()).map(move |url| (name, url))
    });
    let hidden = bound
        .filter_map(|(name, url)| hidden(machine, &helpers, name, url))
        .collect();
    report(machine, "git", &calls, hidden)
}

/// Where git calls hallpass: for the URLs of its settings.
fn calls(helpers: &[Helper]) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for url in helpers.iter().filter_map(|helper| helper.url.as_ref()) {
        let at = url.as_str().to_owned();
        let mut called = called(helpers, url).into_iter();
        let Some(helper) = called.find(|helper| helper.is_hallpass()) else {
            continue;
        };
        let words = helper.words();
        if calls.iter().all(|call| call.at != at) {
            calls.push(Call {
                at,
                urls: vec![url.as_url().clone()],
                profile: named_profile(&words),
                program: words.first().cloned().unwrap_or_default(),
            });
        }
    }
    calls
}

/// Another helper that git calls first, which may give another password or store the token.
fn hidden(
    machine: &Machine,
    helpers: &[Helper],
    name: &ProfileName,
    url: &BoundUrl,
) -> Option<Finding> {
    let called = called(helpers, url);
    let own = called.iter().position(|helper| helper.is_hallpass())?;
    let first = called[..own].first()?;
    let what = format!(
        "git calls {} before hallpass for {}",
        first.name(),
        url.as_str()
    );
    Some(Finding::failed(what).fix(set_up(machine, "git --write", Some(name))))
}

/// The helpers that git calls for a URL: an empty line removes those before it, and a line for a shorter
/// URL has no effect after one for a longer URL.
fn called<'a>(helpers: &'a [Helper], url: &BoundUrl) -> Vec<&'a Helper> {
    let mut called = Vec::new();
    let mut longest = 0;
    for helper in helpers {
        let length = match &helper.url {
            None => 0,
            Some(pattern) if pattern.covers(url.as_url()) => pattern.as_str().len(),
            Some(_) => continue,
        };
        if length < longest {
            continue;
        }
        longest = length;
        if helper.value.is_empty() {
            called.clear();
        } else {
            called.push(helper);
        }
    }
    called
}

/// The helpers in `git config --list -z`: a key, a line end and the value of each setting.
fn helpers(settings: &str) -> Vec<Helper> {
    let settings = settings.split('\0');
    let settings = settings.filter_map(|setting| setting.split_once('\n'));
    let helper = |(key, value): (&str, &str)| {
        let key = key.strip_prefix("credential.")?;
        let url = match key.strip_suffix(".helper") {
            Some(pattern) => Some(BoundUrl::parse(pattern).ok()?),
            None if key == "helper" => None,
            None => return None,
        };
        let value = value.to_owned();
        Some(Helper { url, value })
    };
    settings.filter_map(helper).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called_for(settings: &[(&str, &str)], url: &str) -> Vec<String> {
        let text = settings
            .iter()
            .map(|(key, value)| format!("{key}\n{value}\0"));
        let helpers = helpers(&text.collect::<String>());
        let url = BoundUrl::parse(url).expect("a URL");
        let called = called(&helpers, &url).into_iter();
        called.map(|helper| helper.value.clone()).collect()
    }

    #[test]
    fn helpers_are_called_in_gits_order() {
        let settings = [
            ("user.name", "x"),
            ("credential.helper", "store"),
            ("credential.https://a.example.helper", ""),
            (
                "credential.https://a.example.helper",
                "/bin/hallpass git-credential",
            ),
            (
                "credential.https://a.example/team.helper",
                "!f() { echo password=x; }; f",
            ),
            ("credential.helper", "cache"),
            ("credential.*.helper", "wild"),
            ("credential.usehttppath", "true"),
        ];
        for (url, expected) in [
            ("https://b.example/", &["store", "cache"][..]),
            ("https://a.example/", &["/bin/hallpass git-credential"]),
            (
                "https://a.example/team/x",
                &[
                    "/bin/hallpass git-credential",
                    "!f() { echo password=x; }; f",
                ],
            ),
        ] {
            assert_eq!(called_for(&settings, url), expected, "{url}");
        }
    }

    #[test]
    fn a_shell_command_is_not_shown() {
        let name = |value: &str| {
            let value = value.to_owned();
            Helper { url: None, value }.name()
        };
        assert_eq!(name("store --file x"), "store");
        assert_eq!(name("!f() { echo password=x; }; f"), "a shell command");
        assert_eq!(name("!'a b' c"), "a shell command");
    }
}

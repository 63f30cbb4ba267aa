//! Which profile is bound to a URL.

use super::{Profiles, from_environment, list};
use crate::error::{Error, Kind, Result};
use crate::message;
use crate::profile::binding::{Binding, BoundUrl};
use crate::profile::selected::{SelectedProfile, longest};
use crate::profile::{Profile, ProfileName};
use crate::types::shell;
use crate::types::web_url::WebUrl;

/// The profile that is bound to a URL.
pub(crate) enum Bound {
    By(Box<SelectedProfile>),
    /// None, but some profile is bound to another path of that server.
    Elsewhere,
    ByNobody,
}

impl Profiles {
    /// The profile that is bound to this URL: the one that the environment describes, else the one
    /// with the longest path. If a profile is named, only that one, and only if it is bound to the URL.
    ///
    /// # Errors
    /// `Usage` when two profiles are bound alike, and what [`Profiles::load`] says.
    pub(crate) fn bound_to(&self, url: &WebUrl, named: Option<&ProfileName>) -> Result<Bound> {
        self.bound_to_with(url, named, |name| self.load(name))
    }

    /// The same with a function that loads a profile, for a caller that has loaded some already.
    pub(crate) fn bound_to_with(
        &self,
        url: &WebUrl,
        named: Option<&ProfileName>,
        load: impl Fn(&ProfileName) -> Result<Profile>,
    ) -> Result<Bound> {
        if let Some(name) = named {
            let profile = load(name)?;
            let elsewhere = unbound(profile.bindings.iter().map(|binding| &binding.url), url);
            let covers = |binding: &Binding| binding.url.covers(url);
            let found = answering(name.clone(), profile, url, covers);
            return Ok(found.map_or(elsewhere, |found| Bound::By(Box::new(found))));
        }
        if let Some(found) = from_environment()?
            && let Some(found) = answering(found.name, found.profile, url, |binding| {
                binding.url.covers(url)
            })
        {
            return Ok(Bound::By(Box::new(found)));
        }
        let mut entries = if self.has_own {
            self.entries(url.origin())?
        } else {
            Vec::new()
        };
        let elsewhere = unbound(entries.iter().map(|entry| &entry.url), url);
        entries.retain(|entry| entry.url.covers(url));
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.url.prefix().len()));
        for alike in entries.chunk_by(|one, other| one.url.prefix() == other.url.prefix()) {
            let mut found = Vec::new();
            for entry in alike {
                let Ok(name) = ProfileName::parse(&entry.profile) else {
                    continue;
                };
                match load(&name) {
                    Ok(profile) => {
                        let is_it = |binding: &Binding| binding.url == entry.url;
                        found.extend(answering(name, profile, url, is_it));
                    }
                    Err(error) if error.kind == Kind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            if let [one, other] = &found[..] {
                if self.is_renamed(&one.name, &other.name) {
                    found.swap_remove(0);
                } else if self.is_renamed(&other.name, &one.name) {
                    found.truncate(1);
                }
            }
            if found.len() > 1 {
                let all: Vec<_> = found.into_iter().map(|found| found.name).collect();
                return Err(
                    Error::usage(format!("several profiles are bound to this URL: {}", list(&all)))
                        .hint("choose one with --profile NAME, or unbind the others: hallpass unbind NAME URL"),
                );
            }
            if let Some(found) = found.pop() {
                return Ok(Bound::By(Box::new(found)));
            }
        }
        let managed = self.managed_bound_to(url)?;
        Ok(managed.map_or(elsewhere, |managed| Bound::By(Box::new(managed))))
    }

    /// Refuses a URL that another profile is bound to already: the choice would be ambiguous.
    /// What the profile was bound to `before` is not checked.
    ///
    /// # Errors
    /// `Usage`, with the command that takes the URL from the other profile.
    pub(crate) fn check_bindings(
        &self,
        name: &ProfileName,
        before: &[Binding],
        now: &[Binding],
    ) -> Result<()> {
        let is_new = |binding: &&Binding| before.iter().all(|old| old.url != binding.url);
        for Binding { url, .. } in now.iter().filter(is_new) {
            let entries = self.read_or_rebuild(&self.origin_file(url.origin()))?;
            for entry in entries {
                let is_alike = entry.url.prefix() == url.prefix();
                if !is_alike || entry.profile == name.as_str() {
                    continue;
                }
                let Ok(other) = ProfileName::parse(&entry.profile) else {
                    continue;
                };
                let is_bound = match self.load(&other) {
                    Ok(profile) => profile.bindings.iter().any(|old| old.url == entry.url),
                    Err(error) if error.kind == Kind::NotFound => false,
                    Err(error) => return Err(error),
                };
                if is_bound && !self.is_renamed(&other, name) {
                    let (bound, url) = (entry.url.as_str(), url.as_str());
                    return Err(
                        Error::usage(format!("profile {other} is already bound to {url}")).hint(
                            format!("to move it: hallpass unbind {other} {}", shell::word(bound)),
                        ),
                    );
                }
            }
        }
        Ok(())
    }
}

/// Why no profile is bound to the URL, by the lists. A listed URL that covers it is out of date.
fn unbound<'a>(mut bound: impl Iterator<Item = &'a BoundUrl>, url: &WebUrl) -> Bound {
    if bound.any(|bound| bound.origin() == url.origin() && !bound.covers(url)) {
        Bound::Elsewhere
    } else {
        Bound::ByNobody
    }
}

fn answering(
    name: ProfileName,
    profile: Profile,
    url: &WebUrl,
    is_it: impl Fn(&Binding) -> bool,
) -> Option<SelectedProfile> {
    let binding = longest(&profile, is_it)?.clone();
    message::step(|| format!("profile: {name}, bound to {}", binding.url.as_str()));
    Some(SelectedProfile {
        name,
        profile,
        binding: Some(binding),
        url: Some(url.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_path_of_the_server_is_bound_unless_the_list_is_out_of_date() {
        let url = WebUrl::parse("https://a.example/one").expect("a URL");
        for (bound, is_elsewhere) in [
            (&["https://a.example/two"][..], true),
            (&["https://b.example/two"], false),
            (&["https://a.example/one"], false),
            (&["https://a.example"], false),
            (&["https://a.example/one", "https://a.example/two"], true),
            (&[], false),
        ] {
            let urls = bound.iter().map(|url| BoundUrl::parse(url));
            let urls: Vec<_> = urls.map(|url| url.expect("a URL to bind")).collect();
            let found = unbound(urls.iter(), &url);
            assert_eq!(matches!(found, Bound::Elsewhere), is_elsewhere, "{bound:?}");
        }
    }
}

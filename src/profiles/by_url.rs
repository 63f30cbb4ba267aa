//! Which profile answers for a URL: an index beside the profiles, so that nobody reads them all.
//!
//! `urls/HASH` lists the bindings of one origin. It may list too many, as it is written before a
//! profile gains a binding and after it loses one; the profile itself has the last word.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Editor, PROFILE_LIMIT, Profiles, cannot_remove, cannot_write, from_environment, list};
use crate::error::{Error, Kind, Result};
use crate::platform::Trust;
use crate::platform::disk::{self, Durability, Found};
use crate::profile::binding::{Binding, BoundUrl};
use crate::profile::selected::{SelectedProfile, longest};
use crate::profile::{Profile, ProfileName};
use crate::types::digest::Digest;
use crate::types::web_url::WebUrl;

/// Who answers for a URL.
pub(crate) enum Bound {
    By(Box<SelectedProfile>),
    /// Nobody, though some profile may be bound to another path of that server.
    Elsewhere,
    ByNobody,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    url: BoundUrl,
    profile: String,
}

impl Profiles {
    /// The profile that is bound to this URL: the one that the environment describes, else the one
    /// with the longest path; one profile alone, if it is named: a name selects, and authorises nothing.
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
        let mut entries = self.entries(url.origin())?;
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
        Ok(elsewhere)
    }

    fn origin_file(&self, origin: &str) -> PathBuf {
        let name = Digest::of("hallpass origin 1").field(origin).hex();
        self.urls().join(name)
    }

    pub(super) fn urls(&self) -> PathBuf {
        self.directory.join("urls")
    }

    fn entries(&self, origin: &str) -> Result<Vec<Entry>> {
        read_list(&self.origin_file(origin))
    }

    /// The entries of a list, made again from the profiles where the list is damaged.
    ///
    /// # Errors
    /// Where it cannot be read, or is damaged and a profile cannot be read either.
    fn read_or_rebuild(&self, path: &Path) -> Result<Vec<Entry>> {
        match read_list(path) {
            Err(error) if error.kind == Kind::Usage => self.rebuilt(path).map_err(|profile| {
                let what = "the list was not rebuilt, because a profile cannot be read";
                error.hint(format!("{what} ({profile})"))
            }),
            entries => entries,
        }
    }

    /// What a list should hold: the profiles have the last word.
    fn rebuilt(&self, path: &Path) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for name in self.names()? {
            let bindings = match self.load(&name) {
                Ok(profile) => profile.bindings,
                Err(error) if error.kind == Kind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let here = bindings
                .into_iter()
                .filter(|binding| self.origin_file(binding.url.origin()) == path);
            entries.extend(here.map(|binding| Entry {
                url: binding.url,
                profile: name.to_string(),
            }));
        }
        Ok(entries)
    }

    /// Whether there may be a profile of this name.
    fn may_exist(&self, name: &str) -> bool {
        ProfileName::parse(name).is_ok_and(|name| self.exists(&name))
    }

    /// Refuses a URL that another profile is bound to already: nobody could say which one is meant.
    /// What the profile was bound to `before` is left alone.
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
                if is_bound {
                    let (bound, url) = (entry.url.as_str(), url.as_str());
                    return Err(
                        Error::usage(format!("profile {other} is already bound to {url}"))
                            .hint(format!("to move it: hallpass unbind {other} {bound}")),
                    );
                }
            }
        }
        Ok(())
    }
}

fn read_list(path: &Path) -> Result<Vec<Entry>> {
    let unusable = |reason: &str| {
        Error::usage(format!("the list of URLs {} {reason}", path.display()))
            .hint("run `hallpass bind PROFILE URL` again to rebuild it")
    };
    match disk::read(path, PROFILE_LIMIT, Trust::Settings) {
        Ok(Found::Nothing) => Ok(Vec::new()),
        Ok(Found::Content(content)) => {
            let content = std::str::from_utf8(&content).unwrap_or_default();
            serde_json::from_str(content).map_err(|error| unusable("is damaged").because(error))
        }
        Ok(Found::Distrusted(reason)) => Err(unusable(reason)),
        Err(error) => Err(Error::broken(format!("cannot read {}", path.display())).because(error)),
    }
}

/// What to say where nobody answers for the URL. One of these that covers it no longer counts.
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
    Some(SelectedProfile {
        name,
        profile,
        binding: Some(binding),
        url: Some(url.clone()),
    })
}

impl Editor<'_> {
    /// Lists what a profile is about to be bound to.
    pub(super) fn list_urls(&self, name: &ProfileName, bindings: &[Binding]) -> Result<()> {
        self.change_urls(name, bindings, bindings, false)
    }

    /// Removes from the lists what a profile is no longer bound to.
    pub(super) fn unlist_urls(
        &self,
        name: &ProfileName,
        before: &[Binding],
        now: &[Binding],
    ) -> Result<()> {
        self.change_urls(name, before, now, true)
    }

    fn change_urls(
        &self,
        name: &ProfileName,
        touched: &[Binding],
        now: &[Binding],
        forget_others: bool,
    ) -> Result<()> {
        let origins: BTreeSet<_> = touched.iter().map(|binding| binding.url.origin()).collect();
        for origin in origins {
            let path = self.profiles.origin_file(origin);
            let before = self.profiles.read_or_rebuild(&path)?;
            let mut entries = before.clone();
            entries.retain(|entry| entry.profile != name.as_str() || !forget_others);
            for binding in now.iter().filter(|binding| binding.url.origin() == origin) {
                let entry = Entry {
                    url: binding.url.clone(),
                    profile: name.to_string(),
                };
                if !entries.contains(&entry) {
                    entries.push(entry);
                }
            }
            if entries != before {
                self.write_list(&path, &entries)?;
            }
        }
        Ok(())
    }

    fn write_list(&self, path: &Path, entries: &[Entry]) -> Result<()> {
        if entries.is_empty() {
            disk::remove_settings(path).map_err(cannot_remove)?;
            return disk::remove_empty_directory(&self.profiles.urls()).map_err(cannot_remove);
        }
        let content = serde_json::to_vec(entries).map_err(cannot_write)?;
        if content.len() as u64 > PROFILE_LIMIT {
            // Nobody would read it.
            return Err(Error::usage("too many profiles are bound to this server")
                .hint("unbind some of them: hallpass unbind PROFILE URL"));
        }
        disk::replace(path, &content, Durability::Settings).map_err(cannot_write)
    }

    /// Removes a profile that is gone from the lists of what it was bound to.
    pub(crate) fn unlist(&self, name: &ProfileName, bindings: &[Binding]) -> Result<()> {
        self.unlist_urls(name, bindings, &[])
    }

    /// Removes the profiles that are gone from every list. A list that is damaged is made again from
    /// the profiles, where all of them can be read.
    ///
    /// # Errors
    /// The first list that cannot be read, which is left as it is; the others are done.
    pub(crate) fn unlist_gone(&self) -> Result<()> {
        let directory = self.profiles.urls();
        let mut result = Ok(());
        for file in disk::names(&directory).map_err(cannot_remove)? {
            let path = directory.join(&file);
            // Nothing but our own files is touched.
            if file.len() != 64 || !file.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                continue;
            }
            let entries = self.profiles.read_or_rebuild(&path);
            let cleaned = entries.and_then(|mut entries| {
                entries.retain(|entry| self.profiles.may_exist(&entry.profile));
                self.write_list(&path, &entries)
            });
            result = result.and(cleaned);
        }
        result.and(disk::remove_empty_directory(&directory).map_err(cannot_remove))
    }
}

//! Which profile answers for a URL: an index beside the profiles, so that nobody reads them all.
//!
//! `urls/HASH` lists the bindings of one origin. It may list too many, as it is written before a
//! profile gains a binding and after it loses one; the profile itself has the last word.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Editor, PROFILE_LIMIT, Profiles, cannot_remove, cannot_write, from_environment, list};
use crate::binding::{Binding, BoundUrl};
use crate::digest::Digest;
use crate::disk::{self, Durability, Found};
use crate::error::{Error, Kind, Result};
use crate::profile::{Profile, ProfileName};
use crate::system::Trust;
use crate::web_url::WebUrl;

/// A profile that was selected, and by which binding: none where the client names no URL.
#[derive(Clone, Debug)]
pub(crate) struct Answering {
    pub(crate) name: ProfileName,
    pub(crate) profile: Profile,
    pub(crate) binding: Option<Binding>,
    /// What the token is for, where the client names a URL: the binding covers it.
    pub(crate) url: Option<WebUrl>,
}

impl Answering {
    /// Goes on with the profile as it is now.
    ///
    /// # Errors
    /// `NotFound` when that one is not bound to the URL: the token of another login, or after an
    /// `unbind`, is not for it.
    pub(crate) fn update(&mut self, profile: Profile) -> Result<()> {
        if let Some(url) = &self.url {
            let Some(binding) = longest(&profile, |binding| binding.url.covers(url)) else {
                let name = &self.name;
                let what = format!("the profile `{name}` is no longer bound to this URL");
                let hint = format!("if it may have the token: hallpass bind {name} URL");
                return Err(Error::not_found(what).hint(hint));
            };
            self.binding = Some(binding.clone());
        }
        self.profile = profile;
        Ok(())
    }
}

/// Who answers for a URL.
pub(crate) enum Bound {
    By(Box<Answering>),
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
        if let Some(name) = named {
            let profile = self.load(name)?;
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
                match self.load(&name) {
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
                        .hint("say which one with --profile NAME, or unbind the others: hallpass unbind NAME URL"),
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
        let path = self.origin_file(origin);
        let unusable = |reason: &str| {
            Error::usage(format!("the list of URLs {} {reason}", path.display()))
                .hint("remove it, then run `hallpass bind` for the profiles that need it")
        };
        match disk::read(&path, PROFILE_LIMIT, Trust::Settings) {
            Ok(Found::Nothing) => Ok(Vec::new()),
            Ok(Found::Content(content)) => serde_json::from_slice(&content)
                .map_err(|error| unusable("is damaged").because(error)),
            Ok(Found::Distrusted(reason)) => Err(unusable(reason)),
            Err(error) => {
                Err(Error::broken(format!("cannot read {}", path.display())).because(error))
            }
        }
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
) -> Option<Answering> {
    let binding = longest(&profile, is_it)?.clone();
    Some(Answering {
        name,
        profile,
        binding: Some(binding),
        url: Some(url.clone()),
    })
}

/// Of the bindings that fit, the one with the longest path.
fn longest(profile: &Profile, fits: impl Fn(&Binding) -> bool) -> Option<&Binding> {
    let fitting = profile.bindings.iter().filter(|binding| fits(binding));
    fitting.max_by_key(|binding| binding.url.prefix().len())
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
            let before = self.profiles.entries(origin)?;
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
            if entries == before {
                continue;
            }
            self.write_entries(origin, &entries)?;
        }
        Ok(())
    }

    fn write_entries(&self, origin: &str, entries: &[Entry]) -> Result<()> {
        let path = self.profiles.origin_file(origin);
        if entries.is_empty() {
            disk::remove(&path).map_err(cannot_remove)?;
            return disk::remove_empty_directory(&self.profiles.urls()).map_err(cannot_remove);
        }
        let content = serde_json::to_vec(entries).map_err(cannot_write)?;
        if content.len() as u64 > PROFILE_LIMIT {
            // Nobody would read it.
            return Err(Error::usage("too many profiles are bound to this server")
                .hint("unbind some of them: hallpass unbind PROFILE URL"));
        }
        disk::replace(&path, &content, Durability::Settings).map_err(cannot_write)
    }

    /// Removes a profile from every list: where it is not known which ones it is in.
    pub(super) fn unlist_everywhere(&self, name: &ProfileName) -> Result<()> {
        let directory = self.profiles.urls();
        for file in disk::names(&directory).map_err(cannot_remove)? {
            let path = directory.join(file);
            let Ok(Found::Content(content)) = disk::read(&path, PROFILE_LIMIT, Trust::Settings)
            else {
                continue;
            };
            let entries: Vec<Entry> = serde_json::from_slice(&content).unwrap_or_default();
            let Some(origin) = entries.first().map(|entry| entry.url.origin().to_owned()) else {
                disk::remove(&path).map_err(cannot_remove)?;
                continue;
            };
            let others: Vec<_> = entries
                .into_iter()
                .filter(|entry| entry.profile != name.as_str())
                .collect();
            self.write_entries(&origin, &others)?;
        }
        disk::remove_empty_directory(&directory).map_err(cannot_remove)
    }
}

//! A server that had a problem is not used for a while. A file in the cache directory tells other
//! processes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::problem::Problem;
use crate::message::{FOREIGN_TEXT_LIMIT, clean};
use crate::platform::Trust;
use crate::platform::disk::{self, Durability, Found};
use crate::profile::share::ShareUrl;
use crate::types::digest::Digest;
use crate::types::token::Timestamp;

/// How long.
const REST: Duration = Duration::from_secs(30);

const LIMIT: u64 = 4096;

/// The record of one server's last problem.
pub(crate) struct Rest {
    path: PathBuf,
    directory: PathBuf,
    last: Option<(Timestamp, String)>,
}

impl Rest {
    pub(crate) fn of(directory: &Path, url: &ShareUrl) -> Self {
        let mut name = Digest::of("hallpass share 1").field(url.as_str()).hex();
        name.truncate(16);
        let path = directory.join(format!(".share-{name}"));
        let last = match disk::read(&path, LIMIT, Trust::Private) {
            Ok(Found::Content(content)) => parse(&content),
            _ => None,
        };
        Self {
            path,
            directory: directory.to_owned(),
            last,
        }
    }

    /// For how long the server is not used, and why. A record from the future does not count, because the
    /// clock was set back.
    pub(crate) fn remaining(&self) -> Option<(Duration, &str)> {
        let (since, reason) = self.last.as_ref()?;
        let now = Timestamp::now();
        let end = since.plus(REST);
        (*since <= now && now < end).then(|| (end.since(now), reason.as_str()))
    }

    /// The last problem, if the server has not worked since, and how long ago it was.
    pub(crate) fn last(&self) -> Option<(Duration, &str)> {
        let (since, reason) = self.last.as_ref()?;
        Some((Timestamp::now().since(*since), reason))
    }

    /// Before the server is tried again: other processes do not use it until it is known whether it works.
    pub(super) fn begin(&mut self) {
        if let Some((_, reason)) = self.last.take() {
            self.write(&reason);
        }
    }

    /// The server works.
    pub(super) fn end(&mut self) {
        if self.last.take().is_some() {
            let _ = disk::remove(&self.path);
        }
    }

    pub(super) fn record(&mut self, problem: &Problem) {
        self.write(&problem.to_string());
    }

    /// If it cannot be written, the next call tries the server again.
    fn write(&mut self, reason: &str) {
        let now = Timestamp::now();
        let content = format!("{}\n{reason}", now.0);
        let written = disk::private_directory(&self.directory)
            .and_then(|()| disk::replace(&self.path, content.as_bytes(), Durability::Cache));
        let _ = written;
        self.last = Some((now, reason.to_owned()));
    }
}

fn parse(content: &[u8]) -> Option<(Timestamp, String)> {
    let text = std::str::from_utf8(content).ok()?;
    let (since, reason) = text.split_once('\n')?;
    let since = Timestamp(since.parse().ok()?);
    Some((since, clean(reason, FOREIGN_TEXT_LIMIT)))
}

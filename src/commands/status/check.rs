//! `--check`: a token request for each profile, which leaves the cache as it is.

use super::{Row, Usable};
use crate::commands::obtain::{request_uncached, warn_of_response};
use crate::error::{Error, Result};
use crate::message;
use crate::platform::disk::Directories;
use crate::profiles::Profiles;

impl Usable {
    pub(super) fn check(&mut self, directories: &Directories, profiles: &Profiles) {
        let checked = request_uncached(directories, profiles, &self.selected, None);
        if let Ok(checked) = &checked {
            warn_of_response(&checked.request, &checked.token);
        }
        self.check = Some(checked);
    }
}

/// Says why profiles failed, if they are several.
pub(super) fn explain(rows: &[Row]) {
    for row in rows.iter().filter(|_| rows.len() > 1) {
        let Row::Usable(row) = row else {
            continue;
        };
        if let Some(Ok(checked)) = &row.check
            && checked.is_of_previous_secret
        {
            message::warning(&format!(
                "profile {}: the server does not accept the new secret yet, only the previous one",
                row.name()
            ));
        }
        if let Some(Err(error)) = &row.check {
            message::warning(&format!("profile {}: {error}", row.name()));
            error.hints.iter().for_each(|hint| message::hint(hint));
        }
    }
}

/// The error of the only profile, or one for all that failed.
pub(super) fn result(rows: Vec<Row>) -> Result<()> {
    let count = rows.len();
    let mut failed: Vec<_> = rows.into_iter().filter_map(failure).collect();
    if count == 1 {
        return failed.pop().map_or(Ok(()), Err);
    }
    let Some(first) = failed.first() else {
        return Ok(());
    };
    let kind = first.kind;
    let what = format!("the check failed for {} of {count} profiles", failed.len());
    Err(Error::new(kind, what))
}

fn failure(row: Row) -> Option<Error> {
    match row {
        Row::Unusable(_, error) => Some(error),
        Row::Usable(row) => row.check?.err(),
    }
}

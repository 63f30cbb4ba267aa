//! The table of all profiles: one line each.

use super::text::secret_kind;
use super::{Row, Usable};
use crate::commands::columns::Columns;
use crate::commands::expiry::SOON;
use crate::message;
use crate::platform;
use crate::platform::disk::Directories;
use crate::profile::Profile;
use crate::types::date::Date;
use crate::types::duration;
use crate::types::token::Timestamp;

const TITLES: [&str; 5] = ["NAME", "CLIENT", "SERVER", "SECRET", "TOKEN"];

/// The last title, if the server was asked.
const CHECK: &str = "CHECK";

/// What a cell without a value shows.
const NOTHING: &str = "-";

/// The table, as wide as the terminal. Explains on standard error which profiles cannot be used, and why.
pub(super) fn table(rows: &[Row], directories: &Directories) -> String {
    if rows.is_empty() {
        message::note("no profiles yet");
        message::hint("run `hallpass login` to create one");
        return String::new();
    }
    let is_checked = |row: &Row| matches!(row, Row::Usable(row) if row.check.is_some());
    let mut titles = TITLES;
    let is_check = rows.iter().any(is_checked);
    if is_check {
        titles[TITLES.len() - 1] = CHECK;
    }
    let columns = Columns {
        titles,
        rows: rows
            .iter()
            .map(|row| row.cells(directories, is_check))
            .collect(),
        can_be_cut: [false, true, true, true, false],
    };
    for row in rows {
        if let Row::Unusable(name, error) = row {
            message::warning(&format!("profile {name} is unusable: {error}"));
            error.hints.iter().for_each(|hint| message::hint(hint));
        }
    }
    columns.text(platform::screen())
}

impl Row {
    fn cells(&self, directories: &Directories, is_check: bool) -> [String; TITLES.len()] {
        match self {
            Self::Usable(row) => row.cells(directories),
            Self::Unusable(name, _) => {
                let last = if is_check { "failed" } else { NOTHING };
                [name.as_str(), "unusable", NOTHING, NOTHING, last].map(str::to_owned)
            }
        }
    }
}

impl Usable {
    fn cells(&self, directories: &Directories) -> [String; TITLES.len()] {
        let profile = self.profile();
        let client = profile.client_id.as_ref();
        let client = client.map_or(NOTHING.to_owned(), ToString::to_string);
        let origin = profile.token_endpoint.origin();
        let server = origin.split_once("://").map_or(origin, |(_, host)| host);
        let token = self.own_token(directories).map(|token| {
            let left = token.expires_at.since(Timestamp::now());
            format!("{} left", duration::in_short(left))
        });
        let mark = if self.is_default { " (default)" } else { "" };
        [
            [self.name(), mark].concat(),
            message::clean(&client, message::FOREIGN_TEXT_LIMIT),
            server.to_owned(),
            secret(profile),
            match &self.check {
                None => token.unwrap_or_else(|| "none".to_owned()),
                Some(Ok(checked)) if checked.is_of_previous_secret => {
                    "ok, previous secret".to_owned()
                }
                Some(Ok(_)) => "ok".to_owned(),
                Some(Err(_)) => "failed".to_owned(),
            },
        ]
    }
}

/// Where the secret is, how long it lasts if that is not long, and whether another one is kept.
fn secret(profile: &Profile) -> String {
    let kind = match profile.previous_secret() {
        None => secret_kind(profile).to_owned(),
        Some(_) => format!("{}, 2 secrets", secret_kind(profile)),
    };
    match profile.secret_expires.map(Date::days_left) {
        Some(..=0) => format!("{kind}, expired"),
        Some(days @ ..=SOON) => format!("{kind}, {days} d left"),
        _ => kind,
    }
}

//! Warns, at a terminal, that a profile's secret expires soon.
//!
//! Only a call that requested a new token does so: a cached one is printed without a look at the date.

use std::time::Duration;

use crate::cache::Cache;
use crate::message;
use crate::platform::disk::Directories;
use crate::profile::selected::SelectedProfile;

/// How many days before the date the warnings begin.
pub(super) const SOON: i64 = 30;

/// How long after a warning there is no other one.
const PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// Warns, at most once a day.
pub(super) fn warn(directories: &Directories, selected: &SelectedProfile) {
    let SelectedProfile { name, profile, .. } = selected;
    let Some(date) = profile.secret_expires else {
        return;
    };
    if date.days_left() > SOON || !message::reaches_a_person() {
        return;
    }
    if !Cache::of(directories, name).is_time_for("secret-expires", PAUSE) {
        return;
    }
    let verb = if date.days_left() < 0 {
        "expired"
    } else {
        "expires"
    };
    message::warning(&format!(
        "the {} of profile {name} {verb} on {}",
        profile.credential_name(),
        date.with_days_left()
    ));
    message::hint(&profile.how_to_renew(name));
}

//! Reminds, at a terminal, of a secret that expires soon, and of a previous one that is still kept.
//!
//! Only a call that requested a new token does so: a cached one is printed without a look at the date.

use std::time::Duration;

use crate::cache::{Accepted, Cache};
use crate::message;
use crate::platform::disk::Directories;
use crate::profile::selected::SelectedProfile;

/// How many days before the date the warnings begin.
pub(super) const SOON: i64 = 30;

/// How long after a warning there is no other one.
const PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// Warns, of each at most once a day.
pub(super) fn warn(directories: &Directories, selected: &SelectedProfile) {
    warn_of_expiry(directories, selected);
    remind_of_previous(directories, selected);
}

/// Names the command that ends a rotation, if the previous secret is of no more use.
fn remind_of_previous(directories: &Directories, selected: &SelectedProfile) {
    let SelectedProfile { name, profile, .. } = selected;
    if profile.previous_secret().is_none() || !message::reaches_a_person() {
        return;
    }
    let cache = Cache::of(directories, name);
    let is_expired = profile.with_previous_secret().is_none();
    let known = cache.accepted_secret(profile.secret_generation());
    let accepts_new = matches!(known, Some(Accepted::Current | Accepted::NotPrevious));
    if (is_expired || accepts_new) && cache.is_time_for("previous-secret", PAUSE) {
        message::note(&format!("profile {name} still keeps its previous secret"));
        message::hint(&format!("to remove it: hallpass rotate {name} --finish"));
    }
}

fn warn_of_expiry(directories: &Directories, selected: &SelectedProfile) {
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

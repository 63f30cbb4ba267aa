//! What a rotation says at its end.

use super::{Rotate, Verified};
use crate::message;
use crate::profile::Profile;
use crate::profile::rotation::Keep;

impl Rotate<'_> {
    pub(super) fn report_replaced(&self, rotated: &Profile, kept: Keep) {
        let Self {
            args,
            name,
            profile,
            ..
        } = self;
        message::note(&format!("the secret of profile {name} was replaced"));
        match (rotated.secret_expires, profile.secret_expires) {
            (Some(date), _) => {
                message::note(&format!("it expires on {}", date.with_days_left()));
            }
            (None, Some(before)) if args.secret_expires.is_none() => {
                message::note(&format!(
                    "the expiry date {before} was the previous secret's and was removed"
                ));
                message::hint(&format!(
                    "to set the new one's: hallpass profile edit {name} --secret-expires DATE"
                ));
            }
            (None, _) => {}
        }
        let two = profile.previous_secret().is_some();
        match kept {
            Keep::Previous => message::note(
                "the replaced secret was removed, because the server accepted only the one that was kept before",
            ),
            Keep::Current | Keep::Neither if two => {
                message::note("the secret that `hallpass rotate --keep-old` kept was removed");
            }
            Keep::Current | Keep::Neither => {}
        }
        if let Some(previous) = rotated.previous_secret() {
            let which = match kept {
                Keep::Previous => "that one",
                _ => "the previous secret",
            };
            let until = previous
                .expires
                .map_or_else(String::new, |date| format!(", at the latest until {date}"));
            message::note(&format!(
                "{which} is kept until you run `hallpass rotate {name} --finish`{until}"
            ));
        }
    }
}

pub(super) fn report(verified: Option<&Verified>) {
    match verified {
        Some((_, token)) => message::note(&format!(
            "got a token, {}",
            token.validity(token.requested_at)
        )),
        None => message::note("not verified: no token was requested (--no-verify)"),
    }
}

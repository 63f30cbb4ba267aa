//! Files in the directory of the settings, and `.hallpass` in a project.

use super::url_lists::Entry;
use super::{Format, damage, directory_file, format_of};
use crate::fuzz::assert_clean;
use crate::profile::Profile;

pub(crate) fn profile(bytes: &[u8]) {
    if let Err(fault) = directory_file::parse(bytes) {
        assert_clean(&fault);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let _ = serde_json::from_str::<Vec<Entry>>(text);
    match serde_json::from_str::<Profile>(text) {
        Ok(profile) => {
            // What is read is written as it was.
            let written = serde_json::to_string(&profile).expect("JSON");
            let again: Profile = serde_json::from_str(&written).expect("the same profile");
            assert_eq!(serde_json::to_string(&again).expect("JSON"), written);
            let _ = (profile.client(), profile.items(), profile.timeout());
        }
        Err(error) => {
            if matches!(format_of(text), Format::Ours) {
                assert!(!damage(&error).is_empty());
            }
        }
    }
}

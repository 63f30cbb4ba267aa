//! Other systems: macOS asks before another build of a program reads from the keychain, and the others
//! have no place.

use std::path::Path;

use super::{Content, Unavailable};

pub(super) const PLACE: &str = "nowhere";

const REASON: Unavailable = Unavailable("this system has no place for its key that never asks");

pub(super) fn find(_: &Path) -> Option<Content> {
    None
}

pub(super) fn keep(_: &Path, _: &Content) -> Result<Content, Unavailable> {
    Err(REASON)
}

pub(super) fn check() -> Result<(), Unavailable> {
    Err(REASON)
}

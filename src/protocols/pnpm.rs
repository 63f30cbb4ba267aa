//! pnpm's `tokenHelper`: a program without arguments that prints the Authorization header.
//!
//! It is not told for which registry: the profile has to be selected, by the link's name or the
//! environment.

use super::{Answer, Call, Protocol, header};
use crate::error::Result;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "pnpm-tokenhelper",
    link: Some("pnpm-tokenhelper-hallpass"),
    about: "pnpm: a tokenHelper (link: pnpm-tokenhelper-hallpass-PROFILE)",
    converse,
};

fn converse(call: &mut Call<'_>) -> Result<Answer> {
    let mut who = (call.desk.named)()?;
    let token = (call.desk.token)(&mut who, None)?;
    Ok(Answer::of(format!("{}\n", header(&who, &token))))
}

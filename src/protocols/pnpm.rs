//! pnpm's `tokenHelper`: a program without arguments that prints the Authorization header.
//!
//! pnpm does not say for which registry, so the link's name or the environment must select the profile.

use super::{Answer, Call, Protocol, authorization};
use crate::error::Result;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "pnpm-tokenhelper",
    link: Some("pnpm-tokenhelper-hallpass"),
    about: "pnpm: a tokenHelper (link: pnpm-tokenhelper-hallpass-PROFILE)",
    run,
};

fn run(call: &mut Call<'_>) -> Result<Answer> {
    let mut selected = call.provider.selected()?;
    let token = call.provider.token(&mut selected, None)?;
    let value = authorization(selected.binding.as_ref(), &token.access_token);
    Ok(Answer::of(format!("{value}\n")))
}

//! The commands, one file each: its arguments, then its steps. The only module that uses the real
//! stores and the network.

pub(crate) mod bind;
mod command_line;
pub(crate) mod exec;
pub(crate) mod helper;
mod identity;
pub(crate) mod login;
pub(crate) mod logout;
mod obtain;
pub(crate) mod setup;
pub(crate) mod status;
pub(crate) mod token;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::error::{Error, Result};
use crate::types::checked_text::Scope;
use crate::types::choice::Choice;
use crate::types::duration::parse as duration;

/// Parses an option's value out of a few; the help and the messages list them.
fn choice<C: Choice>() -> impl TypedValueParser<Value = C> {
    PossibleValuesParser::new(C::NAMES.iter().copied())
        .try_map(|name| C::parse(&name).ok_or("unknown"))
}

/// The values of the option `--scope`; none if all are empty.
///
/// # Errors
/// `Usage` for a scope that cannot be sent.
fn scope(values: &[String]) -> Result<Option<Scope>> {
    Scope::join(values).map_err(|fault| Error::usage(format!("invalid value for --scope: {fault}")))
}

//! The commands, one file each: its arguments, then its steps. The only module that uses the real
//! stores and the network.

pub(crate) mod bind;
mod command_line;
pub(crate) mod exec;
pub(crate) mod helper;
pub(crate) mod login;
pub(crate) mod logout;
mod obtain;
pub(crate) mod setup;
pub(crate) mod status;
pub(crate) mod token;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::types::choice::Choice;
use crate::types::duration::parse as duration;

/// Parses an option's value out of a few; the help and the messages list them.
fn choice<C: Choice>() -> impl TypedValueParser<Value = C> {
    PossibleValuesParser::new(C::NAMES.iter().copied())
        .try_map(|name| C::parse(&name).ok_or("unknown"))
}

/// Joins the values of a repeatable option with spaces, as in a scope (RFC 6749 §3.3). Ignores empty ones.
fn words(values: &[String]) -> String {
    let given: Vec<_> = values
        .iter()
        .filter(|value| !value.is_empty())
        .map(String::as_str)
        .collect();
    given.join(" ")
}

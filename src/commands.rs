//! The commands, one file each: its arguments, then its steps. The only module that uses the real
//! stores and the network.

pub(crate) mod bind;
mod columns;
mod command_line;
pub(crate) mod completions;
pub(crate) mod config;
mod credentials;
pub(crate) mod doctor;
pub(crate) mod exec;
mod expiry;
pub(crate) mod help;
pub(crate) mod helper;
pub(crate) mod keep;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod mcp;
mod obtain;
pub(crate) mod profile;
mod proofs;
pub(crate) mod rotate;
pub(crate) mod serve;
pub(crate) mod setup;
mod socket;
pub(crate) mod status;
mod template;
pub(crate) mod token;
mod transaction;
mod upstream;
mod verification;

use std::fmt::Display;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::error::{Error, Result};
use crate::types::checked_text::Scope;
use crate::types::choice::Choice;
use crate::types::duration::parse as duration;

/// The variable that gets a token if no other is named.
const DEFAULT_VARIABLE: &str = "HALLPASS_TOKEN";

/// Parses an option's value out of a few; the help and the messages list them.
fn choice<C: Choice>() -> impl TypedValueParser<Value = C> {
    PossibleValuesParser::new(C::NAMES.iter().copied())
        .try_map(|name| C::parse(&name).ok_or("unknown"))
}

/// The same, or an empty text.
fn choice_or_nothing<C: Choice>() -> impl TypedValueParser<Value = OrNothing<C>> {
    let names = C::NAMES.iter().map(PossibleValue::new);
    let parse = or_nothing(|name| C::parse(name).ok_or("unknown"));
    PossibleValuesParser::new(names.chain([PossibleValue::new("").hide(true)]))
        .try_map(move |name| parse(&name))
}

/// A value, or the empty text that removes it.
#[derive(Clone, Debug)]
struct OrNothing<T>(Option<T>);

/// Parses an option's value that may be empty.
fn or_nothing<T, E: Display>(
    parse: impl Fn(&str) -> std::result::Result<T, E> + Clone,
) -> impl Fn(&str) -> std::result::Result<OrNothing<T>, String> + Clone {
    move |text| {
        let given = Some(text).filter(|text| !text.is_empty());
        let value = given.map(&parse).transpose();
        value.map(OrNothing).map_err(|fault| fault.to_string())
    }
}

/// The values of the option `--scope`; none if all are empty.
///
/// # Errors
/// `Usage` for a scope that cannot be sent.
fn scope(values: &[String]) -> Result<Option<Scope>> {
    Scope::join(values).map_err(|fault| Error::usage(format!("invalid value for --scope: {fault}")))
}

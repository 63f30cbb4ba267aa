//! How environment variables are read. No message repeats a value: it may be a secret in the wrong
//! variable.

use std::fmt::Display;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::profile::binding::{Binding, BoundUrl};
use crate::profile::headers::{Headers, TokenHeader};
use crate::profile::settings::Setting;
use crate::profile::{ClaimName, ParameterName, ReservedParameter};
use crate::types::checked_text::Resource;
use crate::types::choice::Choice;
use crate::types::seconds::Seconds;

const FOR: &str = "HALLPASS_FOR";
const TOKEN_HEADER: &str = "HALLPASS_TOKEN_HEADER";

pub(super) fn resource() -> Result<Option<Vec<Resource>>> {
    let resource = words("HALLPASS_RESOURCE")?;
    let resource = resource.into_iter().map(Resource::try_from);
    let resource: Vec<_> = resource
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| {
            bad(
                "HALLPASS_RESOURCE",
                "is not an absolute URI without a fragment",
            )
        })?;
    Ok(Some(resource).filter(|resource| !resource.is_empty()))
}

pub(super) fn parameters() -> Result<Vec<(ParameterName, String)>> {
    let parameter = |(name, value): (String, String)| {
        let reason = match ParameterName::parse(&name) {
            Ok(name) => return Ok((name, value)),
            Err(ReservedParameter::Standard(_)) => "it has its own variable, or is set by hallpass",
            Err(ReservedParameter::Credential(_)) => "it is a credential",
        };
        Err(bad(
            "HALLPASS_PARAM",
            &format!("cannot set `{name}`: {reason}"),
        ))
    };
    let parameters = names_and_values("HALLPASS_PARAM")?;
    parameters.into_iter().map(parameter).collect()
}

pub(super) fn headers() -> Result<Vec<(String, String)>> {
    let mut headers = names_and_values("HALLPASS_HEADER")?;
    for (name, value) in &mut headers {
        let fault = |fault: String| bad("HALLPASS_HEADER", &format!("cannot be used: {fault}"));
        Headers::default().set(name, value).map_err(fault)?;
        name.make_ascii_lowercase();
    }
    Ok(headers)
}

/// The URLs that the token is for, and the header that carries it there.
pub(super) fn bindings() -> Result<Setting<Vec<Binding>>> {
    let header = checked(TOKEN_HEADER, TokenHeader::parse)?;
    let binding = |url: String| {
        let url = BoundUrl::parse(&url).map_err(|fault| bad(FOR, fault))?;
        let header = header.clone();
        Ok(Binding {
            header,
            ..Binding::of(url)
        })
    };
    let bindings = words(FOR)?.into_iter().map(binding);
    let bindings = bindings.collect::<Result<Vec<_>>>()?;
    if header.is_some() && bindings.is_empty() {
        return Err(
            Error::usage(format!("{TOKEN_HEADER} is set but {FOR} is not")).hint(format!(
                "set {FOR} to the URLs that take the token in this header"
            )),
        );
    }
    Ok(Some(bindings).filter(|list| !list.is_empty()).into())
}

/// 1 sets a setting, and 0 removes it.
pub(super) fn switch(name: &str) -> Result<Setting<()>> {
    match variable(name)?.as_deref() {
        None => Ok(Setting::Unset),
        Some("1") => Ok(Setting::Set(())),
        Some("0") => Ok(Setting::Removed),
        Some(_) => Err(bad(name, "is neither 1 nor 0")),
    }
}

/// One of several names.
pub(in crate::profiles) fn choice<C: Choice>(name: &str) -> Result<Option<C>> {
    let Some(given) = variable(name)? else {
        return Ok(None);
    };
    C::parse(&given).map(Some).ok_or_else(|| match C::NAMES {
        [only] => bad(name, &format!("can only be {only}")),
        names => bad(name, &format!("is not one of {}", names.join(", "))),
    })
}

/// Several of a few names, separated by commas.
pub(super) fn choices<C: Choice>(name: &str) -> Result<Option<Vec<C>>> {
    let Some(given) = variable(name)? else {
        return Ok(None);
    };
    let words = given.split(',').map(str::trim);
    let choices: Option<_> = words.map(C::parse).collect();
    let fault = || bad(name, &format!("is not a list of {}", C::NAMES.join(", ")));
    choices.ok_or_else(fault).map(Some)
}

pub(super) fn checked<T, E: Display>(
    name: &str,
    parse: fn(&str) -> std::result::Result<T, E>,
) -> Result<Option<T>> {
    let given = variable(name)?.map(|text| parse(&text)).transpose();
    given.map_err(|fault| bad(name, &format!("cannot be used: {fault}")))
}

pub(super) fn seconds<const MOST: u64>(name: &str) -> Result<Option<Seconds<MOST>>> {
    let Some(given) = variable(name)? else {
        return Ok(None);
    };
    Seconds::parse(&given).map(Some).map_err(|_| {
        let fault =
            "is not a number of seconds of at least 1, or a duration such as 90s, 5m, 2h or 1d";
        bad(name, fault)
    })
}

/// `NAME=VALUE`, one in each line.
pub(super) fn names_and_values(name: &str) -> Result<Vec<(String, String)>> {
    let text = match std::env::var(name) {
        Ok(text) => text,
        Err(std::env::VarError::NotPresent) => return Ok(Vec::new()),
        Err(std::env::VarError::NotUnicode(_)) => return Err(bad(name, "is not UTF-8 text")),
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let pair = |line: &str| match line.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() && !line.contains(char::is_control) => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err(bad(name, "is not NAME=VALUE, one in each line")),
    };
    lines.map(pair).collect()
}

/// An empty variable is none.
pub(super) fn variable(name: &str) -> Result<Option<String>> {
    match std::env::var(name) {
        Ok(value) if value.contains(char::is_control) => {
            Err(bad(name, "contains a control character"))
        }
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(bad(name, "is not UTF-8 text")),
    }
}

pub(super) fn words(name: &str) -> Result<Vec<String>> {
    let value = variable(name)?.unwrap_or_default();
    Ok(value.split_whitespace().map(str::to_owned).collect())
}

pub(super) fn path(name: &str) -> Result<Option<PathBuf>> {
    let given = variable(name)?.map(std::path::absolute);
    given
        .transpose()
        .map_err(|error| bad(name, "is not a path").because(error))
}

pub(super) fn bad(name: &str, fault: &str) -> Error {
    Error::usage(format!("the environment variable {name} {fault}"))
}

pub(super) fn claims() -> Result<Vec<(ClaimName, String)>> {
    let claim = |(name, value): (String, String)| match ClaimName::parse(&name) {
        Ok(name) => Ok((name, value)),
        Err(_) => Err(bad("HALLPASS_JWT_CLAIM", &format!("cannot set `{name}`"))),
    };
    let claims = names_and_values("HALLPASS_JWT_CLAIM")?;
    claims.into_iter().map(claim).collect()
}

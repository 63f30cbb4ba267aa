//! `hallpass token` in a container that has no profiles: the token of the socket that the environment
//! names.

use super::inspect::Inspected;
use super::request::bearer_header;
use super::{Args, Template, Values};
use crate::commands::{DEFAULT_VARIABLE, socket};
use crate::error::{Error, Kind, Result};
use crate::platform::disk::Output;
use crate::profile::INSPECT;
use crate::profiles;
use crate::types::token::Timestamp;

/// Prints the token of the socket if `error` says that there is no profile here.
///
/// # Errors
/// `error`, if there is no socket, and what the other hallpass says.
pub(crate) fn run_with_socket(args: &Args, error: Error) -> Result<String> {
    let has_no_profiles = error.kind == Kind::NotFound || profiles::directories().is_err();
    if !has_no_profiles || args.forget || args.secret_stdin {
        return Err(error);
    }
    // The word is no name of a profile.
    let is_inspected = args.inspect || args.profile.as_deref() == Some(INSPECT);
    let named = args.profile.as_deref().filter(|name| *name != INSPECT);
    let url = args.request.as_ref().map(|request| &request.url);
    let remote = socket::token(args.url.as_ref().or(url), named)?;
    let Some(socket::Remote { obtained, selected }) = remote else {
        return Err(error);
    };
    let is_other_request = !args.scope.is_empty() || args.audience.is_some() || args.refresh;
    if is_other_request || args.introspection_url.is_some() {
        return Err(Error::usage(
            "--scope, --audience, --refresh and --introspection-url cannot be used with HALLPASS_SOCKET",
        ));
    }
    if !obtained.token.is_valid_for(Timestamp::now(), args.min_ttl) {
        return Err(Error::unavailable(
            "the token of HALLPASS_SOCKET is not valid as long as --min-ttl requires",
        ));
    }
    let format = args.format()?;
    let mut text = if args.request.is_some() {
        bearer_header(
            &obtained.token.access_token,
            selected.binding.as_ref(),
            format,
        )
    } else if is_inspected {
        Inspected::of(&obtained).write(&obtained, format)
    } else if let Some(template) = &args.template {
        Template::fill(template, &Values::of(&obtained))
    } else {
        let variable = args.variable.as_deref().unwrap_or(DEFAULT_VARIABLE);
        format.write(&obtained, &selected, variable)?
    };
    let file = args
        .output
        .as_deref()
        .filter(|path| path.as_os_str() != "-");
    let output = file.map(Output::to).transpose()?;
    if output.is_none() || format.is_line() {
        text.push('\n');
    }
    match output {
        None => Ok(text),
        Some(output) => output.write(text.as_bytes()).map(|()| String::new()),
    }
}

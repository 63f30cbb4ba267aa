//! `hallpass mcp`: connects an MCP client that only starts programs with an MCP server over HTTP, and sets
//! the token in each request.
//!
//! The client's messages are lines of standard input, the server's are lines of standard output (MCP,
//! transport "stdio"). Nothing else is written there.

mod bridge;
mod dispatch;
mod events;
mod exchange;
mod headers;
mod input;
mod jsonrpc;
mod line;
mod listener;
mod order;
mod output;
mod parameters;
mod pending;
mod received;
mod refusal;
mod session;
mod stream;

use crate::error::{Error, Result};
use crate::profiles::{self, Profiles};
use crate::secrets;
use crate::types::shell;
use crate::types::web_url::WebUrl;
use bridge::Bridge;

use super::token::bound_to;
use super::upstream::client;
use super::upstream::tokens::Tokens;

const EXAMPLES: &str = "\
Examples:
  hallpass login linear --mcp https://mcp.example/mcp    # once
  hallpass mcp https://mcp.example/mcp                   # the command in the client's settings
  hallpass setup mcp linear --client codex               # shows those settings";

/// Connect a program that starts MCP servers with one over HTTP
///
/// An MCP client starts this command instead of a server. It reads the client's messages from standard
/// input, sends each to the URL with a valid token, and writes the server's messages to standard output.
/// It exits when its input ends.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The MCP server: a URL that a profile is bound to, or one below it
    #[arg(value_name = "URL", value_parser = url)]
    url: WebUrl,
    /// Profile [default: the one that is bound to the URL]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

fn url(text: &str) -> std::result::Result<WebUrl, String> {
    WebUrl::parse(text).map_err(|fault| format!("the URL {fault}"))
}

pub(crate) fn run(args: &Args) -> Result<String> {
    let directories = profiles::directories()?;
    let profiles = Profiles::of(&directories);
    let name = args.profile.as_deref();
    let selected = bound_to(&profiles, &args.url, name).map_err(|error| {
        let url = shell::word(args.url.as_str().split('?').next().unwrap_or_default());
        let profile = name.unwrap_or("NAME");
        error.hint(format!(
            "to log in to it: hallpass login {profile} --mcp {url}"
        ))
    })?;
    // Before a thread starts.
    secrets::take_from_environment(&selected.profile);
    let upstream = client::of(&args.url, &selected)?;
    // Before it reads a message: what is wrong with the profile ends the command with its exit code.
    let tokens = Tokens::of(selected)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::broken("cannot start the network").because(error))?;
    let ended = runtime.block_on(Bridge::run(args.url.clone(), upstream, tokens));
    // A thread may still wait for a keychain, a server or the client.
    runtime.shutdown_background();
    ended.map(|()| String::new())
}

#[cfg(any(test, fuzzing))]
#[path = "../../tests/parsers/mcp.rs"]
pub(crate) mod fuzz;

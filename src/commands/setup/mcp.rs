//! `hallpass setup mcp PROFILE --client CLIENT`: an MCP server's entry in the settings of a client.

use super::recipes::{MCP_CLIENTS, Tool};
use crate::error::{Error, Result};

/// The name in place of a tool.
pub(super) const NAME: &str = "mcp";

/// The names of the clients.
pub(super) fn clients() -> impl Iterator<Item = &'static str> {
    MCP_CLIENTS.iter().map(|client| client.name)
}

/// The settings of this client.
///
/// # Errors
/// `Usage` without a client.
pub(super) fn find(client: Option<&str>) -> Result<&'static Tool> {
    let mut rows = MCP_CLIENTS.iter();
    rows.find(|row| Some(row.name) == client).ok_or_else(|| {
        let names: Vec<_> = clients().collect();
        Error::usage("the MCP client is missing")
            .hint(format!("name it with --client: {}", names.join(", ")))
    })
}

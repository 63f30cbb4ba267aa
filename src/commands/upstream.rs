//! What the commands have in common that send requests with a token to a bound URL for as long as they
//! run: `serve` and `mcp`.

pub(super) mod body;
pub(super) mod client;
mod pause;
pub(super) mod proofs;
pub(super) mod race;
pub(super) mod selection;
pub(super) mod signals;
mod token;
pub(super) mod tokens;

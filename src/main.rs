//! hallpass keeps an OAuth 2.0 client's secret in the keychain and gives an access token on demand.
//!
//! The plan of the house. Imports go down only; `tests/hallpass/house.rs` holds it to that.
//!
//! | floor | rooms |
//! |---|---|
//! | the command line | `cli`: arguments in, exit code out |
//! | | `commands`: a file a command, its arguments and its steps |
//! | the tongues | `protocols`: a file a helper protocol, and a row of its table |
//! | the decision | `broker`: reuse a token, wait for one, or ask |
//! | the stores and the server | `cache`: tokens on disk, whose turn it is · `token_endpoint`: HTTP · `profiles`: settings · `secrets`: keychain, secret files and commands · `prompt`: the person at the terminal |
//! | the ground | `disk`: files that are never half written · `system`: the platform, and where memory comes from |
//! | the nouns | `profile` · `settings` · `headers` · `binding` · `token` · `refusal` · `secret` · `private_key` · `secret_source` · `trust` · `web_url` · `digest` · `variables` · `error` · `message` |

#![cfg_attr(all(unix, not(test)), no_main)]

mod broker;
mod cache;
mod cli;
mod commands;
mod error;
mod message;
mod oauth;
mod platform;
mod profile;
mod profiles;
mod protocols;
mod secrets;
mod types;

platform::entry_point!(cli::run);

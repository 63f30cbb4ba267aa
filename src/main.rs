//! hallpass keeps an OAuth 2.0 client's secret in the keychain and gives an access token on demand.
//!
//! The modules, from the command line down. Each uses only modules below it;
//! `tests/hallpass/layers.rs` says which, and compares this table with the tree.
//!
//! | module | what it does |
//! |---|---|
//! | `cli` | finds the command, prints messages about arguments, sets the exit code |
//! | `commands` | one file per command; the only module that opens the real stores and the network |
//! | `protocols` | one file per helper protocol (git, docker, cargo, ...), and the table of them |
//! | `broker` | gets a token: reuses one, waits for another caller, or requests one |
//! | `share` | the shared cache of a fleet, at a Redis or Valkey server |
//! | `cache` | cached tokens and failures on disk, and the lock of each entry |
//! | `oauth` | everything that talks to an authorization server |
//! | `profiles` | profile files: selection, lookup by URL, the profile in the environment |
//! | `secrets` | where client secrets are: keychains, the kernel keyring, files, commands, variables |
//! | `audit` | the record of token requests: a file, syslog or the journal |
//! | `policy` | what the administrator of the machine requires, whatever a user wants |
//! | `profile` | a client's settings and their parts |
//! | `platform` | files, locks, processes, the terminal, memory; the only module with unsafe code |
//! | `types` | tokens, secrets, URLs and other values that every layer uses |
//! | `message` | what is printed on standard error |
//! | `error` | errors by who must act next, and the exit codes |
//!
//! The path of a cached `hallpass token p`, as an example:
//!
//! 1. `main` calls `platform::entry_point`, on Unix with `platform/unix.rs` (`start`).
//! 2. `cli.rs` (`run`) hardens the process, looks for a helper by the program's name, and has
//!    `commands/command_line.rs` parse the arguments, without clap.
//!    `policy.rs` finds that there is no policy.
//! 3. `commands/token.rs` finds the profile (`profiles/environment.rs`, then `profiles.rs`, which reads its
//!    file with `platform/disk.rs`).
//! 4. `commands/obtain.rs` computes the key of the cache entry: `secrets::version` and
//!    `profile/token_request.rs`.
//! 5. `broker.rs` (`obtain`) reads the entry (`cache/entry.rs`, `cache/format.rs`) and returns the token if
//!    `types/token.rs` says that it is valid long enough. Only a miss goes on to a lock, the secret and the
//!    server.
//! 6. `commands/token.rs` formats the token, and `cli.rs` prints it.

#![cfg_attr(all(unix, not(test)), no_main)]

mod audit;
mod broker;
mod cache;
mod cli;
mod commands;
mod error;
mod message;
mod oauth;
mod platform;
mod policy;
mod profile;
mod profiles;
mod protocols;
mod secrets;
mod share;
mod types;

#[cfg(any(test, fuzzing))]
#[path = "../tests/parsers.rs"]
pub mod fuzz;

#[cfg(not(fuzzing))]
platform::entry_point!(cli::run);

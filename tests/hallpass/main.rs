//! The black-box tests: each runs the real program.
//!
//! They need Linux: a Secret Service, `/proc`, `unshare`, strace. `tests/everywhere` runs on every platform.
#![cfg(target_os = "linux")]

mod agents;
mod answers;
mod bare;
mod bindings;
mod clients;
mod commands;
mod counts;
mod crashes;
mod crowd;
mod dialogues;
mod django;
mod environment;
mod exec;
mod files;
mod helpers;
mod https;
mod interleavings;
mod keychain;
mod keys;
mod layers;
mod layout;
mod leaks;
mod limits;
mod machine;
mod main_job;
mod material;
mod matrix;
mod mcp;
mod messages;
mod methods;
mod names;
mod output;
mod presets;
mod readme;
mod real_server;
mod real_servers;
mod recipes;
mod replacing;
mod requests;
mod secret_files;
mod secret_service;
mod sending;
mod server;
mod setup;
mod setup_undo;
mod sources;
mod stale;
mod status;
mod support;
mod terminal;
mod time;
mod tls;
mod transport;

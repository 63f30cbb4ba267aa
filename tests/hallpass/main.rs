//! hallpass from outside: every test here drives the real binary.

mod answers;
mod commands;
mod counts;
mod crashes;
mod crowd;
mod files;
mod house;
mod https;
mod keychain;
mod leaks;
mod main_job;
mod material;
mod matrix;
mod methods;
mod readme;
mod real_server;
mod real_servers;
mod secret_service;
mod sending;
mod server;
mod support;
mod terminal;
mod time;
mod tls;

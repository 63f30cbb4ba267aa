//! `hallpass complete`, which builds only the command that is completed: building all takes ten times the
//! instructions of a cached token.

use clap::{Args as _, Command, CommandFactory as _};

use super::{Cli, Global};
use crate::commands::{
    bind, completions, config, doctor, exec, keep, login, logout, mcp, profile, rotate, serve,
    setup, status, token,
};

/// Adds a command's options and arguments.
type Build = fn(Command) -> Command;

/// The commands that take a profile.
const COMMANDS: [(&str, Build); 15] = [
    ("login", login::Args::augment_args),
    ("token", token::Args::augment_args),
    ("rotate", rotate::Args::augment_args),
    ("logout", logout::Args::augment_args),
    ("status", status::Args::augment_args),
    ("config", config::Args::augment_args),
    ("doctor", doctor::Args::augment_args),
    ("profile", profile::Args::augment_args),
    ("bind", bind::BindArgs::augment_args),
    ("unbind", bind::UnbindArgs::augment_args),
    ("exec", exec::Args::augment_args),
    ("keep", keep::Args::augment_args),
    ("serve", serve::Args::augment_args),
    ("mcp", mcp::Args::augment_args),
    ("setup", setup::Args::augment_args),
];

pub(super) fn complete(args: &completions::CompleteArgs) -> String {
    let command = args.command().and_then(only);
    let program = command.unwrap_or_else(Cli::command);
    // The process ends after this. Freeing the memory would take a system call for each page.
    completions::complete(args, Box::leak(Box::new(program)))
}

/// The program with one command only.
fn only(name: &str) -> Option<Command> {
    let (name, build) = COMMANDS.into_iter().find(|(it, _)| *it == name)?;
    let program = Global::augment_args(Command::new("hallpass"));
    Some(program.subcommand(build(Command::new(name))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_completed_as_if_all_were_built() {
        let whole = Cli::command();
        for (name, _) in COMMANDS {
            let built = only(name).expect("a command");
            let global = |program: &Command| {
                let arguments = program.get_arguments().filter(|it| it.is_global_set());
                arguments.map(|it| format!("{it:?}")).collect::<Vec<_>>()
            };
            let command = |program: &Command| {
                let command = program.find_subcommand(name).expect("the command");
                format!("{:?}", command.clone().display_order(0))
            };
            assert_eq!(global(&built), global(&whole));
            assert!(command(&built) == command(&whole), "{name}");
        }
    }
}

//! The command line: arguments in, exit code out.

mod usage;

use std::ffi::{OsStr, OsString};
use std::io;
use std::process;

use clap::{Parser, Subcommand};

use crate::commands::helper::Helper;
use crate::commands::{bind, exec, helper, login, logout, setup, status, token};
use crate::error::{Error, Result};
use crate::system::Inherited;
use crate::{message, system, variables};

/// OAuth 2.0 access tokens on demand: the client secret stays in the keychain
#[derive(Debug, Parser)]
#[command(
    name = "hallpass",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = helper::list()
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Login(Box<login::Args>),
    Token(token::Args),
    Logout(logout::Args),
    Status(status::Args),
    Bind(bind::BindArgs),
    Unbind(bind::UnbindArgs),
    Exec(exec::Args),
    Setup(setup::Args),
}

/// Runs the process to its exit code: what to print goes to standard output, all else to standard
/// error.
pub(crate) fn run(arguments: &[OsString]) -> u8 {
    report_panics_without_their_message();
    let inherited = system::harden(arguments.get(1).is_some_and(|word| word == "exec"));
    if let Some(helper) = Helper::find(arguments) {
        return answer(helper);
    }
    let result = match plain_token(arguments) {
        Some(args) => token::run(&args),
        None => match Cli::try_parse_from(arguments) {
            Ok(cli) => execute(cli.command, inherited, &arguments[0]),
            Err(error) => usage::explain(&error, arguments),
        },
    };
    // The process ends with this: to give the memory back first is a system call for nothing.
    match result.and_then(|output| print(output.leak())) {
        Ok(()) => 0,
        Err(error) => fail(error),
    }
}

/// A helper says in its protocol's tongue what it has to say, also that there is nothing.
fn answer(helper: Helper) -> u8 {
    let answer = match helper.run(&print) {
        Ok(answer) => answer,
        Err(error) => return fail(error),
    };
    if let Some(mut complaint) = answer.complaint {
        complaint.hints.extend(variables::unknown());
        message::error(&complaint);
    }
    match print(&answer.text) {
        Ok(()) => answer.exit_code,
        Err(error) => fail(error),
    }
}

fn fail(mut error: Error) -> u8 {
    // A misspelled variable may be the reason, whatever went wrong.
    error.hints.extend(variables::unknown());
    message::error(&error);
    error.kind.exit_code()
}

/// `hallpass token [--min-ttl DURATION] [PROFILE]`, which programs run all the time, without
/// building clap's tree of commands: that costs more than the token. Whatever else is there, and
/// whatever is wrong, is for clap to read.
fn plain_token(arguments: &[OsString]) -> Option<token::Args> {
    let [_program, command, options @ ..] = arguments else {
        return None;
    };
    if command != "token" {
        return None;
    }
    let mut words = options.iter().map(|word| word.to_str());
    let (mut profile, mut min_ttl) = (None, None);
    while let Some(word) = words.next() {
        let word = word?;
        let twice = if word == "--min-ttl" {
            min_ttl.replace(words.next()??)
        } else if let Some(value) = word.strip_prefix("--min-ttl=") {
            min_ttl.replace(value)
        } else if word.starts_with('-') {
            return None;
        } else {
            profile.replace(word)
        };
        if twice.is_some() {
            return None;
        }
    }
    token::Args::plain(profile.map(str::to_owned), min_ttl)
}

fn execute(command: Command, inherited: Inherited, called: &OsStr) -> Result<String> {
    match command {
        Command::Login(args) => login::run(*args),
        Command::Token(args) => token::run(&args),
        Command::Logout(args) => logout::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Bind(args) => bind::bind(&args),
        Command::Unbind(args) => bind::unbind(&args),
        Command::Exec(args) => exec::run(&args, inherited),
        Command::Setup(args) => setup::run(&args, called),
    }
}

/// Nothing is printed before all of it is known. A reader who has gone has had enough.
fn print(output: &str) -> Result<()> {
    match system::write_to_stdout(output.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Error::broken("cannot write to standard output").because(error)),
        Ok(()) => Ok(()),
    }
}

/// A panic is a bug of ours, and its message may hold anything: the place alone is told.
fn report_panics_without_their_message() {
    std::panic::set_hook(Box::new(|panic| {
        // From the crate's own directory on: where it was built is nobody's business.
        let place = panic.location().map(|at| {
            let file = at.file();
            let inside = file
                .rfind("/src/")
                .map_or(0, |src| file[..src].rfind('/').map_or(0, |at| at + 1));
            format!(" at {}:{}", &file[inside..], at.line())
        });
        let error = Error::broken(format!("hallpass has a bug{}", place.unwrap_or_default()))
            .hint("please report it with this line");
        message::error(&error);
        process::exit(error.kind.exit_code().into());
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_read_the_plain_case_alike() {
        for (arguments, plain) in [
            (&["token"][..], true),
            (&["token", "prod"], true),
            (&["token", ""], true),
            (&["token", "no such name"], true),
            (&["token", "--json"], false),
            (&["token", "-h"], false),
            (&["token", "--"], false),
            (&["token", "prod", "--refresh"], false),
            (&["token", "prod", "more"], false),
            (&["status"], false),
            (&["token", "--min-ttl", "5m"], true),
            (&["token", "--min-ttl=90", "prod"], true),
            (&["token", "prod", "--min-ttl", "2h"], true),
            (&["token", "prod", "--min-ttl=0s"], true),
            (&["token", "--min-ttl", "5m", ""], true),
            (&["token", "--min-ttl"], false),
            (&["token", "--min-ttl="], false),
            (&["token", "--min-ttl", "soon"], false),
            (&["token", "--min-ttl", "-1"], false),
            (&["token", "--min-ttl", "--json"], false),
            (&["token", "--min-ttl", "5m", "--min-ttl=5m"], false),
            (&["token", "prod", "more", "--min-ttl=5m"], false),
            (&["token", "--min-ttl=5m", "--refresh"], false),
            (&["token", "--min-ttl=5m", "--"], false),
            (&["token", "--min-tt", "5m"], false),
            (&[], false),
        ] {
            let all = ["hallpass"].iter().chain(arguments).map(OsString::from);
            let all: Vec<_> = all.collect();
            let read = plain_token(&all);
            assert_eq!(read.is_some(), plain, "{arguments:?}");
            if let Some(read) = read {
                match Cli::try_parse_from(&all).map(|cli| cli.command) {
                    Ok(Command::Token(args)) => assert_eq!(args, read, "{arguments:?}"),
                    other => panic!("{arguments:?}: {other:?}"),
                }
            }
        }
    }
}

//! The command line: arguments in, exit code out.

mod completing;
mod usage;

use std::any::Any;
use std::ffi::{OsStr, OsString};
use std::io;
use std::process;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::commands::helper::Helper;
use crate::commands::{
    bind, completions, config, doctor, exec, help, helper, keep, login, logout, mcp, profile,
    rotate, serve, setup, status, token,
};
use crate::error::{Error, Kind, Result};
use crate::message;
use crate::platform;
use crate::platform::Inherited;
use crate::platform::variables;
use crate::policy;

/// Get OAuth 2.0 access tokens; the client secret stays in the keychain
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
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// The options of every command.
#[derive(Debug, clap::Args)]
struct Global {
    /// Print each step and its reason on standard error
    #[arg(short, long, global = true)]
    verbose: bool,
}

impl Cli {
    fn shown(self) -> Command {
        if self.global.verbose {
            message::show_steps();
        }
        self.command
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Login(Box<login::Args>),
    Token(token::Args),
    Rotate(rotate::Args),
    Logout(logout::Args),
    Status(status::Args),
    Doctor(doctor::Args),
    Config(config::Args),
    Profile(profile::Args),
    Bind(bind::BindArgs),
    Unbind(bind::UnbindArgs),
    Exec(exec::Args),
    Keep(keep::Args),
    Serve(serve::Args),
    Mcp(mcp::Args),
    Setup(setup::Args),
    Completions(completions::Args),
    #[command(hide = true)]
    Complete(completions::CompleteArgs),
    Help(help::Args),
    Version(help::VersionArgs),
}

impl Command {
    /// Whether it gives no token and changes nothing, so that it may run without a usable policy.
    fn only_explains(&self) -> bool {
        matches!(
            self,
            Self::Config(_)
                | Self::Doctor(_)
                | Self::Completions(_)
                | Self::Complete(_)
                | Self::Help(_)
                | Self::Version(_)
        )
    }
}

/// Runs a command, and returns the exit code. Only results go to standard output.
pub(crate) fn run(arguments: &[OsString]) -> u8 {
    report_panics_without_their_message();
    if variables::steps_are_wanted() {
        message::show_steps();
    }
    // Before a helper's name, too, whose arguments belong to its protocol.
    let without_flag = match arguments {
        [program, flag, rest @ ..] if flag == "-v" || flag == "--verbose" => {
            message::show_steps();
            Some([std::slice::from_ref(program), rest].concat())
        }
        _ => None,
    };
    let arguments = without_flag.as_deref().unwrap_or(arguments);
    let inherited = platform::harden(starts_another(arguments.get(1)));
    if let Some(helper) = Helper::find(arguments) {
        return run_helper(helper);
    }
    let result = match parse_without_clap(arguments) {
        Some(command) => execute(command, inherited, &arguments[0]),
        None => match parse(arguments) {
            Ok(cli) => execute(cli.shown(), inherited, &arguments[0]),
            Err(error) if arguments.len() <= 1 => {
                // Not on standard output, where a program could take it for a token.
                message::text(&error.render().to_string());
                return Kind::Usage.exit_code();
            }
            Err(error) => usage::explain(&error, arguments),
        },
    };
    // The process ends after this. Freeing the memory would be one more system call.
    match result.and_then(|output| print(output.leak())) {
        Ok(()) => 0,
        Err(error) => fail(error),
    }
}

/// Whether the command runs a program of the user, which must get the limit of core dumps as it was.
fn starts_another(command: Option<&OsString>) -> bool {
    command.is_some_and(|word| word == "exec" || word == "serve")
}

/// Runs a helper protocol. Its answer can also be an error in the protocol's format.
fn run_helper(helper: Helper) -> u8 {
    let answer = match helper.run(&print) {
        Ok(answer) => answer,
        Err(error) => return fail_with(message::plain_error, error),
    };
    if let Some(mut error) = answer.error {
        error.hints.extend(variables::unknown());
        message::plain_error(&error);
    }
    match print(&answer.text) {
        Ok(()) => answer.exit_code,
        Err(error) => fail_with(message::plain_error, error),
    }
}

fn fail(error: Error) -> u8 {
    fail_with(message::error, error)
}

fn fail_with(report: fn(&Error), mut error: Error) -> u8 {
    // A misspelled variable can be the reason for any error.
    error.hints.extend(variables::unknown());
    report(&error);
    error.kind.exit_code()
}

fn parse(arguments: &[OsString]) -> std::result::Result<Cli, clap::Error> {
    Cli::try_parse_from(arguments).or_else(|error| {
        let inspecting = token::inspecting(arguments).map(Cli::try_parse_from);
        inspecting.and_then(std::result::Result::ok).ok_or(error)
    })
}

/// Parses the commands that programs run often. None if clap must parse them, which also reports errors.
fn parse_without_clap(arguments: &[OsString]) -> Option<Command> {
    let [_program, command, words @ ..] = arguments else {
        return None;
    };
    match command.to_str()? {
        "token" => token::Args::read(words).map(Command::Token),
        "exec" => exec::Args::read(words).map(Command::Exec),
        "complete" => completions::CompleteArgs::read(words).map(Command::Complete),
        _ => None,
    }
}

fn execute(command: Command, inherited: Inherited, program: &OsStr) -> Result<String> {
    if !command.only_explains() {
        policy::current()?;
    }
    match command {
        Command::Login(args) => login::run(&args),
        Command::Token(args) => {
            token::run(&args).or_else(|error| token::run_with_socket(&args, error))
        }
        Command::Logout(args) => logout::run(&args),
        Command::Rotate(args) => rotate::run(&args),
        Command::Status(args) => status::run(&args, &print),
        Command::Doctor(args) => doctor::run(&args, &print),
        Command::Config(args) => config::run(&args, &print),
        Command::Profile(args) => profile::run(args, &print),
        Command::Bind(args) => bind::bind(&args),
        Command::Unbind(args) => bind::unbind(&args),
        Command::Exec(args) => exec::run(&args, inherited),
        Command::Keep(args) => keep::run(args),
        Command::Serve(args) => serve::run(&args, inherited, &print),
        Command::Mcp(args) => mcp::run(&args),
        Command::Setup(args) => setup::run(&args, program),
        Command::Completions(args) => Ok(completions::run(&args)),
        Command::Complete(args) => Ok(completing::complete(&args)),
        Command::Help(args) => help::run(&args, &Cli::command().render_help().to_string()),
        Command::Version(_) => Ok(help::version()),
    }
}

/// Prints the whole output at once. It is no error if the reader has closed the pipe.
fn print(output: &str) -> Result<()> {
    match platform::write_to_stdout(output.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Error::broken("cannot write to standard output").because(error)),
        Ok(()) => Ok(()),
    }
}

/// Reports a panic by its location only, because its message may contain a secret.
fn report_panics_without_their_message() {
    std::panic::set_hook(Box::new(|panic| {
        // Relative to the crate's directory, without the path on the build machine.
        let location = panic.location().map(|location| {
            let file = location.file();
            let start = file
                .rfind("/src/")
                .map_or(0, |src| file[..src].rfind('/').map_or(0, |slash| slash + 1));
            format!(" at {}:{}", &file[start..], location.line())
        });
        let location = location.unwrap_or_default();
        let error = match refusal(panic.payload()) {
            Some(refusal) => {
                Error::broken(format!("the system refuses what a library needs{location}"))
                    .because(refusal)
                    .hint("this machine has too many processes or open files, or too little memory")
            }
            None => Error::broken(format!("hallpass has a bug{location}"))
                .hint("please report it with this line"),
        };
        message::error(&error);
        if let Some(answer) = message::answer_to_a_panic() {
            let _ = print(answer);
        }
        process::exit(error.kind.exit_code().into());
    }));
}

/// The system's error that a library panicked for, by its number: tokio's "OS can't spawn worker thread:
/// Resource temporarily unavailable (os error 11)", async-io's "cannot initialize I/O event notification: Os {
/// code: 24, ...".
fn refusal(payload: &(dyn Any + Send)) -> Option<io::Error> {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied())?;
    let mut starts = ["(os error ", "Os { code: "].into_iter();
    let (_, rest) = starts.find_map(|start| text.split_once(start))?;
    let number = rest.split([')', ',']).next()?;
    Some(io::Error::from_raw_os_error(number.parse().ok()?))
}

#[cfg(test)]
mod tests;

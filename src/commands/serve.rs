//! `hallpass serve`: a reverse proxy on this machine that sets the token of each request, for programs
//! that can run no command and read no file.
//!
//! It listens on loopback only, stands for one URL that the profile is bound to, and serves those who
//! know the random key in its address.

mod admission;
mod body;
mod connection;
mod forward;
mod framing;
mod headers;
mod listener;
mod program;
mod refusal;
mod route;
mod tokens;

use std::ffi::OsString;
use std::future::pending;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::duration;
use crate::error::{Error, Result};
use crate::message;
use crate::oauth::Upstream;
use crate::platform::{self, Inherited};
use crate::profile::SecretSource;
use crate::profile::binding::{Binding, BoundUrl};
use crate::profile::selected::{SelectedProfile, longest};
use crate::profiles::{self, Profiles};
use crate::types::digest;
use crate::types::secret::CLIENT_SECRET_VARIABLE;
use crate::types::shell;
use crate::types::web_url::WebUrl;
use admission::Admission;
use forward::Proxy;
use listener::{Activity, First, Server, first};
use route::Route;
use tokens::Tokens;

const EXAMPLES: &str = "\
Examples:
  hallpass serve prod                          # prints http://127.0.0.1:PORT/k-KEY/
  hallpass serve prod --port 8123 --idle 8h
  hallpass serve prod -- sh -c 'curl \"$HALLPASS_URL\"'";

/// The variable with the address, for the program that is run.
const URL_VARIABLE: &str = "HALLPASS_URL";

/// Serve a bound URL on this machine, with a token set in each request
///
/// A reverse proxy on 127.0.0.1 for programs that cannot run hallpass. Prints its address, which has a
/// random key: keep it secret. Requests from web pages are refused.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Profile [default: `$HALLPASS_PROFILE`, or the only profile]
    profile: Option<String>,
    /// The URL to serve, if the profile is bound to several
    #[arg(long, value_name = "URL", value_parser = bound_url)]
    url: Option<BoundUrl>,
    /// Listen on this port of 127.0.0.1 [default: any free one]
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 0,
        hide_default_value = true
    )]
    port: u16,
    /// End when there was no connection for this long (90, 90s, 5m, 2h)
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    idle: Option<Duration>,
    /// The longest pause of the client or the server within a request
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10m")]
    timeout: Duration,
    /// Run this program, with the address in `HALLPASS_URL`, and end with it
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

fn bound_url(text: &str) -> std::result::Result<BoundUrl, String> {
    BoundUrl::parse(text).map_err(|fault| format!("the URL {fault}"))
}

pub(crate) fn run(
    args: &Args,
    inherited: Inherited,
    print: &dyn Fn(&str) -> Result<()>,
) -> Result<String> {
    let directories = profiles::directories()?;
    let selected = Profiles::of(&directories).find(args.profile.as_deref())?;
    let (selected, base) = select(selected, args.url.as_ref())?;
    let hidden = hidden_variables(&selected);
    let upstream = Upstream::to(base.as_url(), &selected)?;
    // Before it listens: what is wrong with the profile ends the command with its exit code.
    let tokens = Tokens::of(selected)?;
    let key = digest::unique()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::broken("cannot start the network").because(error))?;
    let ended = runtime.block_on(async {
        let listener = listen(args.port).await?;
        let address = listener.local_addr();
        let address = address.map_err(|error| cannot_listen(args.port, error))?;
        let route = Route::new(&key, format!("http://{address}"), base);
        let url = route.url();
        let proxy = Proxy {
            admission: Admission::new(hosts(&address.to_string())),
            route,
            tokens,
            upstream,
            limit: args.timeout,
        };
        let signals = stop_signals()?;
        let program = match &args.command[..] {
            [] => {
                print(&format!("{url}\n"))?;
                None
            }
            command => Some(program::start(
                command,
                (URL_VARIABLE, &url),
                &hidden,
                inherited,
            )?),
        };
        let activity = Activity::new();
        let server = Arc::new(Server { proxy, activity });
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(listener::run(listener, Arc::clone(&server), stopped));
        let exit_code = match program {
            Some(program) => program.wait(signals.clone()).await,
            None => wait(args.idle, &server, signals.clone()).await,
        };
        let _ = stop.send(true);
        // Another signal ends the requests in progress.
        let mut more = signals;
        more.mark_unchanged();
        first(running, signal(&mut more)).await;
        Ok(exit_code)
    });
    // A thread may still wait for a keychain or a server.
    runtime.shutdown_background();
    match ended? {
        0 => Ok(String::new()),
        code => std::process::exit(code),
    }
}

/// The variables that a program must not get: those with a client secret.
fn hidden_variables(selected: &SelectedProfile) -> Vec<String> {
    let mut hidden = vec![CLIENT_SECRET_VARIABLE.to_owned()];
    if let Some(SecretSource::Env(variable)) = &selected.profile.secret {
        hidden.push(variable.clone());
    }
    hidden
}

/// The signals that tell the process to stop, as they come.
fn stop_signals() -> Result<watch::Receiver<i32>> {
    let (sender, signals) = watch::channel(0);
    let set = platform::on_stop_signal(move |number| {
        sender.send_replace(number);
    });
    set.map_err(|error| Error::broken("cannot start a thread").because(error))?;
    Ok(signals)
}

/// Waits for the next signal, and returns its number. Some systems have none.
async fn signal(signals: &mut watch::Receiver<i32>) -> i32 {
    match signals.changed().await {
        Ok(()) => *signals.borrow(),
        Err(_) => pending().await,
    }
}

/// Waits for a signal, or the time without connections. Returns the exit code.
async fn wait(idle: Option<Duration>, server: &Server, mut signals: watch::Receiver<i32>) -> i32 {
    let idle = async {
        match idle {
            Some(limit) => server.activity.idle_for(limit).await,
            None => pending().await,
        }
    };
    if let First::Right(()) = first(signal(&mut signals), idle).await {
        message::note("no connection for the time of --idle");
    }
    0
}

/// The values of `Host` for an address. Clients leave out the port 80.
fn hosts(address: &str) -> Vec<String> {
    let without_port = address.strip_suffix(":80").map(str::to_owned);
    [address.to_owned()]
        .into_iter()
        .chain(without_port)
        .collect()
}

async fn listen(port: u16) -> Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    listener.map_err(|error| cannot_listen(port, error))
}

fn cannot_listen(port: u16, error: io::Error) -> Error {
    let is_used = error.kind() == io::ErrorKind::AddrInUse;
    let failed = Error::usage(format!("cannot listen on 127.0.0.1:{port}")).because(error);
    if is_used {
        failed.hint("choose another port, or leave out --port")
    } else {
        failed
    }
}

/// The profile with the binding that is served: the one that covers the URL, or the only one.
///
/// # Errors
/// `NotFound` if the profile is not bound to the URL, `Usage` if none is given and there are several.
fn select(
    mut selected: SelectedProfile,
    given: Option<&BoundUrl>,
) -> Result<(SelectedProfile, BoundUrl)> {
    let name = selected.name.clone();
    let profile = &selected.profile;
    let web: Vec<_> = profile
        .bindings
        .iter()
        .filter(|binding| binding.url.is_web())
        .collect();
    let (binding, base): (&Binding, BoundUrl) = match (given, &web[..]) {
        (Some(url), _) => {
            let covering = longest(profile, |binding| binding.url.covers(url.as_url()));
            let binding = covering.ok_or_else(|| {
                let url = shell::word(url.as_str());
                Error::not_found(format!("profile {name} is not bound to this URL"))
                    .hint(format!("to allow it: hallpass bind {name} {url}"))
            })?;
            (binding, url.clone())
        }
        (None, [binding]) => (binding, binding.url.clone()),
        (None, []) => {
            return Err(
                Error::not_found(format!("profile {name} is not bound to any URL"))
                    .hint(format!("bind it first: hallpass bind {name} https://HOST/")),
            );
        }
        (None, several) => {
            let urls: Vec<_> = several.iter().map(|binding| binding.url.as_str()).collect();
            return Err(Error::usage(format!(
                "profile {name} is bound to several URLs: {}",
                urls.join(", ")
            ))
            .hint("choose one with --url URL"));
        }
    };
    let binding = binding.clone();
    selected.url = WebUrl::parse(base.as_str()).ok();
    selected.binding = Some(binding);
    Ok((selected, base))
}

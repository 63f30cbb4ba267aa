//! `hallpass serve`: a reverse proxy on this machine that sets the token of each request, for programs
//! that can run no command and read no file.
//!
//! It listens on loopback only, stands for one URL that the profile is bound to, and serves those who
//! know the random key in its address.

mod activity;
mod admission;
mod body;
mod connection;
mod forward;
mod framing;
mod headers;
mod listener;
mod program;
mod progress;
mod rejection;
mod responses;
mod route;
mod shutdown;
mod token_endpoint;

use std::ffi::OsString;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;
use tokio::sync::watch;

use super::upstream::client;
use super::upstream::race::first;
use super::upstream::selection;
use super::upstream::signals::{signal, stop_signals};
use super::upstream::tokens::Tokens;
use super::{duration, socket};
use crate::error::{Error, Result};
use crate::oauth::Upstream;
#[cfg(unix)]
use crate::platform;
use crate::platform::Inherited;
use crate::policy;
use crate::profile::binding::BoundUrl;
use crate::profiles::{self, Profiles};
use crate::secrets;
use crate::types::digest;
use activity::Activity;
use admission::Admission;
use forward::Proxy;
use listener::{Listener, Server, Service};
use route::{Address, Route};
use shutdown::until_stopped;
use token_endpoint::TokenEndpoint;

const EXAMPLES: &str = "\
Examples:
  hallpass serve prod                          # prints http://127.0.0.1:PORT/k-KEY/
  hallpass serve prod --port 8123 --idle 8h
  hallpass serve prod --as-token-endpoint      # prints http://127.0.0.1:PORT/k-KEY/token
  hallpass serve prod --allow-host host.docker.internal   # prints an address for Docker Desktop, too
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
    /// Serve tokens instead, as an authorization server does: for clients with a field for its token URL
    #[arg(long, conflicts_with = "url")]
    as_token_endpoint: bool,
    /// Serve tokens to hallpass in a container, through this socket: there, set `HALLPASS_SOCKET` to its path
    #[arg(long, value_name = "PATH", conflicts_with_all = ["url", "as_token_endpoint", "port"])]
    socket: Option<PathBuf>,
    /// Accept requests to this name of the machine, too, as containers have one (host.docker.internal)
    #[arg(long, value_name = "NAME", value_parser = host_name, conflicts_with = "socket")]
    allow_host: Vec<String>,
    /// Listen on this port of 127.0.0.1 [default: any free one]
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 0,
        hide_default_value = true
    )]
    port: u16,
    /// End when there was no connection for this long (90, 90s, 5m, 2h)
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "command")]
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

fn host_name(text: &str) -> std::result::Result<String, String> {
    let name = text.to_ascii_lowercase();
    let is_label = |label: &str| {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(is_fine)
    };
    if name.split('.').all(is_label) {
        Ok(name)
    } else {
        Err("write a host name, without a port or a wildcard".to_owned())
    }
}

/// What is served.
enum Served {
    Url(BoundUrl, Box<Upstream>),
    Tokens,
}

/// Where it is served.
struct Endpoint {
    listener: Listener,
    /// None for a socket.
    port: Option<u16>,
    /// Removes the socket at the end.
    #[cfg(unix)]
    _file: Option<platform::SocketFile>,
}

pub(crate) fn run(
    args: &Args,
    inherited: Inherited,
    print: &dyn Fn(&str) -> Result<()>,
) -> Result<String> {
    policy::current()?.check_serve("`hallpass serve`")?;
    let directories = profiles::directories()?;
    let mut selected = Profiles::of(&directories).find(args.profile.as_deref())?;
    // Before a thread starts.
    secrets::take_from_environment(&selected.profile);
    let hidden: Vec<_> = selected
        .profile
        .secret_variables()
        .map(str::to_owned)
        .collect();
    let target = if args.as_token_endpoint || args.socket.is_some() {
        Served::Tokens
    } else {
        let base = selection::bind(&mut selected, args.url.as_ref())?;
        let upstream = client::of(base.as_url(), &selected)?;
        Served::Url(base, Box::new(upstream))
    };
    // Before it listens: what is wrong with the profile ends the command with its exit code.
    let tokens = match &target {
        Served::Url(..) => Tokens::of(selected)?,
        Served::Tokens => Tokens::for_clients(selected)?,
    };
    let key = digest::unique()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::broken("cannot start the network").because(error))?;
    let ended = runtime.block_on(async {
        let endpoint = match &args.socket {
            Some(path) => listen_on_socket(path)?,
            None => listen(args.port).await?,
        };
        let (service, names) = service(target, tokens, endpoint.port, &key, args);
        let signals = stop_signals()?;
        let program = match &args.command[..] {
            [] => {
                print(&(names.join("\n") + "\n"))?;
                None
            }
            command => {
                let variable = match args.socket {
                    Some(_) => socket::VARIABLE,
                    None => URL_VARIABLE,
                };
                let variable = (variable, names[0].as_str());
                Some(program::start(command, variable, &hidden, inherited)?)
            }
        };
        let server = Arc::new(Server {
            service,
            limit: args.timeout,
            activity: Arc::new(Activity::new()),
            may_raise_limit: args.command.is_empty(),
        });
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(listener::run(
            endpoint.listener,
            Arc::clone(&server),
            stopped,
        ));
        let exit_code = match program {
            Some(program) => program.wait(signals.clone()).await,
            None => until_stopped(args.idle, &server.activity, signals.clone()).await,
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

/// What answers the requests, and what names it: URLs, or the path of the socket.
fn service(
    target: Served,
    tokens: Tokens,
    port: Option<u16>,
    key: &str,
    args: &Args,
) -> (Service, Vec<String>) {
    let limit = args.timeout;
    let Some(port) = port else {
        let path = args.socket.as_deref().unwrap_or(Path::new(""));
        let endpoint = TokenEndpoint {
            admission: Admission::of_socket(),
            address: None,
            tokens,
            limit,
        };
        let name = path.display().to_string();
        return (Service::TokenEndpoint(Box::new(endpoint)), vec![name]);
    };
    let names = args.allow_host.iter().map(String::as_str);
    let names = ["127.0.0.1"].into_iter().chain(names);
    let origins: Vec<_> = names.map(|name| format!("http://{name}:{port}")).collect();
    let admission = Admission::of(&origins);
    let address = Address::new(key, origins);
    match target {
        Served::Tokens => {
            let urls = address.urls(token_endpoint::PATH);
            let endpoint = TokenEndpoint {
                admission,
                address: Some(address),
                tokens,
                limit,
            };
            (Service::TokenEndpoint(Box::new(endpoint)), urls)
        }
        Served::Url(base, upstream) => {
            let route = Route { address, base };
            let urls = route.urls();
            let proxy = Proxy {
                admission,
                route,
                tokens,
                upstream: *upstream,
                limit,
                last_warning: Mutex::default(),
            };
            (Service::Proxy(Box::new(proxy)), urls)
        }
    }
}

#[cfg(unix)]
fn listen_on_socket(path: &Path) -> Result<Endpoint> {
    let (listener, file) = platform::listen_on_socket(path)?;
    let listener = UnixListener::from_std(listener)
        .map_err(|error| Error::broken("cannot start the network").because(error))?;
    Ok(Endpoint {
        listener: Listener::Unix(listener),
        port: None,
        _file: Some(file),
    })
}

#[cfg(not(unix))]
fn listen_on_socket(_: &Path) -> Result<Endpoint> {
    Err(Error::usage("--socket works only on Unix"))
}

/// Listens on a port of 127.0.0.1.
async fn listen(port: u16) -> Result<Endpoint> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let listener = listener.map_err(|error| cannot_listen(port, error))?;
    let address = listener.local_addr();
    let address = address.map_err(|error| cannot_listen(port, error))?;
    Ok(Endpoint {
        listener: Listener::Tcp(listener),
        port: Some(address.port()),
        #[cfg(unix)]
        _file: None,
    })
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

#[cfg(any(test, fuzzing))]
#[path = "../../tests/parsers/serve.rs"]
pub(crate) mod fuzz;

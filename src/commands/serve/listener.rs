//! Accepts connections, until it has to stop; then ends those that exist.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::activity::Activity;
use super::body::ResponseBody;
use super::connection::{Connection, ConnectionState};
use super::forward::Proxy;
use super::rejection::Rejection;
use super::token_endpoint::TokenEndpoint;
use crate::commands::upstream::race::{First, first};
use crate::platform;

/// How long the head of a request may take, and a connection without requests lives.
const HEAD_LIMIT: Duration = Duration::from_secs(60);

/// How long the first head of a connection may take: all users of this machine can connect.
const FIRST_HEAD_LIMIT: Duration = Duration::from_secs(5);

/// How long requests in progress may take after a signal.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// How many connections are open at the same time, if there are enough descriptors. More of them wait.
const CONNECTIONS_LIMIT: usize = 2048;

/// How many descriptors are left for everything else: files, the keychain, the token endpoint.
const OTHER_DESCRIPTORS: usize = 64;

/// The pause after a connection could not be accepted, as when this process has too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where connections come from.
pub(super) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(tokio::net::UnixListener),
}

/// A connection of either kind.
type Stream = Box<dyn ReadWrite>;

trait ReadWrite: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> ReadWrite for T {}

impl Listener {
    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            #[cfg(unix)]
            Self::Unix(listener) => loop {
                let (stream, _) = listener.accept().await?;
                // The mode of the socket says the same, but not in every container.
                if platform::may_connect(stream.peer_cred()?.uid()) {
                    return Ok(Box::new(stream));
                }
            },
        }
    }
}

/// What the connections of a listener share.
pub(super) struct Server {
    pub(super) service: Service,
    /// How long a client may take to read its response.
    pub(super) limit: Duration,
    pub(super) activity: Arc<Activity>,
    /// Whether this process may raise its limit of open files: no other program inherits that.
    pub(super) may_raise_limit: bool,
}

/// What answers the requests.
pub(super) enum Service {
    Proxy(Box<Proxy>),
    TokenEndpoint(Box<TokenEndpoint>),
}

impl Service {
    async fn answer(
        &self,
        request: Request<Incoming>,
        rejection: Option<Rejection>,
        connection: &ConnectionState,
    ) -> Response<ResponseBody> {
        match self {
            Self::Proxy(proxy) => proxy.answer(request, rejection, connection).await,
            Self::TokenEndpoint(endpoint) => endpoint.answer(request, rejection).await,
        }
    }
}

/// Serves connections until `stop` changes, then until those that exist have ended or the limit for
/// that has passed.
pub(super) async fn run(listener: Listener, server: Arc<Server>, mut stop: watch::Receiver<bool>) {
    let connections_limit = connections_limit(server.may_raise_limit);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= connections_limit {
            connections.join_next().await;
            continue;
        }
        match first(listener.accept(), stop.changed()).await {
            First::Left(Ok(stream)) => {
                let (server, stop) = (Arc::clone(&server), stop.clone());
                connections.spawn(async move {
                    serve(stream, &server, stop).await;
                });
            }
            First::Left(Err(_)) => sleep(ACCEPT_PAUSE).await,
            First::Right(_) => break,
        }
    }
    drop(listener);
    let _ = timeout(DRAIN_LIMIT, async {
        while connections.join_next().await.is_some() {}
    })
    .await;
}

/// Each connection may need another one, to the server.
fn connections_limit(may_raise: bool) -> usize {
    let wanted = 2 * CONNECTIONS_LIMIT + OTHER_DESCRIPTORS;
    let descriptors = platform::descriptor_limit(may_raise.then_some(wanted));
    let free = descriptors.saturating_sub(OTHER_DESCRIPTORS);
    CONNECTIONS_LIMIT.min(free / 2).max(1)
}

async fn serve(stream: Stream, server: &Arc<Server>, mut stop: watch::Receiver<bool>) {
    let state = Arc::new(ConnectionState::new(&server.activity));
    let limit = server.limit;
    let stream = TokioIo::new(Connection::new(stream, Arc::clone(&state), limit));
    let service = service_fn(|request| {
        // Now, not when the future runs: a later request on this connection can be refused by then.
        let rejection = state.rejection();
        state.has_request();
        let (server, state) = (Arc::clone(server), Arc::clone(&state));
        // Boxed: otherwise a connection that waits has room for the future, too.
        Box::pin(async move {
            Ok::<_, hyper::Error>(server.service.answer(request, rejection, &state).await)
        })
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .serve_connection(stream, service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let stopped = first(
        stop.changed(),
        state.first_request_is_late(FIRST_HEAD_LIMIT),
    );
    match first(connection.as_mut(), stopped).await {
        First::Left(_) => {}
        First::Right(First::Right(())) => return,
        First::Right(First::Left(_)) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
    // A WebSocket is a request in progress, too.
    if let Some(tunnel) = state.take_tunnel() {
        let _ = tunnel.await;
    }
}

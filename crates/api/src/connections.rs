//! Watches every connection, and ends those whose client has stopped taking part: one that reads nothing of its answer,
//! and one that begins another request and never ends it. The framework bounds only the first head of a connection and
//! the silence between two requests; a stuck reader would hold its connection, its buffers and its place for ever.
//!
//! The watch holds a duplicate of the socket's descriptor, which is the only way to end a connection from outside.

use std::any::Any;
use std::net::{Shutdown, TcpStream as Socket};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Extensions, ServiceRequest};
use actix_web::rt::net::TcpStream;
use bytes::Bytes;
use socket2::SockRef;
use tokio_util::sync::CancellationToken;

/// How often connections are looked at; much less than their bounds.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Bytes the system takes from us before it has sent them. Without this bound it takes megabytes, and a slow reader would
/// look like a stuck one until a good part of those is sent.
const UNSENT: u32 = 64 * 1024;

/// How long a connection may stay as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// From one request to the whole head of the next.
    pub(crate) idle: Duration,
    /// Without the client's taking anything of an answer.
    pub(crate) write: Duration,
}

/// All connections of a server.
#[derive(Debug)]
pub(crate) struct Connections {
    bounds: Bounds,
    all: Mutex<Vec<Weak<Connection>>>,
}

impl Connections {
    pub(crate) fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { bounds, all: Mutex::default() })
    }

    /// Takes a new connection into the watch; for `HttpServer::on_connect`.
    pub(crate) fn add(&self, stream: &dyn Any, data: &mut Extensions) {
        let tcp = stream
            .downcast_ref::<TcpStream>()
            .or_else(|| stream.downcast_ref::<TlsStream<TcpStream>>().map(|stream| stream.get_ref().0));
        let Some(tcp) = tcp else { return };
        let bounded = SockRef::from(tcp).set_tcp_notsent_lowat(UNSENT);
        match bounded.and_then(|()| tcp.as_fd().try_clone_to_owned()) {
            Ok(duplicate) => {
                let connection = Arc::new(Connection::new(Socket::from(duplicate)));
                let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
                all.push(Arc::downgrade(&connection));
                data.insert(connection);
            }
            Err(error) => tracing::warn!(%error, "a connection cannot be watched"),
        }
    }

    /// Ends connections that are out of bounds, until the token is cancelled.
    pub(crate) async fn watch(self: Arc<Self>, until: CancellationToken) {
        while tokio::time::timeout(LOOK_EVERY, until.cancelled()).await.is_err() {
            let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|connection| match connection.upgrade() {
                Some(connection) => !connection.end_if_stuck(self.bounds),
                None => false,
            });
        }
    }
}

const IDLE: u8 = 0;
const WORKING: u8 = 1;
const ANSWERING: u8 = 2;

/// One connection as the watch sees it.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    began: Instant,
    phase: AtomicU8,
    /// Milliseconds from the beginning to the last sign of the client's taking part.
    moved: AtomicU64,
}

impl Connection {
    fn new(socket: Socket) -> Self {
        Self { socket, began: Instant::now(), phase: AtomicU8::new(IDLE), moved: AtomicU64::new(0) }
    }

    fn enter(&self, phase: u8) {
        self.moved();
        self.phase.store(phase, Ordering::Release);
    }

    fn moved(&self) {
        self.moved.store(self.age(), Ordering::Relaxed);
    }

    fn age(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn end_if_stuck(&self, bounds: Bounds) -> bool {
        // First the phase: with it comes the sign that was noted when it began, however long the phase before took.
        let phase = self.phase.load(Ordering::Acquire);
        let still = Duration::from_millis(self.age().saturating_sub(self.moved.load(Ordering::Relaxed)));
        let (bound, what) = match phase {
            IDLE => (bounds.idle, "a connection was ended: its next request did not arrive in time"),
            // Also when it is the store that delivers nothing: the connection is not held for that, either.
            ANSWERING => (bounds.write, "a connection was ended: nothing was taken of its answer for long"),
            // Handlers have bounds of their own.
            _ => return false,
        };
        if still <= bound {
            return false;
        }
        let peer = self.socket.peer_addr().map(|address| address.ip().to_string()).unwrap_or_default();
        tracing::info!(peer, ?still, "{what}");
        // An error says that the client was quicker.
        drop(self.socket.shutdown(Shutdown::Both));
        true
    }
}

/// A request in progress; tells the watch when it is over.
#[derive(Debug)]
pub(crate) struct InProgress(Option<Arc<Connection>>);

impl InProgress {
    pub(crate) fn begin(request: &ServiceRequest) -> Self {
        let connection = request.request().conn_data::<Arc<Connection>>().cloned();
        connection.iter().for_each(|connection| connection.enter(WORKING));
        Self(connection)
    }

    /// From now on the client has to take the answer.
    pub(crate) fn answer(self, body: BoxBody) -> BoxBody {
        self.0.iter().for_each(|connection| connection.enter(ANSWERING));
        BoxBody::new(Watched { body, progress: self })
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.iter().for_each(|connection| connection.enter(IDLE));
    }
}

/// A body that notes each time the server has room for more of it, because the client has taken what was before.
struct Watched {
    body: BoxBody,
    progress: InProgress,
}

impl MessageBody for Watched {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        this.progress.0.iter().for_each(|connection| connection.moved());
        Pin::new(&mut this.body).poll_next(cx)
    }
}

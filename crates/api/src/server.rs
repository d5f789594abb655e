//! Starts and stops the listeners: HTTP and HTTPS side by side, the same routes on both.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use backup_config::{AuthSettings, ClientCertificates, ListenSettings};
use backup_core::Manager;
use backup_daemon::limits;
use backup_daemon::tls::{ClientAuthority, ServerCertificate, TlsError};
use rustls::ServerConfig;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::auth::{self, Gate, SetupError};
use crate::connections::{Bounds, Connections};
use crate::error::ApiError;
use crate::handlers::health::Checkup;
use crate::{middleware, routes};

/// How long a connection may take to end once both sides know that it shall.
const DISCONNECT: Duration = Duration::from_secs(5);

/// The framework asks for more of an answer as long as fewer bytes than this wait to be written: enough for the head, so
/// that a small answer leaves in one piece, and so little that a download never outgrows the framework's first buffer
/// of 8 KiB (`a_thousand_slow_downloads_fit_into_64_mib`).
const WRITE_BUFFER: usize = 1024;

/// Threads for what blocks beside the database and the stores: password hashes, names of hosts.
const BLOCKING_THREADS: usize = 8;

/// Each connection has its socket and the watch's duplicate of it.
const DESCRIPTORS_PER_CONNECTION: u64 = 2;

/// Descriptors for everything else: the database, files of the store, the process itself.
const OTHER_DESCRIPTORS: u64 = 256;

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The certificate cannot be used.
    #[error("HTTPS cannot be offered")]
    Certificate(#[from] TlsError),
    /// `auth.oidc` cannot be used.
    #[error(transparent)]
    Oidc(#[from] SetupError),
    /// HTTPS is on without a certificate.
    #[error("HTTPS needs listen.certificate_path and listen.key_path")]
    NoCertificate,
    /// An address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// A server that answers requests.
pub struct Running {
    /// Where HTTP is answered.
    pub http: Option<SocketAddr>,
    /// Where HTTPS is answered.
    pub https: Option<SocketAddr>,
    handle: ServerHandle,
    task: JoinHandle<io::Result<()>>,
    stopped: CancellationToken,
    checkup: web::Data<Checkup>,
    drain: Duration,
}

impl Running {
    /// Says no to `/readyz` and serves for `drain` longer, so that load balancers turn away; then accepts nothing new,
    /// lets running answers end within `shutdown_timeout`, and returns.
    pub async fn stop(self) {
        self.checkup.stop();
        tokio::time::sleep(self.drain).await;
        self.handle.stop(true).await;
        self.stopped.cancel();
        if let Err(error) = self.task.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            tracing::warn!(%error, "the server did not end as it should");
        }
    }

    /// Waits until the server ends by itself, which only a failure makes it do.
    pub async fn ended(&mut self) -> io::Result<()> {
        (&mut self.task).await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

/// Starts answering on the addresses of `listen`; port 0 picks a free one. Must be called inside a Tokio runtime.
pub async fn start(
    manager: Manager,
    auth: &AuthSettings,
    listen: &ListenSettings,
) -> Result<Running, StartError> {
    let threads = manager.most_blocked_threads();
    let manager = web::Data::new(manager);
    let gate = web::Data::new(Gate::new(auth, &listen.trusted_proxies)?);
    let checkup = web::Data::new(Checkup::default());
    let known = checkup.clone();
    let server = HttpServer::new(move || {
        let protected = web::scope("")
            .wrap(from_fn(auth::require))
            .configure(|config| add(config, routes::protected()))
            .default_service(web::to(|| async {
                ApiError::for_status(actix_web::http::StatusCode::NOT_FOUND).answer()
            }));
        App::new()
            .app_data(manager.clone())
            .app_data(gate.clone())
            .app_data(known.clone())
            .wrap(from_fn(middleware::observe))
            .configure(|config| add(config, routes::open()))
            .configure(|config| add(config, routes::pages()))
            .service(protected)
    });
    let header = listen.request_header_timeout.get();
    let connections = Connections::new(Bounds {
        idle: listen.keep_alive.get().saturating_add(header),
        write: listen.write_timeout.get(),
    });
    let watched = Arc::clone(&connections);
    let places = Places::of(listen);
    let mut server = server
        .disable_signals()
        .workers(places.workers)
        .max_connections(places.per_worker)
        // Handshakes have no tighter bound than connections: a few silent ones would hold up everybody.
        .max_connection_rate(places.per_worker)
        .worker_max_blocking_threads(threads.saturating_add(BLOCKING_THREADS))
        .client_request_timeout(header)
        .tls_handshake_timeout(header)
        .client_disconnect_timeout(DISCONNECT)
        .keep_alive(listen.keep_alive.get())
        .h1_write_buffer_size(WRITE_BUFFER)
        // Behind a TLS handshake a small answer would wait for the other side to acknowledge it, which it puts off by 40 ms.
        .tcp_nodelay(true)
        .shutdown_timeout(listen.shutdown_timeout.get().as_secs())
        .on_connect(move |stream, data| watched.add(stream, data));
    let stopped = CancellationToken::new();
    if let Some(address) = listen.http {
        server = server.bind(address).map_err(|source| StartError::Listen { address, source })?;
    }
    if let Some(address) = listen.https {
        let tls = Tls::load(listen)?;
        server = server
            .bind_rustls_0_23(address, tls.server_config())
            .map_err(|source| StartError::Listen { address, source })?;
        tls.watch(&stopped);
    }
    let bound = server.addrs_with_scheme();
    let bound = |scheme: &str| bound.iter().find(|(_, known)| *known == scheme).map(|(address, _)| *address);
    let (http, https) = (bound("http"), bound("https"));
    let server = server.run();
    let handle = server.handle();
    tokio::spawn(connections.watch(stopped.clone()));
    let task = tokio::spawn(server);
    Ok(Running { http, https, handle, task, stopped, checkup, drain: listen.drain.get() })
}

/// Reads the files of HTTPS, to tell whether they can be used.
///
/// # Errors
/// As [`start`].
pub fn check_certificates(listen: &ListenSettings) -> Result<(), StartError> {
    if listen.https.is_some() { Tls::load(listen).map(drop) } else { Ok(()) }
}

/// How many connections each of the framework's threads may have.
#[derive(Debug, PartialEq, Eq)]
struct Places {
    workers: usize,
    per_worker: usize,
}

impl Places {
    fn of(listen: &ListenSettings) -> Self {
        let wanted = usize::try_from(listen.max_connections).unwrap_or(1);
        let cores = std::thread::available_parallelism().map_or(2, NonZeroUsize::get);
        let places = Self::within(wanted, limits::open_files(), cores);
        let possible = places.per_worker.saturating_mul(places.workers);
        // Sharing out evenly may lose a few.
        if possible.saturating_add(cores) < wanted {
            tracing::warn!(
                wanted,
                possible,
                "the limit on open files allows fewer connections; raise LimitNOFILE of the unit"
            );
        }
        places
    }

    fn within(wanted: usize, files: Option<u64>, cores: usize) -> Self {
        let files = files.map(|files| files.saturating_sub(OTHER_DESCRIPTORS));
        let possible = files.and_then(|files| files.checked_div(DESCRIPTORS_PER_CONNECTION));
        let possible = possible.and_then(|possible| usize::try_from(possible).ok()).unwrap_or(usize::MAX);
        let all = wanted.min(possible).max(1);
        let workers = cores.min(all).clamp(1, 512);
        Self { workers, per_worker: all.checked_div(workers).unwrap_or(1) }
    }
}

/// The files of HTTPS.
struct Tls {
    certificate: Arc<ServerCertificate>,
    clients: Option<Arc<ClientAuthority>>,
}

impl Tls {
    fn load(listen: &ListenSettings) -> Result<Self, StartError> {
        let certificate = match (&listen.certificate_path, &listen.key_path) {
            (Some(certificate), Some(key)) => ServerCertificate::load(certificate, key)?,
            _ => return Err(StartError::NoCertificate),
        };
        let authority = |path: &Path| match listen.client_certificates {
            ClientCertificates::Required => ClientAuthority::required(path),
            ClientCertificates::Optional => ClientAuthority::optional(path),
        };
        Ok(Self { certificate, clients: listen.client_ca_path.as_deref().map(authority).transpose()? })
    }

    fn server_config(&self) -> ServerConfig {
        match &self.clients {
            Some(clients) => self.certificate.server_config_for(clients),
            None => self.certificate.server_config(),
        }
    }

    fn watch(self, until: &CancellationToken) {
        tokio::spawn(self.certificate.watch(until.clone()));
        if let Some(clients) = self.clients {
            tokio::spawn(clients.watch(until.clone()));
        }
    }
}

fn add(config: &mut web::ServiceConfig, endpoints: Vec<routes::Endpoint>) {
    for endpoint in endpoints {
        config.service(endpoint.into_resource());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_shared_out_and_never_exceed_what_the_open_files_allow() {
        let table = [
            ((10_000, Some(65_536), 4), (4, 2500)),
            ((10_000, Some(1024), 2), (2, 192)),
            ((10_000, None, 2), (2, 5000)),
            ((1, Some(65_536), 8), (1, 1)),
            ((3, Some(10), 2), (1, 1)),
        ];
        for ((wanted, files, cores), (workers, per_worker)) in table {
            assert_eq!(Places::within(wanted, files, cores), Places { workers, per_worker }, "{wanted}");
        }
    }
}

//! Starts and stops the listeners: HTTP and HTTPS side by side, the same routes on both.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use backup_config::{AuthSettings, ListenSettings};
use backup_core::Manager;
use backup_daemon::tls::{ServerCertificate, TlsError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::auth::{self, Gate, SetupError};
use crate::error::ApiError;
use crate::{middleware, routes};

/// How long running answers get when the server stops, in seconds.
const SHUTDOWN_SECONDS: u64 = 30;

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
}

impl Running {
    /// Accepts nothing new, lets running answers end, and returns.
    pub async fn stop(self) {
        self.stopped.cancel();
        self.handle.stop(true).await;
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
    let manager = web::Data::new(manager);
    let gate = web::Data::new(Gate::new(auth, &listen.trusted_proxies)?);
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
            .wrap(from_fn(middleware::observe))
            .configure(|config| add(config, routes::open()))
            .service(protected)
    });
    let mut server = server.disable_signals().shutdown_timeout(SHUTDOWN_SECONDS);
    let stopped = CancellationToken::new();
    if let Some(address) = listen.http {
        server = server.bind(address).map_err(|source| StartError::Listen { address, source })?;
    }
    if let Some(address) = listen.https {
        let certificate = certificate(listen)?;
        let config = certificate.server_config();
        server = server
            .bind_rustls_0_23(address, config)
            .map_err(|source| StartError::Listen { address, source })?;
        tokio::spawn(certificate.watch(stopped.clone()));
    }
    let bound = server.addrs_with_scheme();
    let bound = |scheme: &str| bound.iter().find(|(_, known)| *known == scheme).map(|(address, _)| *address);
    let (http, https) = (bound("http"), bound("https"));
    let server = server.run();
    let handle = server.handle();
    Ok(Running { http, https, handle, task: tokio::spawn(server), stopped })
}

fn add(config: &mut web::ServiceConfig, endpoints: Vec<routes::Endpoint>) {
    for endpoint in endpoints {
        config.service(endpoint.into_resource());
    }
}

fn certificate(listen: &ListenSettings) -> Result<Arc<ServerCertificate>, StartError> {
    match (&listen.certificate_path, &listen.key_path) {
        (Some(certificate), Some(key)) => Ok(ServerCertificate::load(certificate, key)?),
        _ => Err(StartError::NoCertificate),
    }
}

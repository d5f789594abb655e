//! Starting and stopping an agent: driver, stores, journal, recovery, then the listener.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::web::Data;
use actix_web::{App, HttpServer};
use backup_daemon::config::Mistake;
use backup_daemon::tls::{ServerCertificate, TlsError};
use backup_objects::{Retry, Store, StoreError};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::archive::Archive;
use crate::auth::Credential;
use crate::config::{Config, TlsSection};
use crate::drivers::{self, DriverError};
use crate::handlers::info::Scratch;
use crate::operations::{JournalError, Operations, Settings};
use crate::routes;
use crate::scratch::ScratchRoot;

const WORKERS: usize = 2;
/// How long a stopping agent waits for its operations to clean up, and for requests to end. A restore whose exchange has
/// begun is waited for without this limit; `TimeoutStopSec` of the unit ends that.
const GRACE: Duration = Duration::from_secs(30);
const REQUESTS_END_SECONDS: u64 = 5;

/// Why an agent does not start or ends.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A value of the configuration is out of bounds.
    #[error("{0}")]
    Configuration(Mistake),
    /// The driver cannot be opened.
    #[error("the driver cannot be used")]
    Driver(#[from] DriverError),
    /// A store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The authorities for client certificates cannot be used.
    #[error("the authorities for client certificates cannot be used: {0}")]
    ClientAuthorities(String),
    /// The address cannot be listened on, or a directory not made.
    #[error("{what}")]
    Io {
        /// What failed.
        what: String,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// A running agent. Dropping it leaves it running; see [`RunningAgent::stop`].
pub struct RunningAgent {
    address: SocketAddr,
    operations: Operations,
    handle: ServerHandle,
    served: JoinHandle<std::io::Result<()>>,
    archiving: Option<JoinHandle<()>>,
    background: CancellationToken,
}

/// Starts an agent; with port 0 in `listen`, a free port is taken. Must be called inside a Tokio runtime.
///
/// # Errors
/// [`ServeError`]; nothing keeps running then.
pub async fn serve(config: Config) -> Result<RunningAgent, ServeError> {
    if let Some(mistake) = config.mistakes().into_iter().next() {
        return Err(ServeError::Configuration(mistake));
    }
    let background = CancellationToken::new();
    let tls = config.tls.as_ref().map(|section| tls(section, &background)).transpose()?;
    let operations = open(&config)?;
    let listener = TcpListener::bind(config.listen);
    let listener = listener.map_err(io(format!("cannot listen on {}", config.listen)))?;
    let address = listener.local_addr().map_err(io("the listener has no address".to_owned()))?;
    operations.recover().await?;
    let server = http(&config, operations.clone(), listener, tls)?;
    let handle = server.handle();
    let served = tokio::spawn(server);
    tokio::spawn(operations.clone().keep_clean(background.clone()));
    let archiving = operations.archive().cloned();
    let archiving = archiving.map(|archive| tokio::spawn(archive.keep_going(background.clone())));
    Ok(RunningAgent { address, operations, handle, served, archiving, background })
}

/// Opens everything the configuration names, without listening or changing anything but making directories.
///
/// # Errors
/// [`ServeError`].
fn open(config: &Config) -> Result<Operations, ServeError> {
    let scratch = &config.scratch_directory;
    std::fs::create_dir_all(scratch).map_err(io(format!("cannot make {}", scratch.display())))?;
    let driver = drivers::open(&config.driver, scratch)?;
    let stores = config.stores.iter().map(|(name, store)| {
        // Hours of work are not given up for a store that is away for minutes.
        let store = Store::open_for_chunks(name, store, config.chunk_size)?;
        Ok((name.clone(), store.retrying(Retry::PATIENTLY)))
    });
    let stores: BTreeMap<String, Store> = stores.collect::<Result<_, StoreError>>()?;
    let rehearsals = Arc::new(ScratchRoot::new(&config.rehearsal_directory()));
    let archive =
        driver.physical().map(|physical| Archive::open(physical, stores.clone(), scratch)).transpose()?;
    let settings = Settings {
        driver,
        rehearsals: Arc::clone(&rehearsals),
        archive,
        stores,
        concurrency: config.concurrency,
        chunk_size: config.chunk_size,
        runtime: tokio::runtime::Handle::current(),
    };
    let operations = Operations::open(settings, &config.journal_directory())?;
    let directory = config.rehearsal_directory();
    rehearsals.claim().map_err(io(format!("cannot use {}", directory.display())))?;
    Ok(operations)
}

fn http(
    config: &Config,
    operations: Operations,
    listener: TcpListener,
    tls: Option<ServerConfig>,
) -> Result<Server, ServeError> {
    let credential = Data::new(Credential::new(&config.credential));
    let operations = Data::new(operations);
    let scratch = Data::new(Scratch(config.scratch_directory.clone()));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(credential.clone())
            .app_data(operations.clone())
            .app_data(scratch.clone())
            .configure(routes::configure)
    });
    // Behind a TLS handshake a small answer would wait for the other side to acknowledge it, which it puts off by 40 ms.
    let server = server.workers(WORKERS).tcp_nodelay(true);
    let server = server.disable_signals().shutdown_timeout(REQUESTS_END_SECONDS);
    let server = match tls {
        Some(tls) => server.listen_rustls_0_23(listener, tls),
        None => server.listen(listener),
    };
    Ok(server.map_err(io("cannot listen".to_owned()))?.run())
}

fn tls(section: &TlsSection, until: &CancellationToken) -> Result<ServerConfig, ServeError> {
    let certificate = ServerCertificate::load(&section.certificate_path, &section.key_path)?;
    tokio::spawn(Arc::clone(&certificate).watch(until.clone()));
    let Some(path) = &section.client_ca_path else { return Ok(certificate.server_config()) };
    backup_daemon::tls::install_provider();
    let unusable =
        |error: &dyn std::fmt::Display| ServeError::ClientAuthorities(format!("{}: {error}", path.display()));
    let mut roots = rustls::RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(path).map_err(|e| unusable(&e))? {
        roots.add(authority.map_err(|e| unusable(&e))?).map_err(|e| unusable(&e))?;
    }
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().map_err(|e| unusable(&e))?;
    Ok(ServerConfig::builder().with_client_cert_verifier(verifier).with_cert_resolver(certificate))
}

impl RunningAgent {
    /// Where the agent listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops the operations (they are recorded as `interrupted`), then the listener.
    ///
    /// # Errors
    /// When the listener ended with an error.
    pub async fn stop(self) -> Result<(), ServeError> {
        let all = async {
            for mut ended in self.operations.close() {
                // An operation that is gone has ended as well.
                let _ = ended.wait_for(|ended| *ended).await;
            }
        };
        tokio::pin!(all);
        while tokio::time::timeout(GRACE, &mut all).await.is_err() {
            if !self.operations.is_exchanging() {
                tracing::warn!("operations did not end in time; the next start cleans up after them");
                break;
            }
            tracing::info!("waiting for a restore whose exchange has begun");
        }
        self.background.cancel();
        if let Some(archiving) = self.archiving {
            // A store that hangs is not waited for; what is not recorded as stored is stored again.
            let _ = tokio::time::timeout(GRACE, archiving).await;
        }
        self.handle.stop(true).await;
        let served = self.served.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        self.operations.let_go().await;
        served.map_err(io("the listener failed".to_owned()))
    }
}

fn io(what: String) -> impl FnOnce(std::io::Error) -> ServeError {
    move |source| ServeError::Io { what, source }
}

//! The HTTP server under every fake: a thread of its own, a free port, a record of what it was asked.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web::{self, Bytes, PayloadConfig};
use actix_web::{App, HttpRequest, HttpServer};
use anyhow::Context;

use super::answer::{Answer, Request};

type Handler = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

/// An HTTP server on 127.0.0.1 that stops when dropped. Usable by itself for odd peers.
pub struct FakeServer {
    address: SocketAddr,
    handler: Handler,
    requests: Arc<Mutex<Vec<Request>>>,
    running: Option<Running>,
}

struct Running {
    handle: ServerHandle,
    thread: JoinHandle<()>,
}

impl FakeServer {
    /// Starts on a free port; the handler answers every request.
    ///
    /// # Errors
    /// When no port is to be had.
    pub fn start(handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let mut server = Self {
            address: listener.local_addr()?,
            handler: Arc::new(handler),
            requests: Arc::default(),
            running: None,
        };
        server.serve(listener)?;
        Ok(server)
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.requests).clone()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        lock(&self.requests).clear();
    }

    /// Stops listening: connections are refused until [`FakeServer::up`].
    pub fn down(&mut self) {
        if let Some(running) = self.running.take() {
            // The stop is sent at once; the thread's end is what we wait for.
            drop(running.handle.stop(false));
            drop(running.thread.join());
        }
    }

    /// Listens again on the same port.
    ///
    /// # Errors
    /// When somebody else took the port.
    pub fn up(&mut self) -> anyhow::Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        let listener = TcpListener::bind(self.address).context("the fake's port is taken")?;
        self.serve(listener)
    }

    fn serve(&mut self, listener: TcpListener) -> anyhow::Result<()> {
        let (started, handle) = std::sync::mpsc::channel();
        let (handler, requests) = (Arc::clone(&self.handler), Arc::clone(&self.requests));
        let thread = std::thread::Builder::new().name("fake-server".into()).spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || {
                    let (handler, requests) = (Arc::clone(&handler), Arc::clone(&requests));
                    App::new().app_data(PayloadConfig::new(64 << 20)).default_service(web::to(
                        move |request: HttpRequest, body: Bytes| {
                            let request = received(&request, body);
                            lock(&requests).push(request.clone());
                            let answer = handler(&request);
                            async move { answer.into_response().await }
                        },
                    ))
                });
                let server = server.workers(1).disable_signals().shutdown_timeout(0);
                let server = server.keep_alive(Duration::from_secs(5)).listen(listener);
                let server = server.expect("a bound listener can be listened on").run();
                if started.send(server.handle()).is_ok() {
                    server.await.expect("the fake's server runs to its stop");
                }
            });
        })?;
        let handle = handle.recv().context("the fake's thread died")?;
        self.running = Some(Running { handle, thread });
        Ok(())
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.down();
    }
}

impl std::fmt::Debug for FakeServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeServer").field("address", &self.address).finish_non_exhaustive()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn received(request: &HttpRequest, body: Bytes) -> Request {
    let text =
        |value: &actix_web::http::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Request {
        method: request.method().to_string(),
        path: request.path().to_owned(),
        query: request.query_string().to_owned(),
        headers: request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), text(value)))
            .collect(),
        body,
    }
}

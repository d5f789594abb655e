//! A way to the database that can be frozen, as a host that hangs, and cut, as one that is gone; also for the connections of
//! one moment only, as when another host takes over.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    Frozen,
    Gone,
}

#[derive(Debug, Clone, Copy)]
struct State {
    mode: Mode,
    /// Connections up to the last accepted, and up to the last that stays frozen whatever happens.
    accepted: usize,
    hung: usize,
}

impl State {
    fn is_open_for(&self, number: usize) -> bool {
        self.mode == Mode::Open && number > self.hung
    }
}

/// Forwards connections to a server. Must be made inside a Tokio runtime, and ends with it.
pub(crate) struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
}

impl Proxy {
    /// In front of the server of this URL.
    pub(crate) async fn to(url: &str) -> Self {
        let url = Url::parse(url).unwrap();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, seen) = watch::channel(State { mode: Mode::Open, accepted: 0, hung: 0 });
        let counted = state.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counted.send_modify(|state| state.accepted += 1);
                let number = counted.borrow().accepted;
                tokio::spawn(connection(client, number, server.clone(), seen.clone()));
            }
        });
        Self { address, state }
    }

    /// The URL of the database through this proxy.
    pub(crate) fn url(&self, url: &str) -> String {
        let mut url = Url::parse(url).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url.into()
    }

    /// Forwards nothing more; connections stay open, new ones are accepted.
    pub(crate) fn freeze(&self) {
        self.state.send_modify(|state| state.mode = Mode::Frozen);
    }

    /// Cuts every connection, new ones at once.
    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| state.mode = Mode::Gone);
    }

    /// Forwards again, also what was held back.
    pub(crate) fn open(&self) {
        self.state.send_modify(|state| state.mode = Mode::Open);
    }

    /// Freezes the connections that stand, for ever; new ones are served.
    pub(crate) fn hang(&self) {
        self.state.send_modify(|state| state.hung = state.accepted);
    }
}

async fn connection(client: TcpStream, number: usize, server: String, mut state: watch::Receiver<State>) {
    let mut gone = state.clone();
    let both = async {
        state.wait_for(|state| state.is_open_for(number)).await.unwrap();
        let server = TcpStream::connect(server).await.unwrap();
        let (client_reads, client_writes) = client.into_split();
        let (server_reads, server_writes) = server.into_split();
        tokio::select! {
            () = forward(client_reads, server_writes, number, state.clone()) => {}
            () = forward(server_reads, client_writes, number, state.clone()) => {}
        }
    };
    tokio::select! {
        () = both => {}
        _ = gone.wait_for(|state| state.mode == Mode::Gone) => {}
    }
}

async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    number: usize,
    mut state: watch::Receiver<State>,
) {
    let mut buffer = [0; 8192];
    loop {
        let Ok(count) = from.read(&mut buffer).await else { return };
        if count == 0 || state.wait_for(|state| state.is_open_for(number)).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

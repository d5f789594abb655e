//! The socket, the connections on it, and the thread they live in.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use anyhow::Context;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use super::carry;
use super::state::State;

/// Opens and shuts the way in.
#[derive(Debug)]
pub(super) struct Gate(Option<UnboundedSender<Order>>);

struct Order {
    is_refusing: bool,
    done: SyncSender<()>,
}

impl Gate {
    /// Returns when it is so.
    pub(super) fn set(&self, is_refusing: bool) {
        let (done, wait) = sync_channel(1);
        let sent = self.0.as_ref().is_some_and(|gate| gate.send(Order { is_refusing, done }).is_ok());
        if sent {
            // Fails when the thread has ended: then nobody is let in either.
            wait.recv().unwrap_or_default();
        }
    }

    /// Ends the thread.
    pub(super) fn close(&mut self) {
        self.0 = None;
    }
}

/// Binds a port and serves it in a thread.
pub(super) fn start(state: Arc<State>) -> anyhow::Result<(Gate, SocketAddr, JoinHandle<()>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let reservation = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let address = reservation.local_addr()?;
    let listener = {
        let _inside = runtime.enter();
        bind(address)?.listen(1024)?
    };
    let (gate, orders) = unbounded_channel();
    let thread = std::thread::Builder::new().name("fault-proxy".into()).spawn(move || {
        runtime.block_on(serve(state, address, listener, orders));
        // Kept to this point: whoever looks for a free port must not find this one while we refuse.
        drop(reservation);
    });
    Ok((Gate(Some(gate)), address, thread.context("no thread")?))
}

/// A socket that shares its port with our others, and with nobody else.
fn bind(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn serve(
    state: Arc<State>,
    address: SocketAddr,
    listener: TcpListener,
    mut orders: UnboundedReceiver<Order>,
) {
    let mut listener = Some(listener);
    let (cut, _) = watch::channel(());
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Some(order) = order else { return };
                if order.is_refusing {
                    listener = None;
                    cut.send_replace(());
                    // Each connection holds a receiver to its end.
                    cut.closed().await;
                } else if listener.is_none() {
                    // The port is ours, and so is every other socket on it.
                    listener = bind(address).and_then(|socket| socket.listen(1024)).ok();
                }
                // Fails when nobody waits for it.
                order.done.send(()).unwrap_or_default();
            }
            stream = accept(listener.as_ref()) => {
                tokio::spawn(connection(Arc::clone(&state), stream, cut.subscribe()));
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // One connection's own trouble, or no file descriptors for the moment.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}

async fn connection(state: Arc<State>, stream: TcpStream, mut cut: watch::Receiver<()>) {
    let service = service_fn(|request| carry::carry(Arc::clone(&state), request));
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // An error is a connection cut by either side, often by us on purpose.
        result = served => drop(result),
        _ = cut.changed() => {}
    }
}

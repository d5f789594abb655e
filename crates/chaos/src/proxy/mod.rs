//! A reverse proxy for HTTP/1.1 on the loopback interface that loses, doubles, delays and garbles what passes it.
//!
//! Begin reading at [`FaultProxy`]; what it can do is [`Fault`]. How one request is carried out is in `carry.rs`.

mod carry;
mod fault;
mod listen;
mod rubbish;
mod state;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;

pub use fault::{Copied, Counts, Fault, Rubbish, Times};

use listen::Gate;
use state::State;

/// A running proxy with a thread of its own; ended when dropped.
///
/// Without a fault it forwards each request on a connection of its own and returns the answer unchanged. Bodies are held
/// in memory. Dead targets are passed on as lost connections. What has arrived in full is carried out even if the client
/// has given up, as a network would: a delayed request reaches the target late, not never.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    state: Arc<State>,
    gate: Gate,
    thread: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Starts a proxy on a free port of 127.0.0.1 in front of the target. The target need not be there yet.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn start(target: SocketAddr) -> anyhow::Result<Self> {
        let state = Arc::new(State::new(target));
        let (gate, address, thread) = listen::start(Arc::clone(&state)).context("no proxy can be started")?;
        Ok(Self { address, state, gate, thread: Some(thread) })
    }

    /// The base URL clients use: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does this to the next requests, instead of what was injected before.
    pub fn inject(&self, fault: Fault, times: Times) {
        self.replace(Some((fault, times, None)));
    }

    /// Does this to the next requests of one method, for example `PUT`; the others pass untouched.
    /// For [`Fault::Refuse`], which knows no requests, the same as [`FaultProxy::inject`].
    pub fn inject_into(&self, method: &str, fault: Fault, times: Times) {
        self.replace(Some((fault, times, Some(method.to_owned()))));
    }

    /// Ends what was injected. What is on its way keeps its fate: late copies still arrive.
    pub fn heal(&self) {
        self.replace(None);
    }

    /// What it did since it was started.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state.counts()
    }

    /// The requests that reached the target twice, in order.
    #[must_use]
    pub fn duplicated(&self) -> Vec<Copied> {
        self.state.duplicated()
    }

    fn replace(&self, injection: Option<(Fault, Times, Option<String>)>) {
        let is_refusing = matches!(injection, Some((Fault::Refuse, ..)));
        self.state.inject(injection);
        self.gate.set(is_refusing);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.gate.close();
        if let Some(thread) = self.thread.take() {
            // It fails only if the thread panicked, and then it has ended as well.
            drop(thread.join());
        }
    }
}

//! A proxy for TCP connections that breaks them when it is told to: after so many bytes up or down, or instead of the
//! answer to a certain request. It understands nothing of what it passes on.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// A running proxy; ended when dropped.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    up: u64,
    down: u64,
    cut_up: Vec<u64>,
    cut_down: Vec<u64>,
    lose: Vec<String>,
    is_away: bool,
    cuts: usize,
}

#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

impl Proxy {
    /// Starts a proxy before a server, on a free port of the loopback interface.
    ///
    /// # Errors
    /// When no port is to be had.
    pub async fn start(server: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if lock(&shared).is_away {
                    continue;
                }
                let Ok(server) = TcpStream::connect(server).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                let end = Arc::new(Notify::new());
                let silent = Arc::new(Mutex::new(false));
                for (direction, from, to) in
                    [(Direction::Up, from_client, to_server), (Direction::Down, from_server, to_client)]
                {
                    let pass = Pass { state: Arc::clone(&shared), silent: Arc::clone(&silent), direction };
                    let end = Arc::clone(&end);
                    tokio::spawn(async move {
                        tokio::select! {
                            () = pass.on(from, to) => end.notify_waiters(),
                            () = end.notified() => {}
                        }
                    });
                }
            }
        });
        Ok(Self { address, state, serving })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks a connection when so many more bytes have gone up, then so many more, and so on.
    pub fn cut_up(&self, after: &[u64]) {
        self.state().cut_up.extend(after.iter().rev());
    }

    /// Breaks a connection when so many more bytes have come down, then so many more, and so on.
    pub fn cut_down(&self, after: &[u64]) {
        self.state().cut_down.extend(after.iter().rev());
    }

    /// Passes on the next request that has this text in its head, and breaks the connection instead of the answer.
    pub fn lose_the_answer_of(&self, text: &str) {
        self.state().lose.push(text.to_owned());
    }

    /// From now on every connection is closed at once, or no longer.
    pub fn set_away(&self, is_away: bool) {
        self.state().is_away = is_away;
    }

    /// How many bytes have gone up and come down.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let state = self.state();
        (state.up, state.down)
    }

    /// How many connections were broken.
    #[must_use]
    pub fn cuts(&self) -> usize {
        self.state().cuts
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One direction of a connection.
struct Pass {
    state: Arc<Mutex<State>>,
    /// The answer on this connection is not to arrive.
    silent: Arc<Mutex<bool>>,
    direction: Direction,
}

impl Pass {
    /// Passes bytes on until the connection ends or is to be broken.
    async fn on(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let Some(bytes) = buffer.get(..length) else { return };
            if !self.may_pass(bytes) || to.write_all(bytes).await.is_err() {
                return;
            }
        }
    }

    fn may_pass(&self, bytes: &[u8]) -> bool {
        let mut state = lock(&self.state);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let State { up, down, cut_up, cut_down, lose, cuts, .. } = &mut *state;
        let (passed, cut) = match self.direction {
            Direction::Up => (up, cut_up),
            Direction::Down => (down, cut_down),
        };
        *passed = passed.saturating_add(length);
        if let Some(left) = cut.last_mut() {
            *left = left.saturating_sub(length);
            if *left == 0 {
                cut.pop();
                *cuts = cuts.saturating_add(1);
                return false;
            }
        }
        match self.direction {
            Direction::Up => {
                let text = String::from_utf8_lossy(bytes);
                if let Some(found) = lose.iter().position(|wanted| text.contains(wanted.as_str())) {
                    lose.remove(found);
                    *lock(&self.silent) = true;
                }
                true
            }
            Direction::Down if *lock(&self.silent) => {
                *cuts = cuts.saturating_add(1);
                false
            }
            Direction::Down => true,
        }
    }
}

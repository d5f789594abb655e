//! A connection to Redis, over TCP or a Unix socket: commands and answers (RESP 2), and the raw bytes of a snapshot. It waits patiently, but not longer
//! than the session lasts.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};

use crate::drivers::{DriverError, Trouble};
use crate::session::Session;

const CONNECT: Duration = Duration::from_secs(10);
/// The server sends a sign of life every few seconds while it prepares a snapshot.
const SILENCE: Duration = Duration::from_secs(90);
const GLANCE: Duration = Duration::from_millis(200);
const LONGEST_ANSWER: u64 = 16 * 1024 * 1024;

/// An open connection.
pub(super) struct Connection {
    place: String,
    stream: BufReader<Patient>,
}

impl Connection {
    pub(super) fn open(host: &str, port: u16, session: &Session) -> Result<Self, DriverError> {
        let place = format!("Redis at {host}:{port}");
        let unreachable = |error: io::Error| {
            DriverError::of(Trouble::Unreachable, format!("{place} cannot be reached: {error}"))
        };
        session.check()?;
        let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
        for address in (host, port).to_socket_addrs().map_err(unreachable)? {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(GLANCE)).map_err(unreachable)?;
                    stream.set_write_timeout(Some(SILENCE)).map_err(unreachable)?;
                    return Ok(Self::over(Stream::Tcp(stream), place, session));
                }
                Err(error) => last = error,
            }
        }
        Err(unreachable(last))
    }

    /// As [`Self::open`], over a Unix socket.
    pub(super) fn open_socket(path: &Path, session: &Session) -> Result<Self, DriverError> {
        let place = format!("Redis at {}", path.display());
        session.check()?;
        let stream = UnixStream::connect(path).and_then(|stream| {
            stream.set_read_timeout(Some(GLANCE))?;
            stream.set_write_timeout(Some(SILENCE))?;
            Ok(Stream::Unix(stream))
        });
        let unreachable = |error| {
            DriverError::of(Trouble::Unreachable, format!("{place} cannot be reached: {error}"))
        };
        Ok(Self::over(stream.map_err(unreachable)?, place.clone(), session))
    }

    fn over(stream: Stream, place: String, session: &Session) -> Self {
        Self { place, stream: BufReader::new(Patient { stream, session: session.clone() }) }
    }

    /// Says who we are; without a password nothing is said.
    pub(super) fn authenticate(
        &mut self,
        user: Option<&str>,
        password: Option<&SecretString>,
    ) -> Result<(), DriverError> {
        let Some(password) = password.map(ExposeSecret::expose_secret) else { return Ok(()) };
        match user {
            Some(user) => self.command(&["AUTH", user, password]).map(drop),
            None => self.command(&["AUTH", password]).map(drop),
        }
    }

    /// One command; its answer as text, the parts of an array as lines.
    pub(super) fn command(&mut self, words: &[&str]) -> Result<Vec<String>, DriverError> {
        self.send(words)?;
        match self.answer()? {
            Answer::Text(lines) => Ok(lines),
            Answer::Refusal(text) => Err(self.refused(words.first().copied().unwrap_or_default(), &text)),
        }
    }

    /// A command some servers do not know; false: it was refused.
    pub(super) fn try_command(&mut self, words: &[&str]) -> Result<bool, DriverError> {
        self.send(words)?;
        Ok(matches!(self.answer()?, Answer::Text(_)))
    }

    pub(super) fn send(&mut self, words: &[&str]) -> Result<(), DriverError> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
        let sent = match &mut self.stream.get_mut().stream {
            Stream::Tcp(stream) => stream.write_all(&bytes),
            Stream::Unix(stream) => stream.write_all(&bytes),
        };
        sent.map_err(|e| self.broken(e))
    }

    /// A line of the protocol without its end.
    pub(super) fn line(&mut self) -> Result<String, DriverError> {
        let mut line = Vec::new();
        let read = (&mut self.stream).take(LONGEST_ANSWER).read_until(b'\n', &mut line);
        match read {
            Ok(0) => Err(self.broken(ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(String::from_utf8_lossy(&line).trim_end().to_owned()),
            Err(error) => Err(self.broken(error)),
        }
    }

    /// Bytes of a snapshot; zero at the end of the connection.
    pub(super) fn bytes(&mut self, target: &mut [u8]) -> Result<usize, DriverError> {
        self.stream.read(target).map_err(|e| self.broken(e))
    }

    /// An error the server has answered with.
    pub(super) fn refused(&self, command: &str, text: &str) -> DriverError {
        let trouble = match text.split(' ').next().unwrap_or_default() {
            "NOAUTH" | "WRONGPASS" | "NOPERM" | "DENIED" => Trouble::AccessDenied,
            "LOADING" | "MASTERDOWN" | "NOMASTERLINK" => Trouble::Unreachable,
            // Redis 5 and older.
            _ if text.starts_with("ERR invalid password") => Trouble::AccessDenied,
            _ if command == "AUTH" => Trouble::AccessDenied,
            _ => Trouble::Failed,
        };
        DriverError::of(trouble, format!("{} refuses {command}: {text}", self.place))
    }

    pub(super) fn broken(&self, error: io::Error) -> DriverError {
        match error.kind() {
            ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                if self.stream.get_ref().session.stopped().is_some() =>
            {
                DriverError::Stopped
            }
            ErrorKind::UnexpectedEof => {
                DriverError::of(Trouble::Unreachable, format!("{} closed the connection", self.place))
            }
            _ => DriverError::of(
                Trouble::Unreachable,
                format!("the connection to {} is lost: {error}", self.place),
            ),
        }
    }

    fn answer(&mut self) -> Result<Answer, DriverError> {
        let line = self.line()?;
        let unclear = || DriverError::data_service(format!("{} gives an unclear answer", self.place));
        let (kind, rest) = line.split_at_checked(1).ok_or_else(unclear)?;
        match kind {
            "+" | ":" => Ok(Answer::Text(vec![rest.to_owned()])),
            "-" => Ok(Answer::Refusal(rest.to_owned())),
            "$" => {
                let length: i64 = rest.parse().map_err(|_| unclear())?;
                let Ok(length) = usize::try_from(length) else { return Ok(Answer::Text(Vec::new())) };
                let mut bytes = Vec::new();
                let whole = u64::try_from(length).unwrap_or(u64::MAX).saturating_add(2).min(LONGEST_ANSWER);
                let read = (&mut self.stream).take(whole).read_to_end(&mut bytes);
                read.map_err(|e| self.broken(e))?;
                bytes.truncate(length);
                Ok(Answer::Text(vec![String::from_utf8_lossy(&bytes).into_owned()]))
            }
            "*" => {
                let count: i64 = rest.parse().map_err(|_| unclear())?;
                let mut lines = Vec::new();
                for _ in 0..count {
                    match self.answer()? {
                        Answer::Text(more) => lines.extend(more),
                        refusal @ Answer::Refusal(_) => return Ok(refusal),
                    }
                }
                Ok(Answer::Text(lines))
            }
            _ => Err(unclear()),
        }
    }
}

enum Answer {
    Text(Vec<String>),
    Refusal(String),
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Looks up from waiting now and then, to see whether the session is stopped.
struct Patient {
    stream: Stream,
    session: Session,
}

impl Read for Patient {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let since = Instant::now();
        loop {
            let read = match &mut self.stream {
                Stream::Tcp(stream) => stream.read(target),
                Stream::Unix(stream) => stream.read(target),
            };
            match read {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if self.session.stopped().is_some() {
                        return Err(ErrorKind::ConnectionAborted.into());
                    }
                    if since.elapsed() > SILENCE {
                        return Err(ErrorKind::TimedOut.into());
                    }
                }
                read => return read,
            }
        }
    }
}

//! The least of an HTTP client: one request, or an answer of any length that is counted and thrown away.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Where to ask, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// `host:port`.
    pub(crate) address: String,
    /// The value of `Authorization`.
    pub(crate) authorization: String,
}

/// What reading a long answer took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drained {
    /// Bytes on the wire.
    pub(crate) bytes: u64,
    /// From the request to the last byte.
    pub(crate) time: Duration,
}

impl Client {
    /// The body of a successful answer.
    ///
    /// # Errors
    /// When the answer is no 2xx.
    pub(crate) fn ask(&self, method: &str, path: &str) -> anyhow::Result<String> {
        let mut answer = Vec::new();
        self.send(method, path, "")?.read_to_end(&mut answer)?;
        successful(method, path, answer)
    }

    /// The body of a successful answer to a `PUT` with this JSON.
    ///
    /// # Errors
    /// When the answer is no 2xx.
    pub(crate) fn put(&self, path: &str, json: &str) -> anyhow::Result<String> {
        let mut answer = Vec::new();
        self.send("PUT", path, json)?.read_to_end(&mut answer)?;
        successful("PUT", path, answer)
    }

    /// Reads a streamed answer to its end and forgets it.
    ///
    /// # Errors
    /// When the answer is no 2xx or breaks off.
    pub(crate) fn drain(&self, path: &str) -> anyhow::Result<Drained> {
        let began = Instant::now();
        let mut stream = self.send("GET", path, "")?;
        let mut buffer = vec![0_u8; 256 * 1024];
        let (mut bytes, mut tail, mut head) = (0_u64, Vec::<u8>::new(), Vec::<u8>::new());
        loop {
            let count = stream.read(&mut buffer)?;
            let read = buffer.get(..count).unwrap_or_default();
            if read.is_empty() {
                break;
            }
            bytes = bytes.saturating_add(u64::try_from(count)?);
            head.extend(read.iter().take(12_usize.saturating_sub(head.len())));
            tail.extend(read.iter().skip(count.saturating_sub(5)));
            tail.drain(..tail.len().saturating_sub(5));
        }
        if !head.starts_with(b"HTTP/1.1 2") || tail != b"0\r\n\r\n" {
            bail!("the answer to GET {path} is an error or broke off after {bytes} bytes");
        }
        Ok(Drained { bytes, time: began.elapsed() })
    }

    fn send(&self, method: &str, path: &str, json: &str) -> anyhow::Result<TcpStream> {
        let Self { address, authorization } = self;
        let mut stream =
            TcpStream::connect(address).with_context(|| format!("nobody answers on {address}"))?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: {authorization}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{json}",
            json.len()
        );
        stream.write_all(head.as_bytes())?;
        Ok(stream)
    }
}

fn successful(method: &str, path: &str, answer: Vec<u8>) -> anyhow::Result<String> {
    let answer = String::from_utf8(answer)?;
    if !answer.starts_with("HTTP/1.1 2") {
        bail!("{method} {path} was answered: {answer}");
    }
    Ok(answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

//! TCP, and just enough of HTTP to tell answers apart.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than the server bears anybody who says nothing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// What came back.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) bytes: Vec<u8>,
    /// The server ended the connection.
    pub(crate) is_closed: bool,
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Sends bytes and listens until the server closes.
pub(crate) async fn talk(address: SocketAddr, bytes: &[u8]) -> Heard {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    // A server that has heard enough may close before it has all.
    let writing = async { drop(writer.write_all(bytes).await) };
    let ((), heard) = tokio::join!(writing, listen(&mut reader, PATIENCE));
    heard
}

/// Sends bytes and goes away without listening; returns once the server has seen that.
pub(crate) async fn say_and_leave(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    listen(&mut stream, PATIENCE).await;
}

/// Reads until the end or for so long.
pub(crate) async fn listen(stream: &mut (impl AsyncReadExt + Unpin), patience: Duration) -> Heard {
    let mut bytes = Vec::new();
    let is_closed = timeout(patience, async {
        let mut piece = [0; 16 * 1024];
        while let Ok(count) = stream.read(&mut piece).await
            && count > 0
        {
            bytes.extend_from_slice(&piece[..count]);
        }
    })
    .await
    .is_ok();
    Heard { bytes, is_closed }
}

impl Heard {
    /// Every answer; the connection has to have ended after the last one.
    pub(crate) fn replies(&self, attempt: &str) -> Vec<Reply> {
        assert!(self.is_closed, "{attempt}: still open after {}", String::from_utf8_lossy(&self.bytes));
        let mut rest = self.bytes.as_slice();
        let mut all = Vec::new();
        while !rest.is_empty() {
            let (reply, left) = Reply::parse(rest)
                .unwrap_or_else(|| panic!("{attempt}: not an answer: {}", String::from_utf8_lossy(rest)));
            all.push(reply);
            rest = left;
        }
        all
    }
}

impl Reply {
    fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut reply = Self { status, headers, body: Vec::new() };
        let mut rest = &bytes[end + 4..];
        if reply.header("transfer-encoding") == Some("chunked") {
            loop {
                let line = rest.windows(2).position(|window| window == b"\r\n")?;
                let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).ok()?, 16).ok()?;
                reply.body.extend_from_slice(rest.get(line + 2..line + 2 + size)?);
                rest = rest.get(line + 4 + size..)?;
                if size == 0 {
                    break;
                }
            }
        } else {
            let length = reply.header("content-length").map_or(Some(0), |text| text.parse().ok())?;
            reply.body = rest.get(..length)?.to_vec();
            rest = &rest[length..];
        }
        Some((reply, rest))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body: String = String::from_utf8_lossy(&self.body).chars().take(400).collect();
        write!(f, "{} {:?} {body}", self.status, self.headers)
    }
}

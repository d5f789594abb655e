//! moto: an S3 server with versioning, object lock and retention. It accepts any credentials.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::child::{Server, installed};

/// Version of moto and of everything it needs.
const REQUIREMENTS: &str = include_str!("../moto/requirements.txt");

/// A running moto.
pub struct Moto {
    server: Server,
}

impl Moto {
    /// Starts it; none when it is not installed.
    ///
    /// # Errors
    /// When it is installed but does not start.
    pub fn start() -> anyhow::Result<Option<Self>> {
        let version = REQUIREMENTS.lines().find_map(|line| line.strip_prefix("moto=="));
        let version = version.context("no version of moto is pinned")?;
        let Some(program) = installed(&format!("moto-{version}/bin/moto_server")) else { return Ok(None) };
        let server = Server::start(&program, &["-H", "127.0.0.1", "-p", "0"], "Running on ")?;
        Ok(Some(Self { server }))
    }

    /// The address for a client's configuration.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// Sends a request without a body, for example to make a bucket; returns the answer's body.
    ///
    /// # Errors
    /// When it is not answered with success.
    pub fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> anyhow::Result<String> {
        let host = self.url().trim_start_matches("http://");
        let mut connection = TcpStream::connect(host)?;
        connection.set_read_timeout(Some(Duration::from_secs(30)))?;
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        write!(
            connection,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, \
             Signature=none\r\n{headers}\r\n{body}"
        )?;
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        if !answer.starts_with("HTTP/1.1 2") {
            bail!("{method} {path}: {answer}");
        }
        Ok(answer.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned()))
    }
}

//! Azurite: Microsoft's server that speaks the protocol of Azure Blob Storage, with its well-known test account. Its
//! telemetry is switched off.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::child::{Server, installed};

const PACKAGE: &str = include_str!("../azurite/package.json");

/// A running Azurite with one container.
pub struct Azurite {
    server: Server,
}

impl Azurite {
    /// The account.
    pub const ACCOUNT: &str = "devstoreaccount1";
    /// The account's key, which is the same in all copies of this server and no secret.
    pub const KEY: &str =
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
    /// The container.
    pub const CONTAINER: &str = "backups";

    /// Starts it and makes the container; none when it is not installed.
    ///
    /// # Errors
    /// When it is installed but does not start.
    pub fn start() -> anyhow::Result<Option<Self>> {
        let version = PACKAGE.split("\"azurite\": \"").nth(1).and_then(|rest| rest.split('"').next());
        let version = version.context("no version of azurite is pinned")?;
        let program = format!("azurite-{version}/node_modules/.bin/azurite-blob");
        let Some(program) = installed(&program) else { return Ok(None) };
        let arguments = [
            "--blobHost",
            "127.0.0.1",
            "--blobPort",
            "0",
            "--inMemoryPersistence",
            "--disableTelemetry",
            "--skipApiVersionCheck",
        ];
        let server = Server::start(&program, &arguments, "successfully listens on ")?;
        let azurite = Self { server };
        azurite.make_container()?;
        Ok(Some(azurite))
    }

    /// The address for a client's configuration: with the account in the path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/{}", self.server.url, Self::ACCOUNT)
    }

    fn make_container(&self) -> anyhow::Result<()> {
        let (account, container) = (Self::ACCOUNT, Self::CONTAINER);
        let date = httpdate::fmt_http_date(SystemTime::now());
        let signed = format!(
            "PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:2021-08-06\n/{account}/{account}/{container}\n\
             restype:container"
        );
        let mut mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode(Self::KEY)?)?;
        mac.update(signed.as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let host = self.server.url.trim_start_matches("http://");
        let mut connection = TcpStream::connect(host)?;
        connection.set_read_timeout(Some(Duration::from_secs(30)))?;
        write!(
            connection,
            "PUT /{account}/{container}?restype=container HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
             Content-Length: 0\r\nx-ms-date: {date}\r\nx-ms-version: 2021-08-06\r\n\
             Authorization: SharedKey {account}:{signature}\r\n\r\n"
        )?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        if !answer.starts_with("HTTP/1.1 201") {
            bail!("no container: {answer}");
        }
        Ok(())
    }
}

//! An S3 server in this process, over a temporary directory: real signatures, checksums, ranges and multipart uploads; no
//! versions and no object lock.

use std::net::SocketAddr;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A running server with one bucket; ended when dropped.
pub struct S3Server {
    address: SocketAddr,
    directory: TempDir,
    serving: JoinHandle<()>,
}

impl S3Server {
    /// Name of the bucket.
    pub const BUCKET: &str = "backups";
    /// The only access key id.
    pub const KEY_ID: &str = "AKTESTKEYID";
    /// Its secret.
    pub const SECRET: &str = "test-secret-of-forty-characters-or-fewer";

    /// Starts a server on a free port of the loopback interface, inside a Tokio runtime.
    ///
    /// # Errors
    /// When the directory or the port cannot be had.
    pub async fn start() -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        std::fs::create_dir(directory.path().join(Self::BUCKET))?;
        let files = s3s_fs::FileSystem::new(directory.path()).map_err(|e| anyhow::anyhow!("{e:?}"))?;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(Self::KEY_ID, Self::SECRET));
        let service = service.build();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let serving = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let server = Builder::new(TokioExecutor::new());
                    // A client that goes away is no matter.
                    let _ = server.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Ok(Self { address, directory, serving })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address for a client's configuration.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The directory that holds the bucket's objects as files.
    #[must_use]
    pub fn bucket_directory(&self) -> std::path::PathBuf {
        self.directory.path().join(Self::BUCKET)
    }

    /// How many pieces of unfinished multipart uploads there are.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn unfinished_pieces(&self) -> std::io::Result<usize> {
        let mut pieces: usize = 0;
        for file in std::fs::read_dir(self.directory.path())? {
            let name = file?.file_name().to_string_lossy().into_owned();
            pieces = pieces.saturating_add(usize::from(name.starts_with(".upload_id-")));
        }
        Ok(pieces)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

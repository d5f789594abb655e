//! A server that begins as a copy of another one and follows it.

use anyhow::{Context, bail};

use crate::options::Options;
use crate::server::Server;

/// What a standby calls itself at its primary.
pub(crate) const NAME: &str = "standby";

impl Server {
    /// Copies the running primary (`pg_basebackup`) and starts a hot standby that streams from it.
    pub(crate) fn standby_of(primary: &Self, options: Options) -> anyhow::Result<Self> {
        let mut server = Self::without_data(options)?;
        server.copy(primary)?;
        server.launch_on_free_port()?;
        Ok(server)
    }

    fn copy(&self, primary: &Self) -> anyhow::Result<()> {
        let password =
            primary.password().map(|password| format!(" password={}", quoted(password))).unwrap_or_default();
        let connection =
            format!("host=127.0.0.1 port={} user=postgres application_name={NAME}{password}", primary.port());
        let output = self
            .program("pg_basebackup")
            .args(["--checkpoint=fast", "--wal-method=stream", "--no-sync", "--write-recovery-conf"])
            .arg("--pgdata")
            .arg(self.data())
            .arg("--dbname")
            .arg(connection)
            .output()
            .context("pg_basebackup cannot be started")?;
        if !output.status.success() {
            bail!("pg_basebackup failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

/// A value of libpq's connection string.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

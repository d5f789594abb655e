//! Two servers as production runs them: a primary, and a standby that streams from it synchronously, so that nothing
//! committed is lost when the one dies and the other takes over. Begin reading at [`Pair`].
//!
//! There is no automatic failover here: whoever holds the pair decides, as a cluster manager would.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::options::Options;
use crate::server::Server;
use crate::standby::NAME;

/// How long a server may take to follow or to take over on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A primary and its synchronous standby on two ports that stay theirs; stopped and removed when dropped.
///
/// While there is a standby, each commit waits for it. After [`Pair::fail_over`] and [`Pair::kill_standby`] the primary works alone
/// until [`Pair::rebuild_standby`].
#[derive(Debug)]
pub struct Pair {
    options: Options,
    ports: (u16, u16),
    clock_seconds: i64,
    primary: Server,
    standby: Option<Server>,
    /// The primary before the last failover: its directory and port are kept until it is rebuilt.
    dead: Option<Server>,
}

impl Pair {
    /// Starts both and waits until the standby is synchronous. A port among the options is the first server's;
    /// with [`Options::clock`] both have a clock of their own, moved together.
    ///
    /// # Errors
    /// When one of them does not come up.
    pub fn start(options: Options) -> anyhow::Result<Self> {
        let options = with_replication(options);
        let primary = Server::start_with(options.clone())?;
        let standby = Server::standby_of(&primary, Options { port: None, ..options.clone() })?;
        let pair = Self {
            options,
            ports: (primary.port(), standby.port()),
            clock_seconds: 0,
            primary,
            standby: Some(standby),
            dead: None,
        };
        pair.demand_standby()?;
        Ok(pair)
    }

    /// A connection URL that names both servers and leads to the one that takes writes; the same for the pair's whole life.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let password = self.primary.password().map(|password| format!(":{password}")).unwrap_or_default();
        let (first, second) = self.ports;
        format!(
            "postgres://postgres{password}@127.0.0.1:{first},127.0.0.1:{second}/{database}\
             ?target_session_attrs=read-write&connect_timeout=2"
        )
    }

    /// The server that takes writes at the moment.
    #[must_use]
    pub fn primary(&self) -> &Server {
        &self.primary
    }

    /// The server that follows, if there is one.
    #[must_use]
    pub fn standby(&self) -> Option<&Server> {
        self.standby.as_ref()
    }

    /// Creates an empty database.
    ///
    /// # Errors
    /// When it exists or the server refuses.
    pub fn create_database(&self, name: &str) -> anyhow::Result<()> {
        self.primary.create_database(name)
    }

    /// Runs SQL at the primary, see [`Server::psql`]. Waits for ever while the primary is paused.
    ///
    /// # Errors
    /// With what `psql` printed.
    pub fn psql(&self, database: &str, sql: &str) -> anyhow::Result<String> {
        self.primary.psql(database, sql)
    }

    /// Sets both wall clocks this many seconds ahead of the machine's, or behind it; also of a standby rebuilt later.
    ///
    /// # Errors
    /// When they have none of their own ([`Options::clock`]).
    pub fn set_clock(&mut self, seconds: i64) -> anyhow::Result<()> {
        self.clock_seconds = seconds;
        self.primary.set_clock(seconds)?;
        self.standby.as_ref().map_or(Ok(()), |standby| standby.set_clock(seconds))
    }

    /// Kills the primary (all its processes, running or paused) and starts it again; waits until the standby is synchronous again.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart_primary(&mut self) -> anyhow::Result<()> {
        self.primary.kill()?;
        self.primary.resume()?;
        // What was committed in the last moment becomes visible now, and must not be lost by a failover.
        self.standby.as_ref().map_or(Ok(()), |_| self.wait_until_synchronous())
    }

    /// Stops all processes of the primary (`SIGSTOP`), which keeps its connections and answers nobody.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn pause_primary(&mut self) -> anyhow::Result<()> {
        self.primary.pause()
    }

    /// Lets the primary go on (`SIGCONT`).
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn resume_primary(&mut self) -> anyhow::Result<()> {
        self.primary.unpause()
    }

    /// Kills the primary (running or paused), makes the standby the primary and waits until it takes writes. From then on it works alone.
    ///
    /// # Errors
    /// When there is no standby, or it cannot be promoted.
    pub fn fail_over(&mut self) -> anyhow::Result<()> {
        if self.standby.is_none() {
            bail!("there is no standby to fail over to: rebuild it first");
        }
        self.primary.kill()?;
        let standby = self.standby.take().context("there was a standby")?;
        self.dead = Some(std::mem::replace(&mut self.primary, standby));
        let promoted = self.primary.psql("postgres", "SELECT pg_promote(wait => false)")?;
        if promoted != "t" {
            bail!("the standby refuses to be promoted");
        }
        self.wait_for("take writes", "SELECT NOT pg_is_in_recovery()")
    }

    /// Kills the standby; the primary works alone from then on.
    ///
    /// # Errors
    /// When a server cannot be signalled or asked.
    pub fn kill_standby(&mut self) -> anyhow::Result<()> {
        if let Some(mut standby) = self.standby.take() {
            standby.kill()?;
            self.dead = Some(standby);
        }
        self.set_synchronous("")
    }

    /// Makes the dead server (or the standby, which is killed first) a synchronous standby again: a fresh copy of the primary on the
    /// old port. The primary takes writes meanwhile.
    ///
    /// # Errors
    /// When the copy fails or the standby does not follow.
    pub fn rebuild_standby(&mut self) -> anyhow::Result<()> {
        self.kill_standby()?;
        let (first, second) = self.ports;
        let port = if self.primary.port() == first { second } else { first };
        // Its directory and its port are free after this.
        self.dead = None;
        let options = Options { port: Some(port), ..self.options.clone() };
        let standby = Server::standby_of(&self.primary, options)?;
        if self.options.has_clock {
            standby.set_clock(self.clock_seconds)?;
        }
        self.standby = Some(standby);
        self.demand_standby()
    }

    /// Lets commits wait for the standby, once it streams.
    fn demand_standby(&self) -> anyhow::Result<()> {
        let streams = format!(
            "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE application_name = '{NAME}' AND state = 'streaming')"
        );
        self.wait_for("be followed by a standby", &streams)?;
        self.set_synchronous(NAME)?;
        self.wait_until_synchronous()
    }

    fn set_synchronous(&self, name: &str) -> anyhow::Result<()> {
        let sql = format!(
            "ALTER SYSTEM SET synchronous_standby_names = '{name}';\nSELECT pg_reload_conf() \\g /dev/null"
        );
        self.primary.psql("postgres", &sql).map(drop)
    }

    /// Waits until the standby has everything that is committed now.
    fn wait_until_synchronous(&self) -> anyhow::Result<()> {
        let position = self.primary.psql("postgres", "SELECT pg_current_wal_flush_lsn()")?;
        let has_it = format!(
            "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync' AND flush_lsn >= '{position}')"
        );
        self.wait_for("have a synchronous standby", &has_it)
    }

    fn wait_for(&self, what: &str, question: &str) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        while self.primary.psql("postgres", question)? != "t" {
            if Instant::now() > until {
                bail!(
                    "the primary did not {what} within {PATIENCE:?}; its log is {}",
                    self.primary.log_file().display()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

/// Settings of both servers: commits wait for the disk of the standby, a standby that was away finds what it missed, and the loss of a
/// connection (also to a clock that jumps) is noticed and repaired within seconds.
fn with_replication(options: Options) -> Options {
    let settings = [
        ("synchronous_commit", "on"),
        ("wal_keep_size", "1GB"),
        ("wal_sender_timeout", "10s"),
        ("wal_receiver_timeout", "10s"),
        ("wal_retrieve_retry_interval", "200ms"),
    ];
    let mut options = options;
    // First, so that the caller's come later and win.
    let own = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    options.settings.splice(0..0, own);
    options
}

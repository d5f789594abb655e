//! How a private server differs from the plain one of a test.

/// What a caller may choose; [`Default`] is what tests want.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// True: fsync and synchronous commits as in production. False (tests): as fast as possible, lost with the machine.
    pub durable: bool,
    /// The TCP port on 127.0.0.1; none chooses a free one.
    pub port: Option<u16>,
    /// The superuser's password; none trusts everybody who reaches the loopback interface.
    pub password: Option<String>,
    /// Further server settings, for example `("max_connections", "200")`.
    pub settings: Vec<(String, String)>,
    /// True: the server has a wall clock of its own, which [`crate::Server::set_clock`] moves.
    pub has_clock: bool,
}

impl Options {
    /// Fsync and synchronous commits as in production.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Listens on this port of 127.0.0.1.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Demands this password of the superuser and of everybody else (SCRAM).
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Sets one server setting.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Gives the server a wall clock of its own, see [`crate::clock`].
    #[must_use]
    pub fn clock(mut self) -> Self {
        self.has_clock = true;
        self
    }

    pub(crate) fn all_settings(&self) -> Vec<(String, String)> {
        let mut all: Vec<(String, String)> = if self.durable {
            vec![("max_wal_size".into(), "2GB".into())]
        } else {
            ["fsync", "synchronous_commit", "full_page_writes"]
                .into_iter()
                .map(|name| (name.to_owned(), "off".to_owned()))
                .collect()
        };
        all.push(("max_connections".into(), "200".into()));
        all.extend(self.settings.iter().cloned());
        all
    }
}

//! What can go wrong between the queue and its database. Errors of the jobs themselves are [`crate::JobError`].

/// An error of the queue.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The job is no longer held by this lease: it expired and was rescued, or the job is over. Retrying cannot help.
    #[error("the lease on the job was lost")]
    LeaseLost,
    /// Postgres refused a statement or could not be reached. Retrying helps when it was away.
    #[error("the queue's database did not carry out a statement")]
    Database(#[from] diesel::result::Error),
    /// No connection came from the pool in time. Retrying helps.
    #[error("the queue got no database connection")]
    Pool(#[from] diesel::r2d2::PoolError),
    /// The database could not be reached. Retrying helps.
    #[error("the queue could not connect to its database")]
    Connection(#[from] diesel::ConnectionError),
    /// A schedule's cron expression or time zone cannot be read. Retrying cannot help.
    #[error("schedule `{name}` cannot be read: {reason}")]
    Schedule {
        /// Name of the schedule.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A unique key kept appearing and vanishing under our hands. Retrying helps.
    #[error("the unique key `{0}` is contended")]
    Contended(String),
    /// A blocking database call was cut off because the program stops.
    #[error("a database call was cut off")]
    CutOff(#[from] tokio::task::JoinError),
}

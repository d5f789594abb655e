//! What monitoring wants to know, in one short transaction however long the history is: what runs and waits, the queues, and
//! what the last complete reconciliation has found.

use backup_queue::overview::{QueueOverview, queues};
use chrono::{DateTime, Utc};

use crate::domain::reconciliation::Reconciliation;
use crate::manager::Manager;
use crate::store::operations::{self, UnfinishedCounts};
use crate::store::pitr::{self, PitrCounts};
use crate::store::places::{self, BrokerPlaces};
use crate::store::{self, reconciliations, rehearsals};
use crate::{Result, jobs};

/// The numbers of one moment.
#[derive(Debug, Clone)]
pub struct Measurements {
    /// The database's clock.
    pub now: DateTime<Utc>,
    /// Backups, restores and rehearsals that are not over.
    pub unfinished: UnfinishedCounts,
    /// Places under the limits of running backups, by broker.
    pub places: Vec<BrokerPlaces>,
    /// Good backups of which a rehearsal has said that they cannot be relied upon.
    pub not_restorable: i64,
    /// The queues.
    pub queues: Vec<QueueOverview>,
    /// Instances to which moments are promised.
    pub moments: PitrCounts,
    /// The last reconciliation of everything that came to its end.
    pub reconciliation: Option<Reconciliation>,
}

/// Reads them. Every statement is answered from an index of what is unfinished, or from a handful of rows.
pub async fn measure(manager: &Manager) -> Result<Measurements> {
    manager
        .database
        .transaction(|conn| {
            Ok(Measurements {
                now: store::now(conn)?,
                unfinished: operations::count_unfinished(conn)?,
                places: places::count(conn)?,
                not_restorable: rehearsals::count_not_restorable(conn)?,
                queues: queues(conn, &jobs::QUEUES)?,
                moments: pitr::count(conn)?,
                reconciliation: reconciliations::find_last_complete(conn)?,
            })
        })
        .await
}

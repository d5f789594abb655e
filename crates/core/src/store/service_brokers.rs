//! What is remembered of each service broker.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::prelude::*;

use super::schema::service_brokers;
use crate::Result;
use crate::domain::identifiers::ServiceBrokerId;

/// A broker's row, locked until the end of the transaction: one synchronisation of a broker at a time.
#[derive(Debug, Clone)]
pub struct BrokerRecord {
    /// Its number.
    pub id: ServiceBrokerId,
    /// End of the last complete listing.
    pub last_synchronised_at: Option<DateTime<Utc>>,
    /// Why the last listing failed, if it did.
    pub last_error: Option<String>,
}

impl BrokerRecord {
    /// Whether it has said after `since` which instances exist, and did so when it was last asked.
    pub fn is_synchronised_since(&self, since: DateTime<Utc>) -> bool {
        self.last_synchronised_at.is_some_and(|at| at > since) && self.last_error.is_none()
    }
}

/// A broker's name, the end of its last complete listing, and the error of its last one.
pub type FailedListing = (String, Option<DateTime<Utc>>, String);

/// Locks the row of the broker called `name`, creating it at first sight.
pub fn lock(conn: &mut PgConnection, name: &str) -> Result<BrokerRecord> {
    diesel::insert_into(service_brokers::table)
        .values(service_brokers::name.eq(name))
        .on_conflict(service_brokers::name)
        .do_nothing()
        .execute(conn)?;
    let (id, last_synchronised_at, last_error) = service_brokers::table
        .filter(service_brokers::name.eq(name))
        .select((service_brokers::id, service_brokers::last_synchronised_at, service_brokers::last_error))
        .for_update()
        .get_result::<(i64, _, _)>(conn)?;
    Ok(BrokerRecord { id: ServiceBrokerId(id), last_synchronised_at, last_error })
}

/// Records the outcome of a listing: `None` for a complete one, else why it failed.
pub fn update_outcome(conn: &mut PgConnection, id: ServiceBrokerId, error: Option<&str>) -> Result<()> {
    let target = diesel::update(service_brokers::table.find(id.0));
    match error {
        None => target
            .set((
                service_brokers::last_synchronised_at.eq(diesel::dsl::now),
                service_brokers::last_error.eq(None::<String>),
                service_brokers::updated_at.eq(diesel::dsl::now),
            ))
            .execute(conn)?,
        Some(error) => target
            .set((service_brokers::last_error.eq(error), service_brokers::updated_at.eq(diesel::dsl::now)))
            .execute(conn)?,
    };
    Ok(())
}

/// Name, last complete listing and last error of every broker whose last listing failed.
pub fn list_failed(conn: &mut PgConnection) -> Result<Vec<FailedListing>> {
    Ok(service_brokers::table
        .filter(service_brokers::last_error.is_not_null())
        .select((
            service_brokers::name,
            service_brokers::last_synchronised_at,
            service_brokers::last_error.assume_not_null(),
        ))
        .order(service_brokers::name)
        .load(conn)?)
}

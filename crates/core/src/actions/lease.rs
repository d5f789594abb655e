//! What a job writes, it writes while it holds its lease.

use backup_queue::Lease;
use diesel::PgConnection;

use crate::Result;
use crate::manager::Manager;

/// Does `work` in one transaction that confirms the lease first; [`crate::Error::LeaseLost`] when it is lost.
pub(super) async fn within_lease<T: Send + 'static>(
    manager: &Manager,
    lease: &Lease,
    work: impl FnOnce(&mut PgConnection) -> Result<T> + Send + 'static,
) -> Result<T> {
    let lease = lease.clone();
    let work = move |conn: &mut PgConnection| {
        lease.confirm(conn)?;
        work(conn)
    };
    manager.database.transaction(work).await
}

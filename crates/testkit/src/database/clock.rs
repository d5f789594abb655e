//! The movable clock: everything the product does with time compares stored timestamps with the database's `now()`, so
//! shifting what is stored into the past is the same as waiting.

use std::time::Duration;

use anyhow::Context;
use diesel::connection::SimpleConnection;

use super::Database;

/// Shifts each `timestamptz` column of each table of the product. Triggers are off: this is not something that happens to the
/// rows, it is time that passes.
const ADVANCE: &str = "
DO $advance$
DECLARE
    shifted record;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR shifted IN
        SELECT c.oid::regclass AS name, string_agg(format('%1$I = %1$I - interval ''{}''', a.attname), ', ') AS changes
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
          AND a.atttypid = 'timestamptz'::regtype
        GROUP BY c.oid
        ORDER BY c.oid
    LOOP
        EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', shifted.name);
        EXECUTE format('UPDATE %s SET %s', shifted.name, shifted.changes);
    END LOOP;
END
$advance$";

impl Database {
    /// Lets the given time pass for everything that is stored: due jobs become due, leases and deadlines expire, backups age.
    ///
    /// # Errors
    /// When daemons at work on the same rows win the lock several times in a row.
    pub fn advance(&self, time: Duration) -> anyhow::Result<()> {
        let sql = ADVANCE.replace("{}", &format!("{} microseconds", time.as_micros()));
        let mut connection = self.connection()?;
        let mut result = connection.batch_execute(&sql);
        for _ in 0..5 {
            if result.is_ok() {
                break;
            }
            result = connection.batch_execute(&sql);
        }
        result.context("the clock cannot be moved")
    }
}

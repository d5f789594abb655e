//! Room on a full disk. `DROP DATABASE` wants a checkpoint, and a checkpoint wants to write pages of other databases that
//! have no place on the disk yet: PostgreSQL makes the files of a new database with holes. So on a disk a restore has filled
//! nothing can be dropped, and what a failed `DROP DATABASE` leaves cannot be connected to any more. A dropped table gives
//! its space back at once, without a checkpoint.

use super::leftovers::Leftover;
use super::programs::Programs;
use crate::drivers::DriverError;
use crate::session::Session;

/// Drops what takes space, the largest first. No code of the databases' owners runs: `DROP TABLE` calls no triggers of a
/// table, and event triggers go first, which are not called for that.
const EMPTY: &str = "
SET session_replication_role = replica; SET client_min_messages = error;
DO $do$ DECLARE name text; BEGIN FOR name IN SELECT evtname FROM pg_event_trigger LOOP
  EXECUTE format('DROP EVENT TRIGGER %I CASCADE', name); END LOOP; END $do$;
DO $do$ DECLARE what text; BEGIN
  FOR what IN SELECT CASE relkind WHEN 'm' THEN 'MATERIALIZED VIEW ' WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END
      || oid::regclass FROM pg_class WHERE relkind IN ('r', 'm', 'S') AND oid >= 16384 AND relpersistence <> 't'
      AND relnamespace <> 'pg_toast'::regnamespace ORDER BY pg_total_relation_size(oid) DESC NULLS LAST LOOP
    BEGIN EXECUTE 'DROP ' || what || ' CASCADE'; EXCEPTION WHEN OTHERS THEN NULL; END;
    COMMIT;
  END LOOP;
END $do$;
SET allow_system_table_mods = on;
DO $do$ BEGIN TRUNCATE pg_largeobject; EXCEPTION WHEN OTHERS THEN NULL; END $do$;
";

/// Makes room for dropping these databases, when the server needs it. What is not made here is made by others.
pub(super) fn make(programs: &Programs, session: &Session, open: &str, leftovers: &[&Leftover]) {
    if leftovers.is_empty() {
        return;
    }
    let Err(error) = programs.restore_sql(session, open, "CHECKPOINT;\n".to_owned()) else { return };
    tracing::warn!(%error, "the server cannot write its pages; leftovers of a restore are emptied before they are dropped");
    for leftover in leftovers.iter().filter(|leftover| leftover.can_be_entered()) {
        if let Err(error) = empty(leftover, programs, session, open) {
            tracing::warn!(%error, "a leftover of a restore is not emptied");
        }
    }
}

fn empty(leftover: &Leftover, programs: &Programs, session: &Session, open: &str) -> Result<(), DriverError> {
    leftover.let_us_in(programs, session, open)?;
    programs.restore_sql(session, leftover.name(), EMPTY.to_owned()).map(drop)
}

//! A base backup: `pg_basebackup` to its standard output, with the log it needs to be consistent and a manifest of
//! checksums.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::Physical;
use crate::drivers::files::place::failed;
use crate::drivers::postgresql::quote::literal;
use crate::drivers::{DriverError, Trouble};
use crate::session::{RunningProgram, Session};

/// Manifests came with 13, and so did the refusal to end a recovery before its target.
const OLDEST: u32 = 130_000;
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes the base backup to `out`.
pub(super) fn backup(physical: &Physical, session: &Session, out: &mut dyn Write) -> Result<(), DriverError> {
    check(physical, session)?;
    // The archive's slot moves on while the base is read; this one keeps the log that `pg_basebackup` fetches at its end.
    let kept = Kept::keep(physical, session)?;
    let programs = &physical.programs;
    let program = programs.program("pg_basebackup", &programs.settings().maintenance_database)?;
    let program = program.arg("--pgdata=-").arg("--format=tar").arg("--wal-method=fetch").arg("--checkpoint=fast");
    let mut running = program.arg("--label=backup-agent").piped_stdout().start(session)?;
    if let Some(mut pipe) = running.stdout() {
        io::copy(&mut pipe, out).map_err(DriverError::Stream)?;
    }
    running.finish()?;
    kept.release();
    Ok(())
}

/// Refuses what a base backup would not contain, or a restore not understand.
fn check(physical: &Physical, session: &Session) -> Result<(), DriverError> {
    let programs = &physical.programs;
    let open = programs.open_database(session)?;
    let sql = "SELECT current_setting('server_version_num');\nSELECT current_setting('wal_level');\n\
               SELECT current_setting('data_directory');\nSELECT coalesce(string_agg(spcname, ', '), '') \
               FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global');";
    let answer = programs.sql(session, &open, sql.to_owned())?;
    let mut lines = answer.lines().map(str::trim);
    let mut next = || lines.next().unwrap_or_default();
    let (version, wal_level, directory, tablespaces) = (next(), next(), next(), next());
    let number: u32 = version.parse().unwrap_or(0);
    if number < OLDEST {
        let message = format!("physical backups need PostgreSQL 13 or newer, the server has {version}");
        return Err(DriverError::of(Trouble::WrongVersion, message));
    }
    programs.fitting(session, number / 10_000)?;
    if wal_level == "minimal" {
        let message = "wal_level is minimal; set it to replica and restart the server";
        return Err(DriverError::of(Trouble::Failed, message));
    }
    if !tablespaces.is_empty() {
        let message = format!("physical backups of a server with tablespaces of its own ({tablespaces}) are not supported");
        return Err(DriverError::of(Trouble::Failed, message));
    }
    let configured = physical.place.directory();
    let found = std::fs::canonicalize(directory).map_err(failed("find", directory.as_ref()))?;
    if found != configured {
        let message = format!("the server's data directory is {directory}, not {}", configured.display());
        return Err(DriverError::of(Trouble::Failed, message));
    }
    Ok(())
}

/// A temporary slot, which ends with the connection that made it.
struct Kept {
    connection: RunningProgram,
    input: Option<std::process::ChildStdin>,
}

impl Kept {
    fn keep(physical: &Physical, session: &Session) -> Result<Self, DriverError> {
        let programs = &physical.programs;
        let open = programs.open_database(session)?;
        let name = literal(&format!("{}_base", physical.settings.slot));
        let mut connection = programs.psql(&open)?.piped_stdin().start(session)?;
        let mut input = connection.stdin();
        if let Some(pipe) = &mut input {
            let sql = format!("SELECT pg_create_physical_replication_slot({name}, true, true);\n");
            pipe.write_all(sql.as_bytes()).and_then(|()| pipe.flush()).map_err(DriverError::Stream)?;
        }
        let until = Instant::now() + PATIENCE;
        let there = format!("SELECT count(*) FROM pg_replication_slots WHERE slot_name = {name} AND active;");
        while programs.sql(session, &open, there.clone())?.trim() != "1" {
            if connection.has_ended() || Instant::now() > until {
                drop(input);
                connection.finish()?;
                return Err(DriverError::data_service("the log cannot be kept for the base backup"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Self { connection, input })
    }

    fn release(self) {
        drop(self.input);
        if let Err(error) = self.connection.finish() {
            tracing::warn!(%error, "the connection that kept the log for a base backup ended early");
        }
    }
}

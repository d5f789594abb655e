//! What the archive of the log asks the server: where it is, the replication slot, and the log itself, which
//! `pg_receivewal` writes into a directory until it is stopped.

use std::path::Path;

use chrono::{DateTime, SubsecRound, Utc};
use serde::Deserialize;

use super::Physical;
use crate::drivers::postgresql::quote::literal;
use crate::drivers::{DriverError, Trouble};
use crate::session::Session;

/// `clock_timestamp()` stands before everything else, so that what was committed by then is before the position.
const POSITION: &str = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"');
SELECT json_build_object(
  'lsn', (pg_current_wal_insert_lsn() - '0/0')::bigint,
  'timeline', ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int,
  'system', (SELECT system_identifier::text FROM pg_control_system()),
  'segment_size', (SELECT bytes_per_wal_segment FROM pg_control_init()),
  'slot', (SELECT json_build_object('active', active, 'status', coalesce(wal_status, 'lost'),
           'behind', coalesce(pg_current_wal_lsn() - restart_lsn, 0)::bigint)
           FROM pg_replication_slots WHERE slot_name = {SLOT}));";

/// The header of a segment's first page. A position there means that nothing is written to the segment.
const HEADER: u64 = 40;

/// Where the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// By the server's clock, in whole milliseconds: what was committed by then is before [`Answer::lsn`].
    pub(crate) time: DateTime<Utc>,
    /// The position in the log and whose log it is.
    pub(crate) at: Answer,
}

/// What the server says of its log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Answer {
    /// Bytes from the beginning of the log.
    pub(crate) lsn: u64,
    /// The timeline that is written.
    pub(crate) timeline: u32,
    /// The cluster's identifier; the same after a restore.
    pub(crate) system: String,
    /// Bytes of a segment.
    pub(crate) segment_size: u64,
    /// The agent's slot; none when there is no slot of that name.
    pub(crate) slot: Option<Slot>,
}

/// The agent's replication slot.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Slot {
    /// Somebody receives from it.
    pub(crate) active: bool,
    /// `lost`: the server has removed log that was not received yet.
    pub(crate) status: String,
    /// Bytes the server keeps for the slot.
    pub(crate) behind: u64,
}

impl Position {
    /// The segment being written.
    pub(crate) fn segment(&self) -> u64 {
        self.at.lsn.checked_div(self.at.segment_size).unwrap_or(0)
    }

    /// Whether anything stands in the segment being written.
    pub(crate) fn has_begun(&self) -> bool {
        self.at.lsn.checked_rem(self.at.segment_size).unwrap_or(0) > HEADER
    }

    /// The last segment with anything that was written by this position.
    pub(crate) fn last_segment(&self) -> u64 {
        self.segment().saturating_sub(u64::from(!self.has_begun()))
    }
}

impl Physical {
    /// Asks the server where it is.
    ///
    /// # Errors
    /// When it does not answer or is a standby.
    pub(crate) fn position(&self, session: &Session) -> Result<Position, DriverError> {
        let open = self.programs.open_database(session)?;
        let sql = POSITION.replace("{SLOT}", &literal(&self.settings.slot));
        let answer = self.programs.sql(session, &open, sql)?;
        let unclear = |why: String| DriverError::data_service(format!("the position of the log is unclear: {why}"));
        let (time, at) = answer.split_once('\n').ok_or_else(|| unclear(answer.clone()))?;
        let time = DateTime::parse_from_rfc3339(time.trim()).map_err(|e| unclear(e.to_string()))?;
        let at: Answer = serde_json::from_str(at).map_err(|e| unclear(e.to_string()))?;
        if !(1 << 20..=64 << 20).contains(&at.segment_size) {
            let message = "segments of the log above 64 MB are not supported (wal_segment_size)";
            return Err(DriverError::of(Trouble::WrongVersion, message));
        }
        Ok(Position { time: time.to_utc().trunc_subsecs(3), at })
    }

    /// Closes the current segment, so that it can be archived.
    ///
    /// # Errors
    /// When the server refuses.
    pub(crate) fn switch_segment(&self, session: &Session) -> Result<(), DriverError> {
        let open = self.programs.open_database(session)?;
        self.programs.sql(session, &open, "SELECT pg_switch_wal();".to_owned()).map(drop)
    }

    /// Makes a new slot, which keeps the log from here on, in the place of an old one.
    ///
    /// # Errors
    /// When the server refuses, for example because `max_replication_slots` are used up.
    pub(crate) fn renew_slot(&self, session: &Session) -> Result<(), DriverError> {
        self.drop_slot(session)?;
        let open = self.programs.open_database(session)?;
        let sql = format!("SELECT pg_create_physical_replication_slot({}, true);", literal(&self.settings.slot));
        self.programs.sql(session, &open, sql).map(drop)
    }

    /// Drops the slot, if it is there: the server need not keep the log any longer. Whoever receives from it is ended.
    ///
    /// # Errors
    /// When the server refuses.
    pub(crate) fn drop_slot(&self, session: &Session) -> Result<(), DriverError> {
        let open = self.programs.open_database(session)?;
        let slot = literal(&self.settings.slot);
        let sql = format!(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = {slot} AND active;\n\
             SELECT pg_sleep(0.2) FROM pg_replication_slots WHERE slot_name = {slot} AND active;\n\
             SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = {slot};"
        );
        self.programs.sql(session, &open, sql).map(drop)
    }

    /// Receives the log into a directory until the session is stopped or the connection breaks. Whole segments have
    /// their plain names there, the one being received ends with `.partial`.
    ///
    /// # Errors
    /// Why it ended.
    pub(crate) fn receive(&self, session: &Session, directory: &Path) -> Result<(), DriverError> {
        let program = self.programs.program("pg_receivewal", &self.programs.settings().maintenance_database)?;
        let program = program.arg("--no-loop").arg("--status-interval=5").arg("--directory").arg(directory);
        program.arg("--slot").arg(&self.settings.slot).start(session)?.finish()
    }
}

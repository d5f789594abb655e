//! `backupctl audit`

use std::num::NonZeroUsize;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};
use clap::Args;

const AFTER_HELP: &str = "\
Examples:
  backupctl audit --instance 7c9e6679-7425-40de-944b-e07fc1f90ae7
  backupctl audit --actor worker --action remove_backup --since 7d
  backupctl audit --since '2026-02-01 01:30' --before 2026-02-02 --output json

Actions:
  request_backup, request_backup_all, request_restore, cancel_backup, cancel_restore,
  delete_backup, undelete_backup, download_backup, configure_instance,
  rebuild_catalogue, request_reconciliation
                   a user has asked for it
  mark_backup      retention marked a backup; it can be undeleted for a while
  remove_backup    a backup is gone, from the store and from the list
  clean_up_backup  what a failed backup had left in the store is gone
  repair_difference
                   what a reconciliation with repairs has done
  delete_instance  a service broker said that an instance is deleted
  adopt_backup     a backup that was found in its store got a row

The actor is the name of a user, or worker for what the manager did by itself.
The request's id, which the manager's log has too, is shown where there is room
for it, and by --output json.";

/// Which events `audit` shows.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct AuditArgs {
    /// Only what concerned this service instance
    #[arg(long, value_name = "GUID")]
    pub instance: Option<String>,
    /// Only what this user did, or worker
    #[arg(long, value_name = "NAME")]
    pub actor: Option<String>,
    /// Only events of this kind, see below
    #[arg(long, value_name = "ACTION")]
    pub action: Option<String>,
    /// Only what happened then or later: a time (UTC unless it says otherwise) or so long ago, for example 2h
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<String>,
    /// Only what happened earlier than then, in the same form
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub before: Option<String>,
    /// At most so many, the newest
    #[arg(long, value_name = "NUMBER", default_value = "100")]
    pub limit: NonZeroUsize,
}

/// Reads a moment, or how long ago it was by the clock of this host, into the form of the API.
fn moment(text: &str) -> Result<String, String> {
    let formats = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"];
    let spaced = || formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let date = || text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0);
    let ago = || {
        let ago = chrono::Duration::from_std(humantime::parse_duration(text).ok()?).ok()?;
        Utc::now().checked_sub_signed(ago)
    };
    let moment = DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.to_utc());
    let moment = moment.or_else(|| spaced().or_else(date).map(|moment| moment.and_utc())).or_else(ago);
    moment.map(|moment| moment.to_rfc3339_opts(SecondsFormat::Millis, true)).ok_or_else(|| {
        "give a duration like 2h or 7d, a date like 2026-02-01, or a time like '2026-02-01 01:30' or 2026-02-01T01:30:00Z"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_understood_in_every_usual_form() {
        for (text, expected) in [
            ("2026-02-01", "2026-02-01T00:00:00.000Z"),
            ("2026-02-01 01:30", "2026-02-01T01:30:00.000Z"),
            ("2026-02-01 01:30:07", "2026-02-01T01:30:07.000Z"),
            ("2026-02-01T01:30:07.209Z", "2026-02-01T01:30:07.209Z"),
            ("2026-02-01T01:30:07+02:00", "2026-01-31T23:30:07.000Z"),
        ] {
            assert_eq!(moment(text).unwrap(), expected, "{text}");
        }
        let two_hours_ago = Utc::now() - chrono::Duration::hours(2);
        let found: DateTime<Utc> = moment("2h").unwrap().parse().unwrap();
        assert!((found - two_hours_ago).num_seconds().abs() < 60);
    }

    #[test]
    fn what_is_no_moment_is_refused_with_the_forms() {
        for text in ["yesterday", "2026-02-30", "", "999999999y", "2"] {
            assert!(moment(text).unwrap_err().contains("a duration like 2h"), "{text}");
        }
    }
}

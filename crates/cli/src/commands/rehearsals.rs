//! `backupctl backups verify`, and what is shown of it with a backup.

use reqwest::Method;
use serde_json::{Value, json};

use super::{acknowledge, id_of, parse};
use crate::api::{ApiClient, Backup, Rehearsal};
use crate::args::WaitArgs;
use crate::error::Error;
use crate::output::{Screen, one_line, span, time, time_or_dash};
use crate::wait::{self, Operation, Unit};

/// What a rehearsal does before it loads anything, and after it has.
const BEFORE_BYTES: &str = "checking the stored bytes";

pub(super) async fn request(
    client: &ApiClient,
    screen: &mut Screen,
    instance: &str,
    backup: i64,
    args: &WaitArgs,
) -> Result<(), Error> {
    let backup = backup.to_string();
    let path = ["instances", instance, "backups", &backup, "rehearse"];
    let answer = client.send(Method::POST, &path, &json!({})).await?;
    let id = id_of(&answer)?.to_string();
    let show_command = format!("backupctl backups show {instance} {backup}");
    if !args.wait {
        return acknowledge(screen, &answer, &format!("Rehearsal {id} is queued. See: {show_command}"));
    }
    let operation = Operation {
        name: format!("Rehearsal {id}"),
        before_bytes: Some(BEFORE_BYTES),
        unit: Unit::Bytes,
        path: vec!["instances", instance, "rehearsals", &id],
        show: show_command,
    };
    let rehearsal = wait::until_ended(client, screen, &operation, args).await?;
    show(screen, &rehearsal)
}

fn show(screen: &mut Screen, answer: &Value) -> Result<(), Error> {
    if screen.wants_json() {
        return screen.json(answer);
    }
    let rehearsal: Rehearsal = parse(answer)?;
    let mut fields = vec![
        ("Rehearsal", rehearsal.id.to_string()),
        ("Of backup", rehearsal.backup_id.to_string()),
        ("Status", one_line(&rehearsal.status)),
        ("Finished (UTC)", time_or_dash(rehearsal.finished_at.as_deref())),
        ("Took", span(rehearsal.started_at.as_deref(), rehearsal.finished_at.as_deref())),
    ];
    if let Some(restore) = rehearsal.restore_ms {
        fields.push(("The restore took", seconds(restore)));
    }
    for check in &rehearsal.checks {
        fields.push(("Check", one_line(&format!("{} {}: {}", check.name, check.outcome, check.detail))));
    }
    screen.fields(&fields)
}

/// For a column.
pub(super) fn in_short(backup: &Backup) -> String {
    let verdict = backup.verification.as_ref().map(|verification| verification.verdict.as_str());
    match (verdict, backup.last_verified_at.as_deref()) {
        (Some("passed"), at) => time_or_dash(at),
        (Some(other), _) => one_line(&other.to_uppercase()),
        (None, _) => "-".to_owned(),
    }
}

/// For a line; nothing for a backup that was never rehearsed to an end.
pub(super) fn in_words(backup: &Backup) -> Option<String> {
    let verification = backup.verification.as_ref()?;
    let at = backup.last_verified_at.as_deref().map(time);
    let took = verification.restore_ms.map(|took| format!(", restored in {}", seconds(took)));
    Some(match (verification.verdict.as_str(), at) {
        ("passed", Some(at)) => format!("{at}{}", took.unwrap_or_default()),
        (other, Some(at)) => one_line(&format!("{other}; it had passed at {at}")),
        (other, None) => one_line(other),
    })
}

fn seconds(milliseconds: u64) -> String {
    let (whole, tenths) = (milliseconds.div_euclid(1000), milliseconds.rem_euclid(1000).div_euclid(100));
    format!("{whole}.{tenths} s")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Verification;

    fn backup(verdict: Option<&str>, at: Option<&str>) -> Backup {
        let verification =
            verdict.map(|verdict| Verification { verdict: verdict.to_owned(), restore_ms: Some(33_150) });
        Backup { verification, last_verified_at: at.map(str::to_owned), ..Backup::default() }
    }

    #[test]
    fn a_bad_verdict_is_louder_than_an_older_good_one() {
        let at = Some("2026-11-22T10:00:00.000Z");
        assert_eq!(in_words(&backup(None, None)), None);
        assert!(in_words(&backup(Some("passed"), at)).unwrap().ends_with("restored in 33.1 s"));
        assert_eq!(in_words(&backup(Some("failed"), None)).unwrap(), "failed");
        assert!(in_words(&backup(Some("failed"), at)).unwrap().starts_with("failed; it had passed at 2026"));
        assert_eq!(
            (in_short(&backup(None, None)), in_short(&backup(Some("failed"), at))),
            ("-".into(), "FAILED".into())
        );
    }
}

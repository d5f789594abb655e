//! `backupctl explain`

use super::parse;
use crate::api::{ApiClient, Explanation};
use crate::error::Error;
use crate::output::{Screen, one_line, since, time_or_dash};

/// Says why the next backup of an instance has not started.
pub(super) async fn run(client: &ApiClient, screen: &mut Screen, guid: &str) -> Result<(), Error> {
    let answer = client.get(&["instances", guid, "explain"], &[]).await?;
    if screen.wants_json() {
        return screen.json(&answer);
    }
    let found: Explanation = parse(&answer)?;
    screen.sentence(&format!("{}.", capital(&found.summary)))?;
    let mut fields = vec![("Reason", one_line(&found.reason))];
    if found.since.is_some() {
        fields.push(("For", since(found.since.as_deref())));
    }
    if let Some(behind) = &found.behind {
        let what = if behind.is_running { "runs" } else { "waits" };
        let how_long = since(Some(&behind.since));
        fields.push(("Behind", format!("{} {}, {what} for {how_long}", one_line(&behind.kind), behind.id)));
    }
    if let Some(limit) = &found.limit {
        fields.push(("Limit", format!("{}: {} of {}", one_line(&limit.name), limit.running, limit.value)));
        fields.push(("Ahead of the same owner", limit.ahead.to_string()));
    }
    if let Some(attempts) = &found.attempts {
        fields.push(("Attempts", format!("{} of {}", attempts.made, attempts.of)));
        fields.push(("Last error", attempts.last_error.as_deref().map_or_else(|| "-".to_owned(), one_line)));
    }
    if found.next_at.is_some() {
        fields.push(("Next step (UTC)", time_or_dash(found.next_at.as_deref())));
    }
    fields.push(("Next by the schedule (UTC)", time_or_dash(found.next_scheduled_at.as_deref())));
    screen.fields(&fields)?;
    match &found.advice {
        Some(advice) => {
            screen.sentence(&format!("What to do: {}.", one_line(advice).replace("GUID", &one_line(guid))))
        }
        None => Ok(()),
    }
}

/// With a capital letter.
fn capital(text: &str) -> String {
    let text = one_line(text);
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

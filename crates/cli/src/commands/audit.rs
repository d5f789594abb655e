//! `backupctl audit`: who did what to which instance, from where.

use serde_json::Value;

use super::parse;
use crate::api::{ApiClient, AuditEvent};
use crate::args::AuditArgs;
use crate::error::Error;
use crate::output::{Screen, Table, one_line, time_or_dash};

/// Most events the manager answers at once.
const PAGE: usize = 1000;
/// Longest second line of an event, which has a margin, in a terminal of 80 columns.
const LONGEST_LINE: usize = 76;

pub(super) async fn run(client: &ApiClient, screen: &mut Screen, args: &AuditArgs) -> Result<(), Error> {
    let answer = fetch(client, args).await?;
    if screen.wants_json() {
        return screen.json(&Value::Array(answer));
    }
    let events = answer.iter().map(parse).collect::<Result<Vec<AuditEvent>, Error>>()?;
    let table = table(&events, args);
    if screen.has_room_for(&table) {
        screen.table(table, "Nothing of this kind has happened.")?;
    } else {
        for event in &events {
            print(screen, event)?;
        }
    }
    if events.len() < args.limit.get() {
        return Ok(());
    }
    screen
        .remark(&format!("There may be more: these are the newest {}, see --limit and --before.", args.limit))
}

/// Page by page, as many as are wanted.
async fn fetch(client: &ApiClient, args: &AuditArgs) -> Result<Vec<Value>, Error> {
    let mut all = Vec::new();
    let mut before_id: Option<String> = None;
    loop {
        let wanted = args.limit.get().saturating_sub(all.len()).min(PAGE);
        let limit = wanted.to_string();
        let optional = [
            ("instance_id", &args.instance),
            ("actor", &args.actor),
            ("action", &args.action),
            ("since", &args.since),
            ("before", &args.before),
            ("before_id", &before_id),
        ];
        let mut query = vec![("limit", limit.as_str())];
        query.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))));
        let Value::Array(page) = client.get(&["v2", "audit"], &query).await? else {
            return Err(Error::Answer("a list of events was expected".into()));
        };
        let is_last = page.len() < wanted;
        before_id = page.last().map(parse::<AuditEvent>).transpose()?.map(|event| event.id.to_string());
        all.extend(page);
        if is_last || before_id.is_none() || all.len() >= args.limit.get() {
            return Ok(all);
        }
    }
}

/// The instance has no column of its own when it was asked for.
fn table(events: &[AuditEvent], args: &AuditArgs) -> Table {
    let mut header = vec!["TIME (UTC)", "ACTOR", "ADDRESS", "ACTION"];
    header.extend(args.instance.is_none().then_some("INSTANCE"));
    header.extend(["SUBJECT", "REQUEST"]);
    let mut table = Table::new(&header).wrapping(&["SUBJECT"]).droppable(&["REQUEST"]);
    for event in events {
        let event = event.clone();
        let mut row =
            vec![time_or_dash(event.at.as_deref()), event.actor, or_dash(event.address), event.action];
        row.extend(args.instance.is_none().then(|| or_dash(event.instance_id)));
        row.extend([event.subject.unwrap_or_default(), or_dash(event.request_id)]);
        table.row(row);
    }
    table
}

/// For a terminal that is too narrow for a GUID beside the rest: two or three lines per event.
fn print(screen: &mut Screen, event: &AuditEvent) -> Result<(), Error> {
    let from = event.address.as_deref().map(|address| format!(" from {}", one_line(address)));
    screen.line(&format!(
        "{}  {}  {}{}",
        time_or_dash(event.at.as_deref()),
        one_line(&event.action),
        one_line(&event.actor),
        from.unwrap_or_default()
    ))?;
    let parts = [event.instance_id.as_deref(), event.subject.as_deref()];
    let parts: Vec<_> = parts.into_iter().flatten().map(one_line).collect();
    let together = parts.join(": ");
    let lines = if together.len() <= LONGEST_LINE { vec![together] } else { parts };
    lines.iter().try_for_each(|line| screen.line(&format!("    {line}")))
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

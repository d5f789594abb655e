//! `backupctl catalogue …`: backups that lie in a store and have no row.

use reqwest::Method;
use serde_json::{Map, Value};

use super::{acknowledge, id_of, parse};
use crate::api::{ApiClient, Rebuild, RebuildFinding};
use crate::args::{CatalogueCommand, RebuildArgs};
use crate::error::Error;
use crate::output::{Screen, Table, one_line, span, time_or_dash};
use crate::wait::{self, Operation, Unit};

/// Most findings the manager answers at once.
const PAGE: usize = 1000;
/// So many findings are shown to a person; `--output json` has all.
const SHOWN: usize = 200;

pub(super) async fn run(
    client: &ApiClient,
    screen: &mut Screen,
    command: &CatalogueCommand,
) -> Result<(), Error> {
    match command {
        CatalogueCommand::Rebuild(args) => rebuild(client, screen, args).await,
        CatalogueCommand::Show { id } => {
            let id = id.to_string();
            let rebuild = client.get(&["v2", "catalogue", "rebuilds", &id], &[]).await?;
            show(client, screen, &id, rebuild).await
        }
    }
}

async fn rebuild(client: &ApiClient, screen: &mut Screen, args: &RebuildArgs) -> Result<(), Error> {
    let mut body = Map::new();
    body.insert("dry_run".to_owned(), args.dry_run.into());
    if let Some(store) = &args.store {
        body.insert("store".to_owned(), store.as_str().into());
    }
    let path = ["v2", "catalogue", "rebuild"];
    let answer = client.send(Method::POST, &path, &Value::Object(body)).await?;
    let id = id_of(&answer)?.to_string();
    let show_command = format!("backupctl catalogue show {id}");
    if !args.wait.wait {
        return acknowledge(screen, &answer, &format!("Rebuild {id} is queued. See: {show_command}"));
    }
    let operation = Operation {
        name: format!("Rebuild {id}"),
        before_bytes: Some("asking the brokers and counting folders"),
        unit: Unit::Folders,
        path: vec!["v2", "catalogue", "rebuilds", &id],
        show: show_command,
    };
    let ended = wait::until_ended(client, screen, &operation, &args.wait).await?;
    show(client, screen, &id, ended).await
}

async fn show(client: &ApiClient, screen: &mut Screen, id: &str, answer: Value) -> Result<(), Error> {
    let findings = fetch(client, id, if screen.wants_json() { usize::MAX } else { SHOWN }).await?;
    if screen.wants_json() {
        let mut answer = answer;
        if let Some(fields) = answer.as_object_mut() {
            fields.insert("findings".to_owned(), Value::Array(findings));
        }
        return screen.json(&answer);
    }
    let rebuild: Rebuild = parse(&answer)?;
    let findings = findings.iter().map(parse).collect::<Result<Vec<RebuildFinding>, Error>>()?;
    print(screen, &rebuild, &findings)
}

/// Page by page, at most so many.
async fn fetch(client: &ApiClient, id: &str, wanted: usize) -> Result<Vec<Value>, Error> {
    let mut all = Vec::new();
    let mut after = 0;
    loop {
        let (limit, after_id) = (PAGE.min(wanted).to_string(), i64::to_string(&after));
        let path = ["v2", "catalogue", "rebuilds", id, "findings"];
        let query = [("after_id", after_id.as_str()), ("limit", limit.as_str())];
        let Value::Array(page) = client.get(&path, &query).await? else {
            return Err(Error::Answer("a list of findings was expected".into()));
        };
        let is_last = page.len() < PAGE;
        after = page.last().map(parse::<RebuildFinding>).transpose()?.map_or(after, |finding| finding.id);
        all.extend(page);
        if is_last || all.len() >= wanted {
            return Ok(all);
        }
    }
}

fn print(screen: &mut Screen, rebuild: &Rebuild, findings: &[RebuildFinding]) -> Result<(), Error> {
    let mut table = Table::new(&["OUTCOME", "INSTANCE", "BACKUP", "STORE", "DETAIL"])
        .wrapping(&["DETAIL"])
        .droppable(&["STORE", "INSTANCE"]);
    for finding in findings {
        table.row([
            finding.outcome.clone(),
            finding.instance_id.clone().unwrap_or_else(|| "-".to_owned()),
            finding.backup_id.clone(),
            finding.store.clone(),
            finding.detail.clone().unwrap_or_default(),
        ]);
    }
    screen.table(table, "No backup without a row was found.")?;
    let found: i64 = rebuild.outcomes.values().sum();
    let mut fields = vec![
        ("Rebuild", rebuild.id.to_string()),
        ("Status", one_line(&rebuild.status)),
        ("Dry run", if rebuild.dry_run { "yes" } else { "no" }.to_owned()),
        ("Store", rebuild.store.as_deref().map_or_else(|| "all".to_owned(), one_line)),
        ("Requested (UTC)", time_or_dash(rebuild.requested_at.as_deref())),
        ("Took", span(rebuild.started_at.as_deref(), rebuild.finished_at.as_deref())),
        ("Folders", format!("{} of {}", rebuild.folders_done, rebuild.folders_total)),
        ("Had a row", rebuild.known.to_string()),
        ("Had none", found.to_string()),
    ];
    let counts: Vec<_> =
        rebuild.outcomes.iter().map(|(outcome, count)| format!("{count} {}", one_line(outcome))).collect();
    fields.extend((!counts.is_empty()).then(|| ("Of these", counts.join(", "))));
    fields.extend(rebuild.msg.as_deref().map(|msg| ("Message", one_line(msg))));
    screen.fields(&fields)?;
    if i64::try_from(findings.len()).is_ok_and(|shown| shown < found) {
        screen.remark("These are the first findings; see all with --output json.")?;
    }
    Ok(())
}

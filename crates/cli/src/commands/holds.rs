//! `backupctl hold` and `backupctl release`: backups that nobody deletes.

use reqwest::Method;
use serde_json::{Map, Value};

use super::{acknowledge, parse};
use crate::api::{ApiClient, Hold};
use crate::args::{HoldArgs, ReleaseArgs};
use crate::error::Error;
use crate::output::{Screen, one_line, time};

pub(super) async fn hold(client: &ApiClient, screen: &mut Screen, args: &HoldArgs) -> Result<(), Error> {
    let mut body = Map::new();
    body.insert("reason".to_owned(), Value::from(args.reason.as_str()));
    if let Some(until) = &args.until {
        body.insert("until".to_owned(), Value::from(until.as_str()));
    }
    let id = args.id.to_string();
    let path = ["instances", &args.instance, "backups", &id, "hold"];
    let answer = client.send(Method::PUT, &path, &Value::Object(body)).await?;
    let held: Hold = parse(&answer)?;
    let end = match &held.until {
        Some(until) => format!("until {} UTC", time(until)),
        None => format!("until: backupctl release {} {id}", one_line(&args.instance)),
    };
    acknowledge(screen, &answer, &format!("Backup {id} is held {end}"))
}

pub(super) async fn release(
    client: &ApiClient,
    screen: &mut Screen,
    args: &ReleaseArgs,
) -> Result<(), Error> {
    let id = args.id.to_string();
    let answer = client.delete(&["instances", &args.instance, "backups", &id, "hold"]).await?;
    let next = format!(
        "Backup {id} is not held. See what retention makes of it: backupctl retention --instance {}",
        one_line(&args.instance)
    );
    acknowledge(screen, &answer, &next)
}

/// A hold on one line; nothing for a backup that is not held.
pub(super) fn in_words(hold: Option<&Hold>) -> Option<String> {
    let hold = hold?;
    let until = hold.until.as_deref().map(|until| format!(", until {} UTC", time(until)));
    Some(one_line(&format!("{} (by {}{})", hold.reason, hold.by, until.unwrap_or_default())))
}

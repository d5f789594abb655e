//! What each command does: ask the manager, print the answer, say what to do next.

mod audit;
mod backups;
mod catalogue;
mod download;
mod explain;
mod hash_password;
mod holds;
mod instances;
mod operator;
mod queues;
mod reconcile;
mod rehearsals;
mod restores;
mod stores;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::ApiClient;
use crate::args::{Cli, Command};
use crate::error::Error;
use crate::output::Screen;
use crate::settings::Settings;

/// Runs a parsed command line.
pub async fn run(cli: Cli, screen: &mut Screen) -> Result<(), Error> {
    let client = || ApiClient::new(Settings::resolve(&cli.connection)?);
    match &cli.command {
        Command::HashPassword => hash_password::run(screen, cli.connection.password_file.as_deref()),
        Command::Health => {
            operator::health(&ApiClient::new(Settings::anonymous(&cli.connection)?)?, screen).await
        }
        Command::Instances(command) => instances::run(&client()?, screen, command).await,
        Command::Explain { instance } => explain::run(&client()?, screen, instance).await,
        Command::Backups(command) => backups::run(&client()?, screen, command).await,
        Command::Hold(args) => holds::hold(&client()?, screen, args).await,
        Command::Release(args) => holds::release(&client()?, screen, args).await,
        Command::Restores(command) => restores::run(&client()?, screen, command).await,
        Command::Queues(args) => queues::run(&client()?, screen, args).await,
        Command::Retention(args) => operator::retention(&client()?, screen, args).await,
        Command::Audit(args) => audit::run(&client()?, screen, args).await,
        Command::Reconcile(args) => reconcile::run(&client()?, screen, args).await,
        Command::Catalogue(command) => catalogue::run(&client()?, screen, command).await,
        Command::Stores(command) => stores::run(&client()?, screen, command).await,
        Command::BackupAll => operator::backup_all(&client()?, screen).await,
    }
}

/// Understands an answer, or a part of it.
fn parse<T: DeserializeOwned>(answer: &Value) -> Result<T, Error> {
    T::deserialize(answer).map_err(|error| Error::Answer(error.to_string()))
}

/// The number a creating request answered.
fn id_of(answer: &Value) -> Result<i64, Error> {
    answer
        .get("id")
        .and_then(Value::as_i64)
        .ok_or_else(|| Error::Answer("the answer to the request carries no id".into()))
}

/// Prints the answer of a request whose success says it all.
fn acknowledge(screen: &mut Screen, answer: &Value, what_now: &str) -> Result<(), Error> {
    if screen.wants_json() {
        return screen.json(answer);
    }
    screen.line(what_now)
}

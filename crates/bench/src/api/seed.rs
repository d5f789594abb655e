//! Fills the database past the product: a history of a million backups cannot be made by making backups.

use super::requests::{
    BACKUP_BASE, BACKUP_GUID, Fleet, GUID, INSTANCE_BASE, KEY_BASE, NEW_BASE, NUMBER_BASE,
};
use super::stage::{DATABASE, Stage};

/// Instances with their keys, and the oldest backup of each.
pub(super) fn instances(stage: &Stage, fleet: &Fleet) -> anyhow::Result<()> {
    let sql = include_str!("seed_instances.sql");
    run(stage, fleet, sql)?;
    backups(stage, fleet, 0, 0)
}

/// The rest of the backups, and a plausible number of restores.
pub(super) fn history(stage: &Stage, fleet: &Fleet) -> anyhow::Result<()> {
    backups(stage, fleet, 1, fleet.generations().saturating_sub(1))?;
    run(stage, fleet, include_str!("seed_restores.sql"))
}

fn backups(stage: &Stage, fleet: &Fleet, first: u32, last: u32) -> anyhow::Result<()> {
    let sql = include_str!("seed_backups.sql")
        .replace("{first}", &first.to_string())
        .replace("{last}", &last.to_string());
    run(stage, fleet, &sql)
}

fn run(stage: &Stage, fleet: &Fleet, sql: &str) -> anyhow::Result<()> {
    let values = [
        ("{instances}", fleet.instances.to_string()),
        ("{generations}", fleet.generations().to_string()),
        ("{guid}", GUID.to_owned()),
        ("{backup_guid}", BACKUP_GUID.to_owned()),
        ("{number}", NUMBER_BASE.to_string()),
        ("{instance}", INSTANCE_BASE.to_string()),
        ("{backup}", BACKUP_BASE.to_string()),
        ("{key}", KEY_BASE.to_string()),
        ("{new}", NEW_BASE.to_string()),
    ];
    let sql = values.iter().fold(sql.to_owned(), |sql, (name, value)| sql.replace(name, value));
    stage.server.psql(DATABASE, &sql).map(drop)
}

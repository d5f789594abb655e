//! The backups of a store, from their `metadata.json`.

use std::io::Write;

use backup_objects::{BackupFolder, Metadata, Store, StoreErrorKind};
use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::{FetchError, OutputFormat};

const LARGEST_METADATA: u64 = 64 * 1024 * 1024;
const HEADER: [&str; 6] = ["BACKUP ID", "INSTANCE", "DRIVER", "FINISHED (UTC)", "SIZE", "FORM"];

/// Prints all backups below the prefix. Folders without metadata are no backups; those whose metadata cannot be used are
/// named on standard error.
pub(super) async fn print(store: &Store, prefix: &str, format: OutputFormat) -> Result<(), FetchError> {
    let mut found = Vec::new();
    let guids = store.folders(prefix).await?;
    let store = super::find::patient(store);
    for guid in guids {
        let above = format!("{prefix}/{guid}");
        for id in store.folders(&above).await? {
            match read(&store, &above, &id).await? {
                Read::Backup(metadata) => found.push((above.clone(), *metadata)),
                Read::Nothing => {}
                Read::Unusable(why) => super::output::remark(&format!("{above}/{id}: {why}")),
            }
        }
    }
    let text = match format {
        OutputFormat::Table => table(&found),
        OutputFormat::Json => {
            let all: Vec<Value> = found.iter().map(|(above, metadata)| as_json(above, metadata)).collect();
            format!("{:#}\n", Value::from(all))
        }
    };
    std::io::stdout().lock().write_all(text.as_bytes()).map_err(FetchError::Output)
}

enum Read {
    Backup(Box<Metadata>),
    Nothing,
    Unusable(String),
}

async fn read(store: &Store, above: &str, id: &str) -> Result<Read, FetchError> {
    let Ok(folder) = BackupFolder::parse(above, id) else { return Ok(Read::Nothing) };
    match store.get_bytes(&folder.metadata(), LARGEST_METADATA).await {
        Ok(bytes) => Ok(match Metadata::parse(&bytes) {
            Ok(metadata) if metadata.backup_id == id => Read::Backup(Box::new(metadata)),
            Ok(metadata) => Read::Unusable(format!("metadata.json belongs to backup {}", metadata.backup_id)),
            Err(error) => Read::Unusable(error.to_string()),
        }),
        Err(error) if error.kind() == StoreErrorKind::NotFound => Ok(Read::Nothing),
        Err(error) => Err(error.into()),
    }
}

fn as_json(above: &str, metadata: &Metadata) -> Value {
    json!({
        "backup_id": metadata.backup_id,
        "object_prefix": above,
        "instance": metadata.instance,
        "driver": metadata.driver.name,
        "started_at": metadata.started_at,
        "finished_at": metadata.finished_at,
        "size": metadata.size,
        "plain_size": metadata.plain_size,
        "filter_plugins": metadata.filter_plugins,
        "key_id": metadata.key_id,
        "checksum": metadata.checksum,
    })
}

fn table(found: &[(String, Metadata)]) -> String {
    let rows = found.iter().map(|(_, metadata)| {
        [
            metadata.backup_id.clone(),
            metadata.instance.guid.clone(),
            metadata.driver.name.clone(),
            metadata.finished_at.format("%Y-%m-%d %H:%M:%S").to_string(),
            HumanBytes(metadata.size).to_string(),
            metadata.filter_plugins.join("+"),
        ]
    });
    let rows: Vec<[String; 6]> =
        std::iter::once(HEADER.map(str::to_owned)).chain(rows).map(one_line).collect();
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Whoever wrote the metadata does not get at the terminal.
fn one_line(row: [String; 6]) -> [String; 6] {
    row.map(|cell| cell.chars().map(|c| if c.is_control() { '?' } else { c }).collect())
}

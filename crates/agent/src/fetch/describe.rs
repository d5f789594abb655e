//! `backup-agent describe`: the `metadata.json` of a backup that older programs have stored, so that it can be listed, fetched
//! and restored like any other. The parts stay as they are.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use backup_daemon::exit::Failure;
use backup_objects::{BackupFolder, DriverInfo, FORMAT_VERSION, Metadata, Store};
use backup_protocol::InstanceRef;
use chrono::Utc;
use clap::Args;

use super::{FetchError, Place, find};
use crate::pipeline::{Checked, Progress};

/// Arguments of `backup-agent describe`.
#[derive(Debug, Args)]
#[command(
    after_help = "The parts must lie as PREFIX/ANYTHING/BACKUP-ID/data.00001 and so on. They are read twice, and undone \
    with the key to the last byte. Prints the checksum a restore asks for."
)]
pub struct DescribeArguments {
    #[command(flatten)]
    place: Place,
    /// The name of the folder of the parts
    #[arg(long, value_name = "ID")]
    backup_id: String,
    /// A file that holds the key; a line break at its end does not count
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// The platform's GUID of the service instance
    #[arg(long, value_name = "GUID")]
    instance: String,
    /// The driver that is to load the stream, for example `files`; also taken for the kind of data service
    #[arg(long, value_name = "NAME")]
    driver: String,
    /// The filters in the order they were applied
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "gzip,openssl-enc")]
    filter_plugins: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// In words for a person; no metadata was written then.
pub async fn run(arguments: DescribeArguments) -> Result<(), Failure> {
    let store = find::open_store(&arguments.place)?;
    let checksum = describe(&store, arguments).await.map_err(Failure::failed)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{checksum}").map_err(|error| Failure::failed(FetchError::Output(error)))
}

async fn describe(store: &Store, arguments: DescribeArguments) -> Result<String, FetchError> {
    let key = find::read_key(&arguments.key_file)?;
    let (prefix, first) = (arguments.place.prefix.trim_matches('/'), BackupFolder::part_name(1));
    let folder = find::folder(store, prefix, &arguments.backup_id, |folder| folder.part(&first)).await?;
    let (path, store) = (folder.metadata(), find::patient(store));
    // Before everything is read; the store itself refuses to overwrite it.
    if store.size(&path).await?.is_some() {
        return Err(FetchError::Described(path));
    }
    let stored = store.list(folder.path()).await?;
    let finished_at = stored.iter().map(|object| object.modified_at).max().unwrap_or_else(Utc::now);
    let draft = Metadata {
        format_version: FORMAT_VERSION,
        backup_id: arguments.backup_id,
        instance: InstanceRef {
            guid: arguments.instance,
            data_service: arguments.driver.clone(),
            plan_guid: None,
        },
        parts: Vec::new(),
        checksum: String::new(),
        size: 0,
        plain_size: 0,
        filter_plugins: arguments.filter_plugins,
        key_id: "described".to_owned(),
        key_envelope: None,
        started_at: stored.iter().map(|object| object.modified_at).min().unwrap_or(finished_at),
        finished_at,
        driver: DriverInfo {
            name: arguments.driver,
            stream_version: 1,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            data_service_version: None,
        },
    };
    let progress = Arc::new(Progress::default());
    let described = Checked::describe(store.clone(), folder, draft, &key, progress).await?;
    let bytes = described.to_bytes().map_err(crate::pipeline::Failure::from)?;
    store.put_bytes(&path, bytes.into()).await?;
    Ok(described.checksum)
}

//! `backup-agent fetch`: a backup as a plain stream, or the list of all, with nothing but the store and the key. It asks no
//! manager and touches no data service. `docs/disaster-recovery.md` shows it, and the same with public programs.

mod describe;
mod find;
mod list;
mod output;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backup_daemon::exit::Failure;
use backup_objects::StoreError;
use clap::{Args, ValueEnum};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::pipeline::{self, Checked, Progress};

pub use describe::{DescribeArguments, run as describe};

const REFRESH: Duration = Duration::from_millis(200);

/// Arguments of `backup-agent fetch`.
#[derive(Debug, Args)]
#[command(
    after_help = "The key is the text with which the backup was made, in a file of its own. Standard output carries \
    the stream of the driver: for `files` and `postgresql` that is a tar archive. See docs/disaster-recovery.md."
)]
pub struct FetchArguments {
    #[command(flatten)]
    place: Place,
    /// The backup to fetch, for example 6f1c…-1681202928209
    #[arg(long, value_name = "ID", required_unless_present = "list")]
    backup_id: Option<String>,
    /// A file that holds the key; a line break at its end does not count
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    key_file: Option<PathBuf>,
    /// Where the plain stream goes; `-` is standard output. A file appears only when all of it is there and verified
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// List the backups of the store instead
    #[arg(long, conflicts_with_all = ["backup_id", "key_file"])]
    list: bool,
    /// Form of the list
    #[arg(long, value_enum, default_value = "table", requires = "list")]
    output_format: OutputFormat,
}

/// Where the backups are.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The store's name; may be left out when there is only one
    #[arg(long, value_name = "NAME")]
    store: Option<String>,
    /// A YAML file with nothing but `stores:`, instead of the agent's configuration
    #[arg(long, value_name = "FILE")]
    store_config: Option<PathBuf>,
    /// The agent's configuration
    #[arg(
        long,
        value_name = "FILE",
        env = "BACKUP_AGENT_CONFIG",
        default_value = "/etc/backup-agent/backup-agent.yml",
        conflicts_with = "store_config"
    )]
    config: PathBuf,
    /// The folder in the store below which the manager keeps all backups
    #[arg(long, value_name = "FOLDER", default_value = "backups")]
    prefix: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Why nothing, or not all, was fetched.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The backup; as a restore would report it.
    #[error("{code}: {message}")]
    Backup { code: String, message: String },
    /// Nothing there.
    #[error(
        "there is no backup {id} below {prefix} of the store {store}; `backup-agent fetch --list` shows what there is"
    )]
    NotFound { id: String, prefix: String, store: String },
    /// A file on this machine.
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
    /// The name of the output.
    #[error("{partial} is complete and verified, but cannot be called {target}: {source}")]
    Unnamed { partial: String, target: String, source: std::io::Error },
    /// The key file.
    #[error("{0} holds no key")]
    NoKey(String),
    /// The backup has metadata already.
    #[error("{0} exists already and is left as it is")]
    Described(String),
    /// Standard output.
    #[error("standard output takes no more: {0}")]
    Output(std::io::Error),
}

impl From<pipeline::Failure> for FetchError {
    fn from(failure: pipeline::Failure) -> Self {
        match failure {
            pipeline::Failure::Error(error) => Self::Backup { code: error.code, message: error.message },
            pipeline::Failure::Cancelled => {
                Self::Backup { code: "cancelled".to_owned(), message: "it was cancelled".to_owned() }
            }
        }
    }
}

/// Runs the command.
///
/// # Errors
/// In words for a person; nothing of ours appeared under the name of the output then.
pub async fn run(arguments: FetchArguments) -> Result<(), Failure> {
    let store = find::open_store(&arguments.place)?;
    let prefix = arguments.place.prefix.trim_matches('/');
    let done = match (&arguments.backup_id, &arguments.key_file) {
        (Some(id), Some(key_file)) => {
            let key = find::read_key(key_file);
            let fetched = async { fetch(&store, prefix, id, &key?, &arguments.output).await };
            fetched.await
        }
        _ => list::print(&store, prefix, arguments.output_format).await,
    };
    done.map_err(Failure::failed)
}

async fn fetch(
    store: &backup_objects::Store,
    prefix: &str,
    id: &str,
    key: &str,
    target: &std::path::Path,
) -> Result<(), FetchError> {
    let folder = find::folder(store, prefix, id, |folder| Ok(folder.metadata())).await?;
    let progress = Arc::new(Progress::default());
    let bar = tokio::spawn(show(Arc::clone(&progress)));
    let fetched = async {
        // Before the first byte is asked for, so that an output that cannot be made costs nothing.
        let output = output::Output::create(target)?;
        let checked = Checked::open(find::patient(store), folder, id, key, progress).await?;
        let metadata = checked.metadata().clone();
        checked.write_to(output.writer()?).await?;
        output.complete()?;
        Ok(metadata)
    };
    let fetched: Result<_, FetchError> = fetched.await;
    bar.abort();
    let metadata = fetched?;
    let (driver, size) = (&metadata.driver.name, HumanBytes(metadata.plain_size));
    output::remark(&format!("{id} is complete and verified: {size}, the stream of the driver {driver}"));
    Ok(())
}

/// A bar on standard error, if that is a terminal; ends when aborted.
async fn show(progress: Arc<Progress>) {
    let bar = ProgressBar::no_length();
    let style = ProgressStyle::with_template("{bar:30} {percent}% · {bytes_per_sec} · {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let bar = ClearedAtTheEnd(bar);
    loop {
        let (read, of) = progress.read_of();
        if let Some(length) = of {
            bar.0.set_length(length);
            bar.0.set_position(read);
        }
        tokio::time::sleep(REFRESH).await;
    }
}

struct ClearedAtTheEnd(ProgressBar);

impl Drop for ClearedAtTheEnd {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

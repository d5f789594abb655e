//! Notices that files were changed or exchanged, also behind a symbolic link.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use super::TlsError;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

type Mark = Option<(Option<SystemTime>, u64, u64)>;

/// Calls `reload` whenever one of the files has changed, until the token is cancelled. What cannot be loaded is tried
/// again at every look, since files are rarely replaced at one instant; it is complained of once.
pub(super) async fn reload_on_change(
    what: &str,
    files: &[&Path],
    reload: impl Fn() -> Result<(), TlsError>,
    until: CancellationToken,
) {
    let look = || files.iter().map(|file| mark(file)).collect::<Vec<_>>();
    let mut seen = look();
    let mut is_broken = false;
    while tokio::time::timeout(LOOK_EVERY, until.cancelled()).await.is_err() {
        let now = look();
        let is_new = now != seen;
        if !is_new && !is_broken {
            continue;
        }
        seen = now;
        match reload() {
            Ok(()) => {
                is_broken = false;
                tracing::info!("the {what} was read again");
            }
            Err(error) if is_new => {
                is_broken = true;
                let error = crate::exit::chain(&error);
                tracing::error!(error, "the changed {what} is unusable, the old one stays in use");
            }
            Err(_) => {}
        }
    }
}

fn mark(file: &Path) -> Mark {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok(), metadata.len(), metadata.ino()))
}

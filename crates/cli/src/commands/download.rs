//! `backupctl backups download`: the stored bytes into a file. An interrupted download is continued where it broke,
//! in this run and in the next; the file gets its name only after size and checksum were compared.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use reqwest::StatusCode;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::parse;
use crate::api::{ApiClient, Backup};
use crate::args::DownloadArgs;
use crate::error::Error;
use crate::output::{Screen, bytes};

/// So many breaks in a row without a new byte end the download.
const FRUITLESS_ATTEMPTS: u32 = 5;

pub(super) async fn run(client: &ApiClient, screen: &mut Screen, args: &DownloadArgs) -> Result<(), Error> {
    let id = args.id.to_string();
    let answer = client.get(&["instances", &args.instance, "backups", &id], &[]).await?;
    let backup: Backup = parse(&answer)?;
    let transfer = Transfer { client, instance: &args.instance, id: &id, backup: &backup };
    if args.output_file.as_deref() == Some(Path::new("-")) {
        let bar = hidden_unless_live(screen, backup.size);
        return transfer.to_stdout(&bar).await;
    }
    let target = match &args.output_file {
        Some(file) => file.clone(),
        None => PathBuf::from(default_name(&backup, &id)),
    };
    if target.exists() && !args.force {
        let name = target.display();
        return Err(Error::Usage(format!("{name} exists; give another --output-file, or --force")));
    }
    let part = part_name(&target);
    let bar = hidden_unless_live(screen, backup.size);
    transfer.to_file(&part, &bar).await?;
    bar.finish_and_clear();
    verify(&backup, &part)?;
    std::fs::rename(&part, &target).map_err(|error| local(&target, &error))?;
    let size = std::fs::metadata(&target).map_err(|error| local(&target, &error))?.len();
    if screen.wants_json() {
        return screen.json(&json!({ "file": target, "size": size, "checksum": backup.checksum }));
    }
    screen.line(&format!("{} ({}) is complete.", target.display(), bytes(size)))?;
    screen.remark("It is compressed and encrypted with the instance's key: age -d FILE | zstd -d")
}

struct Transfer<'a> {
    client: &'a ApiClient,
    instance: &'a str,
    id: &'a str,
    backup: &'a Backup,
}

impl Transfer<'_> {
    /// Appends to the part file until everything is there.
    async fn to_file(&self, part: &Path, bar: &ProgressBar) -> Result<(), Error> {
        let file = File::options().create(true).read(true).append(true).open(part);
        let mut file = file.map_err(|error| local(part, &error))?;
        let mut fruitless = 0;
        loop {
            let from = file.seek(SeekFrom::End(0))?;
            match self.append(&mut file, from, bar).await {
                Ok(()) => return Ok(file.sync_all()?),
                Err(error) if !error.is_passing() => return Err(error),
                Err(error) => {
                    let has_grown = file.seek(SeekFrom::End(0))? > from;
                    fruitless = if has_grown { 0 } else { fruitless + 1 };
                    if fruitless >= FRUITLESS_ATTEMPTS {
                        return Err(error);
                    }
                    tokio::time::sleep(Duration::from_secs(2) * fruitless).await;
                }
            }
        }
    }

    async fn append(&self, file: &mut File, from: u64, bar: &ProgressBar) -> Result<(), Error> {
        let size = self.backup.size.filter(|size| *size > 0);
        if size == Some(from) {
            return Ok(());
        }
        let from = if size.is_some_and(|size| from > size) { 0 } else { from };
        let mut answer = self.client.download(self.instance, self.id, from).await?;
        let is_continued = answer.status() == StatusCode::PARTIAL_CONTENT;
        if !is_continued {
            // The server does not honour ranges, or what is there is no beginning of this backup.
            file.set_len(0)?;
        }
        bar.set_position(if is_continued { from } else { 0 });
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.client.unreachable(error))? {
            file.write_all(&chunk)?;
            bar.inc(u64::try_from(chunk.len()).unwrap_or(0));
        }
        Ok(())
    }

    /// Writes to standard output; what was written cannot be taken back, so a break ends it.
    async fn to_stdout(&self, bar: &ProgressBar) -> Result<(), Error> {
        let mut answer = self.client.download(self.instance, self.id, 0).await?;
        let mut out = std::io::stdout().lock();
        let mut digest = Sha256::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.client.unreachable(error))? {
            digest.update(&chunk);
            out.write_all(&chunk)?;
            bar.inc(u64::try_from(chunk.len()).unwrap_or(0));
        }
        out.flush()?;
        bar.finish_and_clear();
        compare(self.backup, &hex::encode(digest.finalize()))
    }
}

fn verify(backup: &Backup, part: &Path) -> Result<(), Error> {
    let mut file = File::open(part).map_err(|error| local(part, &error))?;
    let (mut digest, mut size) = (Sha256::new(), 0_u64);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        digest.update(bytes);
        size = size.saturating_add(u64::try_from(read).unwrap_or(0));
    }
    let is_whole = backup.size.is_none_or(|expected| expected == 0 || expected == size);
    let checked = if is_whole {
        compare(backup, &hex::encode(digest.finalize()))
    } else {
        let expected = backup.size.unwrap_or(0);
        Err(Error::Failed(format!("{size} bytes arrived, {expected} were expected")))
    };
    // What is wrong must not be continued by the next attempt.
    checked.inspect_err(|_| drop(std::fs::remove_file(part)))
}

fn compare(backup: &Backup, checksum: &str) -> Result<(), Error> {
    match &backup.checksum {
        Some(expected) if !expected.eq_ignore_ascii_case(checksum) => {
            Err(Error::Failed("the checksum of what arrived is wrong; try again".into()))
        }
        _ => Ok(()),
    }
}

fn local(file: &Path, error: &std::io::Error) -> Error {
    Error::Local(format!("{}: {error}", file.display()))
}

/// The backup's name, unless it could lead out of the directory.
fn default_name(backup: &Backup, id: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match backup.backup_id.as_deref() {
        Some(name) if !name.is_empty() && !name.starts_with('.') && name.chars().all(is_plain) => {
            format!("{name}.backup")
        }
        _ => format!("{id}.backup"),
    }
}

fn part_name(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

fn hidden_unless_live(screen: &Screen, size: Option<u64>) -> ProgressBar {
    if !screen.has_live_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(size.unwrap_or(0));
    let template = "[{wide_bar}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_the_manager_never_leads_out_of_the_directory() {
        let name =
            |text: &str| default_name(&Backup { backup_id: Some(text.into()), ..Backup::default() }, "7");
        assert_eq!(name("ab-12"), "ab-12.backup");
        for bad in ["../x", "/etc/passwd", ".x", "", "a\nb"] {
            assert_eq!(name(bad), "7.backup", "{bad:?}");
        }
    }
}

//! Gathers the facts of the quiet world, from everywhere.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use local_installation::Installation;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::facts::{AgentFacts, Facts, Folder, Instance, Line, Sort};
use crate::load;
use crate::session::Session;
use crate::world::World;

/// Fills in what the database, the agents and the store know. Requests, faults, changes, events, samples and accidents are
/// the caller's.
///
/// # Errors
/// When something cannot be read.
pub fn collect(world: &World, session: &mut Session, facts: &mut Facts) -> anyhow::Result<()> {
    facts.backups = rows(session, "SELECT to_jsonb(b) FROM backups b ORDER BY id")?;
    facts.restores = rows(session, "SELECT to_jsonb(r) FROM restores r ORDER BY id")?;
    facts.jobs = rows(
        session,
        "SELECT to_jsonb(j) || jsonb_build_object('due_in_seconds', extract(epoch FROM run_at - now())) FROM jobs j ORDER BY id",
    )?;
    facts.instances = instances(world, session)?;
    for position in 0..world.guids.len() {
        facts.agents.push(agent(world, position));
    }
    for daemon in world.installation.daemons() {
        let log = daemon.log();
        let panics = log.lines().filter(|line| line.contains("panicked at"));
        facts.accidents.extend(panics.map(|line| format!("{}: {line}", daemon.name())));
    }
    let (folders, strays) = store(&world.installation)?;
    facts.folders = folders;
    facts.strays = strays;
    Ok(())
}

fn rows<T: DeserializeOwned>(session: &mut Session, sql: &str) -> anyhow::Result<Vec<T>> {
    let lines = session.ask_patiently(sql)?;
    lines.iter().map(|line| serde_json::from_str(line).with_context(|| line.clone())).collect()
}

fn instances(world: &World, session: &mut Session) -> anyhow::Result<Vec<Instance>> {
    let mut numbers = BTreeMap::new();
    for line in session.ask_patiently("SELECT guid, id FROM service_instances")? {
        let (guid, row) = line.split_once('|').context("two columns were asked for")?;
        numbers.insert(guid.to_owned(), row.parse()?);
    }
    let instance =
        |guid: &String| Instance { guid: guid.clone(), row: numbers.get(guid).copied().unwrap_or(-1) };
    Ok(world.guids.iter().map(instance).collect())
}

fn agent(world: &World, position: usize) -> AgentFacts {
    let log = world.installation.agents().get(position).map(|agent| agent.daemon.log()).unwrap_or_default();
    let lines = log.lines().filter_map(line).collect();
    let record = |entry: &serde_json::Value| {
        let text = |pointer: &str| entry.pointer(pointer).and_then(serde_json::Value::as_str);
        Some((sort(text("/kind")?)?, text("/status/id")?.to_owned(), text("/status/state")?.to_owned()))
    };
    // A record that makes no sense is no record: then the journal cannot be read.
    let entries = load::journal_entries(&world.journal(position));
    let journal = entries.and_then(|entries| entries.iter().map(record).collect());
    AgentFacts { lines, journal }
}

/// What a line of an agent's log says, if it matters.
fn line(text: &str) -> Option<Line> {
    if text.contains(": serving ") {
        return Some(Line::Serving);
    }
    let operation = || Some((sort(&field(text, "kind")?)?, field(text, "id")?));
    if text.contains(": operation started ") {
        operation().map(|(sort, id)| Line::Began(sort, id))
    } else if text.contains(": operation ended ") || text.contains(": operation failed ") {
        operation().map(|(sort, id)| Line::Ended(sort, id))
    } else {
        None
    }
}

/// The value of `name=value` or `name="value"`.
fn field(text: &str, name: &str) -> Option<String> {
    let begin = text.find(&format!(" {name}="))?.saturating_add(name.len()).saturating_add(2);
    let rest = text.get(begin..)?;
    let value = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split_whitespace().next(),
    };
    value.map(str::to_owned)
}

fn sort(word: &str) -> Option<Sort> {
    match word {
        "backup" => Some(Sort::Backup),
        "restore" => Some(Sort::Restore),
        _ => None,
    }
}

/// Every backup's folder (`backups/<instance>/<backup>`), hashed; and the files that are in none.
fn store(installation: &Installation) -> anyhow::Result<(BTreeMap<String, Folder>, Vec<String>)> {
    let root = installation.store_directory();
    let mut folders: BTreeMap<String, Folder> = BTreeMap::new();
    let mut strays = Vec::new();
    let mut files = Vec::new();
    list(&root, &mut files)?;
    files.sort();
    let mut hashes: BTreeMap<String, Sha256> = BTreeMap::new();
    for path in files {
        let inner = path.strip_prefix(&root)?;
        let (folder, name) = (
            inner.parent().map(|parent| parent.to_string_lossy().into_owned()).unwrap_or_default(),
            inner.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        );
        if inner.components().count() != 4 || !folder.starts_with("backups/") {
            strays.push(inner.display().to_string());
            continue;
        }
        let entry = folders.entry(folder.clone()).or_default();
        if name.starts_with("data.") {
            let read = hash(&path, hashes.entry(folder).or_default())?;
            entry.size = entry.size.saturating_add(read);
        } else if name == "metadata.json" {
            entry.metadata = serde_json::from_slice(&std::fs::read(&path)?).ok();
        }
        entry.names.push(name);
    }
    for (folder, hash) in hashes {
        if let Some(entry) = folders.get_mut(&folder) {
            entry.checksum = hex::encode(hash.finalize());
        }
    }
    Ok((folders, strays))
}

fn list(directory: &Path, files: &mut Vec<std::path::PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { list(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

fn hash(path: &Path, hash: &mut Sha256) -> anyhow::Result<u64> {
    let mut file = std::fs::File::open(path)?;
    let mut piece = vec![0; 1 << 20];
    let mut size = 0_u64;
    loop {
        let read = file.read(&mut piece)?;
        let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else { return Ok(size) };
        hash.update(bytes);
        size = size.saturating_add(u64::try_from(read)?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_matter_are_understood() {
        let began = "2026-01-01T00:00:00Z  INFO backup_agent::operations::registry: operation started kind=backup id=\"b-1\" epoch=1";
        assert_eq!(line(began), Some(Line::Began(Sort::Backup, "b-1".into())));
        let failed = "2026-01-01T00:00:00Z  WARN backup_agent::operations::perform: operation failed kind=restore id=\"r\" code=\"x\"";
        assert_eq!(line(failed), Some(Line::Ended(Sort::Restore, "r".into())));
        let ended = "2026-01-01T00:00:00Z  INFO backup_agent::operations::perform: operation ended kind=backup id=\"b\" state=Done";
        assert_eq!(line(ended), Some(Line::Ended(Sort::Backup, "b".into())));
        assert_eq!(
            line("2026-01-01T00:00:00Z  INFO backup_agent: serving address=127.0.0.1:1"),
            Some(Line::Serving)
        );
        assert_eq!(line("2026-01-01T00:00:00Z  INFO backup_agent: something else"), None);
    }
}

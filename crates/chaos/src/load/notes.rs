//! What the load was told: the accepted requests and what was seen of them. In memory for the audit, and a line per entry in
//! a file for people.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;

use crate::dice::Dice;
use crate::facts::Request;

/// Shared by all actors.
#[derive(Debug, Clone)]
pub struct Notes {
    requests: Arc<Mutex<Vec<Request>>>,
    file: Arc<Mutex<File>>,
}

impl Notes {
    /// Notes that are also written to this file.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).context("the load's notes cannot be written")?;
        Ok(Self { requests: Arc::default(), file: Arc::new(Mutex::new(file)) })
    }

    /// Adds an accepted request and returns its place.
    pub fn add(&self, request: Request) -> usize {
        self.write(&request);
        let mut requests = self.lock();
        requests.push(request);
        requests.len().saturating_sub(1)
    }

    /// Changes one.
    pub fn change(&self, place: usize, change: impl FnOnce(&mut Request)) {
        if let Some(request) = self.lock().get_mut(place) {
            change(request);
        }
    }

    /// A status was seen.
    pub fn saw(&self, place: usize, status: &str) {
        let mut requests = self.lock();
        let Some(request) = requests.get_mut(place) else { return };
        if request.observed.last().is_none_or(|last| last != status) {
            request.observed.push(status.to_owned());
            self.write(request);
        }
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<Request> {
        self.lock().get(place).cloned()
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Request> {
        self.lock().clone()
    }

    /// Whether the instance's backup or restore of this number is known.
    #[must_use]
    pub fn knows(&self, instance: usize, is_restore: bool, id: i64) -> bool {
        let is_it = |r: &Request| r.instance == instance && r.is_restore == is_restore && r.id == id;
        self.lock().iter().any(is_it)
    }

    /// A finished backup of known content that nobody has deleted, of one of these instances.
    pub fn pick_backup(&self, dice: &mut Dice, is_wanted: impl Fn(usize) -> bool) -> Option<Request> {
        let requests = self.lock();
        let known = requests.iter().filter(|request| {
            !request.is_restore
                && !request.delete_sent
                && request.content.is_some()
                && request.observed.last().is_some_and(|status| status == "done")
                && is_wanted(request.instance)
        });
        // Old ones go: retention is at work.
        let mut known: Vec<&Request> = known.collect();
        known.reverse();
        known.truncate(3);
        dice.pick(&known).map(|request| (*request).clone())
    }

    fn write(&self, request: &Request) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // The file is for people; the audit has the memory.
        drop(serde_json::to_string(request).map(|line| writeln!(file, "{line}")));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

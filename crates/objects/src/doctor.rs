//! The store doctor: does with a store, in a folder of its own, everything that a backup, a restore and a deletion do, and
//! says in plain words what does not work and what to do about it. It never retries and never takes long; what it wrote
//! it deletes again.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::Utc;
use object_store::path::Path;

use crate::cause::Cause;
use crate::config::StoreConfig;
use crate::error::{StoreError, StoreErrorKind};
use crate::retry::Retry;
use crate::store::Store;
use crate::unfinished::{UnfinishedUpload, UploadRecord};

/// The smallest chunk that all providers take.
const CHUNK: usize = 5 * 1024 * 1024;
/// For all steps but the last: shorter than the API lets a request wait.
const LIMIT: Duration = Duration::from_secs(25);
const CLEAN_UP_LIMIT: Duration = Duration::from_secs(10);
/// Amazon refuses requests from 15 minutes on.
const LARGEST_SKEW: i64 = 300;
const LAST: &str = "delete";
const PROBE: &[u8] = b"written by the store doctor; it may be deleted";

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examination {
    /// In the order they were done.
    pub steps: Vec<Step>,
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was tried, for example `read a range`.
    pub name: &'static str,
    /// How it went.
    pub outcome: Outcome,
    /// How long it took.
    pub duration: Duration,
}

/// How a step went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It works.
    Passed,
    /// It does not.
    Failed {
        /// What is wrong, a sentence.
        problem: String,
        /// What to do, a sentence or two.
        advice: String,
    },
    /// Not tried, because something before it failed.
    Skipped,
}

impl Examination {
    /// Whether a backup, a restore and a deletion would work.
    pub fn is_healthy(&self) -> bool {
        self.steps.iter().all(|step| step.outcome == Outcome::Passed)
    }

    /// Opens the store that the configuration calls `name` and examines it.
    pub async fn of(name: &str, config: &StoreConfig) -> Self {
        let begun = Instant::now();
        let opened = Store::open(name, config);
        let outcome = opened.as_ref().err().map_or(Outcome::Passed, failed);
        let mut steps = vec![Step { name: "open", outcome, duration: begun.elapsed() }];
        if let Ok(store) = opened {
            steps.extend(store.examine().await.steps);
        }
        Self { steps }
    }
}

/// The steps with what they need.
struct Doctor {
    store: Store,
    folder: String,
    steps: Vec<Step>,
    until: Instant,
    unfinished: Arc<Unfinished>,
}

/// The upload of a step that was given up in the middle, so that it can be aborted all the same.
#[derive(Debug, Default)]
struct Unfinished(Mutex<Vec<UnfinishedUpload>>);

impl Unfinished {
    fn list(&self) -> MutexGuard<'_, Vec<UnfinishedUpload>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UploadRecord for Unfinished {
    fn begun(&self, upload: &UnfinishedUpload) -> io::Result<()> {
        self.list().push(upload.clone());
        Ok(())
    }

    fn ended(&self, upload: &UnfinishedUpload) {
        self.list().retain(|unfinished| unfinished != upload);
    }
}

impl Store {
    /// Tries everything with this store. Ends within half a minute also at one that hangs.
    pub async fn examine(&self) -> Examination {
        let mut doctor = Doctor::of(self);
        doctor.examine().await;
        Examination { steps: doctor.steps }
    }
}

impl Doctor {
    fn of(store: &Store) -> Self {
        let folder = format!("doctor/{:016x}", rand::random::<u64>());
        let unfinished = Arc::new(Unfinished::default());
        let store = store.clone().retrying(Retry::NEVER).recording(Arc::<Unfinished>::clone(&unfinished));
        Self { store, folder, steps: Vec::new(), until: Instant::now() + LIMIT, unfinished }
    }

    async fn examine(&mut self) {
        let (store, folder) = (self.store.clone(), self.folder.clone());
        let (probe, large) = (format!("{folder}/probe"), format!("{folder}/large"));
        let written = self.step("write", store.put_bytes(&probe, Bytes::from_static(PROBE))).await;
        if !written {
            let left =
                ["refuse to overwrite", "read", "read a range", "write in chunks", "list", "clock", LAST];
            let skipped = |name| Step { name, outcome: Outcome::Skipped, duration: Duration::ZERO };
            self.steps.extend(left.map(skipped));
            // An answer may have been lost.
            let _ = tokio::time::timeout(CLEAN_UP_LIMIT, self.clear()).await;
            return;
        }
        self.try_it("refuse to overwrite", refuses(&store, &probe)).await;
        self.try_it("read", reads(&store, &probe)).await;
        self.try_it("read a range", reads_range(&store, &probe)).await;
        self.try_it("write in chunks", chunks(&store, &large)).await;
        self.try_it("list", lists(&store, &folder)).await;
        self.try_it("clock", clock(&store, &folder)).await;
        let gone = self.clear();
        self.try_it(LAST, async { gone.await.map_err(|error| failed(&error)) }).await;
    }

    fn clear(&self) -> impl Future<Output = Result<(), StoreError>> + use<> {
        let (store, folder) = (self.store.clone(), self.folder.clone());
        let unfinished = Arc::clone(&self.unfinished);
        async move {
            let left = unfinished.list().clone();
            let mut aborted = Ok(());
            for upload in &left {
                aborted = aborted.and(store.abort(upload).await);
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "the doctor's own folder, which nobody else writes to"
            )]
            let deleted = store.delete_prefix(&folder).await;
            aborted.and(deleted)
        }
    }

    async fn step(&mut self, name: &'static str, work: impl Future<Output = Result<(), StoreError>>) -> bool {
        self.try_it(name, async { work.await.map_err(|error| failed(&error)) }).await
    }

    async fn try_it(&mut self, name: &'static str, work: impl Future<Output = Result<(), Outcome>>) -> bool {
        let begun = Instant::now();
        let limit = match name {
            LAST => CLEAN_UP_LIMIT,
            _ => self.until.saturating_duration_since(begun),
        };
        if limit.is_zero() {
            self.steps.push(Step { name, outcome: Outcome::Skipped, duration: Duration::ZERO });
            return false;
        }
        let late = || {
            let text = format!("there was no answer within {} seconds", limit.as_secs());
            Outcome::Failed { problem: text, advice: advice(&Cause::TimedOut).to_owned() }
        };
        let tried = tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(late()));
        let passed = tried.is_ok();
        let outcome = tried.err().unwrap_or(Outcome::Passed);
        self.steps.push(Step { name, outcome, duration: begun.elapsed() });
        passed
    }
}

async fn refuses(store: &Store, probe: &str) -> Result<(), Outcome> {
    match store.put_bytes(probe, Bytes::from_static(b"overwritten")).await {
        Err(error) if error.kind() == StoreErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(&error)),
        Ok(()) => Err(Outcome::Failed {
            problem: "the store replaced an object although it was asked not to".to_owned(),
            advice: "It ignores conditional writes (If-None-Match), so two agents could take the same folder. Use a \
                     store or a version of it that knows them."
                .to_owned(),
        }),
    }
}

async fn reads(store: &Store, probe: &str) -> Result<(), Outcome> {
    let read = store.get_bytes(probe, 1024).await.map_err(|error| failed(&error))?;
    same(&read, PROBE)
}

async fn reads_range(store: &Store, probe: &str) -> Result<(), Outcome> {
    let read = store.get_range(probe, 8..11).await.map_err(|error| failed(&error))?;
    same(&read, PROBE.get(8..11).unwrap_or_default())
}

fn same(read: &[u8], written: &[u8]) -> Result<(), Outcome> {
    match read == written {
        true => Ok(()),
        false => Err(Outcome::Failed {
            problem: "other bytes came back than were written".to_owned(),
            advice: "Look for a proxy or cache between this machine and the store; do not use it until this passes."
                .to_owned(),
        }),
    }
}

/// What is left when this fails or is given up, [`Doctor::clear`] aborts.
async fn chunks(store: &Store, large: &str) -> Result<(), Outcome> {
    let mut upload = store.upload(large, CHUNK).await.map_err(|error| failed(&error))?;
    for byte in [1_u8, 2] {
        let size = if byte == 1 { CHUNK } else { 1000 };
        upload.write(Bytes::from(vec![byte; size])).await.map_err(|error| failed(&error))?;
    }
    upload.finish().await.map_err(|error| failed(&error))?;
    let seam = u64::try_from(CHUNK).unwrap_or_default();
    let read = store.get_range(large, seam.saturating_sub(1)..seam.saturating_add(1)).await;
    same(&read.map_err(|error| failed(&error))?, &[1, 2])
}

async fn lists(store: &Store, folder: &str) -> Result<(), Outcome> {
    let listed = store.list(folder).await.map_err(|error| failed(&error))?;
    let probe = Path::from(format!("{folder}/probe"));
    match listed.iter().any(|object| object.path == probe.as_ref()) {
        true => Ok(()),
        false => Err(Outcome::Failed {
            problem: "an object that was just written is missing in the list".to_owned(),
            advice: "The store must show at once what was written; look for a cache or a replica in between."
                .to_owned(),
        }),
    }
}

async fn clock(store: &Store, folder: &str) -> Result<(), Outcome> {
    let listed = store.list(folder).await.map_err(|error| failed(&error))?;
    let Some(newest) = listed.iter().map(|object| object.modified_at).max() else { return Ok(()) };
    let skew = newest.signed_duration_since(Utc::now()).num_seconds();
    match skew.abs() > LARGEST_SKEW {
        false => Ok(()),
        true => Err(Outcome::Failed {
            problem: format!("the store's clock differs from this machine's by {skew} seconds"),
            advice: advice(&Cause::ClockSkew).to_owned(),
        }),
    }
}

fn failed(error: &StoreError) -> Outcome {
    let unknown = Cause::Other(String::new());
    let cause = error.cause().unwrap_or(&unknown);
    let advice = match error.kind() {
        StoreErrorKind::NotGone => "Somebody else writes there, or the listing lags behind; try again.",
        _ => advice(cause),
    };
    Outcome::Failed { problem: error.reason(), advice: advice.to_owned() }
}

/// What somebody who runs the store can do.
fn advice(cause: &Cause) -> &'static str {
    match cause {
        Cause::NotFound => "Check `endpoint` and `bucket`; the address answers, but not as this store.",
        Cause::AlreadyExists => "Somebody else writes to the doctor's folder; try again.",
        Cause::NoBucket => "Create it, or correct `bucket` or `container`; it is not created by itself.",
        Cause::WrongRegion(_) => "Set `region` to the bucket's region.",
        Cause::UnknownKey => "Check `access_key_id`: it may have been deleted, or belong to another store.",
        Cause::BadSignature => {
            "Check `secret_access_key` or `access_key` for missing or additional characters, and this machine's clock."
        }
        Cause::ClockSkew => "Set the clock of this machine, for example with chrony.",
        Cause::Expired => "Give new temporary credentials, or let the machine's own identity be used.",
        Cause::Denied(_) | Cause::NoCredentials(_) => {
            "Give the key the permissions that docs/operations.md lists: list, read, write and delete below the prefix."
        }
        Cause::Locked => {
            "Objects can only be deleted when their lock ends. Let the lock be shorter than the retention of backups."
        }
        Cause::UnknownHost => "Check `endpoint` (or `account`) for typing errors, and this machine's DNS.",
        Cause::Refused => "Check host and port of `endpoint`, whether the server runs, and firewalls.",
        Cause::UnknownAuthority => {
            "Set `ca_path` to the PEM file of the authority that issued the certificate."
        }
        Cause::Tls(_) => {
            "Check that `endpoint` has the right scheme and port, and that the certificate is for its host name and valid."
        }
        Cause::TimedOut => {
            "Check `endpoint` and firewalls; a directory on a network may have lost its server."
        }
        Cause::Broken(_) => "Check the network, proxies in between, and the store's own log.",
        Cause::Busy(_) => "Look at the store's own log and health; try again later.",
        Cause::Unsupported(_) => "Use a store or a version of it that knows this request.",
        Cause::Rejected(_) => "Check `endpoint`, `region` and `path_style`; the store's words say more.",
        Cause::NoDirectory => {
            "Mount or create the directory; a missing one is never created, because a mount may be missing."
        }
        Cause::Forbidden => "Give the user that runs this program the right to read and write the directory.",
        Cause::ReadOnly => {
            "Mount it with write access, and look why it is read-only: after errors the kernel does that."
        }
        Cause::DiskFull => "Free space or enlarge the file system or quota.",
        Cause::Other(_) => "The words above are all that is known; look at the store's own log.",
    }
}

#[cfg(test)]
mod tests {
    use private_stores::S3Server;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn an_upload_that_was_given_up_in_the_middle_is_aborted_at_the_end() {
        let server = S3Server::start().await.unwrap();
        let config = json!({
            "kind": "s3", "bucket": S3Server::BUCKET, "endpoint": server.url(), "path_style": true,
            "allow_http": true, "access_key_id": S3Server::KEY_ID, "secret_access_key": S3Server::SECRET,
        });
        let config: StoreConfig = serde_json::from_value(config).unwrap();
        let doctor = Doctor::of(&Store::open("main", &config).unwrap());
        let begun = async {
            while doctor.unfinished.list().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = begun => {}
            _ = chunks(&doctor.store, "doctor/x/large") => panic!("it was to be given up"),
        }
        doctor.clear().await.unwrap();
        // A piece that was on its way may still arrive afterwards, at any store of this kind.
        assert!(doctor.unfinished.list().is_empty(), "the store was told");
    }
}

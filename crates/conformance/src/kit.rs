//! What checks are made with: bodies of requests, and waiting.

use std::time::{Duration, Instant};

use anyhow::bail;
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Client, Shown};
use crate::report::Verdict;
use crate::target::Target;

/// The key of every backup of the suite. It protects nothing: the data is the target's, the backup a trial.
const KEY: &str = "conformance suite, not a secret";

/// An operation that should end is waited for so long.
const PATIENCE: Duration = Duration::from_secs(600);

/// One run against one agent.
pub(crate) struct Kit {
    pub(crate) target: Target,
    pub(crate) client: Client,
    run: String,
}

/// What keeps a check from being made.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Skip(pub(crate) String);

/// What a check comes to: kept, or the first thing that was wrong.
pub(crate) type Checked = anyhow::Result<()>;

impl Kit {
    pub(crate) fn new(target: Target) -> anyhow::Result<Self> {
        let client = Client::new(&target)?;
        Ok(Self { target, client, run: uuid::Uuid::new_v4().simple().to_string() })
    }

    /// An id that no other run has used.
    pub(crate) fn id(&self, name: &str) -> String {
        format!("conformance-{}-{name}", self.run)
    }

    pub(crate) fn backup(&self, name: &str) -> String {
        format!("/v1/backups/{}", self.id(name))
    }

    pub(crate) fn restore(&self, name: &str) -> String {
        format!("/v1/restores/{}", self.id(name))
    }

    /// The body that starts a backup, with changes.
    pub(crate) fn backup_body(&self, changes: Value) -> Value {
        let body = json!({
            "epoch": 1,
            "store": self.target.store,
            "object_prefix": self.target.object_prefix,
            "instance": {"guid": "conformance", "data_service": "conformance", "plan_guid": null},
            "encryption": {"scheme": "age", "key": KEY, "key_id": "conformance"},
            "compression": {"scheme": "zstd", "level": 1},
            "rate_limit_bytes_per_second": null,
            "deadline": chrono::Utc::now() + chrono::TimeDelta::hours(1),
            "part_size_limit": 1_073_741_824_u64,
        });
        merged(body, changes)
    }

    /// The body of a backup that runs until it is stopped.
    pub(crate) fn slow_body(&self, changes: Value) -> Value {
        merged(self.backup_body(json!({"rate_limit_bytes_per_second": self.target.slow_rate})), changes)
    }

    /// The body that restores a finished backup of this run, with changes.
    pub(crate) fn restore_body(&self, backup: &Answer, changes: Value) -> Value {
        let body = json!({
            "epoch": 1,
            "backup_id": backup.text("id"),
            "store": self.target.store,
            "object_prefix": self.target.object_prefix,
            "checksum": backup.text("checksum"),
            "encryption": {"scheme": "age", "key": KEY, "key_id": "conformance"},
            "deadline": chrono::Utc::now() + chrono::TimeDelta::hours(1),
        });
        merged(body, changes)
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(Method::PUT, path, Some(body.to_string())).await
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(Method::DELETE, path, None).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> anyhow::Result<Answer> {
        self.client.send(Shown::Right(&self.target.credential), method, path, body).await
    }

    /// Starts a backup that then runs. Skips the check when the agent is done before it can be looked at.
    pub(crate) async fn start_slow(&self, path: &str, changes: Value) -> anyhow::Result<Answer> {
        let started = self.put(path, &self.slow_body(changes)).await?;
        started.expect("starting a backup", 202, "")?;
        self.still_runs(path).await?;
        Ok(started)
    }

    /// Skips the check when the operation is done already; any other end is a fault.
    pub(crate) async fn still_runs(&self, path: &str) -> Checked {
        let now = self.get(path).await?;
        match now.text("state") {
            "running" => Ok(()),
            "done" => Err(Skip(
                "the backup ended before it could be looked at; put more data into the data service, \
                 or lower the rate"
                    .to_owned(),
            )
            .into()),
            _ => bail!("a backup that nobody stopped neither runs nor is done: {}", now.shown()),
        }
    }

    /// Makes a backup, which must succeed.
    pub(crate) async fn finished_backup(&self, path: &str) -> anyhow::Result<Answer> {
        self.put(path, &self.backup_body(json!({}))).await?.expect("starting a backup", 202, "")?;
        let ended = self.ended(path).await?;
        ended.expect("the end of a backup", 200, "done")?;
        Ok(ended)
    }

    /// Waits for the end of an operation.
    pub(crate) async fn ended(&self, path: &str) -> anyhow::Result<Answer> {
        let begun = Instant::now();
        loop {
            let now = self.get(path).await?;
            if now.text("state") != "running" {
                return Ok(now);
            }
            if begun.elapsed() > PATIENCE {
                bail!("{path} did not end within {PATIENCE:?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stops an operation and waits until it has ended.
    pub(crate) async fn stopped(&self, path: &str) -> anyhow::Result<Answer> {
        self.delete(path).await?.expect("stopping", 200, "")?;
        self.ended(path).await
    }

    /// Kills the agent, starts it again and waits until it answers. Skips the check when nobody said how.
    pub(crate) async fn killed(&self) -> Checked {
        let how = self.target.restart.as_ref();
        let how = how.ok_or_else(|| Skip("nobody said how to kill and start the agent".to_owned()))?;
        how.kill_and_start().await?;
        let begun = Instant::now();
        while self.get("/v1/info").await.is_err() {
            if begun.elapsed() > PATIENCE {
                bail!("the agent did not come back within {PATIENCE:?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Skips the check unless restores are allowed.
    pub(crate) fn may_restore(&self) -> Checked {
        match self.target.allow_restores {
            true => Ok(()),
            false => Err(Skip("restores are not allowed here".to_owned()).into()),
        }
    }
}

/// What a check came to.
pub(crate) fn verdict(checked: Checked) -> Verdict {
    match checked {
        Ok(()) => Verdict::Passed,
        Err(error) => match error.downcast::<Skip>() {
            Ok(skip) => Verdict::Skipped(skip.0),
            Err(error) => Verdict::Failed(format!("{error:#}")),
        },
    }
}

fn merged(mut body: Value, changes: Value) -> Value {
    if let (Value::Object(body), Value::Object(changes)) = (&mut body, changes) {
        body.extend(changes);
    }
    body
}

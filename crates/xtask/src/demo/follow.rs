//! Following a backup or restore to its end, with a bar of real bytes.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::Value;

use super::api::Api;

const QUESTION_INTERVAL: Duration = Duration::from_millis(250);
/// No demo takes longer; something hangs.
const PATIENCE: Duration = Duration::from_secs(300);
/// The API may be away for so long, when it was killed.
const ABSENCE: Duration = Duration::from_secs(30);

/// An operation under way.
pub(super) struct Followed<'a> {
    api: &'a Api,
    path: String,
    bar: ProgressBar,
    begin: Instant,
    last_answer: Instant,
    last_line: Instant,
}

impl<'a> Followed<'a> {
    /// Begins to follow the backup or restore at this path.
    pub(super) fn new(api: &'a Api, path: String, verb: &'static str) -> anyhow::Result<Self> {
        let style = "    {msg} [{bar:40}] {bytes} of about {total_bytes}, {bytes_per_sec}";
        let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(style)?).with_message(verb);
        Ok(Self {
            api,
            path,
            bar,
            begin: Instant::now(),
            last_answer: Instant::now(),
            last_line: Instant::now(),
        })
    }

    /// Waits until bytes flow, or it has ended already.
    pub(super) async fn until_moving(&mut self) -> anyhow::Result<Value> {
        self.until(|status, bytes| is_terminal(status) || (status == "running" && bytes > 0)).await
    }

    /// Waits for a terminal status and returns the object.
    pub(super) async fn until_ended(&mut self) -> anyhow::Result<Value> {
        let object = self.until(|status, _| is_terminal(status)).await?;
        self.bar.finish_and_clear();
        Ok(object)
    }

    async fn until(&mut self, is_met: impl Fn(&str, u64) -> bool) -> anyhow::Result<Value> {
        loop {
            if let Some(object) = self.question().await? {
                let status =
                    object.get("status").and_then(Value::as_str).context("the object has no status")?;
                if is_met(status, bytes(&object, "bytes_processed")) {
                    return Ok(object);
                }
            }
            if self.begin.elapsed() > PATIENCE {
                bail!("{} has not ended after {PATIENCE:?}", self.path);
            }
            tokio::time::sleep(QUESTION_INTERVAL).await;
        }
    }

    async fn question(&mut self) -> anyhow::Result<Option<Value>> {
        match self.api.get(&self.path).await {
            Ok(object) => {
                self.last_answer = Instant::now();
                self.show(&object);
                Ok(Some(object))
            }
            Err(error) if self.last_answer.elapsed() > ABSENCE => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn show(&mut self, object: &Value) {
        let (done, total) = (bytes(object, "bytes_processed"), bytes(object, "total_bytes_estimate"));
        self.bar.set_length(total.max(done));
        self.bar.set_position(done);
        if !std::io::stderr().is_terminal() && self.last_line.elapsed() > Duration::from_secs(2) {
            self.last_line = Instant::now();
            let status = object.get("status").and_then(Value::as_str).unwrap_or("?");
            println!("    {status}, {} of about {}", HumanBytes(done), HumanBytes(total.max(done)));
        }
    }
}

fn bytes(object: &Value, key: &str) -> u64 {
    object.get(key).and_then(Value::as_u64).unwrap_or_default()
}

fn is_terminal(status: &str) -> bool {
    matches!(status, "done" | "failed" | "deleted")
}

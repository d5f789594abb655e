//! An adapter at work: a small program around one queue that is told what to do by lines on its standard input and answers
//! by lines on its standard output. The contract is in `crates/bench/peers/README.md`.

use std::fs::File;
use std::io::{BufRead, BufReader, PipeWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use private_postgres::process::{ChildProcess, tethered};

/// How long an adapter may take to load its runtime and connect.
const START: Duration = Duration::from_secs(60);
/// How long it may take to end when asked; then it is killed.
const END: Duration = Duration::from_secs(10);
/// How often a silent adapter is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// How an adapter is started.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// The program and its first arguments.
    pub(super) words: Vec<String>,
    /// Where it is installed.
    pub(super) folder: PathBuf,
}

/// A running adapter; killed when dropped.
pub(super) struct Adapter {
    name: String,
    process: ChildProcess,
    input: PipeWriter,
    lines: Receiver<String>,
    log: PathBuf,
}

impl Adapter {
    /// Starts the program and waits until it says `ready`. Its standard error goes into the log file.
    ///
    /// # Errors
    /// With the end of that file, when it ends or stays silent.
    pub(super) fn start(
        program: &Program,
        arguments: &[&str],
        url: &str,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let [first, others @ ..] = program.words.as_slice() else { bail!("a program without a name") };
        let mut command: Command = tethered(Path::new(first));
        command.args(others).args(arguments).env("DATABASE_URL", url).current_dir(&program.folder);
        let (stdin, input) = std::io::pipe()?;
        let (output, stdout) = std::io::pipe()?;
        let stderr = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr));
        let process = ChildProcess::spawn(command)?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let name = program.words.join(" ");
        let mut adapter = Self { name, process, input, lines, log: log.to_owned() };
        match adapter.line(START)?.as_deref() {
            Some("ready") => Ok(adapter),
            other => bail!("{} said {other:?} instead of ready{}", adapter.name, adapter.complaint()),
        }
    }

    /// The process id.
    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Tells it something.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn tell(&mut self, line: &str) -> anyhow::Result<()> {
        writeln!(self.input, "{line}").with_context(|| format!("{} is gone{}", self.name, self.complaint()))
    }

    /// The next line it says; none when the time is over.
    ///
    /// # Errors
    /// With the end of its log, when it is gone.
    pub(super) fn line(&mut self, patience: Duration) -> anyhow::Result<Option<String>> {
        let until = Instant::now() + patience;
        loop {
            let wait = until.saturating_duration_since(Instant::now()).min(LOOK);
            match self.lines.recv_timeout(wait) {
                Ok(line) => return Ok(Some(line)),
                Err(RecvTimeoutError::Timeout) if Instant::now() >= until => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("{} is silent{}", self.name, self.complaint()),
            }
            if let Some(status) = self.process.ended()? {
                bail!("{} ended with {status}{}", self.name, self.complaint());
            }
        }
    }

    /// The numbers of the next line, after an optional word.
    ///
    /// # Errors
    /// When there is none in time, or it is something else.
    pub(super) fn numbers(&mut self, word: &str, patience: Duration) -> anyhow::Result<Vec<u64>> {
        let line = self.line(patience)?;
        let line = line.with_context(|| format!("{} took too long{}", self.name, self.complaint()))?;
        let numbers = line.strip_prefix(word).context("another word was expected");
        numbers
            .and_then(|rest| Ok(rest.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>()?))
            .with_context(|| format!("{} said: {line}", self.name))
    }

    /// Asks it to end (`SIGTERM`), and kills it if it does not.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        self.process.end(Signal::SIGTERM, END).map(drop)
    }

    fn complaint(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!(
            "; it complained:\n{}",
            lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
        )
    }
}

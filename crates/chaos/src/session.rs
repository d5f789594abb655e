//! A `psql` that stays: asked through its standard input, so that looking at the database several times a second costs no
//! process and no connection each time. Ends with its first error or with its connection; the next question starts another.

use std::io::{BufRead, BufReader, PipeReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

const PATIENCE: Duration = Duration::from_secs(30);
const END: &str = "--- end of answer ---";

/// A client of one database.
#[derive(Debug)]
pub struct Session {
    program: PathBuf,
    url: String,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    child: Child,
    input: ChildStdin,
    output: BufReader<PipeReader>,
}

impl Session {
    /// Asks the database at this URL (several hosts are allowed) with this `psql`; connects with the first question.
    #[must_use]
    pub fn new(program: PathBuf, url: String) -> Self {
        Self { program, url, open: None }
    }

    /// Runs SQL and returns the lines of its answer, columns divided by `|`.
    ///
    /// # Errors
    /// With what `psql` printed, when a statement fails or the connection is lost.
    pub fn ask(&mut self, sql: &str) -> anyhow::Result<Vec<String>> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.connect()?,
        };
        let written = writeln!(open.input, "{sql};\n\\echo '{END}'").and_then(|()| open.input.flush());
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if open.output.read_line(&mut line)? == 0 {
                drop(written);
                bail!("psql gave up: {}", lines.join(" / "));
            }
            let line = line.trim_end_matches('\n');
            if line == END {
                self.open = Some(open);
                return Ok(lines);
            }
            lines.push(line.to_owned());
        }
    }

    /// Asks until there is an answer, for half a minute: a connection made before a failover is found to be lost only now.
    ///
    /// # Errors
    /// The last one.
    pub fn ask_patiently(&mut self, sql: &str) -> anyhow::Result<Vec<String>> {
        let begin = Instant::now();
        loop {
            match self.ask(sql) {
                Err(_) if begin.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(300)),
                result => return result,
            }
        }
    }

    fn connect(&self) -> anyhow::Result<Open> {
        let (reader, writer) = std::io::pipe()?;
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args([
                "--no-psqlrc",
                "--quiet",
                "--tuples-only",
                "--no-align",
                "--set=ON_ERROR_STOP=1",
                "--file=-",
            ])
            .arg(&self.url)
            .env("PGCONNECT_TIMEOUT", "5")
            .stdin(Stdio::piped())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .spawn()
            .context("psql cannot be started")?;
        let input = child.stdin.take().context("psql has no standard input")?;
        Ok(Open { child, input, output: BufReader::new(reader) })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // It has nothing to lose, and one whose server is frozen would not hear a request to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

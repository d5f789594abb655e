//! What a program prints to standard error: the last lines are kept for the operation's error message, and every line
//! is judged. Lines marked as warning, notice, detail or hint are harmless; any other line makes an operation fail.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Mutex;

use super::background::lock;
use super::redact::redact;

const LINES_KEPT: usize = 12;
const LONGEST_LINE: u64 = 2000;

/// Markers of harmless lines, as PostgreSQL's programs (`pg_dump: warning: …`) and servers (`NOTICE:  …`) print them.
const HARMLESS: [&str; 11] = [
    ": warning: ",
    ": detail: ",
    ": hint: ",
    "WARNING:",
    "NOTICE:",
    "INFO:",
    "DETAIL:",
    "HINT:",
    "CONTEXT:",
    "pg_dump: warning:",
    "LOG:",
];

/// The lines of one program's standard error.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    secrets: Vec<String>,
    last: VecDeque<String>,
    harmful: usize,
}

impl Complaints {
    pub(super) fn new(secrets: Vec<String>) -> Self {
        Self { secrets, ..Self::default() }
    }

    /// Reads to the end; overlong lines are cut, so memory stays bounded.
    pub(super) fn read(complaints: &Mutex<Self>, stderr: impl Read) -> io::Result<()> {
        let mut reader = BufReader::new(stderr);
        let mut line = Vec::new();
        loop {
            line.clear();
            if (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            lock(complaints).add(String::from_utf8_lossy(&line).trim_end());
        }
    }

    fn add(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        let continues = line.starts_with([' ', '\t']) && !self.last.is_empty();
        if !continues && !is_harmless(line) {
            self.harmful = self.harmful.saturating_add(1);
        }
        if self.last.len() >= LINES_KEPT {
            self.last.pop_front();
        }
        self.last.push_back(redact(line, &self.secrets));
    }

    pub(super) fn is_harmless(&self) -> bool {
        self.harmful == 0
    }

    pub(super) fn last_lines(&self) -> String {
        match self.last.is_empty() {
            true => "it printed nothing to standard error".to_owned(),
            false => self.last.iter().cloned().collect::<Vec<_>>().join(" / "),
        }
    }

    pub(super) fn log_warnings(&self, program: &str) {
        if !self.last.is_empty() {
            tracing::warn!(program, text = self.last_lines(), "a program printed warnings");
        }
    }
}

/// A marker counts at the start of the line or after the place `psql:<stdin>:7: `.
fn is_harmless(line: &str) -> bool {
    let text = match line.strip_prefix("psql:<stdin>:").and_then(|rest| rest.split_once(": ")) {
        Some((_, text)) => text,
        None => line,
    };
    HARMLESS.iter().any(|marker| match marker.strip_prefix(": ") {
        Some(_) => text.split_once(marker).is_some_and(|(program, _)| is_program_name(program)),
        None => text.starts_with(marker),
    })
}

fn is_program_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Complaints {
        let complaints = Mutex::default();
        Complaints::read(&complaints, text.as_bytes()).unwrap();
        complaints.into_inner().unwrap()
    }

    fn harmless(text: &str) -> bool {
        read(text).is_harmless()
    }

    #[test]
    fn warnings_with_their_details_are_harmless() {
        assert!(harmless(
            "pg_dump: warning: there are circular foreign-key constraints on this table:\n\
             pg_dump: detail: employee\npg_dump: hint: You might not be able to restore the dump.\n"
        ));
        assert!(harmless("psql:<stdin>:3: NOTICE:  role \"x\" is not a member\n"));
        assert!(harmless("WARNING:  database \"x\" has a collation version mismatch\nDETAIL:  …\n\tmore\n"));
    }

    #[test]
    fn anything_else_is_not() {
        assert!(!harmless("pg_dump: error: connection lost\n"));
        assert!(!harmless("psql:<stdin>:3: ERROR:  no WARNING: here\n"));
        assert!(!harmless("Segmentation fault\n"));
        assert!(!harmless("FATAL:  : warning: \n"));
        assert!(!harmless("  indented first line\n"));
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let text: String = (0..5000).map(|n| format!("line {n}\n")).collect();
        let complaints = read(&text);
        assert!(complaints.last_lines().ends_with("line 4999"));
        assert_eq!(complaints.last.len(), LINES_KEPT);
    }
}

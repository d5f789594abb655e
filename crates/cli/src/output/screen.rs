//! The two streams of the process, the format the user wants, and the width of the terminal.

use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use console::{Term, measure_text_width};
use serde_json::Value;

use super::Table;
use crate::error::Error;

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// The API's JSON
    Json,
}

/// Where a command prints.
pub struct Screen {
    out: Box<dyn Write>,
    remarks: Box<dyn Write>,
    format: Format,
    width: Option<u16>,
    has_live_terminal: bool,
}

impl Screen {
    /// The screen of this process.
    #[must_use]
    pub fn of_process(format: Format) -> Self {
        let width = std::io::stdout().is_terminal().then(|| Term::stdout().size().1);
        Self {
            out: Box::new(std::io::stdout()),
            remarks: Box::new(std::io::stderr()),
            format,
            width,
            has_live_terminal: std::io::stderr().is_terminal(),
        }
    }

    /// Whether JSON is wanted.
    #[must_use]
    pub fn wants_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether progress can be drawn over itself.
    #[must_use]
    pub fn has_live_terminal(&self) -> bool {
        self.has_live_terminal
    }

    /// Prints the API's answer.
    pub fn json(&mut self, value: &Value) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(value).map_err(|error| Error::Local(error.to_string()))?;
        self.line(&text)
    }

    /// Whether a table fits, without the columns it can do without.
    #[must_use]
    pub fn has_room_for(&self, table: &Table) -> bool {
        table.fits(self.width)
    }

    /// Prints a table, or `nothing` when it has no rows.
    pub fn table(&mut self, table: Table, nothing: &str) -> Result<(), Error> {
        if table.is_empty() {
            return self.remark(nothing);
        }
        let text = table.render(self.width);
        self.line(&text)?;
        match table.dropped(self.width) {
            [] => Ok(()),
            dropped => self.remark(&format!("Not shown, for want of room: {}.", dropped.join(", "))),
        }
    }

    /// Prints names and values below each other.
    pub fn fields(&mut self, fields: &[(&str, String)]) -> Result<(), Error> {
        let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in fields {
            self.line(&format!("{:<w$}  {value}", format!("{name}:"), w = width.saturating_add(1)))?;
        }
        Ok(())
    }

    /// Prints a line of the answer. A reader that went away (`| head`) is no error.
    pub fn line(&mut self, text: &str) -> Result<(), Error> {
        ignore_broken_pipe(writeln!(self.out, "{text}"))
    }

    /// Prints a sentence, broken between words where the terminal ends.
    pub fn sentence(&mut self, text: &str) -> Result<(), Error> {
        for line in broken(text, self.width.map_or(usize::MAX, usize::from)) {
            self.line(&line)?;
        }
        Ok(())
    }

    /// Prints a remark for the person, beside the answer.
    pub fn remark(&mut self, text: &str) -> Result<(), Error> {
        ignore_broken_pipe(writeln!(self.remarks, "{text}"))
    }
}

/// The text in lines of this width; a word that is longer has a line of its own.
fn broken(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if measure_text_width(line).saturating_add(measure_text_width(word)) < width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn ignore_broken_pipe(result: std::io::Result<()>) -> Result<(), Error> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::broken;

    #[test]
    fn a_sentence_is_broken_between_words_and_never_lost() {
        assert_eq!(broken("one two three", usize::MAX), ["one two three"]);
        assert_eq!(broken("one two three", 7), ["one two", "three"]);
        assert_eq!(broken("a-word-that-is-longer than", 5), ["a-word-that-is-longer", "than"]);
        assert!(broken("", 5).is_empty());
    }
}

//! Sends a dump into other databases than it names. `mariadb-dump` begins each database with an empty line and a line
//! `` USE `name`; ``; in a dump of tables no such pair of lines can come from an owner, because line breaks in texts are
//! escaped there and backquotes in names doubled: a line in the middle of a name is no properly doubled name. The names must come in the order of the backup's manifest.

use std::io::{self, Write};

use super::names::{fresh, quote};

const USE: &[u8] = b"USE `";

/// A writer that replaces the names.
pub(super) struct Redirect<'a, W: Write> {
    out: W,
    databases: &'a [String],
    done: usize,
    /// The beginning of a line that may be one of ours.
    held: Vec<u8>,
    is_line_start: bool,
    is_after_empty_line: bool,
}

impl<'a, W: Write> Redirect<'a, W> {
    pub(super) fn new(out: W, databases: &'a [String]) -> Self {
        Self { out, databases, done: 0, held: Vec::new(), is_line_start: true, is_after_empty_line: false }
    }

    /// Hands back the target; fails unless all databases have come.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&self.held)?;
        match self.done == self.databases.len() {
            true => Ok(self.out),
            false => Err(wrong("a database is missing")),
        }
    }

    fn line(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.held);
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if self.is_after_empty_line && is_use(text) {
            let expected = self.databases.get(self.done).map(|name| format!("USE {};", quote(name)));
            if expected.as_deref().map(str::as_bytes) != Some(text) {
                return Err(wrong("its databases are not in their order"));
            }
            self.done = self.done.saturating_add(1);
            writeln!(self.out, "USE {};", quote(&fresh(self.done)))?;
        } else {
            self.out.write_all(&line)?;
        }
        self.is_after_empty_line = text.is_empty();
        Ok(())
    }
}

impl<W: Write> Write for Redirect<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let ends = piece.ends_with(b"\n");
            if self.is_line_start {
                self.held.extend_from_slice(piece);
                let shown = self.held.len().min(USE.len());
                let may_be_ours =
                    self.held.get(..shown) == USE.get(..shown) || self.held.as_slice() == b"\n";
                // No name is longer than 64 characters.
                if may_be_ours && self.held.len() < 1024 {
                    if ends {
                        self.line()?;
                    }
                    continue;
                }
                self.out.write_all(&std::mem::take(&mut self.held))?;
            } else {
                self.out.write_all(piece)?;
            }
            self.is_after_empty_line = false;
            self.is_line_start = ends;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Whether it is `` USE `name`; `` with all backquotes of the name doubled.
fn is_use(line: &[u8]) -> bool {
    let name = line.strip_prefix(USE).and_then(|rest| rest.strip_suffix(b"`;"));
    name.is_some_and(|name| {
        let runs = name.split(|byte| *byte != b'`');
        !name.is_empty() && runs.into_iter().all(|run| run.len().is_multiple_of(2))
    })
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the dump of the tables is unclear: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirected(dump: &str, names: &[&str], piece: usize) -> io::Result<String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut redirect = Redirect::new(Vec::new(), &names);
        for bytes in dump.as_bytes().chunks(piece) {
            redirect.write_all(bytes)?;
        }
        Ok(String::from_utf8(redirect.finish()?).unwrap())
    }

    #[test]
    fn names_are_replaced_wherever_the_pieces_end() {
        let dump = "SET x;\n\nUSE `a`;\nINSERT 'USE `b`;';\nUSE `kept`;\n\n\nUSE `b ``☃`;\nU\n\nUS\nlast";
        let expected = "SET x;\n\nUSE `backup_agent_new_0001`;\nINSERT 'USE `b`;';\nUSE `kept`;\n\n\n\
                        USE `backup_agent_new_0002`;\nU\n\nUS\nlast";
        for piece in 1..dump.len() {
            assert_eq!(redirected(dump, &["a", "b `☃"], piece).unwrap(), expected, "{piece}");
        }
    }

    #[test]
    fn line_breaks_in_names_are_ordinary_text() {
        let table = "CREATE TABLE `x\n\nUSE ``a``;\n\nUSE ``;` (\n  `\n\nUSE ``mysql``;` int\n);\n";
        let dump = format!("\nUSE `a`;\n{table}");
        let expected = format!("\nUSE `backup_agent_new_0001`;\n{table}");
        assert_eq!(redirected(&dump, &["a"], 7).unwrap(), expected);
    }

    #[test]
    fn databases_that_are_missing_unknown_or_out_of_order_are_refused() {
        for dump in ["\nUSE `a`;\n", "\nUSE `b`;\n\nUSE `a`;\n", "\nUSE `a`;\n\nUSE `b`;\n\nUSE `mysql`;\n", ""] {
            assert!(redirected(dump, &["a", "b"], 3).is_err(), "{dump}");
        }
    }
}

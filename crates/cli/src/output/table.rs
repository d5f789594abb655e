//! Plain tables that fit the terminal: columns without lines, as in `kubectl`. Where standard output is no terminal,
//! nothing is wrapped, so that `grep` and `awk` see whole lines.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table as Grid, presets};

use super::one_line;

/// Rows under a header.
#[derive(Debug)]
pub struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Starts a table; a header beginning with `>` is aligned to the right.
    #[must_use]
    pub fn new(header: &[&'static str]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; texts of strangers lose their line breaks and control characters.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| one_line(&cell)).collect());
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Lays the table out for a terminal of this width; without width, as wide as it gets.
    #[must_use]
    pub fn render(&self, width: Option<u16>) -> String {
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING);
        match width {
            Some(width) => {
                grid.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(40));
            }
            None => {
                grid.force_no_tty().set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        grid.set_header(self.header.iter().map(|name| Cell::new(name.trim_start_matches('>'))));
        for row in &self.rows {
            grid.add_row(row.iter().zip(&self.header).map(|(cell, name)| {
                let side = if name.starts_with('>') { CellAlignment::Right } else { CellAlignment::Left };
                Cell::new(cell).set_alignment(side)
            }));
        }
        grid.column_iter_mut().for_each(|column| {
            column.set_padding((0, 2));
        });
        let lines: Vec<String> = grid.lines().map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&[">ID", "STATUS", "REASON"]);
        table.row(["7".into(), "done".into(), String::new()]);
        let reason = "the agent's program ended with exit code 2 and said\nthat the disk is full, ".repeat(3);
        table.row(["1234".into(), "failed".into(), reason]);
        table
    }

    #[test]
    fn a_table_fits_the_terminal() {
        for width in [40_u16, 60, 80, 200] {
            let text = table().render(Some(width));
            assert!(text.lines().all(|line| line.chars().count() <= usize::from(width)), "{width}\n{text}");
        }
    }

    #[test]
    fn without_a_terminal_every_row_is_one_line() {
        let text = table().render(None);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert_eq!(text.lines().nth(1), Some("   7  done"));
    }

    #[test]
    fn a_width_of_almost_nothing_does_not_break_it() {
        assert!(table().render(Some(1)).contains("failed"));
    }
}

//! Plain tables that fit the terminal: columns without lines, as in `kubectl`. Only prose is broken over lines; where
//! there is no room for the rest, columns are left out. Where standard output is no terminal, everything is there and
//! nothing is wrapped, so that `grep` and `awk` see whole lines.

use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table as Grid, Width, presets};
use console::measure_text_width;

use super::one_line;

/// Between two columns.
const GAP: usize = 2;
/// A longer word of prose may be broken; a GUID is shorter.
const LONGEST_WORD: usize = 40;

/// Rows under a header.
#[derive(Debug)]
pub struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    wrapping: &'static [&'static str],
    droppable: &'static [&'static str],
}

impl Table {
    /// Starts a table; a header beginning with `>` is aligned to the right.
    #[must_use]
    pub fn new(header: &[&'static str]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new(), wrapping: &[], droppable: &[] }
    }

    /// Names the columns of prose, whose cells may be broken between words.
    #[must_use]
    pub fn wrapping(self, wrapping: &'static [&'static str]) -> Self {
        Self { wrapping, ..self }
    }

    /// Names the columns a narrow terminal does without, the least important first.
    #[must_use]
    pub fn droppable(self, droppable: &'static [&'static str]) -> Self {
        Self { droppable, ..self }
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

    /// The columns that have to go for a terminal of this width.
    #[must_use]
    pub fn dropped(&self, width: Option<u16>) -> &'static [&'static str] {
        let Some(width) = width.map(usize::from) else { return &[] };
        let fits = |count: &usize| {
            let columns = self.columns(self.droppable.get(..*count).unwrap_or_default());
            total(columns.iter().map(|column| column.least)) <= width
        };
        let count = (0..self.droppable.len()).find(fits).unwrap_or(self.droppable.len());
        self.droppable.get(..count).unwrap_or_default()
    }

    /// Whether it fits a terminal of this width when every droppable column is left out.
    #[must_use]
    pub fn fits(&self, width: Option<u16>) -> bool {
        let columns = self.columns(self.droppable);
        width.is_none_or(|width| total(columns.iter().map(|column| column.least)) <= usize::from(width))
    }

    /// Lays the table out for a terminal of this width; without width, as wide as it gets. What cannot be broken may
    /// be wider than the terminal.
    #[must_use]
    pub fn render(&self, width: Option<u16>) -> String {
        let columns = self.columns(self.dropped(width));
        let widths = share_out(&columns, width.map_or(usize::MAX, usize::from));
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING).force_no_tty();
        grid.set_content_arrangement(ContentArrangement::Dynamic).set_width(u16::MAX);
        grid.set_header(columns.iter().map(|column| Cell::new(column.name)));
        for row in &self.rows {
            let cells = columns.iter().map(|column| {
                Cell::new(row.get(column.index).map_or("", String::as_str)).set_alignment(column.side)
            });
            grid.add_row(cells);
        }
        for (column, width) in grid.column_iter_mut().zip(widths) {
            let width = u16::try_from(width.saturating_add(GAP)).unwrap_or(u16::MAX);
            column.set_padding((0, 2)).set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
        }
        let lines: Vec<String> = grid.lines().map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n")
    }

    /// The columns that are shown, with the widths they need.
    fn columns(&self, dropped: &[&str]) -> Vec<Column> {
        let all = self.header.iter().enumerate().map(|(index, header)| self.column(index, header));
        all.filter(|column| !dropped.contains(&column.name)).collect()
    }

    fn column(&self, index: usize, header: &'static str) -> Column {
        let name = header.trim_start_matches('>');
        let side = if header.starts_with('>') { CellAlignment::Right } else { CellAlignment::Left };
        let cells = || self.rows.iter().filter_map(|row| row.get(index));
        let whole = cells().map(|cell| measure_text_width(cell)).max().unwrap_or(0);
        let least = if self.wrapping.contains(&name) {
            cells().map(|cell| longest_word(cell)).max().unwrap_or(0).min(LONGEST_WORD)
        } else {
            whole
        };
        Column {
            index,
            name,
            side,
            least: least.max(longest_word(name)),
            whole: whole.max(measure_text_width(name)),
        }
    }
}

/// A column that is shown.
struct Column {
    index: usize,
    name: &'static str,
    side: CellAlignment,
    /// Without breaking what must not be broken.
    least: usize,
    /// Without breaking anything.
    whole: usize,
}

fn longest_word(text: &str) -> usize {
    text.split_whitespace().map(measure_text_width).max().unwrap_or(0)
}

fn total(widths: impl Iterator<Item = usize>) -> usize {
    widths.map(|width| width.saturating_add(GAP)).sum::<usize>().saturating_sub(GAP)
}

/// Gives every column the least it needs, and what is left to the columns from left to right.
fn share_out(columns: &[Column], width: usize) -> Vec<usize> {
    let mut left = width.saturating_sub(total(columns.iter().map(|column| column.least)));
    let share = |column: &Column| {
        let more = column.whole.saturating_sub(column.least).min(left);
        left = left.saturating_sub(more);
        column.least.saturating_add(more)
    };
    columns.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";

    fn table() -> Table {
        let mut table = Table::new(&[">ID", "STATUS", "REASON"]).wrapping(&["REASON"]);
        table.row(["7".into(), "done".into(), String::new()]);
        let reason = "the agent's program ended with exit code 2 and said\nthat the disk is full, ".repeat(3);
        table.row(["1234".into(), "failed".into(), reason]);
        table
    }

    fn instances() -> Table {
        let mut table = Table::new(&["INSTANCE", "BROKER", ">BACKUPS", "LAST DONE (UTC)"])
            .droppable(&["BROKER", "BACKUPS"]);
        table.row([GUID.into(), "a broker".into(), "3".into(), "2026-01-31 01:30:00".into()]);
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
    fn guids_and_times_are_never_broken() {
        for width in [1_u16, 20, 40, 57, 60, 66, 80, 200] {
            let text = instances().render(Some(width));
            assert!(text.contains(GUID) && text.contains("2026-01-31 01:30:00"), "{width}\n{text}");
        }
    }

    #[test]
    fn a_narrow_terminal_does_without_the_least_important_columns() {
        assert!(instances().dropped(None).is_empty());
        assert!(instances().dropped(Some(80)).is_empty());
        assert_eq!(instances().dropped(Some(70)), ["BROKER"]);
        assert_eq!(instances().dropped(Some(60)), ["BROKER", "BACKUPS"]);
        let text = instances().render(Some(60));
        assert!(!text.contains("a broker") && text.lines().all(|line| line.len() <= 60), "{text}");
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

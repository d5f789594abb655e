//! Prometheus' text format. The values are the database's at the moment of the request, so there are no registers to keep,
//! and nothing that a library would add.

use std::fmt::{Display, Write as _};

/// Families of metrics, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Families(String);

impl Families {
    /// Begins a family; `kind` is `gauge` or `counter`.
    pub(crate) fn begin(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Adds a value of the family begun last.
    pub(crate) fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    /// A family of one value.
    pub(crate) fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.begin(name, kind, help);
        self.value(name, &[], value);
    }

    /// The text.
    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_as_prometheus_reads_them() {
        let mut families = Families::default();
        families.begin("a", "gauge", "What it is.");
        families.value("a", &[("queue", "x"), ("state", "a\"b\\c\nd")], 7);
        families.single("b", "counter", "More.", 1.5);
        let expected = "# HELP a What it is.\n# TYPE a gauge\na{queue=\"x\",state=\"a\\\"b\\\\c\\nd\"} 7\n# HELP b More.\n# TYPE b counter\nb 1.5\n";
        assert_eq!(families.into_text(), expected);
    }
}

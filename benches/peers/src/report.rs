//! What a section of the comparison has to say: tables and plots, and how they are written.

use std::fmt::Write;

use crate::plot::Plot;

/// One part of the comparison.
#[derive(Debug)]
pub(crate) struct Section {
    /// Its markers in the page: `<!-- peers: NAME -->` and `<!-- peers: end -->`.
    pub(crate) name: &'static str,
    /// A sentence before the tables.
    pub(crate) lead: String,
    pub(crate) tables: Vec<Table>,
    pub(crate) plots: Vec<Plot>,
}

/// A table. The first column names its rows.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(ToString::to_string).collect(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let row: Vec<_> = cells.into_iter().collect();
        assert_eq!(row.len(), self.head.len(), "a cell for each column: {row:?}");
        self.rows.push(row);
    }
}

impl Section {
    /// As Markdown.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |line: &str| writeln!(text, "{line}").expect("a string can be written to");
        if !self.lead.is_empty() {
            line(&self.lead);
        }
        for table in &self.tables {
            line("");
            line(&format!("| {} |", table.head.join(" | ")));
            line(&"|---".repeat(table.head.len()));
            for row in &table.rows {
                line(&format!("| {} |", row.join(" | ")));
            }
        }
        for plot in &self.plots {
            line("");
            line(&format!("![{}](plots/{}.svg)", plot.title, plot.file));
        }
        text.replace("|---\n", "|---|\n")
    }
}

/// A time in nanoseconds, with the unit that suits it.
pub(crate) fn time(nanos: Option<f64>) -> String {
    let Some(nanos) = nanos else { return "missing".to_owned() };
    let (value, unit) = match nanos {
        n if n < 1e3 => (n, "ns"),
        n if n < 1e6 => (n / 1e3, "µs"),
        n if n < 1e9 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    // Three digits.
    let decimals = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

/// How many times as long `a` takes as `b`.
pub(crate) fn times(a: Option<f64>, b: Option<f64>) -> String {
    match (a, b) {
        (Some(a), Some(b)) if a / b >= 99.5 => format!("{:.0}", a / b),
        (Some(a), Some(b)) if a / b >= 9.95 => format!("{:.1}", a / b),
        (Some(a), Some(b)) => format!("{:.2}", a / b),
        _ => "missing".to_owned(),
    }
}

/// Whether a target is met.
pub(crate) fn met(target: Option<bool>) -> &'static str {
    match target {
        Some(true) => "met",
        Some(false) => "missed",
        None => "missing",
    }
}

#[cfg(test)]
mod tests {
    use super::{Section, Table, time, times};

    #[test]
    fn times_have_three_digits_and_a_unit() {
        let shown: Vec<_> =
            [0.5, 9.999, 12.34, 999.0, 1_000.0, 1.5e6, 2e9].map(|n| time(Some(n))).into();
        assert_eq!(
            shown,
            ["0.50 ns", "10.0 ns", "12.3 ns", "999 ns", "1.00 µs", "1.50 ms", "2.00 s"]
        );
        assert_eq!(time(None), "missing");
        assert_eq!(times(Some(3.0), Some(1.5)), "2.00");
        assert_eq!(times(Some(3.0), None), "missing");
    }

    #[test]
    fn a_section_is_markdown() {
        let mut table = Table::new(&["what", "time"]);
        table.row(["one".to_owned(), time(Some(1.0))]);
        let section =
            Section { name: "x", lead: "Lead.".to_owned(), tables: vec![table], plots: vec![] };
        assert_eq!(section.text(), "Lead.\n\n| what | time |\n|---|---|\n| one | 1.00 ns |\n");
    }
}

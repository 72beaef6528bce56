//! Figures and tables as people read them.

use std::fmt;

use pic_ir::escape::{Escaped, acts};
use pic_ir::prediction::Fidelity;

/// Bytes with a binary unit.
pub fn bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

/// A duration with the unit that suits it.
pub fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.1} µs", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s if s < 120.0 => format!("{s:.2} s"),
        s => format!("{:.1} min", s / 60.0),
    }
}

/// How closely a program is expected to follow the plain network: `accuracy 91.60 → 91.20 ± 0.20 %`.
pub fn fidelity(fidelity: Fidelity) -> String {
    let percent = |share: f64| format!("{:.2}", 100.0 * share);
    match fidelity {
        Fidelity::Accuracy { plain, drop, standard_error } => {
            let [plain, left, error] = [plain, plain - drop, standard_error].map(percent);
            format!("accuracy {plain} → {left} ± {error} %")
        }
        Fidelity::Agreement { share, standard_error } => {
            format!("classes agree in {} ± {} %", percent(share), percent(standard_error))
        }
        Fidelity::Error { root_mean_square, largest } => {
            let [typical, largest] = [root_mean_square, largest].map(percent);
            format!("errors of {typical} % of the outputs' spread, at most {largest} %")
        }
    }
}

/// A share as a percentage. One that is too small for its digits is not none.
pub fn percent(share: f64) -> String {
    match share * 100.0 {
        p if p > 0.0 && p < 0.005 => "< 0.01 %".into(),
        p => format!("{p:.2} %"),
    }
}

/// A number with a noun whose plural takes an s.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A number of any size: in scientific form from a million on.
pub fn figure(value: f64) -> String {
    if value.abs() < 1e6 { format!("{value:.3}") } else { format!("{value:.2e}") }
}

/// An optional figure; a dash where there is none.
pub fn or_dash<T>(value: Option<T>, format: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "–".into(), format)
}

/// Text for a terminal: what names from files would make it do is shown instead. Line breaks stay.
pub fn printable(text: &str) -> String {
    text.split('\n').map(|line| Escaped(line).to_string()).collect::<Vec<_>>().join("\n")
}

/// JSON for a terminal: characters that act are written as escapes, which mean the same.
pub fn printable_json(json: &str) -> String {
    let mut text = String::new();
    for c in json.chars() {
        if c != '\n' && acts(c) {
            // Below 2^16 all, and within strings: outside of them JSON has none but line breaks.
            text += &format!("\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

/// Rows under a heading, columns aligned: the first to the left, the others to the right.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column headings.
    pub fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|h| (*h).into()).collect()] }
    }

    /// Adds a row. Cells may hold names from files.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| Escaped(&cell).to_string()).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|r| r.get(column));
            cells.map(|c| c.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.rows[0].len()).map(width).collect();
        self.rows.iter().try_for_each(|row| f.write_str(&line(row, &widths)))
    }
}

/// Columns of fixed widths, for tables whose rows are printed as they come.
pub struct Columns<const COUNT: usize>(pub [usize; COUNT]);

impl<const COUNT: usize> Columns<COUNT> {
    /// A row, with the end of its line.
    pub fn row(&self, cells: [&str; COUNT]) -> String {
        line(&cells, &self.0)
    }
}

/// Cells in columns, the first to the left, the others to the right.
fn line(cells: &[impl AsRef<str>], widths: &[usize]) -> String {
    let mut line = String::new();
    for (index, (cell, &w)) in cells.iter().zip(widths).enumerate() {
        let cell = cell.as_ref();
        line += &if index == 0 { format!("  {cell:<w$}") } else { format!("  {cell:>w$}") };
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_take_suitable_units() {
        assert_eq!(bytes(512), "0.5 KiB");
        assert_eq!(bytes(3 << 29), "1.5 GiB");
        assert_eq!(seconds(0.0423), "42.3 ms");
        assert_eq!(seconds(90.0), "90.00 s");
        assert_eq!(percent(0.005), "0.50 %");
        assert_eq!((percent(1e-6), percent(0.0)), ("< 0.01 %".into(), "0.00 %".into()));
        assert_eq!(
            (count(1, "sample"), count(0, "sample")),
            ("1 sample".into(), "0 samples".into())
        );
        assert_eq!((figure(-0.25), figure(1e100)), ("-0.250".into(), "1.00e100".into()));
        assert_eq!(or_dash(None, percent), "–");
    }

    #[test]
    fn nothing_acts_on_the_terminal() {
        assert_eq!(printable("a\x1b[2J\nb\u{202e}"), "a\\u{1b}[2J\nb\\u{202e}");
        let value = "a\x1b\x7f\u{9b}\u{202e}\nü";
        let json = printable_json(&serde_json::to_string_pretty(&[value]).unwrap());
        assert_eq!(json, "[\n  \"a\\u001b\\u007f\\u009b\\u202e\\nü\"\n]");
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), [value]);
        let mut table = Table::new(&["name", "x"]);
        table.row(["a\nb".into(), "1".into()]);
        assert_eq!(table.to_string(), "  name  x\n  a\\nb  1\n");
    }

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["layer", "degree"]);
        table.row(["relu".into(), "7".into()]);
        assert_eq!(table.to_string(), "  layer  degree\n  relu        7\n");
        assert_eq!(Columns([5, 3]).row(["µs", "ab"]), "  µs      ab\n");
    }
}

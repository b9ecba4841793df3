//! Delivery's figures as a table in Markdown, each beside what it is to reach.

use std::fmt;

/// One figure of its own.
pub(super) struct Row {
    what: String,
    value: f64,
    unit: &'static str,
    bound: Bound,
}

/// What a figure is to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bound {
    /// It is there to be compared with.
    None,
    AtMost(f64),
}

impl Row {
    pub(super) fn new(
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
        bound: Bound,
    ) -> Self {
        Self { what: what.into(), value, unit, bound }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, value, unit, bound } = self;
        match *bound {
            Bound::None => write!(f, "| {what} | {value:.2} {unit} | – | – |"),
            Bound::AtMost(most) => {
                let ratio = value / most;
                // What is not a number meets nothing.
                let met = if ratio <= 1.0 { "met" } else { "**not met**" };
                write!(
                    f,
                    "| {what} | {value:.2} {unit} | ≤ {most:.1} {unit} | {ratio:.2}×, {met} |"
                )
            }
        }
    }
}

/// The rows under their head.
pub(super) fn table(rows: &[Row]) -> String {
    let rows: String = rows.iter().map(|row| format!("{row}\n")).collect();
    format!("| delivery | measured | to reach | of that |\n| --- | --- | --- | --- |\n{rows}")
}

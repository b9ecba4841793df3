//! What is wrong with a config, where, and what would be right.

use std::{collections::BTreeSet, fmt};

use serde_saphyr::{DefaultMessageFormatter, Error as YamlError, MessageFormatter};

/// Where in a file: both count from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is wrong, if it is in the file at all.
    pub place: Option<Place>,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Why there is no config: everything that is wrong with it, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file as the user named it, or what stands for it.
    pub source: String,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    pub(super) fn new(source: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.place);
        for problem in &mut problems {
            problem.message = printable(&problem.message);
        }
        Self { source: source.to_owned(), problems }
    }

    pub(super) fn one(source: &str, message: impl Into<String>) -> Self {
        Self::new(source, vec![Problem { place: None, message: message.into() }])
    }

    /// What the YAML reader found.
    pub(super) fn yaml(source: &str, error: &YamlError) -> Self {
        let place = error.location().map(|at| Place { line: at.line(), column: at.column() });
        let place = place.filter(|place| place.line > 0);
        Self::new(source, vec![Problem { place, message: message(error) }])
    }
}

/// `file:line:column: what is wrong`, one line for each problem.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&self.source)?;
            if let Some(Place { line, column }) = problem.place {
                write!(f, ":{line}:{column}")?;
            }
            write!(f, ": {}", problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

fn message(error: &YamlError) -> String {
    match error.without_snippet() {
        YamlError::SerdeUnknownField { field, expected, .. } => {
            format!("unknown key `{field}`; {}", suggestion(field, expected))
        }
        YamlError::DuplicateMappingKey { key: Some(key), .. } => {
            format!("`{key}` is written twice; keep one")
        }
        YamlError::NullIntoString { .. } => {
            "the value is missing; give one or take the key out".to_owned()
        }
        YamlError::SerdeInvalidType { unexpected, expected, .. } => {
            // Only of what type it is: the value may be a secret in the wrong place.
            let found = unexpected.split(['"', '`']).next().unwrap_or_default().trim_end();
            format!("expected {expected}, found {found}")
        }
        YamlError::Unexpected { expected: "mapping start", .. } => {
            "expected keys and values, `key: value`".to_owned()
        }
        YamlError::Unexpected { expected: "sequence start", .. } => {
            "expected a list, `[a, b]` or lines that begin with `- `".to_owned()
        }
        YamlError::Unexpected { expected, .. } => format!("expected {expected}"),
        YamlError::Eof { .. } => "the file ends too early, or is empty".to_owned(),
        YamlError::MultipleDocuments { .. } => "a second document begins; keep one".to_owned(),
        other => DefaultMessageFormatter.format_message(other).into_owned(),
    }
}

/// On one line, and without what a terminal would obey: names from the file may hold anything.
fn printable(text: &str) -> String {
    let escaped = text.chars().map(|char| match char.is_control() {
        true => char.escape_default().to_string(),
        false => char.to_string(),
    });
    escaped.collect()
}

/// `did you mean …?`, or all that is known.
fn suggestion(found: &str, known: &[impl AsRef<str>]) -> String {
    match nearest(found, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", list(known)),
    }
}

/// All that is known, and what was probably meant.
pub(super) fn choice(found: &str, known: &[impl AsRef<str>]) -> String {
    let all = format!("there are {}", list(known));
    match nearest(found, known) {
        Some(near) => format!("{all}; did you mean `{near}`?"),
        None => all,
    }
}

/// Names in the order given, for reading.
pub(super) fn list(names: &[impl AsRef<str>]) -> String {
    let mut seen = BTreeSet::new();
    let names = names.iter().map(AsRef::as_ref).filter(|name| seen.insert(*name));
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    match names.is_empty() {
        true => "nothing".to_owned(),
        false => names.join(", "),
    }
}

/// The known word that is a typing error away; none if all are too far.
fn nearest<'a>(found: &str, known: &'a [impl AsRef<str>]) -> Option<&'a str> {
    let found = found.to_lowercase();
    // The beginning of one word only is an abbreviation of it.
    let mut longer = known.iter().map(AsRef::as_ref).filter(|word| word.starts_with(&found));
    if found.len() >= 3
        && let (Some(word), None) = (longer.next(), longer.next())
    {
        return Some(word);
    }
    let close = known.iter().map(|word| (distance(&found, word.as_ref()), word.as_ref()));
    let (distance, word) = close.min_by_key(|(distance, _)| *distance)?;
    (distance <= word.len().min(found.len()).div_ceil(3)).then_some(word)
}

/// How many letters must be added, removed, changed or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<_>, Vec<_>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let best = changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                if swapped { best.min(rows[i - 2][j - 2] + 1) } else { best }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_word() {
        let known = ["tokens_per_second", "dialect", "base_url", "api_key"];
        for (found, word) in [
            ("tokens_per_sec", "tokens_per_second"),
            ("dialetc", "dialect"),
            ("base-url", "base_url"),
            ("API_KEY", "api_key"),
            ("apikey", "api_key"),
        ] {
            assert_eq!(nearest(found, &known), Some(word));
        }
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest("x", &known), None);
    }

    #[test]
    fn distance_counts_each_slip_once() {
        for (a, b, expected) in
            [("", "", 0), ("a", "", 1), ("ab", "ba", 1), ("kitten", "sitting", 3), ("é", "e", 1)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }
}

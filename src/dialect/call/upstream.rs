//! A call as it goes upstream, and what could not be said there.

use std::{collections::HashSet, fmt};

use bytes::Bytes;
use thiserror::Error;

/// A call in a provider's dialect.
#[derive(Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Under the provider's base URL, beginning with a slash, with its query.
    pub path: String,
    /// Headers that the dialect needs, in lower case; they do not replace what the app sent.
    pub headers: Vec<(&'static str, String)>,
    /// The JSON body.
    pub body: Bytes,
    /// What was left out.
    pub dropped: Dropped,
}

/// Without the body: it is the prompt.
impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, dropped, .. } = self;
        let mut shown = f.debug_struct("Upstream");
        shown.field("path", path).field("dropped", dropped).finish_non_exhaustive()
    }
}

/// Paths of the app's body that were left out because the answer means the same without them. The app is told in the
/// `tokenway-dropped` header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    paths: Vec<String>,
    /// The same, to be found: an app may send a million members that nobody knows.
    known: HashSet<String>,
}

impl Dropped {
    /// Notes a path, once.
    pub fn note(&mut self, path: impl Into<String>) {
        let path = path.into();
        if !self.known.contains(&path) {
            self.known.insert(path.clone());
            self.paths.push(path);
        }
    }

    /// The paths, in the order in which they were left out.
    pub fn paths(&self) -> &[String] {
        &self.paths
    }
}

/// Something that the target's dialect has no words for, and without which the answer would mean something else.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{path}` cannot be sent to a provider of the dialect `{dialect}`: {why}")]
pub struct Unsayable {
    /// Where it is in the app's body.
    pub path: String,
    /// The target's dialect.
    pub dialect: &'static str,
    /// Why not, and what would be right.
    pub why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_thousand_paths_are_noted_once_each_and_in_time() {
        let mut dropped = Dropped::default();
        for path in (0..100_000).chain(0..100_000) {
            dropped.note(format!("a_member_that_nobody_knows_{path:06}"));
        }
        assert_eq!(dropped.paths().len(), 100_000);
        assert_eq!(dropped.paths()[7], "a_member_that_nobody_knows_000007");
    }
}

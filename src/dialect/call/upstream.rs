//! A call as it goes upstream, and what could not be said there.

use std::fmt;

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
pub struct Dropped(Vec<String>);

impl Dropped {
    /// Notes a path, once.
    pub fn note(&mut self, path: impl Into<String>) {
        let path = path.into();
        if !self.0.contains(&path) {
            self.0.push(path);
        }
    }

    /// The paths, in the order in which they were left out.
    pub fn paths(&self) -> &[String] {
        &self.0
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

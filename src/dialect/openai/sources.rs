//! Sources that come in lists beside the answer, not within it.

use std::collections::HashSet;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{
    chunk::is_empty,
    content::{Voice, copy},
};
use crate::event::Kind;

/// Sources that come again with every chunk (Perplexity); each is said once.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// The last list as it came, because mostly it comes again as it was.
    list: Bytes,
    cited: HashSet<String>,
    results: Bytes,
}

impl Sources {
    /// Says what is new in a list of sources.
    pub(super) fn cite(&mut self, list: &RawValue, to: &mut Voice<'_>) {
        if self.list == list.get() {
            return;
        }
        self.list = copy(list);
        for source in serde_json::from_str::<Vec<&RawValue>>(list.get()).unwrap_or_default() {
            if self.cited.insert(source.get().to_owned()) {
                to.say(Kind::Citation(copy(source)));
            }
        }
    }

    /// Passes a list of search results, if it is not the last one again.
    pub(super) fn results(&mut self, results: &RawValue, to: &mut Voice<'_>) {
        if self.results != results.get() && !is_empty(results) {
            self.results = copy(results);
            to.native("search_results", self.results.clone());
        }
    }
}

//! Remembers for a while which channels expired, so that whoever comes late is told so rather than "never heard of it".

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use crate::ident::ChannelKey;

/// How long an expired id is answered with `channel_evicted`.
const KEPT_FOR: Duration = Duration::from_secs(60 * 60);

/// The most that are remembered: at 160 bytes or so each, 16 MiB. Past it the oldest is forgotten and becomes unknown.
const KEPT_MAX: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Tombstones {
    order: VecDeque<(Instant, ChannelKey)>,
    keys: HashSet<ChannelKey>,
}

impl Tombstones {
    pub(super) fn bury(&mut self, key: ChannelKey, now: Instant) {
        if self.order.len() == KEPT_MAX {
            self.forget_oldest();
        }
        if self.keys.insert(key.clone()) {
            self.order.push_back((now, key));
        }
    }

    /// The id is in use again.
    pub(super) fn raise(&mut self, key: &ChannelKey) {
        if self.keys.remove(key) {
            self.order.retain(|(_, buried)| buried != key);
        }
    }

    pub(super) fn contains(&self, key: &ChannelKey) -> bool {
        self.keys.contains(key)
    }

    pub(super) fn sweep(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(buried, _)| now >= *buried + KEPT_FOR) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.keys.remove(&key);
        }
    }
}

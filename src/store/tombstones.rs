//! Remembers for a while which channels expired, so that whoever comes late is told so rather than "never heard of it".

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use crate::ident::ChannelKey;

/// How long an expired id is answered with `channel_evicted`.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(60 * 60);

/// The most that are remembered: at 160 bytes or so each, 16 MiB. Past it the oldest is forgotten and becomes unknown.
pub(super) const KEPT_MAX: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Tombstones {
    order: VecDeque<(u64, ChannelKey)>,
    keys: HashSet<ChannelKey>,
}

impl Tombstones {
    /// The channel expired at this time, in milliseconds since 1970 UTC.
    pub(super) fn bury(&mut self, key: ChannelKey, now_ms: u64) {
        if self.order.len() == KEPT_MAX {
            self.forget_oldest();
        }
        if self.keys.insert(key.clone()) {
            self.order.push_back((now_ms, key));
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

    /// All of them, the oldest first, and when each expired.
    pub(super) fn all(&self) -> Vec<(ChannelKey, u64)> {
        self.order.iter().map(|(buried, key)| (key.clone(), *buried)).collect()
    }

    pub(super) fn sweep(&mut self, now_ms: u64) {
        let kept_ms = KEPT_FOR.as_millis() as u64;
        while self.order.front().is_some_and(|(buried, _)| now_ms >= buried + kept_ms) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.keys.remove(&key);
        }
    }
}

//! How channels stand, as nodes tell each other: what this one tells, what it hears, and what follows from it.
//!
//! The index holds it, and [`tasks`](super::tasks) carry it; what counts is a channel's log.

use tokio::time::Instant;

use super::{
    super::StoreError,
    inner::{Inner, Read},
    lines::Line,
    nats::Nats,
    record::Entry,
};
use crate::ident::ChannelKey;

impl Inner {
    /// A channel that this node writes stands so: all nodes are told.
    pub(super) fn stands(&self, entry: Entry) {
        let key = entry.key.clone();
        self.index.lock().learn(entry);
        self.note(key);
    }

    pub(super) fn note(&self, key: ChannelKey) {
        self.dirty.lock().insert(key);
        self.to_note.notify_one();
    }

    /// Waits until all nodes can know how a channel stands.
    pub(super) async fn is_noted(&self, key: &ChannelKey) {
        loop {
            let noted = self.noted.notified();
            if !self.dirty.lock().contains(key) {
                return;
            }
            noted.await;
        }
    }

    /// Waits until all nodes can know how the channels of this one stand.
    pub(super) async fn all_noted(&self) {
        loop {
            let noted = self.noted.notified();
            if self.dirty.lock().is_empty() {
                return;
            }
            noted.await;
        }
    }

    /// A channel stands so, as another node says, or the log.
    pub(super) fn hears(&self, entry: Entry) {
        let key = entry.key.clone();
        let by_another = entry.node != self.lease.node() || entry.gone.is_some();
        let stale = self.index.lock().learn(entry).is_some();
        match self.lines.get(&key) {
            // What it says is behind what this node has said since.
            Some(Line::Writes(_)) if stale && by_another => self.note(key),
            Some(Line::Writes(outbox)) if by_another => outbox.suspect(),
            _ => {}
        }
    }

    /// What the log holds of a channel is how it stands. All nodes are told.
    pub(super) async fn look_anew(&self, key: &ChannelKey) -> Result<(), StoreError> {
        if let Some(Read { told, .. }) = self.read(key).await? {
            // If more was heard of it since, that is right.
            self.index.lock().learn(told.entry(key));
            self.note(key.clone());
        }
        Ok(())
    }

    /// The channels on which something runs that nobody writes any more. Those that another node is to look after come a
    /// little later, in case that it does not.
    pub(super) fn unfinished(&self) -> Vec<ChannelKey> {
        let now = Instant::now();
        if !self.holds() {
            return Vec::new();
        }
        let (alive, node) = (self.lease.alive(now), self.lease.node());
        let later = now.checked_sub(self.lease.span() / 4).unwrap_or(now);
        let index = self.index.lock();
        let lost = index.running().filter(|entry| match entry.node == node {
            true => !self.lines.writes(&entry.key),
            false => {
                let at = if self.is_mine(&entry.key, &alive) { now } else { later };
                !self.lease.is_alive(&entry.node, at)
            }
        });
        lost.map(|entry| entry.key.clone()).collect()
    }

    /// Whether this one of the nodes that live looks after a channel that nobody writes.
    pub(super) fn is_mine(&self, key: &ChannelKey, alive: &[String]) -> bool {
        let place = alive.iter().position(|node| node == self.lease.node()).unwrap_or_default();
        let number = u64::from_str_radix(&Nats::hash(key)[..8], 16).unwrap_or_default();
        number % alive.len() as u64 == place as u64
    }
}

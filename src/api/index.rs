//! Where a generation is, by its id or by the id that its provider gave the answer: for apps that come back for it.
//!
//! Bounded: of more than it holds, the oldest are forgotten, and those whose channels are gone are no longer found.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

use super::relay::Place;
use crate::{
    channel::Channel,
    ident::{GenerationId, Owner},
};

/// How many generations are known at most: some hours of a busy gateway, in about 5 MB.
const GENERATIONS_MAX: usize = 16_384;

/// The longest id of a provider's that is remembered, in bytes.
const ID_BYTES_MAX: usize = 128;

/// A generation, found again.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) id: GenerationId,
    pub(super) channel: Arc<Channel>,
    pub(super) place: Place,
    /// Its app wanted to be told usage.
    pub(super) asks_usage: bool,
}

/// Finds generations.
#[derive(Debug)]
pub(super) struct Index {
    known: Mutex<Known>,
    max: usize,
}

#[derive(Debug, Default)]
struct Known {
    entries: HashMap<String, Entry>,
    /// Providers' ids, and the generations they mean.
    aliases: HashMap<String, String>,
    oldest_first: VecDeque<String>,
}

#[derive(Debug)]
struct Entry {
    owner: Owner,
    channel: Weak<Channel>,
    place: Place,
    asks_usage: bool,
    alias: Option<String>,
}

impl Default for Index {
    fn default() -> Self {
        Self { known: Mutex::default(), max: GENERATIONS_MAX }
    }
}

impl Index {
    /// Remembers a generation.
    pub(super) fn note(&self, found: &Found) {
        let Found { id, channel, place, asks_usage } = found;
        let entry = Entry {
            owner: channel.key().owner.clone(),
            channel: Arc::downgrade(channel),
            place: *place,
            asks_usage: *asks_usage,
            alias: None,
        };
        let mut known = self.known.lock();
        known.entries.insert(id.as_str().to_owned(), entry);
        known.oldest_first.push_back(id.as_str().to_owned());
        while known.oldest_first.len() > self.max {
            known.forget_oldest();
        }
    }

    /// Remembers what a generation's provider calls its answer. Of two with one name, the later has it.
    pub(super) fn alias(&self, id: &GenerationId, alias: &str) {
        if alias.is_empty() || alias.len() > ID_BYTES_MAX {
            return;
        }
        let mut known = self.known.lock();
        if let Some(entry) = known.entries.get_mut(id.as_str()) {
            entry.alias = Some(alias.to_owned());
            known.aliases.insert(alias.to_owned(), id.as_str().to_owned());
        }
    }

    /// The owner's generation of this id.
    pub(super) fn find(&self, owner: &Owner, id: &str) -> Option<Found> {
        self.known.lock().find(owner, id)
    }

    /// The owner's generation of this id or of its provider's.
    pub(super) fn find_by_any(&self, owner: &Owner, id: &str) -> Option<Found> {
        let known = self.known.lock();
        known.find(owner, id).or_else(|| known.find(owner, known.aliases.get(id)?))
    }

    /// Whether this is another owner's generation, by its id or by its provider's: none that may be asked for elsewhere.
    pub(super) fn is_anothers(&self, owner: &Owner, id: &str) -> bool {
        let known = self.known.lock();
        let entry = known.aliases.get(id).and_then(|id| known.entries.get(id));
        let entry = entry.or_else(|| known.entries.get(id));
        entry.is_some_and(|entry| entry.owner != *owner)
    }
}

impl Known {
    fn find(&self, owner: &Owner, id: &str) -> Option<Found> {
        let Entry { channel, place, asks_usage, .. } =
            self.entries.get(id).filter(|entry| entry.owner == *owner)?;
        let channel = channel.upgrade()?;
        let id = GenerationId::claimed(id);
        Some(Found { id, channel, place: *place, asks_usage: *asks_usage })
    }

    fn forget_oldest(&mut self) {
        let oldest = self.oldest_first.pop_front();
        let Some((id, entry)) = oldest.and_then(|id| self.entries.remove_entry(&id)) else {
            return;
        };
        if let Some(alias) = entry.alias.filter(|alias| self.aliases.get(alias) == Some(&id)) {
            self.aliases.remove(&alias);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        channel::{Channels, Retention},
        store::Memory,
    };

    fn found(channels: &Channels, owner: &Owner, id: &str) -> Found {
        let channel = channels.create(owner.clone()).expect("memory opens");
        let place = Place { index: 0, first_seq: 1 };
        Found { id: GenerationId::claimed(id), channel, place, asks_usage: false }
    }

    #[test]
    fn a_generation_is_found_by_its_owner_until_newer_ones_take_its_place() {
        let retention = Retention { after_end: std::time::Duration::ZERO, max_bytes: 1 << 20 };
        let channels = Channels::new(Arc::new(Memory), retention);
        let (me, other) = (Owner::new("me"), Owner::new("other"));
        let index = Index { max: 2, ..Index::default() };
        let all = ["a", "b", "c"].map(|id| found(&channels, &me, id));
        for one in &all {
            index.note(one);
            index.alias(&one.id, &format!("theirs-{}", one.id));
        }
        assert!(index.find(&me, "a").is_none() && index.find_by_any(&me, "theirs-a").is_none());
        assert!(index.find(&me, "b").is_some() && index.find_by_any(&me, "theirs-b").is_some());
        assert!(index.find(&other, "b").is_none() && index.find(&me, "theirs-b").is_none());
        assert!(index.is_anothers(&other, "b") && index.is_anothers(&other, "theirs-b"));
        assert!(!index.is_anothers(&me, "theirs-b") && !index.is_anothers(&other, "a"));
        index.alias(&all[2].id, &"x".repeat(129));
        assert_eq!(index.known.lock().aliases.len(), 2);
        // Once nobody holds its channel, there is nothing to come back for.
        let [.., c] = all;
        channels.delete(c.channel.key()).expect("nothing runs");
        drop(c);
        assert!(index.find(&me, "c").is_none());
    }
}

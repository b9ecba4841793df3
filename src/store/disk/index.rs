//! Which channels are kept, and where: all that is in memory of a channel at rest. It does not grow with what was said.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Weak},
};

use super::{
    super::{AtRest, Kept, tombstones::Tombstones},
    blob::About,
    format::Head,
    shelf::Place,
    tail::Tail,
};
use crate::{
    ident::{ChannelKey, Owner},
    sequence::{Epoch, Past},
};

#[derive(Default)]
pub(super) struct Index {
    entries: HashMap<ChannelKey, Entry>,
    /// By the time of their last event.
    by_age: BTreeSet<(u64, ChannelKey)>,
    /// Those that are in memory.
    open: HashMap<ChannelKey, Weak<Tail>>,
    pub(super) tombstones: Tombstones,
    /// Each owner's name is held once.
    owners: HashSet<Owner>,
}

/// A channel at rest.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) number: u64,
    pub(super) named: bool,
    pub(super) epoch: Epoch,
    pub(super) past: Box<[Past]>,
    pub(super) last_seq: u64,
    pub(super) last_ms: u64,
    pub(super) running: u32,
    pub(super) generations: u32,
}

impl Entry {
    pub(super) fn new(place: Place, about: &About) -> Self {
        Self {
            place,
            number: about.number,
            named: about.head.named,
            epoch: about.head.epoch,
            past: about.head.past.clone().into(),
            last_seq: about.last_seq,
            last_ms: about.last_ms,
            running: about.running,
            generations: about.generations,
        }
    }

    /// Whether its last seq is of what a channel holds now.
    pub(super) fn holds_up_to(&self, kept: &Kept) -> bool {
        let place = kept.past.iter().position(|past| past.epoch == self.epoch);
        let since = place.map_or(&[][..], |place| &kept.past[place..]);
        (place.is_some() || kept.epoch == self.epoch)
            && since.iter().all(|past| past.valid_through >= self.last_seq)
    }

    pub(super) fn head(&self) -> Head {
        Head { named: self.named, epoch: self.epoch, past: self.past.to_vec() }
    }
}

impl Index {
    pub(super) fn get(&self, key: &ChannelKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// All channels at rest.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ChannelKey, &Entry)> {
        self.entries.iter()
    }

    /// Notes a channel at rest, and gives what is no longer so.
    pub(super) fn put(&mut self, mut key: ChannelKey, entry: Entry) -> Option<Entry> {
        match self.owners.get(&key.owner) {
            Some(owner) => key.owner = owner.clone(),
            None => {
                self.owners.insert(key.owner.clone());
            }
        }
        self.tombstones.raise(&key);
        let before = self.remove(&key);
        self.by_age.insert((entry.last_ms, key.clone()));
        self.entries.insert(key, entry);
        before
    }

    pub(super) fn remove(&mut self, key: &ChannelKey) -> Option<Entry> {
        let (key, entry) = self.entries.remove_entry(key)?;
        self.by_age.remove(&(entry.last_ms, key));
        Some(entry)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The channels at rest that are not in memory and whose last event was said before.
    pub(super) fn older_than(&self, ms: u64) -> Vec<ChannelKey> {
        let old = self.by_age.iter().take_while(|(last_ms, _)| *last_ms < ms);
        old.map(|(_, key)| key).filter(|key| !self.is_open(key)).cloned().collect()
    }

    pub(super) fn unfinished(&self) -> Vec<ChannelKey> {
        let unfinished = self.entries.iter().filter(|(_, entry)| entry.running > 0);
        unfinished.map(|(key, _)| key.clone()).collect()
    }

    pub(super) fn at_rest(&self, owner: &Owner) -> Vec<AtRest> {
        let theirs = self.entries.iter().filter(|(key, _)| key.owner == *owner);
        theirs
            .map(|(key, entry)| AtRest {
                key: key.clone(),
                named: entry.named,
                epoch: entry.epoch,
                last_seq: entry.last_seq,
                last_ms: entry.last_ms,
                generations: entry.generations,
                running: 0,
                bytes: entry.place.bytes,
            })
            .collect()
    }

    /// The channels that stand on a shelf.
    pub(super) fn on_shelf(&self, shelf: u32) -> Vec<(ChannelKey, Entry)> {
        let on_it = self.entries.iter().filter(|(_, entry)| entry.place.shelf == shelf);
        on_it.map(|(key, entry)| (key.clone(), entry.clone())).collect()
    }

    /// Somebody begins to open it: from now on it does not expire, and what it needs of the journal stays, until the tail is
    /// dropped.
    pub(super) fn opened(&mut self, key: ChannelKey, tail: &Arc<Tail>) {
        self.open.insert(key, Arc::downgrade(tail));
    }

    pub(super) fn closed(&mut self, key: &ChannelKey) {
        self.open.remove(key);
    }

    pub(super) fn tail(&self, key: &ChannelKey) -> Option<Arc<Tail>> {
        self.open.get(key)?.upgrade()
    }

    pub(super) fn is_open(&self, key: &ChannelKey) -> bool {
        self.open.get(key).is_some_and(|tail| tail.strong_count() > 0)
    }

    /// The first file of the journal that is needed; and the channels that need one before `file`.
    pub(super) fn needs(&mut self, file: u32) -> (u32, Vec<ChannelKey>) {
        self.open.retain(|_, tail| tail.strong_count() > 0);
        let (mut first, mut burdens) = (u32::MAX, Vec::new());
        for (key, tail) in &self.open {
            if let Some(since) = tail.upgrade().and_then(|tail| tail.since()) {
                first = first.min(since);
                if since < file {
                    burdens.push(key.clone());
                }
            }
        }
        (first, burdens)
    }
}

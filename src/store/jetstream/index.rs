//! How every channel of all nodes stands, as far as this node has heard. Pure.
//!
//! What is heard may be late, and come in another order than it was said: of two entries of a channel the one that speaks of
//! more of its log holds, and of two that speak of as much the one on which more runs: that is what is about to begin.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use super::{
    super::{AtRest, tombstones::KEPT_FOR},
    record::Entry,
};
use crate::ident::{ChannelKey, Owner};

#[derive(Default)]
pub(super) struct Index {
    entries: HashMap<ChannelKey, Entry>,
    /// Those on which something runs.
    running: BTreeSet<ChannelKey>,
    bytes: u64,
}

impl Index {
    pub(super) fn get(&self, key: &ChannelKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// Takes in how a channel stands. Gives what is known instead, if that speaks of more.
    pub(super) fn learn(&mut self, entry: Entry) -> Option<&Entry> {
        let key = entry.key.clone();
        let place = |entry: &Entry| (entry.at, entry.running);
        if self.entries.get(&key).is_some_and(|known| place(known) > place(&entry)) {
            return self.entries.get(&key);
        }
        self.correct(entry);
        None
    }

    /// A channel stands so, whatever was known.
    pub(super) fn correct(&mut self, entry: Entry) {
        let key = entry.key.clone();
        match entry.running > 0 && entry.gone.is_none() {
            true => self.running.insert(key.clone()),
            false => self.running.remove(&key),
        };
        self.bytes += entry.bytes;
        if let Some(before) = self.entries.insert(key, entry) {
            self.bytes -= before.bytes;
        }
    }

    /// Those that are not known there as they are here, or only there.
    pub(super) fn differing(&self, there: &Self) -> Vec<ChannelKey> {
        let only_there = there.entries.keys().filter(|key| !self.entries.contains_key(*key));
        let other = self.entries.iter().filter(|(key, entry)| there.get(key) != Some(*entry));
        other.map(|(key, _)| key).chain(only_there).cloned().collect()
    }

    /// Those that speak of more of the log than up to and with this message.
    pub(super) fn past(&self, at: u64) -> Vec<ChannelKey> {
        self.entries.values().filter(|it| it.at > at).map(|it| it.key.clone()).collect()
    }

    pub(super) fn remove(&mut self, key: &ChannelKey) {
        self.running.remove(key);
        if let Some(before) = self.entries.remove(key) {
            self.bytes -= before.bytes;
        }
    }

    /// Those that there are, and something runs on them.
    pub(super) fn running(&self) -> impl Iterator<Item = &Entry> {
        self.running.iter().filter_map(|key| self.entries.get(key))
    }

    pub(super) fn at_rest(&self, owner: &Owner) -> Vec<AtRest> {
        let theirs = self.entries.values().filter(|it| it.key.owner == *owner && it.gone.is_none());
        theirs
            .map(|it| AtRest {
                key: it.key.clone(),
                named: it.named,
                epoch: it.epoch,
                last_seq: it.last_seq,
                last_ms: it.last_ms,
                generations: it.generations,
                running: it.running,
                bytes: it.bytes,
            })
            .collect()
    }

    /// Those on which nothing runs, and that were last spoken on before.
    pub(super) fn older_than(&self, before_ms: u64) -> Vec<Entry> {
        let old = |it: &&Entry| it.gone.is_none() && it.running == 0 && it.last_ms <= before_ms;
        self.entries.values().filter(old).cloned().collect()
    }

    /// Those that are gone, and need not be remembered any more.
    pub(super) fn forgotten(&self, now_ms: u64) -> Vec<Entry> {
        let kept = |it: &Entry| now_ms < it.last_ms + as_ms(KEPT_FOR);
        let long_gone = |it: &&Entry| it.gone.is_some() && !kept(it);
        self.entries.values().filter(long_gone).cloned().collect()
    }

    /// How many channels there are.
    pub(super) fn len(&self) -> usize {
        self.entries.values().filter(|it| it.gone.is_none()).count()
    }

    /// How many bytes they take.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn as_ms(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{ident::ChannelId, sequence::Epoch, store::Forgotten};

    fn entry(id: u8, at: u64, running: u32, gone: bool) -> Entry {
        let id = ChannelId::parse(&format!("ch-{id}")).expect("an id");
        Entry {
            key: ChannelKey { owner: Owner::new("me"), id },
            node: "a".into(),
            named: true,
            epoch: Epoch::from_u32(1),
            last_seq: at,
            last_ms: at,
            generations: running,
            running,
            bytes: 10 * at,
            at,
            gone: gone.then_some(Forgotten::Expired),
        }
    }

    #[test]
    fn what_is_about_to_begin_is_known_until_more_is_said() {
        let mut index = Index::default();
        index.learn(entry(1, 5, 0, false));
        index.learn(entry(1, 5, 1, false));
        assert!(index.learn(entry(1, 5, 0, false)).is_some(), "its own word comes back late");
        assert_eq!(index.running().count(), 1);
        index.learn(entry(1, 6, 0, false));
        assert_eq!(index.running().count(), 0);
    }

    proptest! {
        /// Whatever the order in which entries are heard, and however often: the latest holds.
        #[test]
        fn the_latest_holds(heard in prop::collection::vec((0..4_u8, 1..50_u64), 1..60)) {
            let mut index = Index::default();
            let mut latest: HashMap<u8, u64> = HashMap::new();
            let told = |id: u8, at: u64| entry(id, at, (at % 3) as u32, at.is_multiple_of(7));
            for (id, at) in &heard {
                let newest = latest.entry(*id).or_default();
                let instead = index.learn(told(*id, *at)).map(|it| it.at);
                prop_assert_eq!(instead, (*newest > *at).then_some(*newest));
                *newest = (*newest).max(*at);
            }
            let now: Vec<Entry> = latest.iter().map(|(id, at)| told(*id, *at)).collect();
            prop_assert_eq!(index.bytes(), now.iter().map(|it| it.bytes).sum::<u64>());
            prop_assert_eq!(index.len(), now.iter().filter(|it| it.gone.is_none()).count());
            let runs = now.iter().filter(|it| it.gone.is_none() && it.running > 0).count();
            prop_assert_eq!(index.running().count(), runs);
            for it in now {
                prop_assert_eq!(index.get(&it.key), Some(&it));
                index.remove(&it.key);
            }
            prop_assert_eq!((index.bytes(), index.running().count()), (0, 0));
        }
    }
}

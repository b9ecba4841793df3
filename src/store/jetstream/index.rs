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
    entries: HashMap<ChannelKey, Known>,
    /// Those on which something runs.
    running: BTreeSet<ChannelKey>,
    bytes: u64,
}

struct Known {
    entry: Entry,
    /// The number of the last message of the index that was heard of the channel; 0: none was.
    noted: u64,
}

impl Index {
    pub(super) fn get(&self, key: &ChannelKey) -> Option<&Entry> {
        self.entries.get(key).map(|known| &known.entry)
    }

    /// A message of the index told of a channel.
    pub(super) fn noted(&mut self, key: &ChannelKey, number: u64) {
        if let Some(known) = self.entries.get_mut(key) {
            known.noted = number;
        }
    }

    /// The number of the last message of the index that told of a channel, unless more was said on that than up to and with `at`.
    pub(super) fn last_note(&self, key: &ChannelKey, at: u64) -> Option<u64> {
        let known = self.entries.get(key).filter(|known| known.entry.at <= at);
        known.map(|known| known.noted)
    }

    /// Takes in how a channel stands. Gives what is known instead, if that speaks of more.
    pub(super) fn learn(&mut self, entry: Entry) -> Option<&Entry> {
        let key = entry.key.clone();
        let place = |entry: &Entry| (entry.at, entry.running);
        if self.get(&key).is_some_and(|known| place(known) > place(&entry)) {
            return self.get(&key);
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
        let noted = self.entries.get(&key).map_or(0, |known| known.noted);
        if let Some(before) = self.entries.insert(key, Known { entry, noted }) {
            self.bytes -= before.entry.bytes;
        }
    }

    /// Those that are not known there as they are here, or only there.
    pub(super) fn differing(&self, there: &Self) -> Vec<ChannelKey> {
        let only_there = there.entries.keys().filter(|key| !self.entries.contains_key(*key));
        let other = self.entries.iter().filter(|(key, it)| there.get(key) != Some(&it.entry));
        other.map(|(key, _)| key).chain(only_there).cloned().collect()
    }

    /// The numbers of messages are those that are known there.
    pub(super) fn renumber(&mut self, there: &Self) {
        for (key, known) in &mut self.entries {
            known.noted = there.entries.get(key).map_or(0, |it| it.noted);
        }
    }

    /// Those that speak of more of the log than up to and with this message.
    pub(super) fn past(&self, at: u64) -> Vec<ChannelKey> {
        self.all().filter(|it| it.at > at).map(|it| it.key.clone()).collect()
    }

    /// A channel is not there any more, unless more was said on it than up to and with `at`.
    pub(super) fn remove(&mut self, key: &ChannelKey, at: u64) {
        if self.get(key).is_none_or(|entry| entry.at > at) {
            return;
        }
        self.running.remove(key);
        if let Some(before) = self.entries.remove(key) {
            self.bytes -= before.entry.bytes;
        }
    }

    fn all(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().map(|known| &known.entry)
    }

    /// Those that there are, and something runs on them.
    pub(super) fn running(&self) -> impl Iterator<Item = &Entry> {
        self.running.iter().filter_map(|key| self.get(key))
    }

    pub(super) fn at_rest(&self, owner: &Owner) -> Vec<AtRest> {
        let theirs = self.all().filter(|it| it.key.owner == *owner && it.gone.is_none());
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
        self.all().filter(old).cloned().collect()
    }

    /// Those that are gone, and need not be remembered any more: after a while, or because so many have gone since.
    pub(super) fn forgotten(&self, now_ms: u64, kept_max: usize) -> Vec<Entry> {
        let kept = |it: &Entry| now_ms < it.last_ms + as_ms(KEPT_FOR);
        let gone = self.all().filter(|it| it.gone.is_some());
        let (mut kept, mut forgotten): (Vec<&Entry>, Vec<&Entry>) = gone.partition(|it| kept(it));
        let surplus = kept.len().saturating_sub(kept_max);
        if surplus > 0 {
            kept.sort_unstable_by_key(|it| (it.last_ms, it.at));
            forgotten.extend(kept.drain(..surplus));
        }
        forgotten.into_iter().cloned().collect()
    }

    /// How many channels there are.
    pub(super) fn len(&self) -> usize {
        self.all().filter(|it| it.gone.is_none()).count()
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
    fn of_those_that_are_gone_the_oldest_are_forgotten_where_there_are_too_many() {
        let mut index = Index::default();
        // Every second one is gone; they went one after another.
        (0..20).for_each(|id| index.correct(entry(id, 100 + u64::from(id), 0, id % 2 == 0)));
        let forgotten = |now_ms: u64, most: usize| {
            let mut all: Vec<u64> =
                index.forgotten(now_ms, most).iter().map(|entry| entry.at).collect();
            all.sort_unstable();
            all
        };
        assert!(forgotten(200, 10).is_empty());
        assert_eq!(forgotten(200, 7), [100, 102, 104]);
        let hour = as_ms(KEPT_FOR);
        assert_eq!(forgotten(102 + hour, 10), [100, 102], "an hour has passed for them");
        assert_eq!(forgotten(102 + hour, 7), [100, 102, 104], "and the others are one too many");
    }

    #[test]
    fn what_is_noted_is_known_as_long_as_nothing_more_is_said() {
        let mut index = Index::default();
        index.learn(entry(1, 5, 0, true));
        let key = entry(1, 5, 0, true).key;
        index.noted(&key, 40);
        assert_eq!(index.last_note(&key, 5), Some(40));
        // It is made anew.
        index.learn(entry(1, 6, 0, false));
        assert_eq!((index.last_note(&key, 5), index.last_note(&key, 6)), (None, Some(40)));
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
                index.remove(&it.key, it.at - 1);
                prop_assert!(index.get(&it.key).is_some(), "more was said since");
                index.remove(&it.key, it.at);
            }
            prop_assert_eq!((index.bytes(), index.running().count()), (0, 0));
        }
    }
}

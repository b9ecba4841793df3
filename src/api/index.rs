//! Where a generation is, by its id or by the id that its provider gave the answer: for apps that come back for it.
//!
//! Bounded: of more than it holds, the oldest are forgotten, and those whose channels are gone are no longer found.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;

use super::relay::Place;
use crate::{
    channel::{Channel, Channels},
    ident::{ChannelKey, GenerationId, Owner},
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
    /// Its owner is the generation's.
    channel: ChannelKey,
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
            channel: channel.key().clone(),
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
    pub(super) async fn find(&self, channels: &Channels, owner: &Owner, id: &str) -> Option<Found> {
        let known = self.known.lock().find(owner, id)?;
        known.on_its_channel(channels).await
    }

    /// The owner's generation of this id or of its provider's.
    pub(super) async fn find_by_any(
        &self,
        channels: &Channels,
        owner: &Owner,
        id: &str,
    ) -> Option<Found> {
        let known = {
            let known = self.known.lock();
            known.find(owner, id).or_else(|| known.find(owner, known.aliases.get(id)?))?
        };
        known.on_its_channel(channels).await
    }

    /// Whether this is another owner's generation, by its id or by its provider's: none that may be asked for elsewhere.
    pub(super) fn is_anothers(&self, owner: &Owner, id: &str) -> bool {
        let known = self.known.lock();
        let entry = known.aliases.get(id).and_then(|id| known.entries.get(id));
        let entry = entry.or_else(|| known.entries.get(id));
        entry.is_some_and(|entry| entry.channel.owner != *owner)
    }
}

/// Where a generation was begun.
struct Begun {
    id: GenerationId,
    channel: ChannelKey,
    place: Place,
    asks_usage: bool,
}

impl Begun {
    /// Its channel may be gone, and another made under its id.
    async fn on_its_channel(self, channels: &Channels) -> Option<Found> {
        let Self { id, channel, place, asks_usage } = self;
        let channel = channels.find(&channel).await.ok()?;
        let generations = channel.status().generations;
        let same = generations.get(place.index as usize).is_some_and(|it| it.id == id.as_str());
        same.then_some(Found { id, channel, place, asks_usage })
    }
}

impl Known {
    fn find(&self, owner: &Owner, id: &str) -> Option<Begun> {
        let entry = self.entries.get(id).filter(|entry| entry.channel.owner == *owner)?;
        let Entry { channel, place, asks_usage, .. } = entry;
        let (id, channel) = (GenerationId::claimed(id), channel.clone());
        Some(Begun { id, channel, place: *place, asks_usage: *asks_usage })
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
    use crate::{channel::Retention, event::Started, store::Memory};

    async fn found(channels: &Channels, owner: &Owner, id: &str) -> Found {
        let channel = channels.create(owner.clone()).await.expect("memory opens");
        let started = Started { id: id.to_owned(), ..Started::default() };
        drop(channel.begin(started, Default::default()).expect("open"));
        let place = Place { index: 0, first_seq: 1 };
        Found { id: GenerationId::claimed(id), channel, place, asks_usage: false }
    }

    #[tokio::test]
    async fn a_generation_is_found_by_its_owner_until_newer_ones_take_its_place() {
        let retention = Retention { after_end: std::time::Duration::ZERO, max_bytes: 1 << 20 };
        let channels = Channels::new(Arc::new(Memory::default()), retention);
        let (me, other) = (Owner::new("me"), Owner::new("other"));
        let index = Index { max: 2, ..Index::default() };
        let mut all = Vec::new();
        for id in ["a", "b", "c"] {
            let one = found(&channels, &me, id).await;
            index.note(&one);
            index.alias(&one.id, &format!("theirs-{}", one.id));
            all.push(one);
        }
        let (channels, index) = (&channels, &index);
        let is_found = async |owner, id| index.find(channels, owner, id).await.is_some();
        let by_any = async |owner, id| index.find_by_any(channels, owner, id).await.is_some();
        assert!(!is_found(&me, "a").await && !by_any(&me, "theirs-a").await);
        assert!(is_found(&me, "b").await && by_any(&me, "theirs-b").await);
        assert!(!is_found(&other, "b").await && !is_found(&me, "theirs-b").await);
        assert!(index.is_anothers(&other, "b") && index.is_anothers(&other, "theirs-b"));
        assert!(!index.is_anothers(&me, "theirs-b") && !index.is_anothers(&other, "a"));
        index.alias(&all[2].id, &"x".repeat(129));
        assert_eq!(index.known.lock().aliases.len(), 2);
        // Once its channel is gone, there is nothing to come back for.
        channels.delete(all[2].channel.key()).await.expect("nothing runs");
        assert!(!is_found(&me, "c").await);
    }
}

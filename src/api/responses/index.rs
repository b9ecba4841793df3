//! The index of responses: an id of ours or of the provider's to where its generation is.
//!
//! An id is only its owner's: to anybody else it does not exist. The index is bounded in entries and bytes, the oldest
//! go first; an entry whose channel is gone is forgotten with it.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde_json::value::RawValue;

use super::{super::relay::Place, Numbers};
use crate::{
    dialect::{Asked, responses::response_id},
    ident::{ChannelKey, GenerationId, Owner},
};

/// The most ids that one response may have: ours, and one of each provider that spoke.
const IDS_MAX: usize = 8;

/// The longest id of a provider's that is remembered, in bytes.
const ID_BYTES_MAX: usize = 256;

/// So many deleted ids are remembered.
const DELETED_MAX: usize = 1_024;

/// How much may be remembered.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct Limits {
    /// Responses.
    pub(in crate::api) entries: usize,
    /// Bytes of requests, input items and numbers, all entries together.
    pub(in crate::api) bytes: usize,
}

impl Default for Limits {
    /// A day of a busy gateway's responses without their input, or thousands of long conversations with it.
    fn default() -> Self {
        Self { entries: 100_000, bytes: 256 * 1024 * 1024 }
    }
}

/// A response.
#[derive(Clone, Debug)]
pub(in crate::api) struct Entry {
    /// Where it is said. Its owner is the response's.
    pub(in crate::api) channel: ChannelKey,
    /// The generation's index there.
    pub(in crate::api) generation: u32,
    /// The generation's id: what is made anew under a channel's id has others.
    pub(in crate::api) started: GenerationId,
    /// The seq of its first event.
    pub(in crate::api) first_seq: u64,
    /// What a later turn begins with, earlier turns included; empty with `store: false`.
    pub(in crate::api) input: Vec<Box<RawValue>>,
    /// Whether a later turn may go on from it.
    pub(in crate::api) stored: bool,
    /// What went before it is only known to the provider, and so only the provider can go on from it.
    pub(in crate::api) theirs: bool,
    /// What its encoder must know.
    pub(in crate::api) asked: Asked,
    /// The id that the app was told.
    pub(in crate::api) id: String,
    /// Empty where the app was told the encoder's numbers.
    pub(in crate::api) numbers: Numbers,
}

impl Entry {
    /// Where its generation is on its channel.
    pub(in crate::api) fn place(&self) -> Place {
        Place { index: self.generation, first_seq: self.first_seq }
    }

    fn bytes(&self) -> usize {
        let input: usize = self.input.iter().map(|item| item.get().len()).sum();
        let Self { asked, id, numbers, .. } = self;
        size_of::<Self>() + input + asked.request.len() + id.len() + numbers.bytes()
    }
}

/// All responses that are remembered.
#[derive(Debug, Default)]
pub(in crate::api) struct Responses {
    limits: Limits,
    ids: HashMap<Owner, HashMap<String, u64>>,
    /// By age.
    entries: BTreeMap<u64, Held>,
    bytes: usize,
    next: u64,
    /// Ids that were deleted here, the oldest first: a provider may still know its own.
    deleted: VecDeque<(Owner, String)>,
}

#[derive(Debug)]
struct Held {
    entry: Entry,
    ids: Vec<String>,
    bytes: usize,
}

impl Responses {
    /// An index within these limits.
    #[cfg(test)]
    pub(in crate::api) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Remembers a response under the id that its app was told. One larger than all that may be remembered is not.
    pub(in crate::api) fn insert(&mut self, mut entry: Entry) {
        if !entry.stored {
            entry.input.clear();
        }
        let bytes = entry.bytes();
        if bytes > self.limits.bytes || self.limits.entries == 0 {
            return;
        }
        let (owner, id) = (entry.channel.owner.clone(), entry.id.clone());
        self.remove(&owner, &id);
        let number = self.next;
        self.next += 1;
        self.bytes += bytes;
        self.ids.entry(owner).or_default().insert(id.clone(), number);
        self.entries.insert(number, Held { entry, ids: vec![id], bytes });
        self.make_room();
    }

    /// The app was served the provider's own answer, and knows the response by this id.
    pub(in crate::api) fn told(&mut self, owner: &Owner, id: &str, theirs: &str) {
        self.also(owner, id, theirs);
        let number = self.number(owner, theirs);
        if let Some(number) = number.filter(|number| self.number(owner, id) == Some(*number))
            && let Some(held) = self.entries.get_mut(&number)
        {
            let (before, after) = (held.entry.id.len(), theirs.len());
            theirs.clone_into(&mut held.entry.id);
            held.bytes = held.bytes - before + after;
            self.bytes = self.bytes - before + after;
        }
    }

    /// A second id for a response: the provider's, when its first payload has told it. A provider that tells an id again
    /// means the newer response; ids of ours stay what they are.
    pub(in crate::api) fn also(&mut self, owner: &Owner, id: &str, other: &str) {
        let Some(number) = self.number(owner, id) else { return };
        if let Some(before) = self.number(owner, other).filter(|before| *before != number) {
            self.give_up(owner, before, other);
        }
        let Some(held) = self.entries.get_mut(&number) else { return };
        let ids = self.ids.entry(owner.clone()).or_default();
        let fits = held.ids.len() < IDS_MAX && (1..=ID_BYTES_MAX).contains(&other.len());
        if fits && !ids.contains_key(other) {
            ids.insert(other.to_owned(), number);
            held.ids.push(other.to_owned());
        }
    }

    /// The response no longer goes by an id of the provider's.
    fn give_up(&mut self, owner: &Owner, number: u64, theirs: &str) {
        let Some(held) = self.entries.get_mut(&number) else { return };
        let ours = response_id(held.entry.started.as_str());
        if ours == theirs {
            return;
        }
        held.ids.retain(|id| id != theirs);
        if held.entry.id == theirs {
            let (before, after) = (theirs.len(), ours.len());
            held.entry.id = ours;
            held.bytes = held.bytes - before + after;
            self.bytes = self.bytes - before + after;
        }
        if let Some(ids) = self.ids.get_mut(owner) {
            ids.remove(theirs);
        }
    }

    /// Notes how far the channel was with a payload of the provider's that the app was served, and the id it was told.
    pub(in crate::api) fn note(&mut self, owner: &Owner, id: &str, sequence_number: u64, seq: u64) {
        let Some(number) = self.number(owner, id) else { return };
        let Some(held) = self.entries.get_mut(&number) else { return };
        let before = held.entry.numbers.bytes();
        held.entry.numbers.note(sequence_number, seq);
        let more = held.entry.numbers.bytes() - before;
        held.bytes += more;
        self.bytes += more;
        self.make_room();
    }

    /// The app goes on after this number, or from the beginning: see [`Numbers::go_on_after`].
    pub(in crate::api) fn go_on_after(&mut self, owner: &Owner, id: &str, number: Option<u64>) {
        let Some(at) = self.number(owner, id) else { return };
        let Some(held) = self.entries.get_mut(&at) else { return };
        let before = held.entry.numbers.bytes();
        held.entry.numbers.go_on_after(number, held.entry.first_seq - 1);
        let after = held.entry.numbers.bytes();
        held.bytes = held.bytes - before + after;
        self.bytes = self.bytes - before + after;
    }

    /// Forgets a response because its owner wants it forgotten: it is not asked of a provider either.
    pub(in crate::api) fn delete(&mut self, owner: &Owner, id: &str) {
        let Some(number) = self.number(owner, id) else { return };
        let ids = self.entries.get(&number).map_or_else(Vec::new, |held| held.ids.clone());
        self.remove(owner, id);
        self.deleted.extend(ids.into_iter().map(|id| (owner.clone(), id)));
        let surplus = self.deleted.len().saturating_sub(DELETED_MAX);
        self.deleted.drain(..surplus);
    }

    /// Whether its owner has deleted it.
    pub(in crate::api) fn is_deleted(&self, owner: &Owner, id: &str) -> bool {
        self.deleted.iter().any(|(other, deleted)| other == owner && deleted == id)
    }

    /// Whether this id is somebody else's, or was before it was deleted, and so nobody's business.
    pub(in crate::api) fn is_anothers(&self, owner: &Owner, id: &str) -> bool {
        self.ids.iter().any(|(other, ids)| other != owner && ids.contains_key(id))
            || self.deleted.iter().any(|(other, deleted)| other != owner && deleted == id)
    }

    /// The response that has been remembered for longest.
    pub(in crate::api) fn oldest(&self) -> Option<&Entry> {
        self.entries.first_key_value().map(|(_, held)| &held.entry)
    }

    /// The response of this id, if it is this owner's.
    pub(in crate::api) fn get(&self, owner: &Owner, id: &str) -> Option<&Entry> {
        Some(&self.entries.get(&self.number(owner, id)?)?.entry)
    }

    /// Forgets a response, under all its ids.
    pub(in crate::api) fn remove(&mut self, owner: &Owner, id: &str) -> Option<Entry> {
        let number = self.number(owner, id)?;
        self.forget(number)
    }

    /// Forgets what was said on a channel that is gone.
    pub(in crate::api) fn forget_channel(&mut self, channel: &ChannelKey) {
        let gone = self.entries.iter().filter(|(_, held)| held.entry.channel == *channel);
        let gone: Vec<u64> = gone.map(|(number, _)| *number).collect();
        for number in gone {
            self.forget(number);
        }
    }

    /// How many are remembered, and in how many bytes.
    #[cfg(test)]
    pub(in crate::api) fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }

    fn number(&self, owner: &Owner, id: &str) -> Option<u64> {
        self.ids.get(owner)?.get(id).copied()
    }

    fn make_room(&mut self) {
        while self.entries.len() > self.limits.entries || self.bytes > self.limits.bytes {
            let Some((&oldest, _)) = self.entries.first_key_value() else { return };
            self.forget(oldest);
        }
    }

    fn forget(&mut self, number: u64) -> Option<Entry> {
        let Held { entry, ids, bytes } = self.entries.remove(&number)?;
        self.bytes -= bytes;
        let owner = &entry.channel.owner;
        if let Some(known) = self.ids.get_mut(owner) {
            for id in ids {
                known.remove(&id);
            }
            if known.is_empty() {
                self.ids.remove(owner);
            }
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests;

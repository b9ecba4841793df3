//! What the journal tells of each channel. Pure, but for what it finds on shelves.

use std::collections::HashMap;

use super::{
    super::Slice,
    format::{EventsRecord, Head, Record, TenureRecord},
    recover::Recovery,
};
use crate::ident::ChannelKey;

/// What the journal tells of one channel.
pub(super) struct Told {
    /// Of its last tenure.
    pub(super) number: u64,
    pub(super) head: Head,
    pub(super) slices: Vec<Slice>,
    pub(super) generations: u32,
    pub(super) running: u32,
    /// Nothing is missing in between.
    pub(super) whole: bool,
}

impl Told {
    pub(super) fn new(number: u64, head: Head) -> Self {
        Self { number, head, slices: Vec::new(), generations: 0, running: 0, whole: true }
    }

    /// Whether it goes on with a channel of which this was said before, or later: one that was deleted and made anew has
    /// nothing in common with the one before.
    pub(super) fn continues(&self, number: u64, head: &Head) -> bool {
        number >= self.number || self.head.comes_after(head)
    }

    fn begin(&mut self, number: u64, head: Head) {
        if head.comes_after(&self.head) {
            (self.number, self.head) = (number, head);
        } else {
            *self = Self::new(number, head);
        }
    }

    fn add(&mut self, record: EventsRecord) {
        // What was said later holds: of a channel that was damaged and cut, another tenure has said something else since.
        while self.slices.last().is_some_and(|it| it.first_seq >= record.slice.first_seq) {
            self.slices.pop();
        }
        let expected = self.slices.last().map_or(record.slice.first_seq, |it| it.last_seq + 1);
        self.whole &= record.slice.first_seq == expected;
        if self.whole {
            (self.generations, self.running) = (record.generations, record.running);
            self.slices.push(record.slice);
        }
    }
}

/// What the journal tells of all channels, in no order.
pub(super) fn told(records: Vec<Record>, recovery: &mut Recovery) -> HashMap<ChannelKey, Told> {
    let mut tenures: HashMap<u64, ChannelKey> = HashMap::new();
    let mut all: HashMap<ChannelKey, Told> = HashMap::new();
    for record in records {
        match record {
            Record::Tenure(TenureRecord { number, key, head }) => {
                recovery.next = recovery.next.max(number + 1);
                tenures.insert(number, key.clone());
                match all.get_mut(&key) {
                    Some(told) => told.begin(number, head),
                    None => drop(all.insert(key, Told::new(number, head))),
                }
            }
            Record::Events(events) => {
                let Some(key) = tenures.get(&events.number) else {
                    // Each file says of a tenure what it is before what is said in it: of this one nothing can be said.
                    recovery.damages += 1;
                    continue;
                };
                // All that was kept of the tenures before the one of a blob is in the blob, or was cut off.
                let shelved = recovery.index.get(key).map_or(0, |entry| entry.number);
                if let Some(told) = all.get_mut(key).filter(|_| events.number >= shelved) {
                    told.add(events);
                }
            }
            Record::Gone(gone) => {
                recovery.next = recovery.next.max(gone.number + 1);
                all.remove(&gone.key);
                recovery.forget(&gone);
            }
        }
    }
    all
}

//! What the streams hold: a message of the log is a run of records, one of the index says how a channel stands. Pure.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use prost::encoding::encode_varint;

use super::{
    super::{
        Forgotten, Kept, Slice,
        coding::{self, Fields, Found, Head},
    },
    nats::Message,
    outbox::Standing,
};
use crate::{ident::ChannelKey, sequence::Epoch, wire};

/// Something that a channel's subject of the log holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    Tenure(TenureRecord),
    Said(SaidRecord),
    Gone(Forgotten),
}

/// A node begins to write.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TenureRecord {
    /// Unlike any other.
    pub(super) pen: u64,
    pub(super) node: String,
    pub(super) key: ChannelKey,
    pub(super) head: Head,
}

/// It has said this.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SaidRecord {
    pub(super) pen: u64,
    pub(super) generations: u32,
    pub(super) running: u32,
    pub(super) slice: Slice,
}

const TENURE: u8 = 1;
const SAID: u8 = 2;
const GONE: u8 = 3;

impl TenureRecord {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let body = coding::begin(out);
        out.push(TENURE);
        encode_varint(self.pen, out);
        coding::write_bytes(self.node.as_bytes(), out);
        coding::write_key(&self.key, out);
        self.head.write(out);
        coding::end(out, body);
    }
}

impl SaidRecord {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let body = coding::begin(out);
        out.push(SAID);
        for number in [self.pen, u64::from(self.generations), u64::from(self.running)] {
            encode_varint(number, out);
        }
        let Slice { first_seq, last_seq, events, times } = &self.slice;
        let count = last_seq + 1 - first_seq;
        coding::write_slice(*first_seq, count, times.base_ms, &times.deltas, events, out);
        coding::end(out, body);
    }
}

pub(super) fn write_gone(why: Forgotten, out: &mut Vec<u8>) {
    let body = coding::begin(out);
    out.extend_from_slice(&[GONE, u8::from(why == Forgotten::Expired)]);
    coding::end(out, body);
}

fn why(byte: u8) -> Forgotten {
    if byte == 0 { Forgotten::Deleted } else { Forgotten::Expired }
}

/// The records of a message. `None`: it is not one of these.
pub(super) fn read(mut message: Bytes) -> Option<Vec<Record>> {
    let mut records = Vec::new();
    loop {
        let (body, length) = match coding::next(&message) {
            Found::Body(body, length) => (body, length),
            Found::End => return Some(records),
            Found::Torn => return None,
        };
        message.advance(length);
        let mut fields = Fields(body);
        records.push(match fields.byte()? {
            TENURE => Record::Tenure(TenureRecord {
                pen: fields.number()?,
                node: fields.text()?,
                key: fields.key()?,
                head: Head::read(&mut fields)?,
            }),
            SAID => Record::Said(SaidRecord {
                pen: fields.number()?,
                generations: fields.small()?,
                running: fields.small()?,
                slice: coding::read_slice(&mut fields)?,
            }),
            GONE => Record::Gone(why(fields.byte()?)),
            _ => return None,
        });
    }
}

/// A channel as its subject of the log tells of it so far.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) kept: Kept,
    /// Whose tenure it is.
    pub(super) node: String,
    pub(super) pen: u64,
    /// The stream's number of the last message, and when NATS took it, in milliseconds since 1970 UTC.
    pub(super) at: u64,
    at_ms: u64,
    pub(super) gone: Option<Forgotten>,
    /// What its messages hold, in bytes.
    pub(super) bytes: u64,
    /// What the slices take that are held.
    held: usize,
    /// Something does not fit: it is not served.
    pub(super) broken: bool,
}

impl Told {
    pub(super) fn nothing() -> Self {
        let kept = Kept::nothing(false, Epoch::from_u32(0));
        let (node, gone) = (String::new(), None);
        Self { kept, node, pen: 0, at: 0, at_ms: 0, gone, bytes: 0, held: 0, broken: false }
    }

    /// How it stands, as all nodes are told.
    pub(super) fn entry(&self, key: &ChannelKey) -> Entry {
        let last_seq = self.kept.last_seq();
        let Kept { named, epoch, last_ms, generations, running, .. } = self.kept;
        let (key, node, bytes) = (key.clone(), self.node.clone(), self.bytes);
        let (at, gone) = (self.at, self.gone);
        Entry { key, node, named, epoch, last_seq, last_ms, generations, running, bytes, at, gone }
    }

    pub(super) fn standing(&self) -> Standing {
        let Kept { last_ms, generations, running, .. } = self.kept;
        Standing { last_seq: self.kept.last_seq(), last_ms, generations, running }
    }

    pub(super) fn head(&self) -> Head {
        let Kept { named, epoch, past, .. } = &self.kept;
        Head { named: *named, epoch: *epoch, past: past.clone() }
    }

    /// Takes a message's place and length in; its records follow.
    pub(super) fn come_to(&mut self, message: &Message) {
        (self.at, self.at_ms) = (message.at, message.at_ms);
        if self.kept.last_ms == 0 {
            // Nothing was said yet: it counts from its beginning.
            self.kept.last_ms = message.at_ms;
        }
        self.bytes += message.payload.len() as u64;
    }

    /// Takes a record in, and says whether it counts: what the pen of another tenure has said does not. The log's order decides, for
    /// all who read it, whatever NATS should have refused. What is said is held only where `keeps`.
    pub(super) fn apply(&mut self, record: &Record, keeps: bool) -> bool {
        match record {
            Record::Tenure(TenureRecord { pen, node, head, .. }) => {
                if self.gone.take().is_some() {
                    self.kept = Kept::nothing(head.named, head.epoch);
                    self.kept.last_ms = self.at_ms;
                }
                (self.pen, self.node) = (*pen, node.clone());
                let kept = &mut self.kept;
                (kept.named, kept.epoch, kept.past) = (head.named, head.epoch, head.past.clone());
            }
            Record::Said(said) if said.pen != self.pen => return false,
            Record::Said(said) => {
                let kept = &mut self.kept;
                self.broken |= said.slice.first_seq != kept.last_seq() + 1;
                (kept.generations, kept.running) = (said.generations, said.running);
                kept.last_ms = said.slice.times.all_ms().last().unwrap_or(kept.last_ms);
                if !keeps {
                    kept.slices.clear();
                    self.held = 0;
                }
                kept.slices.push(said.slice.clone());
                self.held += bytes_of(&said.slice);
            }
            Record::Gone(why) => {
                (self.gone, self.held) = (Some(*why), 0);
                self.kept = Kept::nothing(self.kept.named, self.kept.epoch);
                // For so long it is remembered.
                self.kept.last_ms = self.at_ms;
            }
        }
        true
    }
}

impl Told {
    /// Folds the oldest of what is held into its base once it takes a quarter more than so many bytes, until it takes no more than that;
    /// the fold is kept within them, too. The last slice stays.
    pub(super) fn fold(&mut self, bytes_max: usize) {
        if self.held <= bytes_max.saturating_add(bytes_max / 4) {
            return;
        }
        let slices = &mut self.kept.slices;
        let mut count = 0;
        while self.held > bytes_max && count + 1 < slices.len() {
            self.held -= bytes_of(&slices[count]);
            count += 1;
        }
        let mut base = self.kept.base.take().unwrap_or_default();
        let state = Arc::make_mut(&mut base.state);
        for slice in slices.drain(..count) {
            let events = wire::decode_elements(&slice.events);
            (slice.first_seq..).zip(events).for_each(|(seq, event)| state.apply(seq, event));
            base.through = slice.last_seq;
        }
        state.evict(bytes_max / 2);
        self.kept.base = (base.through > 0).then_some(base);
    }
}

fn bytes_of(slice: &Slice) -> usize {
    slice.events.len() + slice.times.deltas.len()
}

/// How a channel stands: what every node knows of every channel.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: ChannelKey,
    pub(super) node: String,
    pub(super) named: bool,
    pub(super) epoch: Epoch,
    pub(super) last_seq: u64,
    pub(super) last_ms: u64,
    pub(super) generations: u32,
    pub(super) running: u32,
    /// What the log holds of it, in bytes.
    pub(super) bytes: u64,
    /// The log's number of the message after which it stands so: of two entries the later has the higher.
    pub(super) at: u64,
    pub(super) gone: Option<Forgotten>,
}

impl Entry {
    pub(super) fn take(&mut self, how: Standing) {
        let Standing { last_seq, last_ms, generations, running } = how;
        (self.last_seq, self.last_ms) = (last_seq, last_ms);
        (self.generations, self.running) = (generations, running);
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let body = coding::begin(&mut out);
        coding::write_key(&self.key, &mut out);
        coding::write_bytes(self.node.as_bytes(), &mut out);
        let gone = match self.gone {
            None => 0,
            Some(Forgotten::Deleted) => 1,
            Some(Forgotten::Expired) => 2,
        };
        let Self { last_seq, last_ms, bytes, at, .. } = *self;
        for number in [
            u64::from(self.named),
            u64::from(self.epoch.as_u32()),
            last_seq,
            last_ms,
            u64::from(self.generations),
            u64::from(self.running),
            bytes,
            at,
            gone,
        ] {
            encode_varint(number, &mut out);
        }
        coding::end(&mut out, body);
        out
    }

    pub(super) fn read(message: &Bytes) -> Option<Self> {
        let Found::Body(body, _) = coding::next(message) else { return None };
        let mut fields = Fields(body);
        Some(Self {
            key: fields.key()?,
            node: fields.text()?,
            named: fields.number()? == 1,
            epoch: fields.epoch()?,
            last_seq: fields.number()?,
            last_ms: fields.number()?,
            generations: fields.small()?,
            running: fields.small()?,
            bytes: fields.number()?,
            at: fields.number()?,
            gone: match fields.number()? {
                0 => None,
                1 => Some(Forgotten::Deleted),
                _ => Some(Forgotten::Expired),
            },
        })
    }
}

#[cfg(test)]
mod tests;

//! Records: what a file of the store consists of, and how each is checked. Pure.
//!
//! A record is `length: u32, crc32: u32, body`, little endian; the length is the body's and the checksum covers length and
//! body. A body is a kind (one byte) and fields: numbers are varints, texts and byte strings have their length before them.

use bytes::Bytes;
use prost::encoding::{decode_varint, encode_varint};

use super::super::{Forgotten, Slice, Times};
use crate::{
    ident::{ChannelId, ChannelKey, Owner},
    sequence::{Epoch, Past},
};

/// What stands before a record's body.
pub(super) const HEADER_BYTES: usize = 8;

/// No body is longer: a segment of a log, a fold of a whole channel.
pub(super) const BODY_BYTES_MAX: usize = 1 << 30;

/// Something that a journal holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    Tenure(TenureRecord),
    Events(EventsRecord),
    Gone(GoneRecord),
}

/// A writer begins to write.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TenureRecord {
    /// Unlike that of any other tenure here, and higher than those of all before.
    pub(super) number: u64,
    pub(super) key: ChannelKey,
    pub(super) head: Head,
}

/// What is known of a channel beside its events.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Head {
    pub(super) named: bool,
    pub(super) epoch: Epoch,
    pub(super) past: Vec<Past>,
}

/// A batch of a tenure's.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct EventsRecord {
    pub(super) number: u64,
    /// How many generations there were, with it.
    pub(super) generations: u32,
    /// How many of them run after it.
    pub(super) running: u32,
    pub(super) slice: Slice,
}

/// A channel is forgotten.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct GoneRecord {
    /// As a tenure's: what is made later under this key has higher ones.
    pub(super) number: u64,
    pub(super) key: ChannelKey,
    pub(super) why: Forgotten,
    pub(super) at_ms: u64,
}

const TENURE: u8 = 1;
const EVENTS: u8 = 2;
const GONE: u8 = 3;

/// Begins a record at the end of `out`; what is appended until [`end`] is its body.
pub(super) fn begin(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; HEADER_BYTES]);
    out.len()
}

/// Ends the record whose body began here.
pub(super) fn end(out: &mut [u8], body: usize) {
    let length = u32::try_from(out.len() - body).expect("a record is within its bounds");
    let length = length.to_le_bytes();
    let crc = checksum(&length, &out[body..]);
    out[body - HEADER_BYTES..body - 4].copy_from_slice(&length);
    out[body - 4..body].copy_from_slice(&crc.to_le_bytes());
}

pub(super) fn checksum(length: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(body);
    hasher.finalize()
}

/// What is at the beginning of these bytes.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// A record's body, and how many bytes the record has.
    Body(Bytes, usize),
    /// Nothing.
    End,
    /// The beginning of a record, or of none.
    Torn,
}

/// Looks at the next record.
pub(super) fn next(bytes: &Bytes) -> Found {
    if bytes.is_empty() {
        return Found::End;
    }
    let Some((length, crc)) = header(bytes) else { return Found::Torn };
    let Some(body) = bytes.get(HEADER_BYTES..HEADER_BYTES + length) else { return Found::Torn };
    match checksum(&bytes[..4], body) == crc {
        true => Found::Body(bytes.slice_ref(body), HEADER_BYTES + length),
        false => Found::Torn,
    }
}

fn header(bytes: &[u8]) -> Option<(usize, u32)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, _) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    (1..=BODY_BYTES_MAX).contains(&length).then_some((length, u32::from_le_bytes(*crc)))
}

impl TenureRecord {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let body = begin(out);
        out.push(TENURE);
        encode_varint(self.number, out);
        write_key(&self.key, out);
        self.head.write(out);
        end(out, body);
    }
}

impl GoneRecord {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let body = begin(out);
        out.push(GONE);
        encode_varint(self.number, out);
        write_key(&self.key, out);
        out.push(u8::from(self.why == Forgotten::Expired));
        encode_varint(self.at_ms, out);
        end(out, body);
    }
}

/// The fields of a batch that stand before its times and events.
pub(super) struct EventsHead {
    pub(super) number: u64,
    pub(super) generations: u32,
    pub(super) running: u32,
    pub(super) first_seq: u64,
    pub(super) count: u64,
    pub(super) base_ms: u64,
}

impl EventsHead {
    pub(super) fn write(&self, deltas: &[u8], events: &[u8], out: &mut Vec<u8>) {
        let body = begin(out);
        out.push(EVENTS);
        for number in [self.number, u64::from(self.generations), u64::from(self.running)] {
            encode_varint(number, out);
        }
        write_slice(self.first_seq, self.count, self.base_ms, deltas, events, out);
        end(out, body);
    }
}

/// Writes a run of events.
pub(super) fn write_slice(
    first_seq: u64,
    count: u64,
    base_ms: u64,
    deltas: &[u8],
    events: &[u8],
    out: &mut Vec<u8>,
) {
    for number in [first_seq, count, base_ms] {
        encode_varint(number, out);
    }
    write_bytes(deltas, out);
    out.extend_from_slice(events);
}

/// Reads a run of events: the rest of a body.
pub(super) fn read_slice(fields: &mut Fields) -> Option<Slice> {
    let (first_seq, count, base_ms) = (fields.number()?, fields.number()?, fields.number()?);
    let deltas = fields.bytes()?;
    let last_seq = first_seq.checked_add(count)?.checked_sub(1)?;
    let events = std::mem::take(&mut fields.0);
    (first_seq > 0).then_some(Slice {
        first_seq,
        last_seq,
        events,
        times: Times { base_ms, deltas },
    })
}

impl Record {
    /// Reads a body. `None` where it is not one of these.
    pub(super) fn read(body: Bytes) -> Option<Self> {
        let mut fields = Fields(body);
        Some(match fields.byte()? {
            TENURE => {
                let (number, key) = (fields.number()?, fields.key()?);
                Self::Tenure(TenureRecord { number, key, head: Head::read(&mut fields)? })
            }
            EVENTS => {
                let (number, generations) = (fields.number()?, fields.small()?);
                let (running, slice) = (fields.small()?, read_slice(&mut fields)?);
                Self::Events(EventsRecord { number, generations, running, slice })
            }
            GONE => {
                let (number, key) = (fields.number()?, fields.key()?);
                let why = match fields.byte()? {
                    0 => Forgotten::Deleted,
                    _ => Forgotten::Expired,
                };
                Self::Gone(GoneRecord { number, key, why, at_ms: fields.number()? })
            }
            _ => return None,
        })
    }
}

impl Head {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.named));
        encode_varint(u64::from(self.epoch.as_u32()), out);
        encode_varint(self.past.len() as u64, out);
        for past in &self.past {
            encode_varint(u64::from(past.epoch.as_u32()), out);
            encode_varint(past.valid_through, out);
        }
    }

    pub(super) fn read(fields: &mut Fields) -> Option<Self> {
        let named = fields.byte()? == 1;
        let epoch = fields.epoch()?;
        let count = fields.number()?;
        let mut past = Vec::new();
        for _ in 0..count {
            past.push(Past { epoch: fields.epoch()?, valid_through: fields.number()? });
        }
        Some(Self { named, epoch, past })
    }

    /// Whether this is the same channel as it was then: one that was deleted and made anew begins with an epoch of its own.
    pub(super) fn comes_after(&self, earlier: &Self) -> bool {
        self.epoch == earlier.epoch || self.past.iter().any(|past| past.epoch == earlier.epoch)
    }

    /// The successor of a tenure whose tail is not proved to be complete.
    pub(super) fn succeed(&mut self, valid_through: u64) {
        self.past.push(Past { epoch: self.epoch, valid_through });
        self.epoch = Epoch::random();
    }
}

/// The fields of a body, read one after another.
pub(super) struct Fields(pub(super) Bytes);

impl Fields {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let byte = *self.0.first()?;
        bytes::Buf::advance(&mut self.0, 1);
        Some(byte)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        decode_varint(&mut self.0).ok()
    }

    pub(super) fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    pub(super) fn bytes(&mut self) -> Option<Bytes> {
        let length = usize::try_from(self.number()?).ok()?;
        (length <= self.0.len()).then(|| self.0.split_to(length))
    }

    pub(super) fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.into()).ok()
    }

    pub(super) fn epoch(&mut self) -> Option<Epoch> {
        self.small().map(Epoch::from_u32)
    }

    pub(super) fn key(&mut self) -> Option<ChannelKey> {
        let owner = Owner::new(&self.text()?);
        let id = ChannelId::parse(&self.text()?).ok()?;
        Some(ChannelKey { owner, id })
    }
}

pub(super) fn write_key(key: &ChannelKey, out: &mut Vec<u8>) {
    write_bytes(key.owner.as_str().as_bytes(), out);
    write_bytes(key.id.as_str().as_bytes(), out);
}

pub(super) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> ChannelKey {
        let id = ChannelId::parse("chat-1").expect("an id");
        ChannelKey { owner: Owner::new("me"), id }
    }

    fn records() -> (Vec<Record>, Vec<u8>) {
        let past = vec![Past { epoch: Epoch::from_u32(7), valid_through: 900 }];
        let head = Head { named: true, epoch: Epoch::from_u32(8), past };
        let tenure = TenureRecord { number: 3, key: key(), head };
        let gone = GoneRecord { number: 9, key: key(), why: Forgotten::Expired, at_ms: 1 << 40 };
        let times = Times { base_ms: 1 << 41, deltas: Bytes::from_static(b"\x00\x05") };
        let events = Bytes::from_static(b"events");
        let slice = Slice { first_seq: 901, last_seq: 902, events, times };
        let (mut out, at) = (Vec::new(), 1 << 41);
        tenure.write(&mut out);
        let (generations, first_seq, count) = (2, 901, 2);
        let head = EventsHead { number: 3, generations, running: 1, first_seq, count, base_ms: at };
        head.write(&slice.times.deltas, &slice.events, &mut out);
        gone.write(&mut out);
        let events = EventsRecord { number: 3, generations, running: 1, slice };
        (vec![Record::Tenure(tenure), Record::Events(events), Record::Gone(gone)], out)
    }

    fn read(bytes: Vec<u8>) -> (Vec<Record>, Found) {
        let mut bytes = Bytes::from(bytes);
        let mut read = Vec::new();
        loop {
            match next(&bytes) {
                Found::Body(body, length) => {
                    read.push(Record::read(body).expect("a record"));
                    bytes::Buf::advance(&mut bytes, length);
                }
                other => return (read, other),
            }
        }
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let (records, bytes) = records();
        assert_eq!(read(bytes), (records, Found::End));
    }

    proptest! {
        #[test]
        fn what_was_cut_or_changed_is_never_read(cut in 0usize..200, at in 0usize..200, to: u8) {
            let (records, bytes) = records();
            let mut torn = bytes.clone();
            torn.truncate(cut.min(bytes.len()));
            let (some, rest) = read(torn.clone());
            prop_assert!(records.starts_with(&some));
            prop_assert!(rest == Found::Torn || some.len() == records.len() || torn.len() < bytes.len());
            let mut changed = bytes.clone();
            let at = at % bytes.len();
            prop_assume!(changed[at] != to);
            changed[at] = to;
            let (some, rest) = read(changed);
            prop_assert!(records.starts_with(&some) && some.len() < records.len());
            prop_assert_eq!(rest, Found::Torn);
        }
    }
}

//! Records: what a file of the store consists of. Pure. How they are laid out is in `coding`; each begins with its kind, one byte.

use bytes::Bytes;
use prost::encoding::encode_varint;

pub(super) use super::super::coding::{
    Fields, Found, Head, begin, end, next, read_slice, write_key, write_slice,
};
use super::super::{Forgotten, Slice};
use crate::ident::ChannelKey;

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::super::Times, *};
    use crate::{
        ident::{ChannelId, Owner},
        sequence::{Epoch, Past},
    };

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

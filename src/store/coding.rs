//! How what a store keeps is laid out: records with checksums, and the fields in them. Pure.
//!
//! A record is `length: u32, crc32: u32, body`, little endian; the length is the body's and the checksum covers length and
//! body. A body is fields: numbers are varints, texts and byte strings have their length before them.

use bytes::Bytes;
use prost::encoding::{decode_varint, encode_varint};

use super::{Slice, Times};
use crate::{
    ident::{ChannelId, ChannelKey, Owner},
    sequence::{Epoch, Past},
};

/// What stands before a record's body.
pub(in crate::store) const HEADER_BYTES: usize = 8;

/// No body is longer: a segment of a log, a fold of a whole channel.
pub(in crate::store) const BODY_BYTES_MAX: usize = 1 << 30;

/// What is known of a channel beside its events.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) struct Head {
    pub(in crate::store) named: bool,
    pub(in crate::store) epoch: Epoch,
    pub(in crate::store) past: Vec<Past>,
}

/// Begins a record at the end of `out`; what is appended until [`end`] is its body.
pub(in crate::store) fn begin(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; HEADER_BYTES]);
    out.len()
}

/// Ends the record whose body began here.
pub(in crate::store) fn end(out: &mut [u8], body: usize) {
    let length = u32::try_from(out.len() - body).expect("a record is within its bounds");
    let length = length.to_le_bytes();
    let crc = checksum(&length, &out[body..]);
    out[body - HEADER_BYTES..body - 4].copy_from_slice(&length);
    out[body - 4..body].copy_from_slice(&crc.to_le_bytes());
}

pub(in crate::store) fn checksum(length: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(body);
    hasher.finalize()
}

/// What is at the beginning of these bytes.
#[derive(Debug, PartialEq)]
pub(in crate::store) enum Found {
    /// A record's body, and how many bytes the record has.
    Body(Bytes, usize),
    /// Nothing.
    End,
    /// The beginning of a record, or of none.
    Torn,
}

/// Looks at the next record.
pub(in crate::store) fn next(bytes: &Bytes) -> Found {
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

/// Writes a run of events.
pub(in crate::store) fn write_slice(
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
pub(in crate::store) fn read_slice(fields: &mut Fields) -> Option<Slice> {
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

impl Head {
    pub(in crate::store) fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.named));
        encode_varint(u64::from(self.epoch.as_u32()), out);
        encode_varint(self.past.len() as u64, out);
        for past in &self.past {
            encode_varint(u64::from(past.epoch.as_u32()), out);
            encode_varint(past.valid_through, out);
        }
    }

    pub(in crate::store) fn read(fields: &mut Fields) -> Option<Self> {
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
    pub(in crate::store) fn comes_after(&self, earlier: &Self) -> bool {
        self.epoch == earlier.epoch || self.past.iter().any(|past| past.epoch == earlier.epoch)
    }

    /// The successor of a tenure whose tail is not proved to be complete.
    pub(in crate::store) fn succeed(&mut self, valid_through: u64) {
        self.past.push(Past { epoch: self.epoch, valid_through });
        self.epoch = Epoch::random();
    }
}

/// The fields of a body, read one after another.
pub(in crate::store) struct Fields(pub(in crate::store) Bytes);

impl Fields {
    pub(in crate::store) fn byte(&mut self) -> Option<u8> {
        let byte = *self.0.first()?;
        bytes::Buf::advance(&mut self.0, 1);
        Some(byte)
    }

    pub(in crate::store) fn number(&mut self) -> Option<u64> {
        decode_varint(&mut self.0).ok()
    }

    pub(in crate::store) fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    pub(in crate::store) fn bytes(&mut self) -> Option<Bytes> {
        let length = usize::try_from(self.number()?).ok()?;
        (length <= self.0.len()).then(|| self.0.split_to(length))
    }

    pub(in crate::store) fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.into()).ok()
    }

    pub(in crate::store) fn epoch(&mut self) -> Option<Epoch> {
        self.small().map(Epoch::from_u32)
    }

    pub(in crate::store) fn key(&mut self) -> Option<ChannelKey> {
        let owner = Owner::new(&self.text()?);
        let id = ChannelId::parse(&self.text()?).ok()?;
        Some(ChannelKey { owner, id })
    }
}

pub(in crate::store) fn write_key(key: &ChannelKey, out: &mut Vec<u8>) {
    write_bytes(key.owner.as_str().as_bytes(), out);
    write_bytes(key.id.as_str().as_bytes(), out);
}

pub(in crate::store) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

//! A channel at rest: what is known of it, then its fold and its events, each part with a checksum of its own. Pure.
//!
//! A blob is four bytes of state (`live`, or `dead` once something else holds in its place), a record about the channel,
//! and records of its parts: at most one fold, then runs of events. The first one says how long the parts are together.

use bytes::{Buf, Bytes};
use prost::encoding::{decode_varint, encode_varint};

use super::{
    super::{Base, Kept, Slice, Times},
    format::{self, Fields, Found, Head},
};
use crate::{ident::ChannelKey, wire};

/// How a blob begins that holds.
pub(super) const LIVE: [u8; 4] = *b"live";
/// How one begins that something else has taken the place of.
pub(super) const DEAD: [u8; 4] = *b"dead";

/// A part of about this many bytes of events is enough: what is damaged is lost with its part.
const PART_BYTES: usize = 16 * 1024;

const BASE: u8 = 1;
const SLICE: u8 = 2;

/// What is known of a channel at rest.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct About {
    /// Of the tenure in which it was written, or higher than that of any before.
    pub(super) number: u64,
    pub(super) key: ChannelKey,
    pub(super) head: Head,
    pub(super) last_seq: u64,
    pub(super) last_ms: u64,
    /// How many generations ran.
    pub(super) running: u32,
    /// How many it has had.
    pub(super) generations: u32,
    /// How long its parts are together.
    pub(super) parts: u64,
}

impl About {
    fn write(&self, out: &mut Vec<u8>) {
        let body = format::begin(out);
        encode_varint(self.number, out);
        format::write_key(&self.key, out);
        self.head.write(out);
        let Self { last_seq, last_ms, parts, .. } = *self;
        let (running, generations) = (u64::from(self.running), u64::from(self.generations));
        for number in [last_seq, last_ms, running, generations, parts] {
            encode_varint(number, out);
        }
        format::end(out, body);
    }

    /// Reads the record about a channel.
    pub(super) fn read(body: Bytes) -> Option<Self> {
        let mut fields = Fields(body);
        Some(Self {
            number: fields.number()?,
            key: fields.key()?,
            head: Head::read(&mut fields)?,
            last_seq: fields.number()?,
            last_ms: fields.number()?,
            running: fields.small()?,
            generations: fields.small()?,
            parts: fields.number()?,
        })
    }
}

/// A channel's blob.
pub(super) fn write(number: u64, key: &ChannelKey, kept: &Kept) -> (About, Vec<u8>) {
    let mut parts = Vec::new();
    if let Some(Base { through, state }) = &kept.base {
        let body = format::begin(&mut parts);
        parts.push(BASE);
        encode_varint(*through, &mut parts);
        wire::encode_state(state, &mut parts);
        format::end(&mut parts, body);
    }
    for slice in joined(&kept.slices) {
        let body = format::begin(&mut parts);
        parts.push(SLICE);
        let (count, base_ms) = (slice.last_seq + 1 - slice.first_seq, slice.times.base_ms);
        let (deltas, events) = (&slice.times.deltas, &slice.events);
        format::write_slice(slice.first_seq, count, base_ms, deltas, events, &mut parts);
        format::end(&mut parts, body);
    }
    let Kept { named, epoch, past, .. } = kept;
    let about = About {
        number,
        key: key.clone(),
        head: Head { named: *named, epoch: *epoch, past: past.clone() },
        last_seq: kept.last_seq(),
        last_ms: kept.slices.last().map_or(0, last_ms).max(kept.last_ms),
        running: kept.running,
        generations: kept.generations,
        parts: parts.len() as u64,
    };
    let mut blob = LIVE.to_vec();
    about.write(&mut blob);
    blob.append(&mut parts);
    (about, blob)
}

/// Reads what follows the record about a channel. Of what is damaged, everything before it is given.
pub(super) fn read(about: &About, mut parts: Bytes) -> (Kept, Result<(), &'static str>) {
    let Head { named, epoch, past } = about.head.clone();
    let mut kept = Kept { past, running: about.running, ..Kept::nothing(named, epoch) };
    kept.generations = about.generations;
    kept.last_ms = about.last_ms;
    loop {
        match format::next(&parts) {
            Found::Body(body, length) => {
                if let Err(what) = read_part(Fields(body), &mut kept) {
                    return (kept, Err(what));
                }
                parts.advance(length);
            }
            Found::End if kept.last_seq() == about.last_seq => return (kept, Ok(())),
            Found::End => return (kept, Err("events are missing")),
            Found::Torn => return (kept, Err("a checksum is wrong")),
        }
    }
}

fn read_part(mut fields: Fields, kept: &mut Kept) -> Result<(), &'static str> {
    const WRONG: &str = "a part is not what it should be";
    match fields.byte().ok_or(WRONG)? {
        BASE if kept.last_seq() == 0 => {
            let through = fields.number().ok_or(WRONG)?;
            let state = wire::decode_state(&fields.0).map_err(|_| WRONG)?;
            kept.base = Some(Base { through, state: state.into() });
        }
        SLICE => {
            let slice = format::read_slice(&mut fields).ok_or(WRONG)?;
            if slice.first_seq != kept.last_seq() + 1 {
                return Err("events are missing");
            }
            kept.slices.push(slice);
        }
        _ => return Err(WRONG),
    }
    Ok(())
}

/// When the last event of a slice was said.
pub(super) fn last_ms(slice: &Slice) -> u64 {
    let mut deltas = &slice.times.deltas[..];
    let mut at_ms = slice.times.base_ms;
    while let (false, Ok(delta)) = (deltas.is_empty(), decode_varint(&mut deltas)) {
        at_ms = at_ms.saturating_add(delta);
    }
    at_ms
}

/// The same events in slices of about [`PART_BYTES`]: a batch of one token has more around it than in it.
fn joined(slices: &[Slice]) -> Vec<Slice> {
    let mut joined: Vec<Slice> = Vec::new();
    let mut open: Option<Joint> = None;
    for slice in slices {
        if slice.events.len() >= PART_BYTES / 2 {
            joined.extend(open.take().map(Joint::close));
            joined.push(slice.clone());
            continue;
        }
        match &mut open {
            Some(joint) if joint.events.len() + slice.events.len() <= PART_BYTES => {
                joint.add(slice)
            }
            _ => {
                joined.extend(open.take().map(Joint::close));
                open = Some(Joint::open(slice));
            }
        }
    }
    joined.extend(open.map(Joint::close));
    joined
}

struct Joint {
    first_seq: u64,
    last_seq: u64,
    base_ms: u64,
    last_ms: u64,
    deltas: Vec<u8>,
    events: Vec<u8>,
}

impl Joint {
    fn open(slice: &Slice) -> Self {
        Self {
            first_seq: slice.first_seq,
            last_seq: slice.last_seq,
            base_ms: slice.times.base_ms,
            last_ms: last_ms(slice),
            deltas: slice.times.deltas.to_vec(),
            events: slice.events.to_vec(),
        }
    }

    fn add(&mut self, slice: &Slice) {
        let mut deltas = &slice.times.deltas[..];
        let mut at_ms = slice.times.base_ms;
        while let (false, Ok(delta)) = (deltas.is_empty(), decode_varint(&mut deltas)) {
            at_ms = at_ms.saturating_add(delta);
            encode_varint(at_ms.saturating_sub(self.last_ms), &mut self.deltas);
            self.last_ms = self.last_ms.max(at_ms);
        }
        self.events.extend_from_slice(&slice.events);
        self.last_seq = slice.last_seq;
    }

    fn close(self) -> Slice {
        let Self { first_seq, last_seq, base_ms, deltas, events, .. } = self;
        let times = Times { base_ms, deltas: deltas.into() };
        Slice { first_seq, last_seq, events: events.into(), times }
    }
}

//! A channel as a store keeps it: what retention folded, and the encoded events after that.
//!
//! Knows of an event its seq and when it was said, and not what it says.

use std::sync::Arc;

use bytes::Bytes;
use prost::encoding::decode_varint;

use crate::{
    sequence::{Epoch, Past},
    snapshot::State,
};

/// A channel as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Whether an app chose its id.
    pub named: bool,
    /// The epoch of now.
    pub epoch: Epoch,
    /// The tenures before, the oldest first.
    pub past: Vec<Past>,
    /// What retention has trimmed away, folded.
    pub base: Option<Base>,
    /// The events after that, without a gap.
    pub slices: Vec<Slice>,
    /// When the last event was said, in milliseconds since 1970 UTC.
    pub last_ms: u64,
    /// How many generations there were.
    pub generations: u32,
    /// How many of them run.
    pub running: u32,
}

impl Kept {
    /// A channel on which nothing was said.
    pub fn nothing(named: bool, epoch: Epoch) -> Self {
        let (past, slices) = (Vec::new(), Vec::new());
        Self { named, epoch, past, base: None, slices, last_ms: 0, generations: 0, running: 0 }
    }

    /// The last seq; 0 before the first.
    pub fn last_seq(&self) -> u64 {
        let base = self.base.as_ref().map_or(0, |base| base.through);
        self.slices.last().map_or(base, |slice| slice.last_seq)
    }
}

/// The head of a log, folded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Base {
    /// The last seq folded in.
    pub through: u64,
    /// What was folded.
    pub state: Arc<State>,
}

/// Consecutive events of a channel: a frame's content, and what a store keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// The first event's seq.
    pub first_seq: u64,
    /// The last event's seq.
    pub last_seq: u64,
    /// The elements of a frame's `events` field, back to back.
    pub events: Bytes,
    /// When they were said.
    pub times: Times,
}

/// The times of a slice's events.
#[derive(Clone, Debug, PartialEq)]
pub struct Times {
    /// Milliseconds since 1970 UTC to which the first delta is added.
    pub base_ms: u64,
    /// One varint for each event: milliseconds since the event before it.
    pub deltas: Bytes,
}

impl Times {
    /// When each event was said, in milliseconds since 1970 UTC.
    pub fn all_ms(&self) -> impl Iterator<Item = u64> + '_ {
        let (mut deltas, mut at) = (&self.deltas[..], self.base_ms);
        std::iter::from_fn(move || {
            at += decode_varint(&mut deltas).ok()?;
            Some(at)
        })
    }

    /// When the first event was said, in milliseconds since 1970 UTC.
    pub fn first_ms(&self) -> u64 {
        self.base_ms + decode_varint(&mut &self.deltas[..]).unwrap_or_default()
    }
}

//! How a channel stands: for whoever asks for it by name, and for lists of many.

use std::time::Duration;

use tokio::time::Instant;

use super::{Channel, Life};
use crate::{event::Started, sequence::Epoch};

/// How a channel stands.
#[derive(Clone, Debug)]
pub struct Status {
    /// The epoch of now.
    pub epoch: Epoch,
    /// The first seq still held as an event.
    pub first_seq: u64,
    /// The last seq.
    pub last_seq: u64,
    /// When the last event was said, in milliseconds since 1970 UTC.
    pub last_ms: u64,
    /// The generations so far, in the order of their channel-local indices.
    pub generations: Vec<Started>,
    /// How many of them run.
    pub running: usize,
    /// Nothing more will be said.
    pub closed: bool,
}

/// How a channel stands, for a list of many.
#[derive(Clone, Debug)]
pub struct Brief {
    /// The first seq still held as an event.
    pub first_seq: u64,
    /// The last seq.
    pub last_seq: u64,
    /// What its log takes in memory.
    pub bytes: usize,
    /// How many generations there were.
    pub generations: usize,
    /// The one that began last.
    pub newest: Option<Started>,
    /// How many of them run.
    pub running: usize,
    /// How many look on.
    pub viewers: usize,
    /// Nothing more will be said.
    pub closed: bool,
    /// Since its last event.
    pub idle: Duration,
}

impl Channel {
    /// How it stands.
    pub fn status(&self) -> Status {
        let inner = self.inner.lock();
        Status {
            epoch: self.epoch(),
            first_seq: inner.log.first_seq(),
            last_seq: inner.shown,
            last_ms: inner.log.last_ms(),
            generations: inner.generations.clone(),
            running: inner.running.len(),
            closed: inner.life != Life::Open,
        }
    }

    /// How it stands, in few words and one look.
    pub fn brief(&self, now: Instant) -> Brief {
        let inner = self.inner.lock();
        Brief {
            first_seq: inner.log.first_seq(),
            last_seq: inner.shown,
            bytes: inner.log.bytes(),
            generations: inner.generations.len(),
            newest: inner.generations.last().cloned(),
            running: inner.running.len(),
            viewers: *self.viewers.borrow(),
            closed: inner.life != Life::Open,
            idle: now.saturating_duration_since(inner.last_event),
        }
    }

    /// Whether the generation with this id runs.
    pub fn is_running(&self, generation: &str) -> bool {
        self.inner.lock().running.iter().any(|running| running.id.as_str() == generation)
    }

    /// Whether the generation with this channel-local index runs.
    pub fn is_running_at(&self, index: u32) -> bool {
        let inner = self.inner.lock();
        let started = inner.generations.get(index as usize);
        // One that is gone says nothing more.
        !matches!(inner.life, Life::Gone(_))
            && started.is_some_and(|started| {
                inner.running.iter().any(|running| running.id.as_str() == started.id)
            })
    }
}

//! A cursor on one channel.
//!
//! Replay and live are the same thing here: a reader asks for what follows its seq, and gets a slice of the log, or
//! nothing yet. It costs no memory while it waits, and slows nobody.

use std::sync::Arc;

use super::{
    Attendance, Channel,
    log::Found,
    resume::{self, CannotResume, Start},
};
use crate::{
    sequence::{Epoch, From, Past},
    snapshot::State,
    store::Slice,
};

/// Reads one channel, from some place on.
#[derive(Debug)]
pub struct Reader {
    channel: Arc<Channel>,
    /// Of which `seq` is.
    epoch: Epoch,
    seq: u64,
    pending: Pending,
    /// Keeps the channel's generations alive under `on_disconnect` as long as somebody reads.
    _attendance: Attendance,
}

/// What a reader must be given before it goes on.
#[derive(Debug)]
enum Pending {
    Nothing,
    Snapshot(Cause),
    Rewind(Past, Option<u64>),
    /// The end was given.
    Over,
}

/// Why a snapshot is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The reader asked for one.
    Asked,
    /// What it asked for was trimmed, or retention overtook it.
    Trimmed,
    /// The epoch changed and it had seen more than what stayed valid.
    Rewind,
}

impl Cause {
    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Trimmed => "trimmed",
            Self::Rewind => "rewind",
        }
    }
}

/// Everything up to a seq, folded, from one immutable view of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The epoch in which it was taken.
    pub epoch: Epoch,
    /// The last seq folded in.
    pub through: u64,
    /// What was folded.
    pub state: State,
    /// Why it is given.
    pub cause: Cause,
}

/// Why a reader's channel has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The channel is closed and everything was given.
    Complete,
    /// The channel was deleted.
    Deleted,
    /// The channel expired.
    Evicted,
}

/// What a reader is given next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Events.
    Slice(Slice),
    /// The folded past; events follow from its `through + 1`.
    Snapshot(Box<Snapshot>),
    /// The channel has another writer since the reader's cursor.
    Rewind {
        /// The tenure that ended.
        past: Past,
        /// The epoch of now.
        epoch: Epoch,
    },
    /// Nothing yet.
    Idle,
    /// Nothing will follow. Given once; then `Idle`.
    End(Ended),
}

impl Reader {
    pub(super) fn open(channel: &Arc<Channel>, from: From) -> Result<Self, CannotResume> {
        let begin = |extent: resume::Extent<'_>| (extent.epoch, resume::start(from, extent));
        let (epoch, start) = channel.with_extent(begin);
        let (seq, pending) = match start? {
            Start::After(seq) => (seq, Pending::Nothing),
            Start::Snapshot => (0, Pending::Snapshot(Cause::Asked)),
            Start::Trimmed => (0, Pending::Snapshot(Cause::Trimmed)),
            Start::Rewind(past, seq) => (0, Pending::Rewind(past, seq)),
        };
        let attendance = channel.attend();
        let channel = Arc::clone(channel);
        Ok(Self { channel, epoch, seq, pending, _attendance: attendance })
    }

    /// The channel read.
    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// The epoch of what was given.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The last seq given.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Whether [`Reader::step`] has something to give. Takes no lock.
    pub fn has_news(&self) -> bool {
        match self.pending {
            Pending::Nothing => {
                // Fewer, where a store has lost some of what was shown.
                self.channel.head() != self.seq
                    || self.channel.is_over()
                    || self.channel.epoch() != self.epoch
            }
            Pending::Snapshot(_) | Pending::Rewind(..) => true,
            Pending::Over => false,
        }
    }

    /// How one that came with a cursor was taken up, in a word: `continued`, `snapshot` or `rewound`. Asked before the first
    /// step.
    pub fn outcome(&self) -> &'static str {
        match self.pending {
            Pending::Nothing | Pending::Over => "continued",
            Pending::Snapshot(_) => "snapshot",
            Pending::Rewind(..) => "rewound",
        }
    }

    /// Gives what comes next.
    pub fn step(&mut self) -> Step {
        match std::mem::replace(&mut self.pending, Pending::Nothing) {
            Pending::Nothing => self.read(),
            Pending::Snapshot(cause) => self.snapshot(cause),
            Pending::Rewind(past, seq) => {
                match seq {
                    Some(seq) => self.seq = seq,
                    None => self.pending = Pending::Snapshot(Cause::Rewind),
                }
                Step::Rewind { past, epoch: self.epoch }
            }
            Pending::Over => {
                self.pending = Pending::Over;
                Step::Idle
            }
        }
    }

    fn read(&mut self) -> Step {
        // Asked before looking: nothing is said after it. But everything is given first: how a generation ended is the
        // last thing said.
        let gone = self.channel.gone();
        let found = match self.channel.after(self.epoch, self.seq) {
            Ok(found) => found,
            Err(past) => {
                self.epoch = self.channel.epoch();
                if self.seq > past.valid_through {
                    self.pending = Pending::Snapshot(Cause::Rewind);
                }
                return Step::Rewind { past, epoch: self.epoch };
            }
        };
        match found {
            Found::Slice(slice) => {
                debug_assert_eq!(slice.first_seq, self.seq + 1, "a slice follows what was given");
                self.seq = slice.last_seq;
                Step::Slice(slice)
            }
            Found::Trimmed => self.snapshot(Cause::Trimmed),
            Found::AtHead => match gone {
                Some(ended) => self.end(ended),
                None if self.channel.is_closed_at(self.seq) => self.end(Ended::Complete),
                None => Step::Idle,
            },
        }
    }

    fn snapshot(&mut self, cause: Cause) -> Step {
        let (epoch, through, state) = self.channel.fold();
        (self.epoch, self.seq) = (epoch, through);
        Step::Snapshot(Box::new(Snapshot { epoch, through, state, cause }))
    }

    fn end(&mut self, ended: Ended) -> Step {
        self.pending = Pending::Over;
        Step::End(ended)
    }
}

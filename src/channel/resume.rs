//! Where a reader begins: what it claims to have seen, against what the channel holds. Pure.

use thiserror::Error;

use crate::sequence::{Cursor, Epoch, From, Past};

/// What a channel holds.
#[derive(Clone, Copy, Debug)]
pub struct Extent<'a> {
    /// The epoch of now.
    pub epoch: Epoch,
    /// The tenures before, the oldest first.
    pub past: &'a [Past],
    /// The first seq still held as an event.
    pub first_seq: u64,
    /// The last seq.
    pub last_seq: u64,
}

/// How a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the event after this seq.
    After(u64),
    /// With a snapshot, because it asked for one.
    Snapshot,
    /// With a snapshot, because what it asked for was trimmed away.
    Trimmed,
    /// With the news that the epoch changed; then after this seq, if it had seen no more than what stayed valid.
    Rewind(Past, Option<u64>),
}

/// Why a reader cannot begin there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CannotResume {
    /// The cursor's epoch is not among this channel's.
    #[error("the cursor's epoch is not among this channel's; it is now {now}")]
    EpochChanged {
        /// The epoch of now.
        now: Epoch,
    },
    /// The cursor claims more than was ever said.
    #[error("the cursor is past the head: the last seq is {last_seq}")]
    CursorAhead {
        /// The epoch of now.
        now: Epoch,
        /// The channel's last seq.
        last_seq: u64,
    },
}

/// Decides how a reader begins.
pub fn start(from: From, extent: Extent<'_>) -> Result<Start, CannotResume> {
    match from {
        From::Beginning => Ok(extent.after(0)),
        From::Tail => Ok(Start::After(extent.last_seq)),
        From::Snapshot => Ok(Start::Snapshot),
        From::Seq(seq) => extent.checked_after(seq),
        From::Cursor(cursor) if cursor.epoch == extent.epoch => extent.checked_after(cursor.seq),
        From::Cursor(cursor) => extent.rewind(cursor),
    }
}

impl Extent<'_> {
    fn after(&self, seq: u64) -> Start {
        if seq + 1 < self.first_seq { Start::Trimmed } else { Start::After(seq) }
    }

    fn checked_after(&self, seq: u64) -> Result<Start, CannotResume> {
        match seq <= self.last_seq {
            true => Ok(self.after(seq)),
            false => Err(CannotResume::CursorAhead { now: self.epoch, last_seq: self.last_seq }),
        }
    }

    /// What stayed valid of an earlier tenure: all its successors must have kept it.
    pub(super) fn past(&self, epoch: Epoch) -> Option<Past> {
        let place = self.past.iter().position(|past| past.epoch == epoch)?;
        let valid_through = self.past[place..].iter().map(|past| past.valid_through).min()?;
        Some(Past { epoch, valid_through })
    }

    fn rewind(&self, cursor: Cursor) -> Result<Start, CannotResume> {
        let past = self.past(cursor.epoch);
        let past = past.ok_or(CannotResume::EpochChanged { now: self.epoch })?;
        let valid = cursor.seq <= past.valid_through && cursor.seq + 1 >= self.first_seq;
        Ok(Start::Rewind(past, valid.then_some(cursor.seq)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Epoch = epoch(2);
    const PAST: [Past; 1] = [Past { epoch: epoch(1), valid_through: 50 }];
    const EXTENT: Extent<'_> = Extent { epoch: NOW, past: &PAST, first_seq: 11, last_seq: 90 };

    const fn epoch(number: u32) -> Epoch {
        Epoch::from_u32(number)
    }

    fn cursor(epoch: Epoch, seq: u64) -> From {
        From::Cursor(Cursor { epoch, seq })
    }

    #[test]
    fn each_place_has_its_own_answer() {
        let ahead = CannotResume::CursorAhead { now: NOW, last_seq: 90 };
        for (from, expected) in [
            (From::Beginning, Ok(Start::Trimmed)),
            (From::Tail, Ok(Start::After(90))),
            (From::Snapshot, Ok(Start::Snapshot)),
            (From::Seq(9), Ok(Start::Trimmed)),
            (From::Seq(10), Ok(Start::After(10))),
            (From::Seq(91), Err(ahead)),
            (cursor(NOW, 90), Ok(Start::After(90))),
            (cursor(NOW, 91), Err(ahead)),
            (cursor(epoch(9), 5), Err(CannotResume::EpochChanged { now: NOW })),
            (cursor(epoch(1), 50), Ok(Start::Rewind(PAST[0], Some(50)))),
            (cursor(epoch(1), 51), Ok(Start::Rewind(PAST[0], None))),
            (cursor(epoch(1), 9), Ok(Start::Rewind(PAST[0], None))),
        ] {
            assert_eq!(start(from, EXTENT), expected, "{from:?}");
        }
    }

    #[test]
    fn what_a_later_writer_did_not_keep_is_not_valid_of_an_earlier_one() {
        let past = [(1, 50), (2, 30), (3, 80)]
            .map(|(number, valid_through)| Past { epoch: epoch(number), valid_through });
        let extent = Extent { epoch: epoch(4), past: &past, first_seq: 1, last_seq: 90 };
        for (number, valid) in [(1, 30), (2, 30), (3, 80)] {
            let told = Past { epoch: epoch(number), valid_through: valid };
            for (seq, expected) in [(valid, Some(valid)), (valid + 1, None)] {
                let start = start(cursor(epoch(number), seq), extent);
                assert_eq!(start, Ok(Start::Rewind(told, expected)), "{number}.{seq}");
            }
        }
    }

    #[test]
    fn an_untouched_channel_is_read_from_its_beginning() {
        let extent = Extent { epoch: NOW, past: &[], first_seq: 1, last_seq: 0 };
        for from in [From::Beginning, From::Tail, From::Seq(0), cursor(NOW, 0)] {
            assert_eq!(start(from, extent), Ok(Start::After(0)), "{from:?}");
        }
        assert_eq!(start(From::Snapshot, extent), Ok(Start::Snapshot), "asked for is given");
    }
}

//! The numbers: seq, epoch, cursor.
//!
//! A [`Seq`] is minted in one place, [`Sequencer::mint`], which only the channel's log calls. What a client claims to
//! have seen is a [`Cursor`], a different type, and proves nothing until a channel has looked at it.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// An event's number on its channel: 1, 2, 3, … without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(u64);

impl Seq {
    /// The number.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Mints a channel's seqs. There is one for each log, and it never goes back.
#[derive(Debug)]
pub struct Sequencer {
    last: u64,
}

impl Sequencer {
    /// The next seq minted is `last + 1`.
    pub fn after(last: u64) -> Self {
        Self { last }
    }

    /// The next seq.
    pub fn mint(&mut self) -> Seq {
        self.last += 1;
        Seq(self.last)
    }

    /// The last seq minted; 0 before the first.
    pub fn last(&self) -> u64 {
        self.last
    }
}

/// A random id of one writer's tenure of a channel's log. Text form: 8 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(u32);

impl Epoch {
    /// A new epoch, from the operating system's randomness.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// A given epoch, for stores that bring one back and for tests.
    pub const fn from_u32(value: u32) -> Self {
        Self(value)
    }

    /// The number behind the text.
    pub fn as_u32(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epoch({self})")
    }
}

impl FromStr for Epoch {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match (text.len(), digits) {
            (8, true) => u32::from_str_radix(text, 16).map(Self).map_err(|_| BadCursor),
            _ => Err(BadCursor),
        }
    }
}

/// What a client has seen: everything of `epoch` up to and with `seq`. Text form: `EPOCH.SEQ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The writer's tenure in which it was seen.
    pub epoch: Epoch,
    /// The last seq seen; 0 for nothing yet.
    pub seq: u64,
}

/// An earlier writer's tenure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    /// Its epoch.
    pub epoch: Epoch,
    /// The last of its seqs that its successor kept.
    pub valid_through: u64,
}

/// A cursor's text is not `EPOCH.SEQ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a cursor is EPOCH.SEQ: 8 hexadecimal digits, a dot and a decimal number, e.g. 9f3a6c1e.17"
)]
pub struct BadCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let (epoch, seq) = text.split_once('.').ok_or(BadCursor)?;
        Ok(Self { epoch: epoch.parse()?, seq: decimal(seq)? })
    }
}

/// A plain decimal number: no sign, no blanks, at most 19 digits.
fn decimal(text: &str) -> Result<u64, BadCursor> {
    let plain = !text.is_empty() && text.len() <= 19 && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().map_err(|_| BadCursor) } else { Err(BadCursor) }
}

/// Where a reader asks to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// After what this cursor has seen.
    Cursor(Cursor),
    /// After this seq, in whatever epoch: for people at a terminal, who know no epoch.
    Seq(u64),
    /// At seq 1.
    Beginning,
    /// At what is said from now on.
    Tail,
    /// One snapshot of all so far, then the tail.
    Snapshot,
}

impl FromStr for From {
    type Err = BadCursor;

    /// Reads `?after=`: `EPOCH.SEQ` or a bare seq.
    fn from_str(text: &str) -> Result<Self, BadCursor> {
        match text.contains('.') {
            true => text.parse().map(Self::Cursor),
            false => decimal(text).map(Self::Seq),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn seqs_begin_at_one_and_have_no_gap() {
        let mut sequencer = Sequencer::after(0);
        let minted: Vec<u64> = (0..4).map(|_| sequencer.mint().as_u64()).collect();
        assert_eq!(minted, [1, 2, 3, 4]);
    }

    #[test]
    fn what_is_not_a_cursor_is_refused() {
        for text in [
            "",
            ".",
            "9f3a6c1e",
            "9f3a6c1e.",
            ".17",
            "9f3a6c1.17",
            "9f3a6c1e.-1",
            "9f3a6c1e.1 ",
            "+f3a6c1e.1",
            "9f3a6c1e.1.2",
            "9f3a6c1e.99999999999999999999",
        ] {
            assert!(text.parse::<Cursor>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_cursor_survives_its_text(epoch: u32, seq in 0..=u64::MAX / 2) {
            let cursor = Cursor { epoch: Epoch::from_u32(epoch), seq };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }
}

//! What a client makes of one subscription's frames: each event once and in order, whatever was cut or came twice.
//!
//! Pure. The same for every carrier, and the model that the tests hold the gateway against.

use prost::Message;
use thiserror::Error;

use crate::{
    event::Event,
    sequence::{Cursor, Epoch, From},
    wire::{
        self,
        proto::{self, end, frame::News, subscribe},
    },
};

/// What a follower is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// Events that follow what was told before without a gap.
    Events {
        /// The first event's seq.
        first_seq: u64,
        /// The events.
        events: Vec<Event>,
        /// When each was said, in milliseconds since 1970 UTC; empty unless asked for.
        times_ms: Vec<u64>,
    },
    /// Everything up to `through`, folded. Replaces whatever was told before.
    Snapshot(proto::Snapshot),
    /// The channel has another writer; what was told past `valid_through` does not hold.
    Rewind {
        /// The last seq that holds.
        valid_through: u64,
        /// The epoch from now on.
        epoch: Epoch,
    },
    /// Nothing will follow.
    End {
        /// Why.
        reason: end::Reason,
        /// The channel's last seq.
        last_seq: u64,
    },
}

/// A subscription that makes no sense: the gateway does not keep to the protocol, or the caller asked for too much.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Broken {
    /// Events were left out.
    #[error("expected seq {expected}, got {got}")]
    Gap {
        /// What had to come.
        expected: u64,
        /// What came.
        got: u64,
    },
    /// The caller asked for what follows a seq that was never said.
    #[error("seq {asked} is past the head: the last seq is {last_seq}")]
    Ahead {
        /// After which seq to begin.
        asked: u64,
        /// The channel's last seq.
        last_seq: u64,
    },
    /// Bytes that are no message, or a message that makes no sense.
    #[error("not understood: {0}")]
    NotUnderstood(String),
}

/// Frames that overtook the answer to their subscription are kept until it comes, up to so many.
const EARLY_FRAMES_MAX: usize = 4_096;

/// One subscription, across reconnects.
#[derive(Debug)]
pub struct Follow {
    from: From,
    times: bool,
    epoch: Option<Epoch>,
    /// The last seq told; `None` until it is known where the subscription begins.
    seq: Option<u64>,
    early: Vec<proto::Frame>,
    ended: bool,
}

impl Follow {
    /// Follows a channel from some place on.
    pub fn new(from: From, times: bool) -> Self {
        Self { from, times, epoch: None, seq: None, early: Vec::new(), ended: false }
    }

    /// What was told, as a cursor.
    pub fn cursor(&self) -> Option<Cursor> {
        Some(Cursor { epoch: self.epoch?, seq: self.seq? })
    }

    /// Whether nothing will follow.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// What to ask for on a new connection. What came early on the last one is asked for again.
    pub fn subscribe(&mut self, alias: u32, channel: &str) -> proto::Subscribe {
        self.early.clear();
        let from = match (self.cursor(), self.from) {
            (Some(cursor), _) | (None, From::Cursor(cursor)) => {
                let epoch = cursor.epoch.to_string();
                subscribe::From::Cursor(proto::Cursor { epoch, seq: cursor.seq })
            }
            (None, From::Beginning) => subscribe::From::Beginning(proto::Nothing {}),
            (None, From::Tail) => subscribe::From::Tail(proto::Nothing {}),
            // The wire knows no bare seq: all is asked for, and what is not wanted is passed over.
            (None, From::Seq(_)) => subscribe::From::Beginning(proto::Nothing {}),
            (None, From::Snapshot) => subscribe::From::Snapshot(proto::Nothing {}),
        };
        let channel = channel.to_owned();
        proto::Subscribe { alias, channel, from: Some(from), times: self.times, delivery: 0 }
    }

    /// The gateway has taken the subscription.
    pub fn subscribed(&mut self, answer: &proto::Subscribed) -> Result<Vec<Item>, Broken> {
        if self.epoch.is_none() {
            let bad = |_| Broken::NotUnderstood(format!("epoch {:?}", answer.epoch));
            self.epoch = Some(answer.epoch.parse().map_err(bad)?);
        }
        if self.seq.is_none() {
            self.seq = match self.from {
                From::Beginning | From::Snapshot => Some(0),
                From::Seq(seq) if seq > answer.last_seq => {
                    return Err(Broken::Ahead { asked: seq, last_seq: answer.last_seq });
                }
                From::Seq(seq) => Some(seq),
                From::Tail => Some(answer.last_seq),
                From::Cursor(cursor) => Some(cursor.seq),
            };
        }
        let mut items = Vec::new();
        for frame in std::mem::take(&mut self.early) {
            items.extend(self.told(frame)?);
        }
        Ok(items)
    }

    /// A frame has come. Gives at most one item; none for what was told before.
    pub fn frame(&mut self, frame: proto::Frame) -> Result<Option<Item>, Broken> {
        let known = self.epoch.is_some() || matches!(self.from, From::Cursor(_));
        if !known {
            if self.early.len() == EARLY_FRAMES_MAX {
                return Err(Broken::NotUnderstood("frames without a subscription".into()));
            }
            self.early.push(frame);
            return Ok(None);
        }
        if let (None, From::Cursor(cursor)) = (self.epoch, self.from) {
            (self.epoch, self.seq) = (Some(cursor.epoch), Some(cursor.seq));
        }
        self.told(frame)
    }

    fn told(&mut self, frame: proto::Frame) -> Result<Option<Item>, Broken> {
        match frame.news {
            None => self.events(frame),
            Some(News::Snapshot(snapshot)) => {
                self.epoch = Some(epoch(&snapshot.epoch)?);
                self.seq = Some(snapshot.through);
                Ok(Some(Item::Snapshot(snapshot)))
            }
            Some(News::Rewind(rewind)) => {
                let epoch = epoch(&rewind.epoch)?;
                self.epoch = Some(epoch);
                Ok(Some(Item::Rewind { valid_through: rewind.valid_through, epoch }))
            }
            Some(News::End(end)) => {
                self.ended = true;
                Ok(Some(Item::End { reason: end.reason(), last_seq: end.last_seq }))
            }
        }
    }

    fn events(&mut self, frame: proto::Frame) -> Result<Option<Item>, Broken> {
        let count = frame.events.len() as u64;
        let seq = self.seq.expect("where it begins is known before frames are told");
        if frame.first_seq > seq + 1 {
            return Err(Broken::Gap { expected: seq + 1, got: frame.first_seq });
        }
        let known = seq + 1 - frame.first_seq;
        if known >= count {
            return Ok(None);
        }
        self.seq = Some(frame.first_seq + count - 1);
        let mut at = frame.time_base_ms;
        let times = frame.time_deltas_ms.iter().map(|delta| {
            at += u64::from(*delta);
            at
        });
        let times_ms = times.skip(known as usize).collect();
        let events =
            frame.events.iter().skip(known as usize).map(read).collect::<Result<_, _>>()?;
        Ok(Some(Item::Events { first_seq: seq + 1, events, times_ms }))
    }
}

fn epoch(text: &str) -> Result<Epoch, Broken> {
    text.parse().map_err(|_| Broken::NotUnderstood(format!("epoch {text:?}")))
}

fn read(event: &proto::Event) -> Result<Event, Broken> {
    wire::decode_event(&event.encode_to_vec()).map_err(|bad| Broken::NotUnderstood(bad.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first_seq: u64, texts: &[&str]) -> proto::Frame {
        let event = |text: &&str| proto::Event { text: (*text).into(), ..Default::default() };
        proto::Frame {
            alias: 1,
            first_seq,
            events: texts.iter().map(event).collect(),
            ..Default::default()
        }
    }

    fn seqs(item: &Item) -> (u64, usize) {
        match item {
            Item::Events { first_seq, events, .. } => (*first_seq, events.len()),
            other => panic!("expected events, found {other:?}"),
        }
    }

    fn answer() -> proto::Subscribed {
        proto::Subscribed { alias: 1, epoch: "0000000a".into(), last_seq: 9, ..Default::default() }
    }

    #[test]
    fn what_overtook_its_subscription_is_told_after_it() {
        let mut follow = Follow::new(From::Beginning, false);
        assert_eq!(follow.frame(frame(1, &["a", "b"])), Ok(None));
        let items = follow.subscribed(&answer()).expect("in order");
        assert_eq!(items.iter().map(seqs).collect::<Vec<_>>(), [(1, 2)]);
        assert_eq!(follow.cursor().map(|cursor| cursor.to_string()), Some("0000000a.2".into()));
    }

    #[test]
    fn what_came_twice_is_told_once_and_a_gap_is_an_error() {
        let mut follow = Follow::new(From::Beginning, false);
        follow.subscribed(&answer()).expect("nothing came early");
        follow.frame(frame(1, &["a", "b"])).expect("in order");
        assert_eq!(follow.frame(frame(1, &["a", "b"])), Ok(None));
        let item = follow.frame(frame(2, &["b", "c"])).expect("overlapping").expect("one is new");
        assert_eq!(seqs(&item), (3, 1));
        assert_eq!(follow.frame(frame(5, &["e"])), Err(Broken::Gap { expected: 4, got: 5 }));
    }
}

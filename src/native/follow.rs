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

/// What a subscription's stream has brought since it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Brought {
    Nothing,
    Events,
    /// A snapshot or a rewind: it told the epoch.
    News,
}

/// One subscription, across reconnects.
#[derive(Debug)]
pub struct Follow {
    from: From,
    times: bool,
    epoch: Option<Epoch>,
    /// Another epoch, of which the answer to the subscription told, while a Rewind may still be on its way.
    promised: Option<Epoch>,
    /// What has come since the subscription was last asked for.
    brought: Brought,
    /// The last seq told; `None` until it is known where the subscription begins.
    seq: Option<u64>,
    early: Vec<proto::Frame>,
    ended: bool,
}

impl Follow {
    /// Follows a channel from some place on.
    pub fn new(from: From, times: bool) -> Self {
        let (epoch, seq) = match from {
            From::Cursor(cursor) => (Some(cursor.epoch), Some(cursor.seq)),
            _ => (None, None),
        };
        let (promised, brought) = (None, Brought::Nothing);
        Self { from, times, epoch, promised, brought, seq, early: Vec::new(), ended: false }
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
        (self.promised, self.brought) = (None, Brought::Nothing);
        let from = match (self.cursor(), self.from) {
            (Some(cursor), _) | (_, From::Cursor(cursor)) => {
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
        let now = epoch(&answer.epoch)?;
        match (self.epoch, self.brought) {
            // A Rewind would have come before the events, on the same stream: what was told holds in this epoch.
            (None, _) | (_, Brought::Events) => self.epoch = Some(now),
            (Some(before), Brought::Nothing) => self.promised = (before != now).then_some(now),
            (Some(_), Brought::News) => {}
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
        if self.epoch.is_none() {
            if self.early.len() == EARLY_FRAMES_MAX {
                return Err(Broken::NotUnderstood("frames without a subscription".into()));
            }
            self.early.push(frame);
            return Ok(None);
        }
        self.told(frame)
    }

    fn told(&mut self, frame: proto::Frame) -> Result<Option<Item>, Broken> {
        match frame.news {
            None => self.events(frame),
            Some(News::Snapshot(snapshot)) => {
                self.news(epoch(&snapshot.epoch)?);
                self.seq = Some(snapshot.through);
                Ok(Some(Item::Snapshot(snapshot)))
            }
            Some(News::Rewind(rewind)) => {
                let epoch = epoch(&rewind.epoch)?;
                self.news(epoch);
                Ok(Some(Item::Rewind { valid_through: rewind.valid_through, epoch }))
            }
            Some(News::End(end)) => {
                self.ended = true;
                Ok(Some(Item::End { reason: end.reason(), last_seq: end.last_seq }))
            }
        }
    }

    /// The stream has told the epoch.
    fn news(&mut self, epoch: Epoch) {
        (self.epoch, self.promised, self.brought) = (Some(epoch), None, Brought::News);
    }

    fn events(&mut self, frame: proto::Frame) -> Result<Option<Item>, Broken> {
        let count = frame.events.len() as u64;
        if count == 0 {
            return Ok(None);
        }
        let seq = self.seq.expect("where it begins is known before frames are told");
        if frame.first_seq > seq + 1 {
            return Err(Broken::Gap { expected: seq + 1, got: frame.first_seq });
        }
        if self.brought == Brought::Nothing {
            self.brought = Brought::Events;
        }
        self.epoch = self.promised.take().or(self.epoch);
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
    fn a_cursor_moves_to_the_next_writers_epoch_without_a_rewind_if_all_of_it_survived() {
        let next = |epoch: &str| proto::Subscribed { epoch: epoch.into(), ..answer() };
        let at = |follow: &Follow| follow.cursor().map(|cursor| cursor.to_string());
        let mut follow = Follow::new(From::Beginning, false);
        follow.subscribed(&answer()).expect("nothing came early");
        follow.frame(frame(1, &["a", "b"])).expect("in order");
        // The answer comes first, then events.
        follow.subscribe(1, "chat");
        follow.subscribed(&next("0000000b")).expect("nothing came early");
        assert_eq!(at(&follow), Some("0000000a.2".into()), "a rewind may be on its way");
        follow.frame(frame(3, &["c"])).expect("in order");
        assert_eq!(at(&follow), Some("0000000b.3".into()));
        // Events overtake the answer.
        follow.subscribe(1, "chat");
        follow.frame(frame(4, &["d"])).expect("in order");
        follow.subscribed(&next("0000000c")).expect("nothing came early");
        assert_eq!(at(&follow), Some("0000000c.4".into()));
        // A rewind tells by itself, and an older answer changes nothing.
        follow.subscribe(1, "chat");
        let rewind = proto::Rewind { epoch: "0000000e".into(), ..Default::default() };
        let told = proto::Frame { news: Some(News::Rewind(rewind)), ..frame(0, &[]) };
        follow.frame(told).expect("understood");
        follow.subscribed(&next("0000000d")).expect("nothing came early");
        assert_eq!(at(&follow), Some("0000000e.4".into()));
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

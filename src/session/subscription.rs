//! One channel on one session: a reader, a lane, and what has to be said before it goes. No I/O.

use crate::{
    access::Place,
    channel::{self, Ended, Reader, Slice, Step, Watch},
    frame::{Outgoing, Press, Unacknowledged},
    telemetry::{Delivery, Subscribed},
    transport::Lane,
    wire::{
        self,
        proto::{self, end::Reason, frame::News},
    },
};

/// One channel on one session. It costs a cursor, not a queue.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) alias: u32,
    pub(super) lane: Lane,
    /// It has something to say that its lane did not take.
    pub(super) blocked: bool,
    reader: Reader,
    times: bool,
    leaving: bool,
    /// What was sent by datagram, where that is how events go.
    datagrams: Option<Unacknowledged>,
    /// The channel has ended; what was sent by datagram goes by the stream first.
    ending: Option<Reason>,
    /// It had everything once: from then on, what is late is late.
    caught_up: bool,
    /// Among the client's subscriptions.
    _places: Vec<Place>,
    _ties: (Watch, Subscribed),
}

/// Where what it writes is counted, and when.
pub(super) struct Counting<'a> {
    pub(super) delivery: &'a Delivery,
    pub(super) now_ms: u64,
}

/// What a subscription writes next.
#[derive(Debug)]
pub(super) enum Next {
    /// A frame.
    Frame(Outgoing),
    /// Events that go with the tick's datagram.
    Datagram,
    /// Its last frame.
    Last(Outgoing),
    /// Nothing yet.
    Nothing,
}

impl Subscription {
    pub(super) fn new(
        alias: u32,
        lane: Lane,
        reader: Reader,
        ties: (Watch, Subscribed),
        times: bool,
    ) -> Self {
        Self {
            caught_up: !reader.has_news(),
            alias,
            lane,
            blocked: false,
            reader,
            times,
            leaving: false,
            datagrams: None,
            ending: None,
            _places: Vec::new(),
            _ties: ties,
        }
    }

    /// Takes these places for as long as it lasts.
    pub(super) fn at(self, places: Vec<Place>) -> Self {
        Self { _places: places, ..self }
    }

    /// Lets events go by datagram.
    pub(super) fn by_datagram(self) -> Self {
        Self { datagrams: Some(Unacknowledged::default()), ..self }
    }

    /// What was sent by datagram and is still open.
    pub(super) fn open(&self) -> Option<&Unacknowledged> {
        self.datagrams.as_ref()
    }

    /// What was sent by datagram, where that is how events go.
    pub(super) fn datagrams(&mut self) -> Option<&mut Unacknowledged> {
        self.datagrams.as_mut()
    }

    /// How it was taken up, if it came with a cursor. Asked before anything was written.
    pub(super) fn outcome(&self) -> &'static str {
        self.reader.outcome()
    }

    /// Whether there may be something to write. Takes no lock.
    pub(super) fn has_news(&self) -> bool {
        self.leaving || self.ending.is_some() || self.reader.has_news()
    }

    /// Its channel.
    pub(super) fn channel(&self) -> &channel::Channel {
        self.reader.channel()
    }

    /// The permission to read it ran out: an End is all that is still to be written.
    pub(super) fn forbid(&mut self) {
        self.ending = Some(Reason::Forbidden);
    }

    /// The client leaves: an End is all that is still to be written.
    pub(super) fn leave(&mut self) {
        self.leaving = true;
    }

    /// What to write now, where a datagram has at most `datagram_max` bytes.
    pub(super) fn next(
        &mut self,
        press: &mut Press,
        datagram_max: usize,
        counting: &Counting<'_>,
    ) -> Next {
        if self.leaving {
            return self.end(Reason::Unsubscribed, press);
        }
        if let Some(reason) = self.ending {
            return self.end(reason, press);
        }
        match self.reader.step() {
            Step::Slice(slice) => {
                if self.caught_up {
                    let said_ms = slice.times.first_ms();
                    counting.delivery.lags(counting.now_ms.saturating_sub(said_ms));
                }
                self.caught_up |= !self.reader.has_news();
                self.events(slice, press, datagram_max)
            }
            Step::Snapshot(snapshot) => {
                counting.delivery.snapshot(snapshot.cause.as_str());
                self.caught_up = !self.reader.has_news();
                let news = News::Snapshot(snapshot_to_wire(&snapshot));
                Next::Frame(press.news(self.alias, news))
            }
            Step::Rewind { past, epoch } => {
                let rewind = proto::Rewind {
                    previous_epoch: past.epoch.to_string(),
                    valid_through: past.valid_through,
                    epoch: epoch.to_string(),
                };
                Next::Frame(press.news(self.alias, News::Rewind(rewind)))
            }
            Step::Idle => Next::Nothing,
            Step::End(Ended::Complete) => self.end(Reason::Complete, press),
            Step::End(Ended::Deleted) => self.end(Reason::Deleted, press),
            Step::End(Ended::Evicted) => self.end(Reason::Evicted, press),
        }
    }

    fn events(&mut self, slice: Slice, press: &mut Press, datagram_max: usize) -> Next {
        let Some(datagrams) = &mut self.datagrams else {
            return Next::Frame(press.events(self.alias, slice, self.times));
        };
        // How a generation ended goes both ways: whoever waits for it does not wait for a repetition.
        let tells_end =
            (slice.first_seq..=slice.last_seq).contains(&self.reader.channel().last_end());
        let by_stream = match tells_end {
            true => {
                let copy = slice.clone();
                datagrams.push(slice, datagram_max).or(Some(copy))
            }
            false => datagrams.push(slice, datagram_max),
        };
        match by_stream {
            Some(slice) => Next::Frame(press.events(self.alias, slice, self.times)),
            None => Next::Datagram,
        }
    }

    fn end(&mut self, reason: Reason, press: &mut Press) -> Next {
        if reason != Reason::Unsubscribed
            && let Some(slice) = self.datagrams.as_mut().and_then(Unacknowledged::pop)
        {
            self.ending = Some(reason);
            return Next::Frame(press.events(self.alias, slice, self.times));
        }
        let last_seq = self.reader.channel().head();
        let end = proto::End { reason: reason as i32, last_seq };
        Next::Last(press.news(self.alias, News::End(end)))
    }
}

fn snapshot_to_wire(snapshot: &channel::Snapshot) -> proto::Snapshot {
    let cause = match snapshot.cause {
        channel::Cause::Asked => proto::snapshot::Cause::Asked,
        channel::Cause::Trimmed => proto::snapshot::Cause::Trimmed,
        channel::Cause::Rewind => proto::snapshot::Cause::Rewind,
    };
    let epoch = snapshot.epoch.to_string();
    wire::snapshot_to_wire(&snapshot.state, epoch, snapshot.through, cause)
}

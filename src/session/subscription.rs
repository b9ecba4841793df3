//! One channel on one session: a reader, a lane, and what has to be said before it goes. No I/O.

use crate::{
    channel::{self, Ended, Reader, Step, Watch},
    frame::{Outgoing, Press},
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
    _watch: Watch,
}

/// What a subscription writes next.
#[derive(Debug)]
pub(super) enum Next {
    /// A frame.
    Frame(Outgoing),
    /// Its last frame.
    Last(Outgoing),
    /// Nothing yet.
    Nothing,
}

impl Subscription {
    pub(super) fn new(alias: u32, lane: Lane, reader: Reader, watch: Watch, times: bool) -> Self {
        Self { alias, lane, blocked: false, reader, times, leaving: false, _watch: watch }
    }

    /// Whether there may be something to write. Takes no lock.
    pub(super) fn has_news(&self) -> bool {
        self.leaving || self.reader.has_news()
    }

    /// The client leaves: an End is all that is still to be written.
    pub(super) fn leave(&mut self) {
        self.leaving = true;
    }

    /// What to write now.
    pub(super) fn next(&mut self, press: &mut Press) -> Next {
        if self.leaving {
            return self.end(Reason::Unsubscribed, press);
        }
        match self.reader.step() {
            Step::Slice(slice) => Next::Frame(press.events(self.alias, slice, self.times)),
            Step::Snapshot(snapshot) => {
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

    fn end(&self, reason: Reason, press: &mut Press) -> Next {
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

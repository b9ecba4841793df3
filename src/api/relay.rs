//! The app's own stream: the provider's payloads, untouched, each with the cursor after its events.
//!
//! An app that fell so far behind that payloads had to be given up is fed from the log instead, encoded again from the
//! events: equal in meaning, not in bytes.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use tokio::{
    sync::oneshot,
    time::{Instant, Sleep},
};

use super::{
    Settings,
    sse::{self, KEEP_ALIVE},
};
use crate::{
    channel::{Channel, Reader, Signal, Step, Watch},
    dialect::{AppDialect, Asked, Dialect, Encoder, Wire},
    event::{Failed, FailureCode},
    generation::{CallerPresence, Head, Item, Launched, TeeReader},
    sequence::{Cursor, From},
    wire,
};

/// When so much is put together it is handed to the connection.
const CHUNK_BYTES: usize = 64 * 1024;

/// About what an event has beside its name and its data: field names, its id, line ends.
const FRAMING: usize = 48;

/// One app's response.
pub(super) struct Relay {
    pub(super) rest: Rest,
    pub(super) tee: TeeReader,
    /// The caller counts as present as long as its response is wanted.
    pub(super) _presence: CallerPresence,
    pub(super) channel: Arc<Channel>,
    pub(super) place: Place,
    /// What the app speaks.
    pub(super) dialect: AppDialect,
    /// What its answer depends on.
    pub(super) asked: Asked,
    pub(super) settings: Settings,
    /// The seq after the last payload that was passed on.
    pub(super) last_seq: u64,
}

/// Where a generation is on its channel.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) index: u32,
    first_seq: u64,
}

impl Place {
    pub(super) fn of(launched: &Launched) -> Self {
        Self { index: launched.index, first_seq: launched.first_seq }
    }

    /// Where its events begin: what the channel held before may have been trimmed long since.
    pub(super) fn beginning(self) -> From {
        From::Seq(self.first_seq - 1)
    }
}

/// Where the rest of the response comes from.
pub(super) enum Rest {
    /// The provider has not answered yet.
    Unanswered(oneshot::Receiver<Head>),
    /// The provider's payloads.
    Payloads,
    /// The log.
    Log(Box<Replay>),
    /// Nowhere: it is complete.
    Over,
}

/// A generation's events, encoded again.
pub(super) struct Replay {
    reader: Reader,
    signal: Signal,
    _watch: Watch,
    encoder: Encoder,
}

/// The generation at `place` from its beginning, encoded again.
pub(super) fn replay(
    channel: &Arc<Channel>,
    place: Place,
    dialect: AppDialect,
    asked: &Asked,
) -> Rest {
    let signal = Signal::default();
    let watch = channel.watch(&signal);
    let Ok(reader) = channel.read(place.beginning()) else { return Rest::Over };
    let encoder = dialect.encoder(asked);
    Rest::Log(Box::new(Replay { reader, signal, _watch: watch, encoder }))
}

/// A relay as a response's body: its chunks, and a comment where there has been none for a while.
pub(super) struct Chunks {
    relay: Relay,
    spoke: Instant,
    /// Armed at or before the next comment's time: a chunk costs no timer.
    timer: Pin<Box<Sleep>>,
}

impl Stream for Chunks {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { relay, spoke, timer } = &mut *self;
        if matches!(relay.rest, Rest::Over) {
            return Poll::Ready(None);
        }
        if let Poll::Ready(chunk) = relay.poll_chunk(cx) {
            *spoke = Instant::now();
            return Poll::Ready((!chunk.is_empty()).then_some(Ok(chunk)));
        }
        while timer.as_mut().poll(cx).is_ready() {
            let (now, due) = (Instant::now(), *spoke + relay.settings.keep_alive);
            if due <= now {
                *spoke = now;
                timer.as_mut().reset(now + relay.settings.keep_alive);
                return Poll::Ready(Some(Ok(KEEP_ALIVE)));
            }
            timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}

impl Relay {
    pub(super) fn into_stream(self) -> Chunks {
        let spoke = Instant::now();
        let timer = Box::pin(tokio::time::sleep_until(spoke + self.settings.keep_alive));
        Chunks { relay: self, spoke, timer }
    }

    /// Everything there is now, up to about a chunk's worth. Empty only at the end.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let mut out = BytesMut::new();
        while out.len() < CHUNK_BYTES {
            let more = match &mut self.rest {
                Rest::Unanswered(head) => match Pin::new(head).poll(cx) {
                    Poll::Ready(head) => {
                        self.answered(head.ok(), &mut out);
                        true
                    }
                    Poll::Pending => false,
                },
                Rest::Payloads => self.take_payload(cx, &mut out),
                Rest::Log(_) => self.take_slice(cx, &mut out),
                Rest::Over => return Poll::Ready(out.freeze()),
            };
            if !more {
                break;
            }
        }
        if out.is_empty() { Poll::Pending } else { Poll::Ready(out.freeze()) }
    }

    /// The provider answered after the stream had begun.
    fn answered(&mut self, head: Option<Head>, out: &mut BytesMut) {
        self.rest = match head {
            Some(Head::Stream { .. }) => Rest::Payloads,
            Some(Head::Whole { status, .. }) if status.is_success() => self.replay(),
            Some(Head::Whole { status, body, .. }) => {
                self.tell(&Dialect::from(self.dialect).failure(status.as_u16(), &body), out);
                Rest::Over
            }
            Some(Head::Failed(failed)) => {
                self.tell(&failed, out);
                Rest::Over
            }
            None => Rest::Payloads,
        };
    }

    fn take_payload(&mut self, cx: &mut Context<'_>, out: &mut BytesMut) -> bool {
        match self.tee.poll_next(cx) {
            Poll::Ready(Item::Payloads(payloads)) => {
                let bytes = payloads.iter().map(|it| it.name.len() + it.data.len() + FRAMING);
                out.reserve(bytes.sum());
                for payload in payloads {
                    self.last_seq = payload.cursor.seq;
                    if self.asked.usage || !payload.usage_only {
                        self.write(out, payload.cursor, &payload.name, &payload.data);
                    }
                }
            }
            Poll::Ready(Item::Overflowed) => self.rest = self.replay(),
            Poll::Ready(Item::End(untold)) => {
                if let Some(failed) = untold {
                    self.tell(&failed, out);
                }
                self.rest = Rest::Over;
            }
            Poll::Pending => return false,
        }
        true
    }

    fn replay(&self) -> Rest {
        replay(&self.channel, self.place, self.dialect, &self.asked)
    }

    fn take_slice(&mut self, cx: &mut Context<'_>, out: &mut BytesMut) -> bool {
        let Rest::Log(replay) = &mut self.rest else { return true };
        replay.signal.lower();
        match replay.reader.step() {
            Step::Slice(slice) => {
                let epoch = self.channel.epoch();
                for (seq, event) in (slice.first_seq..).zip(wire::decode_elements(&slice.events)) {
                    if event.generation != self.place.index {
                        continue;
                    }
                    let cursor = self.settings.sse_ids.then_some(Cursor { epoch, seq });
                    let mut payloads = Vec::new();
                    replay.encoder.encode(&event, &mut payloads);
                    // The encoder must see all events; the app has had those up to its last payload.
                    if seq > self.last_seq {
                        for Wire { name, data } in &payloads {
                            sse::write_event(out, cursor, name.as_bytes(), data);
                        }
                    }
                    if event.is_terminal() {
                        self.rest = Rest::Over;
                        return true;
                    }
                }
                true
            }
            Step::Idle => replay.signal.poll_raised(cx).is_ready(),
            Step::Rewind { .. } => true,
            // Its beginning was trimmed away, or the channel is gone: the app's stream cannot be continued honestly.
            Step::Snapshot(_) | Step::End(_) => {
                let message = "this stream fell behind what the channel still holds";
                let failed = Failed::new(FailureCode::Limit, message);
                self.tell(&failed, out);
                self.rest = Rest::Over;
                true
            }
        }
    }

    /// An error in the stream: the app's SDK raises it.
    fn tell(&self, failed: &Failed, out: &mut BytesMut) {
        let Wire { name, data } = self.dialect.error_wire(failed);
        self.write(out, self.end_cursor(), name.as_bytes(), &data);
    }

    fn end_cursor(&self) -> Cursor {
        Cursor { epoch: self.channel.epoch(), seq: self.channel.head() }
    }

    fn write(&self, out: &mut BytesMut, cursor: Cursor, name: &[u8], data: &[u8]) {
        sse::write_event(out, self.settings.sse_ids.then_some(cursor), name, data);
    }
}

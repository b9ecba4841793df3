//! The app's own stream: the provider's payloads, untouched, each with the cursor after its events.
//!
//! That is between like and like. Where the provider speaks another dialect, or may be replaced by one that does, the
//! stream is encoded from the log; so it is for an app that fell so far behind that payloads had to be given up: equal
//! in meaning, not in bytes.

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

use super::{App, Settings, answer::refused_by, form::Form, responses::Counting, told::Told};
use crate::{
    channel::{Channel, Reader, Signal, Step, Watch},
    dialect::{AppDialect, Asked, Dialect, Encoder, Wire},
    event::{Failed, FailureCode},
    generation::{Answerer, Head, Item, Launched, TeeReader},
    ident::{ChannelKey, GenerationId},
    sequence::{Cursor, From},
    wire,
};

/// When so much is put together it is handed to the connection.
const CHUNK_BYTES: usize = 64 * 1024;

/// About what an event has beside its name and its data: field names, its id, line ends.
const FRAMING: usize = 48;

/// One app's response.
pub(super) struct Relay<P> {
    pub(super) rest: Rest,
    /// The app counts as present as long as its response is wanted.
    pub(super) _presence: P,
    pub(super) channel: Arc<Channel>,
    pub(super) place: Place,
    pub(super) listener: Listener,
    pub(super) form: Form,
    pub(super) settings: Settings,
    /// Where the id is remembered that the provider gives its answer, until it has been seen.
    pub(super) naming: Option<Naming>,
    /// How payloads are counted, where their dialect numbers them.
    pub(super) counting: Option<Counting>,
    /// The seq after the last payload that was passed on.
    pub(super) last_seq: u64,
}

/// Who listens, and to what.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    /// What the app speaks.
    pub(super) dialect: AppDialect,
    /// What its answer depends on.
    pub(super) asked: Asked,
    /// It may be given a provider's own bytes, if that speaks the same.
    pub(super) takes_bytes: bool,
}

impl Listener {
    /// Whether the app is given the bytes of whoever answers.
    pub(super) fn is_of(&self, from: &Answerer) -> bool {
        self.takes_bytes && from.dialect == Dialect::from(self.dialect)
    }
}

/// A generation whose answer the app will know by its provider's id.
pub(super) struct Naming {
    pub(super) app: App,
    pub(super) generation: GenerationId,
}

impl Naming {
    /// Looks for the id in the first payload, or in a whole answer.
    pub(super) fn read(&self, data: &[u8], channel: &ChannelKey, place: Place, asked: &Asked) {
        #[derive(serde::Deserialize)]
        struct Chunk {
            id: String,
        }
        if let Ok(Chunk { id }) = serde_json::from_slice(data) {
            self.app.index().alias(&self.generation, &id);
            let told = Told::of(channel, &self.generation, place, asked.usage);
            told.tell(&self.app, &channel.owner, &[&id]);
        }
    }
}

/// Where a generation is on its channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) index: u32,
    pub(super) first_seq: u64,
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
    Unanswered(oneshot::Receiver<Head>, TeeReader),
    /// The provider's payloads.
    Payloads(TeeReader),
    /// The log, of which nothing was read yet.
    Log,
    /// The log.
    Replay(Box<Replay>),
    /// Nowhere: it is complete.
    Over,
}

/// A generation's events, encoded.
pub(super) struct Replay {
    reader: Reader,
    signal: Signal,
    _watch: Watch,
    encoder: Encoder,
}

/// A relay as a response's body: its chunks, and a comment where there has been none for a while.
pub(super) struct Chunks<P> {
    relay: Relay<P>,
    spoke: Instant,
    /// Armed at or before the next comment's time: a chunk costs no timer.
    timer: Pin<Box<Sleep>>,
}

impl<P: Unpin> Stream for Chunks<P> {
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
                return Poll::Ready(Some(Ok(relay.form.keep_alive())));
            }
            timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}

impl<P> Relay<P> {
    pub(super) fn into_stream(self) -> Chunks<P> {
        let spoke = Instant::now();
        let timer = Box::pin(tokio::time::sleep_until(spoke + self.settings.keep_alive));
        Chunks { relay: self, spoke, timer }
    }

    /// Everything there is now, up to about a chunk's worth. Empty only at the end.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let mut out = BytesMut::new();
        while out.len() < CHUNK_BYTES {
            let more = match &mut self.rest {
                Rest::Unanswered(head, _) => match Pin::new(head).poll(cx) {
                    Poll::Ready(head) => {
                        self.answered(head.ok(), &mut out);
                        true
                    }
                    Poll::Pending => false,
                },
                Rest::Payloads(_) => self.take_payload(cx, &mut out),
                Rest::Log => self.begin_replay(&mut out),
                Rest::Replay(_) => self.take_slice(cx, &mut out),
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
        let Rest::Unanswered(_, tee) = std::mem::replace(&mut self.rest, Rest::Log) else { return };
        match head {
            Some(Head::Stream { from, .. }) if self.listener.is_of(&from) => {
                self.rest = Rest::Payloads(tee);
            }
            Some(Head::Whole { from, status, body, .. }) if !status.is_success() => {
                let dialect = self.listener.dialect.into();
                self.fail(&refused_by(dialect, &from, status, &body), out);
            }
            Some(Head::Failed { failed, .. }) => self.fail(&failed, out),
            // Whatever it is, the log says it.
            Some(Head::Stream { .. } | Head::Whole { .. }) | None => {}
        }
    }

    fn take_payload(&mut self, cx: &mut Context<'_>, out: &mut BytesMut) -> bool {
        let Rest::Payloads(tee) = &mut self.rest else { return true };
        match tee.poll_next(cx) {
            Poll::Ready(Item::Payloads(payloads)) => {
                let bytes = payloads.iter().map(|it| it.name.len() + it.data.len() + FRAMING);
                out.reserve(bytes.sum());
                for payload in payloads {
                    if let Some(naming) = self.naming.take() {
                        let asked = &self.listener.asked;
                        naming.read(&payload.data, self.channel.key(), self.place, asked);
                    }
                    if let Some(counting) = &mut self.counting {
                        counting.served(&payload.data, payload.cursor.seq);
                    }
                    self.last_seq = payload.cursor.seq;
                    if self.listener.asked.usage || !payload.usage_only {
                        self.form.write(out, payload.cursor, &payload.name, &payload.data);
                    }
                }
            }
            Poll::Ready(Item::Overflowed) => self.rest = Rest::Log,
            Poll::Ready(Item::End(Some(untold))) => self.fail(&untold, out),
            Poll::Ready(Item::End(None)) => self.end(out),
            Poll::Pending => return false,
        }
        true
    }

    /// Begins to read the generation from its beginning, for the encoder must see all of it.
    fn begin_replay(&mut self, out: &mut BytesMut) -> bool {
        let signal = Signal::default();
        let watch = self.channel.watch(&signal);
        match self.channel.read(self.place.beginning()) {
            Ok(reader) => {
                let asked = &self.listener.asked;
                let encoder = match &mut self.counting {
                    Some(counting) => counting.encoder(asked, self.last_seq),
                    None => self.listener.dialect.encoder(asked),
                };
                self.rest =
                    Rest::Replay(Box::new(Replay { reader, signal, _watch: watch, encoder }));
            }
            Err(_) => self.fail(&fell_behind(), out),
        }
        true
    }

    fn take_slice(&mut self, cx: &mut Context<'_>, out: &mut BytesMut) -> bool {
        let Rest::Replay(replay) = &mut self.rest else { return true };
        replay.signal.lower();
        match replay.reader.step() {
            Step::Slice(slice) => {
                let epoch = replay.reader.epoch();
                for (seq, event) in (slice.first_seq..).zip(wire::decode_elements(&slice.events)) {
                    if event.generation != self.place.index {
                        continue;
                    }
                    let mut payloads = Vec::new();
                    match &mut self.counting {
                        Some(counting) => {
                            counting.encode(&mut replay.encoder, seq, &event, &mut payloads);
                        }
                        None => replay.encoder.encode(&event, &mut payloads),
                    }
                    // The app has had those up to its last payload.
                    if seq > self.last_seq {
                        for Wire { name, data } in &payloads {
                            self.form.write(out, Cursor { epoch, seq }, name.as_bytes(), data);
                        }
                    }
                    if event.is_terminal() {
                        self.end(out);
                        return true;
                    }
                }
                true
            }
            Step::Idle => replay.signal.poll_raised(cx).is_ready(),
            Step::Rewind { .. } => true,
            // Its beginning was trimmed away, or the channel is gone: the app's stream cannot be continued honestly.
            Step::Snapshot(_) | Step::End(_) => {
                self.fail(&fell_behind(), out);
                true
            }
        }
    }

    /// An error in the stream: the app's SDK raises it.
    fn fail(&mut self, failed: &Failed, out: &mut BytesMut) {
        let Wire { name, data } = match &self.counting {
            Some(counting) => counting.error(failed),
            None => self.listener.dialect.error_wire(failed),
        };
        let end = Cursor { epoch: self.channel.epoch(), seq: self.channel.head() };
        self.form.write(out, end, name.as_bytes(), &data);
        self.end(out);
    }

    fn end(&mut self, out: &mut BytesMut) {
        self.form.end(out);
        self.rest = Rest::Over;
    }
}

fn fell_behind() -> Failed {
    let message = "this stream fell behind what the channel still holds";
    Failed::new(FailureCode::Limit, message)
}

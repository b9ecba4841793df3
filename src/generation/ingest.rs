//! Bytes of a provider's stream to events, and the payloads that carried them. Synchronous; reads no clock.

use bytes::Bytes;
use tokio::time::Instant;

use super::Deadlines;
use crate::{
    dialect::{self, Decoder, Dialect, Ending, Flow},
    event::{Event, Failed},
    provider::sse,
};

/// Decodes one generation's stream.
pub(super) struct Ingest {
    dialect: Dialect,
    framing: sse::Decoder,
    /// Taken by the end.
    decoder: Option<Decoder>,
    events: Vec<Event>,
    payloads: Vec<Carried>,
}

/// A payload whose events were decoded.
pub(super) struct Carried {
    pub(super) name: Bytes,
    pub(super) data: Bytes,
    /// It is there only because the gateway asked for usage.
    pub(super) usage_only: bool,
    /// How many of the batch's events came up to and with this payload.
    pub(super) events_before: u64,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    More,
    /// The dialect's terminator was seen, or an error that ends the stream.
    Ended,
}

impl Ingest {
    pub(super) fn new(dialect: Dialect, generation: &str) -> Self {
        Self {
            dialect,
            framing: sse::Decoder::new(),
            decoder: Some(dialect.decoder(generation)),
            events: Vec::new(),
            payloads: Vec::new(),
        }
    }

    /// Takes bytes in and tells the clocks what they were. What was decoded is in [`Ingest::decoded`].
    pub(super) fn push(
        &mut self,
        bytes: Bytes,
        deadlines: &mut Deadlines,
        now: Instant,
    ) -> Result<Next, sse::EventTooLong> {
        deadlines.on_bytes(now);
        self.framing.push(bytes);
        while let Some(item) = self.framing.next()? {
            match item {
                sse::Item::Comment => deadlines.on_ping(),
                sse::Item::Payload(payload) => {
                    let decoded = self.decode(payload);
                    match decoded.ping {
                        true => deadlines.on_ping(),
                        false => deadlines.on_payload(now, decoded.flow == Flow::FinishSeen),
                    }
                    if decoded.flow == Flow::Ended {
                        return Ok(Next::Ended);
                    }
                }
            }
        }
        Ok(Next::More)
    }

    /// The provider closed: an event that lacks only its blank line still counts.
    pub(super) fn end_of_stream(&mut self) {
        let framing = std::mem::replace(&mut self.framing, sse::Decoder::new());
        if let Some(payload) = framing.finish() {
            self.decode(payload);
        }
    }

    fn decode(&mut self, payload: sse::Payload) -> dialect::Decoded {
        let decoder = self.decoder.as_mut().expect("nothing is decoded after the end");
        let decoded = decoder.decode(&payload, &mut self.events);
        self.payloads.push(Carried {
            name: payload.event,
            data: payload.data,
            usage_only: decoded.usage_only,
            events_before: self.events.len() as u64,
        });
        decoded
    }

    /// What was decoded since the last [`Ingest::clear`].
    pub(super) fn decoded(&mut self) -> (&mut [Event], &mut Vec<Carried>) {
        (&mut self.events, &mut self.payloads)
    }

    /// Forgets what was decoded. Room for a token or two stays, so that a stream at a token's pace asks for none.
    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.events.shrink_to(4);
        self.payloads.clear();
        self.payloads.shrink_to(4);
    }

    /// The generation's last events.
    pub(super) fn finish(&mut self, ending: Ending) -> Vec<Event> {
        if let Some(decoder) = self.decoder.take() {
            decoder.finish(ending, &mut self.events);
        }
        std::mem::take(&mut self.events)
    }

    /// The events of a whole body, the terminal one included.
    pub(super) fn whole(&self, generation: &str, body: &Bytes) -> Vec<Event> {
        let mut events = Vec::new();
        self.dialect.decode_whole(generation, body.clone(), &mut events);
        events
    }

    /// The failure that an HTTP error means.
    pub(super) fn failure(&self, status: u16, body: &[u8]) -> Failed {
        self.dialect.failure(status, body)
    }
}

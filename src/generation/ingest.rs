//! Bytes of a provider's stream to events, and the payloads that carried them. Synchronous; reads no clock.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::Deadlines;
use crate::{
    dialect::{self, Decoder, Dialect, Ending, Flow},
    event::{Event, Failed, FailureCode},
    provider::{
        Provider,
        framing::{Framing, FramingError},
        sse,
    },
};

/// Decodes one generation's stream.
pub(super) struct Ingest {
    dialect: Dialect,
    /// Who speaks: its key is in nothing that is passed on.
    provider: Arc<Provider>,
    framing: Framing,
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
    pub(super) fn new(dialect: Dialect, provider: Arc<Provider>, generation: &str) -> Self {
        Self {
            dialect,
            provider,
            framing: Framing::Sse(sse::Decoder::new()),
            decoder: Some(dialect.decoder(generation)),
            events: Vec::new(),
            payloads: Vec::new(),
        }
    }

    /// What follows is cut so.
    pub(super) fn begin(&mut self, framing: Framing) {
        self.framing = framing;
    }

    /// Takes bytes in and tells the clocks what they were. What was decoded is in [`Ingest::decoded`].
    pub(super) fn push(
        &mut self,
        bytes: Bytes,
        deadlines: &mut Deadlines,
        now: Instant,
    ) -> Result<Next, FramingError> {
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

    /// The provider closed: an event that lacks only its blank line still counts, and may be the end.
    pub(super) fn end_of_stream(&mut self) -> Ending {
        let framing = std::mem::replace(&mut self.framing, Framing::Sse(sse::Decoder::new()));
        if framing.is_open() {
            let message = "the provider's stream closed before the end of its framing";
            return Ending::Stopped(Failed::new(FailureCode::UpstreamCut, message));
        }
        match framing.finish().map(|payload| self.decode(payload).flow) {
            Some(Flow::Ended) => Ending::Terminator,
            _ => Ending::Eof,
        }
    }

    fn decode(&mut self, mut payload: sse::Payload) -> dialect::Decoded {
        payload.data = self.provider.scrub(payload.data);
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

    /// What was decoded since the last call.
    pub(super) fn take(&mut self) -> (Vec<Event>, Vec<Carried>) {
        (std::mem::take(&mut self.events), std::mem::take(&mut self.payloads))
    }

    /// What was decoded since the last call, and the generation's last events. Those are the terminator's, where it
    /// was one that ended the stream: whoever has seen it has seen the end.
    pub(super) fn finish(&mut self, ending: Ending) -> (Vec<Event>, Vec<Carried>) {
        let terminator = match ending {
            Ending::Terminator => self.payloads.last_mut(),
            Ending::Eof | Ending::Stopped(_) => None,
        };
        if let Some(decoder) = self.decoder.take() {
            decoder.finish(ending, &mut self.events);
        }
        if let Some(terminator) = terminator {
            terminator.events_before = self.events.len() as u64;
        }
        self.take()
    }

    /// The events of a whole body, the terminal one included.
    pub(super) fn whole(&self, generation: &str, body: &Bytes) -> Vec<Event> {
        let mut events = Vec::new();
        self.dialect.decode_whole(generation, body.clone(), &mut events);
        events
    }

    /// Whether an app learns from this payload that the generation failed.
    pub(super) fn tells_failure(&self, payload: &Carried) -> bool {
        self.dialect.tells_failure(&payload.data)
    }

    /// The failure that an HTTP error means.
    pub(super) fn failure(&self, status: u16, body: &[u8]) -> Failed {
        self.dialect.failure(status, body)
    }
}

//! How the payloads of one app's stream are counted.
//!
//! Payloads of the provider's have its numbers, which are noted as they are passed on. What an encoder writes has its own
//! numbers, from 0; behind payloads of the provider's it counts on from the last of them.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{super::App, Found, kept};
use crate::{
    dialect::{Asked, Encoder, Wire, responses},
    event::{Event, Failed},
    ident::{GenerationId, Owner},
};

/// The counting of one stream.
pub(in crate::api) struct Counting {
    app: App,
    owner: Owner,
    /// Any id under which the response is remembered.
    id: String,
    /// The id that the app was told, where that is not ours.
    told: Option<String>,
    /// The last number of the provider's that counts, and its seq.
    base: Option<(u64, u64)>,
    /// The app has had everything up to this number.
    after: Option<u64>,
    next: u64,
}

impl Counting {
    /// For the app that began the generation.
    pub(in crate::api) fn first(app: &App, owner: &Owner, generation: &GenerationId) -> Self {
        let (app, owner) = (app.clone(), owner.clone());
        let id = responses::response_id(generation.as_str());
        Self { app, owner, id, told: None, base: None, after: None, next: 0 }
    }

    /// For an app that came back, and had everything up to `after`; the provider's numbers count up to `base`.
    pub(super) fn again(
        app: &App,
        found: &Found,
        base: Option<(u64, u64)>,
        after: Option<u64>,
    ) -> Self {
        let (app, owner, id) = (app.clone(), found.channel.key().owner.clone(), found.id.clone());
        let next = after.map_or(0, |after| after.saturating_add(1));
        Self { app, owner, told: Some(id.clone()), id, base, after, next }
    }

    /// Notes a payload of the provider's that is passed on.
    pub(in crate::api) fn served(&mut self, data: &[u8], seq: u64) {
        #[derive(Deserialize)]
        struct Payload<'a> {
            sequence_number: Option<u64>,
            #[serde(borrow)]
            response: Option<&'a RawValue>,
        }
        #[derive(Deserialize)]
        struct Named {
            id: String,
        }
        let Ok(payload) = serde_json::from_slice::<Payload<'_>>(data) else { return };
        if let (None, Some(response)) = (&self.told, payload.response)
            && let Ok(Named { id }) = serde_json::from_str(response.get())
        {
            kept::told(&self.app, &self.owner, &self.id, &id, true);
            self.told = Some(id);
        }
        if let Some(number) = payload.sequence_number {
            self.app.responses().note(&self.owner, &self.id, number, seq);
            self.base = Some((number, seq));
            self.next = number.saturating_add(1);
        }
    }

    /// The encoder of what follows what was served, up to `served` on the channel.
    pub(in crate::api) fn encoder(&mut self, asked: &Asked, served: u64) -> Encoder {
        if let Some((_, seq)) = &mut self.base {
            *seq = served.max(*seq);
        }
        Encoder::Responses(encoder(asked, self.told.as_deref()))
    }

    /// Encodes an event, and keeps only what the app has not had. What was said up to where the provider's numbers end
    /// is the caller's to leave out.
    pub(in crate::api) fn encode(
        &mut self,
        encoder: &mut Encoder,
        seq: u64,
        event: &Event,
        out: &mut Vec<Wire>,
    ) {
        let Encoder::Responses(encoder) = encoder else { return encoder.encode(event, out) };
        if let Some((number, _)) = self.base.take_if(|(_, reached)| seq > *reached) {
            encoder.number_from(number.saturating_add(1));
        }
        let first = encoder.next_number();
        encoder.encode(event, out);
        let had = self.after.map_or(0, |after| after.saturating_add(1).saturating_sub(first));
        out.drain(..out.len().min(usize::try_from(had).unwrap_or(usize::MAX)));
        self.next = self.next.max(encoder.next_number());
    }

    /// The payload of a failure that no encoder tells.
    pub(in crate::api) fn error(&self, failed: &Failed) -> Wire {
        let most = i32::MAX.cast_unsigned();
        let number = u32::try_from(self.next).map_or(most, |next| next.min(most));
        responses::error_wire_at(failed, number)
    }
}

/// An encoder for a response that the app knows by this id.
pub(super) fn encoder(asked: &Asked, id: Option<&str>) -> responses::Encoder {
    let encoder = responses::Encoder::new(asked);
    match id {
        Some(id) => encoder.of_response(id),
        None => encoder,
    }
}

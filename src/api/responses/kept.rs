//! What is remembered of responses: noted when they begin, found when their apps come back.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;

use super::{
    super::{
        App,
        call::{Call, Running},
        relay::Place,
    },
    Entry, Numbers, Turn,
};
use crate::{
    channel::Channel,
    dialect::{AppRequest, Asked, responses},
    ident::{GenerationId, Owner},
};

/// How many of the oldest are looked at when a new one comes: so that what is gone goes sooner than it must.
const LOOKED_AT: usize = 2;

/// A response, found again.
pub(in crate::api) struct Found {
    /// As the app was told.
    pub(super) id: String,
    pub(super) generation: GenerationId,
    pub(super) channel: Arc<Channel>,
    pub(super) place: Place,
    pub(super) asked: Asked,
    pub(super) stored: bool,
    pub(super) theirs: bool,
}

/// Remembers a response that begins.
pub(in crate::api) fn remember(app: &App, call: &Call, turn: &Turn, running: &Running) {
    let input = match &call.request {
        AppRequest::Responses(request) if turn.stored => request.items(),
        _ => Vec::new(),
    };
    for _ in 0..LOOKED_AT {
        forget_oldest_if_gone(app);
    }
    let launched = &running.launched;
    app.responses().insert(Entry {
        channel: running.channel.key().clone(),
        generation: launched.index,
        started: launched.id.clone(),
        first_seq: launched.first_seq,
        input,
        stored: turn.stored,
        theirs: turn.theirs,
        asked: call.asked.clone(),
        id: responses::response_id(launched.id.as_str()),
        numbers: Numbers::default(),
    });
}

fn forget_oldest_if_gone(app: &App) {
    let oldest = app.responses().oldest().map(|it| (it.channel.clone(), it.id.clone()));
    let Some((channel, id)) = oldest else { return };
    if !app.channels.may_have(&channel) {
        app.responses().remove(&channel.owner, &id);
    }
}

/// Notes the provider's id of a response that the app was given whole.
pub(in crate::api) fn name(app: &App, owner: &Owner, generation: &GenerationId, body: &Bytes) {
    #[derive(Deserialize)]
    struct Named {
        id: String,
    }
    if let Ok(Named { id }) = serde_json::from_slice(body) {
        let ours = responses::response_id(generation.as_str());
        app.responses().told(owner, &ours, &id);
    }
}

/// Forgets a response that its app was refused: nobody was told its id.
pub(in crate::api) fn forget(app: &App, owner: &Owner, generation: &GenerationId) {
    app.responses().remove(owner, &responses::response_id(generation.as_str()));
}

/// The owner's response of this id, if its channel still has it.
pub(super) async fn find(app: &App, owner: &Owner, id: &str) -> Option<Found> {
    let (key, found) = {
        let known = app.responses();
        let it = known.get(owner, id)?;
        let place = Place { index: it.generation, first_seq: it.first_seq };
        let (asked, generation) = (it.asked.clone(), it.started.clone());
        (it.channel.clone(), (it.id.clone(), generation, place, asked, it.stored, it.theirs))
    };
    let (told, generation, place, asked, stored, theirs) = found;
    let index = place.index as usize;
    let has_it = |channel: &Arc<Channel>| {
        let started = &channel.status().generations;
        started.get(index).is_some_and(|it| it.id == generation.as_str())
    };
    match app.channels.find(&key).await.ok().filter(has_it) {
        Some(channel) => {
            Some(Found { id: told, generation, channel, place, asked, stored, theirs })
        }
        None => {
            app.responses().remove(owner, id);
            None
        }
    }
}

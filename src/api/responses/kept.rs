//! What is remembered of responses: noted when they begin, found when their apps come back.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    super::{
        App,
        call::{Call, Running},
        problem::Problem,
        relay::Place,
        told::{self, Known},
    },
    Entry, Numbers, Turn,
    away::{self, Away},
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
    /// Where it was begun, unless that was here.
    pub(super) away: Option<Away>,
}

impl Found {
    /// What a later turn begins with. `None`: that is not known any more.
    pub(super) async fn input(&self, app: &App) -> Option<Vec<Box<RawValue>>> {
        match &self.away {
            Some(away) => away.input(app, self).await,
            None => {
                let known = app.responses();
                known.get(&self.channel.key().owner, &self.id).map(|entry| entry.input.clone())
            }
        }
    }

    /// Its owner wants it forgotten, by all gateways.
    pub(super) async fn forget(&self, app: &App) {
        let owner = &self.channel.key().owner;
        match &self.away {
            Some(away) => away.forget(app, self).await,
            None => forget_here(app, owner, &self.id),
        }
    }
}

/// The owner of a response that was begun here wants it forgotten: no gateway tells it any more, under any of its ids.
pub(super) fn forget_here(app: &App, owner: &Owner, id: &str) {
    let mut known = app.responses();
    if let Some(entry) = known.get(owner, id) {
        away::tell_deleted(app, entry);
    }
    known.delete(owner, id);
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
    let entry = Entry {
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
    };
    away::tell(app, &entry, false);
    app.responses().insert(entry);
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
        told(app, owner, &ours, &id, false);
    }
}

/// The app was served the provider's own answer: it knows the response by this id, and counts in numbers of the provider's where
/// it was served a stream.
pub(super) fn told(app: &App, owner: &Owner, ours: &str, theirs: &str, counted: bool) {
    let mut known = app.responses();
    known.told(owner, ours, theirs);
    if let Some(entry) = known.get(owner, ours) {
        away::tell(app, entry, counted);
    }
}

/// Forgets a response that its app was refused: nobody was told its id.
pub(in crate::api) fn forget(app: &App, owner: &Owner, generation: &GenerationId) {
    app.responses().remove(owner, &responses::response_id(generation.as_str()));
}

/// The owner's response of this id, whichever gateway has begun it.
pub(super) async fn find(app: &App, owner: &Owner, id: &str) -> Result<Known<Found>, Problem> {
    if let Some(found) = here(app, owner, id).await {
        return Ok(Known::Found(Box::new(found)));
    }
    let is_withheld = {
        let known = app.responses();
        known.is_anothers(owner, id) || known.is_deleted(owner, id)
    };
    if is_withheld {
        return Ok(Known::Withheld);
    }
    Ok(match told::find(app, owner, id).await? {
        Known::Nothing => Known::Nothing,
        Known::Withheld => Known::Withheld,
        Known::Found(there) => {
            let found = away::find(app, *there).await;
            found.map_or(Known::Nothing, |found| Known::Found(Box::new(found)))
        }
    })
}

/// The owner's response of this id that was begun here, if its channel still has it.
pub(super) async fn here(app: &App, owner: &Owner, id: &str) -> Option<Found> {
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
            let away = None;
            Some(Found { id: told, generation, channel, place, asked, stored, theirs, away })
        }
        None => {
            app.responses().remove(owner, id);
            None
        }
    }
}

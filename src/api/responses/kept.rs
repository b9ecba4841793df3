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
    channel::{Channel, NoChannel},
    dialect::{AppRequest, Asked, responses},
    ident::{GenerationId, Owner},
    store::StoreError,
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
    /// What a later turn begins with. `None`: that is not known any more. Err: that cannot be learned now.
    pub(super) async fn input(&self, app: &App) -> Result<Option<Vec<Box<RawValue>>>, Problem> {
        match &self.away {
            Some(away) => away.input(app, self).await,
            None => {
                let known = app.responses();
                let entry = known.get(&self.channel.key().owner, &self.id);
                Ok(entry.map(|entry| entry.input.clone()))
            }
        }
    }

    /// Its owner wants it forgotten, by all gateways. Err: some of them may know it still.
    pub(super) async fn forget(&self, app: &App) -> Result<(), Problem> {
        let owner = &self.channel.key().owner;
        match &self.away {
            Some(away) => away.forget(app, self).await,
            None => forget_here(app, owner, &self.id).await,
        }
    }
}

/// The owner of a response that was begun here wants it forgotten: no gateway tells it any more, under any of its ids.
pub(super) async fn forget_here(app: &App, owner: &Owner, id: &str) -> Result<(), Problem> {
    let known = app.responses().get(owner, id).map(|it| {
        let (channel, started) = (it.channel.clone(), it.started.clone());
        (channel, started, it.place(), it.id.clone())
    });
    if let Some((channel, started, place, id)) = known {
        away::tell_deleted(app, &channel, &started, place, &id).await?;
    }
    app.responses().delete(owner, id);
    Ok(())
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
    if let Some(found) = here(app, owner, id).await? {
        // While this gateway could not be asked, another may have been told to forget it.
        if !told::is_deleted(app, owner, id).await {
            return Ok(Known::Found(Box::new(found)));
        }
        app.responses().delete(owner, id);
    }
    if app.responses().is_deleted(owner, id) {
        return Ok(Known::Withheld);
    }
    Ok(match told::find(app, owner, id).await? {
        Known::Nothing if app.responses().is_anothers(owner, id) => Known::Withheld,
        Known::Nothing => Known::Nothing,
        Known::Withheld => Known::Withheld,
        Known::Found(there) => {
            let found = away::find(app, *there).await;
            found.map_or(Known::Nothing, |found| Known::Found(Box::new(found)))
        }
    })
}

/// Where an owner's response is that a later turn may take something from, whichever gateway has begun it.
pub(super) async fn place_of(
    app: &App,
    owner: &Owner,
    id: &str,
) -> Result<Option<(Arc<Channel>, Place)>, Problem> {
    if let Some(found) = here(app, owner, id).await? {
        return Ok(found.stored.then_some((found.channel, found.place)));
    }
    if app.responses().is_deleted(owner, id) {
        return Ok(None);
    }
    let Known::Found(there) = told::find(app, owner, id).await? else { return Ok(None) };
    let stored = there.told.response.as_ref().is_some_and(|it| it.stored);
    Ok(stored.then(|| (Arc::clone(&there.channel), there.told.place())))
}

/// The owner's response of this id that was begun here, if its channel still has it. Err: that cannot be learned now.
pub(super) async fn here(app: &App, owner: &Owner, id: &str) -> Result<Option<Found>, Problem> {
    let (key, found) = {
        let known = app.responses();
        let Some(it) = known.get(owner, id) else { return Ok(None) };
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
    let channel = match app.channels.find(&key).await {
        Ok(channel) => Some(channel),
        // One that is damaged does not get better.
        Err(NoChannel::Store(error)) if !matches!(error, StoreError::Damaged(_)) => {
            return Err(error.into());
        }
        Err(_) => None,
    };
    let Some(channel) = channel.filter(has_it) else {
        app.responses().remove(owner, id);
        return Ok(None);
    };
    let away = None;
    Ok(Some(Found { id: told, generation, channel, place, asked, stored, theirs, away }))
}

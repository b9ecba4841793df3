//! What all gateways that share a store are told of where an answer is, so that an app may come back for it to any of them.
//!
//! It is a place, and nothing of what was asked for or said: what was said is on the channel, and what else is remembered of a
//! response stays at its gateway, which is asked for it (`responses::away`).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{App, problem::Problem, relay::Place};
use crate::{
    channel::{Channel, NoChannel},
    ident::{ChannelId, ChannelKey, GenerationId, Owner},
    store::{Registered, StoreError},
};

/// For so long an app that asks its own gateway waits to hear whether another was told to forget its answer.
const LOOKED_AT_FOR: Duration = Duration::from_millis(200);

/// Where an answer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) channel: String,
    pub(super) generation: String,
    pub(super) index: u32,
    pub(super) first_seq: u64,
    /// Its app wanted to be told usage.
    #[serde(default)]
    pub(super) usage: bool,
    /// What it is as a response, where its app asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) response: Option<Response>,
    /// Its owner wants it forgotten.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) deleted: bool,
}

/// An answer that is a response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Response {
    /// The id that its app knows.
    pub(super) id: String,
    /// Whether a later turn may go on from it.
    pub(super) stored: bool,
    /// What went before it is only known to the provider.
    pub(super) theirs: bool,
    /// Its app counts in numbers of the provider's.
    pub(super) counted: bool,
}

/// What is known of an answer's id.
#[derive(Debug)]
pub(super) enum Known<T> {
    /// Nothing: it may be a provider's.
    Nothing,
    /// It is not the caller's business: somebody else's, or deleted.
    Withheld,
    /// It is the caller's.
    Found(Box<T>),
}

/// An answer that another gateway has begun.
#[derive(Debug)]
pub(super) struct There {
    /// Which gateway.
    pub(super) node: String,
    /// Its channel, as it is here.
    pub(super) channel: Arc<Channel>,
    pub(super) told: Told,
}

impl Told {
    /// A generation's place.
    pub(super) fn of(channel: &ChannelKey, id: &GenerationId, place: Place, usage: bool) -> Self {
        let Place { index, first_seq } = place;
        Self {
            channel: channel.id.as_str().to_owned(),
            generation: id.as_str().to_owned(),
            index,
            first_seq,
            usage,
            response: None,
            deleted: false,
        }
    }

    /// Tells all other gateways, under each of these ids. Waits for nothing.
    pub(super) fn tell(&self, app: &App, owner: &Owner, ids: &[&str]) {
        if app.channels.are_shared() {
            // Not every provider gives its answers ids.
            let ids = ids.iter().filter(|id| !id.is_empty()).map(|id| (*id).to_owned());
            app.channels.register(owner.clone(), ids.collect(), self.written());
        }
    }

    /// The same, and they know it when it is done.
    pub(super) async fn tell_now(
        &self,
        app: &App,
        owner: &Owner,
        ids: &[&str],
    ) -> Result<(), Problem> {
        Ok(app.channels.registering(owner, ids, self.written()).await?)
    }

    fn written(&self) -> Bytes {
        serde_json::to_vec(self).expect("texts and numbers become JSON").into()
    }

    pub(super) fn place(&self) -> Place {
        Place { index: self.index, first_seq: self.first_seq }
    }
}

/// What other gateways told of an owner's answer of this id. Err: that cannot be learned now, and whoever asks a provider instead may
/// be told of somebody else's.
pub(super) async fn find(app: &App, owner: &Owner, id: &str) -> Result<Known<There>, Problem> {
    Ok(match app.channels.registered(owner, id).await? {
        Registered::Unknown => Known::Nothing,
        Registered::Anothers => Known::Withheld,
        Registered::Told { node, what } => there(app, owner, node, &what).await?,
    })
}

/// Whether an owner's answer of this id was deleted at any gateway, as far as can be learned now.
pub(super) async fn is_deleted(app: &App, owner: &Owner, id: &str) -> bool {
    let told = timeout(LOOKED_AT_FOR, app.channels.registered(owner, id)).await;
    let Ok(Ok(Registered::Told { what, .. })) = told else { return false };
    serde_json::from_slice::<Told>(&what).is_ok_and(|told| told.deleted)
}

async fn there(
    app: &App,
    owner: &Owner,
    node: String,
    what: &[u8],
) -> Result<Known<There>, Problem> {
    // Another version's may hold what this one does not know.
    let Ok(told) = serde_json::from_slice::<Told>(what) else { return Ok(Known::Nothing) };
    if told.deleted {
        return Ok(Known::Withheld);
    }
    let Ok(channel) = ChannelId::parse(&told.channel) else { return Ok(Known::Nothing) };
    let key = ChannelKey { owner: owner.clone(), id: channel };
    let channel = match app.channels.find(&key).await {
        Ok(channel) => channel,
        // One that is damaged does not get better.
        Err(NoChannel::Store(error)) if !matches!(error, StoreError::Damaged(_)) => {
            return Err(error.into());
        }
        Err(_) => return Ok(Known::Nothing),
    };
    // It may be another one, made under its id.
    let generations = channel.status().generations;
    Ok(match generations.get(told.index as usize).is_some_and(|it| it.id == told.generation) {
        true => Known::Found(Box::new(There { node, channel, told })),
        false => Known::Nothing,
    })
}

//! What a session's client may reach: the channels that its rights name, to read, cancel and publish on. No I/O.

use std::{future::Future, pin::Pin, sync::Arc};

use tokio::time::Instant;

use super::{Rights, refusals::Refusal, rights::Permitted};
use crate::{
    access::Action,
    channel::{Channel, Channels, NoChannel},
    event::Custom,
    ident::{ChannelId, ChannelKey, GenerationId},
    sequence::{Cursor, From},
    wire::proto::{self, control::Body as Answer, subscribe},
};

/// The longest a custom event's type may be, in bytes.
const CUSTOM_TYPE_BYTES_MAX: usize = 128;

/// A channel is being looked for: for which of those who wait, and what came of it.
pub(super) type Looking = Pin<Box<dyn Future<Output = (u64, Looked)> + Send>>;
pub(super) type Looked = Result<Arc<Channel>, NoChannel>;

/// What another node is asked for, and what to answer then.
pub(super) type Errand = Pin<Box<dyn Future<Output = Result<Answer, Refusal>> + Send>>;

/// The channels that a client may reach.
pub(super) struct Reach {
    channels: Arc<Channels>,
    pub(super) rights: Rights,
}

impl Reach {
    pub(super) fn new(channels: Arc<Channels>, rights: Rights) -> Self {
        Self { channels, rights }
    }

    /// The channels that may be meant by this id, for something that may be done with them: the first that there is.
    /// Never none.
    pub(super) fn meant(&self, action: Action, id: &str) -> Result<Vec<ChannelKey>, Refusal> {
        let id = ChannelId::parse(id)?;
        let mut meant: Vec<ChannelKey> = Vec::new();
        for (owner, _) in self.rights.owners(action, &id, Instant::now()) {
            if !meant.iter().any(|it| it.owner == *owner) {
                meant.push(ChannelKey { owner: owner.clone(), id: id.clone() });
            }
        }
        match meant.is_empty() {
            true => Err(self.rights.forbidden(action, &id)),
            false => Ok(meant),
        }
    }

    /// The one that is meant, if it is in memory.
    pub(super) fn live(&self, meant: &[ChannelKey]) -> Option<Arc<Channel>> {
        self.channels.live(meant.first()?)
    }

    /// Looks for one that is not in memory, for somebody who waits.
    pub(super) fn look_for(&self, meant: Vec<ChannelKey>, ticket: u64) -> Looking {
        let channels = Arc::clone(&self.channels);
        // One that need not be fetched is to be found at once, however many were before it.
        Box::pin(tokio::task::unconstrained(async move {
            let mut missing = NoChannel::Unknown;
            for (place, key) in meant.iter().enumerate() {
                match channels.find(key).await {
                    Ok(channel) => return (ticket, Ok(channel)),
                    Err(error) if place == 0 => missing = error,
                    Err(_) => {}
                }
            }
            (ticket, Err(missing))
        }))
    }

    /// For how long a channel may be read.
    pub(super) fn may_read(&self, channel: &Channel, now: Instant) -> Permitted {
        self.rights.permitted(Action::Read, channel.key(), now)
    }

    /// Stops a generation, or all that run. Where another node runs them, that is asked to, and this is the errand.
    pub(super) fn cancel(
        &self,
        channel: &Arc<Channel>,
        cancel: &proto::Cancel,
    ) -> Result<Option<Errand>, Refusal> {
        let generation = self.may_cancel(channel, cancel)?;
        if !channel.follows() {
            channel.cancel(generation.as_ref())?;
            return Ok(None);
        }
        let (channels, channel) = (Arc::clone(&self.channels), Arc::clone(channel));
        Ok(Some(Box::pin(async move {
            channels.cancel(&channel, generation.as_ref()).await?;
            Ok(Answer::Done(proto::Done {}))
        })))
    }

    /// The generation that may be stopped, if it is one of several.
    fn may_cancel(
        &self,
        channel: &Channel,
        cancel: &proto::Cancel,
    ) -> Result<Option<GenerationId>, Refusal> {
        let ChannelKey { owner, id } = channel.key();
        let asked = GenerationId::claimed(&cancel.generation);
        let asked = (!cancel.generation.is_empty()).then_some(asked);
        let mut refused = None;
        for (_, grant) in self.rights.owners(Action::Cancel, id, Instant::now()) {
            let narrowed = match grant {
                Some(grant) if grant.owner != *owner => continue,
                Some(grant) => grant.narrowed(asked.clone()),
                None => Ok(asked.clone()),
            };
            match narrowed {
                Ok(generation) => return Ok(generation),
                Err(refusal) => refused = refused.or(Some(Refusal::from(refusal))),
            }
        }
        Err(refused.unwrap_or_else(|| self.rights.forbidden(Action::Cancel, id)))
    }

    /// Puts a custom event on a channel that another node writes.
    pub(super) fn publish_there(&self, channel: Arc<Channel>, custom: Custom) -> Errand {
        let channels = Arc::clone(&self.channels);
        Box::pin(async move {
            let Cursor { epoch, seq } = channels.publish(&channel, custom).await?;
            let (channel, epoch) = (channel.key().id.to_string(), epoch.to_string());
            Ok(Answer::Published(proto::Published { channel, epoch, seq }))
        })
    }

    /// What may be published.
    pub(super) fn custom(publish: proto::Publish) -> Result<Custom, Refusal> {
        let custom = publish.custom.unwrap_or_default();
        if !(1..=CUSTOM_TYPE_BYTES_MAX).contains(&custom.r#type.len()) {
            return Err(Refusal::new("bad_request", "a custom event's type is 1 to 128 bytes"));
        }
        if serde_json::from_slice::<serde::de::IgnoredAny>(&custom.data).is_err() {
            return Err(Refusal::new("bad_request", "a custom event's data is JSON"));
        }
        Ok(Custom::from(custom))
    }
}

/// Where a subscription asks to begin.
pub(super) fn parse_from(from: Option<subscribe::From>) -> Result<From, Refusal> {
    Ok(match from {
        Some(subscribe::From::Cursor(proto::Cursor { epoch, seq })) => {
            From::Cursor(Cursor { epoch: epoch.parse()?, seq })
        }
        Some(subscribe::From::Beginning(_)) => From::Beginning,
        Some(subscribe::From::Tail(_)) => From::Tail,
        Some(subscribe::From::Snapshot(_)) | None => From::Snapshot,
    })
}

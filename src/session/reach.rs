//! What a session's client may reach: the channels that its rights name, to read, cancel and publish on. No I/O.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Rights, refusals::Refusal, rights::Permitted};
use crate::{
    access::Action,
    channel::{Channel, Channels},
    event::Custom,
    ident::{ChannelId, ChannelKey, GenerationId},
    sequence::{Cursor, From},
    wire::proto::{self, subscribe},
};

/// The longest a custom event's type may be, in bytes.
const CUSTOM_TYPE_BYTES_MAX: usize = 128;

/// The channels that a client may reach.
pub(super) struct Reach {
    channels: Arc<Channels>,
    pub(super) rights: Rights,
}

impl Reach {
    pub(super) fn new(channels: Arc<Channels>, rights: Rights) -> Self {
        Self { channels, rights }
    }

    /// The channel with this id, for something that may be done with it.
    pub(super) fn find(&self, action: Action, id: &str) -> Result<Arc<Channel>, Refusal> {
        let id = ChannelId::parse(id)?;
        let mut missing = None;
        for (owner, _) in self.rights.owners(action, &id, Instant::now()) {
            match self.channels.find(&ChannelKey { owner: owner.clone(), id: id.clone() }) {
                Ok(channel) => return Ok(channel),
                Err(error) => missing = missing.or(Some(error)),
            }
        }
        Err(missing.map_or_else(|| self.rights.forbidden(action, &id), Refusal::from))
    }

    /// For how long a channel may be read.
    pub(super) fn may_read(&self, channel: &Channel, now: Instant) -> Permitted {
        self.rights.permitted(Action::Read, channel.key(), now)
    }

    /// Stops a generation, or all that run.
    pub(super) fn cancel(&self, cancel: &proto::Cancel) -> Result<(), Refusal> {
        let id = ChannelId::parse(&cancel.channel)?;
        let asked = GenerationId::claimed(&cancel.generation);
        let asked = (!cancel.generation.is_empty()).then_some(asked);
        let mut refused = None;
        for (owner, grant) in self.rights.owners(Action::Cancel, &id, Instant::now()) {
            let key = ChannelKey { owner: owner.clone(), id: id.clone() };
            let found = self.channels.find(&key).map_err(Refusal::from);
            let narrowed = grant.map_or_else(
                || Ok(asked.clone()),
                |grant| grant.narrowed(asked.clone()).map_err(Refusal::from),
            );
            match found.and_then(|channel| Ok((channel, narrowed?))) {
                Ok((channel, generation)) => return Ok(channel.cancel(generation.as_ref())?),
                Err(refusal) => refused = refused.or(Some(refusal)),
            }
        }
        Err(refused.unwrap_or_else(|| self.rights.forbidden(Action::Cancel, &id)))
    }

    /// Puts a custom event on a channel that exists.
    pub(super) fn publish(&self, publish: proto::Publish) -> Result<proto::Published, Refusal> {
        let custom = publish.custom.unwrap_or_default();
        if !(1..=CUSTOM_TYPE_BYTES_MAX).contains(&custom.r#type.len()) {
            return Err(Refusal::new("bad_request", "a custom event's type is 1 to 128 bytes"));
        }
        if serde_json::from_slice::<serde::de::IgnoredAny>(&custom.data).is_err() {
            return Err(Refusal::new("bad_request", "a custom event's data is JSON"));
        }
        let channel = self.find(Action::Publish, &publish.channel)?;
        let Cursor { epoch, seq } = channel.publish(Custom::from(custom))?;
        Ok(proto::Published { channel: publish.channel, epoch: epoch.to_string(), seq })
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

//! What a session's client may reach: its owner's channels, to read, cancel and publish on. No I/O.

use std::sync::Arc;

use super::refusals::Refusal;
use crate::{
    channel::{Channel, Channels},
    event::Custom,
    ident::{ChannelId, ChannelKey, GenerationId, Owner},
    sequence::{Cursor, From},
    wire::proto::{self, subscribe},
};

/// The longest a custom event's type may be, in bytes.
const CUSTOM_TYPE_BYTES_MAX: usize = 128;

/// The channels of one owner.
pub(super) struct Reach {
    channels: Arc<Channels>,
    owner: Owner,
}

impl Reach {
    pub(super) fn new(channels: Arc<Channels>, owner: Owner) -> Self {
        Self { channels, owner }
    }

    /// The channel with this id.
    pub(super) fn find(&self, id: &str) -> Result<Arc<Channel>, Refusal> {
        let key = ChannelKey { owner: self.owner.clone(), id: ChannelId::parse(id)? };
        Ok(self.channels.find(&key)?)
    }

    /// Stops a generation, or all that run.
    pub(super) fn cancel(&self, cancel: &proto::Cancel) -> Result<(), Refusal> {
        let channel = self.find(&cancel.channel)?;
        let generation = GenerationId::claimed(&cancel.generation);
        let generation = (!cancel.generation.is_empty()).then_some(&generation);
        Ok(channel.cancel(generation)?)
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
        let channel = self.find(&publish.channel)?;
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

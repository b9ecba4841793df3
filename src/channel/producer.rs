//! A generation's pen on its channel.
//!
//! Dropping it without having said a last event says `failed: gateway_lost`, so that no generation can end in silence
//! whatever becomes of its task.

use std::sync::Arc;

use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::{Channel, GENERATIONS_MAX, Signal, Watch, log::TooLarge};
use crate::{
    event::{Event, Failed, FailureCode, Kind},
    ident::GenerationId,
    sequence::Cursor,
    store::StoreError,
};

/// Appends one generation's events.
#[derive(Debug)]
pub struct Producer {
    channel: Arc<Channel>,
    index: u32,
    cursor: Cursor,
    ended: bool,
    /// How often another node had taken over when it began.
    replaced: u32,
    /// Raised when something is shown; there once it was waited for.
    waits: Option<(Signal, Watch)>,
}

/// A generation that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) id: GenerationId,
    pub(super) stop: CancellationToken,
    /// Nobody here says more of it: another node goes on.
    pub(super) left: bool,
}

impl Running {
    pub(super) fn new(id: &str, stop: CancellationToken) -> Self {
        Self { id: GenerationId::claimed(id), stop, left: false }
    }
}

/// Why something was not appended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AppendError {
    /// The channel is closed, deleted or expired.
    #[error("the channel takes no more events")]
    Closed,
    /// What the channel holds cannot be folded into its bytes.
    #[error("the channel has reached its {bytes_max} bytes (channels.retention.max_bytes)")]
    Full {
        /// The limit.
        bytes_max: usize,
    },
    /// The channel has had as many generations as one may have.
    #[error("the channel has had its {GENERATIONS_MAX} generations; begin another channel")]
    TooManyGenerations,
    /// The event is larger than one may be.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Producer {
    pub(super) fn new(channel: Arc<Channel>, index: u32, cursor: Cursor, replaced: u32) -> Self {
        Self { channel, index, cursor, ended: false, replaced, waits: None }
    }

    /// Appends events of this generation and gives the cursor after the last one. A terminal event, which must be the
    /// last of its batch, ends the generation; nothing is taken after it.
    pub fn append(&mut self, events: &mut [Event]) -> Result<Cursor, AppendError> {
        if self.ended {
            return Err(AppendError::Closed);
        }
        for event in &mut *events {
            event.generation = self.index;
        }
        let seq = self.channel.append(events, self.replaced)?;
        self.ended = events.last().is_some_and(Event::is_terminal);
        self.cursor = Cursor { epoch: self.channel.epoch(), seq };
        Ok(self.cursor)
    }

    /// The cursor after what it said last.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Waits until what it said last is shown: only then may anybody be told of it. Gives its cursor then.
    pub async fn shown(&mut self) -> Cursor {
        if self.channel.waits_for(self.cursor.seq) {
            let channel = &self.channel;
            let (signal, _watch) = self.waits.get_or_insert_with(|| {
                let signal = Signal::default();
                let watch = channel.watch(&signal);
                (signal, watch)
            });
            while channel.waits_for(self.cursor.seq) {
                signal.lower();
                if channel.waits_for(self.cursor.seq) {
                    signal.raised().await;
                }
            }
        }
        self.cursor.epoch = self.channel.epoch();
        self.cursor
    }

    /// From now on whoever cancels the generation pulls this.
    pub fn stop_by(&self, stop: &CancellationToken) {
        self.channel.stop_by(self.index, stop);
    }

    /// Whether the generation has ended, by this pen's word and no other node's.
    pub fn has_ended(&self) -> bool {
        self.ended && self.channel.replaced() == self.replaced
    }

    /// Puts the pen down without an end: another node goes on.
    pub fn leave(&mut self) {
        self.ended = true;
        self.channel.leave(self.index);
    }

    /// The generation's channel-local index.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The channel.
    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        if !self.ended {
            let lost = Failed::new(FailureCode::GatewayLost, "the gateway stopped running it");
            // A channel that is gone has nobody left to tell.
            let _ = self.append(&mut [Event::new(Kind::Failed(lost))]);
        }
    }
}

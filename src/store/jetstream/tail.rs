//! Reads a subject of one of the streams, in order and without a gap, however often NATS is away.

use std::sync::Arc;

use async_nats::jetstream::{
    consumer::{DeliverPolicy, ReplayPolicy, push},
    stream::{RawMessageErrorKind, Stream},
};
use futures_util::StreamExt;
use tokio::sync::watch;

use super::{
    super::StoreError,
    nats::{AGAIN_AFTER, Message, Nats, as_ms, unavailable},
};
use crate::ident::ChannelKey;

/// NATS has lost the last that it had given: what was read of it is not what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WentBack;

/// Reads a subject of a stream, in order and without a gap, however often NATS is away.
pub(super) struct Tail {
    nats: Arc<Nats>,
    of_index: bool,
    subject: String,
    from: DeliverPolicy,
    /// The last message given: the stream's number of it, and when NATS took it, in nanoseconds. Another one under the same number
    /// was taken at another time.
    last: Option<(u64, i128)>,
    connected: watch::Receiver<u64>,
    messages: Option<push::Ordered>,
}

impl Tail {
    /// Everything of a channel's subject of the log, from its beginning and on.
    pub(super) fn of(nats: &Arc<Nats>, key: &ChannelKey) -> Self {
        Self::new(nats, false, nats.log_of(key), DeliverPolicy::All)
    }

    /// How all channels stand, and how that changes.
    pub(super) fn of_index(nats: &Arc<Nats>) -> Self {
        Self::new(nats, true, nats.all_of_index(), DeliverPolicy::LastPerSubject)
    }

    fn new(nats: &Arc<Nats>, of_index: bool, subject: String, from: DeliverPolicy) -> Self {
        let (nats, connected) = (Arc::clone(nats), nats.connected());
        Self { nats, of_index, subject, from, last: None, connected, messages: None }
    }

    /// The next message. Waits for as long as there is none. Nothing is lost where it is not awaited to its end. Err: NATS has lost
    /// what it gave; a tail that is begun anew tells what it holds.
    pub(super) async fn next(&mut self) -> Result<Message, WentBack> {
        loop {
            let messages = match &mut self.messages {
                Some(messages) => messages,
                None => {
                    self.connected.mark_unchanged();
                    let nats = Arc::clone(&self.nats);
                    match nats.unless_lost(self.begin()).await {
                        Some(Ok(Some(messages))) => self.messages.insert(messages),
                        Some(Ok(None)) => return Err(WentBack),
                        None => continue,
                        Some(Err(error)) => {
                            tracing::debug!(%error, self.subject, "cannot follow");
                            tokio::time::sleep(AGAIN_AFTER).await;
                            continue;
                        }
                    }
                }
            };
            let next = tokio::select! {
                next = messages.next() => next,
                // The library's own way takes up to ten seconds to come back.
                changed = self.connected.changed() => match changed {
                    Ok(()) => None,
                    Err(_) => std::future::pending().await,
                },
            };
            let Some(Ok(message)) = next else {
                self.messages = None;
                continue;
            };
            let info = message.info();
            let info = info.map(|it| (it.stream_sequence, it.published.unix_timestamp_nanos()));
            let Ok((at, published)) = info else {
                self.messages = None;
                continue;
            };
            if self.last.is_none_or(|(last, _)| at > last) {
                self.last = Some((at, published));
                let (at_ms, payload) = (as_ms(published), message.message.payload);
                return Ok(Message { at, at_ms, payload });
            }
        }
    }

    /// `None`: the stream has gone back.
    async fn begin(&mut self) -> Result<Option<push::Ordered>, StoreError> {
        if !self.still_holds().await? {
            return Ok(None);
        }
        let deliver_policy = match self.last {
            None => self.from,
            Some((at, _)) => DeliverPolicy::ByStartSequence { start_sequence: at + 1 },
        };
        let config = push::OrderedConfig {
            deliver_subject: self.nats.client.new_inbox(),
            filter_subject: self.subject.clone(),
            deliver_policy,
            replay_policy: ReplayPolicy::Instant,
            ..push::OrderedConfig::default()
        };
        let consumer = self.stream().create_consumer(config).await.map_err(unavailable)?;
        consumer.messages().await.map(Some).map_err(unavailable)
    }

    fn stream(&self) -> &Stream<()> {
        if self.of_index { &self.nats.index } else { &self.nats.log }
    }

    /// Whether the stream holds what it gave last. The log does, unless it was freed, which is as good a reason to look anew. Of the
    /// index an entry may have been followed by another one; then all that is known is that there are as many.
    async fn still_holds(&mut self) -> Result<bool, StoreError> {
        let Some((at, taken)) = self.last else { return Ok(true) };
        match self.stream().get_raw_message(at).await {
            Ok(message) => Ok(message.time.unix_timestamp_nanos() == taken),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {
                match self.of_index {
                    true => {
                        let info = self.stream().get_info().await.map_err(unavailable)?;
                        Ok(info.state.last_sequence >= at)
                    }
                    false => Ok(false),
                }
            }
            Err(error) => Err(unavailable(error)),
        }
    }
}

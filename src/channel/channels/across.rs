//! What is done on channels wherever they are written: what nodes ask each other for, what they do for each other, and how one
//! takes over from another.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};

use super::{
    super::{AppendError, Channel, UnknownGeneration},
    Channels, Refused,
};
use crate::{
    event::Custom,
    ident::{ChannelKey, GenerationId},
    sequence::Cursor,
    store::{Answer, Ask, Begun, Desk, Pending, Refusal, StoreError},
};

/// How long it is waited for that a channel has a writer again: longer than a lease of the usual length.
const WRITER_WITHIN: Duration = Duration::from_secs(5);

/// How long it may take to learn what a generation left.
const DEPOSITED_WITHIN: Duration = Duration::from_millis(300);

/// How long what another node has begun may take to be heard of here.
const HEARD_WITHIN: Duration = Duration::from_secs(5);

/// How soon it is asked again for one.
const ASKED_AGAIN_AFTER: Duration = Duration::from_millis(100);

impl Channels {
    /// From now on this node writes a channel. What a lost one ran on it ends, or goes on here if it left what that needs.
    pub(super) async fn take_over(&self, channel: &Channel) -> Result<(), StoreError> {
        let key = channel.key();
        let running = channel.running();
        if !running.is_empty() && self.store.is_written_elsewhere(key) {
            return Err(StoreError::Elsewhere);
        }
        if self.around.successor.get().is_some() {
            let mut left = Vec::new();
            for generation in running {
                let deposited = self.store.deposited(key, &generation);
                match timeout(DEPOSITED_WITHIN, deposited).await {
                    Ok(Ok(handover)) => left.extend(handover.map(|it| (generation, it))),
                    // What nothing can be learned of ends.
                    Ok(Err(error)) => tracing::warn!(%generation, %error, "nothing is left of it"),
                    Err(_) => tracing::warn!(%generation, "nothing is left of it in time"),
                }
            }
            channel.inherit(left);
        }
        self.store.take_over(key).await
    }

    /// Nobody goes on with a generation: what it left is forgotten. Waits for nothing.
    pub fn withdraw(&self, key: ChannelKey, generation: GenerationId) {
        let store = Arc::clone(&self.store);
        self.tasks.spawn(async move {
            if let Err(error) = store.withdraw(&key, &generation).await {
                tracing::debug!(%generation, %error, "what was left for another gateway stays for a while");
            }
        });
    }

    /// Stops a generation of a channel, or all that run, wherever they do.
    pub async fn cancel(
        &self,
        channel: &Channel,
        generation: Option<&GenerationId>,
    ) -> Result<(), Refused> {
        let until = Instant::now() + WRITER_WITHIN;
        while channel.follows() {
            let ask = Ask::Cancel(generation.cloned());
            match self.store.ask(channel.key(), ask).await? {
                Some(Answer::Refused(refusal)) => return Err(refusal.into()),
                Some(_) => return Ok(()),
                // Nobody writes it, and whoever takes over may go on with what ran.
                None => match self.take_over(channel).await {
                    Ok(()) => {}
                    Err(StoreError::Elsewhere) if Instant::now() < until => {
                        sleep(ASKED_AGAIN_AFTER).await;
                    }
                    Err(StoreError::Elsewhere) => return Err(unanswered().into()),
                    Err(error) => return Err(error.into()),
                },
            }
        }
        match channel.has_left(generation) {
            true => Err(unanswered().into()),
            false => Ok(channel.cancel(generation)?),
        }
    }

    /// Puts a custom event on a channel that exists, wherever it is written. It is done when it is shown.
    pub async fn publish(&self, channel: &Arc<Channel>, custom: Custom) -> Result<Cursor, Refused> {
        if channel.follows() {
            match self.store.ask(channel.key(), Ask::Publish(custom.clone())).await? {
                Some(Answer::Published(cursor)) => return Ok(cursor),
                Some(Answer::Refused(refusal)) => return Err(refusal.into()),
                Some(_) | None => self.take_over(channel).await?,
            }
        }
        Ok(self.publish_here(channel, custom).await?)
    }

    /// Begins a generation where its channel is written, if that is at another node and something runs there. `None`: it is not,
    /// or nobody answers.
    pub async fn begin_elsewhere(
        &self,
        key: &ChannelKey,
        call: Bytes,
    ) -> Result<Option<(Arc<Channel>, Begun)>, Refused> {
        let channel = self.find(key).await.map_err(StoreError::from)?;
        if !channel.follows() {
            return Ok(None);
        }
        match self.store.ask(key, Ask::Begin(self.name.clone(), call)).await? {
            Some(Answer::Begun(begun)) => {
                let heard = timeout(HEARD_WITHIN, channel.heard(begun.cursor.seq)).await;
                heard.map_err(|_| unanswered())?;
                let there = channel.status().generations;
                let there = there.get(begun.index as usize).map(|it| it.id.as_str());
                match there == Some(begun.generation.as_str()) {
                    true => Ok(Some((channel, begun))),
                    // Whoever began it was not the writer any more.
                    false => Ok(None),
                }
            }
            // It stops, or is full for a moment.
            Some(Answer::Refused(Refusal::NotBegun)) => Ok(None),
            Some(Answer::Refused(refusal)) => Err(refusal.into()),
            Some(_) | None => Ok(None),
        }
    }

    async fn begin_here(
        &self,
        channel: &Arc<Channel>,
        node: String,
        call: Bytes,
    ) -> Result<Answer, Refusal> {
        // Its caller is there.
        self.elsewhere.attends(channel, node, Instant::now());
        let successor = self.around.successor.get().and_then(Weak::upgrade);
        let replaced = channel.replaced();
        let begun = successor.ok_or(Refusal::NotBegun)?.begin(channel, call)?;
        channel.shown(begun.cursor.seq).await;
        match channel.replaced() == replaced {
            true => Ok(Answer::Begun(begun)),
            false => Err(Refusal::Store),
        }
    }

    async fn publish_here(
        &self,
        channel: &Arc<Channel>,
        custom: Custom,
    ) -> Result<Cursor, AppendError> {
        let replaced = channel.replaced();
        let cursor = channel.publish(custom)?;
        let cursor = channel.shown(cursor.seq).await;
        match channel.replaced() == replaced {
            true => Ok(cursor),
            false => Err(StoreError::Fenced.into()),
        }
    }
}

fn unanswered() -> StoreError {
    StoreError::Unavailable("the gateway that runs it does not answer".to_owned())
}

impl Desk for Channels {
    fn asked<'a>(&'a self, key: &'a ChannelKey, ask: Ask) -> Pending<'a, Option<Answer>> {
        Box::pin(async move {
            let written = || self.live(key).filter(|channel| !channel.follows());
            let answer = match ask {
                // Whoever remembers an answer need not write its channel.
                Ask::Recall(question) => {
                    let successor = self.around.successor.get().and_then(Weak::upgrade)?;
                    return successor.recall(key, question).await.map(Answer::Recalled);
                }
                Ask::Begin(node, call) => self.begin_here(&written()?, node, call).await,
                Ask::Attend(node) => {
                    self.elsewhere.attends(&written()?, node, Instant::now());
                    Ok(Answer::Done)
                }
                Ask::Cancel(generation) => {
                    // Of what was left, whoever asked finds the node that goes on with it.
                    let channel = written()?;
                    let channel = (!channel.has_left(generation.as_ref())).then_some(channel)?;
                    channel
                        .cancel(generation.as_ref())
                        .map(|()| Answer::Done)
                        .map_err(|UnknownGeneration| Refusal::UnknownGeneration)
                }
                Ask::Publish(custom) => self
                    .publish_here(&written()?, custom)
                    .await
                    .map(Answer::Published)
                    .map_err(|error| match error {
                        AppendError::Closed => Refusal::Closed,
                        AppendError::Full { .. } | AppendError::TooManyGenerations => Refusal::Full,
                        AppendError::TooLarge(_) => Refusal::TooLarge,
                        AppendError::Store(_) => Refusal::Store,
                    }),
            };
            Some(answer.unwrap_or_else(Answer::Refused))
        })
    }
}

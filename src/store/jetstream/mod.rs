//! Channels on many machines: NATS JetStream keeps them, and any node serves any of them.
//!
//! # Who writes
//!
//! A channel has one writer at a time. Its tenure begins with a record of its own in the channel's log, and every message is
//! taken by NATS only directly behind the one that its writer has seen last (`Nats-Expected-Last-Subject-Sequence`). So of two
//! nodes that both believe to be the writer only one is right, and the other learns so from NATS: nothing else is needed for
//! that nobody ever holds two texts under one epoch and seq.
//!
//! The **lease** (`lease`) is for speed and for ends. While a node's lease holds no other takes over what runs there, so it
//! shows what it says before NATS has it; once it has lapsed, only what NATS has acknowledged. What runs on a node whose lease
//! has lapsed is taken over by another, which goes on with it if it left what that needs (`Store::deposit`), or ends it.
//!
//! # Who reads
//!
//! A node follows a channel (`follow`) as long as somebody looks at it there: once, however many do. It reads the channel's log
//! from the beginning and is told what comes. How all channels stand nodes tell each other (`standing`): the index holds one short
//! message for each. Where the answer of an id is (`registry`) is asked of NATS when somebody comes back for it.
//!
//! # What is safe when
//!
//! What begins or ends a generation, and what somebody is told is done, is shown once NATS has it. How safe that is, NATS'
//! set-up says: with one replica it outlives the process of NATS, with three the loss of a machine. The rest outlives the
//! gateway's process up to what was said in the last tick; whoever had seen more is rewound to the new epoch.

mod courier;
mod desk;
mod follow;
mod forget;
mod index;
mod inner;
mod lease;
mod lines;
mod mend;
mod nats;
mod outbox;
mod record;
mod registry;
mod servers;
mod standing;
mod tail;
mod tasks;

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock, Weak, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Answer, Ask, AtRest, Desk, Forgotten, Health, Intent, Kept, NotOpened, Pending, Registry,
    Store, StoreError, Tenure,
};
use crate::ident::{ChannelKey, GenerationId, Owner, random_id};
use follow::Command;
use inner::{Inner, away};
use lease::Lease;
use lines::Line;
use nats::{Nats, Shelf};

/// How long what was said may take to get to NATS when the gateway ends.
const CLOSES_WITHIN: Duration = Duration::from_secs(5);

/// How a JetStream store is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where NATS is: one or more URLs, separated by commas.
    pub url: String,
    /// What its subjects and streams begin with: deployments that share a NATS each need one of their own.
    pub prefix: String,
    /// How many servers of NATS hold what is kept.
    pub replicas: usize,
    /// For how long a node is believed to live that is not heard of.
    pub lease: Duration,
    /// The file with a user's JWT and key, where NATS asks for them.
    pub credentials: Option<PathBuf>,
}

/// Channels in JetStream.
pub struct JetStream {
    inner: Arc<Inner>,
}

impl JetStream {
    /// Connects to NATS, makes the streams where there are none, and learns which channels there are.
    pub async fn open(settings: &Settings) -> Result<Self, StoreError> {
        let nats = Arc::new(Nats::connect(settings).await?);
        let node = random_id("node");
        let inner = Arc::new(Inner {
            nats,
            lease: Arc::new(Lease::new(node, settings.lease)),
            index: Default::default(),
            lines: Default::default(),
            dirty: Default::default(),
            to_note: Notify::new(),
            noted: Notify::new(),
            desk: OnceLock::new(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            damages: Default::default(),
            losses: Default::default(),
            era: rand::random::<u32>().into(),
            bytes_max: usize::MAX.into(),
        });
        tasks::begin(&inner).await?;
        Ok(Self { inner })
    }

    /// This node's name in the deployment: another one after each start.
    pub fn node(&self) -> &str {
        self.inner.lease.node()
    }
}

impl Store for JetStream {
    fn open<'a>(
        &'a self,
        key: &'a ChannelKey,
        intent: Intent,
    ) -> Pending<'a, Result<Tenure, NotOpened>> {
        Box::pin(self.inner.open(key, intent))
    }

    fn take_over<'a>(&'a self, key: &'a ChannelKey) -> Pending<'a, Result<(), StoreError>> {
        Box::pin(async {
            // Of two that want it at a time the second finds it done.
            // What NATS has lost something of is found as what it is now.
            for _ in 0..3 {
                let Some(Line::Follows(commands)) = self.inner.lines.get(key) else { break };
                let (done, taken) = oneshot::channel();
                let told = commands.send(Command::TakeOver(done)).await;
                if let (Ok(()), Ok(taken)) = (told, taken.await) {
                    return taken;
                }
            }
            match self.inner.lines.get(key) {
                Some(Line::Writes(_)) => Ok(()),
                Some(Line::Follows(_)) | None => Err(away()),
            }
        })
    }

    fn ask<'a>(
        &'a self,
        key: &'a ChannelKey,
        ask: Ask,
    ) -> Pending<'a, Result<Option<Answer>, StoreError>> {
        Box::pin(async move {
            let Some(entry) = self.inner.index.lock().get(key).cloned() else { return Ok(None) };
            let lease = &self.inner.lease;
            if entry.node == lease.node() || !lease.is_alive(&entry.node, Instant::now()) {
                return Ok(None);
            }
            self.inner.ask(&entry.node, key, &ask, desk::ANSWERS_WITHIN).await
        })
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn is_written_elsewhere(&self, key: &ChannelKey) -> bool {
        let writer = self.inner.index.lock().get(key).map(|entry| entry.node.clone());
        let lease = &self.inner.lease;
        writer.is_some_and(|node| node != lease.node() && lease.is_alive(&node, Instant::now()))
    }

    fn deposit<'a>(
        &'a self,
        key: &'a ChannelKey,
        generation: &'a GenerationId,
        call: Bytes,
    ) -> Pending<'a, Result<(), StoreError>> {
        let nats = &self.inner.nats;
        Box::pin(nats.put(nats.call_of(key, generation), call))
    }

    fn deposited<'a>(
        &'a self,
        key: &'a ChannelKey,
        generation: &'a GenerationId,
    ) -> Pending<'a, Result<Option<Bytes>, StoreError>> {
        let nats = &self.inner.nats;
        Box::pin(async { nats.kept(Shelf::Calls, &nats.call_of(key, generation)).await })
    }

    fn withdraw<'a>(
        &'a self,
        key: &'a ChannelKey,
        generation: &'a GenerationId,
    ) -> Pending<'a, Result<(), StoreError>> {
        let nats = &self.inner.nats;
        Box::pin(nats.remove(Shelf::Calls, nats.call_of(key, generation)))
    }

    fn registry(&self) -> Option<&dyn Registry> {
        Some(self)
    }

    fn serve(&self, desk: Weak<dyn Desk>) {
        // Said once.
        let _ = self.inner.desk.set(desk);
    }

    fn hold(&self, bytes_max: usize) {
        self.inner.bytes_max.store(bytes_max, Ordering::Relaxed);
    }

    fn keeps(&self) -> bool {
        true
    }

    fn rest<'a>(&'a self, key: &'a ChannelKey, _: Kept) -> Pending<'a, Result<(), StoreError>> {
        Box::pin(async {
            match self.inner.lines.get(key) {
                Some(Line::Writes(outbox)) if !outbox.is_empty() => Err(away()),
                _ => Ok(()),
            }
        })
    }

    fn forget<'a>(
        &'a self,
        key: &'a ChannelKey,
        why: Forgotten,
    ) -> Pending<'a, Result<(), StoreError>> {
        // What expired by its age here may have been spoken on elsewhere.
        let known = self.inner.index.lock().get(key).map(|entry| entry.at);
        Box::pin(self.inner.forget(key, why, known.filter(|_| why == Forgotten::Expired)))
    }

    fn sweep(&self, now_ms: u64, after_end: Duration) -> Pending<'_, ()> {
        let before_ms = now_ms.saturating_sub(after_end.as_millis() as u64);
        Box::pin(self.inner.sweep(now_ms, before_ms))
    }

    fn unfinished(&self) -> Vec<ChannelKey> {
        self.inner.unfinished()
    }

    fn may_have(&self, key: &ChannelKey) -> bool {
        self.inner.index.lock().get(key).is_some_and(|entry| entry.gone.is_none())
    }

    fn at_rest(&self, owner: &Owner) -> Vec<AtRest> {
        self.inner.index.lock().at_rest(owner)
    }

    fn health(&self) -> Health {
        let away =
            "NATS has been away for longer than the lease: until it is back, nothing new is shown";
        let refuses = "NATS does not take what is said on channels (is there room?): nothing new of it is shown";
        let now = Instant::now();
        let (holds, alive) = (self.inner.holds(), self.inner.lease.alive(now));
        let refused = self.inner.refuses(now);
        let degraded = (!holds).then_some(away).or(refused.map(|_| refuses));
        let index = self.inner.index.lock();
        Health {
            degraded: degraded.map(str::to_owned),
            refuses: !holds || refused == Some(true),
            nodes: if holds { alive.len() as u64 } else { 1 },
            channels: index.len() as u64,
            bytes: index.bytes(),
            cuts: self.inner.losses.load(Ordering::Relaxed),
            damages: self.inner.damages.load(Ordering::Relaxed),
        }
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {
            let all_sent = async {
                for outbox in self.inner.lines.outboxes() {
                    outbox.emptied().await;
                }
                self.inner.all_noted().await;
            };
            if timeout(CLOSES_WITHIN, all_sent).await.is_err() {
                tracing::warn!(
                    "the store was not closed in order: NATS does not take what was said"
                );
            }
            self.inner.closing.cancel();
            self.inner.tasks.close();
            self.inner.tasks.wait().await;
            self.inner.nats.leave(self.inner.lease.node()).await;
            // What is still on its way there is not needed.
            let _ = timeout(nats::AGAIN_AFTER, self.inner.nats.client.flush()).await;
        })
    }
}

impl Drop for JetStream {
    fn drop(&mut self) {
        self.inner.closing.cancel();
    }
}

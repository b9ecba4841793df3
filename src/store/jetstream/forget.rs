//! Channels that go: deleted, expired, or never begun. What is gone is remembered for a while, by all nodes.

use futures_util::StreamExt;
use tokio::time::Instant;

use super::{
    super::{Forgotten, StoreError, tombstones::KEPT_MAX},
    inner::{Inner, away},
    nats::NotTaken,
    record::{self, Entry, Record, SaidRecord, Told},
};
use crate::{clock, ident::ChannelKey};

/// How often something is tried again that another node came before with.
const TRIES: usize = 8;

/// So many channels are forgotten in one sweep, and so many of them at a time.
const SWEPT_MAX: usize = 1_000;
const SWEPT_AT_ONCE: usize = 32;

impl Inner {
    /// The log has nothing of a channel: what its writer foretold of it does not come any more, if that is gone.
    pub(super) async fn give_up_foretold(&self, key: &ChannelKey) -> Result<(), StoreError> {
        let entry = self.index.lock().get(key).cloned();
        let writes = |node: &str| match node == self.lease.node() {
            true => self.lines.writes(key),
            false => self.lease.is_alive(node, Instant::now()),
        };
        match entry.filter(|entry| !writes(&entry.node)) {
            Some(entry) => self.strike(key, entry.at).await,
            None => Ok(()),
        }
    }

    /// A channel is not there any more: all nodes forget it, unless more was said on it than up to and with `at`, since it was made anew.
    pub(super) async fn strike(&self, key: &ChannelKey, at: u64) -> Result<(), StoreError> {
        let note = self.index.lock().last_note(key, at);
        if let Some(note) = note.filter(|note| *note > 0) {
            self.nats.unnote(key, note).await?;
        }
        self.index.lock().remove(key, at);
        Ok(())
    }

    /// Forgets a channel. With `only_at`, unless something was said since.
    pub(super) async fn forget(
        &self,
        key: &ChannelKey,
        why: Forgotten,
        only_at: Option<u64>,
    ) -> Result<(), StoreError> {
        let subject = self.nats.log_of(key);
        for _ in 0..TRIES {
            let known = self.index.lock().get(key).map_or(0, |entry| entry.at);
            let Some(last) = self.nats.last(&subject).await? else {
                return self.strike(key, known).await;
            };
            if only_at.is_some_and(|at| at != last.at) {
                // It was spoken on, and the index does not tell.
                return self.look_anew(key).await;
            }
            let said = record::read(last.payload);
            match said.and_then(|records| records.into_iter().next_back()) {
                Some(Record::Gone(why)) => {
                    self.gone(key, why, last.at, last.at_ms);
                    return Ok(());
                }
                Some(Record::Said(SaidRecord { running, .. })) if running > 0 => {
                    let entry = self.index.lock().get(key).cloned();
                    let writer = entry.map(|entry| entry.node);
                    if writer.is_some_and(|node| self.lease.is_alive(&node, Instant::now())) {
                        return Err(StoreError::Elsewhere);
                    }
                }
                _ => {}
            }
            let mut payload = Vec::new();
            record::write_gone(why, &mut payload);
            match self.nats.append(&subject, payload.into(), last.at).await {
                Ok(at) => {
                    self.gone(key, why, at, clock::now_ms());
                    // What is not freed now is freed when nobody need be told of it any more.
                    if let Err(error) = self.nats.purge(key, at).await {
                        tracing::debug!(channel = %key.id, %error, "not freed");
                    }
                    return Ok(());
                }
                Err(NotTaken::Overtaken) => {}
                Err(NotTaken::Unknown) => return Err(away()),
                // Not even for the word that it is gone: what is forgotten makes room, and nobody is told that it was there.
                Err(NotTaken::Full) => {
                    self.nats.purge(key, last.at + 1).await?;
                    return self.strike(key, last.at).await;
                }
            }
        }
        Err(StoreError::Elsewhere)
    }

    fn gone(&self, key: &ChannelKey, why: Forgotten, at: u64, at_ms: u64) {
        let mut told = Told::nothing();
        (told.gone, told.at, told.kept.last_ms) = (Some(why), at, at_ms);
        told.node = self.lease.node().to_owned();
        self.stands(told.entry(key));
    }

    /// Forgets what was last spoken on before, and does not remember any more what is long gone. The nodes share the work.
    pub(super) async fn sweep(&self, now_ms: u64, before_ms: u64) {
        if !self.holds() {
            return;
        }
        let alive = self.lease.alive(Instant::now());
        let is_mine = |key: &ChannelKey| self.is_mine(key, &alive);
        let (old, forgotten) = {
            let index = self.index.lock();
            (index.older_than(before_ms), index.forgotten(now_ms, KEPT_MAX))
        };
        let old = old.iter().filter(|it| self.lines.get(&it.key).is_none() && is_mine(&it.key));
        let expire = futures_util::stream::iter(old.take(SWEPT_MAX)).for_each_concurrent(
            SWEPT_AT_ONCE,
            async |entry| {
                let done = self.forget(&entry.key, Forgotten::Expired, Some(entry.at)).await;
                if let Err(error) = done {
                    tracing::debug!(channel = %entry.key.id, %error, "not expired");
                }
            },
        );
        expire.await;
        let forget = futures_util::stream::iter(forgotten).for_each_concurrent(
            SWEPT_AT_ONCE,
            async |Entry { key, at, .. }| {
                if !is_mine(&key) {
                    return self.index.lock().remove(&key, at);
                }
                let freed = self.nats.purge(&key, at + 1).await;
                if freed.is_ok()
                    && let Err(error) = self.strike(&key, at).await
                {
                    tracing::debug!(channel = %key.id, %error, "still remembered");
                }
            },
        );
        forget.await;
    }
}

//! When NATS has lost what it had acknowledged, because its machine failed before it had synced: what this node knows of channels is
//! held against what NATS holds, and goes by the log.
//!
//! The log and the index are lost by themselves: of either the other may know more. Who writes or follows a channel finds out by
//! itself, too.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use tokio::time::{sleep, timeout};

use super::{
    super::StoreError,
    index::Index,
    inner::{Inner, away},
    lines::Line,
    nats::AGAIN_AFTER,
    record::Entry,
    tail::{Tail, WentBack},
};
use crate::ident::ChannelKey;

/// So many channels are looked at at a time.
const AT_ONCE: usize = 32;

/// How long the next entry of the index may take to come.
const COMES_WITHIN: Duration = Duration::from_secs(1);

/// Looks, whenever NATS is there again, whether its log still holds all that was heard of.
pub(super) async fn log(inner: Arc<Inner>) {
    let mut connected = inner.nats.connected();
    while connected.changed().await.is_ok() {
        let last = loop {
            match inner.nats.logged().await {
                Ok(last) => break last,
                Err(_) => sleep(AGAIN_AFTER).await,
            }
        };
        let lost = inner.index.lock().past(last);
        if !lost.is_empty() {
            inner.went_back();
            mend(&inner, lost).await;
        }
    }
}

/// The index has gone back: what it holds now is held against what was heard of it. Gives what follows.
pub(super) async fn index(inner: &Arc<Inner>) -> Tail {
    loop {
        match read(inner).await {
            Ok((tail, there)) => {
                let differing = {
                    let mut index = inner.index.lock();
                    index.renumber(&there);
                    index.differing(&there)
                };
                mend(inner, differing).await;
                return tail;
            }
            Err(_) => sleep(AGAIN_AFTER).await,
        }
    }
}

async fn read(inner: &Inner) -> Result<(Tail, Index), StoreError> {
    let (mut tail, mut there) = (Tail::of_index(&inner.nats), Index::default());
    let (mut at, last) = (0, inner.nats.indexed().await?);
    // What is last may be taken away meanwhile: what does not come soon is learned later.
    while at < last
        && let Ok(message) = timeout(COMES_WITHIN, tail.next()).await
    {
        let message = message.map_err(|WentBack| away())?;
        at = message.at;
        if let Some(entry) = Entry::read(&message.payload) {
            let key = entry.key.clone();
            there.correct(entry);
            there.noted(&key, at);
        }
    }
    Ok((tail, there))
}

async fn mend(inner: &Inner, keys: Vec<ChannelKey>) {
    tracing::warn!(
        channels = keys.len(),
        "NATS may have lost something of some channels; they are looked at"
    );
    futures_util::stream::iter(keys)
        .for_each_concurrent(AT_ONCE, async |key| {
            if let Err(error) = look_at(inner, key.clone()).await {
                tracing::warn!(channel = %key.id, %error, "what NATS holds of a channel is not known");
            }
        })
        .await;
}

/// What the log holds of a channel is what it is. All nodes are told, of what is lost in the index, too.
async fn look_at(inner: &Inner, key: ChannelKey) -> Result<(), StoreError> {
    if let Some(Line::Writes(outbox)) = inner.lines.get(&key) {
        // What it finds it notes.
        outbox.suspect();
        return Ok(());
    }
    inner.look_anew(&key).await
}

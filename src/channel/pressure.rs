//! What happens when all logs together take more memory than they may: what has ended goes before its time, that which ended
//! first before all others; if that is not enough, nothing new begins. Where the store keeps it, it goes from memory only.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::{Channel, Channels};
use crate::ident::ChannelKey;

/// A channel that has just been spoken on is not taken away under its reader's eyes.
const RECENT: Duration = Duration::from_secs(1);

impl Channels {
    /// How much memory all logs take, in bytes.
    pub fn bytes(&self) -> usize {
        self.all().iter().map(|channel| channel.bytes()).sum()
    }

    /// Lets go of what has ended until all logs take at most `max` bytes, and remembers whether that was enough. Gives how
    /// many channels went. To be called now and then: in between, logs may grow past it.
    pub async fn relieve(&self, max: usize, now: Instant) -> usize {
        let mut total = self.bytes();
        let mut gone = 0;
        if total > max {
            let mut ended: Vec<_> =
                self.all().iter().filter_map(|channel| ended(channel, now)).collect();
            ended.sort_by_key(|(since, ..)| *since);
            for (_, key, bytes) in ended {
                if total <= max {
                    break;
                }
                if self.give_up(&key, now).await {
                    total = total.saturating_sub(bytes);
                    gone += 1;
                }
            }
        }
        let was_full = self.full.swap(total > max, Ordering::Relaxed);
        // Once when it begins, and whenever something goes: not each time that it is looked at.
        if gone > 0 || (total > max && !was_full) {
            tracing::warn!(gone, bytes = total, max, "the logs took more memory than they may");
        }
        gone
    }

    /// Whether nothing new may begin for want of memory.
    pub fn are_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Lets go of a channel before its time, unless something runs on it again. Says whether it is gone from memory: one that
    /// the store keeps, and that somebody looks at, is not.
    async fn give_up(&self, key: &ChannelKey, now: Instant) -> bool {
        // A store that has failed may still hold what has not changed since.
        let may_keep = self.store.keeps() || self.store.may_have(key);
        (may_keep && self.let_go(key, now, RECENT).await)
            || (!self.store.keeps() && self.expire(key, |_| true).await)
    }
}

/// Since when a channel could be let go of, which it is, and how much memory that gives. Not the channel itself: one that is
/// held is not let go of.
fn ended(channel: &Arc<Channel>, now: Instant) -> Option<(Instant, ChannelKey, usize)> {
    let since = channel.quiet_since()?;
    let rests = now.saturating_duration_since(since) >= RECENT;
    rests.then(|| (since, channel.key().clone(), channel.bytes()))
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        channel::{NoChannel, Retention},
        event::{Event, FinishReason, Finished, Kind, Started},
        ident::Owner,
        store::Memory,
    };

    async fn said(channels: &Channels, id: &str) -> (Arc<Channel>, crate::channel::Producer) {
        let channel = channels.create(Owner::default()).await.expect("memory opens");
        let started = Started { id: id.into(), ..Started::default() };
        let mut producer = channel.begin(started, CancellationToken::new()).expect("it is open");
        let text = Event::new(Kind::Text("x".repeat(100_000)));
        producer.append(&mut [text]).expect("it fits");
        (channel, producer)
    }

    fn finished() -> Event {
        Event::new(Kind::Finished(Finished { reason: FinishReason::Stop, native_reason: None }))
    }

    #[tokio::test(start_paused = true)]
    async fn what_ended_first_goes_first_and_what_runs_stays() {
        let retention = Retention { after_end: Duration::from_secs(600), max_bytes: 8 << 20 };
        let channels = Channels::new(Arc::<Memory>::default(), retention);
        let (running, _producer) = said(&channels, "running").await;
        let mut ended = Vec::new();
        for id in ["first", "second"] {
            let (channel, mut producer) = said(&channels, id).await;
            tokio::time::advance(Duration::from_secs(2)).await;
            producer.append(&mut [finished()]).expect("an end always fits");
            ended.push(channel.key().clone());
        }
        tokio::time::advance(Duration::from_secs(2)).await;
        let all = channels.bytes();
        assert_eq!(channels.relieve(all, Instant::now()).await, 0);
        assert_eq!(channels.relieve(all - 1, Instant::now()).await, 1);
        assert_eq!(channels.find(&ended[0]).await.err(), Some(NoChannel::Evicted));
        assert!(channels.find(&ended[1]).await.is_ok() && !channels.are_full());
        assert_eq!(channels.relieve(1, Instant::now()).await, 1);
        assert!(channels.find(running.key()).await.is_ok());
        assert!(channels.are_full(), "what runs cannot be let go of");
        channels.relieve(all, Instant::now()).await;
        assert!(!channels.are_full());
    }
}

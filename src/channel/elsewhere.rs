//! Who looks on at other nodes: it is told to the node that writes a channel, so that what is watched anywhere is not given up
//! as watched by nobody.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{Attendance, Channel, Channels};
use crate::{ident::ChannelKey, store::Ask};

/// How often a writer is told that somebody looks on here.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// How long somebody is taken to look on elsewhere of whom nothing more is heard.
const LAPSES_AFTER: Duration = Duration::from_secs(3);

/// So many writers are told at once.
const TOLD_AT_ONCE: usize = 1_024;

/// The channels at which somebody has just begun to look on, where another node writes them.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    keys: Mutex<HashSet<ChannelKey>>,
    some: Notify,
}

/// Nodes at which somebody looks on, each until it lapses.
#[derive(Debug, Default)]
pub(super) struct Elsewhere(Mutex<HashMap<(ChannelKey, String), (Attendance, Instant)>>);

impl Arrivals {
    pub(super) fn note(&self, key: &ChannelKey) {
        self.keys.lock().insert(key.clone());
        self.some.notify_one();
    }
}

impl Elsewhere {
    /// Somebody looks on at a node.
    pub(super) fn attends(&self, channel: &Arc<Channel>, node: String, now: Instant) {
        let lapses = now + LAPSES_AFTER;
        let mut all = self.0.lock();
        let key = (channel.key().clone(), node);
        match all.get_mut(&key).filter(|(attendance, _)| attendance.is_at(channel)) {
            Some((_, until)) => *until = lapses,
            None => _ = all.insert(key, (channel.attend(), lapses)),
        }
    }

    fn lapse(&self, now: Instant) {
        self.0.lock().retain(|_, (_, lapses)| now < *lapses);
    }
}

impl Channels {
    /// Tells other nodes, as long as this is awaited, that somebody looks here at what they run. Only for a store that is shared.
    pub async fn tell_of_viewers(&self) {
        let mut ticks = interval(TOLD_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let arrivals = &self.around.arrivals;
            let keys: Vec<ChannelKey> = tokio::select! {
                _ = ticks.tick() => {
                    self.elsewhere.lapse(Instant::now());
                    arrivals.keys.lock().clear();
                    self.live_where(|channel| channel.follows())
                }
                () = arrivals.some.notified() => arrivals.keys.lock().drain().collect(),
            };
            stream::iter(keys).for_each_concurrent(TOLD_AT_ONCE, |key| self.tell_of(key)).await;
        }
    }

    async fn tell_of(&self, key: ChannelKey) {
        let Some(channel) = self.live(&key).filter(|it| it.is_watched_here()) else { return };
        let ask = Ask::Attend(self.name.clone());
        // A node that hangs keeps no other one from being told.
        match timeout(TOLD_EVERY, self.store.ask(channel.key(), ask)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::debug!(channel = %key.id, %error, "its writer was not told of viewers here");
            }
            Err(_) => tracing::debug!(channel = %key.id, "its writer does not answer"),
        }
    }
}

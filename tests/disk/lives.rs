//! Channels that are begun, left, come back to, deleted and expire, over many lives of the process, in files so small that each
//! of them is filled, moved and freed many times: what was said is there, under its numbers, and nothing else.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tokenway::{
    channel::{Channels, NoChannel},
    event::Event,
    sequence::Epoch,
};
use tokio::time::Instant;

use crate::{
    scene::{copy, events, is_lost, key, open_with},
    support::Told,
};

const FILE_BYTES: u64 = 6_000;

/// What is known of a channel.
struct Known {
    epoch: Epoch,
    said: Vec<Event>,
    generations: u32,
}

/// The channels of one life of the process, and what all lives have said on them.
struct World {
    channels: Channels,
    known: BTreeMap<String, Known>,
    random: StdRng,
}

impl World {
    /// An app says something on a channel, perhaps to its end, and whoever said it has it confirmed.
    async fn say(&mut self) {
        let id = format!("chat-{}", self.random.random_range(0..8));
        let channel = self.channels.open(key(&id)).await.expect("it opens");
        let known = self.known.entry(id).or_insert_with(|| {
            let (epoch, said) = (channel.epoch(), Vec::new());
            Known { epoch, said, generations: 0 }
        });
        let mut told = Told::of(Arc::clone(&channel), known.generations);
        for _ in 0..self.random.random_range(1..30) {
            match self.random.random_bool(0.1) {
                true => told.publish(&mut self.random),
                false => told.say(&mut self.random),
            }
        }
        let ends = self.random.random_bool(0.8);
        if ends {
            told.end_all(&mut self.random);
        }
        known.said.append(&mut told.said);
        known.generations = channel.status().generations.len() as u32;
        channel.shown(known.said.len() as u64).await;
        assert_eq!(channel.epoch(), known.epoch, "nothing was lost");
        if !ends {
            // It runs until the process dies.
            std::mem::forget(told);
        }
    }

    async fn delete(&mut self) {
        let Some(id) = self.any() else { return };
        if self.channels.delete(&key(&id)).await.is_ok() {
            self.known.remove(&id);
        }
    }

    async fn look(&mut self) {
        let Some(id) = self.any() else { return };
        self.check(&id).await;
    }

    fn any(&mut self) -> Option<String> {
        let at = self.random.random_range(0..self.known.len().max(1));
        self.known.keys().nth(at).cloned()
    }

    async fn check(&self, id: &str) {
        let known = &self.known[id];
        let channel = self.channels.find(&key(id)).await.expect("it was kept");
        assert_eq!(channel.epoch(), known.epoch, "{id}: its tail is proved");
        assert!(events(&channel) == known.said, "{id}: the same events under the same numbers");
    }

    /// The process is killed, and another begins with what it left.
    async fn live_again(&mut self, to: &Path, from: &Path) {
        copy(from, to);
        self.channels = open_with(to, FILE_BYTES);
        self.channels.recover().await;
        let ids: Vec<String> = self.known.keys().cloned().collect();
        for id in ids {
            let channel = self.channels.find(&key(&id)).await.expect("it was kept");
            let known = self.known.get_mut(&id).expect("it is known");
            let now = events(&channel);
            assert!(now.len() >= known.said.len(), "{id}: {} of {}", now.len(), known.said.len());
            let lost = known.said.len();
            assert!(now[..lost] == known.said, "{id}: the same events under the same numbers");
            assert!(now[lost..].iter().all(is_lost), "{id}: only what ran was ended");
            known.said = now;
            self.check(&id).await;
        }
    }
}

#[tokio::test]
async fn channels_are_what_they_were_through_many_lives() {
    for seed in 0..12 {
        let dirs: Vec<_> = (0..6).map(|_| tempfile::tempdir().expect("a directory")).collect();
        let mut world = World {
            channels: open_with(dirs[0].path(), FILE_BYTES),
            known: BTreeMap::new(),
            random: StdRng::seed_from_u64(seed),
        };
        for life in 0..dirs.len() - 1 {
            for _ in 0..40 {
                match world.random.random_range(0..10) {
                    0..5 => world.say().await,
                    5..7 => world.look().await,
                    7..9 => world.channels.sweep(Instant::now() + Duration::from_secs(60)).await,
                    _ => world.delete().await,
                }
            }
            let health = world.channels.health();
            assert_eq!((health.degraded, health.cuts, health.damages), (None, 0, 0));
            world.live_again(dirs[life + 1].path(), dirs[life].path()).await;
        }
        // What nobody has spoken on for long enough is gone for good, and so is its room.
        let much_later = Instant::now() + crate::scene::AFTER_END + Duration::from_secs(60);
        let ids: Vec<String> = world.known.keys().cloned().collect();
        world.channels.sweep(Instant::now() + Duration::from_secs(60)).await;
        world.channels.sweep(much_later).await;
        world.channels.sweep(much_later).await;
        for id in &ids {
            let found = world.channels.find(&key(id)).await;
            assert_eq!(found.err(), Some(NoChannel::Evicted), "{id}");
        }
        let bytes = world.channels.health().bytes;
        assert!(bytes < 4 * FILE_BYTES, "{bytes} bytes for nothing");
    }
}

#[tokio::test]
async fn whoever_gives_up_waiting_for_a_channel_leaves_it_as_it_was() {
    let dirs: Vec<_> = (0..2).map(|_| tempfile::tempdir().expect("a directory")).collect();
    let mut world = World {
        channels: open_with(dirs[0].path(), FILE_BYTES),
        known: BTreeMap::new(),
        random: StdRng::seed_from_u64(7),
    };
    for _ in 0..20 {
        world.say().await;
        world.channels.sweep(Instant::now() + Duration::from_secs(60)).await;
    }
    for id in world.known.keys().cloned().collect::<Vec<_>>() {
        // Asked for, and left before it is there.
        let asked = key(&id);
        drop(futures_util::FutureExt::now_or_never(world.channels.find(&asked)));
    }
    for _ in 0..40 {
        world.say().await;
        world.channels.sweep(Instant::now()).await;
    }
    world.live_again(dirs[1].path(), dirs[0].path()).await;
}

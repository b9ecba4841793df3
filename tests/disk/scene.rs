//! Channels on a disk store in this process, and what was said on them.

use std::{path::Path, sync::Arc, time::Duration};

use rand::{SeedableRng, rngs::StdRng};
use tokenway::{
    channel::{Channel, Channels, Retention, Signal, Step},
    event::{Event, FailureCode, Kind},
    ident::{ChannelId, ChannelKey, Owner},
    sequence::{Epoch, From},
    store::{
        Disk,
        disk::{FILE_BYTES, Settings},
    },
    wire,
};
use tokio::time::Instant;

use crate::support::Told;

pub(crate) fn open(dir: &Path) -> Channels {
    open_with(dir, FILE_BYTES)
}

/// With files of so many bytes.
pub(crate) fn open_with(dir: &Path, file_bytes: u64) -> Channels {
    let (path, loss_window) = (dir.to_owned(), Duration::from_millis(5));
    let settings = Settings { path, loss_window, file_bytes };
    let store = Disk::open(settings).expect("the directory can be used");
    let retention = Retention { after_end: AFTER_END, max_bytes: 1 << 20 };
    Channels::new(Arc::new(store), retention)
}

/// How long a channel is kept after its last event.
pub(crate) const AFTER_END: Duration = Duration::from_secs(600);

pub(crate) fn key(id: &str) -> ChannelKey {
    ChannelKey { owner: Owner::new("me"), id: ChannelId::parse(id).expect("an id") }
}

/// What was said on one channel, and in which epoch.
pub(crate) struct Said {
    pub(crate) key: ChannelKey,
    pub(crate) epoch: Epoch,
    pub(crate) events: Vec<Event>,
}

/// Says so much on a channel, and waits until it is shown.
pub(crate) async fn say(channels: &Channels, id: &str, seed: u64, turns: u32, ends: bool) -> Said {
    let mut random = StdRng::seed_from_u64(seed);
    let channel = channels.open(key(id)).await.expect("it opens");
    let mut told = Told::new(Arc::clone(&channel));
    told.begin();
    for _ in 0..turns {
        told.say(&mut random);
    }
    if ends {
        told.end_all(&mut random);
    }
    channel.shown(told.said.len() as u64).await;
    let (epoch, events) = (channel.epoch(), told.said.clone());
    if !ends {
        // A producer that is dropped says so: of what runs when the process dies, nobody drops it.
        std::mem::forget(told);
    }
    Said { key: key(id), epoch, events }
}

/// Lets go of all channels that nobody holds, and on which nothing runs: all of them.
pub(crate) async fn rest(channels: &Channels) {
    channels.sweep(Instant::now() + Duration::from_secs(60)).await;
    assert!(channels.all().is_empty(), "somebody holds one");
}

/// Waits until nothing runs on a channel: what is lost ends when that is safe.
pub(crate) async fn quiet(channel: &Arc<Channel>) {
    let signal = Signal::default();
    let _watch = channel.watch(&signal);
    loop {
        signal.lower();
        if channel.status().running == 0 {
            return;
        }
        signal.raised().await;
    }
}

/// The directory as it is at this moment: what a process that is killed now leaves.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("the store") {
        let path = entry.expect("an entry").path();
        std::fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("it is copied");
    }
}

/// All events of a channel.
pub(crate) fn events(channel: &Arc<Channel>) -> Vec<Event> {
    let mut reader = channel.read(From::Beginning).expect("it is there");
    let mut events = Vec::new();
    loop {
        match reader.step() {
            Step::Slice(slice) => {
                assert_eq!(slice.first_seq, events.len() as u64 + 1, "seqs have no gap");
                events.extend(wire::decode_elements(&slice.events));
                assert_eq!(slice.last_seq, events.len() as u64, "nothing torn");
            }
            Step::Idle | Step::End(_) => return events,
            step => panic!("unexpected: {step:?}"),
        }
    }
}

/// What a gateway's start ends, where nobody says more of it.
pub(crate) fn is_lost(event: &Event) -> bool {
    matches!(&event.kind, Kind::Failed(failed) if failed.code == FailureCode::GatewayLost)
}

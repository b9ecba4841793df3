//! Viewers, and what all of them together were shown: one event under one epoch and seq, whoever looks, and wherever.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use parking_lot::Mutex;
use tokenway::{
    channel::{Channel, Ended, Reader, Signal, Step},
    event::{Event, FailureCode, Kind},
    sequence::{Cursor, Epoch, From, Past},
    wire,
};
use tokio::task::JoinHandle;

use crate::node::run;

/// What was shown, by channel, epoch and seq.
#[derive(Default)]
pub(crate) struct World {
    shown: Mutex<HashMap<(String, Epoch, u64), Event>>,
}

impl World {
    fn show(&self, channel: &str, epoch: Epoch, seq: u64, event: &Event) {
        let mut shown = self.shown.lock();
        let before = shown.entry((channel.to_owned(), epoch, seq)).or_insert_with(|| event.clone());
        assert_eq!(before, event, "{channel}: two events under {epoch}.{seq}");
    }
}

/// What a viewer holds.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) events: BTreeMap<u64, Event>,
    pub(crate) epochs: Vec<Epoch>,
    pub(crate) rewinds: Vec<Past>,
    pub(crate) cursor: Option<Cursor>,
    pub(crate) ended: Option<Ended>,
    /// Folded, and taken up in place of events.
    pub(crate) snapshots: u32,
}

impl Seen {
    /// How many events there are, without a gap.
    pub(crate) fn whole(&self) -> usize {
        let seqs: Vec<u64> = self.events.keys().copied().collect();
        let expected: Vec<u64> = (1..=seqs.len() as u64).collect();
        assert_eq!(seqs, expected, "seqs have no gap");
        seqs.len()
    }
}

/// Somebody who looks at a channel until it is dropped.
pub(crate) struct Viewer {
    pub(crate) seen: Arc<Mutex<Seen>>,
    looks: JoinHandle<()>,
}

impl Viewer {
    pub(crate) fn of(world: &Arc<World>, channel: &Arc<Channel>, from: From) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let signal = Signal::default();
        let watch = channel.watch(&signal);
        let reader = channel.read(from).expect("it can begin there");
        let (world, told) = (Arc::clone(world), Arc::clone(&seen));
        seen.lock().epochs.push(reader.epoch());
        let looks = run(async move {
            let _watch = watch;
            look(&world, reader, &signal, &told).await;
        });
        Self { seen, looks }
    }

    pub(crate) fn last_seq(&self) -> u64 {
        self.seen.lock().cursor.map_or(0, |cursor| cursor.seq)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.looks.abort();
    }
}

async fn look(world: &World, mut reader: Reader, signal: &Signal, told: &Mutex<Seen>) {
    let id = reader.channel().key().id.to_string();
    loop {
        signal.lower();
        loop {
            let step = reader.step();
            let mut seen = told.lock();
            match step {
                Step::Slice(slice) => {
                    let epoch = reader.epoch();
                    let events = wire::decode_elements(&slice.events);
                    for (seq, event) in (slice.first_seq..).zip(events) {
                        world.show(&id, epoch, seq, &event);
                        seen.events.insert(seq, event);
                    }
                    seen.cursor = Some(Cursor { epoch, seq: slice.last_seq });
                }
                Step::Rewind { past, epoch } => {
                    seen.events.retain(|seq, _| *seq <= past.valid_through);
                    seen.rewinds.push(past);
                    seen.epochs.push(epoch);
                    if let Some(cursor) = &mut seen.cursor {
                        cursor.epoch = epoch;
                    }
                }
                Step::Snapshot(snapshot) => {
                    seen.snapshots += 1;
                    seen.cursor = Some(Cursor { epoch: snapshot.epoch, seq: snapshot.through });
                }
                Step::End(ended) => {
                    seen.ended = Some(ended);
                    return;
                }
                Step::Idle => break,
            }
        }
        signal.raised().await;
    }
}

pub(crate) fn is_lost(event: &Event) -> bool {
    matches!(&event.kind, Kind::Failed(failed) if failed.code == FailureCode::GatewayLost)
}

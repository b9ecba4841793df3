//! Start: what the shelves and the journal hold becomes channels at rest, and the journal begins anew.
//!
//! A channel is its newest blob and the journal's events that follow it without a gap. Its epoch goes on where its tail is
//! proved to be complete: the process before was stopped in order, or was killed on a machine that has not been restarted
//! since and its journal is whole to the last byte; or nothing ran on it, so that all it was said was safe before it was
//! shown. Any other goes on in a new epoch, from the last event that is there.

use std::{
    collections::HashMap,
    fs,
    io::{self, Write},
    path::Path,
};

use super::{
    super::{Forgotten, Kept, Slice},
    blob::{self, About},
    format::{self, EventsRecord, Found, GoneRecord, Head, Record, TenureRecord},
    index::{Entry, Index},
    journal,
    shelf::{Inventory, Shelves},
};
use crate::ident::ChannelKey;

/// The file that says how the process before ended.
const PROOF: &str = "proof";
/// What it says of one that was stopped in order.
const CLOSED: &str = "closed";

/// What was found.
pub(super) struct Recovered {
    pub(super) shelves: Shelves,
    pub(super) index: Index,
    /// Higher than any number that was given before.
    pub(super) next_number: u64,
    /// The number of the journal's file to begin.
    pub(super) next_file: u32,
    pub(super) cuts: u64,
    pub(super) damages: u64,
}

/// Recovers what a directory holds.
pub(super) fn recover(dir: &Path, file_bytes: u64) -> io::Result<Recovered> {
    let (shelves, inventory) = Shelves::open(dir, file_bytes)?;
    let replay = journal::read(dir)?;
    for (path, offset) in &replay.torn {
        tracing::warn!(file = %path.display(), offset, "the journal is torn; what is behind is cut off");
    }
    let trust = match (replay.torn.is_empty(), is_proved(dir)) {
        (false, _) => Trust::Ends,
        (true, false) => Trust::Safe,
        (true, true) => Trust::All,
    };
    let cuts = inventory.cuts + replay.torn.len() as u64;
    let mut recovery = Recovery { shelves, index: Index::default(), next: 1, damages: 0 };
    recovery.take_stock(inventory);
    for (key, told) in told(replay.records, &mut recovery) {
        recovery.settle(key, told, trust)?;
    }
    let Recovery { shelves, index, next, damages } = recovery;
    shelves.sync()?;
    let next_file = replay.last + 1;
    Ok(Recovered { shelves, index, next_number: next, next_file, cuts, damages })
}

/// Whether everything that anybody was shown is in the files.
fn is_proved(dir: &Path) -> bool {
    let proof = fs::read_to_string(dir.join(PROOF)).unwrap_or_default();
    proof == CLOSED || (!proof.is_empty() && Some(proof) == boot())
}

/// From now on everything that anybody is shown is in the files, as long as this machine runs.
pub(super) fn promise(dir: &Path) -> io::Result<()> {
    write_proof(dir, &boot().unwrap_or_default())
}

/// Everything that anybody was shown is in the files.
pub(super) fn seal(dir: &Path) -> io::Result<()> {
    write_proof(dir, CLOSED)
}

/// What is shown from now on is not in the files. Needs no room on the disk.
pub(super) fn revoke(dir: &Path) -> io::Result<()> {
    fs::remove_file(dir.join(PROOF))
}

fn write_proof(dir: &Path, text: &str) -> io::Result<()> {
    let path = dir.join(PROOF);
    let new = dir.join("proof.new");
    let mut file = fs::File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    fs::rename(new, path)?;
    fs::File::open(dir)?.sync_all()
}

/// What tells one run of the machine from another: what was written stays in its memory for as long. `None` where that
/// cannot be told; then nothing is proved by it.
fn boot() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

struct Recovery {
    shelves: Shelves,
    index: Index,
    next: u64,
    damages: u64,
}

impl Recovery {
    /// Of several blobs of a channel the newest holds.
    fn take_stock(&mut self, inventory: Inventory) {
        self.damages += inventory.damages;
        if inventory.cuts > 0 {
            tracing::warn!(shelves = inventory.cuts, "shelves are torn; what is behind is cut off");
        }
        if inventory.damages > 0 {
            let places = inventory.damages;
            tracing::error!(places, "shelves are damaged; what was there is not served");
        }
        for (place, about) in inventory.blobs {
            self.next = self.next.max(about.number + 1);
            let entry = Entry::new(place, &about);
            let older = match self.index.get(&about.key) {
                Some(known) if (known.number, known.last_seq) > (about.number, about.last_seq) => {
                    Some(entry)
                }
                _ => self.index.put(about.key, entry),
            };
            if let Some(older) = older {
                self.shelves.strike(older.place);
            }
        }
    }

    fn forget(&mut self, gone: &GoneRecord) {
        let older = self.index.get(&gone.key).is_some_and(|entry| entry.number < gone.number);
        if let Some(entry) = older.then(|| self.index.remove(&gone.key)).flatten() {
            self.shelves.strike(entry.place);
        }
        if gone.why == Forgotten::Expired && self.index.get(&gone.key).is_none() {
            self.index.tombstones.bury(gone.key.clone(), gone.at_ms);
        }
    }

    /// Puts a channel of which the journal tells on a shelf.
    fn settle(&mut self, key: ChannelKey, told: Told, trust: Trust) -> io::Result<()> {
        let shelved = self.index.get(&key).cloned();
        let through = shelved.as_ref().map_or(0, |entry| entry.last_seq);
        let news: Vec<Slice> =
            told.slices.into_iter().filter(|it| it.first_seq > through).collect();
        let (mut kept, readable) = match &shelved {
            Some(entry) => self.read(&key, entry)?,
            None => (Kept::nothing(told.head.named, told.head.epoch), true),
        };
        let mut head = match &shelved {
            Some(entry) if entry.number >= told.number => entry.head(),
            _ => told.head,
        };
        let follows = news.first().is_none_or(|slice| slice.first_seq == through + 1);
        let complete = readable && follows && told.whole;
        if !complete {
            self.damages += 1;
            tracing::error!(channel = %key.id, "events are missing; what is behind them is cut off");
        }
        let changed = readable && follows && !news.is_empty();
        if changed {
            (kept.running, kept.generations) = (told.running, told.generations);
            kept.last_ms = news.last().map_or(0, blob::last_ms);
            kept.slices.extend(news);
        }
        if kept.last_seq() == 0 {
            return Ok(());
        }
        let doubted = !complete || !trust.holds(&kept, head.named);
        if doubted {
            head.succeed(kept.last_seq());
        }
        if shelved.is_some() && !changed && !doubted {
            return Ok(());
        }
        (kept.named, kept.epoch, kept.past) = (head.named, head.epoch, head.past);
        self.next += 1;
        let (about, blob) = blob::write(self.next - 1, &key, &kept);
        let place = self.shelves.put(&blob)?;
        if let Some(older) = self.index.put(key, Entry::new(place, &about)) {
            self.shelves.strike(older.place);
        }
        Ok(())
    }

    /// What a shelf holds of a channel, and whether that is all.
    fn read(&mut self, key: &ChannelKey, entry: &Entry) -> io::Result<(Kept, bool)> {
        let (kept, whole) = read_blob(&self.shelves, key, entry)?;
        Ok((kept, whole.is_ok()))
    }
}

/// Reads a channel at rest. Of what is damaged, everything before it is given.
pub(super) fn read_blob(
    shelves: &Shelves,
    key: &ChannelKey,
    entry: &Entry,
) -> io::Result<(Kept, Result<(), &'static str>)> {
    let blob = shelves.read(entry.place)?;
    let nothing = || Kept::nothing(entry.named, entry.epoch);
    let Found::Body(body, length) = format::next(&blob) else {
        return Ok((nothing(), Err("a checksum is wrong")));
    };
    match About::read(body).filter(|about| about.key == *key && about.number == entry.number) {
        Some(about) => Ok(blob::read(&about, blob.slice(length..))),
        None => Ok((nothing(), Err("another channel is in its place"))),
    }
}

/// How far what was found can be trusted to be all that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// To the last event.
    All,
    /// Up to what was safe: where nothing ran, there is nothing that was only written.
    Safe,
    /// Not even that: the journal is torn.
    Ends,
}

impl Trust {
    fn holds(self, kept: &Kept, named: bool) -> bool {
        match self {
            Self::All => true,
            Self::Safe => kept.running == 0,
            Self::Ends => kept.running == 0 && !named,
        }
    }
}

/// What the journal tells of one channel.
struct Told {
    /// Of its last tenure.
    number: u64,
    head: Head,
    slices: Vec<Slice>,
    generations: u32,
    running: u32,
    /// Nothing is missing in between.
    whole: bool,
}

impl Told {
    fn new(number: u64, head: Head) -> Self {
        Self { number, head, slices: Vec::new(), generations: 0, running: 0, whole: true }
    }

    fn add(&mut self, record: EventsRecord) {
        // What was said later holds: of a channel that was damaged and cut, another tenure has said something else since.
        while self.slices.last().is_some_and(|it| it.first_seq >= record.slice.first_seq) {
            self.slices.pop();
        }
        let expected = self.slices.last().map_or(record.slice.first_seq, |it| it.last_seq + 1);
        self.whole &= record.slice.first_seq == expected;
        if self.whole {
            (self.generations, self.running) = (record.generations, record.running);
            self.slices.push(record.slice);
        }
    }
}

/// What the journal tells of all channels, in no order.
fn told(records: Vec<Record>, recovery: &mut Recovery) -> HashMap<ChannelKey, Told> {
    let mut tenures: HashMap<u64, ChannelKey> = HashMap::new();
    let mut all: HashMap<ChannelKey, Told> = HashMap::new();
    for record in records {
        match record {
            Record::Tenure(TenureRecord { number, key, head }) => {
                recovery.next = recovery.next.max(number + 1);
                tenures.insert(number, key.clone());
                let told = all.entry(key).or_insert_with(|| Told::new(number, head.clone()));
                (told.number, told.head) = (number, head);
            }
            Record::Events(events) => {
                let Some(key) = tenures.get(&events.number) else {
                    // Each file says of a tenure what it is before what is said in it: of this one nothing can be said.
                    recovery.damages += 1;
                    continue;
                };
                // All that was kept of the tenures before the one of a blob is in the blob, or was cut off.
                let shelved = recovery.index.get(key).map_or(0, |entry| entry.number);
                if let Some(told) = all.get_mut(key).filter(|_| events.number >= shelved) {
                    told.add(events);
                }
            }
            Record::Gone(gone) => {
                recovery.next = recovery.next.max(gone.number + 1);
                all.remove(&gone.key);
                recovery.forget(&gone);
            }
        }
    }
    all
}

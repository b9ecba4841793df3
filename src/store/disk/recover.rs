//! Start: what the shelves and the journal hold becomes channels at rest, and the journal begins anew.
//!
//! A channel is its newest blob and the journal's events that follow it without a gap. Its epoch goes on where its tail is
//! proved to be complete: the process before was stopped in order, or was killed on a machine that has not been restarted
//! since and its journal is whole to the last byte; or nothing ran on it, so that all it was said was safe before it was
//! shown. Any other goes on in a new epoch, from the last event that is there; where only its shelf tells of it, once it is
//! opened (`doubt`).

use std::{collections::HashMap, fs, io, path::Path};

use super::{
    super::{Forgotten, Kept, Slice},
    blob::{self, About},
    doubt, files,
    format::{self, Found, GoneRecord},
    index::{Entry, Index},
    journal,
    shelf::{Inventory, Shelves},
    told::{self, Told},
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
    /// Named channels whose number is lower are in doubt.
    pub(super) doubt: u64,
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
    let mut recovery = Recovery::new(shelves);
    recovery.take_stock(inventory);
    let mut told = told::told(replay.records, &mut recovery);
    let untold = recovery.unproved(trust, |key| told.contains_key(key));
    told.extend(untold.into_iter().map(|(key, it)| (key, Told::new(it.number, it.head()))));
    let known = doubt::read(dir)?;
    // What is put on a shelf from now on is not in doubt.
    recovery.next = recovery.next.max(known.unwrap_or_default());
    let doubt = known.filter(|_| trust != Trust::Ends).unwrap_or(recovery.next);
    if known != Some(doubt) {
        doubt::write(dir, doubt)?;
    }
    for (key, told) in told {
        recovery.settle(key, told, trust)?;
    }
    let Recovery { shelves, index, next, damages, .. } = recovery;
    shelves.sync()?;
    let next_file = replay.last + 1;
    Ok(Recovered { shelves, index, next_number: next, doubt, next_file, cuts, damages })
}

/// Whether everything that anybody was shown is in the files.
fn is_proved(dir: &Path) -> bool {
    let proof = fs::read_to_string(dir.join(PROOF)).unwrap_or_default();
    proof == CLOSED || (!proof.is_empty() && Some(proof) == boot())
}

/// From now on everything that anybody is shown is in the files, as long as this machine runs.
pub(super) fn promise(dir: &Path) -> io::Result<()> {
    files::replace(dir, PROOF, &boot().unwrap_or_default())
}

/// Everything that anybody was shown is in the files.
pub(super) fn seal(dir: &Path) -> io::Result<()> {
    files::replace(dir, PROOF, CLOSED)
}

/// What is shown from now on is not in the files. Needs no room on the disk.
pub(super) fn revoke(dir: &Path) -> io::Result<()> {
    fs::remove_file(dir.join(PROOF))
}

/// What tells one run of the machine from another: what was written stays in its memory for as long. `None` where that
/// cannot be told; then nothing is proved by it.
fn boot() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

pub(super) struct Recovery {
    shelves: Shelves,
    pub(super) index: Index,
    /// Of channels whose newest blob cannot be read and whose older one can: what that newest one says of itself.
    unread: HashMap<ChannelKey, Entry>,
    pub(super) next: u64,
    pub(super) damages: u64,
}

impl Recovery {
    fn new(shelves: Shelves) -> Self {
        Self { shelves, index: Index::default(), unread: HashMap::new(), next: 1, damages: 0 }
    }

    /// Of several blobs of a channel the newest holds, unless only an older one can be read: a machine that failed may have
    /// kept of the newest what it says of itself and not its events, and then these are in the journal still.
    fn take_stock(&mut self, inventory: Inventory) {
        self.damages += inventory.damages;
        if inventory.cuts > 0 {
            tracing::warn!(shelves = inventory.cuts, "shelves are torn; what is behind is cut off");
        }
        if inventory.damages > 0 {
            let places = inventory.damages;
            tracing::error!(places, "shelves are damaged; what was there is not served");
        }
        let mut several: HashMap<ChannelKey, Vec<Entry>> = HashMap::new();
        for (place, about) in inventory.blobs {
            self.next = self.next.max(about.number + 1);
            let entry = Entry::new(place, &about);
            let older = match self.index.get(&about.key) {
                Some(known) if (known.number, known.last_seq) > (about.number, about.last_seq) => {
                    Some(entry)
                }
                _ => self.index.put(about.key.clone(), entry),
            };
            if let Some(older) = older {
                several.entry(about.key).or_default().push(older);
            }
        }
        for (key, older) in several {
            self.choose(key, older);
        }
    }

    /// Chooses between the newest blob of a channel and the older ones.
    fn choose(&mut self, key: ChannelKey, mut older: Vec<Entry>) {
        let reads = |entry: &Entry| {
            let read = read_blob(&self.shelves, &key, entry);
            read.is_ok_and(|(_, whole)| whole.is_ok())
        };
        let newest = self.index.get(&key).filter(|newest| !reads(newest));
        older.sort_by_key(|entry| (entry.number, entry.last_seq));
        if newest.is_some()
            && let Some(whole) = older.iter().rposition(reads)
        {
            tracing::warn!(channel = %key.id, "the newest blob cannot be read; the one before holds");
            let whole = older.remove(whole);
            if let Some(newest) = self.index.put(key.clone(), whole) {
                older.push(newest.clone());
                self.unread.insert(key, newest);
            }
        }
        for entry in older {
            self.shelves.strike(entry.place);
        }
    }

    /// The channels of which the journal tells nothing and of which more may have been said than their shelf tells.
    fn unproved(
        &self,
        trust: Trust,
        is_told: impl Fn(&ChannelKey) -> bool,
    ) -> Vec<(ChannelKey, Entry)> {
        let unproved = |(key, entry): &(&ChannelKey, &Entry)| {
            let runs = entry.running > 0 && trust != Trust::All;
            (runs || self.unread.contains_key(key)) && !is_told(key)
        };
        let unproved = self.index.iter().filter(unproved);
        unproved.map(|(key, entry)| (key.clone(), entry.clone())).collect()
    }

    pub(super) fn forget(&mut self, gone: &GoneRecord) {
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
        let mut shelved = self.index.get(&key).cloned();
        if let Some(entry) = shelved.take_if(|it| !told.continues(it.number, &it.head())) {
            // Of a channel that was deleted, of which a damaged journal says nothing.
            self.index.remove(&key);
            self.shelves.strike(entry.place);
        }
        let through = shelved.as_ref().map_or(0, |entry| entry.last_seq);
        let news: Vec<Slice> =
            told.slices.into_iter().filter(|it| it.first_seq > through).collect();
        let (mut kept, readable) = match &shelved {
            Some(entry) => self.read(&key, entry)?,
            None => (Kept::nothing(told.head.named, told.head.epoch), true),
        };
        let unread = self.unread.remove(&key);
        let newest = shelved.iter().chain(&unread).max_by_key(|entry| entry.number);
        let mut head = match newest {
            Some(entry) if entry.number >= told.number => entry.head(),
            _ => told.head,
        };
        let follows = news.first().is_none_or(|slice| slice.first_seq == through + 1);
        let known = unread.as_ref().map_or(0, |entry| entry.last_seq);
        let reaches = news.last().map_or(through, |slice| slice.last_seq) >= known;
        let complete = readable && follows && told.whole && reaches;
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
        if shelved.is_some() && unread.is_none() && !changed && !doubted {
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

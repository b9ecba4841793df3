//! Shelves: files of blobs, one channel at rest in each.
//!
//! A shelf is written from its beginning to its end; of what stands on it, only the four bytes are changed that say whether
//! a blob still holds: once what holds in its place is safe, so that there is always one that does. One on which nothing holds any more is deleted, one on which little does is moved to the newest.
//! At start only what is known of each channel is looked at; where that is damaged, the next that is not is searched for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use memchr::memmem;
use parking_lot::Mutex;

use super::{
    blob::{About, DEAD, LIVE},
    files::{create, numbered, path},
    format::{self, Found},
};

/// How a shelf's name ends.
const SUFFIX: &str = "shelf";
/// What a shelf begins with; the last character is the version of the format.
const MAGIC: [u8; 8] = *b"TWSHELF1";
/// So much of a shelf is looked at at a time.
const WINDOW_BYTES: usize = 64 * 1024;

/// Where a blob is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) shelf: u32,
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

/// All shelves of a directory.
pub(super) struct Shelves {
    dir: PathBuf,
    /// A shelf this long is full.
    bytes_max: u64,
    shelves: Mutex<BTreeMap<u32, Shelf>>,
    /// What holds no more, and is not marked so yet.
    struck: Mutex<Vec<Place>>,
    syncing: Mutex<()>,
    /// Files are made by one at a time, and never while `shelves` is locked: nobody who only looks waits for the disk.
    making: Mutex<()>,
    /// How many bytes all of them have.
    bytes: AtomicU64,
    /// Shelves from which something could not be moved: they stay as they are.
    stuck: Mutex<BTreeSet<u32>>,
}

struct Shelf {
    file: Arc<File>,
    bytes: u64,
    /// Of the blobs that hold.
    live: u64,
    dirty: bool,
}

/// What was found at start.
#[derive(Default)]
pub(super) struct Inventory {
    pub(super) blobs: Vec<(Place, About)>,
    /// How often the end of a shelf was torn: what stands there is in the journal still.
    pub(super) cuts: u64,
    /// How often something was damaged.
    pub(super) damages: u64,
}

impl Shelves {
    /// Looks at all shelves; each that is begun takes so many bytes.
    pub(super) fn open(dir: &Path, bytes_max: u64) -> io::Result<(Self, Inventory)> {
        let mut inventory = Inventory::default();
        let mut shelves = BTreeMap::new();
        for (number, path) in numbered(dir, SUFFIX)? {
            let file = OpenOptions::new().read(true).write(true).open(&path)?;
            let bytes = file.metadata()?.len();
            let live = look_through(&file, number, bytes, &mut inventory)?;
            shelves.insert(number, Shelf { file: Arc::new(file), bytes, live, dirty: false });
        }
        // What is torn at the end of the last one is never written over: the next blob begins another.
        let next = shelves.keys().next_back().map_or(1, |last| last + 1);
        let bytes = shelves.values().map(|shelf: &Shelf| shelf.bytes).sum();
        let this = Self {
            dir: dir.to_owned(),
            bytes_max,
            shelves: Mutex::new(shelves),
            struck: Mutex::default(),
            syncing: Mutex::default(),
            making: Mutex::default(),
            bytes: AtomicU64::new(bytes),
            stuck: Mutex::default(),
        };
        this.begin(next)?;
        Ok((this, inventory))
    }

    /// Begins a shelf, unless there is one of this number or a later one.
    fn begin(&self, number: u32) -> io::Result<()> {
        let _turn = self.making.lock();
        if self.shelves.lock().range(number..).next().is_some() {
            return Ok(());
        }
        let file = Arc::new(create(&self.dir, number, SUFFIX, MAGIC)?);
        let bytes = MAGIC.len() as u64;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.shelves.lock().insert(number, Shelf { file, bytes, live: 0, dirty: true });
        Ok(())
    }

    /// Writes a blob. It is safe after the next [`Shelves::sync`].
    pub(super) fn put(&self, blob: &[u8]) -> io::Result<Place> {
        let (file, place) = loop {
            let full = match self.reserve(blob.len() as u64) {
                Ok(reserved) => break reserved,
                Err(full) => full,
            };
            self.begin(full + 1)?;
        };
        file.write_all_at(blob, place.offset)?;
        self.soil(place.shelf);
        Ok(place)
    }

    /// Room for so many bytes on the newest shelf. Err: that one is full.
    fn reserve(&self, bytes: u64) -> Result<(Arc<File>, Place), u32> {
        let mut shelves = self.shelves.lock();
        let (number, shelf) = shelves.iter_mut().next_back().expect("there is always one");
        if shelf.bytes >= self.bytes_max {
            return Err(*number);
        }
        let place = Place { shelf: *number, offset: shelf.bytes, bytes };
        shelf.bytes += bytes;
        shelf.live += bytes;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok((Arc::clone(&shelf.file), place))
    }

    /// A shelf was written to.
    fn soil(&self, number: u32) {
        if let Some(shelf) = self.shelves.lock().get_mut(&number) {
            shelf.dirty = true;
        }
    }

    /// Reads a blob, its state left out.
    pub(super) fn read(&self, place: Place) -> io::Result<Bytes> {
        let file = self.file(place.shelf)?;
        let mut blob = vec![0; (place.bytes - 4) as usize];
        file.read_exact_at(&mut blob, place.offset + 4)?;
        Ok(blob.into())
    }

    /// A blob holds no more, since what was written before does in its place, or nothing does. It is marked so by the next
    /// [`Shelves::sync`].
    pub(super) fn strike(&self, place: Place) {
        self.struck.lock().push(place);
    }

    /// Makes safe what was written, and then what was struck.
    pub(super) fn sync(&self) -> io::Result<()> {
        // One at a time: what another is still making safe must not be taken for safe.
        let _turn = self.syncing.lock();
        let struck = std::mem::take(&mut *self.struck.lock());
        self.sync_files()?;
        if struck.is_empty() {
            return Ok(());
        }
        struck.into_iter().try_for_each(|place| self.mark(place))?;
        self.sync_files()
    }

    fn mark(&self, place: Place) -> io::Result<()> {
        self.file(place.shelf)?.write_all_at(&DEAD, place.offset)?;
        if let Some(shelf) = self.shelves.lock().get_mut(&place.shelf) {
            shelf.live = shelf.live.saturating_sub(place.bytes);
            shelf.dirty = true;
        }
        Ok(())
    }

    /// An error is final: whoever asks again is not told what was not made safe.
    fn sync_files(&self) -> io::Result<()> {
        let dirty: Vec<_> = {
            let mut shelves = self.shelves.lock();
            let shelves = shelves.values_mut();
            let dirty =
                |it: &mut Shelf| std::mem::take(&mut it.dirty).then(|| Arc::clone(&it.file));
            shelves.filter_map(dirty).collect()
        };
        dirty.iter().try_for_each(|file| file.sync_data())
    }

    /// Deletes the shelves on which nothing holds. The newest is one of them once it is full: a single blob may be longer than
    /// all the rest of a shelf.
    pub(super) fn clear(&self) -> io::Result<()> {
        let full_of_nothing = {
            let shelves = self.shelves.lock();
            let (&last, newest) = shelves.last_key_value().expect("there is always one");
            (newest.live == 0 && newest.bytes >= self.bytes_max).then_some(last)
        };
        if let Some(last) = full_of_nothing {
            self.begin(last + 1)?;
        }
        let empty: Vec<u32> = {
            let mut shelves = self.shelves.lock();
            let (&last, _) = shelves.last_key_value().expect("there is always one");
            let empty = shelves.extract_if(..last, |_, shelf| shelf.live == 0);
            empty
                .inspect(|(_, it)| {
                    self.bytes.fetch_sub(it.bytes, Ordering::Relaxed);
                })
                .map(|it| it.0)
                .collect()
        };
        empty.into_iter().try_for_each(|number| {
            match fs::remove_file(path(&self.dir, number, SUFFIX)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        })
    }

    /// A shelf that is full and of which little holds.
    pub(super) fn sparse(&self) -> Option<u32> {
        let (shelves, stuck) = (self.shelves.lock(), self.stuck.lock());
        let (last, _) = shelves.last_key_value()?;
        let sparse = |(at, it): &(&u32, &Shelf)| {
            *at != last && it.live > 0 && it.live < it.bytes / 3 && !stuck.contains(at)
        };
        shelves.iter().find(sparse).map(|(number, _)| *number)
    }

    /// Something on this shelf cannot be moved: it is not to be tried again.
    pub(super) fn leave(&self, shelf: u32) {
        self.stuck.lock().insert(shelf);
    }

    /// How many bytes all of them have.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn file(&self, number: u32) -> io::Result<Arc<File>> {
        let shelves = self.shelves.lock();
        shelves.get(&number).map(|shelf| Arc::clone(&shelf.file)).ok_or_else(gone)
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the shelf is gone")
}

/// Notes the blobs of one shelf and says how many bytes of it hold.
fn look_through(
    file: &File,
    number: u32,
    bytes: u64,
    inventory: &mut Inventory,
) -> io::Result<u64> {
    let mut window = Window { file, bytes, at: 0, held: Bytes::new() };
    let mut offset = MAGIC.len() as u64;
    let mut live = 0;
    if bytes < MAGIC.len() as u64 {
        // The process, or the machine, ended between making it and writing to it.
        inventory.cuts += u64::from(bytes > 0);
        return Ok(0);
    }
    if window.at(0, MAGIC.len())?.get(..MAGIC.len()) != Some(&MAGIC[..]) {
        inventory.damages += 1;
        offset = window.find_blob(0)?;
    }
    while offset < bytes {
        let (length, about) = match window.about(offset)? {
            Some((length, about)) => (length, about),
            None => {
                offset = window.find_blob(offset + 1)?;
                match offset < bytes {
                    true => inventory.damages += 1,
                    false => inventory.cuts += 1,
                }
                continue;
            }
        };
        if let Some(about) = about {
            live += length;
            inventory.blobs.push((Place { shelf: number, offset, bytes: length }, about));
        }
        offset += length;
    }
    Ok(live)
}

/// A part of a file, in memory.
struct Window<'a> {
    file: &'a File,
    bytes: u64,
    at: u64,
    held: Bytes,
}

impl Window<'_> {
    /// At least so many bytes from this offset on, where there are so many.
    fn at(&mut self, offset: u64, want: usize) -> io::Result<Bytes> {
        let end = self.at + self.held.len() as u64;
        if offset < self.at || (offset + want as u64 > end && end < self.bytes) || offset > end {
            let length = (self.bytes - offset).min(want.max(WINDOW_BYTES) as u64);
            let mut held = vec![0; length as usize];
            self.file.read_exact_at(&mut held, offset)?;
            (self.at, self.held) = (offset, held.into());
        }
        Ok(self.held.slice((offset - self.at) as usize..))
    }

    /// What is known of the channel whose blob begins here, if it holds, and how long the blob is. `None`: it is damaged.
    fn about(&mut self, offset: u64) -> io::Result<Option<(u64, Option<About>)>> {
        let mut bytes = self.at(offset, 1024)?;
        let state = bytes.get(..4).map(<[u8]>::to_vec).unwrap_or_default();
        if state != LIVE && state != DEAD {
            return Ok(None);
        }
        if let Some(length) = bytes.get(4..8).and_then(|it| it.first_chunk()) {
            let length = u32::from_le_bytes(*length) as usize;
            if length + 12 > 1024 && length < WINDOW_BYTES * 16 {
                bytes = self.at(offset, length + 12)?;
            }
        }
        let Found::Body(body, length) = format::next(&bytes.slice(4..)) else { return Ok(None) };
        let Some(about) = About::read(body) else { return Ok(None) };
        // What it says may be anything: bytes behind damage that only look like a blob, too.
        let all = about.parts.checked_add(4 + length as u64);
        match all.filter(|all| *all <= self.bytes - offset && about.number < u64::MAX) {
            Some(all) => Ok(Some((all, (state == LIVE).then_some(about)))),
            None => Ok(None),
        }
    }

    /// Where the next blob begins that is not damaged, from this offset on; the end if there is none.
    fn find_blob(&mut self, from: u64) -> io::Result<u64> {
        let mut rest = vec![0; self.bytes.saturating_sub(from) as usize];
        self.file.read_exact_at(&mut rest, from)?;
        let mut places: Vec<usize> = memmem::find_iter(&rest, &LIVE).collect();
        places.extend(memmem::find_iter(&rest, &DEAD));
        places.sort_unstable();
        for place in places {
            if self.about(from + place as u64)?.is_some() {
                return Ok(from + place as u64);
            }
        }
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ident::{ChannelId, ChannelKey, Owner},
        sequence::Epoch,
        store::Kept,
    };

    fn blob(number: u64) -> Vec<u8> {
        let id = ChannelId::parse("chat").expect("an id");
        let key = ChannelKey { owner: Owner::new("me"), id };
        super::super::blob::write(number, &key, &Kept::nothing(true, Epoch::from_u32(7))).1
    }

    fn numbers(dir: &Path) -> Vec<u64> {
        let (_, inventory) = Shelves::open(dir, 1 << 20).expect("it can be used");
        assert_eq!(inventory.damages, 0);
        inventory.blobs.iter().map(|(_, about)| about.number).collect()
    }

    #[test]
    fn a_blob_holds_until_what_takes_its_place_is_safe() {
        let dir = tempfile::tempdir().expect("a directory");
        let (shelves, _) = Shelves::open(dir.path(), 1 << 20).expect("it can be used");
        let old = shelves.put(&blob(1)).expect("room");
        shelves.sync().expect("it can be");
        shelves.put(&blob(2)).expect("room");
        shelves.strike(old);
        // A machine that fails now may keep any part of what is not synced: so the old one must still hold.
        assert_eq!(numbers(dir.path()), [1, 2]);
        shelves.sync().expect("it can be");
        assert_eq!(numbers(dir.path()), [2]);
    }

    #[test]
    fn what_no_gateway_writes_is_no_blob_whatever_its_checksum_says() {
        let dir = tempfile::tempdir().expect("a directory");
        let (shelves, _) = Shelves::open(dir.path(), 1 << 20).expect("it can be used");
        shelves.put(&blob(1)).expect("room");
        shelves.put(&blob(u64::MAX)).expect("room");
        assert_eq!(numbers(dir.path()), [1]);
    }

    #[test]
    fn a_shelf_goes_only_when_nothing_holds_on_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let (shelves, _) = Shelves::open(dir.path(), 1 << 20).expect("it can be used");
        let place = shelves.put(&blob(1)).expect("room");
        shelves.sync().expect("it can be");
        let (shelves, inventory) = Shelves::open(dir.path(), 1 << 20).expect("it can be used");
        assert_eq!(inventory.blobs.len(), 1);
        shelves.strike(place);
        shelves.clear().expect("it can be");
        assert!(path(dir.path(), place.shelf, SUFFIX).exists(), "its end is not safe yet");
        shelves.sync().and_then(|()| shelves.clear()).expect("it can be");
        assert!(!path(dir.path(), place.shelf, SUFFIX).exists());
        assert_eq!(shelves.read(place).err().map(|it| it.kind()), Some(io::ErrorKind::NotFound));
    }

    #[test]
    fn the_newest_shelf_goes_too_once_it_is_full_of_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let (shelves, _) = Shelves::open(dir.path(), 16).expect("it can be used");
        let long = shelves.put(&blob(1)).expect("room");
        assert!(long.bytes > 16, "longer than a shelf");
        shelves.sync().and_then(|()| shelves.clear()).expect("it can be");
        assert_eq!(shelves.bytes(), MAGIC.len() as u64 + long.bytes, "it holds");
        shelves.strike(long);
        shelves.sync().and_then(|()| shelves.clear()).expect("it can be");
        assert_eq!(shelves.bytes(), MAGIC.len() as u64);
        assert_ne!(shelves.put(&blob(2)).expect("room").shelf, long.shelf);
        assert_eq!(numbers(dir.path()), [2]);
    }

    #[test]
    fn what_is_said_is_nobody_elses_to_read() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let _shelves = Shelves::open(dir.path(), 1 << 20).expect("it can be used");
        let file = fs::metadata(path(dir.path(), 1, SUFFIX)).expect("it is there");
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }
}

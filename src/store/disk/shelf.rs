//! Shelves: files of blobs, one channel at rest in each.
//!
//! A shelf is written from its beginning to its end; of what stands on it, only the four bytes are changed that say whether
//! a blob still holds: once what holds in its place is safe, so that there is always one that does. One on which nothing holds any more is deleted, one on which little does is moved to the newest.
//! At start only what is known of each channel is looked at; where that is damaged, the next that is not is searched for.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use memchr::memmem;
use parking_lot::Mutex;

use super::{
    blob::{About, DEAD, LIVE},
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
        let (dir, struck) = (dir.to_owned(), Mutex::default());
        let syncing = Mutex::default();
        let this = Self { dir, bytes_max, shelves: Mutex::new(shelves), struck, syncing };
        this.shelves.lock().insert(next, begin(&this.dir, next)?);
        Ok((this, inventory))
    }

    /// Writes a blob. It is safe after the next [`Shelves::sync`].
    pub(super) fn put(&self, blob: &[u8]) -> io::Result<Place> {
        let mut shelves = self.shelves.lock();
        let (&last, shelf) = shelves.last_key_value().expect("there is always one");
        let number = match shelf.bytes >= self.bytes_max {
            true => {
                shelves.insert(last + 1, begin(&self.dir, last + 1)?);
                last + 1
            }
            false => last,
        };
        let shelf = shelves.get_mut(&number).expect("it is there");
        let (file, offset, bytes) = (Arc::clone(&shelf.file), shelf.bytes, blob.len() as u64);
        shelf.bytes += bytes;
        shelf.live += bytes;
        drop(shelves);
        file.write_all_at(blob, offset)?;
        self.soil(number);
        Ok(Place { shelf: number, offset, bytes })
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
        let mut shelves = self.shelves.lock();
        let (&last, newest) = shelves.last_key_value().expect("there is always one");
        let last = match newest.live == 0 && newest.bytes >= self.bytes_max {
            true => {
                shelves.insert(last + 1, begin(&self.dir, last + 1)?);
                last + 1
            }
            false => last,
        };
        let empty: Vec<u32> = shelves
            .iter()
            .filter(|(at, it)| **at != last && it.live == 0)
            .map(|it| *it.0)
            .collect();
        for number in empty {
            shelves.remove(&number);
            fs::remove_file(path(&self.dir, number, SUFFIX))?;
        }
        Ok(())
    }

    /// A shelf that is full and of which little holds.
    pub(super) fn sparse(&self) -> Option<u32> {
        let shelves = self.shelves.lock();
        let (last, _) = shelves.last_key_value()?;
        let sparse =
            |(at, it): &(&u32, &Shelf)| *at != last && it.live > 0 && it.live < it.bytes / 3;
        shelves.iter().find(sparse).map(|(number, _)| *number)
    }

    /// How many bytes all of them have.
    pub(super) fn bytes(&self) -> u64 {
        self.shelves.lock().values().map(|shelf| shelf.bytes).sum()
    }

    fn file(&self, number: u32) -> io::Result<Arc<File>> {
        let shelves = self.shelves.lock();
        shelves.get(&number).map(|shelf| Arc::clone(&shelf.file)).ok_or_else(gone)
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the shelf is gone")
}

fn begin(dir: &Path, number: u32) -> io::Result<Shelf> {
    let file = create(dir, number, SUFFIX, MAGIC)?;
    Ok(Shelf { file: Arc::new(file), bytes: MAGIC.len() as u64, live: 0, dirty: true })
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

/// The files of this kind in a directory, the oldest first.
pub(super) fn numbered(dir: &Path, suffix: &str) -> io::Result<Vec<(u32, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|it| it.to_str()).and_then(|it| it.parse().ok());
        if let (Some(number), true) = (number, path.extension().is_some_and(|it| it == suffix)) {
            files.push((number, path));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Where a file of this kind is.
pub(super) fn path(dir: &Path, number: u32, suffix: &str) -> PathBuf {
    dir.join(format!("{number:010}.{suffix}"))
}

/// A new file that begins with `magic`, safe in its directory. What is said there is nobody else's to read.
pub(super) fn create(dir: &Path, number: u32, suffix: &str, magic: [u8; 8]) -> io::Result<File> {
    let path = path(dir, number, suffix);
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all_at(&magic, 0)?;
    File::open(dir)?.sync_all()?;
    Ok(file)
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

//! The journal: what was said, in the order in which it was said, of all channels together.
//!
//! A run of numbered files, each of records; only the last one is written. It is read only at start: what it holds is in
//! the memory of the channels that are open, until they rest.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::{Buf, Bytes};

use super::{
    files,
    format::{self, Found, Record},
};

/// How a file of the journal's name ends.
const SUFFIX: &str = "journal";
/// What one begins with; the last character is the version of the format.
const MAGIC: [u8; 8] = *b"TWJRNAL1";
/// The file that is written.
pub(super) struct Journal {
    dir: PathBuf,
    number: u32,
    file: Arc<File>,
    bytes: u64,
    /// One this long is full.
    bytes_max: u64,
}

impl Journal {
    /// Begins a file; the next one follows when it has so many bytes.
    pub(super) fn begin(dir: &Path, number: u32, bytes_max: u64) -> io::Result<Self> {
        let mut file = files::create(dir, number, SUFFIX, MAGIC)?;
        io::Seek::seek(&mut file, io::SeekFrom::End(0))?;
        let bytes = MAGIC.len() as u64;
        Ok(Self { dir: dir.to_owned(), number, file: Arc::new(file), bytes, bytes_max })
    }

    /// Writes records: one system call, unless the disk takes less at a time.
    pub(super) fn write(&mut self, records: &[u8]) -> io::Result<()> {
        let written = (&*self.file).write_all(records);
        match &written {
            Ok(()) => self.bytes += records.len() as u64,
            // What is torn is taken away where that can be done; where not, the next start cuts it off.
            Err(_) => drop(self.file.set_len(self.bytes)),
        }
        written
    }

    /// Whether the next one is to be begun.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= self.bytes_max
    }

    /// Begins the next one, once this one is safe.
    pub(super) fn roll(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        *self = Self::begin(&self.dir, self.number + 1, self.bytes_max)?;
        Ok(())
    }

    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }
}

/// The files before this one, and how many bytes the rest has.
pub(super) fn before(dir: &Path, number: u32) -> io::Result<(Vec<PathBuf>, u64)> {
    let (mut old, mut bytes) = (Vec::new(), 0);
    for (other, path) in files::numbered(dir, SUFFIX)? {
        match other < number {
            true => old.push(path),
            false => bytes += fs::metadata(path)?.len(),
        }
    }
    Ok((old, bytes))
}

/// What was found at start.
#[derive(Default)]
pub(super) struct Replay {
    pub(super) records: Vec<Record>,
    /// Where and how a file ended before its end.
    pub(super) torn: Vec<(PathBuf, u64)>,
    /// The number of the last file.
    pub(super) last: u32,
}

/// Reads all of it. Of a file that is damaged, what is before the damage is taken and nothing after.
pub(super) fn read(dir: &Path) -> io::Result<Replay> {
    let mut replay = Replay::default();
    for (number, path) in files::numbered(dir, SUFFIX)? {
        replay.last = number;
        let all = Bytes::from(fs::read(&path)?);
        if all.len() < MAGIC.len() && MAGIC.starts_with(&all) {
            // The process ended between making it and writing to it.
            continue;
        }
        let mut rest = match all.strip_prefix(&MAGIC) {
            Some(rest) => all.slice_ref(rest),
            None => {
                replay.torn.push((path, 0));
                continue;
            }
        };
        loop {
            match format::next(&rest) {
                Found::Body(body, length) => match Record::read(body) {
                    Some(record) => {
                        replay.records.push(record);
                        rest.advance(length);
                        continue;
                    }
                    None => replay.torn.push((path, (all.len() - rest.len()) as u64)),
                },
                Found::Torn => replay.torn.push((path, (all.len() - rest.len()) as u64)),
                Found::End => {}
            }
            break;
        }
    }
    Ok(replay)
}

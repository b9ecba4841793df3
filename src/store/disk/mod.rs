//! Channels on this machine's disk, in plain files, without a service: they outlive the process.
//!
//! Two kinds of files. The **journal** takes what is said, of all channels together, in the order in which it is said: it
//! is written in groups (`commit`), and read only at start. **Shelves** hold channels at rest, each in one piece; a
//! channel that nobody looks at is put there and let go of in memory. At start what the journal still holds is put on
//! shelves too (`recover`), and the journal begins anew.
//!
//! # What is safe when
//!
//! Everything is written before it is shown, so that killing the process loses nothing. What begins or ends a generation,
//! and what somebody is told is done, is synced to the disk before it is shown. The rest is synced once in a loss window:
//! when the machine itself fails, up to so much of the running generations' text is lost, and they go on in a new epoch.
//!
//! When the disk fails (it is full, has an I/O error, hangs, or is 64 MiB behind) nothing is written any more until the
//! gateway is started again: every channel goes on in memory, in a new epoch, and [`Health::degraded`] says why. What is on
//! shelves is served from there.
//!
//! # The files
//!
//! | name | holds |
//! | --- | --- |
//! | `lock` | nothing; locked by the process that uses the directory |
//! | `proof` | `closed`, or the machine's boot id while a process keeps its promises: see `recover` |
//! | `N.journal` | `TWJRNAL1`, then records: a tenure begins, a batch of events, a channel is forgotten |
//! | `N.shelf` | `TWSHELF1`, then blobs: `live` or `dead`, a record about the channel, records of its parts |
//!
//! Records and their fields are in `format`, blobs in `blob`. Everything has a checksum (CRC-32), and what fails it is never
//! served: the end of a journal is cut at the last good record, a channel on a shelf at its last good part, and either
//! goes on in a new epoch from there.

mod blob;
mod commit;
mod format;
mod index;
mod inner;
mod journal;
mod pen;
mod recover;
mod shelf;
mod spell;

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::fs::DirBuilderExt,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use parking_lot::Mutex;
use thiserror::Error;

use super::{
    AtRest, Forgotten, Health, Intent, Kept, NotOpened, Pending, Store, StoreError, Tenure,
};
use crate::{
    ident::{ChannelKey, Owner},
    sequence::Epoch,
};
use commit::Commits;
use inner::{Inner, Opening};
use journal::Journal;

/// A channel that needs a file of the journal that is older than the last so many is put on a shelf while it goes on.
const JOURNAL_FILES: u32 = 4;

/// How a disk store is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The directory; it is made if there is none.
    pub path: PathBuf,
    /// For how long what is said may be only written and not synced.
    pub loss_window: Duration,
    /// How long a file gets, in bytes, before the next one is begun.
    pub file_bytes: u64,
}

/// Small enough that little is written anew to free space, large enough that there are few.
pub const FILE_BYTES: u64 = 64 << 20;

/// Why a directory cannot be used.
#[derive(Debug, Error)]
pub enum CannotOpen {
    /// Another process uses it.
    #[error(
        "the store in {0} is used by another process; each gateway needs a directory of its own"
    )]
    InUse(PathBuf),
    /// It cannot be read or written.
    #[error("the store in {path} cannot be used: {error}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl CannotOpen {
    /// Whether the disk is to blame (it is full, or has an I/O error), and not how the gateway is set up.
    pub fn is_of_the_disk(&self) -> bool {
        /// The system's number of an I/O error, for which there is no kind.
        const EIO: i32 = 5;
        let Self::Io { error, .. } = self else { return false };
        let full = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge];
        full.contains(&error.kind())
            || error.kind() == ErrorKind::ReadOnlyFilesystem
            || error.raw_os_error() == Some(EIO)
    }
}

/// Channels in a directory.
pub struct Disk {
    inner: Arc<Inner>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Disk {
    /// Uses a directory: recovers what it holds. Takes as long as reading that, and blocks.
    pub fn open(settings: Settings) -> Result<Self, CannotOpen> {
        let Settings { path, loss_window, file_bytes } = settings;
        let io = |error| CannotOpen::Io { path: path.clone(), error };
        create(&path).map_err(io)?;
        let lock = lock(&path).map_err(io)?.ok_or_else(|| CannotOpen::InUse(path.clone()))?;
        let found = recover::recover(&path, file_bytes).map_err(io)?;
        let mut journal = Journal::begin(&path, found.next_file, file_bytes).map_err(io)?;
        let (old, _) = journal::before(&path, found.next_file).map_err(io)?;
        old.into_iter().try_for_each(fs::remove_file).map_err(io)?;
        recover::promise(&path).map_err(io)?;
        let commits = Arc::new(Commits::new(loss_window, found.next_file));
        let inner = Arc::new(Inner {
            _lock: lock,
            dir: path.clone(),
            shelves: found.shelves,
            index: Mutex::new(found.index),
            commits,
            next_number: AtomicU64::new(found.next_number),
            journal_bytes: AtomicU64::new(0),
            cuts: found.cuts,
            damages: AtomicU64::new(found.damages),
        });
        inner.carry_tombstones();
        let writer = spawn("store-write", &inner, move |inner| inner.commits.write(&mut journal));
        let syncer = spawn("store-sync", &inner, |inner| inner.commits.make_safe());
        let watch = spawn("store-watch", &inner, |inner| inner.commits.watch());
        let threads = vec![writer.map_err(io)?, syncer.map_err(io)?, watch.map_err(io)?];
        Ok(Self { inner, threads: Mutex::new(threads) })
    }
}

type Failed = (&'static str, io::Error);

fn spawn(
    name: &str,
    inner: &Arc<Inner>,
    work: impl FnOnce(&Inner) -> Result<(), Failed> + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let inner = Arc::clone(inner);
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Channels wait for it: one that panics must not leave them waiting.
        let worked = std::panic::catch_unwind(AssertUnwindSafe(|| work(&inner)));
        let panicked = |_| Err(("the store cannot go on", io::Error::other("its thread panicked")));
        if let Err((what, error)) = worked.unwrap_or_else(panicked) {
            inner.fail(what, &error);
        }
    })
}

/// Makes a directory that is nobody else's to read, where there is none.
fn create(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    match fs::canonicalize(dir)?.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// `None`: another process holds it. It is let go of when the file is closed, however the process ends.
fn lock(dir: &Path) -> io::Result<Option<File>> {
    let file = File::options().create(true).truncate(false).write(true).open(dir.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Does what takes the disk where it holds nobody up.
async fn blocking<T: Send + 'static>(
    inner: &Arc<Inner>,
    work: impl FnOnce(&Inner) -> T + Send + 'static,
) -> T {
    let inner = Arc::clone(inner);
    match tokio::task::spawn_blocking(move || work(&inner)).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

impl Store for Disk {
    fn open<'a>(
        &'a self,
        key: &'a ChannelKey,
        intent: Intent,
    ) -> Pending<'a, Result<Tenure, NotOpened>> {
        Box::pin(async move {
            let Opening { entry, tail } = self.inner.begin(key, intent)?;
            let Some(entry) = entry else {
                let kept = Kept::nothing(intent == Intent::Name, Epoch::random());
                return Ok(self.inner.take_over(key, kept, tail));
            };
            let key = key.clone();
            blocking(&self.inner, move |inner| {
                let kept = inner.load(&key, entry)?;
                Ok(inner.take_over(&key, kept, tail))
            })
            .await
        })
    }

    fn keeps(&self) -> bool {
        !self.inner.commits.is_broken()
    }

    fn rest<'a>(&'a self, key: &'a ChannelKey, kept: Kept) -> Pending<'a, Result<(), StoreError>> {
        let key = key.clone();
        Box::pin(blocking(&self.inner, move |inner| inner.rest(&key, &kept)))
    }

    fn burdens(&self) -> Vec<ChannelKey> {
        let oldest = self.inner.commits.file().saturating_sub(JOURNAL_FILES - 1);
        self.inner.index.lock().needs(oldest).1
    }

    fn forget<'a>(
        &'a self,
        key: &'a ChannelKey,
        why: Forgotten,
    ) -> Pending<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let (_notice, told) = self.inner.bury(&mut self.inner.index.lock(), key, why);
            match told.await {
                Ok(true) => Ok(()),
                // By its age it expires again.
                _ if why == Forgotten::Expired => Ok(()),
                _ => Err(self.inner.commits.unavailable()),
            }
        })
    }

    fn sweep(&self, now_ms: u64, after_end: Duration) -> Pending<'_, ()> {
        let before = now_ms.saturating_sub(after_end.as_millis() as u64);
        Box::pin(blocking(&self.inner, move |inner| {
            let old = inner.index.lock().older_than(before);
            for key in old {
                inner.expire(&key);
            }
            if let Err(error) = inner.tidy(now_ms) {
                inner.fail("what is no longer needed cannot be freed", &error);
            }
        }))
    }

    fn unfinished(&self) -> Vec<ChannelKey> {
        self.inner.index.lock().unfinished()
    }

    fn may_have(&self, key: &ChannelKey) -> bool {
        self.inner.index.lock().get(key).is_some()
    }

    fn at_rest(&self, owner: &Owner) -> Vec<AtRest> {
        self.inner.index.lock().at_rest(owner)
    }

    fn health(&self) -> Health {
        let inner = &self.inner;
        Health {
            degraded: inner.commits.broken(),
            channels: inner.index.lock().len() as u64,
            bytes: inner.shelves.bytes() + inner.journal_bytes.load(Ordering::Relaxed),
            cuts: inner.cuts,
            damages: inner.damages.load(Ordering::Relaxed),
        }
    }

    fn close(&self) -> Pending<'_, ()> {
        let threads = std::mem::take(&mut *self.threads.lock());
        Box::pin(blocking(&self.inner, move |inner| inner.close(threads)))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let threads = std::mem::take(&mut *self.threads.lock());
        if !threads.is_empty() {
            self.inner.close(threads);
        }
    }
}

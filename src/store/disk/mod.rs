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
//! | `doubt` | of which channels at rest a damaged journal may have told more: see `doubt` |
//! | `N.journal` | `TWJRNAL1`, then records: a tenure begins, a batch of events, a channel is forgotten |
//! | `N.shelf` | `TWSHELF1`, then blobs: `live` or `dead`, a record about the channel, records of its parts |
//!
//! Records and their fields are in `format`, blobs in `blob`. Everything has a checksum (CRC-32), and what fails it is never
//! served: the end of a journal is cut at the last good record, a channel on a shelf at its last good part, and either
//! goes on in a new epoch from there.

mod blob;
mod commit;
mod doubt;
mod files;
mod format;
mod index;
mod inner;
mod journal;
mod pen;
mod recover;
mod shelf;
mod spell;
mod tail;
mod told;

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
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
use spell::HANGS_AFTER;

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
        files::make_dir(&path).map_err(io)?;
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
            doubt: found.doubt,
            tidying: Mutex::default(),
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

/// `None`: another process holds it. It is let go of when the file is closed, however the process ends.
fn lock(dir: &Path) -> io::Result<Option<File>> {
    let file = File::options().create(true).truncate(false).write(true).open(dir.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Does what takes the disk where it holds nobody up. Err: the disk does not come back; the work may go on.
async fn blocking<T: Send + 'static>(
    inner: &Arc<Inner>,
    work: impl FnOnce(&Inner) -> T + Send + 'static,
) -> Result<T, StoreError> {
    let hung = inner.commits.hung();
    if hung.is_cancelled() {
        // Each that waits for such a disk takes a thread, and there is an end to these.
        return Err(inner.commits.unavailable());
    }
    let worker = Arc::clone(inner);
    let work = tokio::task::spawn_blocking(move || work(&worker));
    tokio::select! {
        done = work => match done {
            Ok(done) => Ok(done),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        },
        () = hung.cancelled() => Err(inner.commits.unavailable()),
        () = tokio::time::sleep(HANGS_AFTER) => {
            inner.fail("the disk hangs", &spell::too_long());
            Err(inner.commits.unavailable())
        }
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
            .await?
        })
    }

    fn keeps(&self) -> bool {
        !self.inner.commits.is_broken()
    }

    fn rest<'a>(&'a self, key: &'a ChannelKey, kept: Kept) -> Pending<'a, Result<(), StoreError>> {
        let key = key.clone();
        Box::pin(async { blocking(&self.inner, move |inner| inner.rest(&key, &kept)).await? })
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
        let before_ms = now_ms.saturating_sub(after_end.as_millis() as u64);
        Box::pin(async move {
            // Where the disk does not come back, that has been told.
            let _ = blocking(&self.inner, move |inner| inner.sweep(now_ms, before_ms)).await;
        })
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
            ..Health::default()
        }
    }

    fn close(&self) -> Pending<'_, ()> {
        let threads = std::mem::take(&mut *self.threads.lock());
        Box::pin(async {
            let closed = blocking(&self.inner, move |inner| inner.close(threads)).await;
            if let Err(error) = closed {
                tracing::warn!(%error, "the store was not closed in order");
            }
        })
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::{
        channel::{Channels, Retention, Step},
        event::Custom,
        ident::ChannelId,
        sequence::{Cursor, From},
    };

    fn used(dir: &Path) -> Disk {
        let (path, loss_window) = (dir.to_owned(), Duration::from_millis(5));
        let disk = Disk::open(Settings { path, loss_window, file_bytes: FILE_BYTES });
        disk.expect("it can be used")
    }

    fn key(id: &str) -> ChannelKey {
        ChannelKey { owner: Owner::new("me"), id: ChannelId::parse(id).expect("an id") }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_disk_that_does_not_come_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let disk = used(dir.path());
        let mut kept = Kept::nothing(true, Epoch::random());
        let events = bytes::Bytes::from_static(b"an event");
        let times = super::super::Times { base_ms: 1, deltas: vec![0].into() };
        kept.slices.push(super::super::Slice { first_seq: 1, last_seq: 1, events, times });
        disk.rest(&key("rests"), kept).await.expect("it is kept");
        let (comes_back, waits) = mpsc::sync_channel::<()>(1);
        let hangs = blocking(&disk.inner, move |_| waits.recv().is_ok());
        let comes = async {
            tokio::time::advance(HANGS_AFTER + Duration::from_secs(1)).await;
        };
        let (hung, ()) = tokio::join!(hangs, comes);
        assert!(matches!(hung, Err(StoreError::Unavailable(_))), "{hung:?}");
        assert!(disk.health().degraded.expect("it has failed").contains("hangs"));
        // None of these takes a thread that would not come back.
        let opened = disk.open(&key("rests"), Intent::Find).await;
        assert!(matches!(opened.err(), Some(NotOpened::Store(StoreError::Unavailable(_)))));
        disk.sweep(u64::MAX, Duration::ZERO).await;
        let named = disk.open(&key("new"), Intent::Name).await;
        assert!(named.is_ok(), "what needs no disk goes on");
        disk.close().await;
        drop(comes_back);
    }

    #[tokio::test]
    async fn what_a_shelf_holds_is_let_go_of_and_not_lost_once_the_disk_has_failed() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Arc::new(used(dir.path()));
        let retention = Retention { after_end: Duration::from_secs(600), max_bytes: 1 << 20 };
        let channels = Channels::new(Arc::clone(&store) as Arc<dyn Store>, retention);
        let later = tokio::time::Instant::now() + Duration::from_secs(60);
        let (mut kept, custom) =
            (Vec::new(), |n: u64| Custom { kind: n.to_string(), data: (&b"1"[..]).into() });
        for id in ["rests", "goes-on"] {
            let channel = channels.open(key(id)).await.expect("it opens");
            let (epoch, seq) = (channel.epoch(), 1);
            channel.publish(custom(seq)).expect("room");
            channel.shown(seq).await;
            kept.push(Cursor { epoch, seq });
        }
        channels.sweep(later).await;
        for id in ["rests", "goes-on"] {
            channels.find(&key(id)).await.expect("it is kept");
        }
        store.inner.fail("a test", &io::Error::other("no"));
        let goes_on = channels.find(&key("goes-on")).await.expect("it is in memory");
        goes_on.publish(custom(2)).expect("room");
        drop(goes_on);
        assert_eq!(channels.relieve(1, later).await, 2);
        let rests = channels.find(&key("rests")).await.expect("the shelf has it");
        assert_ne!(rests.epoch(), kept[0].epoch);
        let mut reader = rests.read(From::Cursor(kept[0])).expect("known");
        assert!(matches!(reader.step(), Step::Rewind { past, .. } if past.valid_through == 1));
        assert!(channels.find(&key("goes-on")).await.is_err(), "its last event was nowhere else");
    }
}

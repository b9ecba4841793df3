//! What a disk store does: opens channels, puts them on shelves, forgets them, frees what is no longer needed. It blocks where
//! it takes the disk.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::PathBuf,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use parking_lot::Mutex;
use tokio::{sync::oneshot, time::Instant};

use super::{
    super::{
        Forgotten, Intent, Kept, NotOpened, Progress, Promise, Role, StoreError, Tenure, nowhere,
    },
    blob,
    commit::Commits,
    format::{GoneRecord, Head, TenureRecord},
    index::{Entry, Index},
    journal,
    pen::Pen,
    recover,
    shelf::Shelves,
    tail::Tail,
};
use crate::{clock, ident::ChannelKey};

/// A directory in use.
pub(super) struct Inner {
    pub(super) dir: PathBuf,
    /// Held as long as the directory is used.
    pub(super) _lock: File,
    pub(super) shelves: Shelves,
    pub(super) index: Mutex<Index>,
    pub(super) commits: Arc<Commits>,
    pub(super) next_number: AtomicU64,
    pub(super) journal_bytes: AtomicU64,
    pub(super) cuts: u64,
    pub(super) damages: AtomicU64,
    /// Named channels at rest whose number is lower are in doubt.
    pub(super) doubt: u64,
    /// What is no longer needed is being freed: by one at a time, however long the disk takes.
    pub(super) tidying: Mutex<()>,
}

impl Inner {
    /// The disk has failed: from now on everything lives in memory.
    pub(super) fn fail(&self, what: &str, error: &io::Error) {
        // First of all: a crash right after this must find that nothing is proved any more. A disk that hangs would not come
        // back from this either, and what was written to it is still in the machine's memory.
        let hangs = matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::ResourceBusy);
        let revoked = (!hangs).then(|| recover::revoke(&self.dir).is_ok());
        if self.commits.fail(what, error) {
            tracing::error!(
                directory = %self.dir.display(), what, %error, proof_revoked = revoked,
                "THE STORE HAS FAILED: from now on nothing is kept on disk, and channels live in memory only; \
                 make room or mend the disk, and start the gateway again"
            );
        }
        if hangs && let Err(error) = recover::revoke(&self.dir) {
            tracing::warn!(%error, "the proof of the store was not revoked");
        }
    }

    fn failed(&self, what: &str, error: &io::Error) -> StoreError {
        self.fail(what, error);
        StoreError::Unavailable(format!("{what}: {error}"))
    }

    fn number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// The file that is written tells of what has expired, since those before it are deleted.
    pub(super) fn carry_tombstones(&self) {
        let mut records = Vec::new();
        // Held until they are handed over: a channel that is made anew meanwhile would be buried by a record behind its own.
        let index = self.index.lock();
        for (key, at_ms) in index.tombstones.all() {
            let why = Forgotten::Expired;
            GoneRecord { number: self.number(), key, why, at_ms }.write(&mut records);
        }
        if !records.is_empty() {
            self.commits.push(&Arc::default(), &records, 0, Promise::Written);
        }
    }

    /// Begins to open a channel, without I/O: what is on a shelf of it, or that it is made.
    pub(super) fn begin(&self, key: &ChannelKey, intent: Intent) -> Result<Opening, NotOpened> {
        let mut index = self.index.lock();
        let entry = index.get(key).cloned();
        if entry.is_none() {
            match intent {
                Intent::Find if index.tombstones.contains(key) => return Err(NotOpened::Expired),
                Intent::Find => return Err(NotOpened::Unknown),
                Intent::Make | Intent::Name => index.tombstones.raise(key),
            }
        }
        let tail = Arc::default();
        index.opened(key.clone(), &tail);
        Ok(Opening { entry, tail })
    }

    pub(super) fn load(&self, key: &ChannelKey, mut entry: Entry) -> Result<Kept, StoreError> {
        let (mut kept, whole) = loop {
            match recover::read_blob(&self.shelves, key, &entry) {
                Ok(read) => break read,
                Err(error) => match self.index.lock().get(key) {
                    // It was moved to another shelf meanwhile.
                    Some(now) if now.place != entry.place => entry = now.clone(),
                    _ => {
                        let why = format!("a shelf cannot be read: {error}");
                        return Err(StoreError::Unavailable(why));
                    }
                },
            }
        };
        let mut head = entry.head();
        if let Err(what) = whole {
            self.damages.fetch_add(1, Ordering::Relaxed);
            let last_seq = kept.last_seq();
            tracing::error!(channel = %key.id, what, last_seq, "a channel is damaged; it is cut off there");
            if last_seq == 0 {
                return Err(StoreError::Damaged(what.to_owned()));
            }
        }
        // Where the disk has failed, it goes on in a new epoch in any case.
        let doubted = whole.is_err() || (entry.named && entry.number < self.doubt);
        let mends = doubted && !self.commits.is_broken();
        if mends {
            head.succeed(kept.last_seq());
        }
        (kept.named, kept.epoch, kept.past) = (head.named, head.epoch, head.past);
        if mends {
            // From here on it is served like this, also after another start: with a number that is higher than that of what
            // it takes the place of, and safe before anything follows it.
            self.shelve(key, self.number(), &kept)?;
            self.shelves
                .sync()
                .map_err(|error| self.failed("a shelf cannot be made safe", &error))?;
        }
        Ok(kept)
    }

    pub(super) fn take_over(&self, key: &ChannelKey, mut kept: Kept, tail: Arc<Tail>) -> Tenure {
        let head = Head { named: kept.named, epoch: kept.epoch, past: kept.past.clone() };
        let tenure = TenureRecord { number: self.number(), key: key.clone(), head };
        tail.begin(&tenure, kept.last_seq());
        if !self.commits.register(&tail) {
            if kept.last_seq() > 0 {
                let Kept { named, epoch, past, .. } = kept.clone();
                let mut head = Head { named, epoch, past };
                head.succeed(kept.last_seq());
                (kept.epoch, kept.past) = (head.epoch, head.past);
            }
            return Tenure { kept, role: Role::Writes(nowhere()) };
        }
        let pen = Pen::new(Arc::clone(&self.commits), tail);
        Tenure { kept, role: Role::Writes(Box::new(pen)) }
    }

    /// Puts a channel on a shelf, in place of what is there of it.
    fn shelve(&self, key: &ChannelKey, number: u64, kept: &Kept) -> Result<(), StoreError> {
        let (about, blob) = blob::write(number, key, kept);
        let place = self.shelves.put(&blob);
        let place = place.map_err(|error| self.failed("a shelf cannot be written", &error))?;
        if let Some(before) = self.index.lock().put(key.clone(), Entry::new(place, &about)) {
            self.shelves.strike(before.place);
        }
        Ok(())
    }

    pub(super) fn rest(&self, key: &ChannelKey, kept: &Kept) -> Result<(), StoreError> {
        let (entry, tail) = {
            let index = self.index.lock();
            (index.get(key).cloned(), index.tail(key))
        };
        let last_seq = kept.last_seq();
        let same = |entry: &Entry| (entry.last_seq, entry.epoch) == (last_seq, kept.epoch);
        if let Some(why) = self.commits.broken() {
            // It goes on in another epoch whenever it is opened again.
            let known = |it: &Entry| it.last_seq == last_seq && it.holds_up_to(kept);
            return match entry.as_ref().is_some_and(known) {
                true => Ok(()),
                false => Err(StoreError::Unavailable(why)),
            };
        }
        if last_seq > 0 && !entry.as_ref().is_some_and(same) {
            let number = tail.as_ref().map_or_else(|| self.number(), |tail| tail.number());
            self.shelve(key, number, kept)?;
        }
        if let Some(tail) = tail {
            tail.kept_through(last_seq);
        }
        Ok(())
    }

    /// Forgets a channel that has expired at rest, unless somebody has begun to open it.
    fn expire(&self, key: &ChannelKey) {
        let mut index = self.index.lock();
        if !index.is_open(key) {
            drop(self.bury(&mut index, key, Forgotten::Expired));
        }
    }

    /// Hands a record about a channel's end over. Whether it is safe is told, as long as the notice is held.
    pub(super) fn bury(
        &self,
        index: &mut Index,
        key: &ChannelKey,
        why: Forgotten,
    ) -> (Arc<Notice>, oneshot::Receiver<bool>) {
        let at_ms = clock::now_ms();
        index.closed(key);
        if why == Forgotten::Expired {
            index.tombstones.bury(key.clone(), at_ms);
        }
        if let Some(entry) = index.remove(key) {
            self.shelves.strike(entry.place);
        }
        let (done, told) = oneshot::channel();
        let notice = Arc::new(Notice(Mutex::new(Some(done))));
        let tail: Arc<Tail> = Arc::default();
        let weak: Weak<Notice> = Arc::downgrade(&notice);
        tail.report_to(weak);
        if !self.commits.register(&tail) {
            notice.tell(false);
            return (notice, told);
        }
        let promise = match why {
            Forgotten::Deleted => Promise::Durable,
            Forgotten::Expired => Promise::Written,
        };
        let mut record = Vec::new();
        GoneRecord { number: self.number(), key: key.clone(), why, at_ms }.write(&mut record);
        self.commits.push(&tail, &record, 1, promise);
        (notice, told)
    }

    /// Lets go of the channels at rest that were last spoken on before, and frees what is no longer needed.
    pub(super) fn sweep(&self, now_ms: u64, before_ms: u64) {
        let Some(_turn) = self.tidying.try_lock() else { return };
        let old = self.index.lock().older_than(before_ms);
        for key in old {
            self.expire(&key);
        }
        self.index.lock().tombstones.sweep(now_ms);
        if self.commits.is_broken() {
            return;
        }
        if let Some(sparse) = self.shelves.sparse()
            && let Err(error) = self.thin(sparse)
        {
            return self.fail("a shelf cannot be written", &error);
        }
        let file = self.commits.file();
        let (needed, _) = self.index.lock().needs(0);
        if let Err(error) = self.shelves.sync() {
            return self.fail("a shelf cannot be made safe", &error);
        }
        // Nothing is lost where this cannot be done: it is tried again.
        if let Err(error) = self.free(needed.min(file)) {
            tracing::warn!(%error, "what is no longer needed on disk was not deleted");
        }
    }

    /// Deletes the files that nothing needs, those of the journal before this one among them.
    fn free(&self, needed: u32) -> io::Result<()> {
        self.shelves.clear()?;
        let (old, bytes) = journal::before(&self.dir, needed)?;
        self.journal_bytes.store(bytes, Ordering::Relaxed);
        if !old.is_empty() {
            self.carry_tombstones();
        }
        old.into_iter().try_for_each(fs::remove_file)
    }

    /// Moves what holds on this shelf to the newest. Err: that cannot be written.
    fn thin(&self, shelf: u32) -> io::Result<()> {
        let on_it = self.index.lock().on_shelf(shelf);
        for (key, entry) in on_it {
            match self.shelves.read(entry.place) {
                Ok(blob) => self.move_blob(&key, &entry, &blob)?,
                Err(error) => {
                    tracing::error!(channel = %key.id, shelf, %error, "a channel on a shelf cannot be read");
                    self.shelves.leave(shelf);
                }
            }
        }
        Ok(())
    }

    /// Moves a channel to the newest shelf as it is, damage included: that is found when it is asked for.
    fn move_blob(&self, key: &ChannelKey, entry: &Entry, read: &[u8]) -> io::Result<()> {
        let place = self.shelves.put(&[&blob::LIVE, read].concat())?;
        let stale = {
            let mut index = self.index.lock();
            match index.get(key).is_some_and(|now| now.place == entry.place) {
                true => index.put(key.clone(), Entry { place, ..entry.clone() }).map(|it| it.place),
                // It was written anew or forgotten meanwhile.
                false => Some(place),
            }
        };
        if let Some(stale) = stale {
            self.shelves.strike(stale);
        }
        Ok(())
    }

    pub(super) fn close(&self, threads: Vec<JoinHandle<()>>) {
        self.commits.close_writing();
        if self.commits.is_broken() && self.commits.hangs(Instant::now()) {
            // They would never be done.
            return;
        }
        let mut threads = threads.into_iter();
        // The one that writes comes first: what it writes last is made safe, too.
        let joined = threads.next().map(JoinHandle::join);
        self.commits.close_safe();
        let mut whole = true;
        for done in joined.into_iter().chain(threads.map(JoinHandle::join)) {
            whole &= done.is_ok();
        }
        if !whole || self.commits.is_broken() {
            return;
        }
        if let Err(error) = self.shelves.sync().and_then(|()| recover::seal(&self.dir)) {
            tracing::warn!(%error, "the store was not closed in order");
        }
    }
}

/// A channel that is about to be opened.
pub(super) struct Opening {
    pub(super) entry: Option<Entry>,
    pub(super) tail: Arc<Tail>,
}

/// Somebody waits for a record to be safe.
pub(super) struct Notice(Mutex<Option<oneshot::Sender<bool>>>);

impl Notice {
    fn tell(&self, safe: bool) {
        if let Some(done) = self.0.lock().take() {
            // Whoever asked may have gone.
            let _ = done.send(safe);
        }
    }
}

impl Progress for Notice {
    fn reached(&self, _: u64) {
        self.tell(true);
    }

    fn orphaned(&self, _: u64) {
        self.tell(false);
    }
}

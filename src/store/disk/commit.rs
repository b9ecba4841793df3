//! Group commit: one thread writes what all channels have said since it last looked, in one system call, and another makes
//! it safe: soon (the loss window), or at once where an event must be safe before it is shown.
//!
//! Nobody who appends waits for either: a [`Tail`] is told how far its tenure has got. When the disk fails, every tail is told
//! that it is on its own, once, and nothing is written any more.

use std::{
    fs::File,
    io,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    super::{Promise, StoreError},
    journal::Journal,
    spell::{self, Spell},
    tail::Tail,
};

/// So many bytes wait to be written, at most; a disk that is further behind than that has failed.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// How often it is looked whether the disk hangs.
const LOOKS_EVERY: Duration = Duration::from_secs(5);

/// What was said, on its way to the disk.
pub(super) struct Commits {
    queue: Mutex<Queue>,
    queued: Condvar,
    overrun: Condvar,
    unsafe_: Mutex<Unsafe>,
    wanted: Condvar,
    /// Positions are bytes of the journal since the start of this process.
    written: AtomicU64,
    safe: AtomicU64,
    /// The number of the journal's file that is written.
    file: AtomicU32,
    is_broken: AtomicBool,
    broken: Mutex<Broken>,
    /// The disk does not come back: nobody waits for it any more.
    hung: CancellationToken,
    loss_window: Duration,
    writing: Spell,
    syncing: Spell,
}

#[derive(Default)]
struct Queue {
    records: Vec<u8>,
    /// Whose they are, and where in them they begin.
    tails: Vec<(usize, Arc<Tail>)>,
    /// Where the next record begins.
    end: u64,
    closing: bool,
    /// The writer waits to be woken.
    idle: bool,
    /// The disk was too far behind: nothing more is taken.
    overrun: bool,
}

#[derive(Default)]
struct Unsafe {
    file: Option<Arc<File>>,
    /// Something was written since it was last made safe.
    dirty: bool,
    /// Somebody waits for it.
    urgent: bool,
    waiting: Vec<Arc<Tail>>,
    closing: bool,
}

#[derive(Default)]
struct Broken {
    why: Option<String>,
    tails: Vec<Weak<Tail>>,
}

impl Commits {
    pub(super) fn new(loss_window: Duration, file: u32) -> Self {
        Self {
            queue: Mutex::default(),
            queued: Condvar::new(),
            overrun: Condvar::new(),
            unsafe_: Mutex::default(),
            wanted: Condvar::new(),
            written: AtomicU64::new(0),
            safe: AtomicU64::new(0),
            file: AtomicU32::new(file),
            is_broken: AtomicBool::new(false),
            broken: Mutex::default(),
            hung: CancellationToken::new(),
            loss_window,
            writing: Spell::default(),
            syncing: Spell::default(),
        }
    }

    /// Lets a tail be told if the disk fails. False: it has failed already.
    pub(super) fn register(&self, tail: &Arc<Tail>) -> bool {
        let mut broken = self.broken.lock();
        if broken.why.is_some() {
            return false;
        }
        if broken.tails.len() == broken.tails.capacity() {
            broken.tails.retain(|it| it.strong_count() > 0);
        }
        broken.tails.push(Arc::downgrade(tail));
        true
    }

    /// Hands records over. The tail is told when what is promised holds.
    pub(super) fn push(&self, tail: &Arc<Tail>, records: &[u8], seq: u64, promise: Promise) {
        let promise = if self.loss_window.is_zero() { Promise::Durable } else { promise };
        let wakes = {
            let mut queue = self.queue.lock();
            // Its tail is told with all others.
            let begins = queue.records.len();
            queue.tails.push((begins, Arc::clone(tail)));
            if queue.overrun || queue.records.len() + records.len() > WAITING_BYTES_MAX {
                queue.overrun = true;
                self.overrun.notify_one();
                return;
            }
            queue.records.extend_from_slice(records);
            queue.end += records.len() as u64;
            let position = queue.end;
            tail.waits(seq, promise, position);
            std::mem::take(&mut queue.idle)
        };
        if wakes {
            self.queued.notify_one();
        }
    }

    /// Why nothing is written any more, where that is so.
    pub(super) fn broken(&self) -> Option<String> {
        match self.is_broken() {
            true => self.broken.lock().why.clone(),
            false => None,
        }
    }

    /// The same, as an error.
    pub(super) fn unavailable(&self) -> StoreError {
        StoreError::Unavailable(self.broken().unwrap_or_else(|| "it is closed".to_owned()))
    }

    pub(super) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Acquire)
    }

    /// The number of the journal's file that is written.
    pub(super) fn file(&self) -> u32 {
        self.file.load(Ordering::Acquire)
    }

    /// Cancelled once the disk does not come back.
    pub(super) fn hung(&self) -> &CancellationToken {
        &self.hung
    }

    /// The disk has failed. True, the first time: then every channel has been told.
    pub(super) fn fail(&self, what: &str, error: &io::Error) -> bool {
        if error.kind() == io::ErrorKind::TimedOut {
            self.hung.cancel();
        }
        let tails = {
            let mut broken = self.broken.lock();
            if broken.why.is_some() {
                return false;
            }
            broken.why = Some(format!("{what}: {error}"));
            self.is_broken.store(true, Ordering::Release);
            std::mem::take(&mut broken.tails)
        };
        tails.iter().filter_map(Weak::upgrade).for_each(|tail| tail.orphan());
        // What waited lives in memory only: its channels have it.
        let mut queue = self.queue.lock();
        (queue.records, queue.tails) = (Vec::new(), Vec::new());
        self.queued.notify_one();
        true
    }

    /// Writes until closing, or until the disk has failed elsewhere. Err: it failed here, and what.
    pub(super) fn write(&self, journal: &mut Journal) -> Result<(), (&'static str, io::Error)> {
        let (mut records, mut from, mut out) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            let end = {
                let mut queue = self.queue.lock();
                while queue.records.is_empty() && !queue.closing && !self.is_broken() {
                    queue.idle = true;
                    self.queued.wait(&mut queue);
                }
                queue.idle = false;
                if queue.records.is_empty() || self.is_broken() {
                    return Ok(());
                }
                std::mem::swap(&mut records, &mut queue.records);
                std::mem::swap(&mut from, &mut queue.tails);
                queue.end
            };
            // Before it is written: nothing may take the file for one that is not needed.
            let group = with_tenures(&records, &from, journal.number(), &mut out);
            if let Err(error) = self.writing.of(|| journal.write(group)) {
                // They are still to be told.
                self.queue.lock().tails.append(&mut from);
                return Err(("the journal cannot be written", error));
            }
            records.clear();
            let mut tails = from.drain(..).map(|(_, tail)| tail).collect();
            self.written(&mut tails, journal.file(), end);
            if journal.is_full() {
                let rolled = self.writing.of(|| journal.roll());
                rolled.map_err(|error| ("the journal cannot go on", error))?;
                self.file.store(journal.number(), Ordering::Release);
            }
        }
    }

    /// Waits until closing. Err: the disk takes what is said more slowly than it is said, or hangs.
    pub(super) fn watch(&self) -> Result<(), (&'static str, io::Error)> {
        let mut queue = self.queue.lock();
        while !queue.overrun {
            if queue.closing {
                return Ok(());
            }
            if self.hangs(Instant::now()) {
                return Err(("the disk hangs", spell::too_long()));
            }
            self.overrun.wait_for(&mut queue, LOOKS_EVERY);
        }
        let behind = format!("more than {WAITING_BYTES_MAX} bytes wait to be written");
        Err(("the disk does not keep up", io::Error::new(io::ErrorKind::ResourceBusy, behind)))
    }

    /// Whether a write or a sync does not come back.
    pub(super) fn hangs(&self, now: Instant) -> bool {
        self.writing.hangs(now) || self.syncing.hangs(now)
    }

    /// What was written may be shown, or is to be made safe.
    fn written(&self, tails: &mut Vec<Arc<Tail>>, file: &Arc<File>, end: u64) {
        {
            // In one step: what makes it safe must not take it for a part of the file before.
            let mut state = self.unsafe_.lock();
            if !state.file.as_ref().is_some_and(|it| Arc::ptr_eq(it, file)) {
                state.file = Some(Arc::clone(file));
            }
            self.written.store(end, Ordering::Release);
        }
        let safe = self.safe.load(Ordering::Acquire);
        tails.retain(|tail| tail.advance(end, safe));
        let mut state = self.unsafe_.lock();
        let news = !state.dirty || (!state.urgent && !tails.is_empty());
        state.dirty = true;
        state.urgent |= !tails.is_empty();
        state.waiting.append(tails);
        if news {
            self.wanted.notify_one();
        }
    }

    /// Makes safe until closing. Err: the disk failed.
    pub(super) fn make_safe(&self) -> Result<(), (&'static str, io::Error)> {
        loop {
            let (file, mut waiting, target) = {
                let mut state = self.unsafe_.lock();
                while !state.dirty && !state.closing {
                    self.wanted.wait(&mut state);
                }
                if !state.dirty {
                    return Ok(());
                }
                let mut waited = false;
                while !state.urgent && !state.closing && !waited {
                    waited = self.wanted.wait_for(&mut state, self.loss_window).timed_out();
                }
                (state.dirty, state.urgent) = (false, false);
                // Read under the lock, with the file that it is of: what is written after it makes it dirty again.
                let target = self.written.load(Ordering::Acquire);
                (state.file.clone(), std::mem::take(&mut state.waiting), target)
            };
            if let Some(Err(error)) = file.map(|file| self.syncing.of(|| file.sync_data())) {
                // They are still to be told.
                self.unsafe_.lock().waiting.append(&mut waiting);
                return Err(("the journal cannot be made safe", error));
            }
            self.safe.store(target, Ordering::Release);
            waiting.retain(|tail| tail.advance(self.written.load(Ordering::Acquire), target));
            if !waiting.is_empty() {
                let mut state = self.unsafe_.lock();
                state.waiting.append(&mut waiting);
                (state.dirty, state.urgent) = (true, true);
            }
        }
    }

    /// Nothing more comes: the writer ends once all of it is written.
    pub(super) fn close_writing(&self) {
        self.queue.lock().closing = true;
        self.queued.notify_one();
        self.overrun.notify_one();
    }

    /// Nothing more is written: what makes it safe ends once all of it is.
    pub(super) fn close_safe(&self) {
        self.unsafe_.lock().closing = true;
        self.wanted.notify_one();
    }
}

/// The records, and before the first of a tenure's in this file of the journal the one that begins the tenure: so that a
/// file needs none of those before it to be understood, and they can be freed.
fn with_tenures<'a>(
    records: &'a [u8],
    from: &[(usize, Arc<Tail>)],
    file: u32,
    out: &'a mut Vec<u8>,
) -> &'a [u8] {
    out.clear();
    let mut taken = 0;
    for (begins, tail) in from {
        tail.is_in(file, |tenure| {
            out.extend_from_slice(&records[taken..*begins]);
            out.extend_from_slice(tenure);
            taken = *begins;
        });
    }
    if taken == 0 && out.is_empty() {
        return records;
    }
    out.extend_from_slice(&records[taken..]);
    out
}

#[cfg(test)]
mod tests {
    use super::{
        super::{super::Progress, spell::HANGS_AFTER},
        *,
    };

    struct Told(Mutex<Vec<u64>>);

    impl Progress for Told {
        fn reached(&self, _: u64) {}

        fn orphaned(&self, through: u64) {
            self.0.lock().push(through);
        }
    }

    fn told_by(tail: &Tail) -> Arc<Told> {
        let told = Arc::new(Told(Mutex::default()));
        let weak: Weak<Told> = Arc::downgrade(&told);
        assert!(tail.report_to(weak));
        told
    }

    #[test]
    fn a_disk_that_hangs_fails_before_what_waits_outgrows_its_bound() {
        let commits = Commits::new(Duration::from_millis(50), 1);
        let tail: Arc<Tail> = Arc::default();
        let told = told_by(&tail);
        assert!(commits.register(&tail));
        let megabyte = vec![0; 1 << 20];
        for seq in 1..=80 {
            commits.push(&tail, &megabyte, seq, Promise::Written);
            assert!(commits.queue.lock().records.len() <= WAITING_BYTES_MAX);
        }
        let (what, error) = commits.watch().expect_err("nobody writes");
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        assert!(commits.fail(what, &error));
        assert_eq!(*told.0.lock(), [0], "what waited is not kept, and the channel knows");
        assert!(commits.broken().expect("it has failed").contains("does not keep up"));
    }

    #[test]
    fn a_disk_that_does_not_come_back_hangs() {
        let commits = Commits::new(Duration::from_millis(50), 1);
        let later = Instant::now() + 2 * HANGS_AFTER;
        assert!(!commits.hangs(later), "nobody writes");
        commits.writing.of(|| assert!(commits.hangs(later)));
        commits.syncing.of(|| assert!(commits.hangs(later) && !commits.hangs(Instant::now())));
    }

    #[test]
    fn nothing_is_written_once_the_disk_has_failed() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut journal = Journal::begin(dir.path(), 1, 1 << 20).expect("it can be written");
        let before = journal.file().metadata().expect("it is there").len();
        let commits = Commits::new(Duration::from_millis(50), 1);
        let tail: Arc<Tail> = Arc::default();
        let _told = told_by(&tail);
        assert!(commits.register(&tail));
        commits.push(&tail, b"said", 1, Promise::Written);
        assert!(commits.fail("a sync", &io::Error::other("no")));
        commits.write(&mut journal).expect("there is nothing to do");
        assert_eq!(journal.file().metadata().expect("it is there").len(), before);
    }

    #[test]
    fn the_watch_ends_when_it_closes() {
        let commits = Commits::new(Duration::from_millis(50), 1);
        commits.close_writing();
        assert!(commits.watch().is_ok());
    }
}

//! How long something has been going on with the disk: a disk that does not come back has failed, though it says nothing.

use std::{io, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// A write or a sync that takes longer than this has failed. Disks themselves give up after about as long; nobody waits that
/// long for the end of an answer.
pub(super) const HANGS_AFTER: Duration = Duration::from_secs(30);

/// What is said of a disk that does not come back.
pub(super) fn too_long() -> io::Error {
    let seconds = HANGS_AFTER.as_secs();
    let long = format!("a read, a write or a sync takes longer than {seconds} s");
    io::Error::new(io::ErrorKind::TimedOut, long)
}

/// What one thread does with the disk.
#[derive(Default)]
pub(super) struct Spell(Mutex<Option<Instant>>);

impl Spell {
    /// Does what takes the disk.
    pub(super) fn of<T>(&self, work: impl FnOnce() -> T) -> T {
        *self.0.lock() = Some(Instant::now());
        let done = work();
        *self.0.lock() = None;
        done
    }

    /// Whether it has been going on for too long.
    pub(super) fn hangs(&self, now: Instant) -> bool {
        self.0.lock().is_some_and(|since| now >= since + HANGS_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_goes_on_for_long_hangs() {
        let spell = Spell::default();
        let later = || Instant::now() + HANGS_AFTER;
        assert!(!spell.hangs(later()), "nothing goes on");
        spell.of(|| assert!(!spell.hangs(Instant::now()) && spell.hangs(later())));
        assert!(!spell.hangs(later()), "it is done");
    }
}

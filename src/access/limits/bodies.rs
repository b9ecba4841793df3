//! How many bytes of requests' bodies are held at once, whoever sent them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// All bodies that are held.
#[derive(Debug)]
pub(super) struct Bodies {
    max: AtomicUsize,
    held: AtomicUsize,
}

/// One body's bytes among all, until it is dropped.
#[derive(Debug)]
pub struct BodyRoom {
    all: Arc<Bodies>,
    bytes: usize,
}

impl Bodies {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max: AtomicUsize::new(max), held: AtomicUsize::new(0) })
    }

    /// From now on so many bytes may be held. What is held stays.
    pub(super) fn limit(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// A body of which nothing has come yet.
    pub(super) fn begin(self: &Arc<Self>) -> BodyRoom {
        BodyRoom { all: Arc::clone(self), bytes: 0 }
    }

    /// How many bytes are held.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

impl BodyRoom {
    /// So many bytes more have come. Says whether there was room for them.
    pub fn take(&mut self, bytes: usize) -> bool {
        let max = self.all.max.load(Ordering::Relaxed);
        let more = |held: usize| held.checked_add(bytes).filter(|held| *held <= max);
        let taken = self.all.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        self.bytes += if taken { bytes } else { 0 };
        taken
    }
}

impl Drop for BodyRoom {
    fn drop(&mut self) {
        self.all.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_given_back() {
        let bodies = Bodies::new(10);
        let (mut one, mut other) = (bodies.begin(), bodies.begin());
        assert!(one.take(6) && !other.take(5) && other.take(4) && !one.take(1));
        assert!(!other.take(usize::MAX), "no sum overflows");
        drop(one);
        assert_eq!(bodies.held(), 4);
        assert!(other.take(6));
        bodies.limit(5);
        assert!(!bodies.begin().take(1), "what is held stays, and counts");
        drop(other);
        assert_eq!(bodies.held(), 0);
    }
}

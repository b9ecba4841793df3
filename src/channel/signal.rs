//! How a reader learns that there is something new.
//!
//! A [`Signal`] belongs to one session (or one HTTP stream) and is shared by all its readers. Raising one that is
//! already raised is a single atomic load, so a writer pays next to nothing for a viewer that is awake anyway.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering, fence},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;

/// Raised by channels, awaited by one task.
#[derive(Clone, Debug, Default)]
pub struct Signal(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    raised: AtomicBool,
    waker: AtomicWaker,
}

impl Signal {
    /// Says that there is something new, and wakes the task unless it was told already.
    pub fn raise(&self) {
        // Pairs with the fence in `lower`: either the reader sees what was appended before this, or this sees the
        // signal lowered. Without both fences each could miss the other.
        fence(Ordering::SeqCst);
        if !self.0.raised.load(Ordering::Acquire) && !self.0.raised.swap(true, Ordering::AcqRel) {
            self.0.waker.wake();
        }
    }

    /// Takes note. What happens from now on raises it again.
    pub fn lower(&self) {
        self.0.raised.store(false, Ordering::Release);
        fence(Ordering::SeqCst);
    }

    /// Marks it raised without waking anybody: the task will look again by itself, at its next tick.
    pub fn hush(&self) {
        self.0.raised.store(true, Ordering::Release);
    }

    /// Ready once raised. One task at a time.
    pub fn poll_raised(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.raised.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        self.0.waker.register(cx.waker());
        match self.0.raised.load(Ordering::Acquire) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// Waits until raised.
    pub async fn raised(&self) {
        std::future::poll_fn(|cx| self.poll_raised(cx)).await;
    }

    /// Whether both are the same signal.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

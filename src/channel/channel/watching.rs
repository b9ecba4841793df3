//! Who looks on at a channel: those who are told of its news, those who wait for an event to be shown, and who is present.
//!
//! Reads nothing: see [`Reader`](super::Reader).

use std::sync::Arc;

use tokio::{sync::watch, time::Instant};

use super::{Channel, Life, Signal};
use crate::sequence::Cursor;

impl Channel {
    /// From now on `signal` is raised whenever there is something new, until it is dropped.
    pub fn watch(self: &Arc<Self>, signal: &Signal) -> Watch {
        self.inner.lock().signals.push(signal.clone());
        Watch { channel: Arc::clone(self), signal: signal.clone() }
    }

    /// Waits until everything up to and with `seq` is shown, or will not be, since another node took over; and gives its
    /// cursor then.
    pub async fn shown(self: &Arc<Self>, seq: u64) -> Cursor {
        if self.waits_for(seq) {
            let signal = Signal::default();
            let _watch = self.watch(&signal);
            while self.waits_for(seq) {
                signal.lower();
                if self.waits_for(seq) {
                    signal.raised().await;
                }
            }
        }
        Cursor { epoch: self.epoch(), seq }
    }

    /// Waits until another node is heard to have said everything up to and with `seq`.
    pub(in crate::channel) async fn heard(self: &Arc<Self>, seq: u64) {
        let signal = Signal::default();
        let _watch = self.watch(&signal);
        while self.head() < seq {
            signal.lower();
            if self.head() < seq {
                signal.raised().await;
            }
        }
    }

    /// Whether this seq was given to an event that is still there, and is not shown yet.
    pub(in crate::channel) fn waits_for(&self, seq: u64) -> bool {
        self.head() < seq && {
            let inner = self.inner.lock();
            let gone = matches!(inner.life, Life::Gone(_));
            inner.following.is_none() && !gone && inner.shown < seq && seq <= inner.log.last_seq()
        }
    }

    /// Counts somebody as present until it is dropped.
    pub fn attend(self: &Arc<Self>) -> Attendance {
        self.viewers.send_modify(|viewers| *viewers += 1);
        if self.follows() {
            self.around.arrivals.note(&self.key);
        }
        Attendance { channel: Arc::clone(self) }
    }

    /// How many are present, and its changes.
    pub fn viewers(&self) -> watch::Receiver<usize> {
        self.viewers.subscribe()
    }

    /// Whether another node runs something on it, and somebody here looks on.
    pub(in crate::channel) fn is_watched_here(&self) -> bool {
        let inner = self.inner.lock();
        inner.following.is_some() && !inner.running.is_empty() && *self.viewers.borrow() > 0
    }

    /// Somebody asked for it.
    pub(in crate::channel) fn seek(&self) {
        self.inner.lock().sought = Instant::now();
    }
}

/// Raises a signal for a channel's news until it is dropped.
#[derive(Debug)]
pub struct Watch {
    channel: Arc<Channel>,
    signal: Signal,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut inner = self.channel.inner.lock();
        if let Some(place) = inner.signals.iter().position(|signal| signal.is(&self.signal)) {
            inner.signals.swap_remove(place);
        }
    }
}

/// Somebody is present at a channel until it is dropped.
#[derive(Debug)]
pub struct Attendance {
    channel: Arc<Channel>,
}

impl Attendance {
    /// Whether it is at this channel, and not at one that had its id before.
    pub(in crate::channel) fn is_at(&self, channel: &Arc<Channel>) -> bool {
        Arc::ptr_eq(&self.channel, channel)
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        self.channel.viewers.send_modify(|viewers| *viewers -= 1);
        self.channel.seek();
    }
}

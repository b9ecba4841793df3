//! What this node does with each channel that is open here: it writes it, or follows it.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{follow::Command, outbox::Outbox};
use crate::ident::ChannelKey;

/// What is open here.
#[derive(Default)]
pub(super) struct Lines {
    next: AtomicU64,
    open: Mutex<HashMap<ChannelKey, (u64, Line)>>,
}

/// What is done with a channel here.
#[derive(Clone)]
pub(super) enum Line {
    Writes(Arc<Outbox>),
    Follows(mpsc::Sender<Command>),
}

impl Lines {
    /// From now on this is done with a channel. Gives the line's number.
    pub(super) fn open(&self, key: &ChannelKey, line: Line) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.lock().insert(key.clone(), (number, line));
        number
    }

    /// A line is over, if it still is the channel's.
    pub(super) fn close(&self, key: &ChannelKey, number: u64) {
        let mut open = self.open.lock();
        if open.get(key).is_some_and(|(of, _)| *of == number) {
            open.remove(key);
        }
    }

    pub(super) fn get(&self, key: &ChannelKey) -> Option<Line> {
        self.open.lock().get(key).map(|(_, line)| line.clone())
    }

    pub(super) fn writes(&self, key: &ChannelKey) -> bool {
        matches!(self.get(key), Some(Line::Writes(_)))
    }

    pub(super) fn outboxes(&self) -> Vec<Arc<Outbox>> {
        let open = self.open.lock();
        open.values()
            .filter_map(|(_, line)| match line {
                Line::Writes(outbox) => Some(Arc::clone(outbox)),
                Line::Follows(_) => None,
            })
            .collect()
    }
}

//! How far one tenure has got on its way to the disk, and what its channel may therefore show.
//!
//! Writes nothing: see `commit`, whose threads tell it what is written and what is safe.

use std::{
    collections::VecDeque,
    sync::{
        Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

use super::{
    super::{Progress, Promise},
    format::TenureRecord,
};

/// How far one tenure has got.
#[derive(Default)]
pub(super) struct Tail {
    number: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The record that begins the tenure; empty where there is none.
    tenure: Vec<u8>,
    progress: Option<Weak<dyn Progress>>,
    waits: VecDeque<Wait>,
    reached: u64,
    /// The last seq that was handed over.
    last: u64,
    /// The journal's files that hold what is kept nowhere else, and up to which seq at most.
    files: VecDeque<(u32, u64)>,
    orphaned: bool,
}

struct Wait {
    seq: u64,
    promise: Promise,
    position: u64,
}

impl Tail {
    /// The tenure that this record tells of begins, where everything up to and with `reached` is kept.
    pub(super) fn begin(&self, tenure: &TenureRecord, reached: u64) {
        self.number.store(tenure.number, Ordering::Relaxed);
        let mut state = self.state.lock();
        tenure.write(&mut state.tenure);
        (state.reached, state.last) = (reached, reached);
    }

    /// The tenure's number; 0: it has not begun.
    pub(super) fn number(&self) -> u64 {
        self.number.load(Ordering::Relaxed)
    }

    /// False: the disk has failed before.
    pub(super) fn report_to(&self, progress: Weak<dyn Progress>) -> bool {
        let mut state = self.state.lock();
        state.progress = Some(progress);
        !state.orphaned
    }

    /// The file of the journal from which on it is needed; `None`: it is not.
    pub(super) fn since(&self) -> Option<u32> {
        self.state.lock().files.front().map(|(file, _)| *file)
    }

    /// Everything up to and with `seq` is kept elsewhere too.
    pub(super) fn kept_through(&self, seq: u64) {
        let mut state = self.state.lock();
        while state.files.pop_front_if(|(_, last)| *last <= seq).is_some() {}
    }

    /// Everything up to and with `seq` was handed over; its last byte is written at `position`.
    pub(super) fn waits(&self, seq: u64, promise: Promise, position: u64) {
        let mut state = self.state.lock();
        state.waits.push_back(Wait { seq, promise, position });
        state.last = state.last.max(seq);
    }

    /// What was handed over is written to this file of the journal; the last of it may not be yet. Where it is the first of
    /// the tenure's there, the record that begins the tenure is to be written before it.
    pub(super) fn is_in(&self, file: u32, begins: impl FnOnce(&[u8])) {
        let mut state = self.state.lock();
        let last = state.last;
        match state.files.back_mut() {
            Some((known, through)) if *known == file => *through = last,
            _ => {
                state.files.push_back((file, last));
                begins(&state.tenure);
            }
        }
    }

    /// Tells the channel what it may show. Says whether something that is written waits until it is safe.
    pub(super) fn advance(&self, written: u64, safe: u64) -> bool {
        let (progress, reached, waits) = {
            let mut state = self.state.lock();
            let before = state.reached;
            if state.orphaned {
                return false;
            }
            while let Some(wait) = state.waits.front() {
                let position = if wait.promise == Promise::Written { written } else { safe };
                if wait.position > position {
                    break;
                }
                state.reached = wait.seq;
                state.waits.pop_front();
            }
            let progress = state.progress.clone().filter(|_| state.reached > before);
            let waits = state.waits.front().is_some_and(|wait| wait.position <= written);
            (progress, state.reached, waits)
        };
        if let Some(progress) = progress.and_then(|it| it.upgrade()) {
            progress.reached(reached);
        }
        waits
    }

    pub(super) fn orphan(&self) {
        let (progress, reached) = {
            let mut state = self.state.lock();
            state.orphaned = true;
            state.waits.clear();
            (state.progress.clone(), state.reached)
        };
        if let Some(progress) = progress.and_then(|it| it.upgrade()) {
            progress.orphaned(reached);
        }
    }
}

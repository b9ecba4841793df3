//! The pen of one tenure: gathers a batch, makes one record of it, and hands it over. No I/O.

use std::sync::{Arc, Weak};

use prost::encoding::encode_varint;

use super::{
    super::{Ack, Commit, Element, Progress, StoreError, Writer},
    commit::Commits,
    format::EventsHead,
    tail::Tail,
};

pub(super) struct Pen {
    commits: Arc<Commits>,
    tail: Arc<Tail>,
    number: u64,
    batch: Batch,
    record: Vec<u8>,
}

#[derive(Default)]
struct Batch {
    first_seq: u64,
    count: u64,
    base_ms: u64,
    last_ms: u64,
    deltas: Vec<u8>,
    events: Vec<u8>,
}

impl Pen {
    pub(super) fn new(commits: Arc<Commits>, tail: Arc<Tail>) -> Self {
        let number = tail.number();
        let (batch, record) = (Batch::default(), Vec::new());
        Self { commits, tail, number, batch, record }
    }
}

impl Writer for Pen {
    fn report_to(&mut self, progress: Weak<dyn Progress>) -> Result<(), StoreError> {
        match self.tail.report_to(progress) {
            true => Ok(()),
            false => Err(self.commits.unavailable()),
        }
    }

    fn append(&mut self, Element { seq, at_ms, bytes }: Element<'_>) {
        let batch = &mut self.batch;
        if batch.count == 0 {
            (batch.first_seq, batch.base_ms, batch.last_ms) = (seq, at_ms, at_ms);
        }
        encode_varint(at_ms - batch.last_ms, &mut batch.deltas);
        batch.events.extend_from_slice(bytes);
        batch.last_ms = at_ms;
        batch.count += 1;
    }

    fn commit(&mut self, commit: Commit) -> Result<Ack, StoreError> {
        let Batch { first_seq, count, base_ms, .. } = self.batch;
        if count == 0 {
            return Ok(Ack::Later);
        }
        let Commit { promise, generations, running } = commit;
        let number = self.number;
        let head = EventsHead { number, generations, running, first_seq, count, base_ms };
        head.write(&self.batch.deltas, &self.batch.events, &mut self.record);
        self.commits.push(&self.tail, &self.record, first_seq + count - 1, promise);
        self.record.clear();
        self.batch.deltas.clear();
        self.batch.events.clear();
        self.batch.count = 0;
        Ok(Ack::Later)
    }
}

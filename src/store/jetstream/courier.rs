//! Takes what one tenure's pen has written to NATS, one message after another, and learns there that the tenure is over.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::try_join;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    super::{News, Progress, Role, StoreError, Tenure},
    inner::{Inner, Read},
    nats::{AGAIN_AFTER, Message, NotTaken},
    outbox::{Next, Outbox, Sending, Standing},
    record::{self, Entry, Record, SaidRecord, Told},
};

/// What is said within so long goes in one message, unless somebody waits for it.
const TICK: Duration = Duration::from_millis(10);

pub(super) struct Courier {
    pub(super) inner: Arc<Inner>,
    pub(super) line: u64,
    pub(super) subject: String,
    pub(super) outbox: Arc<Outbox>,
    pub(super) pen: u64,
    /// The record that begins the tenure, where that goes with the first that is said.
    pub(super) first: Option<Vec<u8>>,
    pub(super) how: Standing,
    /// How the channel stands in the log.
    pub(super) entry: Entry,
    /// When the last message was sent.
    pub(super) sent: Option<Instant>,
}

/// How a tenure ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Everything was sent, and nothing more will be said.
    Done,
    /// Another node took over, or what was said could not all be taken.
    Over,
}

/// Whose the last message is.
enum Whose {
    /// Of this tenure, with this last seq.
    Ours(u64, u64),
    Anothers,
}

impl Courier {
    pub(super) async fn run(mut self) {
        let closing = self.inner.closing.clone();
        let work = async {
            let end = self.work().await;
            self.inner.lines.close(&self.entry.key, self.line);
            if end == End::Over {
                // Boxed: few tenures come to it, and it would make all of them large.
                Box::pin(self.give_way()).await;
            }
        };
        closing.run_until_cancelled_owned(work).await;
    }

    async fn work(&mut self) -> End {
        loop {
            let ended = match self.outbox.next(self.how) {
                Next::Send(sending) => self.send(sending).await,
                Next::Look => self.look().await,
                Next::Overflown => return End::Over,
                Next::End => return End::Done,
                Next::Wait => {
                    self.outbox.wake.notified().await;
                    self.keep_pace().await;
                    None
                }
            };
            if let Some(end) = ended {
                return end;
            }
        }
    }

    /// Waits for the tick to be over, unless somebody waits for what was said.
    async fn keep_pace(&self) {
        let Some(until) = self.sent.map(|sent| sent + TICK) else { return };
        while !self.outbox.is_urgent() && Instant::now() < until {
            tokio::select! {
                () = sleep_until(until) => return,
                () = self.outbox.wake.notified() => {}
            }
        }
    }

    async fn send(&mut self, sending: Sending) -> Option<End> {
        let mut payload = self.first.clone().unwrap_or_default();
        payload.extend_from_slice(&sending.payload);
        let payload = Bytes::from(payload);
        let length = payload.len() as u64;
        self.sent = Some(Instant::now());
        let taken = match sending.how.running > self.how.running {
            false => self.take(&payload, &sending).await,
            // What begins is ended by another node, should this one die: nobody is told of it before all can know.
            true => {
                let foretold = async {
                    self.foretell(sending.how).await;
                    Ok(())
                };
                match try_join(self.take(&payload, &sending), foretold).await {
                    Ok((taken, ())) => Ok(taken),
                    Err(end) => Err(end),
                }
            }
        };
        match taken {
            Ok((at, term)) => {
                self.first = None;
                self.stand(at, length, &sending);
                self.outbox.acked(&sending, term);
                None
            }
            Err(end) => Some(end),
        }
    }

    /// Sends a message until NATS has it. Gives its number, and in which time of holding the lease it was sent.
    async fn take(&self, payload: &Bytes, sending: &Sending) -> Result<(u64, Option<u64>), End> {
        loop {
            let term = self.inner.lease.term(Instant::now());
            let sent = self.inner.nats.append(&self.subject, payload.clone(), self.entry.at).await;
            match sent {
                Ok(at) => return Ok((at, term)),
                Err(NotTaken::Unknown | NotTaken::Full) => sleep(AGAIN_AFTER).await,
                // Perhaps by the same message, whose acknowledgement was lost.
                Err(NotTaken::Overtaken) => match self.whose().await {
                    Whose::Ours(at, seq) if seq == sending.how.last_seq => return Ok((at, term)),
                    Whose::Ours(..) | Whose::Anothers => return Err(End::Over),
                },
            }
        }
    }

    /// All nodes are told that something is about to run.
    async fn foretell(&self, how: Standing) {
        let mut entry = self.entry.clone();
        entry.take(how);
        self.inner.stands(entry);
        self.inner.is_noted(&self.entry.key).await;
    }

    fn stand(&mut self, at: u64, length: u64, sending: &Sending) {
        self.how = sending.how;
        let entry = &mut self.entry;
        entry.take(sending.how);
        entry.at = at;
        entry.bytes += length;
        if sending.turns {
            self.inner.stands(entry.clone());
        }
    }

    /// Looks whether another node has taken over.
    async fn look(&mut self) -> Option<End> {
        let ours = match self.last().await {
            Some(message) => message.at == self.entry.at,
            None => self.entry.at == 0,
        };
        if ours {
            // What all nodes know of it may be lost.
            self.inner.note(self.entry.key.clone());
        }
        (!ours).then_some(End::Over)
    }

    async fn whose(&self) -> Whose {
        let Some(message) = self.last().await else { return Whose::Anothers };
        let at = message.at;
        let records = record::read(message.payload).unwrap_or_default();
        match records.last() {
            Some(Record::Said(SaidRecord { pen, slice, .. })) if *pen == self.pen => {
                Whose::Ours(at, slice.last_seq)
            }
            _ => Whose::Anothers,
        }
    }

    /// The last message, however long NATS takes.
    async fn last(&self) -> Option<Message> {
        loop {
            match self.inner.nats.last(&self.subject).await {
                Ok(last) => return last,
                Err(_) => sleep(AGAIN_AFTER).await,
            }
        }
    }

    /// The tenure is over: the channel goes on here as whatever it is in the log. Where that is still this tenure, NATS has lost some
    /// of it, or could not take all of it: then numbers were given that are to mean nothing else, and it goes on in a new epoch.
    async fn give_way(self) {
        let Some(progress) = self.outbox.end() else { return };
        let key = &self.entry.key;
        tracing::warn!(channel = %key.id, "a channel's tenure here is over");
        while progress.strong_count() > 0 {
            let ours = match self.inner.read(key).await {
                Ok(Some(Read { told, .. })) => {
                    (told.gone.is_none() && told.pen == self.pen).then_some(told)
                }
                Ok(None) | Err(StoreError::Damaged(_)) => None,
                Err(_) => {
                    sleep(AGAIN_AFTER).await;
                    continue;
                }
            };
            let Some(mut told) = ours else { return self.inner.tell_anew(key, &progress).await };
            match self.inner.begin_tenure(key, &mut told, true).await {
                Ok(()) => return self.go_on(&progress, &told),
                Err(_) => sleep(AGAIN_AFTER).await,
            }
        }
    }

    fn go_on(&self, progress: &Weak<dyn Progress>, told: &Told) {
        let key = &self.entry.key;
        let pen = self.inner.write(key, told, None);
        self.inner.stands(told.entry(key));
        // Where nobody looks any more the pen is put down again.
        if let Some(progress) = progress.upgrade() {
            let (kept, role) = (told.kept.clone(), Role::Writes(Box::new(pen)));
            progress.news(News::Replaced(Tenure { kept, role }));
        }
    }
}

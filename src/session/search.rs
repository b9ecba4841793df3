//! What waits for channels that are not in memory, and for what was published to be safe. Bounded; does no I/O itself.
//!
//! What is asked of one channel is carried out in the order in which it was asked.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use prost::Message;

use super::{
    reach::{Errand, Looked, Looking},
    refusals::Refusal,
};
use crate::{
    access::Action,
    channel::{Channel, Watch},
    wire::proto::{self, control::Body as Answer},
};

/// The most requests that wait at once.
const WAITING_MAX: usize = 1_024;

/// The most bytes that they have.
const WAITING_BYTES_MAX: usize = 1024 * 1024;

/// So many are ample: no further subscription of a hello is begun yet.
const AMPLE: usize = 64;

/// What is wanted of a channel.
#[derive(Debug)]
pub(super) enum Wanted {
    Subscribe(proto::Subscribe),
    Cancel(proto::Cancel),
    Publish(proto::Publish),
}

impl Wanted {
    /// What is to be done with the channel.
    pub(super) fn action(&self) -> Action {
        match self {
            Self::Subscribe(_) => Action::Read,
            Self::Cancel(_) => Action::Cancel,
            Self::Publish(_) => Action::Publish,
        }
    }

    /// The channel's id, as it was asked for.
    pub(super) fn channel(&self) -> &str {
        match self {
            Self::Subscribe(wanted) => &wanted.channel,
            Self::Cancel(cancel) => &cancel.channel,
            Self::Publish(publish) => &publish.channel,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Subscribe(wanted) => wanted.encoded_len(),
            Self::Cancel(cancel) => cancel.encoded_len(),
            Self::Publish(publish) => publish.encoded_len(),
        }
    }
}

/// A request whose channel was found, or not.
pub(super) struct Found {
    pub(super) request: u64,
    pub(super) wanted: Wanted,
    pub(super) channel: Result<Arc<Channel>, Refusal>,
}

/// The requests of one session that wait.
#[derive(Default)]
pub(super) struct Search {
    looking: FuturesUnordered<Looking>,
    /// In the order in which they came.
    waiting: Vec<Waiting>,
    tickets: u64,
    bytes: usize,
    published: Vec<Published>,
    /// What other nodes are asked for, one after another.
    errands: VecDeque<(u64, Errand)>,
    /// Of the session's task, once it has looked.
    waker: Option<Waker>,
}

/// A request that waits.
struct Waiting {
    ticket: u64,
    request: u64,
    wanted: Wanted,
    /// What came of it, where another of the same channel's waits before it.
    looked: Option<Looked>,
}

/// Something that was published, and is not shown yet.
struct Published {
    request: u64,
    channel: Arc<Channel>,
    seq: u64,
    /// How often the channel had been replaced before.
    replaced: u32,
    _watch: Watch,
}

impl Search {
    /// Lets a request wait for its channel.
    pub(super) fn wait(&mut self, request: u64, wanted: Wanted, look: impl FnOnce(u64) -> Looking) {
        self.tickets += 1;
        self.looking.push(look(self.tickets));
        self.bytes += wanted.bytes();
        self.waiting.push(Waiting { ticket: self.tickets, request, wanted, looked: None });
    }

    /// Whether something waits for the channel of this id.
    pub(super) fn awaits(&self, channel: &str) -> bool {
        self.waiting.iter().any(|it| it.wanted.channel() == channel)
    }

    /// The requests whose channels were looked for. The task is woken when there are more.
    pub(super) fn poll_found(&mut self, cx: &mut Context<'_>) -> Vec<Found> {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
        let mut news = false;
        while let Poll::Ready(Some((ticket, looked))) = self.looking.poll_next_unpin(cx) {
            news = true;
            // It may have been taken back.
            if let Some(it) = self.waiting.iter_mut().find(|it| it.ticket == ticket) {
                it.looked = Some(looked);
            }
        }
        if news { self.take_found() } else { Vec::new() }
    }

    /// Takes those that were looked for and before which no other of the same channel's waits.
    fn take_found(&mut self) -> Vec<Found> {
        let (mut found, mut still) = (Vec::new(), Vec::<Waiting>::new());
        for mut it in std::mem::take(&mut self.waiting) {
            let is_next = !still.iter().any(|one| one.wanted.channel() == it.wanted.channel());
            match it.looked.take_if(|_| is_next) {
                Some(looked) => {
                    self.bytes -= it.wanted.bytes();
                    let channel = looked.map_err(Refusal::from);
                    found.push(Found { request: it.request, wanted: it.wanted, channel });
                }
                None => still.push(it),
            }
        }
        self.waiting = still;
        found
    }

    /// The same, where it is asked outside of the task's own poll.
    pub(super) fn found(&mut self) -> Vec<Found> {
        let waker = self.waker.clone();
        self.poll_found(&mut Context::from_waker(waker.as_ref().unwrap_or(Waker::noop())))
    }

    /// Takes a subscription back that waits, and gives the request that it came by.
    pub(super) fn take_back(&mut self, alias: u32) -> Option<u64> {
        let is_it = |it: &Waiting| matches!(&it.wanted, Wanted::Subscribe(it) if it.alias == alias);
        let place = self.waiting.iter().position(is_it)?;
        let taken = self.waiting.remove(place);
        self.bytes -= taken.wanted.bytes();
        Some(taken.request)
    }

    /// Something was published, and is told when it is shown.
    pub(super) fn publish(
        &mut self,
        request: u64,
        channel: Arc<Channel>,
        (seq, replaced): (u64, u32),
        watch: Watch,
    ) {
        self.published.push(Published { request, channel, seq, replaced, _watch: watch });
    }

    /// What was published and is shown now, or never will be.
    pub(super) fn shown(&mut self) -> Vec<(u64, Result<proto::Published, Refusal>)> {
        if self.published.is_empty() {
            return Vec::new();
        }
        let is_lost = |it: &Published| it.channel.replaced() != it.replaced;
        let done = |it: &mut Published| is_lost(it) || it.channel.head() >= it.seq;
        let shown = self.published.extract_if(.., done);
        shown
            .map(|it| {
                let (channel, epoch) = (it.channel.key().id.to_string(), it.channel.epoch());
                let published = proto::Published { channel, epoch: epoch.to_string(), seq: it.seq };
                let lost = Refusal::new("unavailable", "another node took the channel over");
                (it.request, if is_lost(&it) { Err(lost) } else { Ok(published) })
            })
            .collect()
    }

    /// Lets another node be asked for something, after what it was asked for before.
    pub(super) fn send(&mut self, request: u64, errand: Errand) {
        self.errands.push_back((request, errand));
    }

    /// What came of the next errand, and for which request. The task is woken when it is done.
    pub(super) fn poll_errand(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<(u64, Result<Answer, Refusal>)> {
        let Some((request, errand)) = self.errands.front_mut() else { return Poll::Pending };
        let (request, answer) = (*request, ready!(errand.as_mut().poll(cx)));
        self.errands.pop_front();
        Poll::Ready((request, answer))
    }

    /// Whether there is room for many more.
    pub(super) fn is_ample(&self) -> bool {
        self.waiting.len().max(self.looking.len()) < AMPLE
    }

    /// Whether more wait than may.
    pub(super) fn is_flooded(&self) -> bool {
        // What was taken back is still looked for.
        let told = self.published.len().max(self.errands.len());
        let most = self.waiting.len().max(self.looking.len()).max(told);
        most > WAITING_MAX || self.bytes > WAITING_BYTES_MAX
    }
}

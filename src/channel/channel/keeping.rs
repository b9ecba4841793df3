//! A channel and its store: opened from what is kept, kept again, and told how far its store has got.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        channels::Around,
        log::{Log, NotWhole},
        producer::{Producer, Running},
        restored::Restored,
        succession::Orphan,
    },
    Channel, Ended, Inner, Life,
};
use crate::{
    clock,
    event::{Event, Failed, FailureCode, Kind},
    ident::{ChannelKey, GenerationId},
    sequence::{Cursor, Epoch, Past},
    store::{self, Forgotten, Kept, News, Progress, Role, Slice, Tenure, Writer},
    wire,
};

impl Channel {
    /// The channel of a tenure, with all that was kept of it. A generation of an earlier writer's that had not ended ends
    /// here: nobody will say more of it.
    pub(in crate::channel) fn open(
        key: ChannelKey,
        tenure: Tenure,
        bytes_max: usize,
        around: Arc<Around>,
    ) -> Result<Arc<Self>, NotWhole> {
        let Tenure { kept, role } = tenure;
        let (named, epoch) = (kept.named, kept.epoch);
        let (inner, ended) = inner_of(kept, bytes_max)?;
        let channel = Arc::new_cyclic(|this| Self {
            this: this.clone(),
            key,
            named,
            epoch: AtomicU32::new(epoch.as_u32()),
            bytes_max,
            head: AtomicU64::new(0),
            last_end: AtomicU64::new(0),
            inner: Mutex::new(inner),
            viewers: watch::Sender::new(0),
            around,
        });
        channel.take_up(&mut channel.inner.lock(), role, &ended);
        Ok(channel)
    }

    /// Shows what was kept; where it is written here, ends what an earlier writer left.
    fn take_up(&self, inner: &mut Inner, role: Role, ended: &[bool]) {
        let progress: Weak<Self> = self.this.clone();
        let last_seq = inner.log.last_seq();
        for (started, _) in
            inner.generations.clone().iter().zip(ended).filter(|(_, ended)| !**ended)
        {
            inner.running.push(Running::new(&started.id, CancellationToken::new()));
        }
        let writes = match role {
            Role::Writes(writer) => {
                inner.writer = writer;
                if inner.writer.report_to(progress).is_err() {
                    self.go_on_alone(inner, last_seq);
                }
                true
            }
            Role::Follows(mut following) => {
                following.report_to(progress);
                inner.following = Some(following);
                false
            }
        };
        self.show(inner, last_seq);
        if inner.running.is_empty() && !self.named && !inner.generations.is_empty() {
            inner.life = Life::Closed;
            self.show(inner, last_seq);
        }
        if writes {
            self.end_lost(inner, &[]);
        }
    }

    /// What the generations that run have left at the store, for when this node takes over.
    pub(in crate::channel) fn inherit(&self, left: Vec<(GenerationId, Bytes)>) {
        let mut inner = self.inner.lock();
        inner.left.retain(|(id, _)| !left.iter().any(|(other, _)| id == other));
        inner.left.extend(left);
    }

    /// What ran where another node wrote, and can go on here.
    fn orphans(&self, inner: &mut Inner) -> Vec<Orphan> {
        let left = std::mem::take(&mut inner.left);
        let (Some(this), Some(_)) = (self.this.upgrade(), self.around.successor.get()) else {
            return Vec::new();
        };
        let cursor = Cursor { epoch: self.epoch(), seq: inner.log.last_seq() };
        let replaced = inner.replaced;
        let running = |id: &GenerationId| inner.running.iter().any(|running| running.id == *id);
        let left = left.into_iter().filter(|(id, _)| running(id));
        let orphan = |(id, handover): (GenerationId, Bytes)| {
            let mut generations = (0..).zip(&inner.generations);
            let (index, started) = generations.find(|(_, it)| it.id == id.as_str())?;
            let producer = Producer::new(Arc::clone(&this), index, cursor, replaced);
            Some(Orphan { producer, started: started.clone(), handover })
        };
        left.filter_map(orphan).collect()
    }

    /// Ends what runs, but for those that go on: nobody will say more of it.
    fn end_lost(&self, inner: &mut Inner, but: &[Orphan]) {
        let running: Vec<GenerationId> = inner.running.iter().map(|it| it.id.clone()).collect();
        for (index, started) in (0..).zip(inner.generations.clone()) {
            let goes_on = but.iter().any(|orphan| orphan.started.id == started.id);
            if goes_on || !running.iter().any(|id| id.as_str() == started.id) {
                continue;
            }
            let lost = Failed::new(FailureCode::GatewayLost, "the gateway stopped while it ran");
            let lost = Event { generation: index, choice: 0, kind: Kind::Failed(lost) };
            if let Err(error) = self.append_locked(inner, std::slice::from_ref(&lost)) {
                tracing::error!(channel = %self.key.id, %error, "a lost generation was not ended");
            }
        }
    }

    /// Whether another node writes it.
    pub fn follows(&self) -> bool {
        self.inner.lock().following.is_some()
    }

    /// What the writer elsewhere has said.
    fn hear(&self, inner: &mut Inner, slice: &Slice) {
        if inner.following.is_none() || slice.last_seq <= inner.log.last_seq() {
            return;
        }
        if inner.log.restore(slice).is_err() {
            tracing::error!(channel = %self.key.id, first_seq = slice.first_seq, "events are missing");
            return;
        }
        for (seq, event) in (slice.first_seq..).zip(wire::decode_elements(&slice.events)) {
            let terminal = event.is_terminal();
            match event.kind {
                Kind::Started(started) => {
                    inner.running.push(Running::new(&started.id, CancellationToken::new()));
                    inner.generations.push(started);
                }
                _ if terminal => inner.ending.push_back((seq, event.generation)),
                _ => {}
            }
        }
        inner.last_event = Instant::now();
        self.show(inner, slice.last_seq);
        inner.log.trim(self.bytes_max, slice.last_seq);
    }

    /// Another node took over: what is kept now is the channel, and whoever speaks here is cut off.
    fn replace(&self, inner: &mut Inner, Tenure { kept, role }: Tenure) {
        let epoch = kept.epoch;
        let (mut anew, ended) = match inner_of(kept, self.bytes_max) {
            Ok(anew) => anew,
            Err(error) => {
                tracing::error!(channel = %self.key.id, %error, "what another node wrote cannot be read");
                return;
            }
        };
        inner.running.drain(..).for_each(|running| running.stop.cancel());
        anew.signals = std::mem::take(&mut inner.signals);
        anew.replaced = inner.replaced + 1;
        *inner = anew;
        self.epoch.store(epoch.as_u32(), Ordering::Release);
        self.take_up(inner, role, &ended);
    }

    /// It is over for good, and its readers are told; whoever speaks here is cut off.
    fn go(&self, inner: &mut Inner, how: Ended) {
        inner.running.iter().for_each(|running| running.stop.cancel());
        inner.life = Life::Gone(how);
        let shown = inner.shown;
        self.show(inner, shown);
    }

    /// This node writes from now on. Gives what can go on here; the rest of what ran ends.
    fn appoint(
        &self,
        inner: &mut Inner,
        epoch: Epoch,
        past: Vec<Past>,
        mut writer: Box<dyn Writer>,
    ) -> Vec<Orphan> {
        inner.following = None;
        self.begin_epoch(inner, epoch, past);
        let progress: Weak<Self> = self.this.clone();
        let refused = writer.report_to(progress).is_err();
        inner.writer = writer;
        if refused {
            let last_seq = inner.log.last_seq();
            self.go_on_alone(inner, last_seq);
        }
        let orphans = self.orphans(inner);
        self.end_lost(inner, &orphans);
        orphans
    }

    /// Another tenure begins, of which everything before is kept.
    fn begin_epoch(&self, inner: &mut Inner, epoch: Epoch, past: Vec<Past>) {
        inner.past = past;
        self.epoch.store(epoch.as_u32(), Ordering::Release);
        let last_seq = inner.log.last_seq();
        self.show(inner, last_seq);
    }

    /// From now on it is in memory only, in a new epoch: nothing after `through` is kept.
    fn go_on_alone(&self, inner: &mut Inner, through: u64) {
        inner.past.push(Past { epoch: self.epoch(), valid_through: through });
        inner.writer = store::nowhere();
        self.epoch.store(Epoch::random().as_u32(), Ordering::Release);
    }

    /// What a store keeps of it.
    pub(in crate::channel) fn kept(&self) -> Kept {
        let (mut kept, view) = {
            let inner = self.inner.lock();
            let kept = Kept {
                past: inner.past.clone(),
                last_ms: inner.log.last_ms(),
                generations: inner.generations.len() as u32,
                running: inner.will_run(),
                ..Kept::nothing(self.named, self.epoch())
            };
            (kept, inner.log.view())
        };
        (kept.base, kept.slices) = view.kept();
        kept
    }
}

/// A channel's inside with what was kept of it, before anything is shown; and which of its generations have ended.
fn inner_of(kept: Kept, bytes_max: usize) -> Result<(Inner, Vec<bool>), NotWhole> {
    let Kept { past, base, slices, .. } = kept;
    let now_ms = clock::now_ms();
    let first_ms = slices.first().map_or(now_ms, |slice| slice.times.base_ms);
    let mut restored = Restored::default();
    if let Some(base) = &base {
        restored.base(&base.state);
    }
    let mut log = base.map_or_else(|| Log::new(first_ms), |base| Log::based(base, first_ms));
    for slice in &slices {
        log.restore(slice)?;
        wire::decode_elements(&slice.events).for_each(|event| restored.event(event));
        log.trim(bytes_max, log.last_seq());
    }
    let idle = Duration::from_millis(match log.last_seq() {
        0 => 0,
        _ => now_ms.saturating_sub(log.last_ms()),
    });
    let now = Instant::now();
    let inner = Inner {
        log,
        past,
        writer: store::nowhere(),
        following: None,
        replaced: 0,
        shown: 0,
        ending: VecDeque::new(),
        signals: Vec::new(),
        generations: restored.generations,
        running: Vec::new(),
        left: Vec::new(),
        life: Life::Open,
        last_event: now.checked_sub(idle).unwrap_or(now),
        sought: now,
        spare: true,
    };
    Ok((inner, restored.ended))
}

impl Progress for Channel {
    fn reached(&self, seq: u64) {
        let mut inner = self.inner.lock();
        // Of a tenure that is over, perhaps.
        let seq = seq.min(inner.log.last_seq());
        self.show(&mut inner, seq);
    }

    fn news(&self, news: News) {
        let mut inner = self.inner.lock();
        match news {
            News::Said(slice) => self.hear(&mut inner, &slice),
            News::Succeeded { epoch, past } => self.begin_epoch(&mut inner, epoch, past),
            News::Appointed { epoch, past, writer } => {
                let orphans = self.appoint(&mut inner, epoch, past, writer);
                drop(inner);
                if let Some(successor) = self.around.successor.get().and_then(Weak::upgrade) {
                    orphans.into_iter().for_each(|orphan| successor.go_on(orphan));
                }
            }
            News::Replaced(tenure) => self.replace(&mut inner, tenure),
            News::Forgotten(Forgotten::Deleted) => self.go(&mut inner, Ended::Deleted),
            // There is no more to be had of one that is damaged, either.
            News::Forgotten(Forgotten::Expired) | News::Damaged => {
                self.go(&mut inner, Ended::Evicted);
            }
        }
    }

    fn orphaned(&self, through: u64) {
        let mut inner = self.inner.lock();
        self.go_on_alone(&mut inner, through);
        let last_seq = inner.log.last_seq();
        self.show(&mut inner, last_seq);
    }
}

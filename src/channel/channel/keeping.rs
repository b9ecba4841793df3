//! A channel and its store: opened from what is kept, kept again, and told how far its store has got.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        log::{Log, NotWhole},
        producer::Running,
        restored::Restored,
    },
    Channel, Inner, Life,
};
use crate::{
    clock,
    event::{Event, Failed, FailureCode, Kind},
    ident::{ChannelKey, GenerationId},
    sequence::{Epoch, Past},
    store::{self, Kept, Progress, Tenure},
    wire,
};

impl Channel {
    /// The channel of a tenure, with all that was kept of it. A generation of an earlier writer's that had not ended ends
    /// here: nobody will say more of it.
    pub(in crate::channel) fn open(
        key: ChannelKey,
        tenure: Tenure,
        bytes_max: usize,
    ) -> Result<Arc<Self>, NotWhole> {
        let Tenure { kept, writer } = tenure;
        let Kept { named, epoch, past, base, slices, .. } = kept;
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
        let last_seq = log.last_seq();
        let idle = Duration::from_millis(match last_seq {
            0 => 0,
            _ => now_ms.saturating_sub(log.last_ms()),
        });
        let now = Instant::now();
        let channel = Arc::new(Self {
            key,
            named,
            epoch: AtomicU32::new(epoch.as_u32()),
            bytes_max,
            head: AtomicU64::new(0),
            last_end: AtomicU64::new(0),
            inner: Mutex::new(Inner {
                log,
                past,
                writer,
                shown: 0,
                ending: VecDeque::new(),
                signals: Vec::new(),
                generations: restored.generations,
                running: Vec::new(),
                life: Life::Open,
                last_event: now.checked_sub(idle).unwrap_or(now),
                spare: true,
            }),
            viewers: watch::Sender::new(0),
        });
        channel.take_up(&restored.ended);
        Ok(channel)
    }

    /// Begins to write: shows what was kept, and ends what an earlier writer left.
    fn take_up(self: &Arc<Self>, ended: &[bool]) {
        let progress: Weak<Self> = Arc::downgrade(self);
        let mut inner = self.inner.lock();
        let last_seq = inner.log.last_seq();
        if inner.writer.report_to(progress).is_err() {
            self.go_on_alone(&mut inner, last_seq);
        }
        for (started, _) in
            inner.generations.clone().iter().zip(ended).filter(|(_, ended)| !**ended)
        {
            let id = GenerationId::claimed(&started.id);
            inner.running.push(Running { id, stop: CancellationToken::new() });
        }
        self.show(&mut inner, last_seq);
        if inner.running.is_empty() && !self.named && !inner.generations.is_empty() {
            inner.life = Life::Closed;
            self.show(&mut inner, last_seq);
        }
        for (index, _) in (0..).zip(ended).filter(|(_, ended)| !**ended) {
            let lost = Failed::new(FailureCode::GatewayLost, "the gateway stopped while it ran");
            let lost = Event { generation: index, choice: 0, kind: Kind::Failed(lost) };
            if let Err(error) = self.append_locked(&mut inner, std::slice::from_ref(&lost)) {
                tracing::error!(channel = %self.key.id, %error, "a lost generation was not ended");
            }
        }
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

impl Progress for Channel {
    fn reached(&self, seq: u64) {
        let mut inner = self.inner.lock();
        // Of a tenure that is over, perhaps.
        let seq = seq.min(inner.log.last_seq());
        self.show(&mut inner, seq);
    }

    fn orphaned(&self, through: u64) {
        let mut inner = self.inner.lock();
        self.go_on_alone(&mut inner, through);
        let last_seq = inner.log.last_seq();
        self.show(&mut inner, last_seq);
    }
}

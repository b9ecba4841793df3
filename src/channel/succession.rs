//! What becomes of a generation whose node is lost: what it left for whoever takes its channel over, and who goes on with it.
//!
//! Also whom another node asks to begin one, where something runs already on the channel that it was asked for.
//!
//! A generation that another node could go on with leaves a [`Handover`] at the store, which knows nothing of what is in it.
//! The node that takes the channel over then does not end what was lost but gives it, as an [`Orphan`], to its [`Successor`].

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use tokio::{sync::oneshot, time::Duration};

use super::{Channel, Channels, Producer};
use crate::{
    event::Started,
    ident::{ChannelKey, GenerationId},
    store::{Begun, Pending, Refusal, StoreError},
};

/// How long to wait before a store that could not is asked again.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// Goes on with what another node began, and begins what another one was asked for.
pub trait Successor: Send + Sync {
    /// Goes on with a generation; waits for nothing. Whoever drops the orphan's producer ends it: `failed: gateway_lost`.
    fn go_on(&self, orphan: Orphan);

    /// Begins a generation that another node was asked for, on a channel that this one writes; waits for nothing.
    fn begin(&self, channel: &Arc<Channel>, call: Bytes) -> Result<Begun, Refusal>;

    /// What is remembered here of an answer on a channel: see [`Channels::recall`]. `None`: nothing.
    fn recall<'a>(&'a self, channel: &'a ChannelKey, question: Bytes)
    -> Pending<'a, Option<Bytes>>;
}

/// A generation that another node began, and that is this one's now.
#[derive(Debug)]
pub struct Orphan {
    /// Its pen.
    pub producer: Producer,
    /// How it began.
    pub started: Started,
    /// What was left for it.
    pub handover: Bytes,
}

/// What another node needs to go on with a generation, for a store that nodes share.
#[derive(Clone)]
pub struct Handover {
    channels: Arc<Channels>,
    call: Bytes,
}

/// A handover that was left at the store, or soon is. Dropping it leaves it there.
#[derive(Debug)]
pub struct Deposit {
    withdrawn: oneshot::Sender<()>,
    is_there: Arc<AtomicBool>,
}

impl Handover {
    /// What is in it is for whoever goes on to know.
    pub fn new(channels: Arc<Channels>, call: Bytes) -> Self {
        Self { channels, call }
    }

    /// Leaves it at the store; waits for nothing.
    pub fn deposit(self, key: ChannelKey, generation: GenerationId) -> Deposit {
        let (withdrawn, is_withdrawn) = oneshot::channel();
        let is_there = Arc::new(AtomicBool::new(false));
        let deposit = Deposit { withdrawn, is_there: Arc::clone(&is_there) };
        let Self { channels, call } = self;
        let tasks = channels.tasks.clone();
        tasks.spawn(async move {
            let store = &channels.store;
            let (at, of) = (&key, &generation);
            let kept = async move {
                while let Err(error) = store.deposit(at, of, call.clone()).await {
                    if matches!(error, StoreError::TooLarge { .. }) {
                        tracing::debug!(generation = %of, %error, "no other gateway can go on with it");
                        return;
                    }
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                is_there.store(true, Ordering::Release);
            };
            let mut is_withdrawn = is_withdrawn;
            let ended = tokio::select! {
                ended = &mut is_withdrawn => Some(ended),
                () = kept => None,
            };
            let ended = match ended {
                Some(ended) => ended,
                None => is_withdrawn.await,
            };
            // It may be there although nobody said so.
            if ended.is_ok()
                && let Err(error) = store.withdraw(&key, &generation).await
            {
                tracing::debug!(%generation, %error, "what was left for another gateway stays for a while");
            }
        });
        deposit
    }
}

impl Deposit {
    /// Whether the store has it: then another node can go on.
    pub fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Acquire)
    }

    /// The generation has ended: nobody needs it any more.
    pub fn withdraw(self) {
        // Whoever does not listen any more is at the end of everything.
        let _ = self.withdrawn.send(());
    }
}

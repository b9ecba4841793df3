//! Stopping what runs on a channel, and leaving it to another node.
//!
//! Ends nothing itself: whoever runs a generation says its last event.

use tokio_util::sync::CancellationToken;

use super::{Channel, Running};
use crate::ident::GenerationId;

impl Channel {
    /// Stops a generation, or all that run. Stopping one that has ended changes nothing.
    pub fn cancel(&self, generation: Option<&GenerationId>) -> Result<(), UnknownGeneration> {
        let inner = self.inner.lock();
        if let Some(id) = generation
            && !inner.generations.iter().any(|started| started.id == id.as_str())
        {
            return Err(UnknownGeneration);
        }
        let meant = |running: &&Running| generation.is_none_or(|id| *id == running.id);
        inner.running.iter().filter(meant).for_each(|running| running.stop.cancel());
        Ok(())
    }

    /// Those that run.
    pub(in crate::channel) fn running(&self) -> Vec<GenerationId> {
        self.inner.lock().running.iter().map(|it| it.id.clone()).collect()
    }

    /// Another node goes on with a running generation.
    pub(in crate::channel) fn leave(&self, index: u32) {
        let mut inner = self.inner.lock();
        let Some(id) = inner.generations.get(index as usize).map(|it| it.id.clone()) else {
            return;
        };
        let running = inner.running.iter_mut().find(|it| it.id.as_str() == id);
        running.into_iter().for_each(|running| running.left = true);
    }

    /// Whether a generation, or one of all, is left to another node: it cannot be stopped here any more.
    pub(in crate::channel) fn has_left(&self, generation: Option<&GenerationId>) -> bool {
        let inner = self.inner.lock();
        let mut meant = inner.running.iter().filter(|it| generation.is_none_or(|id| *id == it.id));
        meant.any(|running| running.left)
    }

    /// From now on a running generation is stopped by this.
    pub(in crate::channel) fn stop_by(&self, index: u32, stop: &CancellationToken) {
        let mut inner = self.inner.lock();
        let Some(id) = inner.generations.get(index as usize).map(|it| it.id.clone()) else {
            return;
        };
        if let Some(running) = inner.running.iter_mut().find(|it| it.id.as_str() == id) {
            // It may have been stopped already.
            if std::mem::replace(&mut running.stop, stop.clone()).is_cancelled() {
                stop.cancel();
            }
        }
    }
}

/// The generation named is not one of this channel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such generation on this channel")]
pub struct UnknownGeneration;

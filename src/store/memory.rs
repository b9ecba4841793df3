//! The engine that keeps nothing beyond the process: the channel's own log is all there is.

use std::{sync::Weak, time::Duration};

use parking_lot::Mutex;

use super::{
    Ack, AtRest, Commit, Element, Forgotten, Health, Intent, Kept, NotOpened, Pending, Progress,
    Role, Store, StoreError, Tenure, Writer, tombstones::Tombstones,
};
use crate::{
    clock,
    ident::{ChannelKey, Owner},
    sequence::Epoch,
};

/// Every tenure is a new life, so every one has a new epoch. All it remembers is which channels expired.
#[derive(Debug, Default)]
pub struct Memory {
    tombstones: Mutex<Tombstones>,
    /// Why it stands in for another.
    degraded: Option<String>,
}

impl Memory {
    /// In place of a store that cannot be used, and why it cannot.
    pub fn instead(why: String) -> Self {
        Self { degraded: Some(why), ..Self::default() }
    }

    fn take_over(&self, key: &ChannelKey, intent: Intent) -> Result<Tenure, NotOpened> {
        let mut tombstones = self.tombstones.lock();
        match intent {
            Intent::Find if tombstones.contains(key) => Err(NotOpened::Expired),
            Intent::Find => Err(NotOpened::Unknown),
            Intent::Make | Intent::Name => {
                tombstones.raise(key);
                let kept = Kept::nothing(intent == Intent::Name, Epoch::random());
                Ok(Tenure { kept, role: Role::Writes(nowhere()) })
            }
        }
    }
}

impl Store for Memory {
    fn open<'a>(
        &'a self,
        key: &'a ChannelKey,
        intent: Intent,
    ) -> Pending<'a, Result<Tenure, NotOpened>> {
        Box::pin(async move { self.take_over(key, intent) })
    }

    fn keeps(&self) -> bool {
        false
    }

    fn rest<'a>(&'a self, _: &'a ChannelKey, _: Kept) -> Pending<'a, Result<(), StoreError>> {
        let why = "nothing is kept beyond this process".to_owned();
        Box::pin(async { Err(StoreError::Unavailable(why)) })
    }

    fn forget<'a>(
        &'a self,
        key: &'a ChannelKey,
        why: Forgotten,
    ) -> Pending<'a, Result<(), StoreError>> {
        Box::pin(async move {
            if why == Forgotten::Expired {
                self.tombstones.lock().bury(key.clone(), clock::now_ms());
            }
            Ok(())
        })
    }

    fn sweep(&self, now_ms: u64, _: Duration) -> Pending<'_, ()> {
        Box::pin(async move { self.tombstones.lock().sweep(now_ms) })
    }

    fn unfinished(&self) -> Vec<ChannelKey> {
        Vec::new()
    }

    fn may_have(&self, _: &ChannelKey) -> bool {
        false
    }

    fn at_rest(&self, _: &Owner) -> Vec<AtRest> {
        Vec::new()
    }

    fn health(&self) -> Health {
        Health { degraded: self.degraded.clone(), ..Health::default() }
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {})
    }
}

/// The log in memory already holds what it is given.
struct Nowhere;

/// A pen that writes nowhere: of what is in memory only.
pub fn nowhere() -> Box<dyn Writer> {
    Box::new(Nowhere)
}

impl Writer for Nowhere {
    fn report_to(&mut self, _: Weak<dyn Progress>) -> Result<(), StoreError> {
        Ok(())
    }

    fn append(&mut self, _: Element<'_>) {}

    fn commit(&mut self, _: Commit) -> Result<Ack, StoreError> {
        Ok(Ack::Now)
    }
}

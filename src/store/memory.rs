//! The engine that keeps nothing beyond the process: the channel's own log is all there is.

use super::{Batch, Store, StoreError, Tenure, Writer};
use crate::{ident::ChannelKey, sequence::Epoch};

/// Every tenure is a new life, so every one has a new epoch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory;

impl Store for Memory {
    fn open(&self, _: &ChannelKey) -> Result<Tenure, StoreError> {
        Ok(Tenure { epoch: Epoch::random(), writer: Box::new(Nowhere) })
    }

    fn delete(&self, _: &ChannelKey) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The log in memory already holds what it is given.
struct Nowhere;

impl Writer for Nowhere {
    fn append(&mut self, _: &Batch<'_>) -> Result<(), StoreError> {
        Ok(())
    }
}

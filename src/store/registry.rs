//! Where the answers are that apps come back for by an id, for stores that nodes share: any node may be asked, and the one that an
//! answer was begun at may be gone.
//!
//! What is told of an answer, and what a node is asked about it, is for those who tell and ask to know: here it is bytes.

use bytes::Bytes;

use super::{Pending, StoreError};
use crate::ident::{ChannelKey, Owner};

/// Tells nodes of each other's answers. An id is only its owner's.
pub trait Registry: Send + Sync {
    /// Tells all nodes of an owner's answer, in place of what was told of it before. They know it for a day at most.
    fn tell<'a>(
        &'a self,
        owner: &'a Owner,
        id: &'a str,
        what: Bytes,
    ) -> Pending<'a, Result<(), StoreError>>;

    /// What was told of an id.
    fn look_up<'a>(
        &'a self,
        owner: &'a Owner,
        id: &'a str,
    ) -> Pending<'a, Result<Registered, StoreError>>;

    /// Asks a node for more than was told. `None`: it is gone, or does not know. Err: it does not answer.
    fn recall<'a>(
        &'a self,
        node: &'a str,
        channel: &'a ChannelKey,
        question: Bytes,
    ) -> Pending<'a, Result<Option<Bytes>, StoreError>>;
}

/// What all nodes know of an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// Nothing.
    Unknown,
    /// That it is somebody else's.
    Anothers,
    /// Where it is.
    Told {
        /// The node that told it.
        node: String,
        /// What it told.
        what: Bytes,
    },
}

//! The native client: follows channels of a gateway over WebTransport, through every drop.
//!
//! `follow` is the pure part: what a subscription makes of its frames. `client` keeps a connection under it.

mod client;
mod discover;
mod follow;

pub use client::{Client, ClientError, SubscriptionId, Target};
pub use discover::CannotDiscover;
pub use follow::{Broken, Follow, Item};

//! The native client.

mod follow;

pub use follow::{Broken, Follow, Item};

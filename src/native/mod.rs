//! The native client: follows channels of a gateway over WebTransport, through every drop.
//!
//! `follow` is the pure part: what a subscription makes of its frames. `client` keeps a connection under it: it notices
//! within about a second that the path is gone, connects again and resumes from the cursors, so that every event is told
//! once and in order. A client whose machine changes networks keeps its connection: QUIC follows the new address, and the
//! client speaks often enough for that to be noticed at once. A gateway that is about to stop is left for the next one
//! before it goes. There are no datagrams here and no WebSocket: a program has UDP, or it can use the HTTP views.
//!
//! ```no_run
//! use std::io::Write;
//!
//! use tokenway::{
//!     event::Kind,
//!     native::{Client, Item, Target},
//!     sequence::From,
//! };
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let token = std::env::var("TOKENWAY_TOKEN").ok();
//! let target = Target::discover("http://localhost:8080", token).await?;
//! let mut client = Client::connect(target).await?;
//! client.subscribe("chat-42", From::Beginning, false);
//! loop {
//!     match client.next().await?.1 {
//!         Item::Events { events, .. } => {
//!             for event in events {
//!                 if let Kind::Text(text) = event.kind {
//!                     print!("{text}");
//!                 }
//!             }
//!             std::io::stdout().flush()?;
//!         }
//!         // The head of the channel was trimmed: this is all of it so far, folded.
//!         Item::Snapshot(snapshot) => println!("{} generations", snapshot.generations.len()),
//!         Item::Rewind { valid_through, .. } => println!("forget what came after {valid_through}"),
//!         Item::End { .. } => return Ok(()),
//!     }
//! }
//! # }
//! ```

mod client;
mod discover;
mod follow;

pub use client::{Client, ClientError, SubscriptionId, Target};
pub use discover::CannotDiscover;
pub use follow::{Broken, Follow, Item};

pub use crate::transport::webtransport::{CannotDial, Trust};

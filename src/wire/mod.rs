//! The contract with clients: the messages of `proto/tokenway/v1`, and their domain meaning.
//!
//! `proto` is generated and is named nowhere outside this module, `frame`, `session` and the `native` client. Decides
//! nothing about delivery.

mod event;
mod frame;
pub mod json;
mod snapshot;
pub mod ui_message;

pub use event::{BadEvent, decode_event, encode_event};
pub use frame::{EVENTS_TAG, FrameHeader, Framing, TooLong, decode_elements, delimit};
pub use snapshot::{decode_state, encode_state, snapshot_from_wire, snapshot_to_wire};

/// The generated messages. Their documentation is in the proto files.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/tokenway.v1.rs"));
}

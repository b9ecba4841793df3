//! OpenAI's Responses, both ways, with the deviations of everybody who speaks it too.
//!
//! In: [`Decoder`] for a stream, [`decode_whole`] for a body, [`failure`] for an HTTP error. Out: [`Encoder`] for a
//! stream, [`encode_whole`] for a body, [`snapshot`] for a body at any moment, [`error_wire`] where no encoder runs.
//! [`Request`] reads and edits what an app asks; [`write`] asks a provider.
//!
//! Items that a provider sends are named to its own dialect by `native` events: an item that begins by one with its `id`
//! (and `phase`), what the words cannot say by one with the whole item. So a stream that is encoded anew has the
//! provider's own item ids.

mod ask;
mod cite;
mod decode;
mod encode;
mod fail;
mod frame;
mod input;
mod items;
mod lifecycle;
mod output;
mod request;
mod response;
mod said;
#[cfg(test)]
mod trial;
mod turns;
mod usage;
mod whole;
mod write;

pub use decode::{Decoder, decode_whole};
pub use encode::Encoder;
pub use fail::{error_wire, error_wire_at, failure, tells_failure};
pub use request::Request;
pub use response::{response_id, response_of_item};
pub use whole::{encode_whole, items_of, named_items_of, snapshot, snapshot_of};
pub use write::write;

/// The dialect's word in events.
const NAME: &str = "responses";

//! OpenAI's Responses, both ways, with the deviations of everybody who speaks it too.
//!
//! In: [`Decoder`] for a stream, [`decode_whole`] for a body, [`failure`] for an HTTP error. Out: [`Encoder`] for a
//! stream, [`encode_whole`] for a body, [`snapshot`] for a body at any moment, [`error_wire`] where no encoder runs.
//! [`Request`] reads and edits what an app asks; [`write`] asks a provider.
//!
//! Items that a provider sends are named to its own dialect by `native` events: an item that begins by one with its `id`
//! (and `phase`), what the words cannot say by one with the whole item. So a stream that is encoded anew has the
//! provider's own item ids.

mod cite;
mod decode;
mod encode;
mod fail;
mod frame;
mod items;
mod lifecycle;
mod output;
mod response;
mod said;
#[cfg(test)]
mod trial;
mod usage;
mod whole;

pub use decode::{Decoder, decode_whole};
pub use encode::Encoder;
pub use fail::{error_wire, error_wire_at, failure, tells_failure};
pub use response::response_id;
pub use whole::{encode_whole, items_of, snapshot, snapshot_of};

/// The dialect's word in events.
const NAME: &str = "responses";

// SCAFFOLD
use super::{Asked, BadRequest, Call, Streaming, Unsayable, Upstream};
use bytes::Bytes;
/// x
pub fn write(_call: &Call, _model: &str) -> Result<Upstream, Unsayable> {
    Err(Unsayable { path: "$".to_owned(), dialect: "responses", why: "SCAFFOLD".to_owned() })
}
/// An app's request that has been looked at.
#[derive(Clone, Debug)]
pub struct Request;
#[allow(missing_docs)]
impl Request {
    pub fn read(_body: Bytes) -> Result<Self, BadRequest> {
        Err(BadRequest::of("$", "SCAFFOLD"))
    }
    pub fn model(&self) -> &str {
        ""
    }
    pub fn streams(&self) -> bool {
        false
    }
    pub fn asked(&self) -> Asked {
        Asked::default()
    }
    pub fn call(&self) -> Result<Call, BadRequest> {
        Err(BadRequest::of("$", "SCAFFOLD"))
    }
    pub fn upstream(&self, _model: &str, _streaming: Streaming) -> Upstream {
        Upstream {
            path: String::new(),
            headers: Vec::new(),
            body: Bytes::new(),
            dropped: super::call::Dropped::default(),
        }
    }
}

//! OpenAI's Chat Completions, both ways, with the deviations of everybody who calls themselves compatible.
//!
//! In: [`Decoder`] for a stream, [`decode_whole`] for a body, [`failure`] for an HTTP error. Out: [`Encoder`] for a
//! stream, [`encode_whole`] for a body, [`error_body`] for an HTTP error. [`Request`] edits what an app asks, or reads
//! it for providers of other dialects; [`write`] is for apps of other dialects.

mod chunk;
mod cite;
mod content;
mod decode;
mod details;
mod encode;
mod error;
mod fail;
mod finish;
mod media;
mod mend;
mod read;
mod request;
mod sources;
mod strip;
mod tools;
mod usage;
mod whole;
mod completion;
mod write;

pub use completion::encode_whole;
pub use decode::Decoder;
pub use encode::Encoder;
pub use error::{error_body, error_payload, tells_failure};
pub use fail::failure;
pub use request::Request;
pub use whole::decode_whole;
pub use write::write;

/// The dialect's word in events.
const NAME: &str = "openai";

/// The name of a chunk: its `object`, and of a `native` event that is a whole one.
const CHUNK: &str = "chat.completion.chunk";

/// The name of a `native` event that is a payload, but no chunk.
const STRAY: &str = "stray";

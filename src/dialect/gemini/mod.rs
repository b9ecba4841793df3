//! Google's Gemini, both ways.
//!
//! In: [`Decoder`] for a stream, [`decode_whole`] for a body, [`failure`] for an HTTP error. Out: [`Encoder`] for a
//! stream, [`encode_whole`] for a body, [`error_body`] for an HTTP error. [`Request`] reads what an app asks, [`write`]
//! asks a provider; [`model_list`] and [`count_tokens`] are the small answers beside them.

mod base64;
mod calls;
mod content;
mod decode;
mod encode;
mod error;
mod fail;
mod fields;
mod finish;
mod models;
mod patch;
mod pending;
mod read;
#[cfg(test)]
mod recordings;
mod request;
mod schema;
mod sources;
mod speech;
mod strip;
mod usage;
mod whole;
mod write;

pub use decode::Decoder;
pub use encode::Encoder;
pub use error::{error_body, error_wire};
pub use fail::{failure, retry_after, tells_failure};
pub use models::{count_tokens, model_entry, model_list};
pub use request::{AppFraming, Request, resource};
pub use whole::{decode_whole, encode_whole};
pub use write::write;

/// The dialect's word in events.
const NAME: &str = "gemini";

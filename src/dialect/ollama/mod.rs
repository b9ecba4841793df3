//! Ollama's own dialect (`/api/chat`, and the streams of `/api/generate`); from providers only.
//!
//! In: [`Decoder`] for a stream of lines, [`decode_whole`] for a body, [`failure`] for an HTTP error. Out: [`write`].

mod chunk;
mod decode;
mod fail;
mod write;

#[cfg(test)]
mod recorded;

pub use decode::{Decoder, decode_whole};
pub use fail::{failure, tells_failure};
pub use write::write;

/// The dialect's word in events and errors.
const NAME: &str = "ollama";

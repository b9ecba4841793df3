//! Amazon Bedrock's ConverseStream; from providers only.
//!
//! In: [`Decoder`] for a stream, whether of `converse-stream` or of `invoke-with-response-stream` (Anthropic's events and
//! Nova's), [`decode_whole`] for a body, [`failure`] for an HTTP error. Out: [`write`] says a call as ConverseStream.
//! What the members mean and how long they may be is botocore's service model of `bedrock-runtime`.

mod converse;
mod decode;
mod fail;
mod finish;
mod payload;
mod usage;
mod whole;
mod write;

#[cfg(test)]
mod recorded;

pub use decode::Decoder;
pub use fail::{failure, tells_failure};
pub use whole::decode_whole;
pub use write::write;

/// The dialect's word in events and errors.
const NAME: &str = "bedrock";

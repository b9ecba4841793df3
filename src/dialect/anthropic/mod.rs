//! Anthropic's Messages, both ways, as spoken by Anthropic, on Vertex and in Bedrock's InvokeModel, and by everybody who
//! calls themselves compatible.
//!
//! In: [`Decoder`] for a stream, [`decode_whole`] for a body, [`failure`] for an HTTP error. Out: [`Encoder`] for a
//! stream, [`encode_whole`] for a body, [`error_body`] for an HTTP error. [`Request`] reads what an app asks, [`write()`]
//! writes what a provider is asked, [`count_body`] and [`count_answer`] are for `count_tokens`.
//!
//! What the events' words cannot say of a message travels as `native`: a block that is no text, thought or tool call, or
//! that is empty, as `content_block.TYPE`, also in front of a tool call that has more than an id, a name and arguments;
//! members of the message's end as `message_delta.NAME`; whole events that nobody knows under their own type.

mod blocks;
mod braces;
mod completion;
mod content;
mod count;
mod decode;
mod encode;
mod error;
mod fields;
mod finish;
mod held;
mod read;
mod request;
mod shapes;
mod step;
mod steps;
mod strip;
mod thinking;
mod turns;
mod usage;
mod voice;
mod write;

pub use completion::encode_whole;
pub use count::{count_answer, count_body, count_estimate};
pub use decode::{Decoder, decode_whole};
pub use encode::Encoder;
pub use error::{error_body, error_wire, failure, tells_failure};
pub use request::Request;
pub use thinking::takes_prefill;
// Claude is the same wherever it runs: Bedrock's writer asks what it takes.
pub(super) use thinking::{Against, Plan, Thinking};
pub(super) use write::sampling;
pub use write::write;

/// The dialect's word in events.
const NAME: &str = "anthropic";

/// Under the provider's origin.
const PATH: &str = "/v1/messages";

/// The header that every call needs, and its only value since 2023.
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

/// The name of a `native` event that is a payload, but no event of the dialect.
const STRAY: &str = "stray";

/// What the name of a `native` event that is a content block begins with.
const BLOCK: &str = "content_block.";

/// The name of a `native` event that is a piece of a block too long for one event: a JSON string, to be joined with those
/// that follow.
const BLOCK_PART: &str = "content_block_part";

/// The name of a `native` event that is the last such piece.
const BLOCK_LAST: &str = "content_block_last";

/// What the name of a `native` event that is a piece of a block of unknown kind begins with.
const DELTA: &str = "content_block_delta.";

/// What the name of a `native` event that is a member of the message's end begins with.
const END: &str = "message_delta.";

/// A text block in which nothing was said, or in which what follows is said.
const EMPTY_TEXT: &str = r#"{"type":"text","text":""}"#;

/// A thinking block in which nothing was said, or in which what follows is said.
const EMPTY_THINKING: &str = r#"{"type":"thinking","thinking":"","signature":""}"#;

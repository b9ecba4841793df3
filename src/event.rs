//! The words: what a generation can say.
//!
//! Plain data. No seq (that is `sequence`'s), no encoding (that is `wire`'s), no I/O. Everything left and right of the
//! log speaks in these, and in nothing narrower: what they cannot say travels as [`Kind::Native`].

use bytes::Bytes;

/// JSON text, exactly as a provider or publisher gave it. Never parsed on the way through.
pub type Json = Bytes;

/// The longest an encoded event may be, in bytes. Media and long fields are split below it.
pub const EVENT_BYTES_MAX: usize = 256 * 1024;

/// The smallest thing a generation can say.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The generation's channel-local index. Decoders leave it 0; the channel's writer stamps it.
    pub generation: u32,
    /// Which of several choices this belongs to; 0 where there is one.
    pub choice: u32,
    /// What is said.
    pub kind: Kind,
}

impl Event {
    /// An event of the first generation and the first choice.
    pub fn new(kind: Kind) -> Self {
        Self { generation: 0, choice: 0, kind }
    }

    /// A text delta of the first choice.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Kind::Text(text.into()))
    }

    /// The same event, belonging to `choice`.
    pub fn of_choice(self, choice: u32) -> Self {
        Self { choice, ..self }
    }

    /// Whether this is its generation's last event.
    pub fn is_terminal(&self) -> bool {
        matches!(self.kind, Kind::Finished(_) | Kind::Failed(_))
    }
}

/// What an event says.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// The generation's first event.
    Started(Started),
    /// A piece of the answer.
    Text(String),
    /// A piece of the model's reasoning.
    Reasoning(Reasoning),
    /// A piece of a refusal.
    Refusal(String),
    /// A tool call begins.
    ToolCall(ToolCall),
    /// A piece of a tool call's arguments.
    ToolArguments(ToolArguments),
    /// A source, as the provider gave it.
    Citation(Json),
    /// An image, audio, or a part of one.
    Media(Media),
    /// Token counts; a generation's last one holds.
    Usage(Usage),
    /// The generation goes on at another target.
    Resumed(Resumed),
    /// One of several choices ended.
    ChoiceFinished(Finished),
    /// The generation ended well; its last event.
    Finished(Finished),
    /// The generation ended badly; its last event.
    Failed(Failed),
    /// Published by the app or a viewer.
    Custom(Custom),
    /// A whole provider payload that the other words cannot say.
    Native(Native),
}

/// How a generation came to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Started {
    /// The generation's id.
    pub id: String,
    /// The public model name.
    pub model: String,
    /// The configured provider's name.
    pub provider: String,
    /// The provider's dialect.
    pub dialect: String,
    /// Milliseconds since 1970 UTC.
    pub created_ms: u64,
    /// Where it is in a trace, as W3C's header has it; empty where nobody traces.
    pub traceparent: String,
}

/// A piece of reasoning; any member may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasoning {
    /// The delta.
    pub text: String,
    /// The provider's signature, byte for byte.
    pub signature: String,
    /// Encrypted or redacted reasoning, byte for byte.
    pub encrypted: String,
}

/// Who runs a tool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunBy {
    /// The app is to run it.
    #[default]
    Client,
    /// The provider runs it itself.
    Server,
}

/// A tool call begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// Counted from 0 in the order in which the choice's calls began.
    pub index: u32,
    /// The provider's id, or one the gateway made.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// Who runs it.
    pub run_by: RunBy,
}

/// A fragment of a tool call's arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolArguments {
    /// The call's index.
    pub index: u32,
    /// JSON text, a fragment.
    pub arguments: String,
}

/// A binary part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// Its MIME type.
    pub mime: String,
    /// The bytes, decoded.
    pub data: Bytes,
    /// Counted from 0 in the order in which the generation's media began.
    pub index: u32,
    /// Counted from 0 within one medium.
    pub part: u32,
    /// The medium's last part.
    pub last: bool,
}

/// Token counts, harmonised: totals include cached input and reasoning, whatever the provider counts apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// All input tokens.
    pub input: u64,
    /// All output tokens.
    pub output: u64,
    /// Part of `input`: read from the provider's cache.
    pub cached_input: u64,
    /// Part of `input`: written to the provider's cache.
    pub cache_write: u64,
    /// Part of `output`: spent on reasoning.
    pub reasoning: u64,
    /// The provider's own usage object.
    pub native: Json,
    /// Counted by the gateway, because the provider's count never came.
    pub estimated: bool,
    /// Money by the operator's price table.
    pub cost: Option<f64>,
}

/// The generation goes on at another target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resumed {
    /// The provider that broke.
    pub from: String,
    /// The provider that goes on.
    pub to: String,
    /// Why.
    pub reason: String,
    /// The dialect of the provider that goes on: from here on it is the one that speaks.
    pub dialect: String,
}

/// Why a generation or choice ended, in one vocabulary for all dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// A natural end, or a stop sequence.
    Stop,
    /// A token limit.
    Length,
    /// The app is to run tools.
    ToolCalls,
    /// A filter stopped it.
    ContentFilter,
    /// The model declined.
    Refusal,
    /// A server-side loop paused.
    Pause,
}

impl FinishReason {
    /// The word in JSON views and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Refusal => "refusal",
            Self::Pause => "pause",
        }
    }
}

/// A good end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Why, in the one vocabulary.
    pub reason: FinishReason,
    /// Why, in the provider's own word.
    pub native_reason: Option<String>,
}

/// Why a generation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureCode {
    /// Somebody cancelled it, or the disconnect policy did.
    Cancelled,
    /// The provider said so.
    UpstreamError,
    /// The provider's stream ended without its dialect's end.
    UpstreamCut,
    /// A clock ran out.
    Timeout,
    /// A limit of the gateway.
    Limit,
    /// The gateway that ran it is gone.
    GatewayLost,
}

impl FailureCode {
    /// The word in JSON views and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::UpstreamError => "upstream_error",
            Self::UpstreamCut => "upstream_cut",
            Self::Timeout => "timeout",
            Self::Limit => "limit",
            Self::GatewayLost => "gateway_lost",
        }
    }
}

/// Which clock ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutPhase {
    /// Until the connection stood.
    Connect,
    /// Until the first payload.
    FirstToken,
    /// Between payloads; comments and pings do not count.
    Idle,
    /// The whole generation.
    Total,
    /// Not a byte, from a provider that had been sending pings.
    Silent,
}

impl TimeoutPhase {
    /// The word in JSON views and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::FirstToken => "first_token",
            Self::Idle => "idle",
            Self::Total => "total",
            Self::Silent => "silent",
        }
    }
}

/// A bad end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Why.
    pub code: FailureCode,
    /// For people; holds no key and no prompt text.
    pub message: String,
    /// Which clock, where `code` is a timeout.
    pub phase: Option<TimeoutPhase>,
    /// The provider's HTTP status where it was not a success; else 0.
    pub status: u16,
}

impl Failed {
    /// A failure without a phase or status.
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), phase: None, status: 0 }
    }
}

/// Published by the app or a viewer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Custom {
    /// The publisher's own name for it.
    pub kind: String,
    /// Its content.
    pub data: Json,
}

/// A whole provider payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Native {
    /// Whose payload.
    pub dialect: String,
    /// Its name there.
    pub name: String,
    /// The payload.
    pub data: Json,
}

//! The app's side of the dialects: its requests are read here, its answers written.

use bytes::Bytes;

use super::{
    BadRequest, Call, Dialect, Streaming, Unsayable, Upstream, anthropic, bedrock, gemini, ollama,
    openai, responses,
};
use crate::event::{Event, Failed};

/// A dialect that apps speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AppDialect {
    /// OpenAI's Chat Completions.
    OpenAi,
    /// OpenAI's Responses.
    Responses,
    /// Anthropic's Messages.
    Anthropic,
    /// Google's Gemini.
    Gemini,
}

impl AppDialect {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::OpenAi, Self::Responses, Self::Anthropic, Self::Gemini];
}

impl From<AppDialect> for Dialect {
    fn from(app: AppDialect) -> Self {
        match app {
            AppDialect::OpenAi => Self::OpenAi,
            AppDialect::Responses => Self::Responses,
            AppDialect::Anthropic => Self::Anthropic,
            AppDialect::Gemini => Self::Gemini,
        }
    }
}

/// What an app's answer depends on beside the events: what it asked for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// It wants to be told usage where its dialect makes that a choice (`stream_options.include_usage`).
    pub usage: bool,
    /// Its request, for dialects whose answers repeat parts of it.
    pub request: Bytes,
}

/// One payload for an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    /// The SSE event's name; empty where it has none.
    pub name: &'static str,
    /// JSON, or a terminator.
    pub data: Bytes,
}

impl Wire {
    /// A payload without a name.
    pub fn unnamed(data: impl Into<Bytes>) -> Self {
        Self { name: "", data: data.into() }
    }
}

/// What an error says beside its status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErrorBody<'a> {
    /// For people.
    pub message: &'a str,
    /// The request's member that is wrong.
    pub param: Option<&'a str>,
    /// A word for programs; where there is none, the one that the dialect uses with the status, if any.
    pub code: Option<&'a str>,
    /// In how many seconds trying again can help, for dialects that say so in the body.
    pub retry_after: Option<u64>,
}

impl AppDialect {
    /// The word for it in configuration and in events.
    pub fn as_str(self) -> &'static str {
        Dialect::from(self).as_str()
    }

    /// The JSON body of an answer with this HTTP status.
    pub fn error_body(self, status: u16, error: ErrorBody<'_>) -> Bytes {
        match self {
            Self::OpenAi | Self::Responses => openai::error_body(status, error),
            Self::Anthropic => anthropic::error_body(status, error),
            Self::Gemini => gemini::error_body(status, error),
        }
    }

    /// The payload that tells an app within its stream that the generation failed, where no encoder runs. Nothing
    /// follows it.
    pub fn error_wire(self, failed: &Failed) -> Wire {
        match self {
            Self::OpenAi => Wire::unnamed(openai::error_payload(failed)),
            Self::Responses => responses::error_wire(failed),
            Self::Anthropic => anthropic::error_wire(failed),
            Self::Gemini => gemini::error_wire(failed),
        }
    }

    /// The body for an app that asked without streaming; the failure of a failed generation.
    pub fn encode_whole<'a>(
        self,
        events: impl IntoIterator<Item = &'a Event>,
        asked: &Asked,
    ) -> Result<Bytes, Failed> {
        match self {
            Self::OpenAi => openai::encode_whole(events),
            Self::Responses => responses::encode_whole(events, asked),
            Self::Anthropic => anthropic::encode_whole(events, asked),
            Self::Gemini => gemini::encode_whole(events, asked),
        }
    }

    /// An encoder for one generation's stream.
    pub fn encoder(self, asked: &Asked) -> Encoder {
        match self {
            Self::OpenAi => Encoder::OpenAi(openai::Encoder::new(asked)),
            Self::Responses => Encoder::Responses(responses::Encoder::new(asked)),
            Self::Anthropic => Encoder::Anthropic(anthropic::Encoder::new(asked)),
            Self::Gemini => Encoder::Gemini(gemini::Encoder::new(asked)),
        }
    }
}

/// Turns one generation's events into payloads for an app: a deterministic function of the events, so that a resumed
/// stream is the tail of the same payloads. To resume after some event, give all before it too and drop what they say.
#[derive(Debug)]
pub enum Encoder {
    /// OpenAI's Chat Completions.
    OpenAi(openai::Encoder),
    /// OpenAI's Responses.
    Responses(responses::Encoder),
    /// Anthropic's Messages.
    Anthropic(anthropic::Encoder),
    /// Google's Gemini.
    Gemini(gemini::Encoder),
}

impl Encoder {
    /// Adds the payloads that say `event` to `out`, the terminator included where the dialect has one.
    pub fn encode(&mut self, event: &Event, out: &mut Vec<Wire>) {
        match self {
            Self::OpenAi(encoder) => encoder.encode(event, out),
            Self::Responses(encoder) => encoder.encode(event, out),
            Self::Anthropic(encoder) => encoder.encode(event, out),
            Self::Gemini(encoder) => encoder.encode(event, out),
        }
    }
}

/// An app's call, as far as it must be known before its target is.
#[derive(Clone, Debug)]
pub enum AppRequest {
    /// OpenAI's Chat Completions.
    OpenAi(openai::Request),
    /// OpenAI's Responses.
    Responses(responses::Request),
    /// Anthropic's Messages.
    Anthropic(anthropic::Request),
    /// Google's Gemini.
    Gemini(gemini::Request),
}

impl AppRequest {
    /// Looks at a call's body. The model and whether it streams are in Google's path, and else in the body.
    pub fn read(
        dialect: AppDialect,
        model: &str,
        streams: bool,
        body: Bytes,
    ) -> Result<Self, BadRequest> {
        Ok(match dialect {
            AppDialect::OpenAi => Self::OpenAi(openai::Request::read(body)?),
            AppDialect::Responses => Self::Responses(responses::Request::read(body)?),
            AppDialect::Anthropic => Self::Anthropic(anthropic::Request::read(body)?),
            AppDialect::Gemini => Self::Gemini(gemini::Request::read(model, streams, body)?),
        })
    }

    /// What it speaks.
    pub fn dialect(&self) -> AppDialect {
        match self {
            Self::OpenAi(_) => AppDialect::OpenAi,
            Self::Responses(_) => AppDialect::Responses,
            Self::Anthropic(_) => AppDialect::Anthropic,
            Self::Gemini(_) => AppDialect::Gemini,
        }
    }

    /// The public model name it asks for.
    pub fn model(&self) -> &str {
        match self {
            Self::OpenAi(request) => request.model(),
            Self::Responses(request) => request.model(),
            Self::Anthropic(request) => request.model(),
            Self::Gemini(request) => request.model(),
        }
    }

    /// Whether the app wants a stream.
    pub fn streams(&self) -> bool {
        match self {
            Self::OpenAi(request) => request.streams(),
            Self::Responses(request) => request.streams(),
            Self::Anthropic(request) => request.streams(),
            Self::Gemini(request) => request.streams(),
        }
    }

    /// What its answer depends on.
    pub fn asked(&self) -> Asked {
        match self {
            Self::OpenAi(request) => request.asked(),
            Self::Responses(request) => request.asked(),
            Self::Anthropic(request) => request.asked(),
            Self::Gemini(request) => request.asked(),
        }
    }

    /// The call in words that all dialects share.
    pub fn call(&self) -> Result<Call, BadRequest> {
        let (call, conversation) = match self {
            Self::OpenAi(request) => (request.call()?, "messages"),
            Self::Responses(request) => (request.call()?, "input"),
            Self::Anthropic(request) => (request.call()?, "messages"),
            Self::Gemini(request) => (request.call()?, "contents"),
        };
        match call.turns.is_empty() && call.system.is_empty() {
            true => {
                let problem =
                    format!("$.{conversation} is missing or empty: say something to answer");
                Err(BadRequest::of(conversation, problem))
            }
            false => Ok(call),
        }
    }

    /// The call for a provider that speaks `target`. Between like and like it is edited in place; else it is read and
    /// written anew, and always streamed.
    pub fn upstream(
        &self,
        target: Dialect,
        model: &str,
        streaming: Streaming,
    ) -> Result<Upstream, BadRequest> {
        if target != Dialect::from(self.dialect()) {
            return Ok(target.write(&self.call()?, model)?);
        }
        Ok(match self {
            Self::OpenAi(request) => request.upstream(model, streaming),
            Self::Responses(request) => request.upstream(model, streaming),
            Self::Anthropic(request) => request.upstream(model, streaming),
            Self::Gemini(request) => request.upstream(model, streaming),
        })
    }
}

impl Dialect {
    /// Writes a call for a provider's model, to be streamed.
    pub fn write(self, call: &Call, model: &str) -> Result<Upstream, Unsayable> {
        match self {
            Self::OpenAi => openai::write(call, model),
            Self::Responses => responses::write(call, model),
            Self::Anthropic => anthropic::write(call, model),
            Self::Gemini => gemini::write(call, model),
            Self::Ollama => ollama::write(call, model),
            Self::Bedrock => bedrock::write(call, model),
        }
    }
}

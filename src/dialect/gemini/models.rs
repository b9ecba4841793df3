//! The small answers beside generations: which models there are, and how many tokens a prompt has.

use bytes::Bytes;
use serde::Serialize;

use super::super::call::{Call, Part, PartKind, Source, Tool};

/// Characters that a token has, about, in any tokenizer.
const TOKEN_CHARS: u64 = 4;
/// Tokens that a picture, a sound or a document has, for want of knowing: what Google counts for a small picture.
const MEDIUM_TOKENS: u64 = 258;

#[derive(Serialize)]
struct List<'a> {
    models: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    name: String,
    version: &'static str,
    display_name: &'a str,
    supported_generation_methods: [&'static str; 3],
}

impl<'a> Entry<'a> {
    fn of(name: &'a str) -> Self {
        Self {
            name: format!("models/{name}"),
            version: "",
            display_name: name,
            supported_generation_methods: [
                "generateContent",
                "streamGenerateContent",
                "countTokens",
            ],
        }
    }
}

/// The body of `GET /v1beta/models`.
pub fn model_list<'a>(names: impl IntoIterator<Item = &'a str>) -> Bytes {
    let list = List { models: names.into_iter().map(Entry::of).collect() };
    serde_json::to_vec(&list).expect("strings become JSON").into()
}

/// The body of `GET /v1beta/models/{name}`.
pub fn model_entry(name: &str) -> Bytes {
    serde_json::to_vec(&Entry::of(name)).expect("strings become JSON").into()
}

/// The body of `:countTokens` where no provider counts: an estimate by the length of the text.
pub fn count_tokens(call: &Call) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Counted {
        total_tokens: u64,
    }
    let turns = call.turns.iter().flat_map(|turn| &turn.parts);
    let parts: u64 = call.system.iter().chain(turns).map(tokens).sum();
    let tools: u64 = call
        .tools
        .iter()
        .map(|tool| match tool {
            Tool::Native { value, .. } => of_text(value.get()),
            Tool::Function(it) => {
                of_text(&it.name)
                    + it.description.as_deref().map_or(0, of_text)
                    + it.parameters.as_ref().map_or(0, |schema| of_text(schema.get()))
            }
        })
        .sum();
    let counted = Counted { total_tokens: parts + tools };
    serde_json::to_vec(&counted).expect("numbers become JSON").into()
}

fn tokens(part: &Part) -> u64 {
    match &part.kind {
        PartKind::Text(text) | PartKind::Refusal(text) => of_text(text),
        PartKind::Image(blob)
        | PartKind::Document(blob)
        | PartKind::Audio(blob)
        | PartKind::Video(blob) => match &blob.source {
            Source::Text(text) => of_text(text),
            Source::Base64(_) | Source::Url(_) | Source::File(_) => MEDIUM_TOKENS,
        },
        PartKind::Reasoning(thought) => of_text(&thought.text),
        PartKind::ToolCall(call) => of_text(&call.name) + of_text(&call.arguments),
        PartKind::ToolResult(result) => result.content.iter().map(tokens).sum(),
        PartKind::Native(raw) => of_text(raw.get()),
    }
}

fn of_text(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or(u64::MAX).div_ceil(TOKEN_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::gemini::Request;

    #[test]
    fn models_are_listed_with_what_can_be_called() {
        let methods = r#""supportedGenerationMethods":["generateContent","streamGenerateContent","countTokens"]"#;
        let entry =
            format!(r#"{{"name":"models/a/b","version":"","displayName":"a/b",{methods}}}"#);
        assert_eq!(model_entry("a/b"), entry);
        assert_eq!(model_list(["a/b"]), format!(r#"{{"models":[{entry}]}}"#));
    }

    #[test]
    fn tokens_are_estimated_from_everything_that_is_said() {
        let body = r#"{"contents":[{"parts":[{"text":"12345678"},{"inlineData":{"mimeType":"image/png","data":""}}]}],
            "systemInstruction":{"parts":{"text":"123"}}}"#;
        let request = Request::read("m", false, body.into()).expect("a request");
        let counted = count_tokens(&request.call().expect("a call"));
        assert_eq!(counted, r#"{"totalTokens":261}"#);
    }
}

//! Token counts: Google counts thoughts and tools' prompts apart, we do not.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::fields::Fields;
use crate::event::Usage;

/// Whether a usage object counts anything: some hold nothing but `trafficType`.
pub(super) fn counts(raw: &RawValue) -> bool {
    let of = |usage: Fields<'_>| {
        usage.get("promptTokenCount").or(usage.get("totalTokenCount")).is_some()
            || usage.get("candidatesTokenCount").is_some()
    };
    Fields::of(raw).is_some_and(of)
}

/// The counts of a usage object, harmonised.
pub(super) fn read(native: Bytes) -> Usage {
    let raw = serde_json::from_slice::<&RawValue>(&native).ok();
    let fields = raw.and_then(Fields::of).unwrap_or_default();
    let count = |name| fields.count(name).unwrap_or(0);
    let thoughts = count("thoughtsTokenCount");
    // A whole answer's is called so at Vertex.
    let answer =
        fields.count("candidatesTokenCount").unwrap_or_else(|| count("responseTokenCount"));
    Usage {
        input: count("promptTokenCount").saturating_add(count("toolUsePromptTokenCount")),
        output: answer.saturating_add(thoughts),
        cached_input: count("cachedContentTokenCount"),
        reasoning: thoughts,
        native: native.clone(),
        ..Usage::default()
    }
}

/// The provider's own usage object where it spoke this dialect, else one of ours.
pub(super) fn write(usage: &Usage, is_own: bool) -> Box<RawValue> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Object {
        prompt_token_count: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        cached_content_token_count: Option<u64>,
        candidates_token_count: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        thoughts_token_count: Option<u64>,
        total_token_count: u64,
    }
    let own = is_own.then(|| serde_json::from_slice(&usage.native).ok()).flatten();
    own.unwrap_or_else(|| {
        let some = |count| Some(count).filter(|&count| count > 0);
        let object = Object {
            prompt_token_count: usage.input,
            cached_content_token_count: some(usage.cached_input),
            candidates_token_count: usage.output.saturating_sub(usage.reasoning),
            thoughts_token_count: some(usage.reasoning),
            total_token_count: usage.input.saturating_add(usage.output),
        };
        to_raw_value(&object).expect("numbers become JSON")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_include_thoughts_and_tools() {
        let native = r#"{"promptTokenCount":147,"candidatesTokenCount":108,"totalTokenCount":783,
            "toolUsePromptTokenCount":360,"thoughtsTokenCount":168,"cachedContentTokenCount":7}"#;
        let usage = read(native.into());
        let counts = (usage.input, usage.output, usage.reasoning, usage.cached_input);
        assert_eq!(counts, (507, 276, 168, 7));
        assert_eq!(write(&usage, true).get(), native);
        let ours = r#"{"promptTokenCount":507,"cachedContentTokenCount":7,"candidatesTokenCount":108,"thoughtsTokenCount":168,"totalTokenCount":783}"#;
        assert_eq!(write(&usage, false).get(), ours);
    }
}

//! Token counts: found wherever providers put them, and made to mean the same.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::chunk::{Chunk, Number, is_empty};
use crate::event::Usage;

/// The usage object of a chunk: at the top, in Groq's envelope, or in a choice (Moonshot).
pub(super) fn find<'a>(chunk: &Chunk<'a>) -> Option<&'a RawValue> {
    let in_choices =
        || chunk.choices.iter().flatten().filter_map(|choice| choice.usage).find_map(object);
    chunk.usage.and_then(object).or_else(|| groq(chunk).usage.and_then(object)).or_else(in_choices)
}

/// Groq's envelope.
#[derive(Default, Deserialize)]
pub(super) struct Groq<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    /// Why a stream was stopped early.
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

pub(super) fn groq<'a>(chunk: &Chunk<'a>) -> Groq<'a> {
    chunk.x_groq.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

fn object(raw: &RawValue) -> Option<&RawValue> {
    (raw.get().starts_with('{') && !is_empty(raw)).then_some(raw)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    prompt_tokens: Number,
    completion_tokens: Number,
    total_tokens: Number,
    prompt_tokens_details: Option<Details>,
    completion_tokens_details: Option<Details>,
    /// Those who mix in the Responses words.
    input_tokens: Number,
    output_tokens: Number,
    /// DeepSeek.
    prompt_cache_hit_tokens: Number,
    /// Together, Moonshot.
    cached_tokens: Number,
    /// Translators in front of Anthropic.
    cache_creation_input_tokens: Number,
    cache_read_input_tokens: Number,
    /// Copilot.
    reasoning_tokens: Number,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Number,
    cache_write_tokens: Number,
    reasoning_tokens: Number,
}

/// The counts of a usage object, harmonised.
pub(super) fn read(native: Bytes) -> Usage {
    let counts: Counts = serde_json::from_slice(&native).unwrap_or_default();
    let prompt = counts.prompt_tokens_details.unwrap_or_default();
    let completion = counts.completion_tokens_details.unwrap_or_default();
    let first = |numbers: &[Number]| numbers.iter().find_map(|number| number.0).unwrap_or(0);

    let input = first(&[counts.prompt_tokens, counts.input_tokens]);
    let output = first(&[counts.completion_tokens, counts.output_tokens]);
    let total = first(&[counts.total_tokens]);
    let reasoning = first(&[completion.reasoning_tokens, counts.reasoning_tokens]);
    // xAI counts reasoning apart; its total gives it away.
    let apart = reasoning > 0 && total == input.saturating_add(output).saturating_add(reasoning);
    Usage {
        input,
        output: if apart { output.saturating_add(reasoning) } else { output },
        cached_input: first(&[
            prompt.cached_tokens,
            counts.prompt_cache_hit_tokens,
            counts.cached_tokens,
            counts.cache_read_input_tokens,
        ]),
        cache_write: first(&[prompt.cache_write_tokens, counts.cache_creation_input_tokens]),
        reasoning,
        native,
        estimated: false,
        cost: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(native: &'static str, expected: (u64, u64, u64, u64, u64)) {
        let u = read(Bytes::from_static(native.as_bytes()));
        let counts = (u.input, u.output, u.cached_input, u.cache_write, u.reasoning);
        assert_eq!(counts, expected, "{native}");
        assert_eq!(u.native, native);
    }

    #[test]
    fn totals_include_reasoning_whoever_counts_it_apart() {
        let xai = r#"{"prompt_tokens":213,"completion_tokens":2,"total_tokens":413,
            "completion_tokens_details":{"reasoning_tokens":198}}"#;
        check(xai, (213, 200, 0, 0, 198));
        let openai = r#"{"prompt_tokens":12,"completion_tokens":100,"total_tokens":112,
            "completion_tokens_details":{"reasoning_tokens":100}}"#;
        check(openai, (12, 100, 0, 0, 100));
    }

    #[test]
    fn cached_tokens_are_found_wherever_they_are() {
        check(
            r#"{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":4}}"#,
            (9, 0, 4, 0, 0),
        );
        check(r#"{"prompt_tokens":9,"prompt_cache_hit_tokens":4}"#, (9, 0, 4, 0, 0));
        check(r#"{"prompt_tokens":9,"cached_tokens":4,"x":1e400}"#, (9, 0, 4, 0, 0));
        check(r#"{"prompt_tokens":9,"prompt_tokens_details":null}"#, (9, 0, 0, 0, 0));
        check(
            r#"{"prompt_tokens":9.0,"prompt_tokens_details":{"cached_tokens":null,"cache_write_tokens":5}}"#,
            (9, 0, 0, 5, 0),
        );
    }
}

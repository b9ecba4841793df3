//! Token counts: input without what the cache gave and took becomes all input. Reasoning is not counted apart.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::Usage;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counts<'a> {
    #[serde(borrow)]
    input_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    output_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_read_input_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_write_input_tokens: Option<&'a RawValue>,
    /// Nova's own words.
    #[serde(borrow)]
    cache_read_input_token_count: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_write_input_token_count: Option<&'a RawValue>,
}

/// The counts of a `usage` object, harmonised.
pub(super) fn read(native: Bytes) -> Usage {
    let counts: Counts<'_> = serde_json::from_slice(&native).unwrap_or_default();
    let cached_input =
        count(counts.cache_read_input_tokens.or(counts.cache_read_input_token_count));
    let cache_write =
        count(counts.cache_write_input_tokens.or(counts.cache_write_input_token_count));
    let fresh = count(counts.input_tokens);
    let input = fresh.saturating_add(cached_input).saturating_add(cache_write);
    let output = count(counts.output_tokens);
    Usage { input, output, cached_input, cache_write, native, ..Usage::default() }
}

fn count(raw: Option<&RawValue>) -> u64 {
    raw.and_then(|raw| raw.get().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_includes_what_was_read_from_the_cache_and_written_to_it() {
        for native in [
            r#"{"inputTokens":5,"outputTokens":7,"totalTokens":42,"cacheReadInputTokens":20,
                "cacheWriteInputTokens":10,"cacheDetails":[{"ttl":"5m","inputTokens":10}]}"#,
            r#"{"inputTokens":5,"outputTokens":7,"cacheReadInputTokenCount":20,
                "cacheWriteInputTokenCount":10,"cacheReadInputTokens":null}"#,
        ] {
            let usage = read(Bytes::from_static(native.as_bytes()));
            let counts = (usage.input, usage.output, usage.cached_input, usage.cache_write);
            assert_eq!(counts, (35, 7, 20, 10));
            assert_eq!(usage.native, native);
        }
    }

    #[test]
    fn counts_that_are_none_count_for_nothing() {
        let usage = read(Bytes::from_static(br#"{"inputTokens":-1,"outputTokens":"x"}"#));
        assert_eq!((usage.input, usage.output), (0, 0));
        let most = format!("{{\"inputTokens\":{0},\"cacheReadInputTokens\":{0}}}", u64::MAX);
        assert_eq!(read(most.into()).input, u64::MAX);
    }
}

//! Token counts: said at the beginning, said again and more fully at the end, cumulative both times.
//!
//! Of each member the last value that is not null holds. Anthropic counts input that was read from or written to its
//! cache apart from `input_tokens`; the harmonised total is the sum of the three.

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

use super::shapes::{MEMBERS_MAX, Number, first_members};
use crate::event::Usage;

/// A generation's counts, as far as they have come.
#[derive(Debug, Default)]
pub(super) struct Counted {
    members: Vec<(String, Box<RawValue>)>,
    /// Bedrock's own counts beside the stream.
    metrics: Option<Box<RawValue>>,
}

impl Counted {
    /// Takes a usage object.
    pub(super) fn add(&mut self, raw: &RawValue) {
        for (name, value) in first_members(raw, MEMBERS_MAX) {
            match self.members.iter().position(|(known, _)| *known == name) {
                _ if value.get() == "null" => {}
                Some(at) => self.members[at].1 = value.to_owned(),
                None if self.members.len() == MEMBERS_MAX => {}
                None => self.members.push((name, value.to_owned())),
            }
        }
    }

    /// Takes `amazon-bedrock-invocationMetrics`: what holds if the stream itself counts nothing.
    pub(super) fn add_metrics(&mut self, raw: &RawValue) {
        self.metrics = Some(raw.to_owned());
    }

    /// The counts, harmonised; `None` if there are none.
    pub(super) fn usage(&self) -> Option<Usage> {
        if self.members.is_empty() {
            return self.metrics.as_deref().map(of_metrics);
        }
        let native = serde_json::to_vec(&Object(&self.members)).expect("it was JSON");
        let counts: Counts = serde_json::from_slice(&native).unwrap_or_default();
        let count = |number: Number| number.0.unwrap_or(0);
        let cached_input = count(counts.cache_read_input_tokens);
        let cache_write = count(counts.cache_creation_input_tokens);
        let fresh = count(counts.input_tokens);
        Some(Usage {
            input: fresh.saturating_add(cached_input).saturating_add(cache_write),
            output: count(counts.output_tokens),
            cached_input,
            cache_write,
            reasoning: count(counts.output_tokens_details.unwrap_or_default().thinking_tokens),
            native: native.into(),
            estimated: false,
            cost: None,
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    input_tokens: Number,
    output_tokens: Number,
    cache_read_input_tokens: Number,
    cache_creation_input_tokens: Number,
    output_tokens_details: Option<Details>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    thinking_tokens: Number,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metrics {
    input_token_count: Number,
    output_token_count: Number,
    cache_read_input_token_count: Number,
    cache_write_input_token_count: Number,
}

fn of_metrics(raw: &RawValue) -> Usage {
    let metrics: Metrics = serde_json::from_str(raw.get()).unwrap_or_default();
    let count = |number: Number| number.0.unwrap_or(0);
    let cached_input = count(metrics.cache_read_input_token_count);
    let cache_write = count(metrics.cache_write_input_token_count);
    let fresh = count(metrics.input_token_count);
    Usage {
        input: fresh.saturating_add(cached_input).saturating_add(cache_write),
        output: count(metrics.output_token_count),
        cached_input,
        cache_write,
        ..Usage::default()
    }
}

/// Members in their order, each exactly as it came.
struct Object<'a>(&'a [(String, Box<RawValue>)]);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A usage object for an app. The provider's own is handed on where it spoke this dialect.
pub(super) fn object(usage: Option<&Usage>, own: bool) -> Box<RawValue> {
    #[derive(Default, Serialize)]
    struct Written {
        input_tokens: u64,
        cache_creation_input_tokens: u64,
        cache_read_input_tokens: u64,
        output_tokens: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        output_tokens_details: Option<Thinking>,
    }
    #[derive(Serialize)]
    struct Thinking {
        thinking_tokens: u64,
    }
    let native = usage.filter(|usage| own && usage.native.starts_with(b"{"));
    let native = native.and_then(|usage| serde_json::from_slice(&usage.native).ok());
    native.unwrap_or_else(|| {
        let written = usage.map_or_else(Written::default, |usage| {
            // Some count more from the cache than they count at all; their total is what holds.
            let read = usage.cached_input.min(usage.input);
            let written = usage.cache_write.min(usage.input - read);
            let thinking = Thinking { thinking_tokens: usage.reasoning };
            Written {
                input_tokens: usage.input - read - written,
                cache_creation_input_tokens: written,
                cache_read_input_tokens: read,
                output_tokens: usage.output,
                output_tokens_details: (usage.reasoning > 0).then_some(thinking),
            }
        });
        serde_json::value::to_raw_value(&written).expect("numbers become JSON")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(objects: &[&str]) -> Usage {
        let mut counted = Counted::default();
        for object in objects {
            counted.add(serde_json::from_str(object).expect(object));
        }
        counted.usage().expect("counted")
    }

    #[test]
    fn the_last_value_that_is_not_null_holds_and_input_includes_the_cache() {
        let usage = counted(&[
            r#"{"input_tokens":3,"cache_creation_input_tokens":4512,"cache_read_input_tokens":0,"output_tokens":1,"service_tier":"standard"}"#,
            r#"{"input_tokens":null,"output_tokens":6,"output_tokens_details":{"thinking_tokens":2},"big":90071992547409931234}"#,
        ]);
        assert_eq!((usage.input, usage.cache_write, usage.cached_input), (4515, 4512, 0));
        assert_eq!((usage.output, usage.reasoning), (6, 2));
        assert_eq!(
            usage.native,
            r#"{"input_tokens":3,"cache_creation_input_tokens":4512,"cache_read_input_tokens":0,"output_tokens":6,"service_tier":"standard","output_tokens_details":{"thinking_tokens":2},"big":90071992547409931234}"#
        );
    }

    #[test]
    fn what_is_written_for_an_app_leaves_the_cache_out_of_the_input() {
        let usage = Usage {
            input: 100,
            output: 9,
            cached_input: 60,
            cache_write: 30,
            reasoning: 4,
            native: "{\"prompt_tokens\":100}".into(),
            ..Usage::default()
        };
        assert_eq!(
            object(Some(&usage), false).get(),
            r#"{"input_tokens":10,"cache_creation_input_tokens":30,"cache_read_input_tokens":60,"output_tokens":9,"output_tokens_details":{"thinking_tokens":4}}"#
        );
        assert_eq!(object(Some(&usage), true).get(), "{\"prompt_tokens\":100}");
        let odd = Usage { input: 7, cached_input: 161, ..Usage::default() };
        assert_eq!(
            object(Some(&odd), false).get(),
            r#"{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":7,"output_tokens":0}"#
        );
    }

    #[test]
    fn bedrocks_metrics_hold_where_the_stream_counts_nothing() {
        let mut counted = Counted::default();
        let metrics = r#"{"inputTokenCount":5,"outputTokenCount":7,"invocationLatency":9}"#;
        counted.add_metrics(serde_json::from_str(metrics).expect("JSON"));
        let usage = counted.usage().expect("counted");
        assert_eq!((usage.input, usage.output), (5, 7));
        counted.add(serde_json::from_str(r#"{"input_tokens":6}"#).expect("JSON"));
        assert_eq!(counted.usage().map(|usage| usage.input), Some(6));
    }
}

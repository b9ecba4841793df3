//! The conventions' metrics, under the names of one or the other version.

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter},
};

use super::{Conventions, names};
use crate::event::Usage;

/// As the conventions say: 10 ms doubling to 82 s.
fn durations() -> Vec<f64> {
    (0..14).map(|power| 0.01 * f64::from(1 << power)).collect()
}

/// As the conventions say: 1 token, four times as many, up to 67 million.
fn token_counts() -> Vec<f64> {
    (0..14).map(|power| 4f64.powi(power)).collect()
}

pub(super) struct Instruments {
    pub(super) duration: Histogram<f64>,
    pub(super) time_to_first_chunk: Histogram<f64>,
    pub(super) time_per_output_chunk: Histogram<f64>,
    tokens: Tokens,
}

/// How tokens are counted is what the versions differ most in.
enum Tokens {
    Published(Histogram<u64>),
    Latest(Box<[(Counter<u64>, Of)]>),
}

/// One kind of token of a usage.
type Of = fn(&Usage) -> u64;

impl Instruments {
    pub(super) fn new(meter: &Meter, conventions: Conventions) -> Self {
        let within = match conventions {
            Conventions::Published => "gen_ai.client.operation",
            Conventions::Latest => "gen_ai.client.inference",
        };
        let seconds = |name: &str, says: &'static str| {
            let histogram = meter.f64_histogram(format!("{within}.{name}"));
            histogram.with_unit("s").with_description(says).with_boundaries(durations()).build()
        };
        Self {
            duration: seconds("duration", "A call to a provider, from its beginning to its end"),
            time_to_first_chunk: seconds("time_to_first_chunk", "Until the first output"),
            time_per_output_chunk: seconds("time_per_output_chunk", "Between two outputs"),
            tokens: match conventions {
                Conventions::Published => Tokens::Published(
                    meter
                        .u64_histogram("gen_ai.client.token.usage")
                        .with_unit("{token}")
                        .with_description("Tokens used by a generation")
                        .with_boundaries(token_counts())
                        .build(),
                ),
                Conventions::Latest => {
                    let counter = |kind: &str| {
                        let name = format!("gen_ai.client.inference.usage.{kind}");
                        meter.u64_counter(name).with_unit("{token}").build()
                    };
                    let kinds: [(_, Of); 5] = [
                        ("input_tokens", |usage| usage.input),
                        ("output_tokens", |usage| usage.output),
                        ("cache_read.input_tokens", |usage| usage.cached_input),
                        ("cache_write.input_tokens", |usage| usage.cache_write),
                        ("reasoning.output_tokens", |usage| usage.reasoning),
                    ];
                    Tokens::Latest(kinds.map(|(kind, of)| (counter(kind), of)).into())
                }
            },
        }
    }

    pub(super) fn used(&self, usage: &Usage, attributes: &[KeyValue]) {
        match &self.tokens {
            Tokens::Published(histogram) => {
                for (kind, count) in [("input", usage.input), ("output", usage.output)] {
                    let mut attributes = attributes.to_vec();
                    attributes.push(KeyValue::new(names::TOKEN_TYPE, kind));
                    histogram.record(count, &attributes);
                }
            }
            Tokens::Latest(counters) => {
                let given = counters.iter().map(|(counter, of)| (counter, of(usage)));
                given.filter(|(_, count)| *count > 0).for_each(|(counter, count)| {
                    counter.add(count, attributes);
                });
            }
        }
    }
}

//! Numbers of one round, and how several become one. Pure.

use std::fmt;

/// What one path gave in one round; latencies in milliseconds, CPU in microseconds for each token.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Round {
    pub(super) latency_p50: f64,
    pub(super) latency_p99: f64,
    pub(super) first_token_p50: f64,
    pub(super) paced_cpu: f64,
    pub(super) bulk_cpu: f64,
    /// Tokens a second.
    pub(super) bulk_rate: f64,
    /// KiB for each idle stream.
    pub(super) stream_memory: f64,
    /// Bytes for each token, HTTP framing included.
    pub(super) bytes: f64,
}

impl Round {
    fn from_fields(field: impl Fn(fn(&Self) -> f64) -> f64) -> Self {
        Self {
            latency_p50: field(|it| it.latency_p50),
            latency_p99: field(|it| it.latency_p99),
            first_token_p50: field(|it| it.first_token_p50),
            paced_cpu: field(|it| it.paced_cpu),
            bulk_cpu: field(|it| it.bulk_cpu),
            bulk_rate: field(|it| it.bulk_rate),
            stream_memory: field(|it| it.stream_memory),
            bytes: field(|it| it.bytes),
        }
    }

    /// What a path adds to the direct one of the same round: its latencies only.
    pub(super) fn added_to(&self, direct: &Self) -> Self {
        Self {
            latency_p50: self.latency_p50 - direct.latency_p50,
            latency_p99: self.latency_p99 - direct.latency_p99,
            first_token_p50: self.first_token_p50 - direct.first_token_p50,
            ..*self
        }
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "latency {:.3} / {:.3} ms, first token {:.3} ms, CPU {:.1} µs paced, {:.2} µs bulk, \
             {:.0} k tokens/s bulk, {:.1} KiB/stream, {:.0} B/token",
            self.latency_p50,
            self.latency_p99,
            self.first_token_p50,
            self.paced_cpu,
            self.bulk_cpu,
            self.bulk_rate / 1e3,
            self.stream_memory,
            self.bytes
        )
    }
}

/// Field by field, the median of the rounds.
pub(super) fn median_of(rounds: &[Round]) -> Round {
    Round::from_fields(|field| quantile(&rounds.iter().map(field).collect::<Vec<_>>(), 0.5))
}

/// The value below which this share of the values lies (nearest rank); 0 of none.
pub(super) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!([0.5, 0.99, 1.0].map(|share| quantile(&values, share)), [50.0, 99.0, 100.0]);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }

    #[test]
    fn the_median_is_taken_field_by_field() {
        let round = |latency_p50, bytes| Round { latency_p50, bytes, ..Round::default() };
        let median = median_of(&[round(3.0, 1.0), round(1.0, 2.0), round(2.0, 9.0)]);
        assert_eq!(median, round(2.0, 2.0));
    }
}

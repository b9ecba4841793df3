//! A histogram that the token path can afford: two relaxed additions to record a value, no lock.
//!
//! The library's own takes a lock for each value. This one counts in fixed buckets and sums in whole microseconds, and is
//! written out by the library's encoder.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric},
};

/// Durations, counted. Clones count together.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Upper bounds in microseconds, rising.
    bounds: &'static [u64],
    /// One for each bound, and one for what is above all of them.
    counts: Box<[AtomicU64]>,
    sum_us: AtomicU64,
}

/// What a histogram held at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Upper bounds in microseconds, rising.
    pub bounds_us: &'static [u64],
    /// How many values fell between a bound and the one before it; the last is above all bounds.
    pub counts: Vec<u64>,
    /// All values together, in microseconds.
    pub sum_us: u64,
}

impl Histogram {
    /// An empty one with these upper bounds, in microseconds, rising.
    pub fn new(bounds: &'static [u64]) -> Self {
        debug_assert!(bounds.is_sorted(), "bounds rise");
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Inner { bounds, counts, sum_us: AtomicU64::new(0) }))
    }

    /// Counts one.
    pub fn record(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let Inner { bounds, counts, sum_us } = &*self.0;
        let place = bounds.partition_point(|bound| *bound < us);
        counts[place].fetch_add(1, Relaxed);
        sum_us.fetch_add(us, Relaxed);
    }

    /// What it holds now.
    pub fn counts(&self) -> Counts {
        let Inner { bounds, counts, sum_us } = &*self.0;
        Counts {
            bounds_us: bounds,
            counts: counts.iter().map(|count| count.load(Relaxed)).collect(),
            sum_us: sum_us.load(Relaxed),
        }
    }
}

impl Counts {
    /// This and another with the same bounds, together.
    pub fn add(&mut self, other: &Self) {
        if self.counts.is_empty() {
            return self.clone_from(other);
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, more)| *sum += more);
        self.sum_us = self.sum_us.wrapping_add(other.sum_us);
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Counts { bounds_us, counts, sum_us } = self.counts();
        let bounds = bounds_us.iter().map(|bound| seconds(*bound)).chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(counts.iter().copied()).collect();
        let count = counts.iter().sum();
        encoder.encode_histogram::<NoLabelSet>(seconds(sum_us), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: &[u64] = &[10, 100, 1_000];

    #[test]
    fn a_value_on_a_bound_is_below_it() {
        let histogram = Histogram::new(BOUNDS);
        for us in [0, 10, 11, 100, 1_000, 1_001] {
            histogram.record(Duration::from_micros(us));
        }
        let counts = Counts { bounds_us: BOUNDS, counts: vec![2, 2, 1, 1], sum_us: 2_122 };
        assert_eq!(histogram.counts(), counts);
    }

    proptest! {
        #[test]
        fn every_value_is_counted_once(values in prop::collection::vec(0u64..5_000, 0..50)) {
            let histogram = Histogram::new(BOUNDS);
            values.iter().for_each(|us| histogram.record(Duration::from_micros(*us)));
            let counts = histogram.counts();
            prop_assert_eq!(counts.counts.iter().sum::<u64>(), values.len() as u64);
            prop_assert_eq!(counts.sum_us, values.iter().sum::<u64>());
        }
    }
}

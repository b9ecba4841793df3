//! Numbers for people out of two scrapes of `/metrics`. Pure.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

/// How many moments are kept: two minutes.
const POINTS_MAX: usize = 120;

/// Percentiles are over so many scrapes, so that a quiet second is no gap.
const WINDOW: usize = 10;

/// The samples of one moment.
#[derive(Clone, Debug)]
pub(super) struct Scrape {
    at: Instant,
    /// By series as it is written: `name{label="value"}`.
    samples: Vec<(String, f64)>,
}

impl Scrape {
    /// Reads OpenMetrics text; what cannot be read is passed over.
    pub(super) fn new(at: Instant, text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        });
        Self { at, samples: samples.collect() }
    }

    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.samples.iter().filter_map(move |(series, value)| {
            let labels = series.strip_prefix(name)?;
            (labels.is_empty() || labels.starts_with('{')).then_some((labels, *value))
        })
    }

    /// All samples of a name together, those with this label and value.
    pub(super) fn sum(&self, name: &str, label: &str) -> f64 {
        let values = self.of(name).filter(|(labels, _)| labels.contains(label));
        // From 0 on: the sum of nothing is -0, and would be shown so.
        values.fold(0.0, |sum, (_, value)| sum + value)
    }

    /// How many values a histogram has up to each bound, over all its labels.
    fn buckets(&self, name: &str) -> BTreeMap<u64, f64> {
        let mut counts = BTreeMap::new();
        for (labels, value) in self.of(&format!("{name}_bucket")) {
            let bound = labels.split("le=\"").nth(1).and_then(|rest| rest.split('"').next());
            // Bounds are whole microseconds.
            let bound = match bound.map(str::parse::<f64>) {
                Some(Ok(seconds)) if seconds.is_finite() => (seconds * 1e6).round() as u64,
                _ => u64::MAX,
            };
            *counts.entry(bound).or_default() += value;
        }
        counts
    }
}

/// What was seen lately.
#[derive(Debug, Default)]
pub(super) struct History {
    scrapes: VecDeque<Scrape>,
    /// Tokens per second, the newest last.
    pub(super) tokens: VecDeque<u64>,
}

impl History {
    pub(super) fn add(&mut self, scrape: Scrape) {
        self.scrapes.push_back(scrape);
        if self.scrapes.len() > WINDOW {
            self.scrapes.pop_front();
        }
        if self.scrapes.len() > 1 {
            self.tokens.push_back(self.rate("tokenway_deltas_total", "").round() as u64);
            if self.tokens.len() > POINTS_MAX {
                self.tokens.pop_front();
            }
        }
    }

    /// The last scrape's value.
    pub(super) fn now(&self, name: &str, label: &str) -> f64 {
        self.scrapes.back().map_or(0.0, |scrape| scrape.sum(name, label))
    }

    /// How much it rose in a second, between the last two scrapes. Never below 0: a gateway that began anew counts anew.
    pub(super) fn rate(&self, name: &str, label: &str) -> f64 {
        let mut newest = self.scrapes.iter().rev();
        let (Some(now), Some(before)) = (newest.next(), newest.next()) else { return 0.0 };
        let seconds = now.at.saturating_duration_since(before.at).as_secs_f64();
        let rise = now.sum(name, label) - before.sum(name, label);
        if seconds > 0.0 { rise.max(0.0) / seconds } else { 0.0 }
    }

    /// What a share of the last values did not exceed; `None` where there were none.
    pub(super) fn percentile(&self, name: &str, share: f64) -> Option<Duration> {
        let (first, last) = (self.scrapes.front()?, self.scrapes.back()?);
        let (before, now) = (first.buckets(name), last.buckets(name));
        let risen: Vec<_> = now
            .iter()
            .map(|(bound, count)| (*bound, count - before.get(bound).copied().unwrap_or_default()))
            .collect();
        let total = risen.last().map(|(_, count)| *count).filter(|total| *total > 0.0)?;
        let rank = share * total;
        let (mut lower, mut below) = (0, 0.0);
        for (bound, count) in risen {
            if count >= rank && count > below {
                let within = (rank - below) / (count - below);
                let upper = if bound == u64::MAX { lower } else { bound };
                let micros = lower as f64 + (upper - lower) as f64 * within;
                return Some(Duration::from_micros(micros as u64));
            }
            (lower, below) = (if bound == u64::MAX { lower } else { bound }, count);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "tokenway_inter_token_gap_seconds";

    fn scrape(second: u64, deltas: u64, [fast, all]: [u64; 2]) -> Scrape {
        let text = format!(
            "# TYPE tokenway_deltas counter\ntokenway_deltas_total{{model=\"a\"}} {deltas}\n\
             tokenway_deltas_totally 9\n{NAME}_bucket{{model=\"a\",le=\"0.01\"}} {fast}\n\
             {NAME}_bucket{{model=\"a\",le=\"0.02\"}} {all}\n{NAME}_bucket{{model=\"a\",le=\"+Inf\"}} {all}\n# EOF\n"
        );
        Scrape::new(Instant::now() + Duration::from_secs(second), &text)
    }

    #[tokio::test(start_paused = true)]
    async fn two_scrapes_make_a_rate_and_percentiles() {
        let mut history = History::default();
        history.add(scrape(0, 100, [5, 10]));
        assert_eq!((history.tokens.len(), history.percentile(NAME, 0.5)), (0, None));
        history.add(scrape(2, 300, [15, 40]));
        assert_eq!(history.tokens, [100]);
        assert_eq!(history.now("tokenway_nothing", "").to_string(), "0");
        assert_eq!(history.percentile(NAME, 0.25), Some(Duration::from_micros(7_500)));
        assert_eq!(history.percentile(NAME, 0.5), Some(Duration::from_micros(12_500)));
        history.add(scrape(3, 7, [0, 0]));
        assert_eq!(history.tokens, [100, 0], "it began anew");
    }
}

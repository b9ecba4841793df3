//! What becomes of a packet on an impaired path, one way. Pure: a length and the time come in, times of arrival go out.
//!
//! Seeded: the n-th packet always draws the same numbers, whatever became of those before it and whatever the
//! conditions were. Times are counted from the path's own beginning.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::Deserialize;

/// How a path behaves, one way. Nothing is impaired by default.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conditions {
    /// How long a packet is on its way at least, in milliseconds.
    pub delay_ms: f64,
    /// Up to this much is added, each time anew, in milliseconds. It alone never changes the order.
    pub jitter_ms: f64,
    /// The share of packets that are lost, 0 to 1.
    pub loss: f64,
    /// The share of packets that arrive twice, 0 to 1.
    pub duplicate: f64,
    /// The share of packets that later ones overtake, 0 to 1.
    pub reorder: f64,
    /// How much later those arrive, in milliseconds.
    pub reorder_ms: f64,
    /// What the narrowest part of the path lets through in a second; 0 is no limit.
    pub bytes_per_second: f64,
    /// What may wait before that part; more is lost.
    pub queue_bytes: f64,
    /// Nothing arrives, and nobody is told.
    pub blackhole: bool,
    /// On a byte stream, how long a lost segment delays what follows; one and a half round trips by default.
    pub retransmission_ms: Option<f64>,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            delay_ms: 0.0,
            jitter_ms: 0.0,
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_ms: 10.0,
            bytes_per_second: 0.0,
            queue_bytes: 256.0 * 1024.0,
            blackhole: false,
            retransmission_ms: None,
        }
    }
}

/// What becomes of one packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// It never arrives.
    Lost,
    /// It arrives then, and perhaps once more.
    Arrives(Duration, Option<Duration>),
}

/// The largest piece of a byte stream that one packet carries.
const SEGMENT_BYTES: usize = 1_448;

/// One way of a path.
#[derive(Debug)]
pub struct Path {
    conditions: Conditions,
    random: StdRng,
    /// When the narrowest part has passed on all that waits for it.
    free_at: Duration,
    /// The latest arrival of a packet that keeps the order.
    latest: Duration,
}

impl Path {
    /// A path without impairments whose chances begin at `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            conditions: Conditions::default(),
            random: StdRng::seed_from_u64(seed),
            free_at: Duration::ZERO,
            latest: Duration::ZERO,
        }
    }

    /// From now on it behaves so. What is on its way stays on its way.
    pub fn set(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// How it behaves.
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// Decides about a packet of `len` bytes that is sent now.
    pub fn packet(&mut self, len: usize, now: Duration) -> Fate {
        let [lost, doubled, late, jitter, again] = self.random.random::<[f64; 5]>();
        let Conditions { loss, duplicate, reorder, reorder_ms, blackhole, .. } = self.conditions;
        if blackhole || lost < loss {
            return Fate::Lost;
        }
        let Some(passed) = self.pass(len, now) else { return Fate::Lost };
        let arrival = passed + self.delay(jitter);
        let first = if late < reorder {
            arrival + ms(reorder_ms)
        } else {
            self.latest = self.latest.max(arrival);
            self.latest
        };
        let second = (doubled < duplicate).then(|| first + self.delay(again));
        Fate::Arrives(first, second)
    }

    /// Decides about `len` bytes of a stream that are sent now: they arrive whole and in order, and what is lost on the
    /// way costs the time of sending it again. A blackhole is not seen here: what it does depends on when it ends.
    pub fn chunk(&mut self, len: usize, now: Duration) -> Duration {
        let jitter = self.random.random();
        let segments = len.div_ceil(SEGMENT_BYTES).max(1);
        let lost = (0..segments).filter(|_| self.random.random::<f64>() < self.conditions.loss);
        let again = if lost.count() > 0 { self.retransmission() } else { Duration::ZERO };
        // A sender that waits for room is not a loss.
        let passed = self.pass(len, now).unwrap_or(self.free_at);
        self.latest = self.latest.max(passed + self.delay(jitter) + again);
        self.latest
    }

    /// When the narrowest part has let it through; none if too much waits there.
    fn pass(&mut self, len: usize, now: Duration) -> Option<Duration> {
        let Conditions { bytes_per_second, queue_bytes, .. } = self.conditions;
        if bytes_per_second <= 0.0 {
            return Some(now);
        }
        let begins = self.free_at.max(now);
        let waiting = (begins - now).as_secs_f64() * bytes_per_second;
        if waiting + len as f64 > queue_bytes {
            return None;
        }
        self.free_at = begins + Duration::from_secs_f64(len as f64 / bytes_per_second);
        Some(self.free_at)
    }

    fn delay(&self, chance: f64) -> Duration {
        ms(self.conditions.delay_ms + self.conditions.jitter_ms * chance)
    }

    fn retransmission(&self) -> Duration {
        ms(self.conditions.retransmission_ms.unwrap_or(3.0 * self.conditions.delay_ms))
    }
}

/// When a sender that first sent at `sent`, and tries again after `first`, twice that, four times that and so on, is
/// heard on a path that is open again at `opened`.
pub fn heard(sent: Duration, first: Duration, opened: Duration) -> Duration {
    let (mut at, mut wait) = (sent, first.max(Duration::from_millis(1)));
    while at < opened {
        at += wait;
        wait *= 2;
    }
    at
}

fn ms(ms: f64) -> Duration {
    Duration::from_secs_f64(ms.max(0.0) / 1_000.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Packets of 100 bytes, one a millisecond.
    fn fates(seed: u64, conditions: &Conditions, packets: u64) -> Vec<Fate> {
        let mut path = Path::new(seed);
        path.set(conditions.clone());
        (0..packets).map(|at| path.packet(100, Duration::from_millis(at))).collect()
    }

    fn arrivals(fates: &[Fate]) -> Vec<Duration> {
        let first = |fate: &Fate| match fate {
            Fate::Arrives(first, _) => Some(*first),
            Fate::Lost => None,
        };
        fates.iter().filter_map(first).collect()
    }

    fn any_conditions() -> impl Strategy<Value = Conditions> {
        let shares = (0.0..0.5, 0.0..0.5, 0.0..0.5);
        let times = (0.0..200.0, 0.0..50.0, 0.0..50.0);
        (shares, times, prop_oneof![Just(0.0), 10_000.0..1e6]).prop_map(
            |((loss, duplicate, reorder), (delay_ms, jitter_ms, reorder_ms), bytes_per_second)| {
                Conditions {
                    loss,
                    duplicate,
                    reorder,
                    delay_ms,
                    jitter_ms,
                    reorder_ms,
                    bytes_per_second,
                    ..Conditions::default()
                }
            },
        )
    }

    proptest! {
        #[test]
        fn the_same_seed_decides_the_same(seed: u64, conditions in any_conditions()) {
            prop_assert_eq!(fates(seed, &conditions, 200), fates(seed, &conditions, 200));
        }

        #[test]
        fn nothing_arrives_before_its_time_or_after_all_that_can_delay_it(
            seed: u64,
            conditions in any_conditions(),
        ) {
            let conditions = Conditions { bytes_per_second: 0.0, ..conditions };
            let (least, jitter) = (ms(conditions.delay_ms), ms(conditions.jitter_ms));
            let most = least + jitter + ms(conditions.reorder_ms);
            let slack = Duration::from_micros(1);
            for (at, fate) in (0..).map(Duration::from_millis).zip(fates(seed, &conditions, 200)) {
                if let Fate::Arrives(first, second) = fate {
                    prop_assert!(first >= at + least && first <= at + most + slack);
                    prop_assert!(second.is_none_or(|second| second >= first));
                }
            }
        }

        #[test]
        fn jitter_alone_keeps_the_order(seed: u64, conditions in any_conditions()) {
            let arrivals = arrivals(&fates(seed, &Conditions { reorder: 0.0, ..conditions }, 200));
            prop_assert!(arrivals.is_sorted());
        }

        #[test]
        fn a_lost_packet_changes_nothing_for_the_others(seed: u64, conditions in any_conditions()) {
            let conditions =
                Conditions { bytes_per_second: 0.0, reorder: 1.0, ..conditions };
            let lossless = Conditions { loss: 0.0, ..conditions.clone() };
            let pairs = fates(seed, &conditions, 200).into_iter().zip(fates(seed, &lossless, 200));
            for (lossy, lossless) in pairs {
                prop_assert!(lossy == Fate::Lost || lossy == lossless);
            }
        }

        #[test]
        fn a_stream_keeps_its_order_and_is_never_early(
            seed: u64,
            conditions in any_conditions(),
            lengths in prop::collection::vec(1usize..20_000, 1..60),
        ) {
            let mut path = Path::new(seed);
            path.set(conditions.clone());
            let mut last = Duration::ZERO;
            for (at, len) in (0..).map(Duration::from_millis).zip(lengths) {
                let arrival = path.chunk(len, at);
                prop_assert!(arrival >= last && arrival >= at + ms(conditions.delay_ms));
                last = arrival;
            }
        }

        #[test]
        fn a_sender_is_heard_after_the_path_opens_and_at_most_twice_as_late(
            sent in 0u64..1_000,
            first in 1u64..1_000,
            opened in 0u64..60_000,
        ) {
            let [sent, first, opened] = [sent, first, opened].map(Duration::from_millis);
            let heard = heard(sent, first, opened);
            prop_assert!(heard >= opened && heard >= sent);
            let waited = opened.saturating_sub(sent);
            prop_assert!(heard <= sent.max(opened) + waited + first);
        }
    }

    #[test]
    fn shares_are_what_they_say() {
        let conditions =
            Conditions { loss: 0.05, duplicate: 0.02, reorder: 0.1, ..Conditions::default() };
        let fates = fates(1, &conditions, 100_000);
        let share = |of: usize| of as f64 / fates.len() as f64;
        let lost = fates.iter().filter(|fate| **fate == Fate::Lost).count();
        let doubled = fates.iter().filter(|fate| matches!(fate, Fate::Arrives(_, Some(_)))).count();
        let overtaken = arrivals(&fates).windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!((share(lost) - 0.05).abs() < 0.005, "{lost}");
        assert!((share(doubled) - 0.02 * 0.95).abs() < 0.003, "{doubled}");
        assert!((share(overtaken) - 0.1 * 0.9 * 0.95).abs() < 0.02, "{overtaken}");
    }

    #[test]
    fn a_narrow_path_lets_through_its_rate_and_loses_what_does_not_fit_before_it() {
        let mut path = Path::new(1);
        let queue_bytes = 10_000.0;
        let bytes_per_second = 100_000.0;
        path.set(Conditions { bytes_per_second, queue_bytes, ..Conditions::default() });
        // Twice of what passes.
        let fates: Vec<_> =
            (0..10_000).map(|at| path.packet(200, Duration::from_millis(at))).collect();
        let arrivals = arrivals(&fates);
        let passed = arrivals.len() as f64 * 200.0 / 10.0;
        assert!((passed - bytes_per_second).abs() < 2_000.0, "{passed} bytes a second");
        let last = arrivals.last().expect("some arrive");
        assert!(*last < Duration::from_millis(10_200), "what waits is bounded: {last:?}");
    }

    #[test]
    fn nothing_passes_a_blackhole() {
        let conditions = Conditions { blackhole: true, ..Conditions::default() };
        assert!(fates(3, &conditions, 100).iter().all(|fate| *fate == Fate::Lost));
    }

    #[test]
    fn conditions_are_read_by_their_names_and_no_others() {
        let read: Conditions =
            serde_json::from_str(r#"{"delay_ms": 25, "loss": 0.02}"#).expect("they are known");
        assert_eq!(read, Conditions { delay_ms: 25.0, loss: 0.02, ..Conditions::default() });
        let wrong = serde_json::from_str::<Conditions>(r#"{"los": 0.02}"#).expect_err("misspelt");
        assert!(wrong.to_string().contains("los"), "{wrong}");
    }
}

//! When each token is due, counted from the start of the call.
//!
//! Tokens keep an absolute beat, so that lateness never adds up: jitter moves a token within its own beat, and the
//! rate over any longer time is exact.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::control::{Control, Scenario};

/// What a hosted chat model takes when it is not busy.
const FIRST_TOKEN: Duration = Duration::from_millis(300);
/// Five keep-alive comments long.
const FIRST_TOKEN_SLOW: Duration = Duration::from_millis(5_500);
/// Visible as a living rhythm, without looking broken.
const JITTER: f64 = 0.5;
/// A year: as good as for ever, and far from where the clock's arithmetic overflows.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The rhythm of one answer.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    first_token: Duration,
    interval_s: f64,
    jitter: f64,
    burst: usize,
    rng: StdRng,
}

impl Pace {
    pub(super) fn new(control: &Control, scenario: Scenario, rate: f64, seed: u64) -> Self {
        let first_token = match scenario {
            Scenario::SlowStart => FIRST_TOKEN_SLOW,
            _ => FIRST_TOKEN,
        };
        Self {
            first_token: control
                .first_token_ms
                .map_or(first_token, Duration::from_millis)
                .min(LONGEST),
            interval_s: control.tokens_per_second.unwrap_or(rate).recip(),
            jitter: control.jitter.unwrap_or(JITTER),
            burst: control.burst.map_or(1, |burst| burst as usize),
            rng: StdRng::seed_from_u64(seed ^ 0x7061_6365),
        }
    }

    pub(super) fn first_token(&self) -> Duration {
        self.first_token
    }

    /// When a choice's token of this index is due; to be asked in order, since the jitter is drawn here.
    pub(super) fn due(&mut self, index: usize) -> Duration {
        let beat = index - index % self.burst;
        let late = match beat == index && index > 0 {
            true => self.rng.random::<f64>() * self.jitter,
            false => 0.0,
        };
        self.first_token + self.beats(beat as f64 + late)
    }

    /// When the token before this index is certainly out.
    pub(super) fn end(&self, index: usize) -> Duration {
        self.first_token + self.beats(index as f64)
    }

    fn beats(&self, beats: f64) -> Duration {
        let after = Duration::try_from_secs_f64(beats * self.interval_s);
        after.map_or(LONGEST, |after| after.min(LONGEST))
    }
}

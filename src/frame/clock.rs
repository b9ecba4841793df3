//! When a session writes: at once after a quiet interval, else once for each interval. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// The longest interval a subscriber may ask for; beyond it people see the text arrive in jerks.
pub const FRAME_INTERVAL_MAX: Duration = Duration::from_millis(500);

/// One session's frame clock.
#[derive(Clone, Copy, Debug)]
pub struct FrameClock {
    interval: Duration,
    last: Option<Instant>,
}

/// When the next frames are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// There is nothing to write.
    Never,
    /// Now.
    Now,
    /// Then.
    At(Instant),
}

impl FrameClock {
    /// A clock that lets frames leave `interval` apart. Zero lets each event leave as it comes.
    pub fn new(interval: Duration) -> Self {
        Self { interval: interval.min(FRAME_INTERVAL_MAX), last: None }
    }

    /// The interval.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// When frames left last.
    pub fn last(&self) -> Option<Instant> {
        self.last
    }

    /// When to write, where `dirty` says that there is something. After a quiet interval that is now: the first token
    /// never waits for a tick.
    pub fn due(&self, dirty: bool, now: Instant) -> Due {
        if !dirty {
            return Due::Never;
        }
        match self.last.map(|last| last + self.interval) {
            Some(next) if now < next => Due::At(next),
            _ => Due::Now,
        }
    }

    /// Takes note that frames left now.
    pub fn ticked(&mut self, now: Instant) {
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_event_leaves_at_once_and_what_follows_is_batched() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut clock = FrameClock::new(Duration::from_millis(16));
        assert_eq!(clock.due(false, at(0)), Due::Never);
        assert_eq!(clock.due(true, at(0)), Due::Now);
        clock.ticked(at(0));
        assert_eq!(clock.due(true, at(5)), Due::At(at(16)));
        assert_eq!(clock.due(true, at(16)), Due::Now);
        clock.ticked(at(16));
        assert_eq!(clock.due(true, at(31)), Due::At(at(32)));
        assert_eq!(clock.due(true, at(500)), Due::Now, "after a quiet interval");
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_interval_each_wake_is_due() {
        let mut clock = FrameClock::new(Duration::ZERO);
        clock.ticked(Instant::now());
        assert_eq!(clock.due(true, Instant::now()), Due::Now);
    }

    proptest! {
        #[test]
        fn nothing_waits_longer_than_an_interval_and_no_two_ticks_are_closer(
            interval in 1u64..600,
            gaps in prop::collection::vec(0u64..80, 1..100),
        ) {
            let start = Instant::now();
            let mut clock = FrameClock::new(Duration::from_millis(interval));
            let interval = clock.interval();
            prop_assert!(interval <= FRAME_INTERVAL_MAX);
            let (mut now, mut last) = (start, None);
            for gap in gaps {
                now += Duration::from_millis(gap);
                let at = match clock.due(true, now) {
                    Due::Now => now,
                    Due::At(at) => at,
                    Due::Never => unreachable!("it is dirty"),
                };
                prop_assert!(at >= now && at <= now + interval);
                prop_assert!(last.is_none_or(|last| at >= last + interval));
                now = at;
                clock.ticked(at);
                last = Some(at);
            }
        }
    }
}

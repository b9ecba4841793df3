//! Rates: so much in a minute, by a bucket that holds a minute's worth and fills again steadily.
//!
//! Requests are `governor`'s business. Tokens are counted here: they are taken by an estimate and settled by what was used,
//! and `governor` neither takes anything back nor goes into debt.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};
use parking_lot::Mutex;
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// Tokio's clock for `governor`, so that a test can drive it.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    origin: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self { origin: Instant::now() }
    }
}

impl governor::clock::Clock for Clock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// So many in a minute, one by one.
#[derive(Debug)]
pub(super) struct Rate {
    limiter: RateLimiter<NotKeyed, InMemoryState, Clock, StateInformationMiddleware>,
    clock: Clock,
    per_minute: u32,
    /// As the last one that was let through left it.
    left: Mutex<(u32, Instant)>,
}

impl Rate {
    pub(super) fn per_minute(per_minute: NonZeroU32) -> Self {
        let clock = Clock::default();
        let limiter = RateLimiter::direct_with_clock(Quota::per_minute(per_minute), clock.clone());
        let per_minute = per_minute.get();
        let left = Mutex::new((per_minute, Instant::now()));
        Self { limiter: limiter.with_middleware(), clock, per_minute, left }
    }

    /// Takes one. Err: when there will be one.
    pub(super) fn take(&self) -> Result<(), Duration> {
        use governor::clock::Clock as _;
        match self.limiter.check() {
            Ok(snapshot) => {
                *self.left.lock() = (snapshot.remaining_burst_capacity(), Instant::now());
                Ok(())
            }
            Err(not_until) => Err(not_until.wait_time_from(self.clock.now())),
        }
    }

    /// How many there are now, and when the bucket will be full.
    pub(super) fn standing(&self) -> (u64, Duration) {
        let (left, since) = *self.left.lock();
        let refilled = since.elapsed().as_secs_f64() * f64::from(self.per_minute) / 60.0;
        let left = (f64::from(left) + refilled).min(f64::from(self.per_minute));
        let missing = f64::from(self.per_minute) - left;
        (left as u64, MINUTE.mul_f64(missing / f64::from(self.per_minute)))
    }
}

/// So many in a minute, many at once, settled afterwards.
#[derive(Debug)]
pub(super) struct Bucket {
    per_minute: u64,
    /// What there is, below zero where more was used than was taken; and since when.
    level: Mutex<(f64, Instant)>,
}

impl Bucket {
    pub(super) fn per_minute(per_minute: u64) -> Self {
        Self { per_minute, level: Mutex::new((per_minute as f64, Instant::now())) }
    }

    /// Takes `wanted`, of which a full bucket's worth counts at most: whatever is larger goes when the bucket is full.
    /// Gives what was taken. Err: when there will be enough.
    pub(super) fn take(&self, wanted: u64) -> Result<u64, Duration> {
        let wanted = wanted.min(self.per_minute);
        let mut level = self.level.lock();
        self.refill(&mut level);
        let missing = wanted as f64 - level.0;
        // A hair's breadth is what floating-point sums are off.
        if missing > 1e-6 {
            return Err(MINUTE.mul_f64(missing / self.per_minute as f64));
        }
        level.0 -= wanted as f64;
        Ok(wanted)
    }

    /// What was taken turned out to be `used`.
    pub(super) fn settle(&self, taken: u64, used: u64) {
        let mut level = self.level.lock();
        self.refill(&mut level);
        level.0 = (level.0 + taken as f64 - used as f64).min(self.per_minute as f64);
    }

    pub(super) fn standing(&self) -> (u64, Duration) {
        let mut level = self.level.lock();
        self.refill(&mut level);
        let missing = self.per_minute as f64 - level.0;
        (level.0.max(0.0) as u64, MINUTE.mul_f64(missing / self.per_minute as f64))
    }

    fn refill(&self, (level, since): &mut (f64, Instant)) {
        let now = Instant::now();
        let gained =
            now.saturating_duration_since(*since).as_secs_f64() * self.per_minute as f64 / 60.0;
        *level = (*level + gained).min(self.per_minute as f64);
        *since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[tokio::test(start_paused = true)]
    async fn a_minutes_worth_goes_at_once_and_then_as_it_fills() {
        let rate = Rate::per_minute(NonZeroU32::new(60).expect("not zero"));
        assert_eq!((0..100).filter(|_| rate.take().is_ok()).count(), 60);
        let wait = rate.take().expect_err("nothing is left");
        assert!(wait <= secs(1), "{wait:?}");
        assert_eq!(rate.standing().0, 0);
        tokio::time::advance(secs(10)).await;
        assert_eq!(rate.standing(), (10, secs(50)));
        assert_eq!((0..100).filter(|_| rate.take().is_ok()).count(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_settled_by_what_was_used() {
        let bucket = Bucket::per_minute(600);
        assert_eq!(bucket.take(400), Ok(400));
        assert_eq!(bucket.take(400), Err(secs(20)), "two hundred are missing");
        bucket.settle(400, 100);
        assert_eq!(bucket.take(500), Ok(500), "what was not used is there again");
        bucket.settle(500, 800);
        assert_eq!(bucket.take(1), Err(Duration::from_millis(30_100)), "three hundred in debt");
        assert_eq!(bucket.standing().0, 0);
        tokio::time::advance(secs(300)).await;
        assert_eq!(bucket.standing(), (600, Duration::ZERO), "and never more than it holds");
        assert_eq!(bucket.take(10_000), Ok(600), "more than all is all");
    }
}

//! The time of day, for the events' times, and waits as people and `retry-after` are told them.
//!
//! Anchored once and then driven by tokio's clock, so that it never goes back and stands still where a test pauses
//! time. Everything that measures a duration uses `tokio::time::Instant` instead.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;

#[expect(clippy::disallowed_methods, reason = "the one place that asks for the time of day")]
static ANCHOR: LazyLock<(u64, Instant)> = LazyLock::new(|| {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (since_1970.as_millis() as u64, Instant::now())
});

/// The moment of a time in milliseconds since 1970 UTC: now, if it is over.
pub fn instant_of(time_ms: u64) -> Instant {
    let (now, left) = (Instant::now(), time_ms.saturating_sub(now_ms()));
    // Beyond what the clock counts it is never.
    now.checked_add(Duration::from_millis(left)).unwrap_or(now + Duration::from_secs(1 << 30))
}

/// Milliseconds since 1970 UTC.
pub fn now_ms() -> u64 {
    let (anchor_ms, anchor) = *ANCHOR;
    anchor_ms + Instant::now().saturating_duration_since(anchor).as_millis() as u64
}

/// A wait in whole seconds, never too few: who comes back then comes back late enough.
pub fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

//! How fast a body must come: one that stands still or drips holds what others could have.

use std::time::Duration;

use tokio::time::Instant;

/// The least that a body comes at, in bytes in a second.
const RATE_MIN: f64 = 1024.0;

/// One body's pace. It is looked at once in a while, which is as long as a body may stand still: within each while the body
/// brings what that is worth, however much it has brought before.
pub(super) struct Pace {
    every: Duration,
    since: Instant,
    bytes: usize,
}

impl Pace {
    /// A body begins to come.
    pub(super) fn new(every: Duration) -> Self {
        Self { every, since: Instant::now(), bytes: 0 }
    }

    /// So many bytes have come. Says whether the body keeps its pace.
    pub(super) fn keeps(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        let past = self.since.elapsed();
        if past < self.every {
            return true;
        }
        let keeps = self.bytes as f64 >= past.as_secs_f64() * RATE_MIN;
        (self.since, self.bytes) = (Instant::now(), 0);
        keeps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_is_found_however_fast_it_came_before() {
        let mut pace = Pace::new(Duration::from_secs(30));
        assert!(pace.keeps(64 << 20), "nearly all of it at once");
        let mut kept = 0;
        loop {
            tokio::time::advance(Duration::from_secs(10)).await;
            if !pace.keeps(1) {
                break;
            }
            kept += 1;
        }
        assert!(kept <= 5, "{kept} drops");
        // A slow line is none that drips.
        let mut pace = Pace::new(Duration::from_secs(30));
        for _ in 0..1_000 {
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(pace.keeps(1_100));
        }
    }
}

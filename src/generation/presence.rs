//! What becomes of a generation when nobody is there any more: the `on_disconnect` policy. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// What happens when the caller and the last viewer are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDisconnect {
    /// The generation is cancelled at once.
    Cancel,
    /// It is cancelled if nobody has come back by then.
    Grace(Duration),
    /// It goes on to its end.
    Drain,
}

/// Watches who is there.
#[derive(Debug)]
pub struct Presence {
    policy: OnDisconnect,
    alone_since: Option<Instant>,
}

impl Presence {
    /// Somebody is there: the caller.
    pub fn new(policy: OnDisconnect) -> Self {
        Self { policy, alone_since: None }
    }

    /// Who is there may have changed.
    pub fn update(&mut self, anybody: bool, now: Instant) {
        self.alone_since = match anybody {
            true => None,
            false => self.alone_since.or(Some(now)),
        };
    }

    /// When the generation is to be cancelled, as things stand.
    pub fn deadline(&self) -> Option<Instant> {
        let since = self.alone_since?;
        match self.policy {
            OnDisconnect::Cancel => Some(since),
            OnDisconnect::Grace(grace) => Some(since + grace),
            OnDisconnect::Drain => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grace_counts_from_the_moment_that_everybody_is_gone() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut presence = Presence::new(OnDisconnect::Grace(Duration::from_secs(30)));
        assert_eq!(presence.deadline(), None);
        presence.update(false, at(5));
        presence.update(false, at(9));
        assert_eq!(presence.deadline(), Some(at(35)), "still the same absence");
        presence.update(true, at(34));
        assert_eq!(presence.deadline(), None, "somebody came back");
        presence.update(false, at(50));
        assert_eq!(presence.deadline(), Some(at(80)), "a new absence has its own grace");
    }

    #[test]
    fn drain_never_ends_and_cancel_ends_at_once() {
        let now = Instant::now();
        for (policy, deadline) in [(OnDisconnect::Drain, None), (OnDisconnect::Cancel, Some(now))] {
            let mut presence = Presence::new(policy);
            presence.update(false, now);
            assert_eq!(presence.deadline(), deadline);
        }
    }
}

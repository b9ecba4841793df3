//! The clocks of one generation. Pure: times come in, the next deadline comes out.
//!
//! A comment or a ping is a sign of life but says nothing: it does not reset `idle`. `silent` is the other way round: it
//! watches for any byte at all, and only from a provider that has been sending pings (DESIGN.md, decision 8).

use std::time::Duration;

use tokio::time::Instant;

use crate::event::TimeoutPhase;

/// How long a generation's stages may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection to the provider stands.
    pub connect: Duration,
    /// From the beginning of a call until the provider's first payload.
    pub first_token: Duration,
    /// Between two payloads.
    pub idle: Duration,
    /// The whole generation.
    pub total: Duration,
    /// Without a single byte, once the provider has sent a ping or a comment.
    pub silent: Duration,
}

/// How long usage and the terminator may take after the last finish reason (DESIGN.md, invariant 4).
pub const LINGER: Duration = Duration::from_secs(2);

/// A generation's clocks.
#[derive(Debug)]
pub struct Deadlines {
    timeouts: Timeouts,
    started: Instant,
    /// When the call that runs began; `None` between two calls, when only the total counts.
    called: Option<Instant>,
    last_payload: Option<Instant>,
    last_byte: Instant,
    pinged: bool,
    finish_seen: Option<Instant>,
}

/// What is due when a deadline passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The generation fails.
    Timeout(TimeoutPhase),
    /// The provider has said that it finished, and nothing more came: that was the end.
    Linger,
}

impl Deadlines {
    /// The generation begins now.
    pub fn new(timeouts: Timeouts, now: Instant) -> Self {
        Self {
            timeouts,
            started: now,
            called: Some(now),
            last_payload: None,
            last_byte: now,
            pinged: false,
            finish_seen: None,
        }
    }

    /// The generation began at another time, from which its total counts.
    pub fn began(&mut self, at: Instant) {
        self.started = at;
    }

    /// A call ended, and another may follow.
    pub fn on_setback(&mut self, now: Instant) {
        *self = Self { started: self.started, called: None, ..Self::new(self.timeouts, now) };
    }

    /// A call begins. Its first token is awaited anew, the generation's total is not.
    pub fn on_call(&mut self, now: Instant) {
        *self = Self { started: self.started, ..Self::new(self.timeouts, now) };
    }

    /// Bytes came.
    pub fn on_bytes(&mut self, now: Instant) {
        self.last_byte = now;
    }

    /// A comment or a ping came.
    pub fn on_ping(&mut self) {
        self.pinged = true;
    }

    /// A payload came; after it, everything seen so far has its finish reason, or something is still to come.
    pub fn on_payload(&mut self, now: Instant, finish_seen: bool) {
        self.last_payload = Some(now);
        self.finish_seen = finish_seen.then(|| self.finish_seen.unwrap_or(now));
    }

    /// Whether everything seen so far has its finish reason.
    pub fn has_finished(&self) -> bool {
        self.finish_seen.is_some()
    }

    /// The next deadline, and what is due then.
    pub fn next(&self) -> (Instant, Due) {
        // What has finished cannot time out any more.
        if let Some(seen) = self.finish_seen {
            return (seen + LINGER, Due::Linger);
        }
        let first =
            self.called.map(|at| (at + self.timeouts.first_token, TimeoutPhase::FirstToken));
        let idle = self.last_payload.map(|at| (at + self.timeouts.idle, TimeoutPhase::Idle));
        let waiting = idle.or(first);
        let total = (self.started + self.timeouts.total, TimeoutPhase::Total);
        let silent = (self.last_byte + self.timeouts.silent, TimeoutPhase::Silent);
        let timeouts = [waiting, Some(total), self.pinged.then_some(silent)];
        let timeouts = timeouts.into_iter().flatten().map(|(at, phase)| (at, Due::Timeout(phase)));
        timeouts.min_by_key(|(at, _)| *at).expect("there is always a total")
    }

    /// How long the clock of `phase` was set to.
    pub fn limit(&self, phase: TimeoutPhase) -> Duration {
        match phase {
            TimeoutPhase::Connect => self.timeouts.connect,
            TimeoutPhase::FirstToken => self.timeouts.first_token,
            TimeoutPhase::Idle => self.timeouts.idle,
            TimeoutPhase::Total => self.timeouts.total,
            TimeoutPhase::Silent => self.timeouts.silent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: Timeouts = Timeouts {
        connect: Duration::from_secs(10),
        first_token: Duration::from_secs(600),
        idle: Duration::from_secs(300),
        total: Duration::from_secs(3_600),
        silent: Duration::from_secs(60),
    };

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn pings_arm_silent_and_reset_nothing_else() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(TIMEOUTS, start);
        let first_token = (start + seconds(600), Due::Timeout(TimeoutPhase::FirstToken));
        assert_eq!(deadlines.next(), first_token);
        deadlines.on_bytes(start + seconds(50));
        assert_eq!(deadlines.next(), first_token, "silent is not armed by bytes alone");
        deadlines.on_ping();
        assert_eq!(deadlines.next(), (start + seconds(110), Due::Timeout(TimeoutPhase::Silent)));
        for at in (60..590).step_by(10) {
            deadlines.on_bytes(start + seconds(at));
            deadlines.on_ping();
        }
        assert_eq!(deadlines.next(), first_token, "a pinging provider still owes a first token");
    }

    #[test]
    fn each_payload_buys_another_idle_until_the_total() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(TIMEOUTS, start);
        deadlines.on_payload(start + seconds(5), false);
        assert_eq!(deadlines.next(), (start + seconds(305), Due::Timeout(TimeoutPhase::Idle)));
        deadlines.on_payload(start + seconds(3_500), false);
        assert_eq!(deadlines.next(), (start + seconds(3_600), Due::Timeout(TimeoutPhase::Total)));
    }

    #[test]
    fn every_call_owes_a_first_token_of_its_own_and_all_share_the_total() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(TIMEOUTS, start);
        deadlines.on_payload(start + seconds(5), true);
        deadlines.on_setback(start + seconds(6));
        let total = (start + seconds(3_600), Due::Timeout(TimeoutPhase::Total));
        assert_eq!(deadlines.next(), total, "between two calls nothing else is awaited");
        deadlines.on_call(start + seconds(10));
        let first_token = (start + seconds(610), Due::Timeout(TimeoutPhase::FirstToken));
        assert_eq!(deadlines.next(), first_token);
        deadlines.on_call(start + seconds(3_500));
        assert_eq!(deadlines.next(), total);
    }

    #[test]
    fn after_the_finish_reason_two_seconds_remain() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(TIMEOUTS, start);
        deadlines.on_payload(start, false);
        deadlines.on_payload(start + seconds(1), true);
        deadlines.on_payload(start + seconds(2), true);
        assert_eq!(deadlines.next(), (start + seconds(3), Due::Linger));
        deadlines.on_payload(start + seconds(2), false);
        let idle = (start + seconds(302), Due::Timeout(TimeoutPhase::Idle));
        assert_eq!(deadlines.next(), idle, "another choice began after all");
    }
}

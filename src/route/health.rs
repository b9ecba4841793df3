//! Whether a target may be called now: its circuit breaker, and how many calls it has in flight. Knows no network.

use tokio::time::Instant;

/// The health of all targets, shared by all calls.
#[derive(Debug, Default)]
pub struct Health {}

/// How a call ended, as far as its target's health goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target answered as it should; a refusal that is the app's own fault counts as that.
    Good,
    /// It did not: 408, 429, 5xx, a timeout, no connection, a broken stream.
    Bad,
}

/// A call to a target that is allowed. Dropped without [`Permit::end`] it says nothing of the target's health.
#[derive(Debug)]
pub struct Permit {}

/// Why a target must not be called now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resting {
    /// For people: `circuit open`, `100 calls in flight`.
    pub why: String,
    /// When it may be tried again, where that is known.
    pub until: Option<Instant>,
}

impl Health {
    /// Asks to call a model at a provider.
    pub fn admit(&self, _provider: &str, _model: &str, _now: Instant) -> Result<Permit, Resting> {
        Ok(Permit {})
    }
}

impl Permit {
    /// The call ended.
    pub fn end(self, _outcome: Outcome, _now: Instant) {}
}

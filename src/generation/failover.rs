//! What happens when a target does not answer, or breaks. Plain values; who decides and who acts are others.

use std::time::Duration;

/// How a model's calls are tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failover {
    /// How often one target is tried again before its first byte, beyond the first time.
    pub retries: u32,
    /// No further attempt begins so long after the first.
    pub budget: Duration,
    /// What happens when a provider breaks after its first token.
    pub on_break: OnBreak,
}

impl Default for Failover {
    fn default() -> Self {
        Self { retries: 1, budget: Duration::from_secs(30), on_break: OnBreak::Fail }
    }
}

/// What happens when a provider breaks after its first token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBreak {
    /// The generation fails.
    #[default]
    Fail,
    /// It goes on at the next target, from the text so far.
    Continue,
}

//! What a generation costs.

use crate::event::Usage;

/// What a model's tokens cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Millionths for a million tokens.
    pub input: u64,
    /// Millionths for a million tokens.
    pub output: u64,
}

impl Price {
    /// What a usage costs.
    pub fn cost(&self, usage: &Usage) -> f64 {
        (usage.input * self.input + usage.output * self.output) as f64 / 1e12
    }
}

//! On whose account a generation runs. What that means is for whoever ordered it to know.

use crate::event::Usage;

use super::tally::{BYTES_PER_TOKEN, text_bytes};

/// Somebody's account. It is dropped when the generation has ended, just before anybody is told so, or with its task.
pub trait Account: Send {
    /// What the generation has used so far, all its calls together, and what that cost, as far as prices are known. The last
    /// word holds.
    fn used(&mut self, usage: &Usage, cost: f64);
}

/// About how many tokens a body asks to be read, without the data in it.
pub fn estimated_input(body: &[u8]) -> u64 {
    estimated_tokens(text_bytes(body))
}

/// About how many tokens so many bytes of text have.
pub fn estimated_tokens(bytes: u64) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN)
}

//! Adds up what a generation's attempts used, and what that costs. Pure.
//!
//! A provider's own numbers are never replaced, unless they were given before what was said. Where a call that said
//! something was stopped before they came, they are estimated, and marked; so is the input of a call that was stopped
//! before it said anything: [`BYTES_PER_TOKEN`] bytes of UTF-8 to a token, of what was said and of what was asked.

use crate::{event::Usage, route::Price};

/// About what a token of English or of JSON has, by the tokenizers in use; other scripts have fewer bytes to a token by
/// character and about as many by UTF-8.
pub(super) const BYTES_PER_TOKEN: u64 = 4;

/// No text has so many bytes to a token. A count that would mean more was made before the text was said: Anthropic's first
/// event counts one token of output.
const TOKEN_BYTES_MAX: u64 = 32;

/// A longer run of one word's characters is data (an image in base64), which is not counted by its length.
const WORD_BYTES_MAX: usize = 512;

/// What all attempts used.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Attempts that are over.
    before: Option<Usage>,
    /// What those cost of which a price is known.
    paid: f64,
    current: Current,
}

/// The attempt that runs.
#[derive(Debug, Default)]
struct Current {
    price: Option<Price>,
    asked_bytes: u64,
    said_bytes: u64,
    given: Option<Usage>,
    /// It was ended while the provider was at work on it, which costs its input even where nothing was said.
    stopped: bool,
}

impl Tally {
    /// A call goes out with this body; the one before it is over.
    pub(super) fn begin(&mut self, price: Option<Price>, body: &[u8]) {
        self.close();
        self.current.price = price;
        self.current.asked_bytes = text_bytes(body);
    }

    /// The call that runs said so many bytes more.
    pub(super) fn said(&mut self, bytes: u64) {
        self.current.said_bytes += bytes;
    }

    /// The provider gave its numbers for the call that runs; the last ones hold.
    pub(super) fn given(&mut self, usage: Usage) {
        self.current.given = Some(usage);
    }

    /// The call that runs is ended while the provider is at work on it.
    pub(super) fn stopped(&mut self) {
        self.current.stopped = true;
    }

    /// What all calls used, this one included. `estimate`: numbers that never came are estimated, if anything was said.
    pub(super) fn total(&self, estimate: bool) -> Option<Usage> {
        let current = self.current.usage(estimate || self.before.is_some(), estimate);
        match (&self.before, current) {
            (None, current) => current,
            (Some(before), None) => Some(before.clone()),
            (Some(before), Some(current)) => Some(sum(before, &current)),
        }
    }

    /// What all calls cost, this one included, as far as it is known: one whose price is not known makes the others no
    /// cheaper.
    pub(super) fn cost(&self, estimate: bool) -> f64 {
        let current = self.current.usage(estimate || self.before.is_some(), estimate);
        self.paid + current.and_then(|usage| usage.cost).unwrap_or_default()
    }

    fn close(&mut self) {
        let Some(usage) = std::mem::take(&mut self.current).usage(true, true) else { return };
        self.paid += usage.cost.unwrap_or_default();
        self.before = Some(match &self.before {
            Some(before) => sum(before, &usage),
            None => usage,
        });
    }
}

impl Current {
    /// `stopped`: it broke off, or was ended, before its end.
    fn usage(&self, estimate: bool, stopped: bool) -> Option<Usage> {
        let estimated = || Usage {
            input: self.asked_bytes.div_ceil(BYTES_PER_TOKEN),
            output: self.said_bytes.div_ceil(BYTES_PER_TOKEN),
            estimated: true,
            ..Usage::default()
        };
        let guess = estimate && (self.said_bytes > 0 || self.stopped);
        let mut usage = self.given.clone().or_else(|| guess.then(estimated))?;
        if stopped && usage.output.saturating_mul(TOKEN_BYTES_MAX) < self.said_bytes {
            (usage.output, usage.estimated) = (estimated().output, true);
        }
        usage.cost = self.price.as_ref().map(|price| price.cost(&usage)).or(usage.cost);
        Some(usage)
    }
}

/// Of several calls nobody's own object tells the whole, and a cost is known only if every part's is.
fn sum(one: &Usage, other: &Usage) -> Usage {
    Usage {
        input: one.input.saturating_add(other.input),
        output: one.output.saturating_add(other.output),
        cached_input: one.cached_input.saturating_add(other.cached_input),
        cache_write: one.cache_write.saturating_add(other.cache_write),
        reasoning: one.reasoning.saturating_add(other.reasoning),
        native: crate::event::Json::new(),
        estimated: one.estimated || other.estimated,
        cost: one.cost.zip(other.cost).map(|(one, other)| one + other),
    }
}

/// The bytes of a body without the data in it.
pub(super) fn text_bytes(body: &[u8]) -> u64 {
    let is_data = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(byte);
    let words = body.chunk_by(|one, other| is_data(one) == is_data(other));
    let words = words.filter(|word| word.len() <= WORD_BYTES_MAX || !is_data(&word[0]));
    words.map(|word| word.len() as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input: u64, output: u64) -> Usage {
        Usage { input, output, native: "{}".into(), ..Usage::default() }
    }

    #[test]
    fn one_calls_numbers_are_handed_on_as_they_are() {
        let mut tally = Tally::default();
        tally.begin(None, b"{}");
        tally.said(100);
        assert_eq!(tally.total(false), None);
        tally.given(usage(3, 5));
        assert_eq!(tally.total(true), Some(usage(3, 5)), "and never replaced");
        tally.said(1_900);
        let early = Usage { output: 500, estimated: true, ..usage(3, 5) };
        assert_eq!(tally.total(true), Some(early), "but where they came before what was said");
        assert_eq!(tally.total(false), Some(usage(3, 5)), "and then only of what broke off");
    }

    #[test]
    fn what_never_came_is_estimated_only_where_something_was_said() {
        let mut tally = Tally::default();
        tally.begin(None, &[b' '; 40]);
        assert_eq!(tally.total(true), None);
        tally.said(9);
        let estimated = Usage { input: 10, output: 3, estimated: true, ..Usage::default() };
        assert_eq!(tally.total(true), Some(estimated));
    }

    #[test]
    fn a_call_that_was_stopped_before_it_spoke_costs_its_input() {
        let mut tally = Tally::default();
        tally.begin(None, &[b' '; 40]);
        assert_eq!(tally.total(true), None, "one that was refused costs nothing");
        tally.stopped();
        let estimated = Usage { input: 10, output: 0, estimated: true, ..Usage::default() };
        assert_eq!(tally.total(true), Some(estimated));
        tally.given(usage(9, 0));
        assert_eq!(tally.total(true), Some(usage(9, 0)), "and the provider's own count holds");
    }

    #[test]
    fn an_image_in_the_call_is_not_counted_by_its_length() {
        let body = format!("{{\"a\":\"{}\"}}", "Qk0/+".repeat(100_000));
        assert_eq!(text_bytes(body.as_bytes()), 8);
        assert_eq!(text_bytes("漢字 and words".as_bytes()), 16);
    }

    #[test]
    fn attempts_add_up_and_one_estimate_marks_the_sum() {
        let mut tally = Tally::default();
        tally.begin(None, &[b' '; 8]);
        tally.begin(None, &[b' '; 40]);
        tally.said(9);
        tally.begin(None, &[b' '; 80]);
        tally.said(1);
        tally.given(usage(20, 7));
        let sum = Usage { input: 30, output: 10, estimated: true, ..Usage::default() };
        assert_eq!(tally.total(false), Some(sum));
    }

    #[test]
    fn a_call_without_a_price_makes_the_others_no_cheaper() {
        let rate = crate::config::Rate(1_000_000_000);
        let price = Price {
            input: rate,
            cached_input: rate,
            cache_write: rate,
            output: rate,
            reasoning: rate,
        };
        let mut tally = Tally::default();
        tally.begin(Some(price), b"{}");
        tally.given(usage(100, 50));
        assert_eq!(tally.cost(false), 0.15);
        tally.begin(None, b"{}");
        tally.given(usage(10, 10));
        assert_eq!(tally.total(false).expect("usage").cost, None, "all of it is not known");
        assert_eq!(tally.cost(false), 0.15, "and what is known is paid");
    }
}

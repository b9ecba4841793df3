//! What a generation costs: the operator's prices and the provider's count.
//!
//! The sum is exact: prices are whole numbers of billionths of a thousandth for one token, and are added up as such. It
//! becomes a floating-point number once, at the end, which then is the nearest to the true sum that there is (up to nine
//! thousand of the currency; above, it is off by less than a part in 10^15).

use std::collections::HashMap;

use crate::{
    config::{Config, Price, Rate},
    event::Usage,
};

/// How many parts of a [`Rate`] one of the currency has.
const PARTS: f64 = 1e12;

/// All prices of one config.
#[derive(Clone, Debug, Default)]
pub struct Prices(HashMap<String, Price>);

impl Prices {
    /// The prices of a config.
    pub fn new(config: &Config) -> Self {
        Self(config.prices.iter().cloned().collect())
    }

    /// What a model costs at a provider: what that very model's price says, or the public name's.
    pub fn of(&self, provider: &str, model: &str, public: &str) -> Option<Price> {
        let own = self.0.get(&format!("{provider}/{model}"));
        own.or_else(|| self.0.get(public)).copied()
    }

    /// What a usage costs; `None` if no price is known.
    pub fn cost(&self, provider: &str, model: &str, public: &str, usage: &Usage) -> Option<f64> {
        self.of(provider, model, public).map(|price| price.cost(usage))
    }
}

impl Price {
    /// What a usage costs. Each token is paid once: cached input and cache writes are parts of the input, reasoning of the
    /// output. Parts that exceed their whole, as some providers count, are cut to it.
    ///
    /// ```
    /// use tokenway::{config::{Config, Environment}, event::Usage, route::Prices};
    ///
    /// let text = "
    /// version: 1
    /// providers: { openai: { dialect: openai } }
    /// models: { fast: { targets: [{ provider: openai, model: gpt-5-mini }] } }
    /// prices: { fast: { input: 0.25, cached_input: 0.025, output: 2 } }
    /// ";
    /// let config = Config::parse("gateway.yaml", text, &Environment::default())?;
    /// let usage = Usage { input: 1_000, cached_input: 600, output: 10, ..Usage::default() };
    /// // 400 at 0.25, 600 at 0.025 and 10 at 2, for a million each.
    /// let cost = Prices::new(&config).cost("openai", "gpt-5-mini", "fast", &usage);
    /// assert_eq!(cost, Some(0.000135));
    /// # Ok::<(), tokenway::config::ConfigError>(())
    /// ```
    pub fn cost(&self, usage: &Usage) -> f64 {
        let cached = usage.cached_input.min(usage.input);
        let written = usage.cache_write.min(usage.input - cached);
        let reasoning = usage.reasoning.min(usage.output);
        let lines = [
            (usage.input - cached - written, self.input),
            (cached, self.cached_input),
            (written, self.cache_write),
            (usage.output - reasoning, self.output),
            (reasoning, self.reasoning),
        ];
        // A u64 of tokens at the highest rate that can be written leaves room for three thousand such lines.
        let parts: u128 = lines
            .into_iter()
            .map(|(tokens, Rate(rate))| u128::from(tokens) * u128::from(rate))
            .sum();
        parts as f64 / PARTS
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn price(rates: [u64; 5]) -> Price {
        let [input, cached_input, cache_write, output, reasoning] = rates.map(Rate);
        Price { input, cached_input, cache_write, output, reasoning }
    }

    fn usage(counts: [u64; 5]) -> Usage {
        let [input, cached_input, cache_write, output, reasoning] = counts;
        Usage { input, cached_input, cache_write, output, reasoning, ..Usage::default() }
    }

    #[test]
    fn each_kind_of_token_has_its_price_and_is_paid_once() {
        let million = 1_000_000;
        let prices = price([3, 1, 4, 15, 20].map(|rate| rate * million));
        for (counts, cost) in [
            ([million, 0, 0, 0, 0], 3.0),
            ([million, million, 0, 0, 0], 1.0),
            ([million, 0, million, 0, 0], 4.0),
            ([0, 0, 0, million, 0], 15.0),
            ([0, 0, 0, million, million], 20.0),
            ([4 * million, million, million, 2 * million, million], 6.0 + 1.0 + 4.0 + 15.0 + 20.0),
            // A provider that counts the cached apart from the input, or reasoning apart from the output.
            ([million, 5 * million, million, million, 3 * million], 1.0 + 20.0),
            ([0; 5], 0.0),
        ] {
            assert_eq!(prices.cost(&usage(counts)), cost, "{counts:?}");
        }
    }

    #[test]
    fn tenths_add_up_to_what_they_are_on_paper() {
        // As floating-point sums these are 0.30000000000000004 and 0.7999999999999999.
        let prices = price([100_000, 0, 0, 200_000, 0]);
        assert_eq!(prices.cost(&usage([1_000_000, 0, 0, 1_000_000, 0])), 0.3);
        assert_eq!(price([100_000, 0, 0, 0, 0]).cost(&usage([8_000_000, 0, 0, 0, 0])), 0.8);
        assert_eq!(price([1, 0, 0, 0, 0]).cost(&usage([1, 0, 0, 0, 0])), 1e-12);
    }

    #[test]
    fn the_models_price_at_its_provider_wins_over_the_public_names() {
        let mut config = Config::demo();
        let named = |rate| price([rate; 5]);
        config.prices = vec![("fast".to_owned(), named(1)), ("openai/gpt-5".to_owned(), named(2))];
        let prices = Prices::new(&config);
        assert_eq!(prices.of("openai", "gpt-5", "fast"), Some(named(2)));
        assert_eq!(prices.of("openai", "gpt-4", "fast"), Some(named(1)));
        assert_eq!(prices.of("other", "gpt-4", "openai/gpt-5"), Some(named(2)));
        assert_eq!(prices.of("other", "gpt-5", "slow"), None);
        assert_eq!(prices.cost("other", "gpt-5", "slow", &usage([1; 5])), None);
    }

    proptest! {
        #[test]
        fn no_count_and_no_price_overflow_and_more_never_costs_less(
            rates in proptest::array::uniform5(0..=999_999_999_999_999u64),
            counts in proptest::array::uniform5(any::<u64>()),
            more in any::<u64>(),
        ) {
            let prices = price(rates);
            let [input, cached, written, output, reasoning] = counts;
            let cost = prices.cost(&usage(counts));
            prop_assert!(cost.is_finite() && cost >= 0.0);
            let longer = [input, cached, written, output.saturating_add(more), reasoning.min(output)];
            let same = [input, cached, written, output, reasoning.min(output)];
            prop_assert!(prices.cost(&usage(longer)) >= prices.cost(&usage(same)));
        }

        #[test]
        fn one_rate_for_all_is_that_rate_for_the_whole(rate in 0..1_000_000_000u64, counts in proptest::array::uniform5(0..1_000_000u64)) {
            let whole = u128::from(rate) * u128::from(counts[0] + counts[3]);
            prop_assert_eq!(price([rate; 5]).cost(&usage(counts)), whole as f64 / PARTS);
        }
    }
}

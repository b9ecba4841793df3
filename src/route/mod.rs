//! Finds where a call goes: from the model's public name to the targets to try, in order. Pure; the random number comes
//! in from outside, and nothing is called here.
//!
//! An exact name wins, then the pattern with the longest prefix, `*` last. A prefix that ends with a slash names the way
//! and not the model: of `openai/*`, what stands for the `*` is the name at the provider. Of `claude-*` it is the whole.

mod circuit;
mod health;
mod price;

use std::{collections::HashMap, num::NonZeroU32};

use thiserror::Error;

use crate::config::{Config, Failover, Model, OnDisconnect, Timeouts};

pub use crate::config::Price;
pub use health::{Health, Outcome, Permit, Report, Resting};
pub use price::Prices;

/// All routes of one config; a changed config makes new ones.
///
/// ```
/// use tokenway::{config::Config, route::Routes};
///
/// let routes = Routes::new(&Config::demo());
/// let plan = routes.plan("chat", 0)?;
/// assert_eq!(plan.targets[0].model, "sim-text");
/// assert!(routes.plan("gpt-9", 0).is_err());
/// # Ok::<(), tokenway::route::UnknownModel>(())
/// ```
#[derive(Clone, Debug)]
pub struct Routes {
    models: Vec<Model>,
    exact: HashMap<String, usize>,
    /// What stands before the `*`, the longest first.
    patterns: Vec<(String, usize)>,
    default_provider: Option<String>,
    prices: Prices,
}

/// Where one call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The public name that was asked for.
    pub model: String,
    /// The name or pattern in the config that it came by.
    pub route: String,
    /// To be tried in this order; at least one.
    pub targets: Vec<Target>,
    /// How long what may take.
    pub timeouts: Timeouts,
    /// What becomes of the generation when nobody is there.
    pub on_disconnect: OnDisconnect,
    /// How its calls are tried again.
    pub failover: Failover,
}

/// A provider and the model's name there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The provider's name in the config.
    pub provider: String,
    /// The model's name at the provider.
    pub model: String,
    /// What its tokens cost, if that is known.
    pub price: Option<Price>,
}

/// A model that apps may ask for by this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed<'a> {
    /// Its public name.
    pub id: &'a str,
    /// The provider that is asked first, or most.
    pub provider: &'a str,
}

/// No route takes this name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the model `{model}` does not exist; there are {}", known.join(", "))]
pub struct UnknownModel {
    /// What was asked for.
    pub model: String,
    /// The names and patterns that there are.
    pub known: Vec<String>,
}

impl Routes {
    /// The routes of a config.
    pub fn new(config: &Config) -> Self {
        let models = config.models.clone();
        let mut exact = HashMap::new();
        let mut patterns = Vec::new();
        for (index, model) in models.iter().enumerate() {
            match model.name.strip_suffix('*') {
                Some(prefix) => patterns.push((prefix.to_owned(), index)),
                None => {
                    exact.insert(model.name.clone(), index);
                }
            }
        }
        patterns.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        let default_provider = config.providers.first().map(|provider| provider.name.clone());
        Self { models, exact, patterns, default_provider, prices: Prices::new(config) }
    }

    /// The targets for a model's name. `random` is uniform over all numbers and decides between weights.
    pub fn plan(&self, name: &str, random: u64) -> Result<Plan, UnknownModel> {
        let (model, rest) = self.find(name).ok_or_else(|| UnknownModel {
            model: name.to_owned(),
            known: self.models.iter().map(|model| model.name.clone()).collect(),
        })?;
        let targets = order(model, random).into_iter().map(|index| {
            let target = &model.targets[index];
            let upstream = target.model.as_deref().unwrap_or(rest);
            let price = self.prices.of(&target.provider, upstream, name);
            Target { provider: target.provider.clone(), model: upstream.to_owned(), price }
        });
        Ok(Plan {
            model: name.to_owned(),
            route: model.name.clone(),
            targets: targets.collect(),
            timeouts: model.timeouts,
            on_disconnect: model.on_disconnect,
            failover: model.failover,
        })
    }

    /// What `GET /v1/models` lists: all exact names, in the file's order. Patterns are no names to ask for.
    pub fn models(&self) -> impl Iterator<Item = Listed<'_>> {
        let exact = self.models.iter().filter(|model| !model.name.ends_with('*'));
        exact.filter_map(|model| {
            let shares = model.targets.iter().rev();
            let most = shares.max_by_key(|target| target.weight.map_or(0, NonZeroU32::get))?;
            Some(Listed { id: &model.name, provider: &most.provider })
        })
    }

    /// The provider that takes what no model names: the file's first.
    pub fn default_provider(&self) -> Option<&str> {
        self.default_provider.as_deref()
    }

    /// The model, and the name that its providers know.
    fn find<'a>(&self, name: &'a str) -> Option<(&Model, &'a str)> {
        let exact = self.exact.get(name).map(|index| (*index, name));
        let pattern = || {
            let rests = self.patterns.iter().filter_map(|(prefix, index)| {
                let rest = name.strip_prefix(prefix.as_str()).filter(|rest| !rest.is_empty())?;
                Some((*index, if prefix.ends_with('/') { rest } else { name }))
            });
            rests.into_iter().next()
        };
        let (index, rest) = exact.or_else(pattern)?;
        Some((&self.models[index], rest))
    }
}

/// The order in which a model's targets are tried: one of those with a weight, chosen by weight, then all others as
/// they stand in the file. Without weights, as they stand.
fn order(model: &Model, random: u64) -> Vec<usize> {
    let weight = |index: usize| model.targets[index].weight.map_or(0, |weight| weight.get().into());
    let indices = 0..model.targets.len();
    let total: u64 = indices.clone().map(weight).sum();
    let mut order: Vec<usize> = indices.collect();
    if total > 0 {
        // Scaled rather than reduced by division: every share is exact to 2^-64 of the whole.
        let mut drawn = ((u128::from(random) * u128::from(total)) >> 64) as u64;
        let chosen = order.iter().position(|index| {
            let share = weight(*index);
            let hit = drawn < share;
            drawn = drawn.saturating_sub(share);
            hit
        });
        let chosen = chosen.expect("what is drawn is below the sum of the weights");
        order[..=chosen].rotate_right(1);
    }
    order
}

#[cfg(test)]
mod tests;

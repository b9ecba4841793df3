//! Whether a target may be called now: its circuit breaker, and how many calls it has in flight. Knows no network; the
//! time comes in from outside.
//!
//! A target is a provider and a model's name there. The simulator has no breaker: to fail is what it is for.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::circuit::{Circuit, Pass, Refused};
use crate::config::{self, Breaker, Config};

/// Past so many, targets that are idle and healthy are forgotten: under a pattern, apps make up the names.
const TARGETS_MAX: usize = 1024;

/// The health of all targets, shared by all calls. By default nothing has a limit or a breaker.
#[derive(Debug, Default)]
pub struct Health {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// By provider; one without never rests.
    breakers: HashMap<String, Breaker>,
    limits: Limits,
    /// One for all configs of a process's life.
    targets: Arc<Mutex<HashMap<Key, Target>>>,
}

/// How many calls each target may have in flight.
#[derive(Debug, Default)]
struct Limits {
    named: HashMap<Key, u32>,
    /// By provider: for what comes through a pattern.
    any: HashMap<String, u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    provider: String,
    model: String,
}

#[derive(Debug, Default)]
struct Target {
    in_flight: u32,
    circuit: Circuit,
}

/// How a call ended, as far as its target's health goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target answered as it should; a refusal that is the app's own fault counts as that.
    Good,
    /// It did not: 408, 429, 5xx, a timeout, no connection, a broken stream.
    Bad,
}

/// A call to a target that is allowed, and counts as in flight for as long as this lives. Dropped without
/// [`Permit::end`] it says nothing of the target's health.
#[derive(Debug)]
pub struct Permit {
    shared: Arc<Shared>,
    key: Key,
    pass: Pass,
    ended: bool,
}

/// Why a target must not be called now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resting {
    /// For people: `circuit open`, `100 calls in flight`.
    pub why: String,
    /// When it may be tried again, where that is known.
    pub until: Option<Instant>,
}

/// How one target is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The provider.
    pub provider: String,
    /// The model's name there.
    pub model: String,
    /// Its breaker: `closed`, `open` or `half_open`.
    pub breaker: &'static str,
    /// When an open breaker lets the next call through.
    pub until: Option<Instant>,
    /// Calls under way.
    pub in_flight: u32,
}

impl Health {
    /// Everything is well; the limits and breakers are the config's.
    pub fn new(config: &Config) -> Self {
        Self { shared: Arc::new(Shared::new(config, Arc::default())) }
    }

    /// The same targets, as they are, under another config's limits and breakers.
    pub fn renewed(&self, config: &Config) -> Self {
        Self { shared: Arc::new(Shared::new(config, Arc::clone(&self.shared.targets))) }
    }

    /// Asks to call a model at a provider.
    pub fn admit(&self, provider: &str, model: &str, now: Instant) -> Result<Permit, Resting> {
        let shared = &self.shared;
        let key = Key { provider: provider.to_owned(), model: model.to_owned() };
        let limit = shared.limits.of(&key);
        let mut targets = shared.targets.lock();
        if targets.len() >= TARGETS_MAX && !targets.contains_key(&key) {
            targets.retain(|key, target| !shared.is_blank(key, target, now));
        }
        let target = targets.entry(key.clone()).or_default();
        if let Some(limit) = limit
            && target.in_flight >= limit
        {
            let why = format!("{limit} calls in flight, as many as it may have");
            return Err(Resting { why, until: None });
        }
        let pass = target.circuit.admit(now).map_err(|refused| match refused {
            Refused::Open { until } => {
                Resting { why: "circuit open".to_owned(), until: Some(until) }
            }
            Refused::Probing => {
                // The probe may be slow, and it may be well: whoever has no other target calls it, too.
                let why = "circuit half-open, and a call is probing it".to_owned();
                Resting { why, until: Some(now) }
            }
        })?;
        target.in_flight += 1;
        Ok(Permit { shared: Arc::clone(shared), key, pass, ended: false })
    }

    /// How every target is that was called lately, by provider and model.
    pub fn report(&self) -> Vec<Report> {
        let targets = self.shared.targets.lock();
        let mut reports: Vec<_> = targets
            .iter()
            .map(|(key, target)| {
                let (breaker, until) = target.circuit.state();
                let Key { provider, model } = key.clone();
                Report { provider, model, breaker, until, in_flight: target.in_flight }
            })
            .collect();
        drop(targets);
        reports.sort_by(|one, other| {
            (&one.provider, &one.model).cmp(&(&other.provider, &other.model))
        });
        reports
    }
}

impl Permit {
    /// The target has begun to answer as it should. The call stays in flight, and may still fail; but a probe has found
    /// out what it was for, and others need not wait until it ends.
    pub fn answered(&mut self, now: Instant) {
        let Self { shared, key, pass, .. } = self;
        if let (Some(rule), Some(target)) =
            (shared.breakers.get(&key.provider), shared.targets.lock().get_mut(key))
        {
            *pass = target.circuit.answered(*pass, now, rule);
        }
    }

    /// The call ended.
    pub fn end(mut self, outcome: Outcome, now: Instant) {
        self.ended = true;
        let Self { shared, key, pass, .. } = &self;
        if let (Some(rule), Some(target)) =
            (shared.breakers.get(&key.provider), shared.targets.lock().get_mut(key))
        {
            target.circuit.end(*pass, outcome, now, rule);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut targets = self.shared.targets.lock();
        let target = targets.get_mut(&self.key).expect("a target with a call in flight is kept");
        target.in_flight -= 1;
        if !self.ended {
            target.circuit.abandon(self.pass);
        }
    }
}

impl Shared {
    fn new(config: &Config, targets: Arc<Mutex<HashMap<Key, Target>>>) -> Self {
        let breakers = config.providers.iter().filter_map(|provider| match &provider.endpoint {
            config::Endpoint::Http(http) => Some((provider.name.clone(), http.breaker)),
            config::Endpoint::Simulator(_) => None,
        });
        Self { breakers: breakers.collect(), limits: Limits::new(config), targets }
    }

    fn is_blank(&self, key: &Key, target: &Target, now: Instant) -> bool {
        let rule = self.breakers.get(&key.provider);
        target.in_flight == 0 && rule.is_none_or(|rule| target.circuit.is_blank(now, rule))
    }
}

impl Limits {
    fn new(config: &Config) -> Self {
        let mut limits = Self::default();
        for model in &config.models {
            for target in &model.targets {
                let Some(limit) = target.max_in_flight else { continue };
                let name = match &target.model {
                    None if model.name.ends_with('*') => None,
                    None => Some(&model.name),
                    named => named.as_ref(),
                };
                let provider = target.provider.clone();
                let known = match name {
                    Some(name) => {
                        let key = Key { provider, model: name.clone() };
                        limits.named.entry(key).or_insert(u32::MAX)
                    }
                    None => limits.any.entry(provider).or_insert(u32::MAX),
                };
                *known = limit.get().min(*known);
            }
        }
        limits
    }

    fn of(&self, key: &Key) -> Option<u32> {
        self.named.get(key).or_else(|| self.any.get(&key.provider)).copied()
    }
}

#[cfg(test)]
mod tests;

//! Models: what a public name may be, and the targets behind it.

use std::{num::NonZeroU32, time::Duration};

use super::{
    super::{
        Failover, Model, OnBreak, OnDisconnect, RETRIES_MAX, Target, Timeouts, file,
        located::At,
        problem::{choice, list},
        units,
    },
    Resolver,
};

const ON_BREAK: [&str; 2] = ["fail", "continue"];

impl Resolver<'_> {
    pub(super) fn model(
        &mut self,
        name: &At<String>,
        model: &file::Model,
        providers: &[String],
        on_disconnect: OnDisconnect,
    ) -> Model {
        let text = &name.value;
        if text.is_empty() || text.chars().any(|char| char.is_whitespace() || char.is_control()) {
            self.wrong(Some(name.place), "a model's name is not empty and has no spaces");
        }
        if text.contains("${") {
            self.wrong(
                Some(name.place),
                "names are not taken from the environment, only values are",
            );
        }
        if text.strip_suffix('*').unwrap_or(text).contains('*') {
            let message = format!("`{text}` is not a pattern; the `*` stands at its end");
            self.wrong(Some(name.place), message);
        }
        if model.targets.is_empty() {
            let message = format!(
                "`{text}` has no targets; give at least one, such as `targets: [{{ provider: {} }}]`",
                providers.first().map_or("NAME", String::as_str)
            );
            self.wrong(Some(name.place), message);
        }
        let targets = model.targets.iter().map(|target| self.target(target, providers)).collect();
        Model {
            name: text.clone(),
            targets,
            timeouts: self.timeouts(&model.timeouts),
            on_disconnect: self.on_disconnect(&model.on_disconnect).unwrap_or(on_disconnect),
            failover: self.failover(model),
        }
    }

    pub(super) fn target(&mut self, target: &At<file::Target>, providers: &[String]) -> Target {
        let At { value: target, place } = target;
        let provider = self.read(&target.provider, |text| {
            match providers.iter().any(|provider| provider == text) {
                true => Ok(text.to_owned()),
                false => Err(format!("a configured provider; {}", choice(text, providers))),
            }
        });
        if target.provider.0.is_none() {
            let message = format!("the target names no `provider`; there are {}", list(providers));
            self.wrong(Some(*place), message);
        }
        let model = self.read(&target.model, |text| match text.trim().is_empty() {
            true => Err("the model's name at the provider".to_owned()),
            false => Ok(text.to_owned()),
        });
        let weight = self.read(&target.weight, |text| {
            text.parse::<NonZeroU32>().map_err(|_| {
                "a whole number from 1; without `weight`, the target only takes over".to_owned()
            })
        });
        let max_in_flight = self.read(&target.max_in_flight, |text| {
            text.parse::<NonZeroU32>().map_err(|_| {
                "a whole number from 1; without `max_in_flight`, there is no limit".to_owned()
            })
        });
        Target { provider: provider.unwrap_or_default(), model, weight, max_in_flight }
    }

    pub(super) fn failover(&mut self, model: &file::Model) -> Failover {
        let default = Failover::default();
        let retries = self.read(&model.failover.retries, |text| {
            let retries = text.parse().ok().filter(|retries| *retries <= RETRIES_MAX);
            retries.ok_or_else(|| format!("a whole number from 0 to {RETRIES_MAX}"))
        });
        let budget = self.read(&model.failover.budget, units::duration);
        let on_break = self.read(&model.on_break, |text| match text {
            "fail" => Ok(OnBreak::Fail),
            "continue" => Ok(OnBreak::Continue),
            other => Err(format!("a way to go on; {}", choice(other, &ON_BREAK))),
        });
        Failover {
            retries: retries.unwrap_or(default.retries),
            budget: budget.unwrap_or(default.budget),
            on_break: on_break.unwrap_or(default.on_break),
        }
    }

    pub(super) fn timeouts(&mut self, timeouts: &file::Timeouts) -> Timeouts {
        let default = Timeouts::default();
        let mut read = |given, default| {
            let some = |text: &str| match units::duration(text)? {
                Duration::ZERO => Err("a duration of more than nothing".to_owned()),
                duration => Ok(duration),
            };
            self.read(given, some).unwrap_or(default)
        };
        Timeouts {
            connect: read(&timeouts.connect, default.connect),
            first_token: read(&timeouts.first_token, default.first_token),
            idle: read(&timeouts.idle, default.idle),
            total: read(&timeouts.total, default.total),
            silent: read(&timeouts.silent, default.silent),
        }
    }
}

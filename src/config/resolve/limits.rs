//! Limits: for everybody, and of a key.

use std::{
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

use super::{
    super::{BudgetLimits, HEADERS_MIN, KeyLimits, Limits, Rate, file, located::Given, units},
    Resolver, place,
};

/// Less is no time for anybody.
const TIMEOUT_MIN: Duration = Duration::from_secs(1);

impl Resolver<'_> {
    pub(super) fn limits(&mut self, limits: &file::Limits) -> Limits {
        let default = Limits::default();
        let mut count = |given: &Given<String>, default| {
            let count = self.read(given, |text| match text {
                "none" => Ok(None),
                number => number
                    .parse::<NonZeroU32>()
                    .map(Some)
                    .map_err(|_| "a whole number from 1, or `none`".to_owned()),
            });
            count.unwrap_or(default)
        };
        let generations = count(&limits.generations, default.generations);
        let connections = count(&limits.connections, default.connections);
        let connections_per_address =
            count(&limits.connections_per_address, default.connections_per_address);
        let sessions = count(&limits.sessions, default.sessions);
        let sessions_per_address =
            count(&limits.sessions_per_address, default.sessions_per_address);
        let sessions_per_client = count(&limits.sessions_per_client, default.sessions_per_client);
        let subscriptions = count(&limits.subscriptions, default.subscriptions);
        let publishes_per_minute =
            count(&limits.publishes_per_minute, default.publishes_per_minute);
        let some = |text: &str| match units::size(text)? {
            0 => Err("a size of more than nothing".to_owned()),
            size => Ok(size),
        };
        let headers = self.read(&limits.headers, |text| match units::size(text)? {
            small if small < HEADERS_MIN => Err("a size from `8KiB`".to_owned()),
            size => Ok(size),
        });
        let time = |text: &str| match units::duration(text)? {
            short if short < TIMEOUT_MIN => Err("a duration from `1s`".to_owned()),
            duration => Ok(duration),
        };
        let (body, bodies) = (self.read(&limits.body, some), self.read(&limits.bodies, some));
        let (body, bodies) = (body.unwrap_or(default.body), bodies.unwrap_or(default.bodies));
        // A key has half of them at most.
        if bodies < 2 * body {
            let message = format!(
                "`bodies` ({bodies} bytes) is to be twice `body` ({body} bytes) at least, or the largest call never fits"
            );
            self.wrong(place(&limits.bodies).or_else(|| place(&limits.body)), message);
        }
        Limits {
            generations,
            connections,
            connections_per_address,
            sessions,
            sessions_per_address,
            sessions_per_client,
            subscriptions,
            publishes_per_minute,
            body,
            bodies,
            headers: headers.unwrap_or(default.headers),
            header_timeout: self
                .read(&limits.header_timeout, time)
                .unwrap_or(default.header_timeout),
            body_timeout: self.read(&limits.body_timeout, time).unwrap_or(default.body_timeout),
            logs: self.read(&limits.logs, some).unwrap_or(default.logs),
        }
    }

    pub(super) fn key_limits(&mut self, limits: &file::KeyLimits) -> KeyLimits {
        let expected = |_| "a whole number from 1".to_owned();
        let mut money = |given: &Given<String>| {
            // A price's form is money's form.
            let money = self.read(given, |text| {
                units::rate(text).map_err(|_| "money, such as `10` or `2.50`".to_owned())
            });
            money.map(|Rate(millionths)| millionths as f64 / 1e6)
        };
        let budget =
            BudgetLimits { day: money(&limits.budget.day), month: money(&limits.budget.month) };
        let mut count =
            |given| self.read(given, |text| text.parse::<NonZeroU32>().map_err(expected));
        let requests_per_minute = count(&limits.requests_per_minute);
        let concurrent = count(&limits.concurrent);
        KeyLimits {
            requests_per_minute,
            tokens_per_minute: self.read(&limits.tokens_per_minute, |text| {
                text.parse::<NonZeroU64>().map_err(expected)
            }),
            concurrent,
            budget,
        }
    }
}

//! Why somebody was refused, in the words under which operators find it counted.

use super::Limited;
use crate::telemetry::Metrics;

/// Why somebody was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No key or token that holds (401).
    Unauthorized,
    /// A right is missing, or a page is of another origin (403).
    Forbidden,
    /// A key's limit was reached (429).
    Limited(Limited),
    /// Published too often (429).
    Publish,
    /// The gateway is full (503).
    Overloaded,
    /// There is no seat for another session, view or subscription.
    Seat,
    /// There is no room for another connection.
    Connection,
    /// A body is too large (413).
    TooLarge,
    /// A body stood still (408).
    TooSlow,
}

impl Refusal {
    /// All there are.
    pub const ALL: [Self; 13] = [
        Self::Unauthorized,
        Self::Forbidden,
        Self::Limited(Limited::Requests),
        Self::Limited(Limited::Tokens),
        Self::Limited(Limited::Concurrent),
        Self::Limited(Limited::Day),
        Self::Limited(Limited::Month),
        Self::Publish,
        Self::Overloaded,
        Self::Seat,
        Self::Connection,
        Self::TooLarge,
        Self::TooSlow,
    ];

    /// Its name, for the metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Limited(limited) => limited.as_str(),
            Self::Publish => "publishes_per_minute",
            Self::Overloaded => "overloaded",
            Self::Seat => "seat",
            Self::Connection => "connection",
            Self::TooLarge => "too_large",
            Self::TooSlow => "too_slow",
        }
    }

    /// One more.
    pub fn count(self, metrics: &Metrics) {
        metrics.refusals.with([self.as_str()]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::CATALOGUE;

    #[test]
    fn each_is_counted_by_itself_under_a_documented_name() {
        let metrics = Metrics::default();
        let documented = CATALOGUE.iter().find(|it| it.name == "tokenway_refusals_total");
        let help = documented.expect("it is in the catalogue").help;
        for (at, refusal) in Refusal::ALL.into_iter().enumerate() {
            (0..at).for_each(|_| refusal.count(&metrics));
            assert!(help.contains(&format!("`{}`", refusal.as_str())), "{refusal:?}: {help}");
        }
        for (at, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(metrics.refusals.with([refusal.as_str()]).get(), at as u64, "{refusal:?}");
        }
    }
}

//! Budgets: money for a day and for a month, both in UTC. What runs is reserved by an estimate until its cost is known.

use std::time::Duration;

use time::{Date, Month, OffsetDateTime, Time};

/// Money by the price table, in its currency.
pub type Money = f64;

/// What was spent, and in which day and month.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// The day that is counted, and what was spent in it.
    pub day: Option<(Date, Money)>,
    /// The first day of the month that is counted, and what was spent in it.
    pub month: Option<(Date, Money)>,
}

/// What was spent, and what may be.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Budget {
    day_max: Option<Money>,
    month_max: Option<Money>,
    spent: Spent,
    reserved: Money,
}

/// Which budget is used up, and when the next begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct UsedUp {
    pub(super) monthly: bool,
    pub(super) max: Money,
    pub(super) wait: Duration,
}

impl Budget {
    pub(super) fn new(day_max: Option<Money>, month_max: Option<Money>) -> Self {
        Self { day_max, month_max, ..Self::default() }
    }

    /// From now on so much may be spent.
    pub(super) fn limit(&mut self, day_max: Option<Money>, month_max: Option<Money>) {
        (self.day_max, self.month_max) = (day_max, month_max);
    }

    /// Reserves an estimate, if what is left of the budgets covers it. An estimate of nothing goes while anything is left.
    pub(super) fn reserve(&mut self, estimate: Money, now_ms: u64) -> Result<(), UsedUp> {
        let now = self.turn(now_ms);
        let beyond = |max: Option<Money>, spent: Option<(Date, Money)>| {
            let spent = spent.map_or(0.0, |(_, spent)| spent) + self.reserved;
            max.filter(|max| spent >= *max || spent + estimate > *max)
        };
        if let Some(max) = beyond(self.month_max, self.spent.month) {
            let wait = until(next_month(now.date()), now);
            return Err(UsedUp { monthly: true, max, wait });
        }
        if let Some(max) = beyond(self.day_max, self.spent.day) {
            let wait = until(now.date().next_day().unwrap_or(Date::MAX), now);
            return Err(UsedUp { monthly: false, max, wait });
        }
        self.reserved += estimate;
        Ok(())
    }

    /// What was reserved turned out to cost so much.
    pub(super) fn settle(&mut self, reserved: Money, cost: Money, now_ms: u64) {
        self.turn(now_ms);
        self.reserved = (self.reserved - reserved).max(0.0);
        let Spent { day, month } = &mut self.spent;
        for (_, spent) in [day, month].into_iter().flatten() {
            *spent += cost;
        }
    }

    /// What was spent today and this month.
    pub(super) fn spent(&self) -> Spent {
        self.spent
    }

    /// Goes on from what was spent before, unless something is counted already.
    pub(super) fn restore(&mut self, spent: Spent) {
        if self.spent == Spent::default() {
            self.spent = spent;
        }
    }

    /// Whether there is a limit at all.
    pub(super) fn is_limited(&self) -> bool {
        self.day_max.is_some() || self.month_max.is_some()
    }

    /// Begins a new day or month where one has begun.
    fn turn(&mut self, now_ms: u64) -> OffsetDateTime {
        let nanos = i128::from(now_ms) * 1_000_000;
        let now = OffsetDateTime::from_unix_timestamp_nanos(nanos);
        let now = now.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let today = now.date();
        let first = today.replace_day(1).unwrap_or(today);
        let Spent { day, month } = &mut self.spent;
        for (counted, begins) in [(day, today), (month, first)] {
            if counted.is_none_or(|(of, _)| of != begins) {
                *counted = Some((begins, 0.0));
            }
        }
        now
    }
}

fn next_month(date: Date) -> Date {
    let year = date.year() + i32::from(date.month() == Month::December);
    Date::from_calendar_date(year, date.month().next(), 1).unwrap_or(Date::MAX)
}

fn until(date: Date, now: OffsetDateTime) -> Duration {
    let begins = date.with_time(Time::MIDNIGHT).assume_utc();
    (begins - now).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noon of 31 December 2026, UTC.
    const NOON_MS: u64 = 1_798_718_400_000;
    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn what_runs_counts_until_its_cost_is_known() {
        let mut budget = Budget::new(Some(10.0), None);
        assert_eq!(budget.reserve(6.0, NOON_MS), Ok(()));
        let used_up = UsedUp { monthly: false, max: 10.0, wait: 12 * HOUR };
        assert_eq!(budget.reserve(6.0, NOON_MS), Err(used_up));
        budget.settle(6.0, 1.0, NOON_MS);
        assert_eq!(budget.reserve(6.0, NOON_MS), Ok(()));
        budget.settle(6.0, 9.5, NOON_MS);
        assert_eq!(budget.reserve(0.0, NOON_MS), Err(used_up), "more than it holds was spent");
        let of = |spent: Option<(Date, Money)>| spent.map(|(_, spent)| spent);
        let Spent { day, month } = budget.spent();
        assert_eq!((of(day), of(month)), (Some(10.5), Some(10.5)));
    }

    #[test]
    fn a_day_and_a_month_begin_anew() {
        let mut budget = Budget::new(Some(2.0), Some(3.0));
        let day_ms = 24 * HOUR.as_millis() as u64;
        let before_ms = NOON_MS - day_ms;
        assert_eq!(budget.reserve(2.0, before_ms), Ok(()));
        budget.settle(2.0, 2.0, before_ms);
        let used_up = budget.reserve(1.0, before_ms).expect_err("the day's");
        assert_eq!((used_up.monthly, used_up.wait), (false, 12 * HOUR));
        // The next day's, but of the month only one is left.
        let used_up = budget.reserve(2.0, NOON_MS).expect_err("the month's");
        assert_eq!((used_up.monthly, used_up.wait), (true, 12 * HOUR));
        assert_eq!(budget.reserve(1.0, NOON_MS), Ok(()));
        budget.settle(1.0, 1.0, NOON_MS);
        assert_eq!(budget.reserve(2.0, NOON_MS + day_ms), Ok(()), "a new year");
    }
}

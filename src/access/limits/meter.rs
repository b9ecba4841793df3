//! One key's limits: what it has left, and what runs on its account.

use std::{fmt, sync::Arc, time::Duration};

use parking_lot::{Mutex, RwLock};
use thiserror::Error;

use super::{
    budget::{Budget, Money, Spent},
    rate::{Bucket, Rate},
};
use crate::{clock, config::KeyLimits};

/// How soon to ask again where something must end first.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What a key has left.
#[derive(Debug)]
pub struct Meter {
    rules: RwLock<Rules>,
    running: Mutex<u32>,
    budget: Mutex<Budget>,
}

/// What holds now.
#[derive(Debug)]
struct Rules {
    limits: KeyLimits,
    requests: Option<Rate>,
    tokens: Option<Arc<Bucket>>,
}

/// Which limit was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limited {
    /// `requests_per_minute`.
    Requests,
    /// `tokens_per_minute`.
    Tokens,
    /// `concurrent`.
    Concurrent,
    /// `budget.day`.
    Day,
    /// `budget.month`.
    Month,
}

impl Limited {
    /// Its name in the config, and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests_per_minute",
            Self::Tokens => "tokens_per_minute",
            Self::Concurrent => "concurrent",
            Self::Day => "budget.day",
            Self::Month => "budget.month",
        }
    }

    /// Whether waiting a little helps.
    pub fn is_brief(self) -> bool {
        matches!(self, Self::Requests | Self::Tokens | Self::Concurrent)
    }
}

impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A key's limit is reached.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("this access key's {limited} ({max}) {}; try again in {} s", self.how(), seconds(*.wait))]
pub struct Exceeded {
    /// Which.
    pub limited: Limited,
    /// What it is.
    pub max: Money,
    /// When trying again can help.
    pub wait: Duration,
}

/// In whole seconds, at least one.
fn seconds(wait: Duration) -> u64 {
    clock::whole_seconds(wait).max(1)
}

impl Exceeded {
    fn how(&self) -> &'static str {
        match self.limited {
            Limited::Requests | Limited::Concurrent => "is used up",
            // Which may be less than all of it, where a call is allowed to say much.
            Limited::Tokens | Limited::Day | Limited::Month => {
                "has not enough left for what this call may take"
            }
        }
    }

    /// When trying again can help, in whole seconds, at least one.
    pub fn retry_after(&self) -> u64 {
        seconds(self.wait)
    }
}

/// What a generation is expected to take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Asked {
    /// Tokens of input and output.
    pub tokens: u64,
    /// Money, where a price is known.
    pub cost: Money,
}

/// How a key stands, for the headers of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Standing {
    /// Requests in a minute.
    pub requests: Option<Window>,
    /// Tokens in a minute.
    pub tokens: Option<Window>,
}

/// How a rate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// What there may be in a minute.
    pub limit: u64,
    /// What there is now.
    pub left: u64,
    /// When all of it will be there again.
    pub full_in: Duration,
}

impl Meter {
    /// Nothing was used yet.
    pub fn new(limits: KeyLimits) -> Self {
        let budget = Budget::new(limits.budget.day, limits.budget.month);
        Self {
            rules: RwLock::new(Rules::new(limits)),
            running: Mutex::new(0),
            budget: Mutex::new(budget),
        }
    }

    /// From now on these limits hold. What runs and what was spent still counts; a rate that has changed begins with a full
    /// bucket.
    pub fn limit(&self, limits: KeyLimits) {
        self.budget.lock().limit(limits.budget.day, limits.budget.month);
        let mut rules = self.rules.write();
        let KeyLimits { requests_per_minute, tokens_per_minute, .. } = limits;
        let mut new = Rules::new(limits);
        if rules.limits.requests_per_minute == requests_per_minute {
            new.requests = rules.requests.take();
        }
        if rules.limits.tokens_per_minute == tokens_per_minute {
            new.tokens = rules.tokens.take();
        }
        *rules = new;
    }

    /// Whether what a call will take has to be estimated.
    pub fn needs_estimate(&self) -> bool {
        self.rules.read().limits.needs_estimate()
    }

    /// Whether what a call costs matters.
    pub fn needs_prices(&self) -> bool {
        self.rules.read().limits.needs_prices()
    }

    /// A request comes.
    pub fn request(&self) -> Result<(), Exceeded> {
        let rules = self.rules.read();
        let Some(requests) = &rules.requests else { return Ok(()) };
        requests.take().map_err(|wait| rules.exceeded(Limited::Requests, wait))
    }

    /// A generation is to begin. What it takes is given back, and what it used is counted, when the guard is dropped.
    pub fn begin(self: &Arc<Self>, asked: Asked) -> Result<Running, Exceeded> {
        let rules = self.rules.read();
        {
            let mut running = self.running.lock();
            if rules.limits.concurrent.is_some_and(|max| *running >= max.get()) {
                return Err(rules.exceeded(Limited::Concurrent, ASK_AGAIN));
            }
            *running += 1;
        }
        // From here on the guard gives back whatever was taken.
        let mut begun =
            Running { meter: Arc::clone(self), tokens: None, reserved: 0.0, used: None };
        let reserved = self.budget.lock().reserve(asked.cost, clock::now_ms());
        reserved.map_err(|used_up| {
            let limited = if used_up.monthly { Limited::Month } else { Limited::Day };
            Exceeded { limited, max: used_up.max, wait: used_up.wait }
        })?;
        begun.reserved = asked.cost;
        if let Some(tokens) = &rules.tokens {
            let taken = tokens.take(asked.tokens);
            let taken = taken.map_err(|wait| rules.exceeded(Limited::Tokens, wait))?;
            begun.tokens = Some((Arc::clone(tokens), taken));
        }
        Ok(begun)
    }

    /// How many generations run on its account.
    pub fn running(&self) -> u32 {
        *self.running.lock()
    }

    /// What was spent today and this month.
    pub fn spent(&self) -> (Money, Money) {
        let Spent { day, month } = self.budget.lock().spent();
        (day.map_or(0.0, |(_, spent)| spent), month.map_or(0.0, |(_, spent)| spent))
    }

    /// The same with its day and month, where there is a budget at all: for whoever keeps it.
    pub fn spent_of_budget(&self) -> Option<Spent> {
        let budget = self.budget.lock();
        budget.is_limited().then(|| budget.spent())
    }

    /// Goes on from what was spent before, unless something was spent since.
    pub fn restore(&self, spent: Spent) {
        self.budget.lock().restore(spent);
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        let window = |limit, (left, full_in)| Window { limit, left, full_in };
        let Rules { limits, requests, tokens } = &*self.rules.read();
        let (requests, tokens) = (requests.as_ref(), tokens.as_ref());
        Standing {
            requests: requests
                .zip(limits.requests_per_minute)
                .map(|(requests, limit)| window(u64::from(limit.get()), requests.standing())),
            tokens: tokens
                .zip(limits.tokens_per_minute)
                .map(|(tokens, limit)| window(limit.get(), tokens.standing())),
        }
    }
}

impl Rules {
    fn new(limits: KeyLimits) -> Self {
        let tokens = limits.tokens_per_minute.map(|tokens| Bucket::per_minute(tokens.get()));
        Self {
            requests: limits.requests_per_minute.map(Rate::per_minute),
            tokens: tokens.map(Arc::new),
            limits,
        }
    }

    fn exceeded(&self, limited: Limited, wait: Duration) -> Exceeded {
        let max = match limited {
            Limited::Requests => self.limits.requests_per_minute.map(|max| f64::from(max.get())),
            Limited::Tokens => self.limits.tokens_per_minute.map(|max| max.get() as f64),
            Limited::Concurrent => self.limits.concurrent.map(|max| f64::from(max.get())),
            Limited::Day => self.limits.budget.day,
            Limited::Month => self.limits.budget.month,
        };
        Exceeded { limited, max: max.unwrap_or_default(), wait }
    }
}

/// A generation that runs on a key's account.
#[derive(Debug)]
pub struct Running {
    meter: Arc<Meter>,
    /// What was taken, and from where.
    tokens: Option<(Arc<Bucket>, u64)>,
    reserved: Money,
    used: Option<Asked>,
}

impl Running {
    /// What it has used so far, all in all.
    pub fn used(&mut self, used: Asked) {
        self.used = Some(used);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let used = self.used.unwrap_or_default();
        if let Some((bucket, taken)) = &self.tokens {
            bucket.settle(*taken, used.tokens);
        }
        self.meter.budget.lock().settle(self.reserved, used.cost, clock::now_ms());
        *self.meter.running.lock() -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroU64};

    use super::*;
    use crate::config::BudgetLimits;

    fn meter() -> Arc<Meter> {
        Arc::new(Meter::new(KeyLimits {
            requests_per_minute: NonZeroU32::new(60),
            tokens_per_minute: NonZeroU64::new(1_000),
            concurrent: NonZeroU32::new(2),
            budget: BudgetLimits { day: Some(1.0), month: None },
        }))
    }

    fn asked(tokens: u64, cost: Money) -> Asked {
        Asked { tokens, cost }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_is_given_back_whichever_limit_said_no() {
        let meter = meter();
        let before = meter.standing();
        for (wish, limited) in
            [(asked(10, 2.0), Limited::Day), (asked(10, f64::INFINITY), Limited::Day)]
        {
            assert_eq!(meter.begin(wish).expect_err("too dear").limited, limited);
        }
        let one = meter.begin(asked(900, 0.5)).expect("it begins");
        let refused = meter.begin(asked(900, 0.1)).expect_err("too many tokens");
        assert_eq!((refused.limited, refused.retry_after()), (Limited::Tokens, 48));
        let two = meter.begin(asked(100, 0.1)).expect("it begins");
        assert_eq!(meter.begin(asked(0, 0.0)).expect_err("a third").limited, Limited::Concurrent);
        assert_eq!(meter.running(), 2);
        drop((one, two));
        assert_eq!((meter.running(), meter.spent(), meter.standing()), (0, (0.0, 0.0), before));
    }

    #[tokio::test(start_paused = true)]
    async fn limits_change_under_way_and_what_was_spent_still_counts() {
        let meter = meter();
        let mut one = meter.begin(asked(900, 0.5)).expect("it begins");
        let budget = BudgetLimits { day: Some(0.6), month: None };
        let limits = KeyLimits {
            concurrent: NonZeroU32::new(1),
            tokens_per_minute: NonZeroU64::new(1_000),
            requests_per_minute: NonZeroU32::new(5),
            budget,
        };
        meter.limit(limits.clone());
        assert_eq!(meter.begin(asked(0, 0.0)).expect_err("one runs").limited, Limited::Concurrent);
        one.used(asked(900, 0.55));
        drop(one);
        assert_eq!(meter.begin(asked(0, 0.1)).expect_err("too dear").limited, Limited::Day);
        assert_eq!(meter.begin(asked(101, 0.0)).expect_err("too many").limited, Limited::Tokens);
        let standing = meter.standing();
        let [requests, tokens] = [standing.requests, standing.tokens].map(|it| it.expect("one"));
        assert_eq!((requests.limit, requests.left, tokens.left), (5, 5, 100));
        meter.limit(KeyLimits::default());
        assert!(meter.begin(asked(u64::MAX, 1e9)).is_ok());
        meter.limit(limits);
        assert_eq!(meter.begin(asked(0, 0.1)).expect_err("as before").limited, Limited::Day);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_used_is_what_counts() {
        let meter = meter();
        let mut one = meter.begin(asked(100, 0.1)).expect("it begins");
        one.used(asked(200, 0.2));
        one.used(asked(700, 0.75));
        drop(one);
        assert_eq!(meter.standing().tokens.map(|window| window.left), Some(300));
        assert_eq!(meter.spent(), (0.75, 0.75));
        let dear = meter.begin(asked(0, 0.3)).expect_err("a quarter is left");
        assert_eq!(dear.limited, Limited::Day);
        assert!(dear.to_string().contains("budget.day (1)"), "{dear}");
        assert!(meter.begin(asked(0, 0.25)).is_ok());
    }
}

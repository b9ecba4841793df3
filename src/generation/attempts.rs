//! Which target is called next, and when. Pure: setbacks, times and a random number come in, the next step goes out.
//!
//! Before the first token the same target is tried again where a short wait can help, then the others in their order. After
//! a break in mid-stream the others come first, and the same one last. What a setback means is `trouble`'s; whether a
//! generation can go on after a break is `said`'s.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Failover,
    trouble::{Remedy, Trouble},
};

/// The wait before the first repetition; each further one waits twice as long.
const BACKOFF: Duration = Duration::from_millis(250);

/// The longest wait that we choose ourselves: within the default budget several repetitions fit.
const BACKOFF_MAX: Duration = Duration::from_secs(8);

/// Whoever has another target to go to waits no longer than this for the same one.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often one target is called again at once, with another key or in other words: more keys than a provider has.
const AT_ONCE_MAX: u32 = 16;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Call a target.
    Call {
        /// Its place in the order.
        target: usize,
        /// After so long.
        after: Duration,
        /// Even if it rests: all others do, too.
        anyway: bool,
    },
    /// There is nothing left to try.
    GiveUp,
}

/// The state of one generation's attempts.
#[derive(Debug)]
pub(super) struct Attempts {
    failover: Failover,
    targets: Vec<Target>,
    /// The target that was named last.
    current: usize,
    /// From when the budget counts: the first call, or the last break.
    since: Instant,
    calls: u32,
    breaks: u32,
}

#[derive(Clone, Debug, Default)]
struct Target {
    /// Calls since the budget counts.
    tries: u32,
    at_once: u32,
    /// Never again: it cannot answer this call.
    spent: bool,
    rests: Option<Rests>,
    not_before: Option<Instant>,
}

/// A target that should not be called, and until when; `None` where only another call's end helps.
#[derive(Clone, Copy, Debug)]
struct Rests(Option<Instant>);

impl Attempts {
    /// Of so many targets, at least one, none has been called.
    pub(super) fn new(failover: Failover, targets: usize, now: Instant) -> Self {
        let targets = vec![Target::default(); targets];
        Self { failover, targets, current: 0, since: now, calls: 0, breaks: 0 }
    }

    /// The first step.
    pub(super) fn first(&self) -> Next {
        call(0, Duration::ZERO)
    }

    /// The target that was named is being called.
    pub(super) fn called(&mut self) {
        self.targets[self.current].tries += 1;
        self.calls += 1;
    }

    /// How many calls were made.
    pub(super) fn calls(&self) -> u32 {
        self.calls
    }

    /// Whether a setback of the call that runs could be followed by another call at all.
    pub(super) fn is_last(&self, now: Instant) -> bool {
        self.candidates(now).next().is_none()
    }

    /// The target that was named rests. Nothing was sent to it.
    pub(super) fn rests(&mut self, until: Option<Instant>, now: Instant) -> Next {
        self.targets[self.current].rests = Some(Rests(until));
        self.choose(false, now)
    }

    /// The call that ran came to nothing before anything was said. `at_once`: the same target may answer if it is called
    /// with another key, or in other words. `random` is uniform in 0..1.
    pub(super) fn refused(
        &mut self,
        trouble: &Trouble,
        at_once: bool,
        random: f64,
        now: Instant,
    ) -> Next {
        if trouble.remedy == Remedy::Nowhere && !at_once {
            return Next::GiveUp;
        }
        let target = &mut self.targets[self.current];
        if at_once && target.at_once < AT_ONCE_MAX && now <= self.since + self.failover.budget {
            target.at_once += 1;
            // It was another attempt, and not a repetition of the same one.
            target.tries = target.tries.saturating_sub(1);
            return call(self.current, Duration::ZERO);
        }
        self.mark(trouble, random, now);
        self.choose(trouble.remedy == Remedy::Wait, now)
    }

    /// The call that ran broke after something was said.
    pub(super) fn broke(&mut self, trouble: &Trouble, random: f64, now: Instant) -> Next {
        self.breaks += 1;
        let rounds = self.failover.retries.saturating_add(1);
        let breaks_max = rounds.saturating_mul(u32::try_from(self.targets.len()).unwrap_or(1));
        if trouble.remedy == Remedy::Nowhere || self.breaks > breaks_max {
            return Next::GiveUp;
        }
        self.since = now;
        self.mark(trouble, random, now);
        for target in &mut self.targets {
            (target.tries, target.at_once, target.rests) = (0, 0, None);
        }
        self.choose(false, now)
    }

    fn mark(&mut self, trouble: &Trouble, random: f64, now: Instant) {
        let target = &mut self.targets[self.current];
        target.spent |= matches!(trouble.remedy, Remedy::Never | Remedy::Nowhere);
        let wait = backoff(target.tries, random).max(trouble.after.unwrap_or_default());
        target.not_before = Some(now + wait);
    }

    /// The next target. `again`: the same one comes first, if the wait for it is short.
    fn choose(&mut self, again: bool, now: Instant) -> Next {
        match self.best(again, now).or_else(|| self.least_bad(now)) {
            Some(next) => {
                if let Next::Call { target, .. } = next {
                    self.current = target;
                }
                next
            }
            None => Next::GiveUp,
        }
    }

    fn best(&self, again: bool, now: Instant) -> Option<Next> {
        let mut same = self.candidates(now).filter(|index| again && *index == self.current);
        let same = same.next().filter(|index| self.ready(*index, now) - now <= PATIENCE);
        let at_once = || self.candidates(now).find(|index| self.ready(*index, now) == now);
        let soonest = || self.candidates(now).min_by_key(|index| self.ready(*index, now));
        let target = same.or_else(at_once).or_else(soonest)?;
        Some(call(target, self.ready(target, now) - now))
    }

    /// All that could be called rest: the one whose rest ends first is the least bad. One that is full stays full.
    fn least_bad(&self, now: Instant) -> Option<Next> {
        let resting = self.rotation().filter(|index| self.may_try(*index, now));
        let resting = resting.filter_map(|index| Some((index, self.targets[index].rests?.0?)));
        let (target, _) = resting.min_by_key(|(_, until)| *until)?;
        Some(Next::Call { target, after: Duration::ZERO, anyway: true })
    }

    /// What can be called without overstepping anything, in the order of the targets after the current one, which is last.
    fn candidates(&self, now: Instant) -> impl Iterator<Item = usize> {
        self.rotation()
            .filter(move |index| self.may_try(*index, now) && self.targets[*index].rests.is_none())
    }

    fn rotation(&self) -> impl Iterator<Item = usize> {
        let count = self.targets.len();
        (1..=count).map(move |step| (self.current + step) % count)
    }

    fn may_try(&self, index: usize, now: Instant) -> bool {
        let target = &self.targets[index];
        let in_time = self.ready(index, now) <= self.since + self.failover.budget;
        !target.spent && target.tries <= self.failover.retries && in_time
    }

    /// When the target has been left alone long enough.
    fn ready(&self, index: usize, now: Instant) -> Instant {
        self.targets[index].not_before.map_or(now, |at| at.max(now))
    }
}

fn call(target: usize, after: Duration) -> Next {
    Next::Call { target, after, anyway: false }
}

/// Twice as long each time, and between half and all of it: calls that broke together do not come back together.
fn backoff(tries: u32, random: f64) -> Duration {
    let doubled = BACKOFF.saturating_mul(1 << tries.saturating_sub(1).min(16));
    doubled.min(BACKOFF_MAX).mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests;

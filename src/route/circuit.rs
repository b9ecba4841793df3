//! The circuit breaker of one target. Pure: it is asked before each call and told of its end.
//!
//! Closed, it remembers how recent calls ended. It opens when as many in a row have failed as the rule says, which
//! catches a target that is down, or when as many have failed and they are half of all, which catches one that is worse
//! than its neighbours though some calls succeed. Open, it lets nobody through until its time is over; then one call goes
//! as a probe, and how that ends decides. What began before the circuit last changed says nothing of it any more.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::Outcome;
use crate::config::{BREAKER_FAILURES_MAX, Breaker};

/// How many calls are remembered: 4 KiB a target, and twice as many as the largest rule asks for.
const RECENT_MAX: usize = 2 * BREAKER_FAILURES_MAX as usize;

/// Whether a target may be called.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    state: State,
    /// Counts the changes of state.
    era: u64,
}

#[derive(Debug)]
enum State {
    Closed(Recent),
    Open {
        until: Instant,
    },
    /// A probe is under way since the circuit could be tried again.
    Probing {
        since: Instant,
    },
}

/// The calls that ended lately, the latest last.
type Recent = VecDeque<(Instant, Outcome)>;

/// A call that was let through: under which state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pass(u64);

/// Why a call is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Open { until: Instant },
    Probing,
}

impl Default for State {
    fn default() -> Self {
        Self::Closed(Recent::new())
    }
}

impl Circuit {
    pub(super) fn admit(&mut self, now: Instant) -> Result<Pass, Refused> {
        match self.state {
            State::Closed(_) => Ok(Pass(self.era)),
            State::Open { until } if now < until => Err(Refused::Open { until }),
            State::Open { until } => {
                self.change(State::Probing { since: until });
                Ok(Pass(self.era))
            }
            State::Probing { .. } => Err(Refused::Probing),
        }
    }

    /// A call has begun to be answered well. A probe has found out what it was for, and goes on as one call among others.
    pub(super) fn answered(&mut self, pass: Pass, now: Instant, rule: &Breaker) -> Pass {
        if matches!(self.state, State::Probing { .. }) && pass.0 == self.era {
            self.end(pass, Outcome::Good, now, rule);
            return Pass(self.era);
        }
        pass
    }

    /// A call has ended.
    pub(super) fn end(&mut self, pass: Pass, outcome: Outcome, now: Instant, rule: &Breaker) {
        if pass.0 != self.era {
            return;
        }
        let opens = match &mut self.state {
            State::Closed(recent) => {
                remember(recent, outcome, now, rule);
                outcome == Outcome::Bad && is_outlier(recent, rule)
            }
            State::Probing { .. } if outcome == Outcome::Good => {
                self.change(State::default());
                false
            }
            State::Probing { .. } => true,
            State::Open { .. } => false,
        };
        if opens {
            self.change(State::Open { until: now + rule.open });
        }
    }

    /// A call ended that says nothing: if it was the probe, another may go.
    pub(super) fn abandon(&mut self, pass: Pass) {
        if let State::Probing { since } = self.state
            && pass.0 == self.era
        {
            self.change(State::Open { until: since });
        }
    }

    /// In a word, and until when it lets nobody through.
    pub(super) fn state(&self) -> (&'static str, Option<Instant>) {
        match self.state {
            State::Closed(_) => ("closed", None),
            State::Open { until } => ("open", Some(until)),
            State::Probing { .. } => ("half_open", None),
        }
    }

    /// Whether it knows nothing that a new one would not.
    pub(super) fn is_blank(&self, now: Instant, rule: &Breaker) -> bool {
        match &self.state {
            State::Closed(recent) => recent.back().is_none_or(|(at, _)| !is_recent(*at, now, rule)),
            State::Open { .. } | State::Probing { .. } => false,
        }
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.era += 1;
    }
}

fn remember(recent: &mut Recent, outcome: Outcome, now: Instant, rule: &Breaker) {
    while recent.front().is_some_and(|(at, _)| !is_recent(*at, now, rule)) {
        recent.pop_front();
    }
    if recent.len() == RECENT_MAX {
        recent.pop_front();
    }
    recent.push_back((now, outcome));
}

fn is_outlier(recent: &Recent, rule: &Breaker) -> bool {
    let failed = |(_, outcome): &&(Instant, Outcome)| *outcome == Outcome::Bad;
    let enough = rule.failures as usize;
    let in_a_row = recent.iter().rev().take_while(failed).count();
    let all = recent.iter().filter(failed).count();
    in_a_row >= enough || (all >= enough && 2 * all >= recent.len())
}

fn is_recent(at: Instant, now: Instant, rule: &Breaker) -> bool {
    now.saturating_duration_since(at) < rule.window
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{Outcome::*, *};

    const RULE: Breaker =
        Breaker { failures: 3, window: Duration::from_secs(10), open: Duration::from_secs(5) };

    fn secs(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// Calls that end at once, each so.
    fn ended(circuit: &mut Circuit, now: Instant, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let pass = circuit.admit(now).expect("closed until now");
            circuit.end(pass, *outcome, now, &RULE);
        }
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_probe_closes_it() {
        let (mut circuit, now) = (Circuit::default(), Instant::now());
        ended(&mut circuit, now, &[Good; 50]);
        ended(&mut circuit, now, &[Bad; 3]);
        let until = now + secs(5);
        assert_eq!(circuit.admit(now), Err(Refused::Open { until }));
        assert_eq!(circuit.admit(until - Duration::from_nanos(1)), Err(Refused::Open { until }));
        let probe = circuit.admit(until).expect("a probe");
        assert_eq!(circuit.admit(until + secs(60)), Err(Refused::Probing));
        circuit.end(probe, Good, until + secs(60), &RULE);
        ended(&mut circuit, until + secs(60), &[Bad; 2]);
        assert!(circuit.admit(until + secs(60)).is_ok(), "what was before is forgotten");
    }

    #[test]
    fn a_probe_that_fails_opens_it_again_and_one_that_says_nothing_makes_room() {
        let (mut circuit, now) = (Circuit::default(), Instant::now());
        ended(&mut circuit, now, &[Bad; 3]);
        let probe = circuit.admit(now + secs(5)).expect("a probe");
        circuit.end(probe, Bad, now + secs(7), &RULE);
        let until = now + secs(12);
        assert_eq!(circuit.admit(now + secs(11)), Err(Refused::Open { until }));
        let probe = circuit.admit(until).expect("a probe");
        circuit.abandon(probe);
        let another = circuit.admit(until).expect("another probe, at once");
        circuit.abandon(probe);
        assert_eq!(circuit.admit(until), Err(Refused::Probing), "only one abandons once");
        circuit.end(another, Good, until, &RULE);
        assert!(circuit.admit(until).is_ok());
    }

    #[test]
    fn half_of_the_calls_failing_opens_it_and_fewer_do_not() {
        let (mut circuit, now) = (Circuit::default(), Instant::now());
        for _ in 0..20 {
            ended(&mut circuit, now, &[Good, Good, Bad]);
        }
        assert!(circuit.admit(now).is_ok(), "a third");
        let mut circuit = Circuit::default();
        ended(&mut circuit, now, &[Good, Bad, Good, Bad, Good, Bad]);
        assert!(circuit.admit(now).is_err(), "half");
    }

    #[test]
    fn failures_further_apart_than_the_window_do_not_add_up() {
        let (mut circuit, now) = (Circuit::default(), Instant::now());
        for round in 0..10 {
            ended(&mut circuit, now + secs(round * 10), &[Bad, Bad]);
        }
        assert!(circuit.admit(now + secs(100)).is_ok());
        assert!(
            circuit.is_blank(now + secs(100), &RULE) && !circuit.is_blank(now + secs(99), &RULE)
        );
    }

    #[test]
    fn a_call_from_before_it_opened_does_not_close_it() {
        let (mut circuit, now) = (Circuit::default(), Instant::now());
        let old = circuit.admit(now).expect("closed");
        ended(&mut circuit, now, &[Bad; 3]);
        circuit.end(old, Good, now, &RULE);
        assert!(circuit.admit(now).is_err());
        let _probe = circuit.admit(now + secs(5)).expect("a probe");
        circuit.end(old, Good, now + secs(5), &RULE);
        circuit.abandon(old);
        assert_eq!(circuit.admit(now + secs(5)), Err(Refused::Probing));
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Admit,
        End(usize, Outcome),
        Abandon(usize),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let outcome = prop_oneof![1 => Just(Good), 2 => Just(Bad)];
        prop_oneof![
            4 => Just(Step::Admit),
            4 => (any::<prop::sample::Index>(), outcome).prop_map(|(at, outcome)| Step::End(at.index(64), outcome)),
            1 => any::<prop::sample::Index>().prop_map(|at| Step::Abandon(at.index(64))),
            2 => (0..4_000u64).prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// Whatever happens in whatever order: at most one probe, nobody while it is open, and in the end it closes.
        #[test]
        fn one_probe_at_a_time_and_it_always_recovers(steps in proptest::collection::vec(step(), 0..200)) {
            let (mut circuit, mut now) = (Circuit::default(), Instant::now());
            let mut passes: Vec<Pass> = Vec::new();
            for step in steps {
                match step {
                    Step::Admit => {
                        let was_closed = matches!(circuit.state, State::Closed(_));
                        let was_probing = matches!(circuit.state, State::Probing { .. });
                        match circuit.admit(now) {
                            Ok(pass) => {
                                prop_assert!(!was_probing, "a second probe");
                                let is_probe = matches!(circuit.state, State::Probing { .. });
                                prop_assert!(was_closed || is_probe);
                                passes.push(pass);
                            }
                            Err(Refused::Open { until }) => {
                                prop_assert!(until > now && until <= now + RULE.open);
                            }
                            Err(Refused::Probing) => {
                                let probes = passes.iter().filter(|pass| pass.0 == circuit.era).count();
                                prop_assert_eq!(probes, 1, "it waits for exactly one that lives");
                            }
                        }
                    }
                    Step::End(at, outcome) if !passes.is_empty() => {
                        let pass = passes.swap_remove(at % passes.len());
                        circuit.end(pass, outcome, now, &RULE);
                    }
                    Step::Abandon(at) if !passes.is_empty() => {
                        circuit.abandon(passes.swap_remove(at % passes.len()));
                    }
                    Step::End(..) | Step::Abandon(_) => {}
                    Step::Wait(millis) => now += Duration::from_millis(millis),
                }
                if let State::Closed(recent) = &circuit.state {
                    prop_assert!(recent.len() <= RECENT_MAX);
                }
            }
            for pass in passes {
                circuit.abandon(pass);
            }
            now += RULE.open;
            let pass = circuit.admit(now);
            prop_assert!(pass.is_ok(), "{:?}", circuit);
            circuit.end(pass.expect("just seen"), Good, now, &RULE);
            prop_assert!(matches!(circuit.state, State::Closed(_)));
        }
    }
}

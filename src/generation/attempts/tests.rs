use proptest::prelude::*;

use super::*;
use crate::route::Outcome;

fn trouble(remedy: Remedy, after: Option<Duration>) -> Trouble {
    let key = matches!(remedy, Remedy::Never);
    Trouble { remedy, key, after, why: String::new(), outcome: Outcome::Bad }
}

fn failover(retries: u32, budget: u64) -> Failover {
    Failover { retries, budget: Duration::from_secs(budget), ..Failover::default() }
}

/// A driver that lets each call come to what `answer` says and writes down the targets called, and when.
fn play(
    failover: Failover,
    targets: usize,
    answer: impl Fn(usize, u32) -> Trouble,
) -> Vec<(usize, u128)> {
    let start = Instant::now();
    let (mut now, mut seen) = (start, Vec::new());
    let mut attempts = Attempts::new(failover, targets, now);
    let mut next = attempts.first();
    while let Next::Call { target, after, .. } = next {
        now += after;
        attempts.called();
        seen.push((target, (now - start).as_millis()));
        next = attempts.refused(&answer(target, attempts.calls()), false, 1.0, now);
    }
    seen
}

#[test]
fn the_same_target_is_tried_again_and_then_the_others_in_their_order() {
    let seen = play(failover(1, 30), 3, |_, _| trouble(Remedy::Wait, None));
    assert_eq!(seen, [(0, 0), (0, 250), (1, 250), (1, 500), (2, 500), (2, 750)]);
}

#[test]
fn the_wait_doubles_up_to_its_bound_and_the_budget_ends_it() {
    let seen = play(failover(100, 30), 1, |_, _| trouble(Remedy::Wait, None));
    let at: Vec<u128> = seen.iter().map(|(_, at)| *at).collect();
    assert_eq!(at, [0, 250, 750, 1_750, 3_750, 7_750, 15_750, 23_750]);
}

#[test]
fn whoever_asks_for_a_long_rest_is_left_for_another_and_tried_again_when_it_is_over() {
    let answer = |target, _| match target {
        0 => trouble(Remedy::Wait, Some(Duration::from_secs(7))),
        _ => trouble(Remedy::Never, None),
    };
    assert_eq!(play(failover(1, 30), 2, answer), [(0, 0), (1, 0), (0, 7_000)]);
    assert_eq!(play(failover(1, 5), 2, answer), [(0, 0), (1, 0)], "beyond the budget");
    let short = |_, _| trouble(Remedy::Wait, Some(Duration::from_millis(900)));
    assert_eq!(play(failover(1, 30), 1, short), [(0, 0), (0, 900)]);
}

#[test]
fn what_cannot_be_mended_is_not_tried_again() {
    assert_eq!(play(failover(3, 30), 1, |_, _| trouble(Remedy::Never, None)), [(0, 0)]);
    assert_eq!(play(failover(3, 30), 3, |_, _| trouble(Remedy::Nowhere, None)), [(0, 0)]);
    let slow = play(failover(1, 30), 2, |_, _| trouble(Remedy::Elsewhere, None));
    assert_eq!(slow, [(0, 0), (1, 0), (0, 250), (1, 250)], "the other one first");
}

#[test]
fn another_key_is_no_repetition() {
    let now = Instant::now();
    let mut attempts = Attempts::new(failover(0, 30), 1, now);
    attempts.called();
    let again = attempts.refused(&trouble(Remedy::Never, None), true, 0.0, now);
    assert_eq!(again, call(0, Duration::ZERO));
    attempts.called();
    let last = attempts.refused(&trouble(Remedy::Never, None), false, 0.0, now);
    assert_eq!((last, attempts.calls()), (Next::GiveUp, 2));
}

#[test]
fn a_resting_target_is_passed_over_unless_all_are() {
    let now = Instant::now();
    let until = |seconds| Some(now + Duration::from_secs(seconds));
    let mut attempts = Attempts::new(failover(0, 30), 3, now);
    assert_eq!(attempts.rests(until(9), now), call(1, Duration::ZERO));
    assert_eq!(attempts.rests(until(5), now), call(2, Duration::ZERO));
    let least_bad = Next::Call { target: 1, after: Duration::ZERO, anyway: true };
    assert_eq!(attempts.rests(None, now), least_bad, "a full one stays full");
}

#[test]
fn after_a_break_the_others_come_first_and_the_same_one_last() {
    let now = Instant::now();
    let mut attempts = Attempts::new(failover(0, 30), 2, now);
    let cut = trouble(Remedy::Wait, None);
    attempts.called();
    let later = now + Duration::from_secs(100);
    assert_eq!(attempts.broke(&cut, 1.0, later), call(1, Duration::ZERO), "a budget of its own");
    attempts.called();
    let again = attempts.refused(&cut, false, 1.0, later);
    assert_eq!(again, call(0, Duration::from_millis(250)), "when its own wait is over");
    attempts.called();
    assert_eq!(attempts.broke(&cut, 1.0, later), call(1, Duration::from_millis(250)));
    assert_eq!(attempts.broke(&cut, 1.0, later), Next::GiveUp, "breaks are bounded");
}

proptest! {
    #[test]
    fn every_sequence_of_setbacks_ends_within_its_bounds(
        targets in 1..5usize,
        retries in 0..4u32,
        budget in 0..40u64,
        setbacks in proptest::collection::vec((0..5u8, 0..20u64, any::<bool>(), 0.0..1.0f64, 0..3_000u64), 1..200),
    ) {
        let start = Instant::now();
        let failover = failover(retries, budget);
        let mut attempts = Attempts::new(failover, targets, start);
        let (mut now, mut since, mut breaks) = (start, start, 0);
        let mut tries = vec![0; targets];
        let mut spent = vec![false; targets];
        let mut next = attempts.first();
        let mut ended = false;
        for (kind, after, told, random, passed) in setbacks.iter().cycle().take(20_000) {
            let Next::Call { target, after: wait, anyway } = next else { ended = true; break };
            now += wait;
            prop_assert!(now <= since + failover.budget, "nothing begins beyond the budget");
            if *kind == 0 && !anyway {
                next = attempts.rests(told.then_some(now + Duration::from_secs(*after)), now);
                continue;
            }
            prop_assert!(!spent[target], "what cannot be mended is not tried again");
            attempts.called();
            tries[target] += 1;
            prop_assert!(tries[target] <= retries + 1, "{tries:?}");
            now += Duration::from_millis(*passed);
            let remedy = [Remedy::Wait, Remedy::Elsewhere, Remedy::Never, Remedy::Wait][usize::from(*kind) % 4];
            let trouble = trouble(remedy, told.then_some(Duration::from_secs(*after)));
            spent[target] |= remedy == Remedy::Never;
            if *kind == 4 {
                breaks += 1;
                (since, tries) = (now, vec![0; targets]);
                next = attempts.broke(&trouble, *random, now);
                prop_assert!(next == Next::GiveUp || breaks <= targets as u32 * (retries + 1));
            } else {
                next = attempts.refused(&trouble, false, *random, now);
            }
        }
        prop_assert!(ended, "it never ended");
    }

    #[test]
    fn a_wait_is_never_shorter_than_the_provider_asked(
        asked in 0..10_000u64,
        random in 0.0..1.0f64,
        tries in 0..60u32,
    ) {
        let now = Instant::now();
        let mut attempts = Attempts::new(failover(1_000, 1_000), 1, now);
        for _ in 0..tries {
            attempts.called();
        }
        let told = Duration::from_millis(asked);
        let next = attempts.refused(&trouble(Remedy::Wait, Some(told)), false, random, now);
        let Next::Call { after, .. } = next else { panic!("{next:?}") };
        prop_assert!(after >= told && after <= told.max(BACKOFF_MAX));
    }
}

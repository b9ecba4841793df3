use std::{num::NonZeroU32, time::Duration};

use proptest::prelude::*;

use super::{Outcome::*, *};
use crate::config::Environment;

/// Two providers over HTTP and the simulator; `model` at `a` is limited to two calls, and whatever a pattern takes to `b`
/// to one each.
fn health() -> Health {
    let text = "
version: 1
providers:
  a: { dialect: openai, breaker: { failures: 3, window: 10s, open: 5s } }
  b: { dialect: openai }
  sim: { dialect: simulator }
models:
  public: { targets: [{ provider: a, model: model, max_in_flight: 2 }] }
  other: { targets: [{ provider: a, model: model, max_in_flight: 7 }] }
  own: { targets: [{ provider: b, max_in_flight: 3 }] }
  b/*: { targets: [{ provider: b, max_in_flight: 1 }] }
";
    let config = Config::parse("test.yaml", text, &Environment::default());
    Health::new(&config.unwrap_or_else(|error| panic!("{error}")))
}

fn in_flight(health: &Health) -> u32 {
    health.shared.targets.lock().values().map(|target| target.in_flight).sum()
}

#[test]
fn a_target_takes_as_many_calls_as_it_may_and_the_next_when_one_is_over() {
    let (health, now) = (health(), Instant::now());
    let first = health.admit("a", "model", now).expect("room");
    let second = health.admit("a", "model", now).expect("room");
    let resting = health.admit("a", "model", now).expect_err("full");
    assert_eq!(resting.why, "2 calls in flight, as many as it may have");
    assert_eq!(resting.until, None);
    assert!(health.admit("a", "other", now).is_ok(), "another model is another target");
    first.end(Good, now);
    let third = health.admit("a", "model", now).expect("room");
    drop(second);
    let fourth = health.admit("a", "model", now).expect("room");
    assert_eq!(in_flight(&health), 2);
    drop((third, fourth));
    assert_eq!(in_flight(&health), 0);
}

#[test]
fn a_limit_under_a_pattern_is_each_models_own_unless_it_has_one_by_name() {
    let (health, now) = (health(), Instant::now());
    let _x = health.admit("b", "x", now).expect("room");
    assert!(health.admit("b", "x", now).is_err());
    assert!(health.admit("b", "y", now).is_ok());
    let own: Vec<_> = (0..3).map(|_| health.admit("b", "own", now).expect("room")).collect();
    assert!(health.admit("b", "own", now).is_err(), "{own:?}");
}

#[test]
fn a_target_that_fails_rests_and_its_neighbour_does_not() {
    let (health, now) = (health(), Instant::now());
    for _ in 0..3 {
        health.admit("a", "model", now).expect("well so far").end(Bad, now);
    }
    let resting = health.admit("a", "model", now).expect_err("open");
    let until = now + Duration::from_secs(5);
    assert_eq!(resting, Resting { why: "circuit open".to_owned(), until: Some(until) });
    assert!(health.admit("a", "other", now).is_ok());
    assert!(health.admit("b", "model", now).is_ok());
    let mut probe = health.admit("a", "model", until).expect("a probe");
    let resting = health.admit("a", "model", until).expect_err("half-open");
    assert!(resting.why.contains("probing"), "{resting:?}");
    probe.answered(until);
    let _other = health.admit("a", "model", until).expect("it answers");
    assert!(health.admit("a", "model", until).is_err(), "the probe is still in flight");
    probe.end(Good, until);
    assert!(health.admit("a", "model", until).is_ok());
}

#[test]
fn the_simulator_may_fail_as_often_as_it_likes() {
    let (health, now) = (health(), Instant::now());
    for _ in 0..100 {
        health.admit("sim", "sim-error-first", now).expect("it never rests").end(Bad, now);
    }
}

#[test]
fn names_that_apps_make_up_are_forgotten() {
    let (health, now) = (health(), Instant::now());
    let held = health.admit("b", "held", now).expect("room");
    for _ in 0..3 {
        health.admit("a", "model", now).expect("well so far").end(Bad, now);
    }
    let later = now + Duration::from_secs(1);
    for index in 0..10 * TARGETS_MAX {
        let permit = health.admit("b", &format!("made-up-{index}"), later);
        drop(permit.expect("room"));
    }
    assert!(health.shared.targets.lock().len() <= TARGETS_MAX);
    assert!(health.admit("a", "model", later).is_err(), "what rests is remembered");
    assert!(health.admit("b", "held", later).is_err(), "what is in flight is remembered");
    drop(held);
}

#[derive(Clone, Debug)]
enum Step {
    Admit(usize),
    End(usize, Outcome),
    Answered(usize),
    Drop(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![1 => Just(Good), 1 => Just(Bad)];
    prop_oneof![
        4 => (0..2usize).prop_map(Step::Admit),
        2 => (0..64usize, outcome).prop_map(|(at, outcome)| Step::End(at, outcome)),
        1 => (0..64usize).prop_map(Step::Answered),
        1 => (0..64usize).prop_map(Step::Drop),
        1 => (0..4_000u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn never_more_than_the_limit_and_never_a_leak(
        limits in proptest::array::uniform2(1..5u32),
        steps in proptest::collection::vec(step(), 0..200),
    ) {
        let mut config = Config::demo();
        let health = {
            let text = "version: 1\nproviders: { a: { dialect: openai, breaker: { failures: 3, open: 5s } } }\n\
                        models: { m0: { targets: [{ provider: a }] }, m1: { targets: [{ provider: a }] } }";
            config = Config::parse("test.yaml", text, &Environment::default()).unwrap_or(config);
            for (model, limit) in config.models.iter_mut().zip(limits) {
                model.targets[0].max_in_flight = NonZeroU32::new(limit);
            }
            Health::new(&config)
        };
        let mut now = Instant::now();
        let mut held: Vec<(usize, Permit)> = Vec::new();
        for step in steps {
            let len = held.len();
            match step {
                Step::Admit(model) => {
                    let limit = limits[model] as usize;
                    let before = held.iter().filter(|(of, _)| *of == model).count();
                    match health.admit("a", &format!("m{model}"), now) {
                        Ok(permit) => {
                            prop_assert!(before < limit);
                            held.push((model, permit));
                        }
                        Err(resting) if resting.why.contains("in flight") => prop_assert_eq!(before, limit),
                        Err(_) => {}
                    }
                }
                Step::End(at, outcome) if len > 0 => held.swap_remove(at % len).1.end(outcome, now),
                Step::Answered(at) if len > 0 => held[at % len].1.answered(now),
                Step::Drop(at) if len > 0 => drop(held.swap_remove(at % len)),
                Step::End(..) | Step::Answered(_) | Step::Drop(_) => {}
                Step::Wait(millis) => now += Duration::from_millis(millis),
            }
            prop_assert_eq!(in_flight(&health) as usize, held.len());
        }
        held.clear();
        now += Duration::from_secs(5);
        for model in ["m0", "m1"] {
            let permit = health.admit("a", model, now);
            prop_assert!(permit.is_ok(), "{:?}", permit);
        }
        prop_assert_eq!(in_flight(&health), 0);
    }
}

use proptest::prelude::*;

use super::*;
use crate::config;

fn target(provider: &str, model: Option<&str>, weight: u32) -> config::Target {
    config::Target {
        provider: provider.to_owned(),
        model: model.map(str::to_owned),
        weight: NonZeroU32::new(weight),
        max_in_flight: None,
    }
}

fn routes(models: Vec<(&str, Vec<config::Target>)>) -> Routes {
    let mut config = Config::demo();
    let like = config.models[0].clone();
    config.models = models
        .into_iter()
        .map(|(name, targets)| Model { name: name.to_owned(), targets, ..like.clone() })
        .collect();
    Routes::new(&config)
}

/// The targets of a plan as `provider:model`.
fn planned(routes: &Routes, name: &str, random: u64) -> Vec<String> {
    let plan = routes.plan(name, random).expect("a route");
    assert_eq!(plan.model, name);
    plan.targets.iter().map(|target| format!("{}:{}", target.provider, target.model)).collect()
}

#[test]
fn an_exact_name_wins_then_the_longest_prefix_then_the_star() {
    let routes = routes(vec![
        ("*", vec![target("rest", None, 0)]),
        ("openai/*", vec![target("short", None, 0)]),
        ("openai/o/*", vec![target("long", None, 0)]),
        ("openai/gpt", vec![target("exact", Some("gpt-5"), 0)]),
        ("openai/gpt-5*", vec![target("family", None, 0)]),
        ("claude-*", vec![target("claude", None, 0)]),
        ("plain", vec![target("plain", None, 0)]),
    ]);
    for (name, expected) in [
        ("openai/gpt", "exact:gpt-5"),
        ("openai/gpt-4", "short:gpt-4"),
        ("openai/o/3/mini", "long:3/mini"),
        ("openai/o/", "short:o/"),
        ("openai/", "rest:openai/"),
        ("openai/gpt-5-mini", "family:openai/gpt-5-mini"),
        ("claude-opus-4-5", "claude:claude-opus-4-5"),
        ("claude-", "rest:claude-"),
        ("plain", "plain:plain"),
        ("other", "rest:other"),
    ] {
        assert_eq!(planned(&routes, name, 0), [expected], "{name}");
    }
}

#[test]
fn an_unknown_name_is_told_with_what_there_is() {
    let routes = routes(vec![
        ("fast", vec![target("a", None, 0)]),
        ("openai/*", vec![target("a", None, 0)]),
    ]);
    for name in ["", "fas", "Fast", "openai/", "openai", "*"] {
        let error = routes.plan(name, 0).expect_err(name);
        let text = format!("the model `{name}` does not exist; there are fast, openai/*");
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn without_weights_the_file_is_the_order() {
    let targets = vec![target("a", Some("x"), 0), target("b", None, 0), target("c", None, 0)];
    let routes = routes(vec![("m", targets)]);
    for random in [0, 1 << 63, u64::MAX] {
        assert_eq!(planned(&routes, "m", random), ["a:x", "b:m", "c:m"]);
    }
}

#[test]
fn the_chosen_comes_first_and_the_others_follow_in_their_order() {
    let targets = vec![
        target("a", None, 0),
        target("b", None, 3),
        target("c", None, 1),
        target("d", None, 0),
    ];
    let routes = routes(vec![("m", targets)]);
    let three_quarters = 3 << 62;
    assert_eq!(planned(&routes, "m", 0), ["b:m", "a:m", "c:m", "d:m"]);
    assert_eq!(planned(&routes, "m", three_quarters - 1), ["b:m", "a:m", "c:m", "d:m"]);
    assert_eq!(planned(&routes, "m", three_quarters), ["c:m", "a:m", "b:m", "d:m"]);
    assert_eq!(planned(&routes, "m", u64::MAX), ["c:m", "a:m", "b:m", "d:m"]);
}

#[test]
fn names_are_listed_and_patterns_are_not() {
    let routes = routes(vec![
        ("fast", vec![target("a", None, 1), target("b", None, 5)]),
        ("openai/*", vec![target("a", None, 0)]),
        ("slow", vec![target("c", None, 0), target("d", None, 0)]),
    ]);
    let listed: Vec<_> = routes.models().map(|listed| (listed.id, listed.provider)).collect();
    assert_eq!(listed, [("fast", "b"), ("slow", "c")]);
    assert_eq!(routes.default_provider(), Some("simulator"));
}

#[test]
fn each_target_of_a_plan_has_its_price() {
    let mut config = Config::demo();
    let priced = |rate| {
        let rate = config::Rate(rate);
        Price { input: rate, cached_input: rate, cache_write: rate, output: rate, reasoning: rate }
    };
    config.prices = vec![("m".to_owned(), priced(1)), ("b/x".to_owned(), priced(2))];
    let targets = vec![target("a", Some("x"), 0), target("b", Some("x"), 0)];
    config.models = vec![Model { name: "m".to_owned(), targets, ..config.models[0].clone() }];
    let plan = Routes::new(&config).plan("m", 0).expect("a route");
    let prices: Vec<_> = plan.targets.iter().map(|target| target.price).collect();
    assert_eq!(prices, [Some(priced(1)), Some(priced(2))]);
}

#[test]
fn a_plan_carries_its_models_rules() {
    let mut config = Config::demo();
    config.models[0].on_disconnect = OnDisconnect::Drain;
    let stall = config.models.iter().find(|model| model.name == "stall").expect("a demo model");
    let (routes, timeouts) = (Routes::new(&config), stall.timeouts);
    assert_eq!(routes.plan("chat", 0).expect("a route").on_disconnect, OnDisconnect::Drain);
    assert_eq!(routes.plan("stall", 0).expect("a route").timeouts, timeouts);
}

proptest! {
    #[test]
    fn every_target_is_planned_once_whatever_is_drawn(
        weights in proptest::collection::vec(prop_oneof![Just(0), 1..100u32, Just(u32::MAX)], 1..12),
        random in any::<u64>(),
    ) {
        let names: Vec<_> = (0..weights.len()).map(|index| format!("p{index:02}")).collect();
        let targets = names.iter().zip(&weights).map(|(name, weight)| target(name, None, *weight));
        let routes = routes(vec![("m", targets.collect())]);
        let plan = routes.plan("m", random).expect("a route");
        let planned: Vec<_> = plan.targets.iter().map(|target| target.provider.clone()).collect();
        prop_assert!(planned[1..].is_sorted(), "the rest is in the file's order");
        let first = names.iter().position(|name| *name == planned[0]).expect("a known name");
        match weights.iter().any(|weight| *weight > 0) {
            true => prop_assert!(weights[first] > 0, "the first has a weight"),
            false => prop_assert_eq!(first, 0),
        }
        let mut all = planned;
        all.sort();
        prop_assert_eq!(all, names);
    }

    #[test]
    fn the_load_is_shared_as_the_weights_say(weights in proptest::collection::vec(0..20u32, 2..6)) {
        let total: u32 = weights.iter().sum();
        prop_assume!(total > 0);
        let names: Vec<_> = (0..weights.len()).map(|index| format!("p{index}")).collect();
        let targets = names.iter().zip(&weights).map(|(name, weight)| target(name, None, *weight));
        let routes = routes(vec![("m", targets.collect())]);
        // The middle of each of `total` equal parts of the range: each weight gets exactly its number of parts.
        let part = u64::MAX / u64::from(total);
        let mut counts = vec![0; weights.len()];
        for index in 0..u64::from(total) {
            let plan = routes.plan("m", index * part + part / 2).expect("a route");
            counts[names.iter().position(|name| *name == plan.targets[0].provider).expect("known")] += 1;
        }
        prop_assert_eq!(counts, weights);
    }
}

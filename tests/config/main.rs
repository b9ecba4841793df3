//! The config as users meet it: the example, the schema, and what they are told when something is wrong.

#![allow(
    clippy::disallowed_methods,
    reason = "a test reads its own settings and owns its own tasks"
)]

mod deploy;
mod keys;
mod reference;
mod usual;
mod wrong;

use std::{fs, path::PathBuf, time::Duration};

use proptest::prelude::*;
use tokenway::{
    config::{
        Breaker, Channels, Config, DEMO_MODELS, Endpoint, Environment, Failover, Http, Limits,
        Listen, OnBreak, OnDisconnect, Rate, Simulator, Store, Timeouts, schema,
    },
    provider::simulator,
};

fn in_repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn environment() -> Environment {
    [
        ("OPENAI_API_KEY", "sk-test"),
        ("ANTHROPIC_API_KEY", "sk-ant"),
        ("WORD", "wrong"),
        ("PORT", "9090"),
        ("EMPTY", ""),
        ("WEB_KEY", "web-key-0123456789"),
        ("TOKENWAY_TOKEN_SECRET", "a secret of thirty-two bytes, and more"),
        ("TOKENWAY_ADMIN_KEY", "admin-key-0123456789"),
    ]
    .into_iter()
    .collect()
}

fn parse(text: &str) -> Result<Config, String> {
    Config::parse("gateway.yaml", text, &environment()).map_err(|error| error.to_string())
}

fn example() -> Config {
    match Config::load(in_repository("config/tokenway.yaml"), &environment()) {
        Ok(config) => config,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_example_says_the_defaults() {
    let config = example();
    assert_eq!(config.listen, Listen::default());
    assert_eq!(config.channels, Channels::default());
    assert_eq!(config.models[0].timeouts, Timeouts::default());
    assert_eq!(config.models[0].on_disconnect, OnDisconnect::default());
    assert_eq!(config.models[0].failover, Failover::default());
    assert_eq!(config.store, Store::default());
    assert_eq!(config.access, Default::default());
    assert_eq!(config.limits, Limits::default());
    let sim = config.provider("sim").expect("the example has a simulator");
    assert_eq!(sim.endpoint, Endpoint::Simulator(Simulator::default()));
    let bare = parse("version: 1\nproviders: { o: { dialect: openai } }\nmodels: { m: { targets: [{ provider: o }] } }")
        .expect("the least there can be");
    assert_eq!(http(&config, "openai").base_url, http(&bare, "o").base_url);
    assert_eq!(http(&config, "openai").breaker, http(&bare, "o").breaker);
    assert_eq!(http(&bare, "o").breaker, Breaker::default());
    let gpt = config.prices.iter().find(|(name, _)| name == "openai/gpt-5-mini").expect("a price");
    assert_eq!((gpt.1.cache_write, gpt.1.reasoning), (gpt.1.input, gpt.1.output));
    assert_eq!(bare.channels, config.channels);
    assert_eq!(bare.listen, config.listen);
    assert_eq!(bare.models[0].timeouts, Timeouts::default());
}

fn http<'a>(config: &'a Config, name: &str) -> &'a Http {
    match &config.provider(name).unwrap_or_else(|| panic!("no provider {name}")).endpoint {
        Endpoint::Http(http) => http,
        Endpoint::Simulator(_) => panic!("{name} is not over HTTP"),
    }
}

#[test]
fn the_simulators_own_defaults_are_the_configs() {
    let (own, config) = (simulator::Settings::default(), Simulator::default());
    assert_eq!((own.tokens_per_second, own.seed), (config.tokens_per_second, config.seed));
}

#[test]
fn the_schema_in_the_repository_is_current_and_accepts_the_example() {
    let path = in_repository("config/tokenway.schema.json");
    let current = schema();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &current).expect("the schema can be written");
    }
    let kept = fs::read_to_string(&path).expect("run with UPDATE=1 to write the schema");
    assert!(kept == current, "the schema is out of date; run with UPDATE=1 and commit it");

    let schema: serde_json::Value = serde_json::from_str(&kept).expect("a schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema is a schema");
    let example = fs::read_to_string(in_repository("config/tokenway.yaml")).expect("an example");
    let example: serde_json::Value = serde_saphyr::from_str(&example).expect("YAML");
    let errors: Vec<_> = validator.iter_errors(&example).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert!(schema["required"].as_array().is_some_and(|all| all.len() == 3), "{schema:#}");
}

#[test]
fn the_example_leaves_nothing_out() {
    let schema: serde_json::Value = serde_json::from_str(&schema()).expect("a schema is JSON");
    let example = fs::read_to_string(in_repository("config/tokenway.yaml")).expect("an example");
    let objects = schema["$defs"].as_object().expect("definitions").values().chain([&schema]);
    let word = |text: &str| {
        let start = text.rfind(|char: char| !char.is_alphanumeric() && char != '_');
        text[start.map_or(0, |start| start + 1)..].to_owned()
    };
    let written: Vec<_> = example.match_indices(':').map(|(at, _)| word(&example[..at])).collect();
    for (key, value) in objects.flat_map(|object| object["properties"].as_object().expect("keys")) {
        let in_this_version = value.get("not").is_none();
        assert_eq!(written.contains(key), in_this_version, "{key}");
    }
}

#[test]
fn what_is_not_yaml_is_told_with_its_place() {
    for (text, place) in
        [("version: 1\nmodels: [", "gateway.yaml:"), ("a: b: c", "gateway.yaml:1:")]
    {
        let error = parse(text).expect_err(text);
        assert!(error.starts_with(place) && error.lines().count() == 1, "{error}");
    }
    assert!(parse("").is_err_and(|error| error.starts_with("gateway.yaml:")));
    let error = parse("version: 1\nchannels: sk-secret\n").expect_err("not a map");
    assert!(error.starts_with("gateway.yaml:2:11: ") && !error.contains("sk-secret"), "{error}");
    let missing = Config::load("no/such/file.yaml", &environment()).expect_err("no file");
    assert!(missing.to_string().starts_with("no/such/file.yaml: cannot be read: "));
}

#[test]
fn values_from_the_environment_are_values_and_never_yaml() {
    let text = "version: 1
listen: { http: \"127.0.0.1:${PORT}\" }
providers: { o: { dialect: openai, api_key: \"${EVIL}\", headers: { x-a: $$5 } } }
models: { m: { targets: [{ provider: o, weight: \"${WEIGHT}\" }] } }
";
    let environment: Environment =
        [("EVIL", "k: { v }"), ("PORT", "9090"), ("WEIGHT", "4")].into_iter().collect();
    let config = Config::parse("gateway.yaml", text, &environment).expect("a config");
    assert_eq!(config.listen.http.port(), 9090);
    assert_eq!(config.models[0].targets[0].weight.map(u32::from), Some(4));
    let Endpoint::Http(openai) = &config.providers[0].endpoint else { panic!("openai") };
    assert_eq!(openai.api_keys[0].expose(), "k: { v }");
    assert_eq!(openai.headers[0].1, "$5");
}

#[test]
fn no_way_of_printing_a_config_shows_its_secrets() {
    let text = "version: 1
providers: { o: { dialect: openai, api_key: sk-secret, headers: { x-key: sk-secret } } }
models: { m: { targets: [{ provider: o }] } }
";
    let config = parse(text).expect("a config");
    assert!(!format!("{config:?} {config:#?}").contains("sk-secret"));
    let Endpoint::Http(openai) = &config.providers[0].endpoint else { panic!("openai") };
    let key = &openai.api_keys[0];
    assert!(!format!("{key} {key:?}").contains("sk-secret"));
    assert!(!format!("{:?}", environment()).contains("sk-test"));
}

#[test]
fn how_a_provider_is_called_is_read_as_written() {
    let text = "version: 1
providers:
  a:
    dialect: anthropic
    api_keys: [sk-secret-1, \"${OPENAI_API_KEY}\"]
    headers: { X-Title: Tokenway }
    remove_headers: [User-Agent]
    proxy: \"http://me:sk-secret@127.0.0.1:3128\"
    breaker: { failures: 2, window: 1m }
models:
  m:
    targets: [{ provider: a, max_in_flight: 3 }, { provider: a, model: other }]
    failover: { retries: 0, budget: 5s }
    on_break: continue
prices:
  a/other: { input: 3, cached_input: 0.30, output: \"15.000001\" }
";
    let config = parse(text).expect("a config");
    let a = http(&config, "a");
    let keys: Vec<_> = a.api_keys.iter().map(|key| key.expose()).collect();
    assert_eq!(keys, ["sk-secret-1", "sk-test"]);
    assert_eq!(a.headers[0].0, "x-title");
    assert_eq!(a.remove_headers, ["user-agent"]);
    assert_eq!(
        a.proxy.as_ref().map(|url| url.expose()),
        Some("http://me:sk-secret@127.0.0.1:3128")
    );
    let window = Duration::from_secs(60);
    assert_eq!(a.breaker, Breaker { failures: 2, window, ..Breaker::default() });
    let model = &config.models[0];
    let limits = model.targets.iter().map(|target| target.max_in_flight.map(u32::from));
    assert!(limits.eq([Some(3), None]));
    let budget = Duration::from_secs(5);
    assert_eq!(model.failover, Failover { retries: 0, budget, on_break: OnBreak::Continue });
    let price = config.prices[0].1;
    let rates = [price.input, price.cached_input, price.cache_write, price.output, price.reasoning];
    assert_eq!(rates, [3_000_000, 300_000, 3_000_000, 15_000_001, 15_000_001].map(Rate));
    assert!(!format!("{config:?}").contains("sk-secret"));
}

#[test]
fn sections_whose_lines_are_all_commented_out_are_empty() {
    let text = "version: 1\nlisten:\n#  http: x\naccess:\nchannels:\nstore:
providers: { sim: { dialect: simulator } }\nmodels: { m: { targets: [{ provider: sim }] } }\n";
    let config = parse(text).expect("a config");
    assert_eq!((config.listen, config.channels), (Listen::default(), Channels::default()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..Default::default() })]
    #[test]
    fn no_damage_to_a_file_makes_it_panic(at in 0usize..4000, cut in 0usize..40, put in "[ \\-:{}\\[\\]\"'#&*!|>%@`$a1\n]{0,6}") {
        let text = fs::read_to_string(in_repository("config/tokenway.yaml")).expect("an example");
        let floor = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let damaged = format!("{}{put}{}", &text[..floor(at)], &text[floor(at + cut)..]);
        let lines = damaged.lines().count() as u64 + 1;
        if let Err(error) = Config::parse("gateway.yaml", &damaged, &environment()) {
            prop_assert!(!error.problems.is_empty());
            for problem in error.problems {
                prop_assert!(problem.place.is_none_or(|place| (1..=lines).contains(&place.line)), "{problem:?}");
                prop_assert!(!problem.message.contains('\n'), "{problem:?}");
            }
        }
    }
}

#[test]
fn a_models_own_rule_wins_over_the_channels() {
    let text = "version: 1
providers: { sim: { dialect: simulator } }
channels: { on_disconnect: { policy: cancel } }
models:
  a: { targets: [{ provider: sim }] }
  b: { targets: [{ provider: sim }], on_disconnect: { policy: grace, grace: 5s } }
";
    let models = parse(text).expect("a config").models;
    assert_eq!(models[0].on_disconnect, OnDisconnect::Cancel);
    assert_eq!(models[1].on_disconnect, OnDisconnect::Grace(Duration::from_secs(5)));
}

#[test]
fn the_command_line_may_move_the_listeners_but_not_expose_them() {
    let mut config = Config::demo();
    let address = |text: &str| Some(text.parse().expect("an address"));
    config.listen_on(address("127.0.0.1:0"), address("[::1]:4433")).expect("loopback");
    assert_eq!(config.listen.http.port(), 0);
    assert!(config.listen.webtransport.is_ipv6());
    let error = config.listen_on(None, address("10.0.0.1:4433")).expect_err("not loopback");
    assert!(error.to_string().starts_with("--webtransport: `10.0.0.1:4433` can be reached"));
    assert!(config.listen.webtransport.is_ipv6(), "unchanged");
}

#[test]
fn the_demos_models_are_the_simulators() {
    let config = Config::demo();
    assert_eq!(config.models.len(), DEMO_MODELS.len());
    for (public, upstream) in DEMO_MODELS {
        assert!(simulator::MODELS.iter().any(|(name, _)| *name == upstream), "{public}");
    }
    for (name, _) in simulator::MODELS {
        assert!(DEMO_MODELS.iter().any(|(_, upstream)| *upstream == name), "{name} is not shown");
    }
}

//! The config as users meet it: the example, the schema, and what they are told when something is wrong.

#![allow(
    clippy::disallowed_methods,
    reason = "a test reads its own settings and owns its own tasks"
)]

use std::{fs, path::PathBuf, time::Duration};

use proptest::prelude::*;
use tokenway::{
    config::{
        Breaker, Channels, Config, DEMO_MODELS, Endpoint, Environment, Failover, Http, Listen,
        OnBreak, OnDisconnect, Rate, Simulator, Store, Timeouts, schema,
    },
    provider::simulator,
    route::Routes,
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
fn the_schema_refuses_what_the_gateway_refuses() {
    let schema: serde_json::Value = serde_json::from_str(&schema()).expect("a schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema is a schema");
    for wrong in WRONG.iter().filter(|wrong| wrong.by_schema) {
        let text = wrong.text();
        if let Ok(value) = serde_saphyr::from_str::<serde_json::Value>(&text) {
            assert!(!validator.is_valid(&value), "the schema accepts\n{text}");
        }
    }
}

/// A file with one thing wrong, and what the user is told.
struct Wrong {
    /// From the second line on; a complete file stands around it.
    lines: &'static str,
    told: &'static str,
    /// Whether an editor can know it too.
    by_schema: bool,
}

const fn wrong(lines: &'static str, told: &'static str) -> Wrong {
    Wrong { lines, told, by_schema: true }
}

/// What only the gateway knows: it takes more than one place in the file to see it.
const fn wrong_together(lines: &'static str, told: &'static str) -> Wrong {
    Wrong { lines, told, by_schema: false }
}

impl Wrong {
    fn text(&self) -> String {
        let mut text = format!("version: 1\n{}\n", self.lines);
        if !self.lines.contains("providers:") {
            text += "providers: { sim: { dialect: simulator } }\n";
        }
        if !self.lines.contains("models:") {
            text += "models: { fast: { targets: [{ provider: sim }] } }\n";
        }
        text
    }
}

const WRONG: &[Wrong] = &[
    wrong(
        "providers:\n  sim:\n    dialect: simulator\n    tokens_per_sec: 3",
        "gateway.yaml:5:5: unknown key `tokens_per_sec`; did you mean `tokens_per_second`?",
    ),
    wrong("chanels: {}", "gateway.yaml:2:1: unknown key `chanels`; did you mean `channels`?"),
    wrong(
        "store: { \"eng\\u001b\\nine\": memory }",
        "gateway.yaml:2:10: unknown key `eng\\u{1b}\\nine`; did you mean `engine`?",
    ),
    wrong(
        "store: { colour: red }",
        "gateway.yaml:2:10: unknown key `colour`; there are `engine`, `path`, `url`",
    ),
    wrong(
        "providers: { a: { dialect: opanai } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:28: `opanai` is not a dialect; there are `openai`, `responses`, `anthropic`, `gemini`, \
         `ollama`, `bedrock`, `simulator`; did you mean `openai`?",
    ),
    wrong_together(
        "providers: { a: { dialect: bedrock } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:14: `a` has no `base_url`, and `dialect: bedrock` no default",
    ),
    wrong(
        "providers: { a: {} }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:14: `a` has no `dialect`; there are `openai`, `responses`, `anthropic`, `gemini`, `ollama`, \
         `bedrock`, `simulator`",
    ),
    wrong_together(
        "providers: { a b: { dialect: simulator } }\nmodels: { m: { targets: [{ provider: a b }] } }",
        "gateway.yaml:2:14: a provider's name is 1 to 64 of the characters A-Z a-z 0-9 . _ -",
    ),
    wrong_together(
        "models: { m: { targets: [{ provider: simm }] } }",
        "gateway.yaml:2:38: `simm` is not a configured provider; there are `sim`; did you mean `sim`?",
    ),
    wrong(
        "models: { m: { targets: [{ model: x }] } }",
        "gateway.yaml:2:26: the target names no `provider`; there are `sim`",
    ),
    wrong(
        "models: { m: {} }",
        "gateway.yaml:2:11: `m` has no targets; give at least one, such as `targets: [{ provider: sim }]`",
    ),
    wrong(
        "models: { m: { targets: [{ provider: sim, weight: 0 }] } }",
        "gateway.yaml:2:51: `0` is not a whole number from 1; without `weight`, the target only takes over",
    ),
    wrong_together(
        "models: { \"a*b\": { targets: [{ provider: sim }] } }",
        "gateway.yaml:2:11: `a*b` is not a pattern; the `*` stands at its end",
    ),
    wrong_together(
        "models: { \"${WORD}\": { targets: [{ provider: sim }] } }",
        "gateway.yaml:2:11: names are not taken from the environment, only values are",
    ),
    wrong_together(
        "models: { \"a b\": { targets: [{ provider: sim }] } }",
        "gateway.yaml:2:11: a model's name is not empty and has no spaces",
    ),
    wrong(
        "models: { m: { targets: [{ provider: sim }], timeouts: { idel: 1s } } }",
        "gateway.yaml:2:58: unknown key `idel`; did you mean `idle`?",
    ),
    wrong(
        "models: { m: { targets: [{ provider: sim }], timeouts: { idle: 10 } } }",
        "gateway.yaml:2:64: `10` is not a duration such as `16ms`, `10s`, `5m` or `1h`",
    ),
    wrong_together(
        "models: { m: { targets: [{ provider: sim }], timeouts: { idle: 0s } } }",
        "gateway.yaml:2:64: `0s` is not a duration of more than nothing",
    ),
    wrong(
        "providers: { a: { dialect: openai, base_url: api.openai.com } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:46: `api.openai.com` is not a URL such as `https://api.openai.com/v1`",
    ),
    wrong_together(
        "providers: { a: { dialect: openai, seed: 1 } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:42: `seed` has no effect with `dialect: openai`; take it out",
    ),
    wrong_together(
        "providers: { a: { dialect: simulator, api_key: x } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:48: `api_key` has no effect with `dialect: simulator`; take it out",
    ),
    wrong_together(
        "providers: { a: { dialect: openai, api_key: \"${EMPTY}\" } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:45: `api_key` is empty or holds characters that cannot be sent; for a provider without a \
         key, take `api_key` out",
    ),
    wrong_together(
        "providers: { a: { dialect: openai, headers: { \"a b\": c } } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:47: `a b` is not a header's name",
    ),
    wrong_together(
        "listen: { http: 0.0.0.0:8080 }",
        "gateway.yaml:2:17: `0.0.0.0:8080` can be reached from other machines, and without `access.keys` the \
         gateway is open to all who reach it; listen on loopback, such as `127.0.0.1:8080`",
    ),
    wrong_together(
        "listen: { http: localhost:8080 }",
        "gateway.yaml:2:17: `localhost:8080` is not an address in digits, `127.0.0.1:8080`",
    ),
    wrong(
        "listen: { webtransport: 4433 }",
        "gateway.yaml:2:25: `4433` is not an address such as `127.0.0.1:8080`",
    ),
    wrong(
        "listen: { public: { webtransport: gateway.example } }",
        "gateway.yaml:2:35: `gateway.example` is not an https URL such as `https://gateway.example:4433`",
    ),
    wrong(
        "tls: { cert: a.pem, key: b.pem }",
        "gateway.yaml:2:6: `tls` is not available in this version; take it out",
    ),
    wrong(
        "store: { engine: disk, path: /var/lib }",
        "gateway.yaml:2:18: `disk` is not available in this version; there is `memory`\n\
         gateway.yaml:2:30: `store.path` is not available in this version; take it out",
    ),
    wrong(
        "store: { engine: paper }",
        "gateway.yaml:2:18: `paper` is not an engine; there is `memory`",
    ),
    wrong(
        "access:\n  keys: [{ name: web, key: secret }]",
        "gateway.yaml:3:9: `access.keys` is not available in this version; take it out",
    ),
    wrong_together(
        "access: { allowed_origins: [\"https://a.example/app\"] }",
        "gateway.yaml:2:29: `https://a.example/app` is not an origin such as `https://app.example`, without a path",
    ),
    wrong_together(
        "channels: { frame_interval: 501ms }",
        "gateway.yaml:2:29: `501ms` is not a duration of at most `500ms`",
    ),
    wrong(
        "channels: { retention: { max_bytes: 8MB } }",
        "gateway.yaml:2:37: `8MB` is not a size such as `64KiB`, `8MiB` or `1GiB`",
    ),
    wrong(
        "channels: { sse_ids: perhaps }",
        "gateway.yaml:2:22: `perhaps` is not `true` or `false`",
    ),
    wrong(
        "channels: { on_disconnect: { policy: gracious } }",
        "gateway.yaml:2:38: `gracious` is not a policy; there are `cancel`, `grace`, `drain`",
    ),
    wrong_together(
        "channels: { on_disconnect: { policy: drain, grace: 3s } }",
        "gateway.yaml:2:52: `grace` has no effect with `policy: drain`; take it out",
    ),
    wrong_together(
        "channels: { on_disconnect: { grace: 3s } }",
        "gateway.yaml:2:37: `grace` needs `policy: grace` beside it",
    ),
    wrong_together(
        "channels: { keep_alive: \"${NOPE}\" }",
        "gateway.yaml:2:25: the environment variable `NOPE` is not set; set it, or write `$$` for a `$`",
    ),
    wrong_together(
        "channels: { keep_alive: \"${WORD}\" }",
        "gateway.yaml:2:25: `${WORD}` is not a duration such as `16ms`, `10s`, `5m` or `1h`",
    ),
    wrong(
        "channels: { keep_alive: }",
        "gateway.yaml:2:23: the value is missing; give one or take the key out",
    ),
    wrong("channels: quick", "gateway.yaml:2:11: expected keys and values, `key: value`"),
    wrong(
        "models: { m: { targets: sim } }",
        "gateway.yaml:2:25: expected a list, `[a, b]` or lines that begin with `- `",
    ),
    wrong_together(
        "providers: { a: { dialect: openai, api_key: k, api_keys: [l] } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:59: `api_key` and `api_keys` are both given; put all keys under `api_keys`",
    ),
    wrong_together(
        "providers: { a: { dialect: openai, api_keys: [sk-1, \"${EMPTY}\"] } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:53: `api_keys` is empty or holds characters that cannot be sent; for a provider without a \
         key, take `api_keys` out",
    ),
    wrong_together(
        "providers: { a: { dialect: openai, api_keys: [sk-1, sk-1] } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:53: the same key is given twice; keep one",
    ),
    wrong_together(
        "providers: { a: { dialect: openai, remove_headers: [x-a, \"x b\"] } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:58: `x b` is not a header's name",
    ),
    wrong_together(
        "providers: { a: { dialect: openai, headers: { x-a: b }, remove_headers: [X-A] } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:74: `X-A` is set under `headers`, in place of the app's; take it out here",
    ),
    wrong(
        "providers: { a: { dialect: openai, proxy: \"ftp://u:sk-secret@proxy\" } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:43: `proxy` is not a URL such as `http://proxy.example:3128` or `socks5://127.0.0.1:1080`",
    ),
    wrong_together(
        "providers: { a: { dialect: openai, ca: no/such.pem } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:40: `no/such.pem` cannot be read: No such file or directory (os error 2)",
    ),
    wrong_together(
        "providers: { a: { dialect: openai, ca: Cargo.toml } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:40: `Cargo.toml` holds no certificate (`-----BEGIN CERTIFICATE-----`)",
    ),
    wrong(
        "providers: { a: { dialect: openai, breaker: { failures: 0 } } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:57: `0` is not a whole number from 1 to 100",
    ),
    wrong(
        "providers: { a: { dialect: openai, breaker: { windw: 1s } } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:47: unknown key `windw`; did you mean `window`?",
    ),
    wrong_together(
        "providers: { a: { dialect: openai, breaker: { open: 0s } } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:53: `0s` is not a duration of more than nothing",
    ),
    wrong_together(
        "providers: { a: { dialect: simulator, breaker: { open: 1s } } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:56: `breaker` has no effect with `dialect: simulator`; take it out",
    ),
    wrong_together(
        "providers: { a: { dialect: simulator, api_keys: [k] } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:50: `api_keys` has no effect with `dialect: simulator`; take it out",
    ),
    wrong(
        "models: { m: { targets: [{ provider: sim }], failover: { retries: 11 } } }",
        "gateway.yaml:2:67: `11` is not a whole number from 0 to 10",
    ),
    wrong(
        "models: { m: { targets: [{ provider: sim }], failover: { budget: 30 } } }",
        "gateway.yaml:2:66: `30` is not a duration such as `16ms`, `10s`, `5m` or `1h`",
    ),
    wrong(
        "models: { m: { targets: [{ provider: sim }], on_break: contine } }",
        "gateway.yaml:2:56: `contine` is not a way to go on; there are `fail`, `continue`; did you mean `continue`?",
    ),
    wrong(
        "models: { m: { targets: [{ provider: sim, max_in_flight: 0 }] } }",
        "gateway.yaml:2:58: `0` is not a whole number from 1; without `max_in_flight`, there is no limit",
    ),
    wrong(
        "prices: { fast: { input: 1, output: -2 } }",
        "gateway.yaml:2:37: `-2` is not a price for a million tokens, such as `0.25`, with at most six decimals",
    ),
    wrong_together(
        "prices: { fast: { input: 0.0000001, output: 2 } }",
        "gateway.yaml:2:26: `0.0000001` is not a price for a million tokens, such as `0.25`, with at most six decimals",
    ),
    wrong(
        "prices: { fast: { input: 1 } }",
        "gateway.yaml:2:17: the price of `fast` has no `output`; give it, or 0",
    ),
    wrong_together(
        "prices: { fats: { input: 1, output: 2 } }",
        "gateway.yaml:2:11: `fats` is neither a model that can be asked for nor `provider/model`; there are `fast`; did you mean \
         `fast`?",
    ),
    wrong("store: {}\nstore: {}", "gateway.yaml:3:1: `store` is written twice; keep one"),
];

#[test]
fn every_error_says_where_what_and_what_would_be_right() {
    for wrong in WRONG {
        match parse(&wrong.text()) {
            Ok(_) => panic!("accepted:\n{}", wrong.text()),
            Err(error) => assert_eq!(error, wrong.told, "in\n{}", wrong.text()),
        }
    }
}

/// A full file of what is to come, as the design has it: what this version lacks is told, the rest is understood.
#[test]
fn what_this_version_does_not_have_is_told_key_by_key() {
    let text = "version: 1
listen: { http: 127.0.0.1:8080, webtransport: 127.0.0.1:4433 }
tls: { cert: fullchain.pem, key: key.pem }
providers:
  openai:    { dialect: openai,    base_url: https://api.openai.com/v1, api_key: \"${OPENAI_API_KEY}\" }
  anthropic: { dialect: anthropic, api_key: \"${ANTHROPIC_API_KEY}\" }
  local:     { dialect: openai,    base_url: http://127.0.0.1:8000/v1 }
  sim:       { dialect: simulator, tokens_per_second: 80 }
models:
  fast:
    targets:
      - { provider: openai, model: gpt-5-mini, weight: 3 }
      - { provider: anthropic, model: claude-haiku-4-5 }
    timeouts: { connect: 10s, first_token: 10m, idle: 5m, total: 60m }
  \"openai/*\": { targets: [ { provider: openai } ] }
channels:
  frame_interval: 16ms
  retention: { after_end: 10m, max_bytes: 8MiB }
  on_disconnect: { policy: grace, grace: 30s }
store: { engine: jetstream, url: nats://127.0.0.1 }
access:
  keys:
    - { name: web, key: \"${WEB_KEY}\", models: [fast], limits: { concurrent: 100 } }
  token_secret: \"${TOKENWAY_TOKEN_SECRET}\"
  allowed_origins: [\"https://app.example\"]
";
    let error = parse(text).expect_err("much is to come");
    let told: Vec<_> = error
        .lines()
        .map(|line| line.strip_prefix("gateway.yaml:").expect("a place"))
        .map(|line| line.split_once(": ").expect("a message"))
        .inspect(|(_, message)| assert!(message.contains("not available in this version")))
        .map(|(place, _)| place)
        .collect();
    assert_eq!(told, ["3:6", "20:18", "20:34", "23:5", "24:17"], "{error}");
}

#[test]
fn all_that_is_wrong_is_told_at_once_in_the_order_of_the_file() {
    let error =
        parse("version: 2\nlisten: { http: x }\nchannels: { keep_alive: y }\n").expect_err("much");
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines.len(), 4, "{error}");
    assert!(lines[0].starts_with("gateway.yaml: `providers` is missing"));
    assert!(lines[1].starts_with("gateway.yaml:1:10: this version of tokenway reads `version: 1`"));
    assert!(lines[2].starts_with("gateway.yaml:2:17: `x` is not an address"));
    assert!(lines[3].starts_with("gateway.yaml:3:25: `y` is not a duration"));
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
fn a_proxy_for_other_programs_is_not_used_and_that_is_said() {
    let variables = [("OPENAI_API_KEY", "sk-1"), ("HTTPS_PROXY", "http://me:sk-2@proxy:1")];
    let environment: Environment = variables.into_iter().collect();
    let notes =
        |text: &str| Config::parse("gateway.yaml", text, &environment).expect("a config").notes;
    let file = "version: 1\nproviders: { o: { dialect: openai } }\nmodels: { m: { targets: [{ provider: o }] } }";
    let told = Config::from_env(&environment).expect("a config").notes;
    assert_eq!(told, notes(file));
    assert!(told.len() == 1 && told[0].starts_with("HTTPS_PROXY is set and not read"), "{told:?}");
    assert!(!told[0].contains("sk-2"));
    let through = file.replace("dialect: openai", "dialect: openai, proxy: \"http://proxy:1\"");
    assert_eq!(notes(&through), Vec::<String>::new());
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

fn of_environment(variables: &[(&str, &str)]) -> Result<Config, String> {
    let environment: Environment = variables.iter().copied().collect();
    Config::from_env(&environment).map_err(|error| error.to_string())
}

/// The base URL and the key of a provider over HTTP.
fn endpoint<'a>(config: &'a Config, name: &str) -> (&'a str, Option<&'a str>) {
    let http = http(config, name);
    (http.base_url.as_str(), http.api_keys.first().map(|key| key.expose()))
}

#[test]
fn the_usual_environment_variables_make_a_config() {
    let config = of_environment(&[
        ("GROQ_API_KEY", "k-groq"),
        ("ANTHROPIC_API_KEY", "k-anthropic"),
        ("ANTHROPIC_BASE_URL", "http://127.0.0.1:8001/"),
        ("OPENAI_API_KEY", "k-openai"),
        ("GEMINI_API_KEY", "k-gemini"),
        ("AWS_BEARER_TOKEN_BEDROCK", "k-bedrock"),
        ("AWS_REGION", "eu-central-1"),
        ("OLLAMA_HOST", "box"),
    ])
    .expect("a config");
    for (name, url, key) in [
        ("openai", "https://api.openai.com/v1", Some("k-openai")),
        ("anthropic", "http://127.0.0.1:8001/", Some("k-anthropic")),
        ("gemini", "https://generativelanguage.googleapis.com/", Some("k-gemini")),
        ("groq", "https://api.groq.com/openai/v1", Some("k-groq")),
        ("bedrock", "https://bedrock-runtime.eu-central-1.amazonaws.com/", Some("k-bedrock")),
        ("ollama", "http://box:11434/", None),
    ] {
        assert_eq!(endpoint(&config, name), (url, key), "{name}");
    }
    assert_eq!(config.providers.len(), 6);
    let routes = Routes::new(&config);
    for (asked, provider, model) in [
        ("groq/llama-3.3-70b", "groq", "llama-3.3-70b"),
        ("claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5"),
        ("gemini-2.5-pro", "gemini", "gemini-2.5-pro"),
        ("ollama/library/qwen3:8b", "ollama", "library/qwen3:8b"),
        ("gpt-5", "openai", "gpt-5"),
        ("mistral-large", "openai", "mistral-large"),
    ] {
        let plan = routes.plan(asked, 0).expect(asked);
        let [target] = &plan.targets[..] else { panic!("{asked}: {:?}", plan.targets) };
        assert_eq!((target.provider.as_str(), target.model.as_str()), (provider, model), "{asked}");
    }
}

#[test]
fn each_usual_variable_alone_makes_a_provider_that_takes_every_name() {
    for (variable, provider) in [
        ("OPENAI_API_KEY", "openai"),
        ("ANTHROPIC_API_KEY", "anthropic"),
        ("GEMINI_API_KEY", "gemini"),
        ("GOOGLE_API_KEY", "gemini"),
        ("MISTRAL_API_KEY", "mistral"),
        ("GROQ_API_KEY", "groq"),
        ("DEEPSEEK_API_KEY", "deepseek"),
        ("XAI_API_KEY", "xai"),
        ("OPENROUTER_API_KEY", "openrouter"),
        ("TOGETHER_API_KEY", "together"),
        ("OLLAMA_HOST", "ollama"),
    ] {
        let config = of_environment(&[(variable, "box")]).expect(variable);
        let plan = Routes::new(&config).plan("any-name", 0).expect("every name goes there");
        assert_eq!((plan.targets[0].provider.as_str(), config.providers.len()), (provider, 1));
    }
    let config = of_environment(&[("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1/")]);
    let config = config.expect("a local server");
    assert_eq!(endpoint(&config, "openai"), ("http://127.0.0.1:8000/v1", None));
}

#[test]
fn an_environment_that_makes_no_config_is_told_without_its_values() {
    for (variables, told) in [
        (&[][..], "tokenway demo"),
        (&[("OPENAI_API_KEY", " ")], "set OPENAI_API_KEY"),
        (&[("AWS_BEARER_TOKEN_BEDROCK", "sk-3")], "set AWS_REGION"),
        (&[("AWS_BEARER_TOKEN_BEDROCK", "sk-3"), ("AWS_REGION", "a.b/sk")], "such as `us-east-1`"),
        (&[("OPENAI_BASE_URL", "here")], "OPENAI_BASE_URL: expected a URL"),
        (&[("OPENAI_API_KEY", "sk\n4")], "OPENAI_API_KEY: holds characters that cannot be sent"),
    ] {
        let error = of_environment(variables).expect_err(told);
        assert!(error.contains(told) && !error.contains("sk"), "{error}");
    }
}

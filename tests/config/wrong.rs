//! What users are told when something is wrong: each message, with its place.

use tokenway::config::{JetStream, Store, schema};

use crate::parse;

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
        "gateway.yaml:2:10: unknown key `colour`; there are `engine`, `path`, `loss_window`, `url`, `prefix`, `replicas`, \
         `lease`, `credentials`",
    ),
    wrong(
        "providers: { a: { dialect: opanai } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:28: `opanai` is not a dialect; there are `openai`, `responses`, `anthropic`, `gemini`, \
         `ollama`, `bedrock`, `simulator`; did you mean `openai`?",
    ),
    wrong_together(
        "providers: { a: { dialect: bedrock } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:14: `a` has neither `region` nor `base_url`",
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
        "providers: { a: { dialect: openai, base_url: \"http://a/v1#b\" } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:46: `http://a/v1#b` is not a URL without `#`, since paths are put after it",
    ),
    wrong_together(
        "providers: { a: { dialect: openai, key_header: api-key } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:48: `key_header` has no effect without `api_key`; take it out",
    ),
    wrong_together(
        "providers: { a: { dialect: openai, api_key: k, key_header: \"a b\" } }\nmodels: { m: { targets: [{ provider: a }] } }",
        "gateway.yaml:2:60: `a b` is not a header's name",
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
         gateway is open to all who reach it; give keys, or listen on loopback, such as `127.0.0.1:8080`",
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
    wrong_together(
        "tls: { cert: a.pem, key: b.pem }",
        "gateway.yaml:2:14: `a.pem` is not a file that can be read: No such file or directory (os error 2)\n\
         gateway.yaml:2:26: `b.pem` is not a file that can be read: No such file or directory (os error 2)",
    ),
    wrong_together(
        "tls: { cert: Cargo.toml, key: Cargo.toml }",
        "gateway.yaml:2:14: `Cargo.toml` is not a PEM file with a certificate\n\
         gateway.yaml:2:31: `Cargo.toml` is not a PEM file with an unencrypted key",
    ),
    wrong(
        "tls: { key: Cargo.toml }",
        "gateway.yaml:2:13: `tls` has no `cert`; it needs `cert` and `key`\n\
         gateway.yaml:2:13: `Cargo.toml` is not a PEM file with an unencrypted key",
    ),
    wrong(
        "tls: { key: Cargo.toml, acme: { domains: [a.example] } }",
        "gateway.yaml:2:13: a certificate comes from files or from `acme`; leave one out",
    ),
    wrong(
        "tls: { acme: { contact: ops@example.com } }",
        "gateway.yaml:2:14: `acme` has no `domains`; name at least one",
    ),
    wrong(
        "tls: { acme: { domains: [\"*.a.example\"] } }",
        "gateway.yaml:2:26: `*.a.example` is not a name of one host; for `*.` authorities want DNS-01, which is not available",
    ),
    wrong(
        "tls: { acme: { domains: [10.0.0.1], http: \"80\" } }",
        "gateway.yaml:2:26: `10.0.0.1` is not a domain name such as `gateway.example`\n\
         gateway.yaml:2:43: `80` is not an address such as `0.0.0.0:80`",
    ),
    wrong(
        "tls: { acme: { domains: [a.example], directory: \"http://acme.example\" } }",
        "gateway.yaml:2:49: `http://acme.example` is not an https URL such as `https://acme-v02.api.letsencrypt.org/directory`",
    ),
    wrong(
        "telemetry: { otlp: { endpoint: collector } }",
        "gateway.yaml:2:32: `collector` is not a URL such as `http://127.0.0.1:4318`",
    ),
    wrong(
        "telemetry: { otlp: { conventions: newest } }",
        "gateway.yaml:2:35: `newest` is not a version of the conventions; there are `published`, `latest`",
    ),
    wrong_together(
        "telemetry: { access_log: { prompts: true } }",
        "gateway.yaml:2:37: `prompts` has no effect without `to`; give it, or take it out",
    ),
    wrong_together(
        "store: { engine: disk, path: x, url: nats://x }",
        "gateway.yaml:2:38: `url` needs `engine: jetstream` beside it",
    ),
    wrong_together(
        "store: { engine: jetstream }",
        "gateway.yaml:2:18: `engine: jetstream` needs the NATS servers that keep it, such as `url: \
         nats://127.0.0.1:4222`",
    ),
    wrong(
        "store: { engine: jetstream, url: \"http://x:4222\" }",
        "gateway.yaml:2:34: `http://x:4222` is not the URL of a NATS server such as `nats://127.0.0.1:4222`, or \
         several with commas between them",
    ),
    wrong_together(
        "store: { engine: jetstream, url: \"nats://x\", prefix: a.b }",
        "gateway.yaml:2:54: `a.b` is not a prefix of 1 to 32 of the characters A-Z a-z 0-9 _ -",
    ),
    wrong(
        "store: { engine: jetstream, url: \"nats://x,nats://y\", replicas: 2 }",
        "gateway.yaml:2:65: `2` is not a number of replicas; there may be `1`, `3` or `5`",
    ),
    wrong_together(
        "store: { engine: jetstream, url: \"nats://x\", lease: 100ms }",
        "gateway.yaml:2:53: `100ms` is not a duration from `500ms` to `60s`",
    ),
    wrong_together(
        "store: { engine: disk }",
        "gateway.yaml:2:18: `engine: disk` needs a directory of its own, such as `path: /var/lib/tokenway`",
    ),
    wrong_together(
        "store: { path: /var/lib/tokenway }",
        "gateway.yaml:2:16: `path` needs `engine: disk` beside it",
    ),
    wrong_together(
        "store: { engine: disk, path: x, loss_window: 11s }",
        "gateway.yaml:2:46: `11s` is not a duration of at most `10s`",
    ),
    wrong(
        "store: { engine: paper }",
        "gateway.yaml:2:18: `paper` is not an engine; there are `memory`, `disk` and `jetstream`",
    ),
    wrong_together(
        "access:\n  keys: [{ name: web, key: secret }]",
        "gateway.yaml:3:10: with keys, `access.token_secret` is needed, for channel tokens: give it, such as \
         `token_secret: \"${TOKENWAY_TOKEN_SECRET}\"`, or give `web` a `token_key`",
    ),
    wrong_together(
        "access: { token_secret: sk-canary }",
        "gateway.yaml:2:25: `token_secret` has no effect without `access.keys`; take it out, or give keys",
    ),
    wrong_together(
        "access: { token_secret: s, keys: [{ name: a, key: k }, { name: a, key: l }, { name: b, key: l }] }",
        "gateway.yaml:2:56: the key `a` is there twice\n\
         gateway.yaml:2:77: `b` and `a` are the same key; give each its own",
    ),
    wrong(
        "access: { token_secret: s, keys: [{ key: k }] }",
        "gateway.yaml:2:35: the key has no `name`; the channels made with it are its own",
    ),
    wrong_together(
        "access: { token_secret: s, keys: [{ name: a/b, key: k }] }",
        "gateway.yaml:2:43: `a/b` is not a key's name, which is 1 to 64 of the characters A-Z a-z 0-9 . _ -",
    ),
    wrong_together(
        "access: { token_secret: s, keys: [{ name: a }] }",
        "gateway.yaml:2:35: `a` needs one of `key`, `key_file` and `key_sha256`",
    ),
    wrong_together(
        "access: { token_secret: s, keys: [{ name: a, key: k, key_sha256: l }] }",
        "gateway.yaml:2:35: `a` needs one of `key`, `key_file` and `key_sha256`",
    ),
    wrong_together(
        "access: { token_secret: s, keys: [{ name: a, key: \"${EMPTY}\" }] }",
        "gateway.yaml:2:51: `key` is empty or holds characters that a header cannot",
    ),
    wrong_together(
        "access: { token_secret: \"${EMPTY}\", keys: [{ name: a, key_sha256: sk-canary }] }",
        "gateway.yaml:2:25: `token_secret` is empty\n\
         gateway.yaml:2:67: `key_sha256` is not 64 hexadecimal digits",
    ),
    wrong_together(
        "access: { token_secret: s, keys: [{ name: a, key_file: no/such }] }",
        "gateway.yaml:2:56: `no/such` cannot be read: No such file or directory (os error 2)",
    ),
    wrong_together(
        "access: { admin_key: sk-canary }",
        "gateway.yaml:2:22: `admin_key` has no effect without `access.keys`; take it out, or give keys",
    ),
    wrong_together(
        "access: { token_secret: s, admin_key: k, keys: [{ name: a, key: k }] }",
        "gateway.yaml:2:39: `admin_key` is also the key `a`; give operators their own",
    ),
    wrong_together(
        "access: { token_secret: s, admin_key: \"${EMPTY}\", keys: [{ name: a, key: k }] }",
        "gateway.yaml:2:39: `admin_key` is empty or holds characters that a header cannot",
    ),
    wrong_together(
        "access: { keys: [{ name: a, key: k, token_key: Cargo.toml }] }",
        "gateway.yaml:2:18: with keys, `access.token_secret` is needed, for channel tokens: give it, such as \
         `token_secret: \"${TOKENWAY_TOKEN_SECRET}\"`, or give `a` a `token_key`\n\
         gateway.yaml:2:48: `Cargo.toml` is neither a public key in PEM (Ed25519 or RSA) nor a JWKS",
    ),
    wrong(
        "limits: { sessions: 0 }",
        "gateway.yaml:2:21: `0` is not a whole number from 1, or `none`",
    ),
    wrong_together(
        "limits: { headers: 1KiB }",
        "gateway.yaml:2:20: `1KiB` is not a size from `8KiB`",
    ),
    wrong_together(
        "limits: { body_timeout: 10ms }",
        "gateway.yaml:2:25: `10ms` is not a duration from `1s`",
    ),
    wrong(
        "access: { token_secret: s, keys: [{ name: a, key: k, limits: { concurrent: 0 } }] }",
        "gateway.yaml:2:76: `0` is not a whole number from 1",
    ),
    wrong_together(
        "access: { token_secret: s, keys: [{ name: a, key: k, limits: { budget: { day: -1 } } }] }",
        "gateway.yaml:2:79: `-1` is not money, such as `10` or `2.50`",
    ),
    wrong_together(
        "models: { fast: { targets: [{ provider: sim }] } }\naccess: { token_secret: s, keys: [{ name: a, key: k, models: [fats] }] }",
        "gateway.yaml:3:63: `fats` is no model that can be asked for; there are `fast`; did you mean `fast`?",
    ),
    wrong_together(
        "access: { allowed_origins: [\"https://a.example/app\"] }",
        "gateway.yaml:2:29: `https://a.example/app` is not an origin such as `https://app.example`, without a path",
    ),
    wrong_together(
        "access: { trusted_proxies: [proxy.example] }",
        "gateway.yaml:2:29: `proxy.example` is not an address or a network, such as `10.0.0.0/8`",
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

/// A full file, as the design has it.
#[test]
fn the_designs_own_file_is_understood() {
    let text = "version: 1
listen: { http: 127.0.0.1:8080, webtransport: 127.0.0.1:4433 }
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
    - { name: web, key: \"${WEB_KEY}\", models: [fast], limits: { requests_per_minute: 600, tokens_per_minute: 200000, concurrent: 100 } }
  token_secret: \"${TOKENWAY_TOKEN_SECRET}\"
  allowed_origins: [\"https://app.example\"]
";
    let config = parse(text).expect("all of it is there");
    let JetStream { url, .. } = match config.store {
        Store::JetStream(settings) => settings,
        other => panic!("{other:?}"),
    };
    assert_eq!(url.expose(), "nats://127.0.0.1");
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

//! The file as it is written: every key there is, and each value with its place.
//!
//! Scalars are kept as text here. What they mean, and what belongs together, is decided in `resolve`, after the
//! environment has been put in: so a value from the environment is a value, and can never become YAML. The comments on
//! the fields are the descriptions in the JSON Schema.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

mod access;
mod limits;

pub(super) use access::{Access, Key};
pub(super) use limits::{KeyLimits, Limits};

use super::{
    located::{At, Entries, Given},
    schema,
};

/// The config of a Tokenway gateway.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Tokenway", extend("required" = ["version", "providers", "models"]))]
pub(super) struct File {
    /// The version of this format: 1.
    #[schemars(with = "schema::Version")]
    pub(super) version: Given<String>,
    /// Where the gateway listens.
    #[serde(deserialize_with = "section")]
    #[schemars(with = "Option<Listen>")]
    pub(super) listen: Listen,
    /// The gateway's own certificate, for HTTP and WebTransport alike. Without one HTTP is plain, and WebTransport has a
    /// certificate for development, whose hash pages are told.
    #[serde(deserialize_with = "section")]
    #[schemars(with = "Option<Tls>")]
    pub(super) tls: Tls,
    /// The upstream LLM endpoints, by name. Routes that no model names go to the first.
    pub(super) providers: Entries<Provider>,
    /// The models that apps may ask for: a name, or a pattern. What stands for the `*` of `prefix/*` is the name at the
    /// provider; with any other pattern (`claude-*`, `*`) it is the whole name.
    pub(super) models: Entries<Model>,
    /// What tokens cost, by `provider/model` or by the models' public names; `provider/model` wins.
    pub(super) prices: Entries<At<Price>>,
    /// How channels behave.
    #[serde(deserialize_with = "section")]
    #[schemars(with = "Option<Channels>")]
    pub(super) channels: Channels,
    /// Where logs are kept.
    #[serde(deserialize_with = "section")]
    #[schemars(with = "Option<Store>")]
    pub(super) store: Store,
    /// How much there may be of what.
    #[serde(deserialize_with = "section")]
    #[schemars(with = "Option<Limits>")]
    pub(super) limits: Limits,
    /// Who may do what.
    #[serde(deserialize_with = "section")]
    #[schemars(with = "Option<Access>")]
    pub(super) access: Access,
    /// What the gateway says of itself, and where. Prometheus metrics are always at `/metrics`.
    #[serde(deserialize_with = "section")]
    #[schemars(with = "Option<Telemetry>")]
    pub(super) telemetry: Telemetry,
}

/// Either a certificate and its key, in PEM, taken up anew when the files change, or `acme`. Paths are relative to this file.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["cert", "key"] }, { "required": ["acme"], "properties": { "cert": false, "key": false } }]))]
pub(super) struct Tls {
    /// The certificate, followed by those that lead to its authority.
    #[schemars(with = "schema::Text")]
    pub(super) cert: Given<String>,
    /// Its key, unencrypted.
    #[schemars(with = "schema::Text")]
    pub(super) key: Given<String>,
    /// An authority to get the certificate from, and the next before it runs out.
    #[schemars(with = "Acme")]
    pub(super) acme: Given<Acme>,
}

/// A certificate from an authority that speaks ACME, such as Let's Encrypt; with it you agree to that authority's terms. It
/// is kept under the state directory, and renewed when two thirds of its time are over.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["domains"]))]
pub(super) struct Acme {
    /// The domain names that the certificate is for.
    #[schemars(with = "Vec<schema::DomainName>", length(min = 1))]
    pub(super) domains: Vec<At<String>>,
    /// A mail address that the authority may write to.
    #[schemars(with = "schema::Text")]
    pub(super) contact: Given<String>,
    /// The authority's directory; by default Let's Encrypt's.
    #[schemars(with = "schema::HttpsUrl")]
    pub(super) directory: Given<String>,
    /// A file with the certificates (PEM) that the authority's own server is trusted by, for one within a company.
    #[schemars(with = "schema::Text")]
    pub(super) roots: Given<String>,
    /// An address for plain HTTP, which the domain's port 80 leads to, such as `0.0.0.0:80`: the authority is answered there
    /// (HTTP-01). Without it, it is answered by TLS on the HTTP port, which the domain's port 443 must lead to (TLS-ALPN-01).
    #[schemars(with = "schema::Address")]
    pub(super) http: Given<String>,
}

/// What the gateway says of itself, and where.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Telemetry {
    /// Traces and metrics to an OpenTelemetry collector.
    #[serde(deserialize_with = "section")]
    #[schemars(with = "Option<Otlp>")]
    pub(super) otlp: Otlp,
    /// A line of JSON for each generation that ended.
    #[serde(deserialize_with = "section")]
    #[schemars(with = "Option<AccessLog>")]
    pub(super) access_log: AccessLog,
}

/// Traces and metrics to an OpenTelemetry collector: protobuf over HTTP.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Otlp {
    /// The collector's URL without `/v1/traces`, such as `http://127.0.0.1:4318`; by default OTEL_EXPORTER_OTLP_ENDPOINT.
    /// Without one nothing is sent.
    #[schemars(with = "schema::HttpUrl")]
    pub(super) endpoint: Given<String>,
    /// Headers to send with every export.
    #[schemars(with = "std::collections::BTreeMap<String, schema::Text>")]
    pub(super) headers: Entries<At<String>>,
    /// Names of the conventions for generative AI: `published` (1.37 to 1.41, which most tools know) or `latest`; by default
    /// `latest` if OTEL_SEMCONV_STABILITY_OPT_IN has `gen_ai_latest_experimental`.
    #[schemars(with = "schema::Conventions")]
    pub(super) conventions: Given<String>,
}

/// A line of JSON for each generation that ended.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AccessLog {
    /// Where: a file, its path relative to this one, or `stdout`. Without it no lines are written.
    #[schemars(with = "schema::Text")]
    pub(super) to: Given<String>,
    /// Whether lines also hold the call and the answer: they are then as secret as what users write.
    #[schemars(with = "schema::Flag")]
    pub(super) prompts: Given<String>,
}

/// Where the gateway listens.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Listen {
    /// The address of the API, the console, WebSocket and SSE (TCP).
    #[schemars(with = "schema::Address")]
    pub(super) http: Given<String>,
    /// The address of WebTransport (UDP).
    #[schemars(with = "schema::Address")]
    pub(super) webtransport: Given<String>,
    /// How the gateway is reached from outside, where that differs from the addresses.
    #[serde(deserialize_with = "section")]
    #[schemars(with = "Option<Public>")]
    pub(super) public: Public,
}

/// Outside URLs.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Public {
    /// The outside URL of the API.
    #[schemars(with = "schema::HttpUrl")]
    pub(super) http: Given<String>,
    /// The outside URL of WebTransport; always https.
    #[schemars(with = "schema::HttpUrl")]
    pub(super) webtransport: Given<String>,
}

/// An upstream LLM endpoint.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["dialect"]))]
pub(super) struct Provider {
    /// What it speaks: `openai` (Chat Completions, whoever serves it), `responses`, `anthropic`, `gemini`, `ollama`,
    /// `bedrock`, or `simulator` (built in; its models are `sim-text`, `sim-reasoning`, `sim-tools`, `sim-languages`,
    /// `sim-long`, and those that fail: `sim-slow-start`, `sim-error-first`, `sim-error-middle`, `sim-cut`, `sim-reset`,
    /// `sim-stall`).
    #[schemars(with = "schema::Dialect")]
    pub(super) dialect: Given<String>,
    /// What the dialect's own SDK takes: `…/v1` for `openai` and `responses`, the origin for the others; the maker's own by
    /// default. Paths are put after it and before its query, which goes with every call: `?api-version=…` for Azure.
    #[schemars(with = "schema::HttpUrl")]
    pub(super) base_url: Given<String>,
    /// The provider's key; best from the environment: `"${OPENAI_API_KEY}"`.
    #[schemars(with = "schema::Text")]
    pub(super) api_key: Given<String>,
    /// The region of a `bedrock` provider, such as `us-east-1`.
    #[schemars(with = "schema::Text")]
    pub(super) region: Given<String>,
    /// The id of an access key that signs requests to `bedrock`, in place of `api_key`.
    #[schemars(with = "schema::Text")]
    pub(super) access_key_id: Given<String>,
    /// Its secret; best from the environment: `"${AWS_SECRET_ACCESS_KEY}"`.
    #[schemars(with = "schema::Text")]
    pub(super) secret_access_key: Given<String>,
    /// What a temporary access key comes with.
    #[schemars(with = "schema::Text")]
    pub(super) session_token: Given<String>,
    /// Several keys in place of `api_key`. When the provider limits one (429), it rests and the next takes its place.
    #[schemars(length(min = 1))]
    pub(super) api_keys: Vec<At<String>>,
    /// The header in which the provider wants its key, and nothing beside it, in place of the dialect's own: `api-key` for
    /// Azure.
    #[schemars(with = "schema::Text")]
    pub(super) key_header: Given<String>,
    /// Whether a key of the caller's own that is none of the gateway's is sent to this provider, in place of the provider's:
    /// for apps that bring their provider's key. Never by default.
    #[schemars(with = "schema::Flag")]
    pub(super) forward_caller_key: Given<String>,
    /// Headers to send with every request, in place of the app's own of that name.
    #[schemars(with = "std::collections::BTreeMap<String, schema::Text>")]
    pub(super) headers: Entries<At<String>>,
    /// Headers of the app's that are not passed on.
    pub(super) remove_headers: Vec<At<String>>,
    /// The proxy to call it through: `http://`, `https://`, `socks5://`, or `socks5h://`, which looks names up itself; with
    /// `user:password@` if it asks. Without one it is called directly: `HTTP_PROXY` and its like are not read.
    #[schemars(with = "schema::ProxyUrl")]
    pub(super) proxy: Given<String>,
    /// A PEM file of certificate authorities to trust beside the system's; its path is relative to this file.
    #[schemars(with = "schema::Text")]
    pub(super) ca: Given<String>,
    /// When a target of it is left alone for a while.
    #[serde(deserialize_with = "section")]
    #[schemars(with = "Option<Breaker>")]
    pub(super) breaker: Breaker,
    /// The simulator's rate.
    #[schemars(with = "schema::Rate")]
    pub(super) tokens_per_second: Given<String>,
    /// What the simulator's texts derive from.
    #[schemars(with = "schema::Whole")]
    pub(super) seed: Given<String>,
}

/// A circuit breaker for each model of a provider: it opens after so many failures in a row, or when as many are half of
/// its calls; then, after a while, one call finds out whether to close it.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Breaker {
    /// How many failures open it: 408, 429, 5xx, timeouts, broken connections and streams.
    #[schemars(with = "schema::Failures")]
    pub(super) failures: Given<String>,
    /// How long a failure counts.
    #[schemars(with = "schema::Duration")]
    pub(super) window: Given<String>,
    /// How long it stays open.
    #[schemars(with = "schema::Duration")]
    pub(super) open: Given<String>,
}

/// What a model name stands for.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["targets"]))]
pub(super) struct Model {
    /// Where its calls go. Those with a weight share the load; the others take over in their order.
    #[schemars(length(min = 1))]
    pub(super) targets: Vec<At<Target>>,
    /// How long the provider may take for what.
    #[serde(deserialize_with = "section")]
    #[schemars(with = "Option<Timeouts>")]
    pub(super) timeouts: Timeouts,
    /// In place of the rule under `channels`.
    #[serde(deserialize_with = "section")]
    #[schemars(with = "Option<OnDisconnect>")]
    pub(super) on_disconnect: OnDisconnect,
    /// How often and how long calls are tried again, before the first byte.
    #[serde(deserialize_with = "section")]
    #[schemars(with = "Option<Failover>")]
    pub(super) failover: Failover,
    /// When a provider breaks after the first token: the generation fails (`fail`), or goes on at the next target from the
    /// text so far (`continue`).
    #[schemars(with = "schema::OnBreak")]
    pub(super) on_break: Given<String>,
}

/// How calls are tried again.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Failover {
    /// How often one target is tried again, beyond the first time: 0 to 10.
    #[schemars(with = "schema::Retries")]
    pub(super) retries: Given<String>,
    /// No further attempt begins so long after the first.
    #[schemars(with = "schema::Duration")]
    pub(super) budget: Given<String>,
}

/// One provider and one of its models.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["provider"]))]
pub(super) struct Target {
    /// One of the providers.
    #[schemars(with = "schema::Text")]
    pub(super) provider: Given<String>,
    /// The model's name there; by default the public one, of `prefix/*` the part under its `*`.
    #[schemars(with = "schema::Text")]
    pub(super) model: Given<String>,
    /// Its share of the load; without one it only takes over.
    #[schemars(with = "schema::Weight")]
    pub(super) weight: Given<String>,
    /// How many calls may be under way to this model of the provider at once, whatever public name they came by; under a
    /// pattern, for each model. Where one model has several, the smallest counts.
    #[schemars(with = "schema::Weight")]
    pub(super) max_in_flight: Given<String>,
}

/// Money for a million tokens each, in a currency of your choice; exact to six decimals.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["input", "output"]))]
pub(super) struct Price {
    /// Of the input.
    #[schemars(with = "schema::Money")]
    pub(super) input: Given<String>,
    /// Of input that the provider had in its cache; by default as `input`.
    #[schemars(with = "schema::Money")]
    pub(super) cached_input: Given<String>,
    /// Of input that the provider wrote to its cache; by default as `input`.
    #[schemars(with = "schema::Money")]
    pub(super) cache_write: Given<String>,
    /// Of the output.
    #[schemars(with = "schema::Money")]
    pub(super) output: Given<String>,
    /// Of output spent on reasoning; by default as `output`.
    #[schemars(with = "schema::Money")]
    pub(super) reasoning: Given<String>,
}

/// How long a provider may take for what.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Timeouts {
    /// Until the connection is made.
    #[schemars(with = "schema::Duration")]
    pub(super) connect: Given<String>,
    /// From the request to the first token.
    #[schemars(with = "schema::Duration")]
    pub(super) first_token: Given<String>,
    /// Between two tokens; pings and comments do not count.
    #[schemars(with = "schema::Duration")]
    pub(super) idle: Given<String>,
    /// From the request to the end.
    #[schemars(with = "schema::Duration")]
    pub(super) total: Given<String>,
    /// Without a single byte, once the provider has sent a ping or a comment.
    #[schemars(with = "schema::Duration")]
    pub(super) silent: Given<String>,
}

/// How channels behave.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Channels {
    /// How often what is new leaves for a subscriber: 0 to 500 ms.
    #[schemars(with = "schema::Duration")]
    pub(super) frame_interval: Given<String>,
    /// How much is kept, and how long.
    #[serde(deserialize_with = "section")]
    #[schemars(with = "Option<Retention>")]
    pub(super) retention: Retention,
    /// What becomes of a generation whose caller and last viewer are gone.
    #[serde(deserialize_with = "section")]
    #[schemars(with = "Option<OnDisconnect>")]
    pub(super) on_disconnect: OnDisconnect,
    /// Whether an app's server-sent events carry their cursor as `id:`.
    #[schemars(with = "schema::Flag")]
    pub(super) sse_ids: Given<String>,
    /// How long a response may be silent before a comment is sent.
    #[schemars(with = "schema::Duration")]
    pub(super) keep_alive: Given<String>,
}

/// How much of a channel is kept, and how long.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Retention {
    /// From its last event with nothing running.
    #[schemars(with = "schema::Duration")]
    pub(super) after_end: Given<String>,
    /// The log and the fold of one channel together.
    #[schemars(with = "schema::Size")]
    pub(super) max_bytes: Given<String>,
}

/// What becomes of a generation whose caller and last viewer are gone.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct OnDisconnect {
    /// Stop it at once (`cancel`), after a while (`grace`), or let it go on to its end (`drain`).
    #[schemars(with = "schema::Policy")]
    pub(super) policy: Given<String>,
    /// How long `grace` waits.
    #[schemars(with = "schema::Duration")]
    pub(super) grace: Given<String>,
}

/// Where logs are kept.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Store {
    /// `memory`: as long as the process runs; `disk`: in a directory of this machine; `jetstream`: in NATS JetStream, for any
    /// number of gateways that share what they serve.
    #[schemars(with = "schema::Engine")]
    pub(super) engine: Given<String>,
    /// The directory of `disk`, made if there is none; relative to this file.
    #[schemars(with = "schema::Text")]
    pub(super) path: Given<String>,
    /// For how long `disk` may have written what is said without syncing it: so much of the running generations' text is
    /// lost when the machine itself fails, at most. 0 to 10 s; with `0ms` everything is synced before it is shown. How a
    /// generation ends, and what an app is told is done, always is.
    #[schemars(with = "schema::Duration")]
    pub(super) loss_window: Given<String>,
    /// The NATS servers of `jetstream`, 2.9 or newer and with JetStream on: one or more URLs, separated by commas.
    #[schemars(with = "schema::NatsUrls")]
    pub(super) url: Given<String>,
    /// What the subjects and streams of `jetstream` begin with: deployments that share NATS servers each need one of their own.
    #[schemars(with = "schema::Text")]
    pub(super) prefix: Given<String>,
    /// How many NATS servers hold what `jetstream` keeps, once the streams are made: 1, 3 or 5. More than one needs servers of 2.9.21
    /// at least, and was not tried here.
    #[schemars(with = "schema::Replicas")]
    pub(super) replicas: Given<String>,
    /// For how long a gateway is believed to live that the others of `jetstream` do not hear of: within so long and a second, what
    /// it ran is ended by another. 500 ms to 60 s, the same for all of them.
    #[schemars(with = "schema::Duration")]
    pub(super) lease: Given<String>,
    /// The file with the JWT and key of a NATS user, where `jetstream` needs one; relative to this file.
    #[schemars(with = "schema::Text")]
    pub(super) credentials: Given<String>,
}

/// A section whose keys are all commented out is an empty one.
fn section<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

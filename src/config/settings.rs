//! What a config comes to: every value present, checked and typed. Defaults are here, each with its reason.
//!
//! These are plain values without behaviour; the stages take theirs out.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use reqwest::{
    Url,
    header::{HeaderName, HeaderValue},
};
use rustls::pki_types::CertificateDer;

use super::Secret;
pub use super::{access::*, limits::*};
pub use crate::generation::{Failover, OnBreak, OnDisconnect, Timeouts};
use crate::{
    dialect::Dialect,
    telemetry::{access_log, otlp},
};

/// Loopback, because the gateway is open without keys; the port that development servers are looked for at.
pub const HTTP: &str = "127.0.0.1:8080";
/// Loopback for the same reason; the port that WebTransport examples use.
pub const WEBTRANSPORT: &str = "127.0.0.1:4433";
/// One frame of a 60 Hz screen: sooner cannot be seen.
pub const FRAME_INTERVAL: Duration = Duration::from_millis(16);
/// Past this a stream no longer feels alive.
pub const FRAME_INTERVAL_MAX: Duration = Duration::from_millis(500);
/// People who closed the laptop on the way to a meeting room come back within it.
pub const AFTER_END: Duration = Duration::from_secs(10 * 60);
/// A reader in the middle of the tail must get to the end before it goes.
pub const AFTER_END_MIN: Duration = Duration::from_secs(1);
/// Two million tokens: more than any model's answer.
pub const MAX_BYTES: usize = 8 << 20;
/// Two of the largest events: with less, a log could not hold what is being delivered.
pub const MAX_BYTES_MIN: usize = 512 << 10;
/// A tunnel, a lift, a change from Wi-Fi to mobile; and then tokens are no longer paid for that nobody reads.
pub const GRACE: Duration = Duration::from_secs(30);
/// Three frames of a screen: what is lost with the machine is what nobody can have read yet, and 20 syncs a second are few.
pub const LOSS_WINDOW: Duration = Duration::from_millis(50);
/// Whoever can lose more than that does not need a disk.
pub const LOSS_WINDOW_MAX: Duration = Duration::from_secs(10);

/// For how long a gateway is believed to live that is not heard of, where nothing else is set.
pub const LEASE: Duration = Duration::from_secs(3);
/// Half of what common proxies wait before they close a silent response.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A handshake across the world takes one second; ten is a provider that is down.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Reasoning models are silent for minutes before they speak.
pub const FIRST_TOKEN_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// They are silent between thoughts, too.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// The longest that providers themselves allow.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// Four times the interval at which providers that send pings send them.
pub const SILENT_TIMEOUT: Duration = Duration::from_secs(60);
/// One or two may be chance; five in a row are not.
pub const BREAKER_FAILURES: u32 = 5;
/// More would be remembered in vain: what happened long ago says little.
pub const BREAKER_FAILURES_MAX: u32 = 100;
/// Long enough that slow calls meet in it, short enough that what is over is forgotten.
pub const BREAKER_WINDOW: Duration = Duration::from_secs(30);
/// Providers' short outages last about so long; a probe then costs one call.
pub const BREAKER_OPEN: Duration = Duration::from_secs(15);
/// With backoff, more would outlast any caller's patience.
pub const RETRIES_MAX: u32 = 10;
/// What a good hosted model does.
pub const TOKENS_PER_SECOND: f64 = 80.0;
/// Any number would do; a fixed one makes a demo repeatable.
pub const SEED: u64 = 1;

/// Where a dialect's provider is unless told: what its own SDK takes. `None`: it must be told.
pub fn default_base_url(dialect: Dialect) -> Option<&'static str> {
    match dialect {
        Dialect::OpenAi | Dialect::Responses => Some("https://api.openai.com/v1"),
        Dialect::Anthropic => Some("https://api.anthropic.com"),
        Dialect::Gemini => Some("https://generativelanguage.googleapis.com"),
        Dialect::Ollama => Some("http://127.0.0.1:11434"),
        // Its region is in its name.
        Dialect::Bedrock => None,
    }
}

/// A config that can be served.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where the gateway listens.
    pub listen: Listen,
    /// The gateway's own certificate, if it has one.
    pub tls: Option<Tls>,
    /// In the order of the file, at least one.
    pub providers: Vec<Provider>,
    /// In the order of the file.
    pub models: Vec<Model>,
    /// By `provider/model` or public name, in the order of the file.
    pub prices: Vec<(String, Price)>,
    /// How channels behave.
    pub channels: Channels,
    /// Where logs are kept.
    pub store: Store,
    /// How much there may be of what.
    pub limits: Limits,
    /// Who may do what.
    pub access: Access,
    /// What the gateway says of itself, beside its metrics.
    pub telemetry: Telemetry,
    /// What the operator should be told at start.
    pub notes: Vec<String>,
}

/// Where the gateway's own certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// From the operator.
    Files(TlsFiles),
    /// From an authority that speaks ACME (RFC 8555).
    Acme(Acme),
}

/// An authority's word on what to ask of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// What the certificate is for; at least one.
    pub domains: Vec<String>,
    /// The authority's directory.
    pub directory: Url,
    /// A mail address that the authority may write to.
    pub contact: Option<String>,
    /// Who vouches for the authority's own server, in PEM, beside the system's.
    pub roots: Option<PathBuf>,
    /// Where to answer HTTP-01 challenges; `None`: TLS-ALPN-01 on the HTTP port.
    pub http: Option<SocketAddr>,
}

/// Files in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those that lead to its authority.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// TCP: the API, the console, WebSocket and SSE.
    pub http: SocketAddr,
    /// UDP.
    pub webtransport: SocketAddr,
    /// How it is reached from outside.
    pub public: Public,
}

/// Outside URLs; without one, the bound address is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Public {
    /// Of the API.
    pub http: Option<Url>,
    /// Of WebTransport.
    pub webtransport: Option<Url>,
}

/// An upstream endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// Unique among the providers.
    pub name: String,
    /// What it speaks and where.
    pub endpoint: Endpoint,
}

/// What a provider speaks, and what calling it takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Endpoint {
    /// A dialect over HTTP.
    Http(Box<Http>),
    /// The built-in simulator.
    Simulator(Simulator),
}

impl Endpoint {
    /// The name of the dialect in the config.
    pub fn dialect(&self) -> &'static str {
        match self {
            Self::Http(http) => http.dialect.as_str(),
            Self::Simulator(_) => "simulator",
        }
    }
}

/// An endpoint over HTTP.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// What it speaks.
    pub dialect: Dialect,
    /// What the dialect's own SDK takes, without a slash at the end. Its query goes with every call.
    pub base_url: Url,
    /// Sent in the dialect's own header, or in `key_header`; of several, one at a time. Without one, none is sent.
    pub api_keys: Vec<Secret>,
    /// The header that holds the key and nothing else, in place of the dialect's own.
    pub key_header: Option<HeaderName>,
    /// Signs requests in place of a key, where the dialect is `bedrock`.
    pub access_key: Option<AccessKey>,
    /// Whether a caller's own key for it goes there, in place of these.
    pub forward_caller_key: bool,
    /// Sent with every request; the values are marked as sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The app's that are not passed on.
    pub remove_headers: Vec<HeaderName>,
    /// A URL, secret because it may hold a password. Without one it is called directly.
    pub proxy: Option<Secret>,
    /// Trusted beside the system's.
    pub ca: Vec<CertificateDer<'static>>,
    /// When a target of it is left alone.
    pub breaker: Breaker,
}

impl Http {
    /// An endpoint of which only this is known: no key, no headers.
    pub fn at(dialect: Dialect, base_url: Url) -> Self {
        Self {
            dialect,
            base_url,
            api_keys: Vec::new(),
            key_header: None,
            access_key: None,
            forward_caller_key: false,
            headers: Vec::new(),
            remove_headers: Vec::new(),
            proxy: None,
            ca: Vec::new(),
            breaker: Breaker::default(),
        }
    }
}

/// When a target is left alone for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// So many failures in a row, or so many if they are half of all calls: 1 to [`BREAKER_FAILURES_MAX`].
    pub failures: u32,
    /// How long a call counts.
    pub window: Duration,
    /// For how long it is left alone.
    pub open: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: BREAKER_FAILURES, window: BREAKER_WINDOW, open: BREAKER_OPEN }
    }
}

/// An access key of Amazon's, and where it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// The region, such as `us-east-1`.
    pub region: String,
    /// Its id, which is no secret.
    pub id: String,
    /// Its secret.
    pub secret: Secret,
    /// What temporary keys come with.
    pub session_token: Option<Secret>,
}

/// The simulator's settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Simulator {
    /// Tokens per second of each choice.
    pub tokens_per_second: f64,
    /// What its texts derive from.
    pub seed: u64,
}

impl Default for Simulator {
    fn default() -> Self {
        Self { tokens_per_second: TOKENS_PER_SECOND, seed: SEED }
    }
}

/// A public model name, or a pattern of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// `fast`, `openai/*`, `claude-*` or `*`.
    pub name: String,
    /// Where its calls may go, at least one.
    pub targets: Vec<Target>,
    /// How long what may take.
    pub timeouts: Timeouts,
    /// What becomes of its generations when nobody is there.
    pub on_disconnect: OnDisconnect,
    /// How its calls are tried again.
    pub failover: Failover,
}

/// One provider and one of its models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// A provider of the config.
    pub provider: String,
    /// Its name upstream; without one, the public name (of `prefix/*`, the part under the `*`).
    pub model: Option<String>,
    /// Its share of the load; without one it only takes over when others fail.
    pub weight: Option<NonZeroU32>,
    /// How many calls may be under way there at once.
    pub max_in_flight: Option<NonZeroU32>,
}

/// What a model's tokens cost. What it comes to for a usage is `route`'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Input that no other price is for.
    pub input: Rate,
    /// Input read from the provider's cache.
    pub cached_input: Rate,
    /// Input written to the provider's cache.
    pub cache_write: Rate,
    /// Output that no other price is for.
    pub output: Rate,
    /// Output spent on reasoning.
    pub reasoning: Rate,
}

/// Money for a million tokens, in millionths: the same as money for one token, in billionths of a thousandth. A whole
/// number, so that a price is exactly what was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(pub u64);

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: CONNECT_TIMEOUT,
            first_token: FIRST_TOKEN_TIMEOUT,
            idle: IDLE_TIMEOUT,
            total: TOTAL_TIMEOUT,
            silent: SILENT_TIMEOUT,
        }
    }
}

/// How channels behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channels {
    /// How often what is new leaves, unless the subscriber asks otherwise.
    pub frame_interval: Duration,
    /// What is kept.
    pub retention: Retention,
    /// The rule for models that have none of their own.
    pub on_disconnect: OnDisconnect,
    /// Whether an app's SSE events carry their cursor as `id:`.
    pub sse_ids: bool,
    /// How long a response may be silent before a comment is sent.
    pub keep_alive: Duration,
}

impl Default for Channels {
    fn default() -> Self {
        Self {
            frame_interval: FRAME_INTERVAL,
            retention: Retention::default(),
            on_disconnect: OnDisconnect::default(),
            sse_ids: true,
            keep_alive: KEEP_ALIVE,
        }
    }
}

/// How much of a channel is kept, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// From its last event with nothing running.
    pub after_end: Duration,
    /// Of the log and the fold together.
    pub max_bytes: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self { after_end: AFTER_END, max_bytes: MAX_BYTES }
    }
}

impl Default for OnDisconnect {
    fn default() -> Self {
        Self::Grace(GRACE)
    }
}

/// Where logs are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Store {
    /// In the process.
    #[default]
    Memory,
    /// In a directory of this machine.
    Disk {
        /// The directory.
        path: PathBuf,
        /// For how long what is said may be only written and not synced.
        loss_window: Duration,
    },
    /// In NATS, for all gateways that use it.
    JetStream(JetStream),
}

/// Where logs are kept that several gateways share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JetStream {
    /// The NATS servers, separated by commas; there may be a password in it.
    pub url: Secret,
    /// What subjects and streams begin with.
    pub prefix: String,
    /// How many servers hold what is kept.
    pub replicas: usize,
    /// For how long a gateway is believed to live that is not heard of.
    pub lease: Duration,
    /// The file with a NATS user's JWT and key.
    pub credentials: Option<PathBuf>,
}

impl Default for JetStream {
    fn default() -> Self {
        Self {
            url: Secret::new("nats://127.0.0.1:4222"),
            prefix: "tokenway".to_owned(),
            replicas: 1,
            lease: LEASE,
            credentials: None,
        }
    }
}

/// What the gateway says of itself, beside its metrics. By default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Telemetry {
    /// To a collector.
    pub otlp: Option<otlp::Settings>,
    /// A line for each generation.
    pub access_log: Option<access_log::Settings>,
}

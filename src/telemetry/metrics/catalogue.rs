//! Every metric that there is: its name, its labels, and what it says. `docs/metrics.md` is this list.

use std::sync::atomic::AtomicU64;

use prometheus_client::{metrics::TypedMetric, registry::Registry};

use super::{Described, Histogram, Labelled};

/// Only rises.
pub type Counter = prometheus_client::metrics::counter::Counter;
/// Only rises, in fractions.
pub type Sum = prometheus_client::metrics::counter::Counter<f64, AtomicU64>;
/// Rises and falls.
pub type Gauge = prometheus_client::metrics::gauge::Gauge;

/// In microseconds: what happens many times a second, from half a millisecond to the longest silence that is borne.
const FINE_US: &[u64] = &[
    500, 1_000, 2_000, 4_000, 8_000, 12_000, 16_000, 24_000, 32_000, 48_000, 64_000, 96_000,
    128_000, 192_000, 256_000, 384_000, 512_000, 1_024_000, 2_048_000, 4_096_000, 8_192_000,
    16_384_000, 65_536_000,
];

/// In microseconds: what happens once in a generation, up to the hour that it may take.
const COARSE_US: &[u64] = &[
    10_000,
    25_000,
    50_000,
    100_000,
    150_000,
    200_000,
    300_000,
    400_000,
    500_000,
    750_000,
    1_000_000,
    1_500_000,
    2_000_000,
    3_000_000,
    5_000_000,
    7_500_000,
    10_000_000,
    15_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
    600_000_000,
    1_800_000_000,
    3_600_000_000,
];

fn fine() -> Histogram {
    Histogram::new(FINE_US)
}

fn coarse() -> Histogram {
    Histogram::new(COARSE_US)
}

macro_rules! metrics {
    ($(
        #[doc = $help:literal]
        $field:ident: $kind:ident($make:path)[$($label:literal),*] = $name:literal;
    )*) => {
        /// Every metric.
        #[derive(Debug)]
        pub struct Instruments {
            $(
                #[doc = $help]
                pub $field: Labelled<$kind, { count(&[$($label),*]) }>,
            )*
        }

        /// What is published.
        pub const CATALOGUE: &[Described] = &[$(
            Described {
                name: $name,
                kind: <$kind as TypedMetric>::TYPE,
                labels: &[$($label),*],
                help: $help,
            },
        )*];

        impl Instruments {
            pub(super) fn declare(registry: &mut Registry) -> Self {
                let mut described = CATALOGUE.iter();
                let mut next = || described.next().expect("one for each field");
                Self { $($field: Labelled::declare(registry, next(), $make),)* }
            }
        }
    };
}

const fn count(labels: &[&str]) -> usize {
    labels.len()
}

metrics! {
    /// Generations begun.
    generations_started: Counter(Counter::default)["model"] = "tokenway_generations_started_total";
    /// Generations that run now.
    generations_running: Gauge(Gauge::default)[] = "tokenway_generations_running";
    /// Generations ended: `end` is the finish reason (`stop`, `length`, `tool_calls`, `content_filter`, `refusal`, `pause`) or the failure's code (`cancelled`, `upstream_error`, `upstream_cut`, `timeout`, `limit`, `gateway_lost`).
    generations_ended: Counter(Counter::default)["model", "provider", "end"] = "tokenway_generations_ended_total";
    /// From a generation's beginning to its end.
    generation_duration: Histogram(coarse)["model", "provider"] = "tokenway_generation_duration_seconds";
    /// From a generation's beginning, calls that came to nothing included, to the first text, reasoning, refusal or tool call on its channel.
    time_to_first_token: Histogram(coarse)["model", "provider"] = "tokenway_time_to_first_token_seconds";
    /// Between two arrivals of text, reasoning, refusals or tool calls; what arrived together counts as one.
    inter_token_gap: Histogram(fine)["model", "provider"] = "tokenway_inter_token_gap_seconds";
    /// Events of text, reasoning, refusals and tool calls as they are said: with most providers about one a token.
    deltas: Counter(Counter::default)["model", "provider"] = "tokenway_deltas_total";
    /// Tokens as providers counted them, or estimates where they did not: `kind` is `input` or `output`, or a part of them (`cached_input`, `cache_write`, `reasoning`).
    tokens: Counter(Counter::default)["model", "provider", "kind"] = "tokenway_tokens_total";
    /// What generations cost by the config's prices, in their currency.
    cost: Sum(Sum::default)["model", "provider"] = "tokenway_cost_total";
    /// Calls to providers: attempts, of which a generation may take several.
    provider_calls: Counter(Counter::default)["provider"] = "tokenway_provider_calls_total";
    /// Calls that came to nothing: `kind` is `connect`, `timeout_connect`, `timeout_first_token`, `timeout_idle`, `timeout_silent`, `cut`, `rate_limited`, `credentials`, `not_found`, `http_4xx`, `http_5xx`, `stream` (an error within the stream) or `other`.
    provider_errors: Counter(Counter::default)["provider", "kind"] = "tokenway_provider_errors_total";
    /// Generations taken over by this provider from another: `stage` is `before_first_token` or `mid_stream`.
    fallbacks: Counter(Counter::default)["provider", "stage"] = "tokenway_fallbacks_total";
    /// Calls to a provider under way now.
    provider_calls_in_flight: Gauge(Gauge::default)["provider"] = "tokenway_provider_calls_in_flight";
    /// Targets (models at a provider) by the state of their circuit breaker: `closed`, `open` or `half_open`.
    breakers: Gauge(Gauge::default)["provider", "state"] = "tokenway_breakers";
    /// Apps that fell so far behind their provider's payloads that their response went on from the log.
    tee_overflows: Counter(Counter::default)[] = "tokenway_tee_overflows_total";
    /// Bytes that wait now: `queue` is `tee` (payloads for calling apps).
    queue: Gauge(Gauge::default)["queue"] = "tokenway_queue_bytes";
    /// Channels in memory now.
    channels: Gauge(Gauge::default)[] = "tokenway_channels";
    /// What the logs of all channels take in memory.
    log: Gauge(Gauge::default)[] = "tokenway_log_bytes";
    /// 1 while the store keeps nothing: a disk that has failed, until the gateway is started again (what is said lives in memory only), or NATS that is away for longer than the lease (nothing new is shown, and nothing begins).
    store_degraded: Gauge(Gauge::default)[] = "tokenway_store_degraded";
    /// Gateways that share the store and live, this one too; 0 where it is not shared.
    store_nodes: Gauge(Gauge::default)[] = "tokenway_store_nodes";
    /// Channels in the store: on disk those at rest, in NATS all.
    store_channels: Gauge(Gauge::default)[] = "tokenway_store_channels";
    /// Bytes that the store takes on disk.
    store: Gauge(Gauge::default)[] = "tokenway_store_bytes";
    /// Damage found in the store since the start: `kind` is `cut` (the torn end of a file was cut off) or `damaged` (a checksum was wrong, and what it was for is not served).
    store_damage: Gauge(Gauge::default)["kind"] = "tokenway_store_damage";
    /// Sessions open now: `transport` is `webtransport`, `websocket`, or `sse` for viewers of the SSE view.
    sessions: Gauge(Gauge::default)["transport"] = "tokenway_sessions";
    /// Sessions opened.
    sessions_opened: Counter(Counter::default)["transport"] = "tokenway_sessions_opened_total";
    /// Sessions ended: `end` is `left`, or the code with which the gateway closed.
    sessions_ended: Counter(Counter::default)["transport", "end"] = "tokenway_sessions_ended_total";
    /// Subscriptions open now.
    subscriptions: Gauge(Gauge::default)["transport"] = "tokenway_subscriptions";
    /// Readers that came back with a cursor: `outcome` is `continued` (after what they had seen), `snapshot` (that was trimmed away), `rewound` (another epoch) or `refused`.
    resumes: Counter(Counter::default)["transport", "outcome"] = "tokenway_resumes_total";
    /// Snapshots given: `cause` is `asked`, `trimmed` (a gap: retention overtook the reader) or `rewind`.
    snapshots: Counter(Counter::default)["transport", "cause"] = "tokenway_snapshots_total";
    /// Frames written.
    frames: Counter(Counter::default)["transport"] = "tokenway_frames_total";
    /// Bytes of the frames written.
    frame: Counter(Counter::default)["transport"] = "tokenway_frame_bytes_total";
    /// From when an event was said to when the frame that begins with it was written, for subscribers that had caught up; in whole milliseconds.
    frame_lag: Histogram(fine)["transport"] = "tokenway_frame_lag_seconds";
    /// Requests answered: `route` is the pattern that matched, `status` the class (`2xx`).
    http_requests: Counter(Counter::default)["route", "status"] = "tokenway_http_requests_total";
    /// Who was refused by the gateway itself: `reason` is `unauthorized`, `forbidden`, a key's limit (`requests_per_minute`, `tokens_per_minute`, `concurrent`, `budget.day`, `budget.month`), `publishes_per_minute`, `overloaded` (generations, or memory of logs or of bodies), `seat` (sessions, views and subscriptions), `connection`, `too_large` or `too_slow` (bodies).
    refusals: Counter(Counter::default)["reason"] = "tokenway_refusals_total";
    /// Config reloads: `outcome` is `taken` or `refused`.
    config_reloads: Counter(Counter::default)["outcome"] = "tokenway_config_reloads_total";
    /// Certificate reloads: `outcome` is `taken` or `refused`.
    certificate_reloads: Counter(Counter::default)["outcome"] = "tokenway_certificate_reloads_total";
    /// Lines of the access log that were dropped because too many waited, or that could not be written.
    access_log_dropped: Counter(Counter::default)[] = "tokenway_access_log_dropped_total";
    /// Always 1.
    build: Gauge(Gauge::default)["version"] = "tokenway_build_info";
    /// Resident memory.
    process_resident_memory: Gauge(Gauge::default)[] = "process_resident_memory_bytes";
    /// User and system CPU time.
    process_cpu: Sum(Sum::default)[] = "process_cpu_seconds_total";
    /// Open file descriptors.
    process_open_fds: Gauge(Gauge::default)[] = "process_open_fds";
}

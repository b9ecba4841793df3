//! The HTTP door. It sees both sides: it starts generations and it shows channels.
//!
//! `llm` and its neighbours answer apps, `channels` and `events` answer user interfaces, `connect` lets sessions in,
//! `ops` answers operators. Errors become statuses in `problem`, and nowhere else.

mod access;
mod answer;
mod by_model;
mod call;
mod channels;
mod connect;
mod doors;
mod events;
mod extract;
mod form;
mod handover;
mod headers;
mod index;
mod limits;
mod list;
mod llm;
mod models;
mod operator;
mod ops;
mod pace;
mod paid;
mod passthrough;
mod plain;
mod poll;
mod problem;
mod relay;
mod resume;
mod responses;
mod sse;
mod told;
mod tokens;
mod ui_message;
mod whose;

use index::Index;
use responses::Responses;

pub(crate) use access::shown_in_query;
pub use connect::{ConnectInfo, WebTransportInfo};
pub(crate) use handover::{begin, go_on};
pub(crate) use limits::Peer;
pub(crate) use responses::recall;

use std::{collections::HashMap, ops::Deref, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, header, request::Parts as RequestParts},
    middleware,
    routing::{any, get, post},
};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower_http::{
    cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer},
    timeout::RequestBodyTimeoutLayer,
};

use crate::{
    access::{Access, Guard, Seats},
    channel::Channels,
    config::Limits,
    console,
    generation::Generations,
    provider::Provider,
    route::{Health, Routes},
    session::Host,
    telemetry::Telemetry,
};

/// What every route can reach.
#[derive(Clone)]
pub struct App(Arc<Whole>);

struct Whole {
    parts: Parts,
    /// These two outlive a config.
    index: Arc<Index>,
    responses: Arc<Mutex<Responses>>,
}

/// The parts that the composition root puts together.
pub struct Parts {
    /// All channels.
    pub channels: Arc<Channels>,
    /// What runs.
    pub generations: Generations,
    /// Model names to targets.
    pub routes: Routes,
    /// Which targets may be called now.
    pub health: Arc<Health>,
    /// The configured providers by name.
    pub providers: HashMap<String, Arc<Provider>>,
    /// Their names in the file's order: the first of a dialect takes what no model names.
    pub provider_order: Vec<String>,
    /// The config in force, as it may be shown.
    pub shown: Arc<str>,
    /// When the gateway began.
    pub began: Instant,
    /// Where everything is reported to.
    pub telemetry: Telemetry,
    /// Who may come in.
    pub access: Arc<Access>,
    /// Seats for sessions, and who publishes how often.
    pub seats: Arc<Seats>,
    /// How much there may be of what.
    pub limits: Limits,
    /// Which web pages may.
    pub guard: Guard,
    /// What the doors are set to.
    pub settings: Settings,
    /// Where sessions run.
    pub sessions: Host,
    /// How sessions reach this gateway.
    pub connect: ConnectInfo,
    /// Cancelled when nothing runs any more and whoever looks on is to go.
    pub closing: CancellationToken,
    /// Cancelled when the gateway begins to shut down: it takes no more work.
    pub draining: CancellationToken,
}

/// What the doors are set to.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long a stream to an app or viewer may be silent before a comment keeps it alive.
    pub keep_alive: Duration,
    /// The frame interval of those who ask for none.
    pub frame_interval: Duration,
    /// How long connecting to a provider may take where no model says otherwise.
    pub connect_timeout: Duration,
    /// How long a channel can be read after its last event.
    pub after_end: Duration,
    /// Events to apps carry an `id:` line with their cursor.
    pub sse_ids: bool,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0.parts
    }
}

impl App {
    /// An app of these parts.
    pub fn new(parts: Parts) -> Self {
        let (index, responses) = (Arc::default(), Arc::default());
        Self(Arc::new(Whole { parts, index, responses }))
    }

    /// An app of other parts that remembers what this one does.
    pub fn renewed(&self, parts: Parts) -> Self {
        let (index, responses) = (Arc::clone(&self.0.index), Arc::clone(&self.0.responses));
        Self(Arc::new(Whole { parts, index, responses }))
    }

    /// Where generations are.
    fn index(&self) -> &Index {
        &self.0.index
    }

    /// What is remembered of responses. Locked for moments only.
    fn responses(&self) -> MutexGuard<'_, Responses> {
        self.0.responses.lock()
    }
}

/// All routes.
pub fn router(app: App) -> Router {
    let cors = cors(&app.guard);
    Router::new()
        // Their other methods are the provider's own business, like all routes that are not ours.
        .route("/v1/chat/completions", post(doors::chat).fallback(passthrough::pass))
        .route("/v1/chat/completions/{id}", get(resume::chat).fallback(passthrough::pass))
        .route("/v1/responses", post(responses::begin).fallback(passthrough::pass))
        .route("/v1/responses/{id}", responses::one().fallback(passthrough::pass))
        .route("/v1/responses/{id}/cancel", post(responses::cancel).fallback(passthrough::pass))
        .route(
            "/v1/responses/{id}/input_items",
            get(responses::input_items).fallback(passthrough::pass),
        )
        .route("/v1/messages", post(doors::messages).fallback(passthrough::pass))
        .route("/v1/messages/count_tokens", post(doors::count_messages).fallback(passthrough::pass))
        .merge(models_of("/v1"))
        .merge(models_of("/v1beta"))
        .merge(models_of("/v1alpha"))
        .route("/v1/channels", get(list::list))
        .route("/v1/channels/{id}", get(channels::state).delete(channels::delete))
        .route("/v1/channels/{id}/events", get(events::events).post(channels::publish))
        .route("/v1/channels/{id}/ui-message-stream", get(ui_message::stream))
        .route("/v1/channels/{id}/cancel", post(channels::cancel))
        .route("/v1/tokens", post(tokens::mint))
        .route("/v1/connect", get(connect::websocket))
        .route("/v1/connect/info", get(connect::info))
        .route("/v1/{*rest}", any(passthrough::pass))
        .route("/v1beta/{*rest}", any(passthrough::pass))
        .route("/v1alpha/{*rest}", any(passthrough::pass))
        .route("/healthz", get(ops::healthz))
        .route("/readyz", get(ops::readyz))
        .route("/metrics", get(ops::metrics))
        .route("/console/ops/state", get(operator::state))
        .route("/console/ops/timeline", get(operator::timeline))
        .route("/console/ops/config", get(operator::config))
        .merge(console::routes())
        .fallback(llm::no_such_route)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(DefaultBodyLimit::max(app.limits.body))
        .layer(RequestBodyTimeoutLayer::new(app.limits.body_timeout))
        .layer(middleware::from_fn_with_state(app.clone(), ops::count))
        .layer(middleware::from_fn_with_state(app.clone(), access::guard))
        // A page that may ask can read why it is refused, and when to come again.
        .layer(cors)
        .layer(middleware::from_fn_with_state(app.clone(), access::screen))
        .with_state(app)
}

/// The models under a version of the API, and what Gemini's apps ask of one.
fn models_of(version: &str) -> Router<App> {
    let one = get(models::one).post(doors::gemini).fallback(passthrough::pass);
    Router::new()
        .route(&format!("{version}/models"), get(models::list).fallback(passthrough::pass))
        .route(&format!("{version}/models/{{*id}}"), one)
}

/// Pages of allowed origins may read the answers, and the headers that say where a generation can be found.
fn cors(guard: &Guard) -> CorsLayer {
    let guard = guard.clone();
    let allowed = move |origin: &HeaderValue, _: &RequestParts| {
        origin.to_str().is_ok_and(|origin| guard.allows(origin))
    };
    let exposed = [
        headers::CHANNEL,
        headers::CHANNEL_TOKEN,
        headers::EPOCH,
        headers::GENERATION,
        headers::PROVIDER,
        headers::ATTEMPTS,
        headers::DROPPED,
        headers::TRACEPARENT,
        header::RETRY_AFTER,
    ];
    let exposed = exposed.into_iter().chain(limits::told());
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        // Whatever is asked for: SDKs send headers of their own, and routes that pass have methods of their own.
        .allow_methods(AllowMethods::mirror_request())
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(exposed.collect::<Vec<_>>())
        .max_age(Duration::from_secs(600))
}

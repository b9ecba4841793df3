//! The composition root: builds every part in order, owns every task, and shuts down in order.
//!
//! Decides nothing that a part could decide. The only module that knows all others.

mod front;
mod webtransport;

use std::{future::Future, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::RwLock;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use thiserror::Error;
use tokio::{net::TcpListener, sync::Notify, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    access::{Access, Guard},
    api::{self, App, ConnectInfo, Parts},
    channel::{Channels, Retention},
    config::{self, Config, Secret},
    dialect::Dialect,
    generation::Generations,
    provider::{Endpoint, Http, HttpSettings, Provider, sigv4::Signer, simulator},
    route::{Health, Routes},
    session::{self, Host},
    store::Memory,
    telemetry::Telemetry,
    transport::webtransport::{CannotKeep, CannotListen},
};
use front::front;
use webtransport::{Door, Inside};

/// How long running generations may go on once the gateway shuts down.
const GENERATION_GRACE: Duration = Duration::from_secs(10);

/// How long open HTTP responses may take to end once everything behind them has.
const HTTP_GRACE: Duration = Duration::from_secs(2);

/// How often expired channels are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// A gateway that listens and does not serve yet.
pub struct Gateway {
    app: App,
    http: TcpListener,
    door: Door,
    tasks: TaskTracker,
    restart: Arc<Notify>,
}

/// Why a gateway could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The HTTP address could not be had.
    #[error("cannot listen for HTTP on {address}: {error}{}", in_use_hint(.error, "--http"))]
    Http {
        /// Where.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The WebTransport address could not be had.
    #[error("{0}{hint}", hint = in_use_hint(&.0.error, "--webtransport"))]
    WebTransport(CannotListen),
    /// The certificate or the secret could not be kept.
    #[error("{0}; choose another directory with --state-dir")]
    State(CannotKeep),
}

fn in_use_hint(error: &io::Error, flag: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("; another process is there: choose another with {flag}")
        }
        _ => String::new(),
    }
}

impl Gateway {
    /// Builds all parts and begins to listen. `state_dir` keeps the development certificate and the deployment's secret.
    pub async fn bind(config: Config, state_dir: PathBuf) -> Result<Self, StartError> {
        install_crypto();
        let closing = CancellationToken::new();
        let tasks = TaskTracker::new();
        let address = config.listen.http;
        let http = TcpListener::bind(address).await;
        let http = http.map_err(|error| StartError::Http { address, error })?;
        let http_address = http.local_addr().unwrap_or(address);

        let retention = Retention {
            after_end: config.channels.retention.after_end,
            max_bytes: config.channels.retention.max_bytes,
        };
        let channels = Arc::new(Channels::new(Arc::new(Memory), retention));
        let telemetry = Telemetry::default();
        let session_settings = session::Settings {
            metrics: telemetry.metrics.clone(),
            frame_interval: config.channels.frame_interval,
            server: concat!("tokenway/", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let sessions = Host::new(Arc::clone(&channels), session_settings, closing.clone());

        let connect = connect_info(&config, http_address);
        let info = Arc::clone(&connect.webtransport);
        let door = Door::open(&config.listen, &state_dir, info).await?;
        let app = App::new(Parts {
            channels,
            generations: Generations::new(telemetry.clone()),
            telemetry,
            routes: Routes::new(&config),
            health: Arc::new(Health::new(&config)),
            providers: config.providers.iter().map(provider).collect(),
            provider_order: config.providers.iter().map(|it| it.name.clone()).collect(),
            guard: guard(&config, http_address),
            access: Arc::new(Access::new(&config.access)),
            settings: api::Settings {
                keep_alive: config.channels.keep_alive,
                connect_timeout: config::Timeouts::default().connect,
                after_end: config.channels.retention.after_end,
                sse_ids: config.channels.sse_ids,
            },
            sessions,
            connect,
            closing,
        });
        Ok(Self { app, http, door, tasks, restart: Arc::default() })
    }

    /// Where it listens for HTTP.
    pub fn http_addr(&self) -> SocketAddr {
        self.http.local_addr().expect("a bound socket has an address")
    }

    /// Where it listens for WebTransport.
    pub fn webtransport_addr(&self) -> SocketAddr {
        self.door.addr()
    }

    /// Notifying it shuts the WebTransport endpoint as a crash would and opens it again: for demonstrations and tests.
    pub fn webtransport_restart(&self) -> Arc<Notify> {
        Arc::clone(&self.restart)
    }

    /// Serves until `shutdown` resolves, then ends in order: no new work, running generations get their grace, viewers
    /// and sessions are told, and everything is awaited.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let Self { app, http, door, tasks, restart } = self;
        let (closing, draining) = (app.closing.clone(), CancellationToken::new());
        tasks.spawn(sweep(Arc::clone(&app.channels), closing.clone()));
        tasks.spawn(door.serve(Inside {
            sessions: app.sessions.clone(),
            guard: app.guard.clone(),
            access: Arc::clone(&app.access),
            closing: closing.clone(),
            restart,
        }));
        let (front, connections) = front(http);
        // A bare router would be copied, with all its routes, for each connection: 15 KiB (massif).
        let routes = api::router(app.clone()).into_make_service();
        let server = axum::serve(front, routes)
            .with_graceful_shutdown(draining.clone().cancelled_owned())
            .into_future();
        let server = tasks.spawn(server);

        shutdown.await;
        tracing::info!(running = app.generations.running(), "shutting down");
        draining.cancel();
        app.generations.shut_down(GENERATION_GRACE).await;
        closing.cancel();
        app.sessions.wait().await;
        // Those that do not end in time are broken off.
        let _ = tokio::time::timeout(HTTP_GRACE, server).await;
        connections.end().await;
        tasks.close();
        tasks.wait().await;
    }
}

/// Lets go of expired channels, until closing.
async fn sweep(channels: Arc<Channels>, closing: CancellationToken) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    while closing.run_until_cancelled(ticks.tick()).await.is_some() {
        channels.sweep(Instant::now());
    }
}

/// One cryptography provider for the whole process: for providers' TLS and for QUIC.
fn install_crypto() {
    // Installed already, by another gateway in this process or by the embedding program: then that one serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Which web pages may call it.
fn guard(config: &Config, http: SocketAddr) -> Guard {
    let origins = config.access.allowed_origins.clone();
    let public = config.listen.public.http.as_ref();
    match config.access.keys.is_empty() {
        true => Guard::open(http.port(), origins),
        false => Guard::keyed(public.map(|url| url.origin().ascii_serialization()), origins),
    }
}

fn provider(config: &config::Provider) -> (String, Arc<Provider>) {
    let (endpoint, secrets) = match &config.endpoint {
        config::Endpoint::Http(http) => {
            let mut endpoint = Http::new(http.base_url.as_str(), outbound(http));
            if let Some(key) = &http.access_key {
                let token = key.session_token.as_ref().map(|token| token.expose().to_owned());
                let signer = Signer::new(&key.region, &key.id, key.secret.expose(), token);
                endpoint = endpoint.signed(signer);
            }
            (Endpoint::Http(Box::new(endpoint)), secrets(http))
        }
        config::Endpoint::Simulator(settings) => {
            let settings = simulator::Settings {
                tokens_per_second: settings.tokens_per_second,
                seed: settings.seed,
            };
            (Endpoint::Simulator(simulator::Simulator::new(settings)), Vec::new())
        }
    };
    let dialect = config.endpoint.dialect();
    (config.name.clone(), Arc::new(Provider::new(&config.name, dialect, endpoint, secrets)))
}

fn outbound(http: &config::Http) -> HttpSettings {
    let keys = http.api_keys.iter().map(|key| key_header(http, key));
    let proxy = http.proxy.as_ref().map(|url| reqwest::Proxy::all(url.expose()));
    let ca = http.ca.iter().map(|der| reqwest::Certificate::from_der(der));
    HttpSettings {
        remove_headers: http.remove_headers.clone(),
        headers: http.headers.iter().cloned().collect(),
        keys: keys.collect(),
        proxy: proxy.transpose().expect("the config has tried the proxy's URL"),
        ca: ca.collect::<Result<_, _>>().expect("the config has tried each certificate"),
    }
}

/// What must not be repeated in anything that the provider says.
fn secrets(http: &config::Http) -> Vec<String> {
    let keys = http.api_keys.iter().map(|key| key.expose().to_owned());
    let proxy = http.proxy.as_ref().and_then(|url| reqwest::Url::parse(url.expose()).ok());
    let password = proxy.and_then(|url| url.password().map(str::to_owned));
    let signing = http.access_key.iter();
    let signing = signing.flat_map(|key| [Some(&key.secret), key.session_token.as_ref()]);
    let signing = signing.flatten().map(|secret| secret.expose().to_owned());
    keys.chain(signing).chain(password).chain(http.headers.iter().filter_map(credential)).collect()
}

/// Where a provider looks for its key.
fn key_header(http: &config::Http, key: &Secret) -> (HeaderName, HeaderValue) {
    let of_dialect = match http.dialect {
        Dialect::Anthropic => Some(HeaderName::from_static("x-api-key")),
        Dialect::Gemini => Some(HeaderName::from_static("x-goog-api-key")),
        Dialect::OpenAi | Dialect::Responses | Dialect::Ollama | Dialect::Bedrock => None,
    };
    let (name, value) = match http.key_header.clone().or(of_dialect) {
        Some(name) => (name, key.expose().to_owned()),
        None => (AUTHORIZATION, format!("Bearer {}", key.expose())),
    };
    (name, HeaderValue::try_from(value).expect("the config has tried each key in a header"))
}

/// The key in one of the operator's own headers, if by its name it is one: `api-key`, `authorization`, `x-auth-token`.
fn credential((name, value): &(HeaderName, HeaderValue)) -> Option<String> {
    let secret = ["auth", "cookie", "key", "secret", "token"];
    let is_secret = secret.iter().any(|word| name.as_str().contains(word));
    // Behind the scheme, if there is one.
    let value = value.to_str().ok()?.rsplit(' ').next()?;
    is_secret.then(|| value.to_owned())
}

fn connect_info(config: &Config, http: SocketAddr) -> ConnectInfo {
    let public = config.listen.public.http.as_ref();
    let http = public.map_or(format!("http://{http}"), ToString::to_string);
    let http = http.trim_end_matches('/');
    ConnectInfo {
        webtransport: Arc::new(RwLock::new(None)),
        websocket: format!("{}/v1/connect", http.replacen("http", "ws", 1)),
        sse: format!("{http}/v1/channels"),
    }
}

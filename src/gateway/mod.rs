//! The composition root: builds every part in order, owns every task, and shuts down in order.
//!
//! Decides nothing that a part could decide. The only module that knows all others.

mod front;
mod providers;
mod webtransport;

use std::{future::Future, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::RwLock;
use thiserror::Error;
use tokio::{net::TcpListener, sync::Notify, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    access::{Access, Guard},
    api::{self, App, ConnectInfo, Parts},
    channel::{Channels, Retention},
    config::{self, Config},
    generation::Generations,
    route::{Health, Routes},
    session::{self, Host},
    store::Memory,
    telemetry::{AccessLog, Otlp, Telemetry},
    transport::webtransport::{CannotKeep, CannotListen},
};
use front::front;
use providers::providers;
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
    /// Nothing could be reported where the config says.
    #[error("{0}")]
    Telemetry(String),
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
        let telemetry = telemetry(&config.telemetry)?;
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
            providers: providers(&config, None),
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
        let telemetry = app.telemetry.clone();
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
        telemetry.shut_down().await;
    }
}

fn telemetry(config: &config::Telemetry) -> Result<Telemetry, StartError> {
    let mut telemetry = Telemetry::default();
    if let Some(settings) = &config.otlp {
        let otlp = Otlp::start(settings).map_err(StartError::Telemetry)?;
        telemetry.otlp = Some(Arc::new(otlp));
    }
    if let Some(settings) = &config.access_log {
        let log = AccessLog::start(settings, telemetry.metrics.clone());
        let cannot = |error| StartError::Telemetry(format!("cannot write the access log: {error}"));
        telemetry.access_log = Some(log.map_err(cannot)?);
    }
    Ok(telemetry)
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

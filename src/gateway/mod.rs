//! The composition root: builds every part in order, owns every task, and shuts down in order.
//!
//! Decides nothing that a part could decide. The only module that knows all others.

mod acme;
mod current;
mod front;
mod ledger;
mod providers;
mod reload;
mod tls;
mod webtransport;

pub use reload::Source;

use std::{future::Future, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::RwLock;
use thiserror::Error;
use tokio::{net::TcpListener, sync::Notify, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    access::{Access, Guard, Seats},
    api::{self, App, ConnectInfo, Parts},
    channel::{Channels, Retention, Successor},
    config::{self, Config},
    generation::Generations,
    route::{Health, Routes},
    session::{self, Host},
    store::{Disk, JetStream, Memory, Store, StoreError, disk, jetstream},
    telemetry::{AccessLog, Otlp, Telemetry},
    transport::webtransport::{CannotKeep, CannotListen},
};
use acme::Acme;
use current::Current;
use front::front;
use ledger::Ledger;
use providers::providers;
use reload::Reload;
use tls::Tls;
use webtransport::{Door, Inside};

/// How long running generations may go on once the gateway shuts down.
const GENERATION_GRACE: Duration = Duration::from_secs(10);

/// How long open HTTP responses may take to end once everything behind them has.
const HTTP_GRACE: Duration = Duration::from_secs(2);

/// How often it is looked for what another gateway left: within its lease and a second that is ended.
const RECOVER_EVERY: Duration = Duration::from_millis(250);

/// How often expired channels are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// A gateway that listens and does not serve yet.
pub struct Gateway {
    current: Current,
    _successor: Arc<dyn Successor>,
    lasting: Arc<Lasting>,
    config: Config,
    source: Option<Source>,
    http: TcpListener,
    acme: Option<Acme>,
    door: Door,
    tasks: TaskTracker,
    restart: Arc<Notify>,
    reload: Arc<Notify>,
}

/// What outlives any config.
struct Lasting {
    channels: Arc<Channels>,
    generations: Generations,
    sessions: Host,
    seats: Arc<Seats>,
    ledger: Ledger,
    telemetry: Telemetry,
    connect: ConnectInfo,
    tls: Option<Tls>,
    /// Where it listens, for HTTP and for WebTransport.
    bound: [SocketAddr; 2],
    began: Instant,
    closing: CancellationToken,
    draining: CancellationToken,
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
    /// The operator's certificate cannot be used.
    #[error("tls: {0}")]
    Tls(String),
    /// The store could not be had.
    #[error(transparent)]
    Store(#[from] disk::CannotOpen),
    /// NATS could not be had.
    #[error("the store cannot be used; is there a NATS server with JetStream at `store.url`? {0}")]
    JetStream(StoreError),
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
    /// Builds all parts and begins to listen. `state_dir` keeps the development certificate, the
    /// deployment's secret, and what was spent of budgets.
    pub async fn bind(config: Config, state_dir: PathBuf) -> Result<Self, StartError> {
        install_crypto();
        let (tls, acme) = match &config.tls {
            Some(config::Tls::Files(files)) => {
                let loaded = tls::load(files).await.map_err(StartError::Tls)?;
                (Some(Tls::new(loaded, None)), None)
            }
            Some(config::Tls::Acme(settings)) => {
                let opened = Acme::open(settings, &state_dir).await;
                let (acme, loaded) = opened.map_err(StartError::Tls)?;
                (Some(Tls::new(loaded, Some(acme.challenges()))), Some(acme))
            }
            None => (None, None),
        };
        let address = config.listen.http;
        let http = front::listen(address).map_err(|error| StartError::Http { address, error })?;
        let http_address = http.local_addr().unwrap_or(address);
        let telemetry = telemetry(&config.telemetry)?;
        let connect = connect_info(&config, http_address);
        let info = Arc::clone(&connect.webtransport);
        let door = Door::open(&config.listen, &state_dir, info, tls.as_ref()).await?;

        let closing = CancellationToken::new();
        // After the door: it has made the directory.
        let ledger = Ledger::open(&state_dir).await;
        let channels = Arc::new(Channels::new(store(&config.store).await?, retention(&config)));
        let settings = session_settings(&config, &telemetry);
        let lasting = Arc::new(Lasting {
            sessions: Host::new(Arc::clone(&channels), settings, closing.clone()),
            generations: Generations::new(telemetry.clone()),
            seats: Seats::new(config.limits.clone(), telemetry.metrics.clone()),
            ledger,
            channels,
            telemetry,
            connect,
            tls,
            bound: [http_address, door.addr()],
            began: Instant::now(),
            closing,
            draining: CancellationToken::new(),
        });
        let current = Current::new(App::new(parts(&config, &lasting, None)));
        let successor: Arc<dyn Successor> = Arc::new(current.clone());
        let channels = &lasting.channels;
        channels.succeed_by(Arc::downgrade(&successor));
        channels.serve();
        let lost = channels.recover().await;
        if lost > 0 {
            tracing::warn!(lost, "generations of an earlier process were ended: gateway_lost");
        }
        Ok(Self {
            current,
            _successor: successor,
            lasting,
            config,
            source: None,
            http,
            acme,
            door,
            tasks: TaskTracker::new(),
            restart: Arc::default(),
            reload: Arc::default(),
        })
    }

    /// Takes up changes of the config's source while it serves.
    pub fn follow(&mut self, source: Source) {
        self.source = Some(source);
    }

    /// Notifying it reads the config and the certificate at once, and opens the access log anew.
    pub fn reload(&self) -> Arc<Notify> {
        Arc::clone(&self.reload)
    }

    /// What the operator should know of the machine, beside the config's own notes.
    pub fn notes(&self) -> Vec<String> {
        self.door.receive_buffer_note().into_iter().collect()
    }

    /// Whether HTTP goes through TLS.
    pub fn has_tls(&self) -> bool {
        self.lasting.tls.is_some()
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
        let Self { current, _successor, lasting, config, source, http, acme, door, .. } = self;
        let Self { tasks, restart, reload, .. } = self;
        let (closing, draining) = (lasting.closing.clone(), lasting.draining.clone());
        tasks.spawn(sweep(current.clone(), Arc::clone(&lasting), closing.clone()));
        tasks.spawn(recover(Arc::clone(&lasting.channels), draining.clone()));
        if lasting.channels.are_shared() {
            let (channels, closing) = (Arc::clone(&lasting.channels), closing.clone());
            tasks.spawn(async move {
                closing.run_until_cancelled(channels.tell_of_viewers()).await;
            });
        }
        tasks.spawn(door.serve(Inside {
            current: current.clone(),
            closing: closing.clone(),
            restart,
        }));
        if let Some(acme) = acme {
            let limits = config.limits.clone();
            tasks.spawn(acme.run(Arc::clone(&lasting), limits, closing.clone()));
        }
        let tls = lasting.tls.as_ref().map(Tls::acceptor);
        let metrics = lasting.telemetry.metrics.clone();
        let (front, connections) = front(http, tls, &config.limits, metrics);
        let server = front.serve(current.router(), draining.clone());
        let reloads = Reload {
            source,
            written: config.clone(),
            config,
            current,
            lasting: Arc::clone(&lasting),
            now: reload,
        };
        tasks.spawn(reloads.run(closing.clone()));
        let server = tasks.spawn(server);

        shutdown.await;
        tracing::info!(running = lasting.generations.running(), "shutting down");
        draining.cancel();
        lasting.generations.shut_down(GENERATION_GRACE).await;
        closing.cancel();
        lasting.sessions.wait().await;
        // Those that do not end in time are broken off.
        let _ = tokio::time::timeout(HTTP_GRACE, server).await;
        connections.end().await;
        tasks.close();
        tasks.wait().await;
        lasting.channels.close().await;
        lasting.telemetry.shut_down().await;
    }
}

/// What is served under a config. With what was served before: what is the same in both goes on, as health does.
fn parts(config: &Config, lasting: &Lasting, before: Option<(&Config, &App)>) -> Parts {
    let health = match before {
        Some((_, app)) => app.health.renewed(config),
        None => Health::new(config),
    };
    let access = match before {
        Some((_, app)) => app.access.renewed(&config.access),
        None => Access::new(&config.access),
    };
    lasting.ledger.restore(&access);
    Parts {
        channels: Arc::clone(&lasting.channels),
        generations: lasting.generations.clone(),
        telemetry: lasting.telemetry.clone(),
        routes: Routes::new(config),
        health: Arc::new(health),
        providers: providers(config, before),
        provider_order: config.providers.iter().map(|it| it.name.clone()).collect(),
        guard: guard(config, lasting.bound[0]),
        shown: config.shown().into(),
        began: lasting.began,
        access: Arc::new(access),
        seats: Arc::clone(&lasting.seats),
        limits: config.limits.clone(),
        settings: api::Settings {
            keep_alive: config.channels.keep_alive,
            frame_interval: config.channels.frame_interval,
            connect_timeout: config::Timeouts::default().connect,
            after_end: config.channels.retention.after_end,
            sse_ids: config.channels.sse_ids,
        },
        sessions: lasting.sessions.with(session_settings(config, &lasting.telemetry)),
        connect: lasting.connect.clone(),
        closing: lasting.closing.clone(),
        draining: lasting.draining.clone(),
    }
}

fn retention(config: &Config) -> Retention {
    let config::Retention { after_end, max_bytes } = config.channels.retention;
    Retention { after_end, max_bytes }
}

fn session_settings(config: &Config, telemetry: &Telemetry) -> session::Settings {
    session::Settings {
        frame_interval: config.channels.frame_interval,
        server: concat!("tokenway/", env!("CARGO_PKG_VERSION")).to_owned(),
        metrics: telemetry.metrics.clone(),
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

/// Where channels are kept. What a disk holds is read first, which takes a while where there is much. A disk that fails then
/// costs what it holds, until a start finds it mended, and not the gateway.
async fn store(config: &config::Store) -> Result<Arc<dyn Store>, StartError> {
    let (path, loss_window) = match config {
        config::Store::Memory => return Ok(Arc::new(Memory::default())),
        config::Store::Disk { path, loss_window } => (path.clone(), *loss_window),
        config::Store::JetStream(settings) => {
            // Boxed: it would make every start of a gateway large.
            let opened = Box::pin(JetStream::open(&nats(settings))).await;
            return Ok(Arc::new(opened.map_err(StartError::JetStream)?));
        }
    };
    let file_bytes = disk::FILE_BYTES;
    let settings = disk::Settings { path, loss_window, file_bytes };
    let opened = tokio::task::spawn_blocking(|| Disk::open(settings)).await;
    let opened = opened.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    match opened {
        Ok(disk) => Ok(Arc::new(disk)),
        Err(error) if error.is_of_the_disk() => {
            tracing::error!(
                %error,
                "THE STORE HAS FAILED: what is in it is not served, and channels live in memory only; \
                 make room or mend the disk, and start the gateway again"
            );
            Ok(Arc::new(Memory::instead(error.to_string())))
        }
        Err(error) => Err(error.into()),
    }
}

fn nats(config: &config::JetStream) -> jetstream::Settings {
    let config::JetStream { url, prefix, replicas, lease, credentials } = config.clone();
    let url = url.expose().to_owned();
    jetstream::Settings { url, prefix, replicas, lease, credentials }
}

/// Takes over what another gateway left that is gone, until this one stops itself.
async fn recover(channels: Arc<Channels>, draining: CancellationToken) {
    let mut ticks = tokio::time::interval(RECOVER_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while draining.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Some(lost @ 1..) = draining.run_until_cancelled(channels.recover()).await {
            tracing::warn!(lost, "channels of a lost gateway were taken over");
        }
    }
}

/// Lets go of expired channels and of what takes too much memory, and keeps what was spent of budgets, until closing.
async fn sweep(current: Current, lasting: Arc<Lasting>, closing: CancellationToken) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    while closing.run_until_cancelled(ticks.tick()).await.is_some() {
        let (app, now) = (current.app(), Instant::now());
        app.channels.sweep(now).await;
        app.channels.relieve(app.limits.logs, now).await;
        app.seats.sweep();
        lasting.ledger.save(&app.access).await;
    }
    // Nothing runs any more: all is spent.
    lasting.ledger.save(&current.app().access).await;
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
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let http = public.map_or(format!("{scheme}://{http}"), ToString::to_string);
    let http = http.trim_end_matches('/');
    ConnectInfo {
        webtransport: Arc::new(RwLock::new(None)),
        websocket: format!("{}/v1/connect", http.replacen("http", "ws", 1)),
        sse: format!("{http}/v1/channels"),
    }
}

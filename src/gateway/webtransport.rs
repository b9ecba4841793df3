//! The WebTransport door: lets sessions in, rotates the development certificate, and can be shut as a crash would.

use std::{path::Path, sync::Arc, time::Duration};

use parking_lot::RwLock;
use tokio::sync::{Notify, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{StartError, current::Current, tls::Tls};
use crate::{
    access::{Access, Caller, Refusal, Unauthorized, counted},
    api::{self, WebTransportInfo},
    clock,
    config::Listen,
    session::{self, Closing, Rights},
    transport::webtransport::{
        Certificate, Endpoint, Hash, Keeper, RECEIVE_BUFFER_ASKED, Request, Settings, WebTransport,
    },
};

/// How often to look whether the development certificate is due.
const ROTATE_EVERY: Duration = Duration::from_secs(60 * 60);

/// Below this, a burst from a few hundred clients does not fit: what other QUIC servers warn at.
const RECEIVE_BUFFER_MIN: usize = 2 * 1024 * 1024;

/// How long the port stays shut in a restart: about what a process manager takes.
const SHUT_FOR: Duration = Duration::from_millis(200);

/// The door, open.
pub(super) struct Door {
    endpoint: Endpoint,
    keeper: Keeper,
    /// The operator's certificate, if there is one, and its successors.
    own: Option<watch::Receiver<Certificate>>,
    url: Option<String>,
    info: Arc<RwLock<Option<WebTransportInfo>>>,
}

/// What the door needs to let somebody in.
pub(super) struct Inside {
    pub(super) current: Current,
    pub(super) closing: CancellationToken,
    pub(super) restart: Arc<Notify>,
}

impl Door {
    /// Listens, with the certificate and the secret that are kept under `state_dir`. Tells in `info` where.
    pub(super) async fn open(
        listen: &Listen,
        state_dir: &Path,
        info: Arc<RwLock<Option<WebTransportInfo>>>,
        tls: Option<&Tls>,
    ) -> Result<Self, StartError> {
        let keeper = Keeper::open(state_dir, clock::now_ms()).await.map_err(StartError::State)?;
        let own = tls.map(Tls::quic);
        let endpoint = Endpoint::bind(settings(&keeper, own.as_ref(), listen.webtransport));
        let endpoint = endpoint.map_err(StartError::WebTransport)?;
        let url = listen.public.webtransport.as_ref();
        let url = url.map(|url| url.as_str().trim_end_matches('/').to_owned());
        let door = Self { endpoint, keeper, own, url, info };
        door.announce();
        Ok(door)
    }

    pub(super) fn addr(&self) -> std::net::SocketAddr {
        self.endpoint.local_addr()
    }

    /// What to say of the UDP socket's buffer, if it is small.
    pub(super) fn receive_buffer_note(&self) -> Option<String> {
        let bytes = self.endpoint.receive_buffer()?;
        (bytes < RECEIVE_BUFFER_MIN).then(|| {
            format!(
                "the UDP receive buffer has {} KiB; under load packets are lost that it has no room for. Raise what may \
                 be asked for: sysctl -w net.core.rmem_max={RECEIVE_BUFFER_ASKED}",
                bytes / 1024
            )
        })
    }

    /// Lets sessions in until closing, then waits until they have left.
    pub(super) async fn serve(mut self, inside: Inside) {
        let refusals = TaskTracker::new();
        let mut rotation = tokio::time::interval(ROTATE_EVERY);
        loop {
            tokio::select! {
                accepted = self.endpoint.accept() => match accepted {
                    Some((transport, request)) => inside.admit(transport, &request, &refusals),
                    None => break,
                },
                _ = rotation.tick(), if self.own.is_none() => self.rotate().await,
                certificate = changed(&mut self.own) => {
                    self.endpoint.reload(&certificate, Vec::new());
                }
                () = inside.restart.notified() => match self.restart().await {
                    Some(door) => self = door,
                    None => return,
                },
                () = inside.closing.cancelled() => break,
            }
        }
        inside.current.app().sessions.wait().await;
        refusals.close();
        refusals.wait().await;
        self.endpoint.close().await;
    }

    fn announce(&self) {
        let origin = self.url.clone().unwrap_or_else(|| format!("https://{}", self.addr()));
        let hashes = self.endpoint.certificate_hashes();
        *self.info.write() = Some(WebTransportInfo {
            url: format!("{origin}/v1/connect"),
            certificate_hashes: hashes.iter().map(hexadecimal).collect(),
        });
    }

    async fn rotate(&mut self) {
        match self.keeper.rotate(clock::now_ms()).await {
            Ok(true) => {
                self.endpoint.reload(self.keeper.certificate(), self.keeper.hashes().to_vec());
                self.announce();
                tracing::info!("the development certificate was rotated");
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the development certificate was not rotated"),
        }
    }

    /// Ends every session without a goodbye, and listens again on the same port with the same keys.
    async fn restart(self) -> Option<Self> {
        let Self { endpoint, keeper, own, url, info } = self;
        let address = endpoint.local_addr();
        tracing::warn!(%address, "restarting the WebTransport endpoint without a goodbye");
        endpoint.kill().await;
        tokio::time::sleep(SHUT_FOR).await;
        match Endpoint::bind(settings(&keeper, own.as_ref(), address)) {
            Ok(endpoint) => Some(Self { endpoint, keeper, own, url, info }),
            Err(error) => {
                tracing::error!(%error, "the WebTransport endpoint stays shut");
                *info.write() = None;
                None
            }
        }
    }
}

impl Inside {
    /// Whoever may come in is; a browser is let in first and refused then, because it shows a page nothing of a refused
    /// handshake. A token may come with the URL, or with hello.
    fn admit(&self, transport: WebTransport, request: &Request, refusals: &TaskTracker) {
        let app = self.current.app();
        let host = app.guard.host(&request.authority);
        match host.and_then(|()| app.guard.origin(request.origin.as_deref(), &request.authority)) {
            Ok(_) => {
                let caller = caller(&app.access, request);
                let key = caller.as_ref().ok().and_then(Caller::app);
                match app.seats.session(counted(request.remote.ip()), key) {
                    Ok(seat) => {
                        let rights = Rights::of(caller, &app.access);
                        app.sessions.start(transport, rights, Some(seat));
                    }
                    Err(full) => {
                        let why = Closing::from(full);
                        refusals.spawn(async move { session::refuse(transport, &why).await });
                    }
                }
            }
            Err(denied) => {
                Refusal::Forbidden.count(&app.telemetry.metrics);
                let why = Closing::Forbidden(denied.to_string());
                refusals.spawn(async move { session::refuse(transport, &why).await });
            }
        }
    }
}

fn caller(access: &Access, request: &Request) -> Result<Caller, Unauthorized> {
    if access.is_open() {
        return Ok(Caller::Anybody);
    }
    let shown = api::shown_in_query(request.query.as_deref());
    access.authenticate(shown.iter().map(String::as_str), clock::now_ms())
}

/// The operator's next certificate, once it comes.
async fn changed(own: &mut Option<watch::Receiver<Certificate>>) -> Certificate {
    if let Some(own) = own
        && own.changed().await.is_ok()
    {
        return own.borrow_and_update().clone();
    }
    std::future::pending().await
}

fn settings(
    keeper: &Keeper,
    own: Option<&watch::Receiver<Certificate>>,
    address: std::net::SocketAddr,
) -> Settings {
    let (certificate, hashes) = match own {
        // An authority vouches for it.
        Some(own) => (own.borrow().clone(), Vec::new()),
        None => (keeper.certificate().clone(), keeper.hashes().to_vec()),
    };
    Settings {
        address,
        certificate,
        hashes,
        secret: keeper.secret().clone(),
        node: "tokenway".to_owned(),
        counted,
    }
}

fn hexadecimal(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! The WebTransport door: lets sessions in, rotates the development certificate, and can be shut as a crash would.

use std::{path::Path, sync::Arc, time::Duration};

use parking_lot::RwLock;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::StartError;
use crate::{
    access::{Access, Caller, Guard, Unauthorized},
    api::{self, WebTransportInfo},
    clock,
    config::Listen,
    session::{self, Closing, Host, Rights},
    transport::webtransport::{Endpoint, Hash, Keeper, Request, Settings, WebTransport},
};

/// How often to look whether the development certificate is due.
const ROTATE_EVERY: Duration = Duration::from_secs(60 * 60);

/// How long the port stays shut in a restart: about what a process manager takes.
const SHUT_FOR: Duration = Duration::from_millis(200);

/// The door, open.
pub(super) struct Door {
    endpoint: Endpoint,
    keeper: Keeper,
    url: Option<String>,
    info: Arc<RwLock<Option<WebTransportInfo>>>,
}

/// What the door needs to let somebody in.
pub(super) struct Inside {
    pub(super) sessions: Host,
    pub(super) guard: Guard,
    pub(super) access: Arc<Access>,
    pub(super) closing: CancellationToken,
    pub(super) restart: Arc<Notify>,
}

impl Door {
    /// Listens, with the certificate and the secret that are kept under `state_dir`. Tells in `info` where.
    pub(super) async fn open(
        listen: &Listen,
        state_dir: &Path,
        info: Arc<RwLock<Option<WebTransportInfo>>>,
    ) -> Result<Self, StartError> {
        let keeper = Keeper::open(state_dir, clock::now_ms()).await.map_err(StartError::State)?;
        let endpoint = Endpoint::bind(settings(&keeper, listen.webtransport));
        let endpoint = endpoint.map_err(StartError::WebTransport)?;
        let url = listen.public.webtransport.as_ref();
        let url = url.map(|url| url.as_str().trim_end_matches('/').to_owned());
        let door = Self { endpoint, keeper, url, info };
        door.announce();
        Ok(door)
    }

    pub(super) fn addr(&self) -> std::net::SocketAddr {
        self.endpoint.local_addr()
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
                _ = rotation.tick() => self.rotate().await,
                () = inside.restart.notified() => match self.restart().await {
                    Some(door) => self = door,
                    None => return,
                },
                () = inside.closing.cancelled() => break,
            }
        }
        inside.sessions.wait().await;
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
        let Self { endpoint, keeper, url, info } = self;
        let address = endpoint.local_addr();
        tracing::warn!(%address, "restarting the WebTransport endpoint without a goodbye");
        endpoint.kill().await;
        tokio::time::sleep(SHUT_FOR).await;
        match Endpoint::bind(settings(&keeper, address)) {
            Ok(endpoint) => Some(Self { endpoint, keeper, url, info }),
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
        let host = self.guard.host(&request.authority);
        match host.and_then(|()| self.guard.origin(request.origin.as_deref(), &request.authority)) {
            Ok(_) => self.sessions.start(transport, Rights::of(self.caller(request), &self.access)),
            Err(denied) => {
                let why = Closing::Forbidden(denied.to_string());
                refusals.spawn(async move { session::refuse(transport, &why).await });
            }
        }
    }

    fn caller(&self, request: &Request) -> Result<Caller, Unauthorized> {
        if self.access.is_open() {
            return Ok(Caller::Anybody);
        }
        let shown = api::shown_in_query(request.query.as_deref());
        self.access.authenticate(shown.iter().map(String::as_str), clock::now_ms())
    }
}

fn settings(keeper: &Keeper, address: std::net::SocketAddr) -> Settings {
    Settings {
        address,
        certificate: keeper.certificate().clone(),
        hashes: keeper.hashes().to_vec(),
        secret: keeper.secret().clone(),
        node: "tokenway".to_owned(),
    }
}

fn hexadecimal(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! The listening side: a socket, a certificate that can be changed, and the sessions that come in.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::oneshot;
use wtransport::{
    ServerConfig,
    config::QuicTransportConfig,
    quinn::{self, TokioRuntime, VarInt},
};

use super::{
    Certificate, DeploymentSecret, Hash, WebTransport,
    handshakes::Handshakes,
    keys,
    socket::{Plug, Socket},
};

/// A path that is silent for this long is dead.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3);

/// Keeps the client's idle timer from running out.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// What a connection may hold that its client has not acknowledged. The library's 10 MB would let a slow reader take
/// that much memory; what does not fit stays in the log.
const SEND_WINDOW_BYTES: u64 = 256 * 1024;

/// What a client may send ahead of being read: a hello fits.
const RECEIVE_WINDOW_BYTES: u32 = 1024 * 1024;

/// Bidirectional streams a client may have open: the session's own, the control stream, and some slack.
const CLIENT_BIDI_STREAMS: u32 = 4;

/// Unidirectional streams a client may have open: HTTP/3's own three, and some slack.
const CLIENT_UNI_STREAMS: u32 = 8;

/// Incoming connections that wait for their handshake to begin.
const INCOMING_MAX: usize = 1_024;

/// How to listen.
#[derive(Debug)]
pub struct Settings {
    /// The UDP address.
    pub address: SocketAddr,
    /// What to present.
    pub certificate: Certificate,
    /// The hashes to publish; empty where an authority vouches for the certificate.
    pub hashes: Vec<Hash>,
    /// What makes a restarted gateway recognisable.
    pub secret: DeploymentSecret,
    /// This gateway's name within its deployment.
    pub node: String,
    /// For whom an address counts.
    pub counted: fn(IpAddr) -> IpAddr,
}

/// What a client asked for before it said hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The page's origin; a browser always sends one.
    pub origin: Option<String>,
    /// The host that the client meant to reach.
    pub authority: String,
    /// The query after the path, e.g. `token=…`. Not for logs.
    pub query: Option<String>,
    /// Where it comes from.
    pub remote: SocketAddr,
}

impl Request {
    /// The value of a query parameter, as it stands there.
    pub fn query_value(&self, name: &str) -> Option<&str> {
        let pairs = self.query.as_deref().unwrap_or_default().split('&');
        pairs
            .filter_map(|pair| pair.split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    }
}

/// Why there is no endpoint.
#[derive(Debug, Error)]
#[error("cannot listen on {address} (UDP): {error}")]
pub struct CannotListen {
    /// The address.
    pub address: SocketAddr,
    /// What went wrong.
    pub error: io::Error,
}

/// Listens for WebTransport sessions.
pub struct Endpoint {
    quic: quinn::Endpoint,
    address: SocketAddr,
    hashes: Mutex<Vec<Hash>>,
    handshakes: tokio::sync::Mutex<Handshakes>,
    receive_buffer: Option<usize>,
    plug: Arc<Plug>,
    released: oneshot::Receiver<()>,
}

impl Endpoint {
    /// Listens. Sessions come from [`Endpoint::accept`].
    pub fn bind(settings: Settings) -> Result<Self, CannotListen> {
        let Settings { address, certificate, hashes, secret, node, counted } = settings;
        let cannot = |error| CannotListen { address, error };
        let (socket, plug, released) = Socket::bind(address).map_err(cannot)?;
        let receive_buffer = socket.receive_buffer();
        let config = keys::endpoint_config(&secret, &node);
        let server = Some(server_config(&certificate));
        let quic = quinn::Endpoint::new_with_abstract_socket(
            config,
            server,
            socket,
            Arc::new(TokioRuntime),
        );
        let quic = quic.map_err(cannot)?;
        let address = quic.local_addr().map_err(cannot)?;
        Ok(Self {
            quic,
            address,
            hashes: Mutex::new(hashes),
            handshakes: tokio::sync::Mutex::new(Handshakes::new(counted)),
            receive_buffer,
            plug,
            released,
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What the system holds of packets that were not read yet, in bytes, if it says so.
    pub fn receive_buffer(&self) -> Option<usize> {
        self.receive_buffer
    }

    /// The hashes to publish: of now, and of the next.
    pub fn certificate_hashes(&self) -> Vec<Hash> {
        self.hashes.lock().clone()
    }

    /// The next client that has opened its control stream; `None` once closed. Handshakes go on only while this is
    /// awaited; dropping the future loses none.
    pub async fn accept(&self) -> Option<(WebTransport, Request)> {
        let mut handshakes = self.handshakes.lock().await;
        loop {
            tokio::select! {
                incoming = self.quic.accept() => {
                    handshakes.begin(incoming?);
                }
                accepted = handshakes.next(), if !handshakes.is_empty() => {
                    if let Some(accepted) = accepted {
                        return Some(accepted);
                    }
                }
            }
        }
    }

    /// Presents another certificate to new clients; connections that stand are not touched.
    pub fn reload(&self, certificate: &Certificate, hashes: Vec<Hash>) {
        self.quic.set_server_config(Some(server_config(certificate)));
        *self.hashes.lock() = hashes;
    }

    /// Closes all connections and waits until their clients were told, for a second at most.
    pub async fn close(&self) {
        self.quic.close(VarInt::from_u32(0), b"the gateway stops");
        let _ = tokio::time::timeout(Duration::from_secs(1), self.quic.wait_idle()).await;
    }

    /// Stops as `kill -9` would: no goodbye, the port is free. Returns once every connection's owner has let go of it.
    pub async fn kill(self) {
        let Self { quic, handshakes, plug, released, .. } = self;
        plug.pull();
        drop((quic, handshakes, plug));
        let _ = released.await;
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("address", &self.address).finish()
    }
}

fn server_config(certificate: &Certificate) -> quinn::ServerConfig {
    let config = ServerConfig::builder()
        .with_bind_address(SocketAddr::from(([127, 0, 0, 1], 0)))
        .with_custom_transport(certificate.identity(), transport_config())
        .build();
    let mut config = config.quic_config().clone();
    config.max_incoming(INCOMING_MAX);
    config
}

fn transport_config() -> QuicTransportConfig {
    let mut config = QuicTransportConfig::default();
    let idle = IDLE_TIMEOUT.try_into().expect("three seconds are not too long");
    config
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .send_window(SEND_WINDOW_BYTES)
        .receive_window(RECEIVE_WINDOW_BYTES.into())
        .stream_receive_window(RECEIVE_WINDOW_BYTES.into())
        .max_concurrent_bidi_streams(CLIENT_BIDI_STREAMS.into())
        .max_concurrent_uni_streams(CLIENT_UNI_STREAMS.into());
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_read_by_name() {
        let request = Request {
            origin: None,
            authority: "localhost".into(),
            query: Some("a=1&token=abc.def".into()),
            remote: SocketAddr::from(([127, 0, 0, 1], 1)),
        };
        assert_eq!(request.query_value("token"), Some("abc.def"));
        assert_eq!(request.query_value("toke"), None);
    }
}

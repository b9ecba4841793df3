//! The client's side: a connection to a gateway, as messages in both directions.
//!
//! Nothing is spawned: reading, writing and taking new streams all go on while [`Dialled::next`] is awaited, and dropping
//! that future loses nothing.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, stream::FuturesUnordered};
use thiserror::Error;
use tokio::io::AsyncWrite;
use wtransport::{
    ClientConfig, Connection, Endpoint, RecvStream, SendStream, VarInt,
    config::QuicTransportConfig,
    error::ConnectionError,
    tls::{Sha256Digest, build_native_cert_store, client},
};

use super::Hash;
use crate::wire::{self, Framing, proto};

/// The longest message that is taken from a gateway: a snapshot of a large channel.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Streams that a gateway may have open: 64 own ones, the overflow stream, HTTP/3's own, and those that just ended.
const STREAMS: u32 = 100;

/// How much is read from a stream at a time.
const READ_BYTES: usize = 4 * 1024;

/// How a client knows the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// By the authorities that the machine trusts.
    Authorities,
    /// By its certificate's SHA-256, one of these.
    Hashes(Vec<Hash>),
}

/// Why there is no connection.
#[derive(Debug, Error)]
#[error("cannot connect to {url}: {error}")]
pub struct CannotDial {
    /// Where to, without the query.
    pub url: String,
    /// What went wrong.
    pub error: String,
}

/// What came from the gateway.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// A `ServerMessage`, without its length.
    Control(Bytes),
    /// A `Frame`, without its length.
    Frame(Bytes),
}

type Reading = Pin<Box<dyn Future<Output = (Source, Result<Option<Bytes>, String>)> + Send>>;
type Accepting = Pin<Box<dyn Future<Output = Result<RecvStream, ConnectionError>> + Send>>;

struct Source {
    stream: RecvStream,
    framing: Framing,
    is_control: bool,
}

/// A connection to a gateway. Dropping it leaves.
pub struct Dialled {
    connection: Arc<Connection>,
    send: SendStream,
    waiting: BytesMut,
    reading: FuturesUnordered<Reading>,
    accepting: Accepting,
    /// Why nothing more will come, once what came before has been read.
    lost: Option<String>,
    /// Keeps the socket.
    _endpoint: Endpoint<wtransport::endpoint::endpoint_side::Client>,
}

/// Connects to `https://HOST:PORT/v1/connect`.
pub async fn dial(url: &str, trust: &Trust) -> Result<Dialled, CannotDial> {
    let cannot = |error: &dyn std::fmt::Display| CannotDial {
        url: url.split('?').next().unwrap_or_default().to_owned(),
        error: error.to_string(),
    };
    let endpoint = Endpoint::client(client_config(trust)).map_err(|error| cannot(&error))?;
    let connection = endpoint.connect(url).await.map_err(|error| cannot(&error))?;
    let opening = connection.open_bi().await.map_err(|error| cannot(&error))?;
    let (send, stream) = opening.await.map_err(|error| cannot(&error))?;
    let connection = Arc::new(connection);
    let framing = Framing::new(MESSAGE_BYTES_MAX);
    let control = read(Source { stream, framing, is_control: true });
    Ok(Dialled {
        accepting: accept(Arc::clone(&connection)),
        lost: None,
        connection,
        send,
        waiting: BytesMut::new(),
        reading: FuturesUnordered::from_iter([control]),
        _endpoint: endpoint,
    })
}

fn client_config(trust: &Trust) -> ClientConfig {
    let mut transport = QuicTransportConfig::default();
    let idle = Duration::from_secs(3).try_into().expect("three seconds are not too long");
    transport
        .max_idle_timeout(Some(idle))
        // A client that moves to another network is followed within this time (measured: 128 ms of silence).
        .keep_alive_interval(Some(Duration::from_millis(250)))
        .max_concurrent_uni_streams(STREAMS.into());
    let (roots, verifier) = match trust {
        Trust::Authorities => (build_native_cert_store(), None),
        Trust::Hashes(hashes) => {
            let hashes = hashes.iter().copied().map(Sha256Digest::new);
            let verifier: Arc<dyn rustls::client::danger::ServerCertVerifier> =
                Arc::new(client::ServerHashVerification::new(hashes));
            (rustls::RootCertStore::empty(), Some(verifier))
        }
    };
    let tls = client::build_default_tls_config(Arc::new(roots), verifier);
    ClientConfig::builder()
        .with_bind_default()
        .with_custom_tls_and_transport(tls, transport)
        .build()
}

fn accept(connection: Arc<Connection>) -> Accepting {
    Box::pin(async move { connection.accept_uni().await })
}

fn read(mut source: Source) -> Reading {
    Box::pin(async move {
        let message = next_message(&mut source).await;
        (source, message)
    })
}

async fn next_message(source: &mut Source) -> Result<Option<Bytes>, String> {
    loop {
        if let Some(message) = source.framing.pop().map_err(|error| error.to_string())? {
            return Ok(Some(message));
        }
        let mut buffer = [0; READ_BYTES];
        match source.stream.read(&mut buffer).await.map_err(|error| error.to_string())? {
            Some(read) => source.framing.push(&buffer[..read]),
            None => return Ok(None),
        }
    }
}

impl Dialled {
    /// Sends a message. It leaves while [`Dialled::next`] is awaited.
    pub fn send(&mut self, message: &proto::ClientMessage) {
        wire::delimit(message, &mut self.waiting);
    }

    /// What comes next; an error once the connection is gone.
    pub async fn next(&mut self) -> Result<Message, String> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// What the gateway said last may lie here unread when the connection is gone: it comes before the error does.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, String>> {
        if self.lost.is_none() {
            self.lost = self.exchange(cx).err();
        }
        while let Poll::Ready(Some((source, message))) = Pin::new(&mut self.reading).poll_next(cx) {
            let is_control = source.is_control;
            match message {
                Ok(Some(message)) => {
                    self.reading.push(read(source));
                    return Poll::Ready(Ok(match is_control {
                        true => Message::Control(message),
                        false => Message::Frame(message),
                    }));
                }
                Ok(None) if is_control => {
                    self.lost.get_or_insert_with(|| "the gateway ended the session".to_owned());
                }
                Ok(None) => {}
                Err(error) => {
                    self.lost.get_or_insert(error);
                }
            }
        }
        self.lost.clone().map_or(Poll::Pending, |error| Poll::Ready(Err(error)))
    }

    /// Sends what waits, and takes new streams.
    fn exchange(&mut self, cx: &mut Context<'_>) -> Result<(), String> {
        self.push_out(cx)?;
        while let Poll::Ready(stream) = self.accepting.as_mut().poll(cx) {
            let stream = stream.map_err(|error| error.to_string())?;
            let framing = Framing::new(MESSAGE_BYTES_MAX);
            self.reading.push(read(Source { stream, framing, is_control: false }));
            self.accepting = accept(Arc::clone(&self.connection));
        }
        Ok(())
    }

    fn push_out(&mut self, cx: &mut Context<'_>) -> Result<(), String> {
        while !self.waiting.is_empty()
            && let Poll::Ready(written) = Pin::new(&mut self.send).poll_write(cx, &self.waiting)
        {
            self.waiting.advance(written.map_err(|error| error.to_string())?);
        }
        Ok(())
    }
}

impl Drop for Dialled {
    fn drop(&mut self) {
        self.connection.close(VarInt::from_u32(0), b"");
    }
}

impl std::fmt::Debug for Dialled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialled").field("remote", &self.connection.remote_address()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Endpoint as Server, Keeper, Settings},
        *,
    };
    use crate::{
        clock,
        session::{self, Closing},
    };

    #[tokio::test]
    async fn what_was_said_last_is_read_although_the_connection_is_gone() {
        let state = tempfile::tempdir().expect("a directory");
        let keeper = Keeper::open(state.path(), clock::now_ms()).await.expect("kept");
        let server = Server::bind(Settings {
            address: ([127, 0, 0, 1], 0).into(),
            certificate: keeper.certificate().clone(),
            hashes: keeper.hashes().into(),
            secret: keeper.secret().clone(),
            node: "node-1".into(),
            counted: std::convert::identity,
        })
        .expect("loopback");
        let url = format!("https://127.0.0.1:{}/v1/connect", server.local_addr().port());
        let trust = Trust::Hashes(keeper.hashes().into());
        let refuse = async {
            let (transport, _) = server.accept().await.expect("a session");
            session::refuse(transport, &Closing::Forbidden("no".into())).await;
        };
        let (dialled, ()) = tokio::join!(dial(&url, &trust), refuse);
        let mut dialled = dialled.expect("connects");
        dialled.connection.closed().await;
        dialled.send(&proto::ClientMessage::default());
        assert!(matches!(dialled.next().await, Ok(Message::Control(_))));
        assert!(dialled.next().await.is_err() && dialled.next().await.is_err());
    }
}

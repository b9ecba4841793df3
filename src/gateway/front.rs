//! The HTTP listener, with TLS if there is a certificate: accepts connections, within limits, and serves each until it ends or
//! is broken off.
//!
//! Each connection is counted until it is dropped, and all can be broken off at once: so that at shutdown none is
//! forgotten, and none that a client does not let go of is waited for. A client that does not get to its point (no first
//! line, no end of its head) is not waited for either.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Router, body::Body, serve::Listener};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpSocket, TcpStream},
    time::Sleep,
};
use tokio_rustls::{Accept, TlsAcceptor, server::TlsStream};
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFutureOwned},
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tower_service::Service;

use crate::{
    access::{Refusal, counted},
    api::Peer,
    config::Limits,
    telemetry::Metrics,
};

/// So many bytes tell HTTP/1 from HTTP/2, and no request has fewer. Until they have come, the HTTP library has no clock.
const OPENING_BYTES: usize = 24;

/// How many connections may wait to be accepted; the system may have a lower limit.
const BACKLOG: u32 = 4_096;

/// From an accepted connection to the end of its TLS handshake.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);

/// Accepts connections.
pub(super) struct Front {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    connections: TaskTracker,
    gone: CancellationToken,
    room: Arc<Room>,
    metrics: Metrics,
    header_timeout: Duration,
    builder: Builder<TokioExecutor>,
}

/// All connections that a front has accepted.
pub(super) struct Connections {
    tracker: TaskTracker,
    gone: CancellationToken,
}

/// One connection.
pub(super) struct Connection {
    stream: Stream,
    gone: Pin<Box<WaitForCancellationFutureOwned>>,
    opening: Option<Opening>,
    _counted: TaskTrackerToken,
    _taken: Taken,
}

/// What a connection's bytes go through. A handshake is made by the connection's own task, so that nobody else waits for it.
enum Stream {
    Plain(TcpStream),
    Shaking { hands: Box<Accept<TcpStream>>, until: Pin<Box<Sleep>> },
    Tls(Box<TlsStream<TcpStream>>),
    Broken,
}

/// A connection that has not said what it wants yet.
struct Opening {
    missing: usize,
    until: Pin<Box<Sleep>>,
}

/// Listens, with room for a crowd: the usual 128 overflow while a burst of clients is let in one by one, and each that
/// finds no room tries again only after a second.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted gateway gets its port back at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A front, and the hold on its connections.
pub(super) fn front(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    limits: &Limits,
    metrics: Metrics,
) -> (Front, Connections) {
    let (tracker, gone) = (TaskTracker::new(), CancellationToken::new());
    let front = Front {
        listener,
        tls,
        connections: tracker.clone(),
        gone: gone.clone(),
        room: Arc::new(Room::new(limits)),
        metrics,
        header_timeout: limits.header_timeout,
        builder: builder(limits),
    };
    (front, Connections { tracker, gone })
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.headers);
    builder
        .http2()
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_header_list_size(u32::try_from(limits.headers).unwrap_or(u32::MAX))
        // Whoever says nothing is asked whether it is there, and gone in the same time as over HTTP/1.
        .keep_alive_interval(limits.header_timeout / 2)
        .keep_alive_timeout(limits.header_timeout / 2);
    builder
}

impl Connections {
    /// Breaks off those that are still there, and waits until all are dropped.
    pub(super) async fn end(self) {
        if !self.tracker.is_empty() {
            tracing::debug!(count = self.tracker.len(), "breaking off HTTP connections");
        }
        self.gone.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

impl Front {
    /// Accepts and serves until `draining`, then lets what is under way end and waits for it.
    pub(super) async fn serve(mut self, router: Router, draining: CancellationToken) {
        while let Some((stream, address)) =
            draining.run_until_cancelled(Listener::accept(&mut self.listener)).await
        {
            match Room::take(&self.room, counted(address.ip())) {
                Some(taken) => self.welcome(stream, address, taken, &router, &draining),
                // Closed at once: whoever waits in a queue takes the room of others.
                None => Refusal::Connection.count(&self.metrics),
            }
        }
        let Self { listener, connections, .. } = self;
        drop(listener);
        connections.close();
        connections.wait().await;
    }

    fn welcome(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        taken: Taken,
        router: &Router,
        draining: &CancellationToken,
    ) {
        // Tokens are small and must not wait for more.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY on a connection");
        }
        let stream = match &self.tls {
            None => Stream::Plain(stream),
            Some(tls) => Stream::Shaking {
                hands: Box::new(tls.accept(stream)),
                until: Box::pin(tokio::time::sleep(HANDSHAKE_WAIT)),
            },
        };
        let connection = Connection {
            stream,
            gone: Box::pin(self.gone.clone().cancelled_owned()),
            opening: Some(Opening {
                missing: OPENING_BYTES,
                until: Box::pin(tokio::time::sleep(self.header_timeout)),
            }),
            _counted: self.connections.token(),
            _taken: taken,
        };
        let (router, builder, draining) = (router.clone(), self.builder.clone(), draining.clone());
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(Peer(address));
            router.clone().call(request.map(Body::new))
        });
        self.connections.spawn(async move {
            let io = TokioIo::new(connection);
            let mut served = Box::pin(builder.serve_connection_with_upgrades(io, service));
            let ended = tokio::select! {
                ended = served.as_mut() => ended,
                () = draining.cancelled() => {
                    served.as_mut().graceful_shutdown();
                    served.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended badly");
            }
        });
    }
}

/// How many connections there may be, and are.
struct Room {
    max: Option<NonZeroU32>,
    max_of_one: Option<NonZeroU32>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: u32,
    by: HashMap<IpAddr, u32>,
}

/// A connection's part of the room, until it is dropped.
struct Taken {
    room: Arc<Room>,
    address: IpAddr,
}

impl Room {
    fn new(limits: &Limits) -> Self {
        let (max, max_of_one) = (limits.connections, limits.connections_per_address);
        Self { max, max_of_one, open: Mutex::default() }
    }

    fn take(room: &Arc<Self>, address: IpAddr) -> Option<Taken> {
        let mut open = room.open.lock();
        let of_one = open.by.get(&address).copied().unwrap_or_default();
        let is_full = |max: Option<NonZeroU32>, count| max.is_some_and(|max| count >= max.get());
        if is_full(room.max, open.all) || is_full(room.max_of_one, of_one) {
            return None;
        }
        open.all += 1;
        open.by.insert(address, of_one + 1);
        Some(Taken { room: Arc::clone(room), address })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut open = self.room.open.lock();
        open.all -= 1;
        match open.by.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = open.by.remove(&self.address),
        }
    }
}

impl Stream {
    /// Ready once bytes can go through. An error ends the connection.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self::Shaking { hands, until } = self else { return Poll::Ready(Ok(())) };
        let shaken = match Pin::new(hands.as_mut()).poll(cx) {
            Poll::Ready(shaken) => shaken,
            Poll::Pending => {
                ready!(until.as_mut().poll(cx));
                Err(io::ErrorKind::TimedOut.into())
            }
        };
        Poll::Ready(match shaken {
            Ok(stream) => {
                *self = Self::Tls(Box::new(stream));
                Ok(())
            }
            Err(error) => {
                tracing::debug!(%error, "a TLS handshake failed");
                *self = Self::Broken;
                Err(error)
            }
        })
    }

    /// Does something with the stream itself, once it is open.
    fn poll_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        work: impl FnOnce(Pin<&mut dyn Both>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        ready!(self.poll_open(cx))?;
        match self {
            Self::Plain(stream) => work(Pin::new(stream), cx),
            Self::Tls(stream) => work(Pin::new(stream.as_mut()), cx),
            Self::Shaking { .. } | Self::Broken => {
                Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
            }
        }
    }
}

/// What is read from and written to.
trait Both: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Both for T {}

impl Connection {
    /// What a wait is worth once the connection is to be broken off. Asked only where there is a wait.
    fn unless_gone<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        match polled.is_pending() && self.gone.as_mut().poll(cx).is_ready() {
            true => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            false => polled,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = this.stream.poll_with(cx, |stream, cx| stream.poll_read(cx, buffer));
        if let Some(opening) = &mut this.opening {
            opening.missing = opening.missing.saturating_sub(buffer.filled().len() - before);
            if opening.missing == 0 {
                this.opening = None;
            } else if polled.is_pending() && opening.until.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        this.unless_gone(polled, cx)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = this.stream.poll_with(cx, |stream, cx| stream.poll_write(cx, bytes));
        this.unless_gone(polled, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = this.stream.poll_with(cx, |stream, cx| stream.poll_write_vectored(cx, slices));
        this.unless_gone(polled, cx)
    }

    /// Both kinds of stream are.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.poll_with(cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nobody who has not shaken hands is waited for.
        match &self.stream {
            Stream::Shaking { .. } | Stream::Broken => Poll::Ready(Ok(())),
            Stream::Plain(_) | Stream::Tls(_) => {
                self.get_mut().stream.poll_with(cx, |stream, cx| stream.poll_shutdown(cx))
            }
        }
    }
}

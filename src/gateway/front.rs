//! The HTTP listener, with TLS if there is a certificate. Each of its connections is counted until it is dropped, and all
//! can be broken off at once: so that at shutdown none is forgotten, and none that a client does not let go of is waited for.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::Sleep,
};
use tokio_rustls::{Accept, TlsAcceptor, server::TlsStream};
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFutureOwned},
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

/// From an accepted connection to the end of its TLS handshake.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);

/// Accepts connections.
pub(super) struct Front {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    connections: TaskTracker,
    gone: CancellationToken,
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
    _counted: TaskTrackerToken,
}

/// What a connection's bytes go through. A handshake is made by the connection's own task, so that nobody else waits for it.
enum Stream {
    Plain(TcpStream),
    Shaking { hands: Box<Accept<TcpStream>>, until: Pin<Box<Sleep>> },
    Tls(Box<TlsStream<TcpStream>>),
    Broken,
}

/// A front, and the hold on its connections.
pub(super) fn front(listener: TcpListener, tls: Option<TlsAcceptor>) -> (Front, Connections) {
    let (tracker, gone) = (TaskTracker::new(), CancellationToken::new());
    let front = Front { listener, tls, connections: tracker.clone(), gone: gone.clone() };
    (front, Connections { tracker, gone })
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

impl Listener for Front {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
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
        let gone = Box::pin(self.gone.clone().cancelled_owned());
        (Connection { stream, gone, _counted: self.connections.token() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
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
        let polled = this.stream.poll_with(cx, |stream, cx| stream.poll_read(cx, buffer));
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

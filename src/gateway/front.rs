//! The HTTP listener. Each of its connections is counted until it is dropped, and all can be broken off at once: so that
//! at shutdown none is forgotten, and none that a client does not let go of is waited for.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFutureOwned},
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

/// Accepts connections.
pub(super) struct Front {
    listener: TcpListener,
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
    stream: TcpStream,
    gone: Pin<Box<WaitForCancellationFutureOwned>>,
    _counted: TaskTrackerToken,
}

/// A front, and the hold on its connections.
pub(super) fn front(listener: TcpListener) -> (Front, Connections) {
    let (tracker, gone) = (TaskTracker::new(), CancellationToken::new());
    let front = Front { listener, connections: tracker.clone(), gone: gone.clone() };
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
        let gone = Box::pin(self.gone.clone().cancelled_owned());
        (Connection { stream, gone, _counted: self.connections.token() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

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
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
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
        let polled = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.unless_gone(polled, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.unless_gone(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

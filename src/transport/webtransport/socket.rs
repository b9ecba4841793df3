//! A UDP socket whose plug can be pulled: from then on nothing leaves and nothing arrives, as after `kill -9`.

use std::{
    fmt::Debug,
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use tokio::sync::oneshot;
use wtransport::quinn::{
    AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller,
    udp::{RecvMeta, Transmit},
};

/// The socket, and the plug.
#[derive(Debug)]
pub(super) struct Socket {
    inner: Arc<dyn AsyncUdpSocket>,
    plug: Arc<Plug>,
    /// Dropped last of all: the port is free then.
    _released: oneshot::Sender<()>,
}

/// Pulled once.
#[derive(Debug, Default)]
pub(super) struct Plug {
    pulled: AtomicBool,
    receiver: AtomicWaker,
}

impl Socket {
    /// Binds, and gives the plug and what tells that the port is free again.
    pub(super) fn bind(
        address: SocketAddr,
    ) -> io::Result<(Arc<Self>, Arc<Plug>, oneshot::Receiver<()>)> {
        let inner = TokioRuntime.wrap_udp_socket(std::net::UdpSocket::bind(address)?)?;
        let plug = Arc::new(Plug::default());
        let (sender, released) = oneshot::channel();
        let socket = Self { inner, plug: Arc::clone(&plug), _released: sender };
        Ok((Arc::new(socket), plug, released))
    }
}

impl Plug {
    pub(super) fn pull(&self) {
        self.pulled.store(true, Ordering::Release);
        self.receiver.wake();
    }

    fn is_pulled(&self) -> bool {
        self.pulled.load(Ordering::Acquire)
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if self.plug.is_pulled() { Ok(()) } else { self.inner.try_send(transmit) }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.plug.receiver.register(cx.waker());
        if self.plug.is_pulled() {
            return Poll::Ready(Err(io::Error::other("the plug was pulled")));
        }
        self.inner.poll_recv(cx, bufs, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

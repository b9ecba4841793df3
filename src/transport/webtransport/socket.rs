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

/// What is asked for, in bytes: a tenth of a second of a full gigabit. The system gives no more than it allows.
pub const RECEIVE_BUFFER_ASKED: usize = 7_500_000;

/// The socket, and the plug.
#[derive(Debug)]
pub(super) struct Socket {
    inner: Arc<dyn AsyncUdpSocket>,
    receive_buffer: Option<usize>,
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
        let socket = std::net::UdpSocket::bind(address)?;
        let receive_buffer = ask_for_buffer(&socket);
        let inner = TokioRuntime.wrap_udp_socket(socket)?;
        let plug = Arc::new(Plug::default());
        let (sender, released) = oneshot::channel();
        let plugged = Arc::clone(&plug);
        let socket = Self { inner, receive_buffer, plug: plugged, _released: sender };
        Ok((Arc::new(socket), plug, released))
    }
}

/// Asks for a large receive buffer, and says what there is, as far as that is known.
fn ask_for_buffer(socket: &std::net::UdpSocket) -> Option<usize> {
    let socket = socket2::SockRef::from(socket);
    // What the system does not give is seen below.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_ASKED);
    let bytes = socket.recv_buffer_size().ok()?;
    // Linux counts its own bookkeeping in, and says twice what was asked for.
    Some(if cfg!(target_os = "linux") { bytes / 2 } else { bytes })
}

impl Socket {
    pub(super) fn receive_buffer(&self) -> Option<usize> {
        self.receive_buffer
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

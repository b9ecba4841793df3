//! Byte streams: nothing is lost or out of order; what the path does shows as delay, and a blackhole as silence.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    path::{Conditions, Path, heard},
    proxy::{Command, Counts},
};

/// How long a sender waits before it sends anew what a blackhole took (RFC 6298's minimum as Linux has it), and before
/// it asks anew for a connection (RFC 6298, 2.1).
const RETRANSMISSION: Duration = Duration::from_millis(200);
const SYN: Duration = Duration::from_secs(1);
/// So much of a stream is read at once, and so many such pieces may be on their way.
const PIECE_BYTES: usize = 16 * 1024;
const PIECES_MAX: usize = 256;
/// So many connections at once; others are closed.
const CONNECTIONS_MAX: usize = 4_096;

/// What all connections share.
struct Link {
    began: Instant,
    up: Mutex<Path>,
    down: Mutex<Path>,
    counts: Mutex<Counts>,
    /// Whether nothing passes, up and down.
    blackholes: watch::Sender<[bool; 2]>,
}

impl Link {
    fn delay(&self) -> Duration {
        let one = |path: &Mutex<Path>| lock(path).conditions().delay_ms;
        Duration::from_secs_f64((one(&self.up) + one(&self.down)) / 1_000.0)
    }

    fn path(&self, up: bool) -> MutexGuard<'_, Path> {
        lock(if up { &self.up } else { &self.down })
    }

    /// Waits while nothing passes that way, and then until a sender that sent at first now tries again.
    async fn open(&self, up: impl Fn(&[bool; 2]) -> bool, first: Duration) {
        let sent = self.began.elapsed();
        let mut blackholes = self.blackholes.subscribe();
        let waits = up(&blackholes.borrow());
        if waits {
            // The sender lives in this very link.
            let _ = blackholes.wait_for(|now| !up(now)).await;
            sleep_until(self.began + heard(sent, first, self.began.elapsed())).await;
        }
    }
}

/// A proxy for byte streams.
pub(crate) struct Tcp {
    listen: SocketAddr,
    to: SocketAddr,
    from: IpAddr,
    front: Option<TcpListener>,
    link: Arc<Link>,
    connections: JoinSet<()>,
}

impl Tcp {
    pub(crate) async fn bind(listen: SocketAddr, to: SocketAddr, seed: u64) -> io::Result<Self> {
        let front = TcpListener::bind(listen).await?;
        let listen = front.local_addr()?;
        let link = Link {
            began: Instant::now(),
            up: Mutex::new(Path::new(seed)),
            down: Mutex::new(Path::new(!seed)),
            counts: Mutex::default(),
            blackholes: watch::Sender::new([false; 2]),
        };
        Ok(Self {
            listen,
            to,
            from: listen.ip(),
            front: Some(front),
            link: Arc::new(link),
            connections: JoinSet::new(),
        })
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.listen
    }

    /// Until nobody can tell it anything any more.
    pub(crate) async fn run(mut self, mut told: mpsc::Receiver<Command>) {
        loop {
            tokio::select! {
                command = told.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                came = accept(self.front.as_ref()) => {
                    if let Ok(client) = came && self.connections.len() < CONNECTIONS_MAX {
                        lock(&self.link.counts).clients += 1;
                        let connection = carry(client, self.to, self.from, Arc::clone(&self.link));
                        self.connections.spawn(async {
                            // It broke: both ends see it by themselves.
                            let _ = connection.await;
                        });
                    }
                },
                Some(_) = self.connections.join_next() => {}
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Set(up, down) => {
                self.link.blackholes.send_replace([up.blackhole, down.blackhole]);
                let set = |path: &Mutex<Path>, to: Conditions| lock(path).set(to);
                set(&self.link.up, up);
                set(&self.link.down, down);
            }
            Command::Rebind(from) => {
                self.from = from;
                self.connections.abort_all();
            }
            Command::Cut => self.connections.abort_all(),
            Command::Close => {
                self.front = None;
                self.connections.shutdown().await;
            }
            Command::Reopen(answer) => {
                let bound = TcpListener::bind(self.listen).await;
                // Whoever asked may have gone.
                let _ = answer.send(bound.map(|front| self.front = Some(front)));
            }
            Command::Counts(answer) => {
                let _ = answer.send(*lock(&self.link.counts));
            }
        }
    }
}

async fn accept(front: Option<&TcpListener>) -> io::Result<TcpStream> {
    match front {
        Some(front) => Ok(front.accept().await?.0),
        None => std::future::pending().await,
    }
}

/// One connection, to its end. The kernel has accepted it already, so the handshake's round trip is made up for here.
async fn carry(
    mut client: TcpStream,
    to: SocketAddr,
    from: IpAddr,
    link: Arc<Link>,
) -> io::Result<()> {
    link.open(|[up, down]| *up || *down, SYN).await;
    sleep(link.delay()).await;
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind((from, 0).into())?;
    let mut gateway = socket.connect(to).await?;
    client.set_nodelay(true)?;
    gateway.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_gateway, to_gateway) = gateway.split();
    tokio::try_join!(
        pump(from_client, to_gateway, true, &link),
        pump(from_gateway, to_client, false, &link),
    )?;
    Ok(())
}

async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    up: bool,
    link: &Link,
) -> io::Result<()> {
    let (pieces, mut due) = mpsc::channel::<(Instant, Bytes)>(PIECES_MAX);
    let read = async move {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let len = from.read(&mut piece).await?;
            if len == 0 {
                return Ok::<_, io::Error>(());
            }
            let at = link.path(up).chunk(len, link.began.elapsed());
            let bytes = Bytes::copy_from_slice(&piece[..len]);
            if pieces.send((link.began + at, bytes)).await.is_err() {
                return Ok(());
            }
        }
    };
    let write = async {
        while let Some((at, bytes)) = due.recv().await {
            link.open(|ways| ways[usize::from(!up)], RETRANSMISSION).await;
            sleep_until(at).await;
            to.write_all(&bytes).await?;
            lock(&link.counts).passed += 1;
        }
        link.open(|ways| ways[usize::from(!up)], RETRANSMISSION).await;
        to.shutdown().await
    };
    tokio::try_join!(read, write)?;
    Ok(())
}

/// What it guards is whole after every statement, so a panic elsewhere does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Packets: each is lost, doubled and delayed on its own. One task; what is on its way is bounded.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use bytes::Bytes;
use tokio::{
    net::UdpSocket,
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use crate::{
    path::{Fate, Path},
    proxy::{Command, Counts},
};

/// So many packets may be on their way; more are lost.
const ON_THE_WAY_MAX: usize = 65_536;
/// So many clients are known; packets of others are lost.
const CLIENTS_MAX: usize = 4_096;
const PACKET_BYTES_MAX: usize = 65_536;

/// The way back of one client.
struct Client {
    socket: Arc<UdpSocket>,
    reading: JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// A packet on its way.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Instant,
    /// Of two at one time the first sent is the first to arrive.
    order: u64,
    up: bool,
    client: SocketAddr,
    bytes: Bytes,
}

/// What comes from the gateway: for whom, and what.
type Back = (SocketAddr, Bytes);

/// A proxy for packets.
pub(crate) struct Udp {
    listen: SocketAddr,
    to: SocketAddr,
    front: Option<UdpSocket>,
    from: IpAddr,
    up: Path,
    down: Path,
    began: Instant,
    clients: HashMap<SocketAddr, Client>,
    on_the_way: BinaryHeap<Reverse<Due>>,
    order: u64,
    counts: Counts,
    back: mpsc::Sender<Back>,
    came_back: mpsc::Receiver<Back>,
}

impl Udp {
    pub(crate) async fn bind(listen: SocketAddr, to: SocketAddr, seed: u64) -> io::Result<Self> {
        let front = UdpSocket::bind(listen).await?;
        let listen = front.local_addr()?;
        let (back, came_back) = mpsc::channel(4_096);
        Ok(Self {
            listen,
            to,
            front: Some(front),
            from: listen.ip(),
            up: Path::new(seed),
            down: Path::new(!seed),
            began: Instant::now(),
            clients: HashMap::new(),
            on_the_way: BinaryHeap::new(),
            order: 0,
            counts: Counts::default(),
            back,
            came_back,
        })
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.listen
    }

    /// Until nobody can tell it anything any more.
    pub(crate) async fn run(mut self, mut told: mpsc::Receiver<Command>) {
        let mut packet = vec![0; PACKET_BYTES_MAX];
        loop {
            let due = self.on_the_way.peek().map(|Reverse(due)| due.at);
            tokio::select! {
                command = told.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                came = receive(self.front.as_ref(), &mut packet) => {
                    // An error is the word that a client's port is closed; the client knows.
                    if let Ok((len, client)) = came {
                        self.send(true, client, Bytes::copy_from_slice(&packet[..len]));
                    }
                }
                Some((client, bytes)) = self.came_back.recv() => self.send(false, client, bytes),
                () = sleep_until(due.unwrap_or(self.began)), if due.is_some() => self.deliver().await,
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Set(up, down) => {
                self.up.set(up);
                self.down.set(down);
            }
            Command::Rebind(from) => {
                self.from = from;
                for client in self.clients.keys().copied().collect::<Vec<_>>() {
                    // The old way ends with its entry; where no new one can be had, packets are lost.
                    self.clients.remove(&client);
                    let _ = self.know(client).await;
                }
            }
            Command::Cut => self.clients.clear(),
            Command::Close => {
                self.clients.clear();
                self.on_the_way.clear();
                self.front = None;
            }
            Command::Reopen(answer) => {
                let bound =
                    UdpSocket::bind(self.listen).await.map(|front| self.front = Some(front));
                // Whoever asked may have gone.
                let _ = answer.send(bound);
            }
            Command::Counts(answer) => {
                let _ = answer.send(self.counts);
            }
        }
    }

    fn send(&mut self, up: bool, client: SocketAddr, bytes: Bytes) {
        let path = if up { &mut self.up } else { &mut self.down };
        let fate = path.packet(bytes.len(), self.began.elapsed());
        match fate {
            Fate::Arrives(first, second) if self.on_the_way.len() < ON_THE_WAY_MAX => {
                self.counts.doubled += u64::from(second.is_some());
                for at in [Some(first), second].into_iter().flatten() {
                    self.order += 1;
                    let (at, order, bytes) = (self.began + at, self.order, bytes.clone());
                    self.on_the_way.push(Reverse(Due { at, order, up, client, bytes }));
                }
            }
            _ => self.counts.lost += 1,
        }
    }

    async fn deliver(&mut self) {
        let now = Instant::now();
        while self.on_the_way.peek().is_some_and(|Reverse(due)| due.at <= now) {
            let Some(Reverse(Due { up, client, bytes, .. })) = self.on_the_way.pop() else {
                return;
            };
            let sent = if up {
                match self.know(client).await {
                    Ok(socket) => socket.send(&bytes).await,
                    Err(error) => Err(error),
                }
            } else {
                match &self.front {
                    Some(front) => front.send_to(&bytes, client).await,
                    None => Err(io::ErrorKind::NotConnected.into()),
                }
            };
            // Nobody listens there: to whoever sent it that is a loss.
            match sent {
                Ok(_) => self.counts.passed += 1,
                Err(_) => self.counts.lost += 1,
            }
        }
    }

    /// The client's way to the gateway.
    async fn know(&mut self, client: SocketAddr) -> io::Result<Arc<UdpSocket>> {
        if let Some(known) = self.clients.get(&client) {
            return Ok(Arc::clone(&known.socket));
        }
        if self.clients.len() >= CLIENTS_MAX {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let socket = UdpSocket::bind((self.from, 0)).await?;
        socket.connect(self.to).await?;
        let socket = Arc::new(socket);
        let reading = tokio::spawn(read_back(Arc::clone(&socket), client, self.back.clone()));
        self.clients.insert(client, Client { socket: Arc::clone(&socket), reading });
        self.counts.clients += 1;
        Ok(socket)
    }
}

async fn receive(front: Option<&UdpSocket>, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    match front {
        Some(front) => front.recv_from(into).await,
        None => std::future::pending().await,
    }
}

async fn read_back(socket: Arc<UdpSocket>, client: SocketAddr, back: mpsc::Sender<Back>) {
    let mut packet = vec![0; PACKET_BYTES_MAX];
    loop {
        match socket.recv(&mut packet).await {
            Ok(len) => {
                if back.send((client, Bytes::copy_from_slice(&packet[..len]))).await.is_err() {
                    return;
                }
            }
            // The gateway's port is closed just now: it may be open again later.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(_) => return,
        }
    }
}

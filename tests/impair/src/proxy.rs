//! A running proxy, and what it can be told. The two kinds obey the same commands.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{path::Conditions, tcp, udp};

/// What it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Packets.
    Udp,
    /// Byte streams.
    Tcp,
}

/// What has passed so far, both ways together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Packets, or pieces of streams, that were passed on.
    pub passed: u64,
    /// Packets that the path lost. Streams lose nothing.
    pub lost: u64,
    /// Packets that were passed on twice.
    pub doubled: u64,
    /// Client addresses, or connections, seen so far.
    pub clients: u64,
}

/// What a proxy can be told.
#[derive(Debug)]
pub(crate) enum Command {
    Set(Conditions, Conditions),
    Rebind(IpAddr),
    Cut,
    Close,
    Reopen(oneshot::Sender<io::Result<()>>),
    Counts(oneshot::Sender<Counts>),
}

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    local: SocketAddr,
    commands: mpsc::Sender<Command>,
    running: JoinHandle<()>,
}

impl Proxy {
    /// Listens at `listen` and passes on to `to`, unimpaired at first. `seed` decides all that is left to chance.
    pub async fn open(
        kind: Kind,
        listen: SocketAddr,
        to: SocketAddr,
        seed: u64,
    ) -> io::Result<Self> {
        let (commands, told) = mpsc::channel(16);
        let (local, running) = match kind {
            Kind::Udp => {
                let proxy = udp::Udp::bind(listen, to, seed).await?;
                (proxy.local(), tokio::spawn(proxy.run(told)))
            }
            Kind::Tcp => {
                let proxy = tcp::Tcp::bind(listen, to, seed).await?;
                (proxy.local(), tokio::spawn(proxy.run(told)))
            }
        };
        Ok(Self { local, commands, running })
    }

    /// Where clients find it.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// How the ways to the gateway (`up`) and to the client (`down`) behave from now on.
    pub async fn set(&self, up: Conditions, down: Conditions) {
        self.tell(Command::Set(up, down)).await;
    }

    /// From now on the gateway sees its clients at another port, and at the address `from`: as after a change of the
    /// network, of which packets know nothing and connections of TCP die.
    pub async fn rebind(&self, from: IpAddr) {
        self.tell(Command::Rebind(from)).await;
    }

    /// Ends every TCP connection, and forgets every UDP client, as if the proxy had been killed and was back at once.
    pub async fn cut(&self) {
        self.tell(Command::Cut).await;
    }

    /// Cuts, and listens no more: who tries to connect is refused.
    pub async fn close(&self) {
        self.tell(Command::Close).await;
    }

    /// Listens again, at the same place.
    ///
    /// # Errors
    /// If the place has been taken since.
    pub async fn reopen(&self) -> io::Result<()> {
        self.ask(Command::Reopen).await?
    }

    /// What has passed.
    pub async fn counts(&self) -> io::Result<Counts> {
        self.ask(Command::Counts).await
    }

    /// The commands are carried out in their order.
    async fn tell(&self, command: Command) {
        // It runs as long as this handle; where it does not, the next answer is missed.
        let _ = self.commands.send(command).await;
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Command) -> io::Result<T> {
        let (answer, answered) = oneshot::channel();
        self.tell(ask(answer)).await;
        answered.await.map_err(|_| io::Error::other("the proxy has ended"))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.running.abort();
    }
}

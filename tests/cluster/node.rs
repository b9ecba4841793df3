//! A node in this process: its channels on a JetStream store, and what a gateway does beside serving them.

use std::{sync::Arc, time::Duration};

use tokenway::{
    channel::{Channel, Channels, Retention},
    ident::{ChannelId, ChannelKey, Owner},
    store::{JetStream, jetstream::Settings},
};
use tokio::{task::JoinHandle, time::Instant};

/// Short, so that the tests are.
pub(crate) const LEASE: Duration = Duration::from_secs(1);

/// How long something may take that waits for a lease to lapse: it and a second, and one for a busy machine.
pub(crate) const ENDS_WITHIN: Duration = Duration::from_secs(3);

/// How long a channel is kept after its last event.
pub(crate) const AFTER_END: Duration = Duration::from_secs(600);

pub(crate) struct Node {
    pub(crate) channels: Arc<Channels>,
    chores: JoinHandle<()>,
}

pub(crate) fn key(id: &str) -> ChannelKey {
    ChannelKey { owner: Owner::new("me"), id: ChannelId::parse(id).expect("an id") }
}

impl Node {
    pub(crate) async fn start(url: &str) -> Self {
        Self::with_room(url, 1 << 20).await
    }

    /// With so many bytes for each channel.
    pub(crate) async fn with_room(url: &str, max_bytes: usize) -> Self {
        let settings = Settings {
            url: url.to_owned(),
            prefix: "test".to_owned(),
            replicas: 1,
            lease: LEASE,
            credentials: None,
        };
        let store = JetStream::open(&settings).await.expect("NATS is there");
        let retention = Retention { after_end: AFTER_END, max_bytes };
        let channels = Arc::new(Channels::new(Arc::new(store), retention));
        channels.serve();
        let chores = run(chores(Arc::clone(&channels)));
        Self { channels, chores }
    }

    pub(crate) async fn find(&self, id: &str) -> Arc<Channel> {
        self.channels.find(&key(id)).await.expect("it is there")
    }

    pub(crate) async fn open(&self, id: &str) -> Arc<Channel> {
        self.channels.open(key(id)).await.expect("it opens")
    }

    /// Does nothing more of itself, as a process that is stopped.
    pub(crate) fn stall(&self) {
        self.chores.abort();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.chores.abort();
    }
}

#[expect(clippy::disallowed_methods, reason = "it is ended with its node")]
pub(crate) fn run(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(task)
}

async fn chores(channels: Arc<Channels>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        channels.recover().await;
        channels.sweep(Instant::now()).await;
    }
}

/// Waits for something to become true, for so long.
pub(crate) async fn within(
    limit: Duration,
    what: &str,
    mut holds: impl FnMut() -> bool,
) -> Duration {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    began.elapsed()
}

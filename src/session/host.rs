//! Where sessions run: each in a task of its own, all of them tracked.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use super::{Outcome, Rights, Session, Settings, Shutdown, run};
use crate::{
    access::Seat,
    channel::Channels,
    telemetry::{Carried, Delivery},
    transport::Transport,
};

/// How long sessions may stay once everything that ran has ended: time to read the last frames and to connect elsewhere.
const GO_AWAY_GRACE: Duration = Duration::from_secs(1);

/// Runs sessions.
#[derive(Clone)]
pub struct Host {
    channels: Arc<Channels>,
    settings: Settings,
    tasks: TaskTracker,
    closing: CancellationToken,
    open: Arc<Mutex<Open>>,
}

/// The sessions that are open, by their ids: since when, and what they carry.
type Open = HashMap<String, (Instant, Arc<Delivery>)>;

/// A session that is listed, until this is dropped.
#[derive(Debug)]
struct Enlisted {
    open: Arc<Mutex<Open>>,
    id: String,
}

impl Drop for Enlisted {
    fn drop(&mut self) {
        self.open.lock().remove(&self.id);
    }
}

/// One session, for a list of them.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// Since it began.
    pub age: Duration,
    /// What it has carried.
    pub carried: Carried,
}

impl Host {
    /// A host for sessions on these channels. When `closing` is cancelled they are told to go.
    pub fn new(channels: Arc<Channels>, settings: Settings, closing: CancellationToken) -> Self {
        Self { channels, settings, tasks: TaskTracker::new(), closing, open: Arc::default() }
    }

    /// The same host, whose sessions from now on begin with these settings.
    pub fn with(&self, settings: Settings) -> Self {
        Self { settings, ..self.clone() }
    }

    /// Runs a session on a transport, for somebody with these rights, on this seat.
    pub fn start(
        &self,
        transport: impl Transport + 'static,
        rights: impl Into<Rights>,
        seat: Option<Seat>,
    ) {
        let (settings, channels) = (self.settings.clone(), Arc::clone(&self.channels));
        let session = Session::new(settings, channels, rights, transport.form()).on(seat);
        let shutdown = Shutdown { begins: self.closing.clone(), grace: GO_AWAY_GRACE };
        let span = tracing::debug_span!("session", id = session.id());
        let delivery = Arc::clone(session.delivery());
        let listed = self.enlist(session.id(), &delivery);
        let task = async move {
            let _open = (delivery.opened(), listed);
            match run(transport, session, shutdown).await {
                Outcome::Left(why) => {
                    delivery.ended("left");
                    tracing::debug!(%why, "left");
                }
                Outcome::Closed(why) => {
                    delivery.ended(&why.code());
                    tracing::debug!(?why, "closed");
                }
            }
        };
        self.tasks.spawn(task.instrument(span));
    }

    fn enlist(&self, id: &str, delivery: &Arc<Delivery>) -> Enlisted {
        self.open.lock().insert(id.to_owned(), (Instant::now(), Arc::clone(delivery)));
        Enlisted { open: Arc::clone(&self.open), id: id.to_owned() }
    }

    /// All sessions, as they are at `now`.
    pub fn list(&self, now: Instant) -> Vec<Listed> {
        let open = self.open.lock();
        let list = open.iter().map(|(id, (began, delivery))| Listed {
            id: id.clone(),
            age: now.saturating_duration_since(*began),
            carried: delivery.carried(),
        });
        list.collect()
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Waits until all sessions have ended; they end by themselves once `closing` is cancelled.
    pub async fn wait(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

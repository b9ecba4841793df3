//! Where sessions run: each in a task of its own, all of them tracked.

use std::{sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use super::{Outcome, Rights, Session, Settings, Shutdown, run};
use crate::{channel::Channels, transport::Transport};

/// How long sessions may stay once everything that ran has ended: time to read the last frames and to connect elsewhere.
const GO_AWAY_GRACE: Duration = Duration::from_secs(1);

/// Runs sessions.
#[derive(Clone)]
pub struct Host {
    channels: Arc<Channels>,
    settings: Settings,
    tasks: TaskTracker,
    closing: CancellationToken,
}

impl Host {
    /// A host for sessions on these channels. When `closing` is cancelled they are told to go.
    pub fn new(channels: Arc<Channels>, settings: Settings, closing: CancellationToken) -> Self {
        Self { channels, settings, tasks: TaskTracker::new(), closing }
    }

    /// The same host, whose sessions from now on begin with these settings.
    pub fn with(&self, settings: Settings) -> Self {
        Self { settings, ..self.clone() }
    }

    /// Runs a session on a transport, for somebody with these rights.
    pub fn start(&self, transport: impl Transport + 'static, rights: impl Into<Rights>) {
        let (settings, channels) = (self.settings.clone(), Arc::clone(&self.channels));
        let session = Session::new(settings, channels, rights, transport.form());
        let shutdown = Shutdown { begins: self.closing.clone(), grace: GO_AWAY_GRACE };
        let span = tracing::debug_span!("session", id = session.id());
        let delivery = Arc::clone(session.delivery());
        let task = async move {
            let _open = delivery.opened();
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

//! Ingest: one task for each generation.
//!
//! A task calls the provider, decodes what comes, appends the events to the channel and only then releases the
//! provider's payloads to the calling app. It ends with exactly one terminal event, whatever happens. Knows no client:
//! the app's response reads from the tee, viewers from the log.
//!
//! Until a provider has said something the call can be made again, there or elsewhere, and nobody has seen anything. What
//! is tried next is `attempts`'s to decide, from what `trouble` makes of a setback. Where the model has `on_break: continue`,
//! a generation also goes on after a break in mid-stream: `said` is what it goes on from, `overlap` takes out what is said
//! twice, `held` keeps half a tool call from being said, and the app's stream is encoded from the log from its beginning,
//! since two providers' payloads do not make one stream. Where gateways share a store, `go_on` goes on with what a lost one ran.

mod account;
mod attempt;
mod attempts;
mod deadlines;
mod failover;
mod go_on;
mod held;
mod ingest;
mod overlap;
mod presence;
mod said;
mod setback;
mod tally;
mod task;
mod tee;
mod trouble;
mod vigil;
mod voice;

pub use account::{Account, estimated_input, estimated_tokens};
pub use deadlines::{Deadlines, Due, LINGER, Timeouts};
pub use failover::{Failover, OnBreak};
pub use go_on::{CannotGoOn, LOST};
pub use presence::{OnDisconnect, Presence};
pub use tee::{Item, Payload, TEE_BYTES_MAX, TeeReader};

use std::sync::Arc;

use bytes::Bytes;
use reqwest::{StatusCode, header::HeaderMap};
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    channel::{AppendError, Attendance, Channel, Handover},
    clock,
    dialect::{AppRequest, Dialect},
    event::{Failed, Started},
    ident::GenerationId,
    provider::{Provider, Request},
    route::{Health, Price},
    store::Begun,
    telemetry::{About, Metrics, Recorder, Telemetry, TraceContext},
};

/// How long what a gateway gives up may take to end: its store may be away.
const ENDS_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

/// What to generate, where, and under which rules.
pub struct Order {
    /// Where its events go.
    pub channel: Arc<Channel>,
    /// The public model name.
    pub model: String,
    /// The name or pattern in the config that it came by.
    pub route: String,
    /// Where the caller is in a trace, if it says so.
    pub caller: Option<TraceContext>,
    /// Whom to call, in this order; at least one.
    pub attempts: Vec<Attempt>,
    /// The app's call, from which one for another target can be written when a provider breaks.
    pub call: Arc<AppRequest>,
    /// How it is tried again.
    pub failover: Failover,
    /// Which targets may be called now.
    pub health: Arc<Health>,
    /// On whose account it runs.
    pub account: Box<dyn Account>,
    /// The clocks.
    pub timeouts: Timeouts,
    /// What happens when nobody is there any more.
    pub on_disconnect: OnDisconnect,
    /// What another gateway needs to go on with it, should this one be lost; `None`: none can.
    pub handover: Option<Handover>,
}

/// A target, and the call as it goes there.
#[derive(Clone)]
pub struct Attempt {
    /// Who is called.
    pub provider: Arc<Provider>,
    /// The model's name there.
    pub model: String,
    /// What its tokens cost, if that is known.
    pub price: Option<Price>,
    /// What the provider's bytes mean.
    pub dialect: Dialect,
    /// What is sent.
    pub request: Request,
}

impl Order {
    /// What telemetry is told of it.
    fn about(&self, id: &GenerationId) -> About {
        let channel = &self.channel;
        About {
            generation: id.as_str().to_owned(),
            channel: channel.key().id.as_str().to_owned(),
            named: channel.is_named(),
            owner: channel.key().owner.as_str().to_owned(),
            model: self.model.clone(),
            route: self.route.clone(),
            app: self.call.dialect().as_str(),
            streams: self.call.streams(),
            caller: self.caller.clone(),
            request: self
                .attempts
                .first()
                .map(|first| first.request.body.clone())
                .unwrap_or_default(),
        }
    }
}

impl Attempt {
    /// Who answers, if it does.
    fn answerer(&self, target: usize, attempts: u32) -> Answerer {
        let provider = self.provider.name().to_owned();
        Answerer { provider, dialect: self.dialect, target, attempts }
    }
}

/// Who answered, or was called last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answerer {
    /// The provider's name.
    pub provider: String,
    /// What its bytes are.
    pub dialect: Dialect,
    /// Its place among the order's attempts.
    pub target: usize,
    /// How many calls it took, this one included; none if there was no target that takes calls.
    pub attempts: u32,
}

/// A generation that has begun.
pub struct Launched {
    /// Its id.
    pub id: GenerationId,
    /// Where it is in a trace, as a header has it; empty where nobody traces.
    pub traceparent: String,
    /// Its channel-local index.
    pub index: u32,
    /// The seq of its `started`: its events begin here, whatever the channel held before.
    pub first_seq: u64,
    /// What the calling app is to be answered with. Dropping it is the caller's going away, not a cancel.
    pub caller: Caller,
}

/// The calling app's end of a generation.
pub struct Caller {
    /// Resolves when a provider has said something, or none is left to be tried.
    pub head: oneshot::Receiver<Head>,
    /// The provider's payloads.
    pub tee: TeeReader,
    /// Present as long as this lives.
    pub presence: CallerPresence,
}

/// Counts the caller as present until it is dropped.
pub struct CallerPresence {
    _present: Present,
}

enum Present {
    Here {
        _caller: watch::Sender<()>,
    },
    /// As somebody who looks on.
    Elsewhere {
        _viewer: Attendance,
    },
}

/// How the provider answered.
#[derive(Debug)]
pub enum Head {
    /// A stream: its payloads follow in the tee.
    Stream {
        /// Who streams.
        from: Answerer,
        /// The provider's headers.
        headers: HeaderMap,
    },
    /// One whole body, whether it is a success or not.
    Whole {
        /// Who answered.
        from: Answerer,
        /// The provider's status.
        status: StatusCode,
        /// The provider's headers.
        headers: HeaderMap,
        /// The body, as it came.
        body: Bytes,
    },
    /// There was no answer.
    Failed {
        /// Who was called last; the first one where nobody was called.
        from: Answerer,
        /// Why.
        failed: Failed,
    },
}

impl Launched {
    /// One that another gateway runs, on a channel that is followed here: its caller is answered from the log.
    pub fn elsewhere(begun: Begun, channel: &Arc<Channel>, metrics: &Metrics) -> Self {
        let Begun { generation: id, index, cursor, traceparent } = begun;
        let generations = channel.status().generations;
        let started = generations.get(index as usize).cloned().unwrap_or_default();
        let dialect = Dialect::parse(&started.dialect).unwrap_or(Dialect::OpenAi);
        let from = Answerer { provider: started.provider, dialect, target: 0, attempts: 1 };
        let (sender, head) = oneshot::channel();
        // Its other end is a line below.
        let _ = sender.send(Head::Stream { from, headers: HeaderMap::new() });
        let (writer, tee) = tee::tee(metrics);
        writer.give_up();
        let presence =
            CallerPresence { _present: Present::Elsewhere { _viewer: channel.attend() } };
        let caller = Caller { head, tee, presence };
        Self { id, traceparent, index, first_seq: cursor.seq, caller }
    }
}

/// Runs generations.
#[derive(Clone)]
pub struct Generations {
    tasks: TaskTracker,
    /// Pulled when the gateway gives up what still runs.
    stop: CancellationToken,
    telemetry: Telemetry,
}

impl Generations {
    /// Nothing runs yet.
    pub fn new(telemetry: Telemetry) -> Self {
        Self { tasks: TaskTracker::new(), stop: CancellationToken::new(), telemetry }
    }

    /// Begins a generation: its `started` is on the channel when this returns.
    pub fn launch(&self, order: Order) -> Result<Launched, AppendError> {
        let id = GenerationId::random();
        let first = order.attempts.first().expect("an order has an attempt");
        let mut recorder = self.recorder(&order, &id);
        let started = Started {
            id: id.as_str().to_owned(),
            model: order.model.clone(),
            provider: first.provider.name().to_owned(),
            dialect: first.dialect.as_str().to_owned(),
            created_ms: clock::now_ms(),
            traceparent: recorder.trace().map(|trace| trace.traceparent()).unwrap_or_default(),
        };
        let traceparent = started.traceparent.clone();
        let stop = self.stop.child_token();
        let producer = order.channel.begin(started, stop.clone())?;
        let (index, first_seq) = (producer.index(), producer.cursor().seq);
        let (head_sender, head) = oneshot::channel();
        recorder.begun();
        let (tee, reader) = tee::tee(&self.telemetry.metrics);
        let (present, caller_present) = watch::channel(());
        let stop = vigil::Stop { own: stop, gateway: self.stop.clone() };
        let ends = voice::Ends { producer, head: head_sender, tee, recorder };
        let deposit = order.handover.clone();
        let deposit = deposit.map(|it| it.deposit(order.channel.key().clone(), id.clone()));
        let task = task::Task::new(order, id.clone(), ends, stop, caller_present, deposit);
        self.tasks.spawn(task.run());
        let presence = CallerPresence { _present: Present::Here { _caller: present } };
        Ok(Launched {
            id,
            traceparent,
            index,
            first_seq,
            caller: Caller { head, tee: reader, presence },
        })
    }

    fn recorder(&self, order: &Order, id: &GenerationId) -> Recorder {
        let first = order.attempts.first().expect("an order has an attempt");
        let (telemetry, about) = (self.telemetry.clone(), order.about(id));
        Recorder::new(telemetry, about, first.provider.name(), Instant::now())
    }

    /// How many run.
    pub fn running(&self) -> usize {
        self.tasks.len()
    }

    /// Waits for all that run; after `grace`, gives up what still does (`gateway_lost`). Nothing can be launched meanwhile by a gateway
    /// that has closed its doors.
    pub async fn shut_down(&self, grace: std::time::Duration) {
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            self.stop.cancel();
            if tokio::time::timeout(ENDS_WITHIN, self.tasks.wait()).await.is_err() {
                tracing::warn!(running = self.tasks.len(), "generations could not be ended");
            }
        }
    }
}

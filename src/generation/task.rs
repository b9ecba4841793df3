//! The task of one generation: one call after another until it has ended, and one terminal event at the end.
//!
//! Which call comes next is `attempts`'s to say; a call is made in `attempt`; what it says is said by `voice`; what may end
//! a wait is `vigil`'s.

use std::{sync::Arc, time::Duration};

use reqwest::header::HeaderValue;
use tokio::{sync::watch, time::Instant};
use tracing::Instrument;

use super::{
    Answerer, Attempt, OnBreak, Order,
    attempts::{Attempts, Next},
    ingest::Ingest,
    said::Said,
    setback::{Answer, Setback},
    trouble::Trouble,
    vigil::{Stop, Vigil},
    voice::{Ends, Voice},
};
use crate::{
    channel::Deposit,
    dialect::{AppRequest, Ending, Joint},
    event::{Failed, FailureCode, Resumed},
    ident::GenerationId,
    provider::Request,
    route::{Health, Outcome, Permit},
    telemetry::Called,
};

/// How long a key rests that a provider limits without saying for how long: the span that most count requests over.
const KEY_REST: Duration = Duration::from_secs(60);

/// What a gateway that was lost had made of a generation.
pub(super) struct Begun {
    pub(super) at: Instant,
    pub(super) said: Said,
    /// The provider that spoke last.
    pub(super) speaker: String,
    /// Why it goes on elsewhere.
    pub(super) why: &'static str,
}

pub(super) struct Task {
    pub(super) id: GenerationId,
    pub(super) targets: Vec<Attempt>,
    pub(super) attempts: Attempts,
    pub(super) voice: Voice,
    pub(super) ingest: Ingest,
    pub(super) vigil: Vigil,
    call: Arc<AppRequest>,
    health: Arc<Health>,
    mends: bool,
    /// Of the call that runs.
    permit: Option<Permit>,
    /// A provider is at work on a call.
    calling: bool,
    joint: Option<Joint>,
    /// The target that the channel was told of.
    speaker: usize,
    /// Something was said, and the one who said it broke.
    broken: bool,
    /// A target has refused a prefill.
    no_prefill: bool,
    /// Why the last call came to nothing.
    why: String,
    /// Who spoke at the gateway that was lost, until somebody goes on.
    lost: Option<String>,
    /// What another gateway goes on with, if this one is.
    deposit: Option<Deposit>,
    /// What the app is answered with if nothing better follows.
    last: Option<Answer>,
}

impl Task {
    pub(super) fn new(
        order: Order,
        id: GenerationId,
        ends: Ends,
        stop: Stop,
        caller: watch::Receiver<()>,
        deposit: Option<Deposit>,
    ) -> Self {
        let first = order.attempts.first().expect("an order has an attempt");
        let nobody = first.answerer(0, 0);
        let viewers = ends.producer.channel().viewers();
        let mends = order.failover.on_break == OnBreak::Continue;
        Self {
            ingest: Ingest::new(first.dialect, Arc::clone(&first.provider), id.as_str()),
            id,
            attempts: Attempts::new(order.failover, order.attempts.len(), Instant::now()),
            targets: order.attempts,
            voice: Voice::new(ends, mends, nobody).on_account_of(order.account),
            vigil: Vigil::new(stop, order.timeouts, order.on_disconnect, viewers, caller),
            call: order.call,
            health: order.health,
            mends,
            permit: None,
            calling: false,
            joint: None,
            speaker: 0,
            broken: false,
            no_prefill: false,
            why: String::new(),
            lost: None,
            deposit,
            last: None,
        }
    }

    /// The same, with a beginning that another gateway made.
    pub(super) fn go_on(mut self, begun: Begun, now: Instant) -> Self {
        let Begun { at, said, speaker, why } = begun;
        let first = &self.targets[0];
        self.voice.go_on(said, first.price, &first.request.body);
        self.vigil.began_elsewhere(at, now);
        (self.lost, self.broken, self.why) = (Some(speaker), true, why.to_owned());
        self
    }

    pub(super) async fn run(mut self) {
        let provider = self.targets[0].provider.name();
        let trace = self.voice.recorder().trace().map(|trace| trace.trace_id());
        let span = tracing::info_span!("generation", id = %self.id, provider, trace);
        async {
            tracing::debug!("started");
            if let Err(failed) = self.generate().await {
                if failed.code == FailureCode::GatewayLost && self.is_left_to_another() {
                    tracing::info!("left to another gateway");
                    return self.voice.leave();
                }
                self.fail(failed).await;
            }
            if let Some(deposit) = self.deposit.take().filter(|_| self.voice.has_ended()) {
                deposit.withdraw();
            }
        }
        .instrument(span)
        .await;
    }

    /// Whether this gateway gives it up, and another can go on.
    fn is_left_to_another(&self) -> bool {
        let is_left = self.deposit.as_ref().is_some_and(Deposit::is_there);
        is_left && self.vigil.is_given_up() && self.voice.said().obstacle().is_none()
    }

    /// Ok: the terminal event was appended. Err: it is still to be.
    async fn generate(&mut self) -> Result<(), Failed> {
        let mut next = self.attempts.first();
        loop {
            let Next::Call { target, after, anyway } = next else { return self.give_up().await };
            if !after.is_zero() {
                let pause = tokio::time::sleep(after);
                self.vigil.unless_ended(pause).await.map_err(|cut| cut.failed())?;
            }
            let now = Instant::now();
            next = match self.admit(target, now) {
                Err(until) if !anyway => self.attempts.rests(until, now),
                _ => match self.call(target, now).await? {
                    None => return Ok(()),
                    Some(setback) => self.after(target, setback),
                },
            };
        }
    }

    /// Asks to call a target. Err: it rests, until when.
    fn admit(&mut self, target: usize, now: Instant) -> Result<(), Option<Instant>> {
        let Attempt { provider, model, .. } = &self.targets[target];
        match self.health.admit(provider.name(), model, now) {
            Ok(permit) => {
                self.permit = Some(permit);
                Ok(())
            }
            Err(resting) => {
                self.permit = None;
                self.why = format!("{} rests: {}", provider.name(), resting.why);
                Err(resting.until)
            }
        }
    }

    /// Calls a target and says what it says.
    async fn call(&mut self, target: usize, now: Instant) -> Result<Option<Setback>, Failed> {
        let Some(mut request) = self.request(target) else {
            self.permit = None;
            let message = "what was said cannot be gone on with";
            let failed = Failed::new(FailureCode::UpstreamError, message);
            let setback = Setback::of_failure(failed, Vec::new());
            return Ok(Some(Setback { trouble: Trouble::unsayable(), ..setback }));
        };
        let Attempt { provider, model, dialect, price, .. } = &self.targets[target];
        if target != self.speaker || self.broken {
            let speaker = self.targets[self.speaker].provider.name();
            let resumed = Resumed {
                from: self.lost.take().unwrap_or_else(|| speaker.to_owned()),
                to: provider.name().to_owned(),
                reason: self.why.clone(),
                dialect: dialect.as_str().to_owned(),
            };
            tracing::info!(
                from = resumed.from,
                to = resumed.to,
                reason = resumed.reason,
                "goes on"
            );
            self.voice.resume(resumed)?;
            (self.speaker, self.broken) = (target, false);
        }
        self.ingest = Ingest::new(*dialect, Arc::clone(provider), self.id.as_str());
        let price = *price;
        self.attempts.called();
        let called = Called {
            provider: provider.name(),
            dialect: dialect.as_str(),
            model,
            server: provider.server(),
        };
        if let Some(trace) = self.voice.recorder().called(&called, now) {
            trace.tell(&mut request.headers);
        }
        let from = self.answerer(target);
        self.voice.begin(from, price, &request.body, self.joint);
        self.vigil.deadlines.on_call(now);
        self.calling = true;
        let ended = self.attempt(target, request).await;
        self.calling = ended.is_err();
        match &ended {
            Ok(None) => self.end_permit(Outcome::Good),
            Ok(Some(setback @ Setback { trouble, .. })) => {
                self.voice.recorder().set_back(setback.kind(), Instant::now());
                let provider = self.targets[target].provider.name();
                tracing::info!(provider, why = trouble.why, "a call came to nothing");
            }
            // Whoever ended it says nothing of the target.
            Err(_) => self.permit = None,
        }
        ended
    }

    /// The call as it goes to a target: as it came, or going on from what was said. `None`: that cannot be written for it.
    fn request(&mut self, target: usize) -> Option<Request> {
        let Attempt { model, dialect, request, .. } = &self.targets[target];
        let (mut request, said) = (request.clone(), self.voice.said().text());
        // White space alone is not gone on from, but not said twice either.
        self.joint = (!said.is_empty()).then_some(Joint::Prefill);
        if said.trim().is_empty() {
            return Some(request);
        }
        let on = self.call.continued(said, *dialect, model, !self.no_prefill).ok()?;
        self.joint = Some(on.joint);
        request.path = on.upstream.path;
        request.body = on.upstream.body;
        for (name, value) in on.upstream.headers {
            if let (false, Ok(value)) =
                (request.headers.contains_key(name), HeaderValue::from_str(&value))
            {
                request.headers.insert(name, value);
            }
        }
        Some(request)
    }

    /// What follows a setback.
    fn after(&mut self, target: usize, setback: Setback) -> Next {
        let Setback { trouble, key, status, said, answer } = setback;
        let (now, random) = (Instant::now(), rand::random());
        let Attempt { provider, .. } = &self.targets[target];
        let mut at_once = false;
        if let Some(key) = key.filter(|_| trouble.key) {
            provider.rest_key(key, now + trouble.after.unwrap_or(KEY_REST));
            at_once = provider.has_rested_key(now);
        }
        if self.joint == Some(Joint::Prefill) && status == 400 {
            // Newer models take none.
            (self.no_prefill, at_once) = (true, true);
        }
        self.vigil.deadlines.on_setback(now);
        match at_once {
            // One of its keys, or one way of asking, says nothing of the target.
            true => self.permit = None,
            false => self.end_permit(trouble.outcome),
        }
        self.why.clone_from(&trouble.why);
        let goes_on = self.mends && self.voice.said().obstacle().is_none();
        let next = match said {
            false => self.attempts.refused(&trouble, at_once, random, now),
            true if goes_on => self.attempts.broke(&trouble, random, now),
            true => Next::GiveUp,
        };
        // Once something was said, it is the break that the app is told of, and not what could not mend it.
        let counts = said || !self.voice.has_answered();
        if !counts || next != Next::GiveUp {
            self.voice.set_back();
        }
        if counts {
            let later = !said && next != Next::GiveUp;
            self.last = Some(if later { answer.without_stream() } else { answer });
        }
        self.broken |= said;
        next
    }

    /// Nothing is left to be tried.
    async fn give_up(&mut self) -> Result<(), Failed> {
        match self.last.take() {
            Some(answer) => self.voice.end(answer).await,
            None => Err(Failed {
                status: 503,
                ..Failed::new(
                    FailureCode::UpstreamError,
                    format!("no target takes calls: {}", self.why),
                )
            }),
        }
    }

    /// Says the last events of a generation that was ended from outside its stream.
    async fn fail(&mut self, failed: Failed) {
        let (mut events, _) = self.ingest.finish(Ending::Stopped(failed.clone()));
        if self.calling {
            self.voice.stopped();
        }
        self.voice.count(&mut events);
        self.voice.set_back();
        // It tells an end even where the channel takes none.
        let _ = self.voice.end(Answer::Failed { failed, events }).await;
    }

    /// The call that runs has shown how its target is.
    pub(super) fn end_permit(&mut self, outcome: Outcome) {
        if let Some(permit) = self.permit.take() {
            permit.end(outcome, Instant::now());
        }
    }

    pub(super) fn answerer(&self, target: usize) -> Answerer {
        self.targets[target].answerer(target, self.attempts.calls())
    }
}

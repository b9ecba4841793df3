//! What one generation says: events on its channel, then the payloads they came from to its app; and one last event.
//!
//! What an attempt says before it says anything that can be seen waits in its opening, so that another attempt can take
//! its place without a trace.

use reqwest::header::HeaderMap;
use tokio::{sync::oneshot, time::Instant};

use super::{
    Account, Answerer, Head,
    held::Held,
    ingest::Carried,
    overlap::{Overlap, Restarted},
    said::{self, Said, says_something},
    setback::{Answer, failure_in, limit},
    tally::Tally,
    tee::{Payload, Tee},
};
use crate::{
    channel::{AppendError, Producer},
    dialect::{Joint, split},
    event::{Event, Failed, FailureCode, Kind, Resumed, TimeoutPhase, Usage},
    route::Price,
    sequence::Cursor,
    telemetry::Recorder,
};

/// More than this is no opening: it is passed on, seen or not.
const OPENING_BYTES_MAX: usize = 64 * 1024;

/// Where what is said goes: to the channel, to the app, and to whoever keeps count.
pub(super) struct Ends {
    pub(super) producer: Producer,
    pub(super) head: oneshot::Sender<Head>,
    pub(super) tee: Tee,
    pub(super) recorder: Recorder,
}

pub(super) struct Voice {
    producer: Producer,
    recorder: Recorder,
    head: Option<oneshot::Sender<Head>>,
    /// Who was called last.
    from: Answerer,
    tee: Tee,
    tally: Tally,
    said: Said,
    /// Only where a break is to be mended.
    mending: Option<Mending>,
    /// Of an attempt that has said nothing that can be seen.
    opening: Option<Opening>,
    /// Until the generation has ended.
    account: Option<Box<dyn Account>>,
    /// Payloads whose events are not shown yet, each with the seq after them.
    withheld: Vec<(Carried, u64)>,
}

#[derive(Default)]
struct Mending {
    held: Held,
    overlap: Option<Overlap>,
}

#[derive(Default)]
struct Opening {
    head: Option<(Answerer, HeaderMap)>,
    events: Vec<Event>,
    payloads: Vec<Carried>,
    bytes: usize,
}

/// Why something was not said.
pub(super) enum Unsaid {
    /// The generation cannot go on.
    Failed(Failed),
    /// This attempt cannot.
    Restarted,
}

impl From<Failed> for Unsaid {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}

impl From<Restarted> for Unsaid {
    fn from(_: Restarted) -> Self {
        Self::Restarted
    }
}

impl Voice {
    /// `mends`: a break in mid-stream is to be mended. `from`: who stands for it until somebody was called.
    pub(super) fn new(ends: Ends, mends: bool, from: Answerer) -> Self {
        let Ends { producer, head, tee, recorder } = ends;
        if mends {
            tee.give_up();
        }
        Self {
            producer,
            recorder,
            head: Some(head),
            from,
            tee,
            tally: Tally::default(),
            said: Said::new(mends),
            mending: mends.then(Mending::default),
            opening: None,
            account: None,
            withheld: Vec::new(),
        }
    }

    /// Told of what is not said.
    pub(super) fn recorder(&mut self) -> &mut Recorder {
        &mut self.recorder
    }

    /// Tells this account what is used.
    pub(super) fn on_account_of(self, account: Box<dyn Account>) -> Self {
        Self { account: Some(account), ..self }
    }

    /// Goes on from what another gateway said, in answer to a call with this body.
    pub(super) fn go_on(&mut self, said: Said, price: Option<Price>, body: &[u8]) {
        self.tally.begin(price, body);
        self.tally.said(said.text().len() as u64);
        self.said = said;
    }

    /// Whether the last was said, and nobody else says more.
    pub(super) fn has_ended(&self) -> bool {
        self.producer.has_ended()
    }

    /// Says nothing more, and leaves the end to another gateway.
    pub(super) fn leave(&mut self) {
        self.producer.leave();
    }

    /// What was said so far.
    pub(super) fn said(&self) -> &Said {
        &self.said
    }

    /// A call goes out with this body. `joint`: it goes on from the text so far.
    pub(super) fn begin(
        &mut self,
        from: Answerer,
        price: Option<Price>,
        body: &[u8],
        joint: Option<Joint>,
    ) {
        self.from = from;
        self.tally.begin(price, body);
        self.opening = Some(Opening::default());
        if let Some(mending) = &mut self.mending {
            mending.overlap = joint.map(|joint| Overlap::new(self.said.text(), joint));
        }
    }

    /// The provider streams. `at_once`: the app is told before anything was said, as nothing could take its place.
    pub(super) fn answered(&mut self, from: Answerer, headers: HeaderMap, at_once: bool) {
        if let Some(opening) = &mut self.opening {
            opening.head = Some((from, headers));
        }
        if at_once {
            self.open();
        }
    }

    /// Whether the app was told who answers: nothing that it was told can be taken back.
    pub(super) fn has_answered(&self) -> bool {
        self.head.is_none()
    }

    /// Whether the call that runs has said something that can be seen.
    pub(super) fn is_open(&self) -> bool {
        self.opening.is_none()
    }

    /// The call that ran came to nothing: what it has not said stays unsaid.
    pub(super) fn set_back(&mut self) {
        self.opening = None;
    }

    /// Another provider goes on.
    pub(super) fn resume(&mut self, resumed: Resumed) -> Result<(), Failed> {
        let mut events = self.mending.as_mut().map(|it| it.held.void()).unwrap_or_default();
        events.push(Event::new(Kind::Resumed(resumed)));
        self.append(&mut events)
    }

    /// The call that runs is ended while the provider is at work on it.
    pub(super) fn stopped(&mut self) {
        self.tally.stopped();
    }

    /// Adds what was decoded to the counts, and makes each usage that of all calls. To be done once with all events.
    pub(super) fn count(&mut self, events: &mut [Event]) {
        for event in events {
            self.tally.said(said::bytes(&event.kind));
            if let Kind::Usage(usage) = &mut event.kind {
                self.tally.given(std::mem::take(usage));
                *usage = self.tally.total(false).expect("one was given");
            }
        }
    }

    /// Says what was decoded; what the app is to be given of it waits for [`Voice::shown`]. `finished`: the provider has
    /// said how it ended.
    pub(super) fn say(
        &mut self,
        mut events: Vec<Event>,
        mut payloads: Vec<Carried>,
        finished: bool,
    ) -> Result<(), Unsaid> {
        self.count(&mut events);
        if let Some(opening) = &mut self.opening {
            let speaks = events.iter().any(says_something);
            opening.add(events, payloads);
            if !speaks && opening.bytes <= OPENING_BYTES_MAX {
                return Ok(());
            }
            (events, payloads) = self.open();
        }
        let mut events = self.mend(events, finished)?;
        Ok(self.tell(&mut events, payloads)?)
    }

    /// Waits until what was said is shown, and gives the app its payloads.
    pub(super) async fn shown(&mut self) {
        let cursor = self.producer.shown().await;
        self.tee.push(self.withheld.drain(..).map(|(payload, seq)| Payload {
            name: payload.name,
            data: payload.data,
            usage_only: payload.usage_only,
            cursor: Cursor { seq, ..cursor },
        }));
    }

    /// Says the generation's last, and tells the app once it is shown. Err: its last event is still to be said.
    pub(super) async fn end(&mut self, answer: Answer) -> Result<(), Failed> {
        match answer {
            Answer::Stream { events, payloads, untold } => {
                let (events, mut payloads) = match &mut self.opening {
                    Some(opening) => {
                        opening.add(events, payloads);
                        self.open()
                    }
                    None => (events, payloads),
                };
                let mut events = self.conclude(events, &mut payloads);
                self.tell(&mut events, payloads)?;
                self.shown().await;
                self.tee.end(untold);
                Ok(())
            }
            Answer::Whole { from, status, headers, body, events } => {
                let mut events = self.conclude(events, &mut []);
                let appended = self.append(&mut events);
                self.shown().await;
                self.answer(Head::Whole { from, status, headers, body });
                self.tee.end(None);
                appended
            }
            Answer::Failed { failed, mut events } => {
                if !events.last().is_some_and(Event::is_terminal) {
                    // The decoder has said its last already, and that could not be appended.
                    events.push(Event::new(Kind::Failed(failed.clone())));
                }
                let mut events = self.conclude(events, &mut []);
                // What cannot be appended any more, because the channel is gone or full, still ends; as the last resort
                // the producer says so itself when it is dropped.
                if self.append(&mut events).is_err() {
                    let _ = self.append(&mut [Event::new(Kind::Failed(failed.clone()))]);
                }
                // Only now: whoever is told of the end finds it on the channel.
                self.shown().await;
                let from = self.from.clone();
                self.answer(Head::Failed { from, failed: failed.clone() });
                self.tee.end(Some(failed));
                Ok(())
            }
        }
    }

    /// The attempt is seen from here on.
    fn open(&mut self) -> (Vec<Event>, Vec<Carried>) {
        let Some(Opening { head, events, payloads, .. }) = self.opening.take() else {
            return Default::default();
        };
        if let Some((from, headers)) = head {
            self.answer(Head::Stream { from, headers });
        }
        (events, payloads)
    }

    /// Leaves out what is said twice, and holds back what may have to be taken back.
    fn mend(&mut self, events: Vec<Event>, finished: bool) -> Result<Vec<Event>, Restarted> {
        let Some(Mending { held, overlap }) = &mut self.mending else { return Ok(events) };
        let Some(overlap) = overlap else { return Ok(held.pass(events, finished)) };
        let mut fresh = Vec::with_capacity(events.len());
        for event in events {
            let text = match &event.kind {
                Kind::Text(text) if event.choice == 0 => overlap.push(text)?,
                Kind::ToolCall(_) | Kind::ChoiceFinished(_) | Kind::Finished(_) => overlap.finish(),
                _ => String::new(),
            };
            if !text.is_empty() {
                split(Event::text(text), &mut fresh).expect("text can be split");
            }
            if !matches!(&event.kind, Kind::Text(_) if event.choice == 0) {
                fresh.push(event);
            }
        }
        Ok(held.pass(fresh, finished))
    }

    /// The last events, with the usage of all calls before the very last.
    fn conclude(&mut self, events: Vec<Event>, payloads: &mut [Carried]) -> Vec<Event> {
        let unmended = events.last().cloned();
        // A continuation that turns out to be another answer only at its very end: its end is all that can be said.
        let mut events = self.mend(events, true).unwrap_or_else(|_| unmended.into_iter().collect());
        let total = self.tally.total(failure_in(&events).is_some());
        let ends = events.last().is_some_and(Event::is_terminal);
        let told: Option<&mut Usage> = events.iter_mut().rev().find_map(|it| match &mut it.kind {
            Kind::Usage(usage) => Some(usage),
            _ => None,
        });
        match (total, told) {
            (Some(total), Some(told)) => *told = total,
            (Some(total), None) if ends => {
                let count = events.len() as u64;
                events.insert(events.len() - 1, Event::new(Kind::Usage(total)));
                let last = payloads.iter_mut().filter(|payload| payload.events_before == count);
                last.for_each(|payload| payload.events_before += 1);
            }
            _ => {}
        }
        events
    }

    /// Tells the account. It is closed before anybody is told that the generation has ended: whoever is may begin another.
    fn settle(&mut self, events: &[Event]) {
        if let Some(account) = &mut self.account {
            for event in events {
                if let Kind::Usage(usage) = &event.kind {
                    account.used(usage, self.tally.cost(failure_in(events).is_some()));
                }
            }
        }
        if events.last().is_some_and(Event::is_terminal) {
            self.account = None;
        }
    }

    fn tell(&mut self, events: &mut [Event], payloads: Vec<Carried>) -> Result<(), Failed> {
        if !events.is_empty() {
            self.append(events)?;
        }
        if self.mending.is_some() {
            return Ok(());
        }
        let (last, count) = (self.producer.cursor().seq, events.len() as u64);
        let seqs = payloads.into_iter().map(|payload| {
            let seq = last - (count - payload.events_before);
            (payload, seq)
        });
        self.withheld.extend(seqs);
        Ok(())
    }

    fn append(&mut self, events: &mut [Event]) -> Result<(), Failed> {
        self.settle(events);
        match self.producer.append(events) {
            Ok(_) => {
                log_end(events);
                self.recorder.said(events, Instant::now());
                self.said.note(events);
                Ok(())
            }
            Err(AppendError::Closed) => {
                Err(Failed::new(FailureCode::Cancelled, "the channel was deleted"))
            }
            Err(AppendError::Store(error)) => {
                Err(Failed::new(FailureCode::GatewayLost, error.to_string()))
            }
            Err(error) => Err(limit(error.to_string())),
        }
    }

    fn answer(&mut self, answer: Head) {
        if let Some(head) = self.head.take() {
            // The caller may be gone; the generation goes on.
            let _ = head.send(answer);
        }
    }
}

impl Opening {
    fn add(&mut self, events: Vec<Event>, payloads: Vec<Carried>) {
        let before = self.events.len() as u64;
        self.bytes += payloads.iter().map(|payload| payload.data.len()).sum::<usize>();
        self.events.extend(events);
        self.payloads.extend(
            payloads.into_iter().map(|payload| Carried {
                events_before: payload.events_before + before,
                ..payload
            }),
        );
    }
}

/// Says how it ended, once that is on the channel. A provider's own words are left out: they may quote the prompt.
fn log_end(events: &[Event]) {
    match events.last().map(|event| &event.kind) {
        Some(Kind::Finished(end)) => tracing::debug!(reason = end.reason.as_str(), "finished"),
        Some(Kind::Failed(failed)) => {
            let Failed { code, status, phase, message } = failed;
            let (code, phase) = (code.as_str(), phase.map(TimeoutPhase::as_str));
            let ours = (failed.code != FailureCode::UpstreamError).then_some(message);
            tracing::info!(code, status, phase, message = ours, "failed");
        }
        _ => {}
    }
}

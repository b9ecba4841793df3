//! The task of one generation: call, decode, append, release; and one terminal event at the end.
//!
//! What the bytes mean is `ingest`'s; what may end a wait is `vigil`'s.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use futures_util::StreamExt;
use reqwest::{StatusCode, header};
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};
use tracing::Instrument;

use super::{
    Answerer, Head, Order,
    ingest::{Carried, Ingest, Next},
    tee::{Payload, Tee},
    vigil::{Cut, Stop, Vigil},
};
use crate::{
    channel::{AppendError, Producer},
    dialect::{Dialect, Ending},
    event::{Event, Failed, FailureCode, Kind, TimeoutPhase},
    ident::GenerationId,
    provider::{CallError, Provider, Request, Response, framing::Framing},
    sequence::Cursor,
};

/// The largest whole body that is taken from a provider: a long answer with images.
const WHOLE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long the rest of a provider's response is awaited after its end was seen, so that the connection can be used
/// again. Nobody waits for this.
const TRAILER_WAIT: Duration = Duration::from_secs(1);

pub(super) struct Task {
    id: GenerationId,
    provider: Arc<Provider>,
    dialect: Dialect,
    request: Option<Request>,
    producer: Producer,
    head: Option<oneshot::Sender<Head>>,
    tee: Tee,
    ingest: Ingest,
    vigil: Vigil,
}

impl Task {
    pub(super) fn new(
        order: Order,
        id: GenerationId,
        producer: Producer,
        stop: Stop,
        (head, tee, caller): (oneshot::Sender<Head>, Tee, watch::Receiver<()>),
    ) -> Self {
        let attempt = order.attempts.into_iter().next().expect("an order has an attempt");
        let viewers = producer.channel().viewers();
        let vigil = Vigil::new(stop, order.timeouts, order.on_disconnect, viewers, caller);
        Self {
            ingest: Ingest::new(attempt.dialect, Arc::clone(&attempt.provider), id.as_str()),
            id,
            provider: attempt.provider,
            dialect: attempt.dialect,
            request: Some(attempt.request),
            producer,
            head: Some(head),
            tee,
            vigil,
        }
    }

    pub(super) async fn run(mut self) {
        let span =
            tracing::info_span!("generation", id = %self.id, provider = self.provider.name());
        async {
            tracing::debug!("started");
            match self.generate().await {
                Ok(()) => {}
                Err(failed) => self.fail(failed),
            }
        }
        .instrument(span)
        .await;
    }

    /// Ok: the terminal event was appended. Err: it is still to be.
    async fn generate(&mut self) -> Result<(), Failed> {
        let request = self.request.take().expect("a task runs once");
        let provider = Arc::clone(&self.provider);
        let answer = match self.vigil.unless_ended(provider.call(request)).await {
            Ok(answer) => answer.map_err(call_failed)?,
            Err(cut) => return Err(cut.failed()),
        };
        let framing = framing(self.dialect, &answer).filter(|_| answer.status.is_success());
        match framing {
            Some(_) if is_encoded(&answer.headers) => Err(encoded()),
            Some(framing) => {
                self.ingest.begin(framing);
                self.stream(answer).await
            }
            None => self.whole(answer).await,
        }
    }

    /// Says the last events of a generation that was ended from outside its stream.
    fn fail(&mut self, failed: Failed) {
        let (mut events, _) = self.ingest.finish(Ending::Stopped(failed.clone()));
        if !events.last().is_some_and(Event::is_terminal) {
            // The decoder has said its last already, and that could not be appended.
            events.push(Event::new(Kind::Failed(failed.clone())));
        }
        // What cannot be appended any more, because the channel is gone or full, still ends; as the last resort the
        // producer says so itself when it is dropped.
        if self.append(&mut events).is_err() {
            let _ = self.append(&mut [Event::new(Kind::Failed(failed.clone()))]);
        }
        // Only now: whoever is told of the end finds it on the channel.
        self.answer(Head::Failed(failed.clone()));
        self.tee.end(Some(failed));
    }

    async fn stream(&mut self, answer: Response) -> Result<(), Failed> {
        let Response { headers, mut body, .. } = answer;
        let from = self.answerer();
        self.answer(Head::Stream { from, headers });
        loop {
            let chunk = match self.vigil.unless_ended(body.next()).await {
                Ok(chunk) => chunk,
                Err(Cut::Failed(failed)) => return Err(failed),
                Err(Cut::Linger) => return self.finish(Ending::Eof),
            };
            match chunk {
                Some(Ok(bytes)) => {
                    let now = Instant::now();
                    match self.ingest.push(bytes, &mut self.vigil.deadlines, now) {
                        Ok(Next::More) => self.say()?,
                        Err(error) => {
                            self.say()?;
                            return Err(limit(error.to_string()));
                        }
                        Ok(Next::Ended) => {
                            self.finish(Ending::Terminator)?;
                            let rest = async { while let Some(Ok(_)) = body.next().await {} };
                            // Whether or not it came in time, the generation is over.
                            let _ = tokio::time::timeout(TRAILER_WAIT, rest).await;
                            return Ok(());
                        }
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "the provider's stream broke");
                    return self.finish(Ending::Eof);
                }
                None => {
                    let ending = self.ingest.end_of_stream();
                    return self.finish(ending);
                }
            }
        }
    }

    /// A body that is not a stream: an error, or an answer that was asked for whole.
    async fn whole(&mut self, answer: Response) -> Result<(), Failed> {
        let Response { status, headers, mut body, .. } = answer;
        let mut whole = BytesMut::new();
        loop {
            match self.vigil.unless_ended(body.next()).await {
                Ok(Some(Ok(bytes))) => whole.extend_from_slice(&bytes),
                Ok(Some(Err(error))) => {
                    let message = format!("the provider's answer broke off: {error}");
                    return Err(Failed::new(FailureCode::UpstreamCut, message));
                }
                Ok(None) => break,
                Err(cut) => return Err(cut.failed()),
            }
            if whole.len() > WHOLE_BYTES_MAX {
                return Err(limit(format!(
                    "the provider's answer exceeds {WHOLE_BYTES_MAX} bytes"
                )));
            }
        }
        let body = self.provider.scrub(whole.freeze());
        let mut events = match status.is_success() {
            // The app may know how to unpack it; its events are not to be had.
            true if is_encoded(&headers) => self.ingest.finish(Ending::Stopped(encoded())).0,
            true => self.ingest.whole(self.id.as_str(), &body),
            false => {
                let failed = self.refused(status, &body);
                self.ingest.finish(Ending::Stopped(failed)).0
            }
        };
        let appended = self.append(&mut events);
        let from = self.answerer();
        self.answer(Head::Whole { from, status, headers, body });
        self.tee.end(None);
        appended
    }

    /// Appends what was decoded, then releases the payloads it came from.
    fn say(&mut self) -> Result<(), Failed> {
        let (mut events, payloads) = self.ingest.take();
        self.release(&mut events, payloads)
    }

    fn release(&mut self, events: &mut [Event], payloads: Vec<Carried>) -> Result<(), Failed> {
        if !events.is_empty() {
            self.append(events)?;
        }
        let (last, count) = (self.producer.cursor(), events.len() as u64);
        self.tee.push(payloads.into_iter().map(|payload| Payload {
            name: payload.name,
            data: payload.data,
            usage_only: payload.usage_only,
            cursor: Cursor { seq: last.seq - (count - payload.events_before), ..last },
        }));
        Ok(())
    }

    /// The stream is over: the decoder says what that means.
    fn finish(&mut self, ending: Ending) -> Result<(), Failed> {
        let by_payload = ending == Ending::Terminator;
        let (mut events, mut payloads) = self.ingest.finish(ending);
        let told =
            by_payload && payloads.last().is_some_and(|last| self.ingest.tells_failure(last));
        let untold = match events.last().map(|event| &event.kind) {
            Some(Kind::Failed(failed)) if !told => Some(failed.clone()),
            _ => None,
        };
        if untold.is_some() {
            // The word for a good end would be believed.
            payloads.pop_if(|last| last.data.trim_ascii() == b"[DONE]");
        }
        self.release(&mut events, payloads)?;
        self.tee.end(untold);
        Ok(())
    }

    fn append(&mut self, events: &mut [Event]) -> Result<(), Failed> {
        match self.producer.append(events) {
            Ok(_) => {
                log_end(events);
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

    fn answerer(&self) -> Answerer {
        let provider = self.provider.name().to_owned();
        Answerer { provider, dialect: self.dialect, attempts: 1 }
    }

    fn answer(&mut self, answer: Head) {
        if let Some(head) = self.head.take() {
            // The caller may be gone; the generation goes on.
            let _ = head.send(answer);
        }
    }

    /// A status that is no success. What a provider says of credentials may quote them, so that is not repeated.
    fn refused(&self, status: StatusCode, body: &[u8]) -> Failed {
        let failed = self.ingest.failure(status.as_u16(), body);
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let message = format!("the provider refused the gateway's credentials ({status})");
                Failed { message, ..failed }
            }
            _ => failed,
        }
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

fn call_failed(error: CallError) -> Failed {
    tracing::info!(%error, "the provider could not be called");
    match error {
        CallError::Connect(_) | CallError::Unsigned(_) => {
            Failed::new(FailureCode::UpstreamError, error.to_string())
        }
        CallError::Broken(_) => Failed::new(FailureCode::UpstreamCut, error.to_string()),
        CallError::ConnectTimeout(_) => Failed {
            phase: Some(TimeoutPhase::Connect),
            ..Failed::new(FailureCode::Timeout, error.to_string())
        },
    }
}

fn limit(message: String) -> Failed {
    Failed::new(FailureCode::Limit, message)
}

fn is_encoded(headers: &header::HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity")
}

fn encoded() -> Failed {
    let message = "the provider compressed its answer, which it was not asked to";
    Failed::new(FailureCode::UpstreamError, message)
}

fn framing(dialect: Dialect, answer: &Response) -> Option<Framing> {
    let content_type = answer.headers.get(header::CONTENT_TYPE);
    dialect.framing(content_type.and_then(|value| value.to_str().ok()).unwrap_or_default())
}

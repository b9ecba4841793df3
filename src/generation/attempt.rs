//! One call: sent, read, decoded, and said as it comes. It ends the generation, or it was a setback.

use std::time::Duration;

use bytes::BytesMut;
use futures_util::StreamExt;
use reqwest::{StatusCode, header};
use serde::de::IgnoredAny;
use tokio::time::Instant;

use super::{
    ingest::Next,
    setback::{Answer, Setback, call_failed, failure_in, is_mendable, limit},
    task::Task,
    trouble::{Remedy, Trouble},
    vigil::Cut,
    voice::Unsaid,
};
use crate::{
    dialect::{Dialect, Ending},
    event::{Failed, FailureCode},
    provider::{Request, Response, framing::Framing},
    route::Outcome,
};

/// The largest whole body that is taken from a provider: a long answer with images.
const WHOLE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long the rest of a provider's response is awaited after its end was seen, so that the connection can be used
/// again. Nobody waits for this.
const TRAILER_WAIT: Duration = Duration::from_secs(1);

/// How a call ended: the generation's last event was said, or another call may follow. Err: it ends the generation, and the
/// last event is still to be said.
pub(super) type Ended = Result<Option<Setback>, Failed>;

impl Task {
    /// Calls a target.
    pub(super) async fn attempt(&mut self, target: usize, request: Request) -> Ended {
        let provider = self.targets[target].provider.clone();
        // Where Google's path asks for no stream, JSON is a whole answer.
        let arrays = request.path.contains(":streamGenerateContent");
        let answer = match self.vigil.unless_ended(provider.call(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Ok(Some(self.set_back(call_failed(&error)))),
            Err(cut) => return self.cut(cut),
        };
        let key = answer.key;
        let framing = framing(self.targets[target].dialect, &answer);
        let framing = framing.filter(|it| arrays || !matches!(it, Framing::JsonArray(_)));
        let ended = match framing.filter(|_| answer.status.is_success()) {
            Some(_) if is_encoded(&answer.headers) => {
                let failed = encoded();
                Ok(Some(Setback { trouble: never(&failed), ..self.set_back(failed) }))
            }
            Some(framing) => {
                self.ingest.begin(framing);
                self.stream(target, answer).await
            }
            None => self.whole(target, answer).await,
        };
        ended.map(|setback| setback.map(|setback| Setback { key: key.or(setback.key), ..setback }))
    }

    async fn stream(&mut self, target: usize, answer: Response) -> Ended {
        let Response { headers, mut body, .. } = answer;
        let alone = self.attempts.is_last(Instant::now());
        self.voice.answered(self.answerer(target), headers, alone);
        loop {
            let chunk = match self.vigil.unless_ended(body.next()).await {
                Ok(chunk) => chunk,
                Err(Cut::Linger) => return self.finish(Ending::Eof).await,
                Err(cut) => return self.cut(cut),
            };
            match chunk {
                Some(Ok(bytes)) => {
                    let pushed = self.ingest.push(bytes, &mut self.vigil.deadlines, Instant::now());
                    match pushed {
                        Ok(Next::Ended) => {
                            let ended = self.finish(Ending::Terminator).await?;
                            if ended.is_none() {
                                self.end_permit(Outcome::Good);
                                let rest = async { while let Some(Ok(_)) = body.next().await {} };
                                // Whether or not it came in time, the generation is over.
                                let _ = tokio::time::timeout(TRAILER_WAIT, rest).await;
                            }
                            return Ok(ended);
                        }
                        Ok(Next::More) => {
                            if let Err(unsaid) = self.say() {
                                return self.unsaid(unsaid);
                            }
                            // A store that is slow holds up the reading, so that nothing piles up before it.
                            match self.vigil.unless_ended(self.voice.shown()).await {
                                Ok(()) => {}
                                Err(Cut::Linger) => return self.finish(Ending::Eof).await,
                                Err(cut) => return self.cut(cut),
                            }
                        }
                        Err(error) => {
                            return match self.say() {
                                Ok(()) => Err(limit(error.to_string())),
                                Err(unsaid) => self.unsaid(unsaid),
                            };
                        }
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "the provider's stream broke");
                    return self.finish(Ending::Eof).await;
                }
                None => {
                    let ending = self.ingest.end_of_stream();
                    return self.finish(ending).await;
                }
            }
        }
    }

    /// A body that is not a stream: an error, or an answer that was asked for whole.
    async fn whole(&mut self, target: usize, answer: Response) -> Ended {
        let Response { status, headers, mut body, .. } = answer;
        let mut whole = BytesMut::new();
        loop {
            match self.vigil.unless_ended(body.next()).await {
                Ok(Some(Ok(bytes))) => whole.extend_from_slice(&bytes),
                Ok(Some(Err(error))) => {
                    let message = format!("the provider's answer broke off: {error}");
                    let failed = Failed::new(FailureCode::UpstreamCut, message);
                    return Ok(Some(self.set_back(failed)));
                }
                Ok(None) => break,
                Err(cut) => return self.cut(cut),
            }
            if whole.len() > WHOLE_BYTES_MAX {
                return Err(limit(format!(
                    "the provider's answer exceeds {WHOLE_BYTES_MAX} bytes"
                )));
            }
        }
        let body = self.targets[target].provider.scrub(whole.freeze());
        let mut events = match status.is_success() {
            // The app may know how to unpack it; its events are not to be had.
            true if is_encoded(&headers) => self.ingest.finish(Ending::Stopped(encoded())).0,
            true => self.ingest.whole(self.id.as_str(), &body),
            false => {
                let failed = self.refused(status, &body);
                self.ingest.finish(Ending::Stopped(failed)).0
            }
        };
        if status.is_success() && !is_encoded(&headers) && is_cut(&body) {
            let message = "the provider's answer ends in the middle of its JSON";
            return Ok(Some(self.set_back(Failed::new(FailureCode::UpstreamCut, message))));
        }
        self.voice.count(&mut events);
        let dialect = self.targets[target].dialect;
        let trouble = match failure_in(&events) {
            _ if !status.is_success() => {
                Some(Trouble::of_status(dialect, status.as_u16(), &headers, &body))
            }
            // An error under 200.
            Some(failed) if !is_encoded(&headers) => Some(Trouble::of_payload(failed, &body)),
            _ => None,
        };
        let from = self.answerer(target);
        let refused = status.as_u16();
        let answer = Answer::Whole { from, status, headers, body, events };
        match trouble {
            Some(trouble) => {
                Ok(Some(Setback { trouble, key: None, status: refused, said: false, answer }))
            }
            None => self.voice.end(answer).await.map(|()| None),
        }
    }

    /// Says what was decoded.
    fn say(&mut self) -> Result<(), Unsaid> {
        let (events, payloads) = self.ingest.take();
        self.voice.say(events, payloads, self.vigil.deadlines.has_finished())
    }

    /// The stream is over: the decoder says what that means.
    async fn finish(&mut self, ending: Ending) -> Ended {
        let by_payload = ending == Ending::Terminator;
        let (mut events, mut payloads) = self.ingest.finish(ending);
        self.voice.count(&mut events);
        let told =
            by_payload && payloads.last().is_some_and(|last| self.ingest.tells_failure(last));
        let failed = failure_in(&events).cloned();
        let untold = failed.clone().filter(|_| !told);
        if untold.is_some() {
            // The word for a good end would be believed.
            payloads.pop_if(|last| last.data.trim_ascii() == b"[DONE]");
        }
        let teller = payloads.last().map(|payload| payload.data.clone()).unwrap_or_default();
        let said = self.voice.is_open();
        let answer = Answer::Stream { events, payloads, untold };
        let Some(failed) = failed.filter(is_mendable) else {
            return self.voice.end(answer).await.map(|()| None);
        };
        let trouble = match failed.code {
            FailureCode::UpstreamError => Trouble::of_payload(&failed, &teller),
            _ => Trouble::of_failure(&failed),
        };
        Ok(Some(Setback { trouble, key: None, status: 0, said, answer }))
    }

    /// The wait for the provider was not waited out.
    fn cut(&mut self, cut: Cut) -> Ended {
        let failed = cut.failed();
        match is_mendable(&failed) {
            true => Ok(Some(self.set_back(failed))),
            false => Err(failed),
        }
    }

    fn unsaid(&mut self, unsaid: Unsaid) -> Ended {
        match unsaid {
            Unsaid::Failed(failed) => Err(failed),
            Unsaid::Restarted => {
                let message = "the next provider began another answer";
                let failed = Failed::new(FailureCode::UpstreamError, message);
                Ok(Some(Setback { trouble: never(&failed), ..self.set_back(failed) }))
            }
        }
    }

    /// The gateway found that the call came to nothing.
    fn set_back(&mut self, failed: Failed) -> Setback {
        let (mut events, _) = self.ingest.finish(Ending::Stopped(failed.clone()));
        self.voice.count(&mut events);
        Setback { said: self.voice.is_open(), ..Setback::of_failure(failed, events) }
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

/// Another target may do better, this one will not.
fn never(failed: &Failed) -> Trouble {
    Trouble { remedy: Remedy::Never, ..Trouble::of_failure(failed) }
}

/// Whether a body is JSON that stops before its end: a connection that is closed early looks like that where no length was
/// announced.
fn is_cut(body: &[u8]) -> bool {
    let read = serde_json::from_slice::<IgnoredAny>(body);
    !body.trim_ascii().is_empty() && read.is_err_and(|error| error.is_eof())
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

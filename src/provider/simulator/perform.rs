//! Sends an answer at its pace: the only place in the simulator where time passes.

use std::future::pending;

use bytes::Bytes;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use reqwest::StatusCode;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    CallError, Response,
    chunk::Encoder,
    empty,
    pace::Pace,
    refuse,
    script::{Break, Fault, Script},
    timeline::{Act, Timeline},
    whole as whole_response,
};

/// The body of a streaming answer.
pub(super) fn stream(
    timeline: Timeline,
    start: Instant,
) -> BoxStream<'static, Result<Bytes, CallError>> {
    stream::unfold(timeline, move |mut timeline| async move {
        let beat = timeline.next()?;
        let due = start + beat.due;
        if due > Instant::now() {
            sleep_until(due).await;
        }
        let sent = match beat.act {
            Act::Send(bytes) => Ok(bytes),
            Act::Reset => Err(reset()),
            Act::Stall => pending().await,
        };
        Some((sent, timeline))
    })
    .boxed()
}

/// The answer to a call that does not stream: after as long as its tokens take, in one piece.
pub(super) async fn whole(script: Script, pace: &Pace) -> Result<Response, CallError> {
    let longest = script.choices.iter().map(|choice| choice.pieces.len()).max().unwrap_or_default();
    let seed = script.seed;
    let completion = Encoder::new(&script, true).completion(&script.choices, &script.usage);
    let Some(Fault::Midway { how, at }) = script.fault else {
        sleep(pace.end(longest)).await;
        return Ok(whole_response(StatusCode::OK, seed, &completion));
    };
    sleep(pace.end(at / script.choices.len().max(1))).await;
    match how {
        Break::Error(refusal) => Ok(refuse(&refusal, seed)),
        Break::Cut => {
            let mut body = Bytes::from(completion.to_string());
            body.truncate(body.len() / 2);
            let mut response = empty(StatusCode::OK, seed, "application/json");
            response.body = stream::once(async move { Ok(body) }).boxed();
            Ok(response)
        }
        Break::Reset => Err(reset()),
        Break::Stall => pending().await,
    }
}

fn reset() -> CallError {
    CallError::Broken("connection reset by peer".to_owned())
}

//! `GET /v1/channels/{id}/ui-message-stream`: the newest running generation as stock `useChat` resumes it.
//!
//! Everything so far comes in one piece, then the live tail; where nothing runs the answer is 204, which is how
//! `useChat` is told that there is nothing to resume. Reading does not keep a generation from being stopped: `cancel` is
//! a verb of its own.

use std::convert::Infallible;

use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    App,
    access::Caller,
    channels::ChannelPath,
    limits::{self, Remote, Viewing},
    problem::Problem,
    sse::{self, KEEP_ALIVE, KeepAlive, Waited},
};
use crate::{
    access::Action,
    channel::{Channel, Reader, Signal, Step, Watch},
    clock,
    sequence::{Cursor, Epoch, From},
    wire::{
        self,
        ui_message::{DONE, UiMessage},
    },
};

/// By which the AI SDK knows the format.
const VERSION: HeaderName = HeaderName::from_static("x-vercel-ai-ui-message-stream");

/// The most that is put together before it is handed to the connection.
const CHUNK_BYTES: usize = 64 * 1024;

pub(super) async fn stream(
    State(app): State<App>,
    caller: Caller,
    remote: Remote,
    ChannelPath(id): ChannelPath,
) -> Result<Response, Problem> {
    let permitted = caller.may(Action::Read, id)?;
    // A chat that was not begun yet, or whose channel has expired, has nothing to resume either, and `useChat` takes
    // every answer but 204 for an error.
    let Ok(channel) = app.channels.find(&permitted.key).await else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let Some(generation) = newest_running(&channel) else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let seat = limits::view(&app, &caller, remote)?;
    let reader = channel.read(From::Snapshot)?;
    let signal = Signal::default();
    let view = View {
        _watch: channel.watch(&signal),
        _seat: seat,
        keep_alive: KeepAlive(app.settings.keep_alive),
        message: UiMessage::default(),
        over: false,
        until: permitted.until_ms.map(clock::instant_of),
        app,
        generation,
        reader,
        signal,
    };
    let chunks = stream::unfold(view, |mut view| async move {
        let chunk = view.next().await?;
        Some((Ok::<_, Infallible>(chunk), view))
    });
    let mut response = sse::response(chunks);
    response.headers_mut().insert(VERSION, HeaderValue::from_static("v1"));
    Ok(response)
}

/// Waits for a moment that may never come.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// The channel-local index of the generation that began last of those that run.
fn newest_running(channel: &Channel) -> Option<u32> {
    let count = u32::try_from(channel.status().generations.len()).ok()?;
    (0..count).rev().find(|index| channel.is_running_at(*index))
}

/// One viewer.
struct View {
    app: App,
    generation: u32,
    reader: Reader,
    signal: Signal,
    _watch: Watch,
    _seat: Viewing,
    message: UiMessage,
    keep_alive: KeepAlive,
    over: bool,
    /// When the permission to read it ends.
    until: Option<Instant>,
}

impl View {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.over {
                return None;
            }
            if self.until.is_some_and(|until| until <= Instant::now()) {
                return Some(self.broken("the channel token has expired"));
            }
            let closing = self.app.closing.is_cancelled();
            self.signal.lower();
            let chunk = self.collect();
            if !chunk.is_empty() {
                return Some(chunk);
            }
            if self.over {
                return None;
            }
            if closing {
                return Some(self.broken("the gateway is shutting down"));
            }
            let (signal, closing, until) = (&self.signal, &self.app.closing, self.until);
            let waited = self.keep_alive.wait(async {
                tokio::select! {
                    () = signal.raised() => {}
                    () = closing.cancelled() => {}
                    () = at(until) => {}
                }
            });
            if waited.await == Waited::Silence {
                return Some(KEEP_ALIVE);
            }
        }
    }

    fn collect(&mut self) -> Bytes {
        let mut out = BytesMut::new();
        let mut parts = Vec::new();
        while out.len() < CHUNK_BYTES && !self.over {
            match self.reader.step() {
                Step::Snapshot(_) if !self.message.is_new() => {
                    out.extend_from_slice(&self.broken("this viewer fell behind what is kept"));
                }
                Step::Snapshot(snapshot) => {
                    if let Some(generation) =
                        snapshot.state.generations.get(self.generation as usize)
                    {
                        self.message.begin(generation, &mut parts);
                    }
                    self.write(&mut out, snapshot.epoch, snapshot.through, &mut parts);
                }
                Step::Slice(slice) => {
                    let epoch = self.reader.epoch();
                    for (seq, event) in
                        (slice.first_seq..).zip(wire::decode_elements(&slice.events))
                    {
                        if event.generation == self.generation {
                            self.message.encode(&event, &mut parts);
                            self.write(&mut out, epoch, seq, &mut parts);
                        }
                    }
                }
                // It had seen no more than what goes on to hold, or a snapshot follows.
                Step::Rewind { .. } => {}
                Step::End(_) => {
                    out.extend_from_slice(&self.broken("the channel does not go on from here"));
                }
                Step::Idle => break,
            }
        }
        out.freeze()
    }

    /// An end that is not the generation's: the SDK has no word for beginning anew, and takes silence for success.
    fn broken(&mut self, why: &str) -> Bytes {
        self.over = true;
        let part =
            json!({ "type": "error", "errorText": format!("{why}; resume to see the answer") });
        let mut out = BytesMut::new();
        sse::write_event(&mut out, None, b"", part.to_string().as_bytes());
        sse::write_event(&mut out, None, b"", DONE.as_bytes());
        out.freeze()
    }

    fn write(&mut self, out: &mut BytesMut, epoch: Epoch, seq: u64, parts: &mut Vec<Value>) {
        for part in parts.drain(..) {
            let cursor = Some(Cursor { epoch, seq });
            sse::write_event(out, cursor, b"", part.to_string().as_bytes());
        }
        if self.message.is_over() && !self.over {
            sse::write_event(out, None, b"", DONE.as_bytes());
            self.over = true;
        }
    }
}

//! `GET /v1/channels/{id}/events`: replay and live, as server-sent events with JSON data.
//!
//! The id of each event is its cursor, so that an EventSource resumes by itself. At a closed head the answer is 204,
//! which is how an EventSource is told to stop.

use std::convert::Infallible;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use serde::Deserialize;

use super::{
    App,
    access::Caller,
    channels::ChannelPath,
    extract::Asked,
    problem::Problem,
    sse::{self, KEEP_ALIVE, KeepAlive, Waited},
};
use crate::{
    channel::{Reader, Signal, Slice, Snapshot, Step, Watch},
    sequence::{Cursor, From},
    wire::{self, json},
};

/// The most that is put together before it is handed to the connection: a late joiner's catch-up is not built whole.
const CHUNK_BYTES: usize = 64 * 1024;

#[derive(Debug, Deserialize)]
pub(super) struct After {
    after: Option<String>,
}

pub(super) async fn events(
    State(app): State<App>,
    caller: Caller,
    ChannelPath(id): ChannelPath,
    Asked(After { after }): Asked<After>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let channel = app.channels.find(&caller.key(id))?;
    let from = place(&headers, after.as_deref())?;
    let reader = channel.read(from)?;
    let status = channel.status();
    // Only whoever has seen something can be told that there is no more.
    let resumes = matches!(from, From::Cursor(_) | From::Seq(_));
    if resumes && status.closed && reader.seq() == status.last_seq {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let signal = Signal::default();
    let watch = channel.watch(&signal);
    let view = View {
        reader,
        signal,
        _watch: watch,
        generations: Vec::new(),
        keep_alive: KeepAlive(app.settings.keep_alive),
        over: false,
        app,
    };
    Ok(sse::response(view.into_stream()))
}

/// Where to begin. The header wins: an EventSource that reconnects repeats its URL, but knows better by then.
fn place(headers: &HeaderMap, after: Option<&str>) -> Result<From, Problem> {
    let last_event_id = headers.get("last-event-id").filter(|value| !value.is_empty());
    match (last_event_id, after) {
        (Some(value), _) => {
            let text = value.to_str().unwrap_or_default();
            Ok(text.parse::<Cursor>().map(From::Cursor)?)
        }
        (None, Some(after)) => Ok(after.parse()?),
        (None, None) => Ok(From::Beginning),
    }
}

/// One viewer.
struct View {
    app: App,
    reader: Reader,
    signal: Signal,
    _watch: Watch,
    /// Ids by channel-local index, as far as they are known here.
    generations: Vec<String>,
    keep_alive: KeepAlive,
    over: bool,
}

impl View {
    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, |mut view| async move {
            let chunk = view.next().await?;
            Some((Ok(chunk), view))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.over {
                return None;
            }
            // Asked before looking: what was said before the gateway closed is still told.
            let closing = self.app.closing.is_cancelled();
            self.signal.lower();
            let chunk = self.collect();
            if !chunk.is_empty() {
                return Some(chunk);
            }
            if self.over || closing {
                return None;
            }
            let (signal, closing) = (&self.signal, &self.app.closing);
            let waited = self.keep_alive.wait(async {
                tokio::select! {
                    () = signal.raised() => {}
                    () = closing.cancelled() => {}
                }
            });
            match waited.await {
                Waited::Silence => return Some(KEEP_ALIVE),
                Waited::News => {}
            }
        }
    }

    /// What there is now, up to a chunk's worth.
    fn collect(&mut self) -> Bytes {
        let mut out = BytesMut::new();
        while out.len() < CHUNK_BYTES {
            match self.reader.step() {
                Step::Slice(slice) => self.write_slice(&mut out, &slice),
                Step::Snapshot(snapshot) => self.write_snapshot(&mut out, &snapshot),
                Step::Rewind { past, epoch } => {
                    let data = json::rewind_json(past.epoch, past.valid_through, epoch);
                    sse::write_event(&mut out, None, b"rewind", data.as_bytes());
                }
                Step::Idle => break,
                Step::End(_) => {
                    self.over = true;
                    break;
                }
            }
        }
        out.freeze()
    }

    fn write_slice(&mut self, out: &mut BytesMut, slice: &Slice) {
        let epoch = self.reader.channel().epoch();
        for (seq, event) in (slice.first_seq..).zip(wire::decode_elements(&slice.events)) {
            let (name, data) = json::event_json(seq, self.generation(event.generation), &event);
            sse::write_event(out, Some(Cursor { epoch, seq }), name.as_bytes(), data.as_bytes());
        }
    }

    fn write_snapshot(&self, out: &mut BytesMut, snapshot: &Snapshot) {
        let Snapshot { epoch, through, state, .. } = snapshot;
        let data = json::snapshot_json(*through, *epoch, state);
        let cursor = Cursor { epoch: *epoch, seq: *through };
        sse::write_event(out, Some(cursor), b"snapshot", data.as_bytes());
    }

    fn generation(&mut self, index: u32) -> &str {
        let index = index as usize;
        if index >= self.generations.len() {
            let known = self.reader.channel().status().generations;
            self.generations = known.into_iter().map(|started| started.id).collect();
        }
        self.generations.get(index).map_or("", String::as_str)
    }
}

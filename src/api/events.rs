//! `GET /v1/channels/{id}/events`: replay and live, as server-sent events with JSON data. With `wait` and without asking
//! for a stream it is a long poll (`poll`).
//!
//! The id of each event is its cursor, so that an EventSource resumes by itself. At a closed head the answer is 204,
//! which is how an EventSource is told to stop. `from` says where to begin without a cursor; with `head=true` the first
//! thing told is how the channel stands, which is what `Subscribed` tells a session.

use std::convert::Infallible;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::{
    App,
    access::Caller,
    channels::ChannelPath,
    extract::Asked,
    limits::{self, Remote, Viewing},
    poll,
    problem::Problem,
    sse::{self, KEEP_ALIVE, KeepAlive, Waited},
};
use crate::{
    access::Action,
    channel::{Reader, Signal, Slice, Snapshot, Status, Step, Watch},
    clock,
    sequence::{Cursor, Epoch, From as Start},
    telemetry::{Delivery, metrics::Present},
    wire::{self, json},
};

/// The last event where the permission to read ran out; an EventSource that comes again is refused, and stops.
const EXPIRED: &str = r#"{"error":{"code":"forbidden","message":"the channel token has expired"}}"#;

/// The most that is put together before it is handed to the connection: a late joiner's catch-up is not built whole.
const CHUNK_BYTES: usize = 64 * 1024;

#[derive(Debug, Deserialize)]
pub(super) struct After {
    after: Option<String>,
    /// Where to begin where no cursor says so; `beginning` if absent.
    #[serde(default)]
    from: Place,
    /// Makes it a long poll, unless an event stream is asked for.
    wait: Option<String>,
    /// Begin by telling how the channel stands.
    #[serde(default)]
    head: bool,
}

/// A place without a name of its own.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    #[default]
    Beginning,
    Tail,
    Snapshot,
}

impl From<Place> for Start {
    fn from(place: Place) -> Self {
        match place {
            Place::Beginning => Self::Beginning,
            Place::Tail => Self::Tail,
            Place::Snapshot => Self::Snapshot,
        }
    }
}

/// One event for a viewer.
pub(super) struct Said {
    pub(super) cursor: Option<Cursor>,
    pub(super) name: &'static str,
    pub(super) data: String,
}

pub(super) async fn events(
    State(app): State<App>,
    caller: Caller,
    remote: Remote,
    ChannelPath(id): ChannelPath,
    Asked(After { after, from, wait, head }): Asked<After>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wait = wait.as_deref().map(poll::wait).transpose()?;
    let permitted = caller.may(Action::Read, id)?;
    let channel = app.channels.find(&permitted.key).await?;
    let start = place(&headers, after.as_deref())?.unwrap_or(from.into());
    let delivery = Delivery::over(&app.telemetry.metrics, "sse");
    // Only whoever has seen something comes back, and can be told that there is no more.
    let resumes = matches!(start, Start::Cursor(_) | Start::Seq(_));
    let reader = channel.read(start);
    if resumes {
        delivery.resumed(reader.as_ref().map_or("refused", Reader::outcome));
    }
    let (reader, status) = (reader?, channel.status());
    if resumes && status.closed && reader.seq() == status.last_seq {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let seat = limits::view(&app, &caller, remote)?;
    let signal = Signal::default();
    let watch = channel.watch(&signal);
    let wait = wait.filter(|_| !wants_stream(&headers));
    // What a tail begins after, whatever was said in the meantime.
    let last_seq = if matches!(start, Start::Tail) { reader.seq() } else { status.last_seq };
    let told = head.then(|| {
        let Status { epoch, first_seq, generations, .. } = &status;
        let place = json::Place { epoch: *epoch, first_seq: *first_seq, last_seq };
        Said { cursor: None, name: "head", data: json::head_json(place, generations) }
    });
    let view = View {
        _open: wait.is_none().then(|| delivery.opened()),
        _seat: seat,
        delivery,
        reader,
        signal,
        _watch: watch,
        head: told,
        generations: Vec::new(),
        keep_alive: KeepAlive(app.settings.keep_alive),
        over: false,
        until: permitted.until_ms.map(clock::instant_of),
        app: app.clone(),
    };
    match wait {
        Some(wait) => Ok(poll::poll(&app, view, wait).await),
        None => Ok(sse::response(view.into_stream())),
    }
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/event-stream"))
}

/// The cursor to begin after, if any. The header wins: an EventSource that reconnects repeats its URL, but knows better
/// by then.
fn place(headers: &HeaderMap, after: Option<&str>) -> Result<Option<Start>, Problem> {
    let last_event_id = headers.get("last-event-id").filter(|value| !value.is_empty());
    match (last_event_id, after) {
        (Some(value), _) => {
            let text = value.to_str().unwrap_or_default();
            Ok(Some(text.parse::<Cursor>().map(Start::Cursor)?))
        }
        (None, Some(after)) => Ok(Some(after.parse()?)),
        (None, None) => Ok(None),
    }
}

/// One viewer.
pub(super) struct View {
    app: App,
    delivery: Delivery,
    /// A poll is no session.
    _open: Option<Present>,
    _seat: Viewing,
    reader: Reader,
    signal: Signal,
    _watch: Watch,
    /// Told before all else.
    head: Option<Said>,
    /// Ids by channel-local index, as far as they are known here.
    generations: Vec<String>,
    keep_alive: KeepAlive,
    over: bool,
    /// When the permission to read it ends.
    until: Option<Instant>,
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
            if self.until.is_some_and(|until| until <= Instant::now()) {
                self.over = true;
                let mut out = BytesMut::new();
                sse::write_event(&mut out, None, b"forbidden", EXPIRED.as_bytes());
                return Some(out.freeze());
            }
            // Asked before looking: what was said before the gateway closed is still told.
            let closing = self.app.closing.is_cancelled();
            let chunk = self.collect();
            if !chunk.is_empty() {
                return Some(chunk);
            }
            if self.over || closing {
                return None;
            }
            let news = async {
                match self.until {
                    Some(until) => _ = timeout_at(until, self.news()).await,
                    None => self.news().await,
                }
            };
            match self.keep_alive.wait(news).await {
                Waited::Silence => return Some(KEEP_ALIVE),
                Waited::News => {}
            }
        }
    }

    /// Something may have been said, or the gateway closes.
    pub(super) async fn news(&self) {
        tokio::select! {
            () = self.signal.raised() => {}
            () = self.app.closing.cancelled() => {}
        }
    }

    /// How the channel stood when this view began, if that is still to be told.
    pub(super) fn take_head(&mut self) -> Option<Said> {
        self.head.take()
    }

    /// When the permission to read it ends.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Whether nothing more can come.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// The channel's epoch now.
    pub(super) fn epoch(&self) -> Epoch {
        self.reader.epoch()
    }

    /// The seq up to which everything was told.
    pub(super) fn seq(&self) -> u64 {
        self.reader.seq()
    }

    /// What there is now, up to a chunk's worth, framed.
    fn collect(&mut self) -> Bytes {
        let mut out = BytesMut::new();
        let head = self.take_head();
        for Said { cursor, name, data } in head.into_iter().chain(self.collect_said()) {
            sse::write_event(&mut out, cursor, name.as_bytes(), data.as_bytes());
        }
        out.freeze()
    }

    /// What there is now, up to about a chunk's worth.
    pub(super) fn collect_said(&mut self) -> Vec<Said> {
        self.signal.lower();
        let (mut said, mut bytes) = (Vec::new(), 0);
        while bytes < CHUNK_BYTES {
            let before = said.len();
            match self.reader.step() {
                Step::Slice(slice) => self.say_slice(&mut said, &slice),
                Step::Snapshot(snapshot) => {
                    let Snapshot { epoch, through, state, cause } = &*snapshot;
                    self.delivery.snapshot(cause.as_str());
                    let cursor = Some(Cursor { epoch: *epoch, seq: *through });
                    let data = json::snapshot_json(*through, *epoch, state);
                    said.push(Said { cursor, name: "snapshot", data });
                }
                Step::Rewind { past, epoch } => {
                    let data = json::rewind_json(past.epoch, past.valid_through, epoch);
                    said.push(Said { cursor: None, name: "rewind", data });
                }
                Step::Idle => break,
                Step::End(_) => {
                    self.over = true;
                    break;
                }
            }
            bytes += said[before..].iter().map(|it| it.data.len()).sum::<usize>();
        }
        said
    }

    fn say_slice(&mut self, said: &mut Vec<Said>, slice: &Slice) {
        let epoch = self.reader.epoch();
        for (seq, event) in (slice.first_seq..).zip(wire::decode_elements(&slice.events)) {
            let (name, data) = json::event_json(seq, self.generation(event.generation), &event);
            said.push(Said { cursor: Some(Cursor { epoch, seq }), name, data });
        }
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

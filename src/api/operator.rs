//! What the operator's screen and `tokenway top` show beside the metrics: providers, channels, sessions, one channel's
//! timeline, and the config in force.
//!
//! It shows the channels of all keys, so it is for operators alone: `access` sees to that. Prompts are in none of it; what a
//! model said is, in a timeline.

use std::{borrow::Cow, cmp::Reverse, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{App, extract::Asked, problem::Problem};
use crate::{
    channel::{Brief, Channel, Step},
    event::{Event, Kind},
    ident::{ChannelId, ChannelKey, Owner},
    route::Report,
    sequence::From,
    session::Listed,
    wire::{self, json::event_json},
};

/// How many channels and sessions are shown: the search finds the others.
const SHOWN_MAX: usize = 200;

/// How many events of a timeline are given at a time.
const EVENTS_MAX: usize = 2_000;

/// How much of what an event says is shown, in characters.
const SAID_CHARS_MAX: usize = 2_000;

#[derive(Debug, Deserialize)]
pub(super) struct Search {
    #[serde(default)]
    search: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Which {
    #[serde(default)]
    owner: String,
    channel: String,
    #[serde(default)]
    after: u64,
}

/// Everything at this moment.
pub(super) async fn state(
    State(app): State<App>,
    Asked(Search { search }): Asked<Search>,
) -> Json<Value> {
    let now = Instant::now();
    let millis = |duration: Duration| duration.as_millis() as u64;
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "up_ms": millis(now.saturating_duration_since(app.began)),
        "draining": app.draining.is_cancelled(),
        "providers": providers(&app, now),
        "channels": channels(&app, &search, now),
        "sessions": sessions(&app, &search, now),
    }))
}

fn providers(app: &App, now: Instant) -> Vec<Value> {
    let reports = app.health.report();
    let providers = app.provider_order.iter().filter_map(|name| app.providers.get(name));
    let one = providers.map(|provider| {
        let targets = reports.iter().filter(|report| report.provider == provider.name());
        let targets = targets.map(|Report { model, breaker, until, in_flight, .. }| {
            let opens = until.map(|until| until.saturating_duration_since(now).as_millis() as u64);
            json!({
                "model": model,
                "breaker": breaker,
                "opens_in_ms": opens,
                "in_flight": in_flight,
            })
        });
        json!({
            "name": provider.name(),
            "dialect": provider.dialect_name(),
            "address": provider.server().map(|(host, port)| format!("{host}:{port}")),
            "targets": targets.collect::<Vec<_>>(),
        })
    });
    one.collect()
}

/// Those that run first, the newest generation at the top; then those that were last said something on.
fn channels(app: &App, search: &str, now: Instant) -> Value {
    let all = app.channels.all();
    let count = all.len();
    let mut found: Vec<(Arc<Channel>, Brief)> = all
        .into_iter()
        .map(|channel| {
            let brief = channel.brief(now);
            (channel, brief)
        })
        .filter(|(channel, brief)| {
            let key = channel.key();
            let newest = brief.newest.iter().flat_map(|it| [&it.model, &it.provider, &it.id]);
            let mut words = newest.map(String::as_str).chain([key.id.as_str(), key.owner.as_str()]);
            search.is_empty() || words.any(|word| word.contains(search))
        })
        .collect();
    // What runs keeps its place from one look to the next.
    found.sort_by_key(|(_, Brief { running, newest, idle, .. })| match running {
        0 => (true, Reverse(0), *idle),
        _ => (false, Reverse(newest.as_ref().map_or(0, |it| it.created_ms)), Duration::ZERO),
    });
    let shown = found.iter().take(SHOWN_MAX).map(|(channel, brief)| {
        json!({
            "id": channel.key().id.as_str(),
            "owner": channel.key().owner.as_str(),
            "epoch": channel.epoch().to_string(),
            "first_seq": brief.first_seq,
            "last_seq": brief.last_seq,
            "bytes": brief.bytes,
            "viewers": brief.viewers,
            "running": brief.running,
            "closed": brief.closed,
            "generations": brief.generations,
            "model": brief.newest.as_ref().map(|it| &it.model),
            "provider": brief.newest.as_ref().map(|it| &it.provider),
            "idle_ms": brief.idle.as_millis() as u64,
        })
    });
    json!({ "count": count, "shown": shown.collect::<Vec<_>>() })
}

fn sessions(app: &App, search: &str, now: Instant) -> Value {
    let mut all = app.sessions.list(now);
    let count = all.len();
    all.retain(|it| it.id.contains(search) || it.carried.transport.contains(search));
    all.sort_by_key(|listed| listed.age);
    let shown = all.iter().take(SHOWN_MAX).map(|Listed { id, age, carried }| {
        json!({
            "id": id,
            "transport": carried.transport,
            "subscriptions": carried.subscriptions,
            "frames": carried.frames,
            "bytes": carried.bytes,
            "age_ms": age.as_millis() as u64,
        })
    });
    json!({ "count": count, "shown": shown.collect::<Vec<_>>() })
}

/// A channel's events after a seq, each with the time at which it was said. Looking on does not count as being there.
pub(super) async fn timeline(
    State(app): State<App>,
    Asked(Which { owner, channel, after }): Asked<Which>,
) -> Result<Json<Value>, Problem> {
    let key = ChannelKey { owner: Owner::new(&owner), id: ChannelId::parse(&channel)? };
    let channel = app.channels.find(&key).await?;
    let names: Vec<_> = channel.status().generations.into_iter().map(|it| it.id).collect();
    let mut reader = channel.read(From::Seq(after))?;
    let mut entries = Vec::new();
    while entries.len() < EVENTS_MAX {
        match reader.step() {
            Step::Slice(slice) => {
                let events = wire::decode_elements(&slice.events).zip(slice.times.all_ms());
                let events = (slice.first_seq..).zip(events);
                entries
                    .extend(events.map(|(seq, (event, at_ms))| entry(seq, at_ms, &event, &names)));
            }
            // What was trimmed away is not told event by event.
            Step::Snapshot(_) | Step::Rewind { .. } => {}
            Step::Idle | Step::End(_) => break,
        }
    }
    let brief = channel.brief(Instant::now());
    Ok(Json(json!({
        "epoch": channel.epoch().to_string(),
        "first_seq": brief.first_seq,
        "last_seq": reader.seq(),
        "frame_interval_ms": app.settings.frame_interval.as_millis() as u64,
        "entries": entries,
    })))
}

fn entry(seq: u64, at_ms: u64, event: &Event, names: &[String]) -> Value {
    let generation = names.get(event.generation as usize).map_or("", String::as_str);
    let mut encoded = Vec::new();
    wire::encode_event(event, &mut encoded);
    let (name, data) = event_json(seq, generation, event);
    let said = match &event.kind {
        Kind::Text(text) | Kind::Refusal(text) => Cow::Borrowed(text.as_str()),
        Kind::Reasoning(reasoning) => Cow::Borrowed(reasoning.text.as_str()),
        Kind::ToolArguments(fragment) => Cow::Borrowed(fragment.arguments.as_str()),
        _ => Cow::Owned(without_place(data)),
    };
    json!({
        "seq": seq,
        "at_ms": at_ms,
        "event": name,
        "generation": generation,
        "bytes": encoded.len(),
        "text": said.chars().take(SAID_CHARS_MAX).collect::<String>(),
    })
}

/// What an event says, without the seq and the generation, which are told beside it.
fn without_place(data: String) -> String {
    let Ok(mut members) = serde_json::from_str::<Map<String, Value>>(&data) else { return data };
    members.retain(|name, _| !matches!(name.as_str(), "seq" | "generation"));
    Value::from(members).to_string()
}

/// The config in force, without its secrets.
pub(super) async fn config(State(app): State<App>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, app.shown.to_string()).into_response()
}

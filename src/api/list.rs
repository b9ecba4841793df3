//! `GET /v1/channels`: the caller's channels, those in memory and those at rest, in the order of their ids.
//!
//! In pages: `limit` (1 to 1,000; 100 where nobody says), `after` (the id before the page's first), and `prefix`. What an
//! owner has is looked through for each page; it is a route for people and their scripts, not for a hot path.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

use super::{App, access::Caller, extract::Asked, problem::Problem};
use crate::{
    channel::{Channel, Status},
    store::AtRest,
};

/// How many a page has where nobody says.
const LIMIT: usize = 100;
/// How many it has at most.
const LIMIT_MAX: usize = 1_000;

#[derive(Debug, Deserialize)]
pub(super) struct Page {
    limit: Option<String>,
    after: Option<String>,
    #[serde(default)]
    prefix: String,
}

/// A channel, in short.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Listed {
    channel: String,
    named: bool,
    /// `running`, `open` or `closed`.
    state: &'static str,
    epoch: String,
    last_seq: u64,
    /// When the last event was said, in milliseconds since 1970 UTC.
    last_event_ms: u64,
    generations: usize,
    running: usize,
    /// What it takes, where it is.
    bytes: u64,
    /// Whether it is in the gateway's memory, or at rest where the store keeps it.
    in_memory: bool,
}

#[derive(Serialize)]
struct List {
    channels: Vec<Listed>,
    /// The next page's `after`; null on the last.
    next: Option<String>,
}

pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Asked(page): Asked<Page>,
) -> Result<Response, Problem> {
    // A channel token names the channels that it is for; which others there are is its owner's business.
    caller.who.may_as_owner()?;
    let limit = page.limit.as_deref().map_or(Ok(LIMIT), limit)?;
    // What is in memory is asked for first: what comes to rest in between is there twice, and nothing is missing.
    let live = app.channels.all();
    let live = live.iter().filter(|it| it.key().owner == caller.owner).map(|it| live_one(it));
    let at_rest = app.channels.at_rest(&caller.owner).into_iter().map(at_rest_one);
    let mut all: Vec<Listed> = live.chain(at_rest).collect();
    all.retain(|it| it.channel.starts_with(&page.prefix));
    if let Some(after) = &page.after {
        all.retain(|it| it.channel > *after);
    }
    // Of those that are there twice, what is in memory holds: the sort is stable.
    all.sort_by(|one, other| one.channel.cmp(&other.channel));
    all.dedup_by(|one, other| one.channel == other.channel);
    let more = all.len() > limit;
    all.truncate(limit);
    let next = all.last().filter(|_| more).map(|it| it.channel.clone());
    Ok(Json(List { channels: all, next }).into_response())
}

fn limit(text: &str) -> Result<usize, Problem> {
    let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
    let message = || format!("`limit` must be from 1 to {LIMIT_MAX}");
    limit.ok_or_else(|| Problem::bad_request(message()).about("limit"))
}

fn live_one(channel: &Channel) -> Listed {
    let status: Status = channel.status();
    let state = match (status.running, status.closed) {
        (0, true) => "closed",
        (0, false) => "open",
        _ => "running",
    };
    Listed {
        channel: channel.key().id.to_string(),
        named: channel.is_named(),
        state,
        epoch: status.epoch.to_string(),
        last_seq: status.last_seq,
        last_event_ms: status.last_ms,
        generations: status.generations.len(),
        running: status.running,
        bytes: channel.bytes() as u64,
        in_memory: true,
    }
}

fn at_rest_one(at_rest: AtRest) -> Listed {
    let AtRest { key, named, epoch, last_seq, last_ms, generations, running, bytes } = at_rest;
    Listed {
        channel: key.id.to_string(),
        named,
        state: match (running, named) {
            (1.., _) => "running",
            (0, true) => "open",
            (0, false) => "closed",
        },
        epoch: epoch.to_string(),
        last_seq,
        last_event_ms: last_ms,
        generations: generations as usize,
        running: running as usize,
        bytes,
        in_memory: false,
    }
}

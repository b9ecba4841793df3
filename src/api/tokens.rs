//! `POST /v1/tokens`: mints a channel token for a screen.
//!
//! The holder of a key mints within its own channels, since a token carries its owner. A channel token mints none. In
//! open mode no token is needed, and `token` is null.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    App,
    access::Caller,
    call::{Call, Running},
    channels::from_json,
    extract::Small,
    problem::Problem,
};
use crate::{
    access::{Action, CannotMint, Pattern, TTL_MAX, TTL_MIN, Wish},
    clock,
    ident::GenerationId,
};

/// Where the request does not say: a page load and a tunnel.
const TTL: Duration = Duration::from_secs(10 * 60);

/// What is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    channel: OneOrMany,
    ttl: Option<Ttl>,
    allow: Option<Vec<String>>,
    client: Option<String>,
    generation: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// `10m`, or seconds.
#[derive(Deserialize)]
#[serde(untagged)]
enum Ttl {
    Seconds(u64),
    Text(String),
}

pub(super) async fn mint(
    State(app): State<App>,
    caller: Caller,
    Small(body): Small,
) -> Result<Json<Value>, Problem> {
    caller.who.may_as_owner()?;
    let Asked { channel, ttl, allow, client, generation } = from_json(&body)?;
    let wish = Wish {
        channels: channels(channel)?,
        allow: allow.map_or_else(|| Ok([Action::Read].into_iter().collect()), actions)?,
        client,
        generation: generation.as_deref().map(GenerationId::claimed),
    };
    let ttl = ttl.map_or(Ok(TTL), duration)?;
    if app.access.is_open() {
        return Ok(Json(json!({ "token": null, "expires_at": null })));
    }
    let minted = app.access.mint(&caller.owner, &wish, ttl, clock::now_ms())?;
    Ok(Json(json!({ "token": minted.token, "expires_at": minted.expires_at })))
}

/// A token for whoever follows a generation: to read its channel and to stop it, for as long as it may run and be read.
/// `None`: no token is needed, or none can be made here.
pub(super) fn of_generation(app: &App, call: &Call, running: &Running) -> Option<String> {
    if app.access.is_open() || !app.access.mints() {
        return None;
    }
    let channel = running.channel.key();
    let wish = Wish {
        channels: vec![Pattern::from(&channel.id)],
        allow: [Action::Read, Action::Cancel].into_iter().collect(),
        client: None,
        generation: Some(running.launched.id.clone()),
    };
    let ttl = call.plan.timeouts.total.saturating_add(app.settings.after_end);
    let ttl = ttl.clamp(TTL_MIN, TTL_MAX);
    let minted = app.access.mint(&channel.owner, &wish, ttl, clock::now_ms());
    // One channel, two actions, and a life within bounds: nothing is left to go wrong.
    minted.ok().map(|minted| minted.token)
}

fn channels(given: OneOrMany) -> Result<Vec<Pattern>, Problem> {
    let given = match given {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    };
    let patterns = given.iter().map(|text| Pattern::parse(text));
    let patterns: Result<_, _> = patterns.collect();
    patterns.map_err(|error| Problem::bad_request(error.to_string()).about("channel"))
}

fn actions<T: FromIterator<Action>>(words: Vec<String>) -> Result<T, Problem> {
    let action = |word: &String| {
        Action::parse(word).ok_or_else(|| {
            let message = "`allow` is a list of `read`, `cancel` and `publish`";
            Problem::bad_request(message).about("allow")
        })
    };
    words.iter().map(action).collect()
}

fn duration(ttl: Ttl) -> Result<Duration, Problem> {
    match ttl {
        Ttl::Seconds(seconds) => Ok(Duration::from_secs(seconds)),
        Ttl::Text(text) => crate::config::duration(&text).map_err(|expected| {
            Problem::bad_request(format!("`ttl` is not {expected}")).about("ttl")
        }),
    }
}

impl From<CannotMint> for Problem {
    fn from(error: CannotMint) -> Self {
        let param = match error {
            CannotMint::NoSecret => {
                let status = StatusCode::NOT_IMPLEMENTED;
                return Self::new(status, "no_token_secret", error.to_string());
            }
            CannotMint::Ttl => "ttl",
            CannotMint::Channels | CannotMint::TooLong => "channel",
            CannotMint::Nothing => "allow",
            CannotMint::Client => "client",
        };
        Self::bad_request(error.to_string()).about(param)
    }
}

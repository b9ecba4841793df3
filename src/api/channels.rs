//! `/v1/channels/{id}`: its state, publish, cancel, forget.

use std::time::Duration;

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request, State},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{
    App,
    access::Caller,
    extract::{Asked, Small, Whole},
    limits::{self, Remote},
    problem::Problem,
};
use crate::{
    access::Action,
    channel::{CannotDelete, Channel, NoChannel, Signal},
    event::Custom,
    ident::{ChannelId, GenerationId},
    store::StoreError,
    wire::json::{StateHead, state_json},
};

/// How long a cancel's answer waits for the generations to have ended, so that the state it shows is the final one.
const CANCEL_WAIT: Duration = Duration::from_secs(2);

/// The longest a custom event's `type` may be, in bytes.
const CUSTOM_TYPE_BYTES_MAX: usize = 128;

/// The `{id}` of a route, checked.
pub(super) struct ChannelPath(pub(super) ChannelId);

impl FromRequestParts<App> for ChannelPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let path: Result<Path<String>, _> = Path::from_request_parts(parts, app).await;
        let Path(id) = path.map_err(|error| Problem::bad_request(error.to_string()))?;
        Ok(Self(ChannelId::parse(&id)?))
    }
}

pub(super) async fn state(
    State(app): State<App>,
    caller: Caller,
    ChannelPath(id): ChannelPath,
) -> Result<Response, Problem> {
    let permitted = caller.may(Action::Read, id)?;
    Ok(state_of(&*app.channels.find(&permitted.key).await?))
}

fn state_of(channel: &Channel) -> Response {
    let first_seq = channel.status().first_seq;
    let (epoch, last_seq, state) = channel.fold();
    let head = StateHead { channel: channel.key().id.as_str(), epoch, first_seq, last_seq };
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, state_json(head, &state)).into_response()
}

/// What is published.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Publication<'a> {
    r#type: String,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

pub(super) async fn publish(
    State(app): State<App>,
    caller: Caller,
    remote: Remote,
    ChannelPath(id): ChannelPath,
    request: Request,
) -> Result<Response, Problem> {
    let permitted = caller.may(Action::Publish, id)?;
    limits::publish(&app, &caller, remote)?;
    // Read only once it may: what is held of it is not there for calls meanwhile.
    let Whole(body, _room) = Whole::from_request(request, &app).await?;
    let publication: Publication<'_> = from_json(&body)?;
    if publication.r#type.is_empty() || publication.r#type.len() > CUSTOM_TYPE_BYTES_MAX {
        let message = format!("`type` must have 1 to {CUSTOM_TYPE_BYTES_MAX} bytes");
        return Err(Problem::bad_request(message).about("type"));
    }
    let data = publication.data.map_or("null", RawValue::get);
    let data = Bytes::copy_from_slice(data.as_bytes());
    let channel = app.channels.find(&permitted.key).await?;
    // Whoever is told of it may rely on it.
    let custom = Custom { kind: publication.r#type, data };
    let cursor = app.channels.publish(&channel, custom).await?;
    Ok(Json(json!({ "epoch": cursor.epoch.to_string(), "seq": cursor.seq })).into_response())
}

/// What is stopped; absent means all that run.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancellation {
    generation: Option<String>,
}

pub(super) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    ChannelPath(id): ChannelPath,
    Small(body): Small,
) -> Result<Response, Problem> {
    let permitted = caller.may(Action::Cancel, id.clone())?;
    let Cancellation { generation } =
        if body.is_empty() { Cancellation::default() } else { from_json(&body)? };
    let generation = generation.as_deref().map(GenerationId::claimed);
    let generation = caller.who.narrowed(generation)?;
    let channel = app.channels.find(&permitted.key).await?;
    app.channels.cancel(&channel, generation.as_ref()).await?;
    match &generation {
        None => until_quiet(&channel).await,
        Some(generation) => until_ended(&channel, generation.as_str()).await,
    }
    // What it says is for those who may read it.
    match caller.may(Action::Read, id) {
        Ok(_) => Ok(state_of(&channel)),
        Err(_) => Ok(Json(json!({ "channel": permitted.key.id.as_str() })).into_response()),
    }
}

#[derive(Deserialize)]
pub(super) struct Forget {
    #[serde(default)]
    cancel: bool,
}

pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    ChannelPath(id): ChannelPath,
    Asked(Forget { cancel }): Asked<Forget>,
) -> Result<StatusCode, Problem> {
    caller.who.may_as_owner()?;
    let key = caller.key(id);
    if cancel {
        match app.channels.find(&key).await {
            Ok(channel) => {
                app.channels.cancel(&channel, None).await?;
                until_quiet(&channel).await;
            }
            // Nothing runs on what cannot be read.
            Err(NoChannel::Store(StoreError::Damaged(_))) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let deleted = app.channels.delete(&key).await;
    if matches!(deleted, Ok(()) | Err(CannotDelete::NotForGood(_))) {
        app.responses().forget_channel(&key);
    }
    deleted?;
    Ok(StatusCode::NO_CONTENT)
}

/// Waits until nothing runs on the channel, for a bounded time.
async fn until_quiet(channel: &std::sync::Arc<Channel>) {
    until(channel, |channel| channel.status().running == 0).await;
}

/// Waits until one generation has ended, for a bounded time.
pub(super) async fn until_ended(channel: &std::sync::Arc<Channel>, generation: &str) {
    until(channel, |channel| !channel.is_running(generation)).await;
}

async fn until(channel: &std::sync::Arc<Channel>, mut done: impl FnMut(&Channel) -> bool) {
    let signal = Signal::default();
    let _watch = channel.watch(&signal);
    let wait = async {
        loop {
            signal.lower();
            if done(channel) {
                return;
            }
            signal.raised().await;
        }
    };
    // A generation that does not end in time is shown as it is: still running.
    let _ = tokio::time::timeout(CANCEL_WAIT, wait).await;
}

pub(super) fn from_json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        Problem::bad_request(format!("the body is not what it should be: {error}"))
    })
}

//! `POST /v1/chat/completions`: an app's call becomes a generation on a channel, and the app is answered from it.
//!
//! A streamed call is answered with the provider's own payloads (`relay`). A call that is not goes upstream as it came
//! and its body passes untouched; unless a channel was named or `respond-async` asked for, when it is streamed upstream
//! and folded.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{
    App,
    access::Caller,
    extract::Whole,
    headers, llm,
    problem::Problem,
    relay::{self, Place, Relay, Rest},
};
use crate::{
    channel::{AppendError, Channel, Ended, Signal, Step},
    dialect::{AppDialect, AppRequest, Asked, Dialect, Streaming, openai::Request},
    event::{Event, Failed, FailureCode},
    generation::{Attempt, Failover, Head, Launched, OnDisconnect, Order, Timeouts},
    ident::ChannelId,
    provider::{self, Provider},
    route::Target,
    wire,
};

/// A call that has been understood.
struct Call {
    request: AppRequest,
    named: Option<ChannelId>,
    detached: bool,
    target: Target,
    timeouts: Timeouts,
    on_disconnect: OnDisconnect,
    failover: Failover,
    provider: Arc<Provider>,
    headers: HeaderMap,
}

/// A call that runs.
struct Running {
    launched: Launched,
    channel: Arc<Channel>,
    provider: Arc<Provider>,
}

pub(super) async fn create(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Result<Whole, Problem>,
) -> Response {
    let call = match body.and_then(|Whole(body)| understand(&app, &headers, body)) {
        Ok(call) => call,
        Err(problem) => return llm::refuse(problem),
    };
    let running = match launch(&app, &caller, &call) {
        Ok(running) => running,
        Err(problem) => return llm::refuse(problem),
    };
    let (channel, provider) = (Arc::clone(&running.channel), Arc::clone(&running.provider));
    let generation = running.launched.id.clone();
    let mut response = if call.detached {
        accepted(&running)
    } else if call.request.streams() {
        stream(&app, &call, running).await
    } else if call.named.is_some() {
        folded(running).await
    } else {
        whole(running).await
    };
    headers::identify(response.headers_mut(), &channel, &generation, provider.name());
    response
}

fn understand(app: &App, headers: &HeaderMap, body: Bytes) -> Result<Call, Problem> {
    let request = Request::read(body).map(AppRequest::OpenAi).map_err(|error| Problem {
        param: error.param.clone(),
        ..Problem::bad_request(error.to_string())
    })?;
    let plan = app.routes.plan(request.model(), rand::random()).map_err(|error| {
        Problem::new(StatusCode::NOT_FOUND, "model_not_found", error.to_string()).about("model")
    })?;
    let target = plan.targets.first().cloned().expect("a plan has at least one target");
    let provider = app.providers.get(&target.provider).map(Arc::clone);
    Ok(Call {
        named: headers::channel(headers)?,
        detached: headers::wants_async(headers),
        provider: provider.expect("config checks that every target's provider exists"),
        headers: headers::upstream(headers),
        target,
        timeouts: plan.timeouts,
        on_disconnect: plan.on_disconnect,
        failover: plan.failover,
        request,
    })
}

fn launch(app: &App, caller: &Caller, call: &Call) -> Result<Running, Problem> {
    // One that is named may be deleted or expire between finding it and beginning on it: then it is made anew.
    match launch_once(app, caller, call) {
        Err(AppendError::Closed) if call.named.is_some() => launch_once(app, caller, call),
        other => other,
    }
    .map_err(Problem::from)
}

fn launch_once(app: &App, caller: &Caller, call: &Call) -> Result<Running, AppendError> {
    let channel = match &call.named {
        Some(id) => app.channels.open(caller.key(id.clone()))?,
        None => app.channels.create(caller.owner.clone())?,
    };
    let streamed = call.request.streams() || call.named.is_some() || call.detached;
    let streaming = if streamed { Streaming::Always } else { Streaming::AsAsked };
    let on_disconnect = if call.detached { OnDisconnect::Drain } else { call.on_disconnect };
    let upstream = call.request.upstream(Dialect::OpenAi, &call.target.model, streaming);
    let upstream = upstream.expect("between like and like nothing is refused");
    let attempt = Attempt {
        provider: Arc::clone(&call.provider),
        model: call.target.model.clone(),
        price: None,
        dialect: Dialect::OpenAi,
        request: provider::Request {
            method: axum::http::Method::POST,
            path: upstream.path,
            headers: call.headers.clone(),
            body: upstream.body,
            connect_timeout: call.timeouts.connect,
        },
    };
    let order = Order {
        channel: Arc::clone(&channel),
        model: call.request.model().to_owned(),
        attempts: vec![attempt],
        call: Arc::new(call.request.clone()),
        failover: call.failover,
        health: Arc::clone(&app.health),
        timeouts: call.timeouts,
        on_disconnect,
    };
    let launched = app.generations.launch(order)?;
    Ok(Running { launched, channel, provider: Arc::clone(&call.provider) })
}

/// `prefer: respond-async`: here is where it will be found.
fn accepted(running: &Running) -> Response {
    let body = json!({
        "channel": running.channel.key().id.as_str(),
        "epoch": running.channel.epoch().to_string(),
        "token": null,
        "generation": running.launched.id.as_str(),
    });
    let applied = [("preference-applied", "respond-async")];
    (StatusCode::ACCEPTED, applied, Json(body)).into_response()
}

/// The app streams. If the provider takes its time even to answer, the stream begins without it, so that comments can
/// keep the connection alive; a refusal then comes as an error in the stream.
async fn stream(app: &App, call: &Call, running: Running) -> Response {
    let Running { launched, channel, .. } = running;
    let place = Place::of(&launched);
    let mut caller = launched.caller;
    let keep_alive = app.settings.keep_alive;
    let mut headers = None;
    let rest = match tokio::time::timeout(keep_alive, &mut caller.head).await {
        Err(_) => Rest::Unanswered(caller.head),
        Ok(Ok(Head::Stream { headers: from_provider, .. })) => {
            headers = Some(from_provider);
            Rest::Payloads
        }
        // An answer, but no stream: to the app's SDK its body would be a stream that says nothing and ends well.
        Ok(Ok(Head::Whole { status, .. })) if status.is_success() => {
            relay::replay(&channel, place, call.request.dialect(), &call.request.asked())
        }
        Ok(Ok(Head::Whole { status, headers, body, .. })) => return pass(status, &headers, body),
        Ok(Ok(Head::Failed(failed))) => return llm::refuse(llm::problem_of(&failed)),
        Ok(Err(_)) => return llm::refuse(llm::problem_of(&lost())),
    };
    let relay = Relay {
        rest,
        tee: caller.tee,
        _presence: caller.presence,
        channel,
        place,
        dialect: call.request.dialect(),
        asked: call.request.asked(),
        settings: app.settings,
        last_seq: 0,
    };
    let mut response = super::sse::response(relay.into_stream());
    if let Some(headers) = headers {
        let ours = std::mem::take(response.headers_mut());
        *response.headers_mut() = headers::downstream(&headers);
        response.headers_mut().extend(ours);
    }
    response
}

/// The app does not stream, and neither does the provider: its body is the answer.
async fn whole(running: Running) -> Response {
    let place = Place::of(&running.launched);
    match running.launched.caller.head.await {
        Ok(Head::Whole { status, headers, body, .. }) => pass(status, &headers, body),
        // The provider streamed although nobody asked it to.
        Ok(Head::Stream { .. }) => when_ended(&running.channel, place).await,
        Ok(Head::Failed(failed)) => llm::refuse(llm::problem_of(&failed)),
        Err(_) => llm::refuse(llm::problem_of(&lost())),
    }
}

/// The app does not stream, but its channel does: the answer is the generation, folded.
async fn folded(running: Running) -> Response {
    let Running { launched, channel, .. } = running;
    let place = Place::of(&launched);
    // Held until the end, so that the caller counts as present.
    let caller = launched.caller;
    match caller.head.await {
        Ok(Head::Whole { status, headers, body, .. }) => return pass(status, &headers, body),
        Ok(Head::Failed(failed)) => return llm::refuse(llm::problem_of(&failed)),
        Ok(Head::Stream { .. }) | Err(_) => {}
    }
    let response = when_ended(&channel, place).await;
    drop(caller.presence);
    response
}

/// Waits for the generation's end and answers with all of it.
async fn when_ended(channel: &Arc<Channel>, place: Place) -> Response {
    let signal = Signal::default();
    let _watch = channel.watch(&signal);
    while channel.is_running_at(place.index) {
        signal.lower();
        if channel.is_running_at(place.index) {
            signal.raised().await;
        }
    }
    match said(channel, place)
        .and_then(|events| AppDialect::OpenAi.encode_whole(&events, &Asked::default()))
    {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(failed) => llm::refuse(llm::problem_of(&failed)),
    }
}

/// All that a generation said.
fn said(channel: &Arc<Channel>, place: Place) -> Result<Vec<Event>, Failed> {
    let mut events = Vec::new();
    let mut reader = channel.read(place.beginning()).map_err(|_| lost())?;
    loop {
        match reader.step() {
            Step::Slice(slice) => {
                let said = wire::decode_elements(&slice.events);
                events.extend(said.filter(|event| event.generation == place.index));
            }
            Step::Idle | Step::End(Ended::Complete) => return Ok(events),
            Step::Snapshot(_) | Step::Rewind { .. } | Step::End(_) => {
                let message =
                    "the answer is larger than its channel holds; read it from the channel";
                return Err(Failed::new(FailureCode::Limit, message));
            }
        }
    }
}

fn pass(status: StatusCode, from_provider: &HeaderMap, body: Bytes) -> Response {
    (status, headers::downstream(from_provider), body).into_response()
}

fn lost() -> Failed {
    Failed::new(FailureCode::GatewayLost, "the gateway stopped running this generation")
}

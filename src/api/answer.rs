//! How an app is answered that began a generation.
//!
//! A streamed call is answered with the provider's own payloads or from the log (`relay`). One that is not gets the
//! provider's body untouched where that is in the app's dialect, else the generation, folded when it has ended.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{
    App,
    call::{Call, Running},
    form, headers,
    index::Found,
    llm,
    relay::{Listener, Naming, Place, Relay, Rest},
    responses::{self, Counting},
    tokens,
    told::Told,
};
use crate::{
    channel::{Channel, Ended, Signal, Step},
    dialect::{AppDialect, Asked, Dialect},
    event::{Event, Failed, FailureCode},
    generation::{Answerer, Head},
    ident::GenerationId,
    wire,
};

/// An answer, and who gave it, if that is known yet.
struct Answer {
    response: Response,
    from: Option<Answerer>,
}

/// Answers the app with what its call came to.
pub(super) async fn answer(app: &App, call: &Call, running: Running) -> Response {
    let channel = Arc::clone(&running.channel);
    let generation = running.launched.id.clone();
    let traceparent = running.launched.traceparent.clone();
    let place = Place::of(&running.launched);
    app.index().note(&Found {
        id: generation.clone(),
        channel: Arc::clone(&channel),
        place,
        asks_usage: call.asked.usage,
    });
    let told = Told::of(channel.key(), &generation, place, call.asked.usage);
    told.tell(app, &channel.key().owner, &[generation.as_str()]);
    if let Some(turn) = &call.turn {
        responses::remember(app, call, turn, &running);
    }
    let token = match call.wants_token {
        true => tokens::of_generation(app, call, &running),
        false => None,
    };
    let waits = call.turn.as_ref().is_none_or(|turn| !turn.background);
    let Answer { mut response, from } = if call.accepted {
        // Whoever is told that it was accepted may rely on it.
        running.channel.shown(running.launched.first_seq).await;
        let token = tokens::of_generation(app, call, &running);
        Answer { response: accepted(&running, token.as_deref()), from: None }
    } else if call.request.streams() {
        stream(app, call, running).await
    } else if waits {
        whole(app, call, running).await
    } else {
        running.channel.shown(running.launched.first_seq).await;
        Answer { response: responses::so_far(&channel, place, &call.asked), from: None }
    };
    let first = || {
        let (provider, dialect) = (call.first().name().to_owned(), llm::spoken_by(call.first()));
        Answerer { provider, dialect, target: 0, attempts: 1 }
    };
    let from = from.unwrap_or_else(first);
    if call.turn.is_some() && !response.status().is_success() {
        responses::forget(app, &channel.key().owner, &generation);
    }
    let headers = response.headers_mut();
    headers::locate(headers, &channel, &generation);
    headers::tell_trace(headers, &traceparent);
    headers::name_answerer(headers, &from);
    if let Some(token) = token {
        headers::give_token(headers, &token);
    }
    headers::tell_dropped(headers, call.dropped(from.target));
    response
}

/// `prefer: respond-async`: here is where it will be found.
fn accepted(running: &Running, token: Option<&str>) -> Response {
    let body = json!({
        "channel": running.channel.key().id.as_str(),
        "epoch": running.channel.epoch().to_string(),
        "token": token,
        "generation": running.launched.id.as_str(),
    });
    let applied = [("preference-applied", "respond-async")];
    (StatusCode::ACCEPTED, applied, Json(body)).into_response()
}

/// The app streams. If the provider takes its time even to answer, the stream begins without it, so that it can be kept
/// alive; a refusal then comes as an error in the stream.
async fn stream(app: &App, call: &Call, running: Running) -> Answer {
    let Running { launched, channel } = running;
    let (place, generation) = (Place::of(&launched), launched.id.clone());
    let mut caller = launched.caller;
    let dialect = call.request.dialect();
    let (asked, takes_bytes) = (call.asked.clone(), call.takes_bytes());
    let listener = Listener { dialect, asked, takes_bytes };
    let head = tokio::time::timeout(app.settings.keep_alive, &mut caller.head).await;
    let (mut passing, mut answerer) = (None, None);
    let rest = match head {
        Err(_) => Rest::Unanswered(caller.head, caller.tee),
        Ok(Ok(Head::Stream { from, headers })) => {
            let own = listener.is_of(&from);
            answerer = Some(from);
            match own {
                true => {
                    passing = Some(headers);
                    Rest::Payloads(caller.tee)
                }
                false => Rest::Log,
            }
        }
        // An answer, but no stream: to the app's SDK its body would be a stream that says nothing and ends well.
        Ok(Ok(Head::Whole { from, status, .. })) if status.is_success() => {
            answerer = Some(from);
            Rest::Log
        }
        Ok(Ok(Head::Whole { from, status, headers, body })) => {
            let response = refusal(dialect, &from, status, &headers, body);
            return Answer { response, from: Some(from) };
        }
        Ok(Ok(Head::Failed { from, failed })) => return refused(dialect, &failed, Some(from)),
        Ok(Err(_)) => return refused(dialect, &lost(), None),
    };
    let form = call.form;
    let owner = &channel.key().owner;
    let counting = call.turn.as_ref().map(|_| Counting::first(app, owner, &generation));
    let relay = Relay {
        rest,
        _presence: caller.presence,
        channel,
        place,
        listener,
        form,
        settings: app.settings,
        naming: (dialect == AppDialect::OpenAi)
            .then(|| Naming { app: app.clone(), generation: generation.clone() }),
        counting,
        last_seq: 0,
    };
    let mut response = form.response(relay.into_stream());
    if let Some(headers) = passing {
        let ours = std::mem::take(response.headers_mut());
        *response.headers_mut() = headers::downstream(&headers);
        response.headers_mut().extend(ours);
    }
    Answer { response, from: answerer }
}

/// The app does not stream.
async fn whole(app: &App, call: &Call, running: Running) -> Answer {
    let Running { launched, channel } = running;
    let place = Place::of(&launched);
    let dialect = call.request.dialect();
    // Its presence is held until the end.
    let mut caller = launched.caller;
    let from = match (&mut caller.head).await {
        Ok(Head::Whole { from, status, headers, body }) => {
            let own = from.dialect == Dialect::from(dialect) && call.takes_bytes();
            match status.is_success() {
                true if own => {
                    name(app, call, &channel, &launched.id, place, &body);
                    return Answer { response: pass(status, &headers, body), from: Some(from) };
                }
                true => Some(from),
                false => {
                    let response = refusal(dialect, &from, status, &headers, body);
                    return Answer { response, from: Some(from) };
                }
            }
        }
        Ok(Head::Stream { from, .. }) => Some(from),
        Ok(Head::Failed { from, failed }) => return refused(dialect, &failed, Some(from)),
        // The log says what became of it.
        Err(_) => None,
    };
    Answer { response: when_ended(&channel, place, dialect, &call.asked).await, from }
}

/// Remembers the id that the provider gives an answer that the app is given whole.
fn name(
    app: &App,
    call: &Call,
    channel: &Channel,
    generation: &GenerationId,
    place: Place,
    body: &Bytes,
) {
    match call.request.dialect() {
        AppDialect::Responses => responses::name(app, &channel.key().owner, generation, body),
        AppDialect::OpenAi => {
            let naming = Naming { app: app.clone(), generation: generation.clone() };
            naming.read(body, channel.key(), place, &call.asked);
        }
        _ => {}
    }
}

/// Waits for the generation's end and answers with all of it.
pub(super) async fn when_ended(
    channel: &Arc<Channel>,
    place: Place,
    dialect: AppDialect,
    asked: &Asked,
) -> Response {
    let signal = Signal::default();
    let _watch = channel.watch(&signal);
    while channel.is_running_at(place.index) {
        signal.lower();
        if channel.is_running_at(place.index) {
            signal.raised().await;
        }
    }
    match said(channel, place).and_then(|events| dialect.encode_whole(&events, asked)) {
        Ok(body) => form::json(body),
        Err(failed) => llm::refuse(dialect, llm::problem_of(&failed)),
    }
}

/// All that a generation said.
pub(super) fn said(channel: &Arc<Channel>, place: Place) -> Result<Vec<Event>, Failed> {
    Ok(said_at(channel, place)?.into_iter().map(|(_, event)| event).collect())
}

/// The same, each event with its seq.
pub(super) fn said_at(channel: &Arc<Channel>, place: Place) -> Result<Vec<(u64, Event)>, Failed> {
    let mut events = Vec::new();
    let mut reader = channel.read(place.beginning()).map_err(|_| lost())?;
    loop {
        match reader.step() {
            Step::Slice(slice) => {
                let said = (slice.first_seq..).zip(wire::decode_elements(&slice.events));
                events.extend(said.filter(|(_, event)| event.generation == place.index));
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

/// A provider's HTTP error: as it came where the app speaks the same, else said again in the app's dialect.
fn refusal(
    dialect: AppDialect,
    from: &Answerer,
    status: StatusCode,
    headers: &HeaderMap,
    body: Bytes,
) -> Response {
    if headers::are_alike(from.dialect, dialect.into()) {
        return pass(status, headers, body);
    }
    let failed = refused_by(dialect.into(), from, status, &body);
    let mut response = llm::say_again(dialect, status, &failed.message);
    headers::retry_after(response.headers_mut(), headers, from.dialect.retry_after(&body));
    response
}

/// What a provider's HTTP error says to an app that speaks `own`.
pub(super) fn refused_by(own: Dialect, from: &Answerer, status: StatusCode, body: &[u8]) -> Failed {
    let mut failed = from.dialect.failure(status.as_u16(), body);
    // What a provider says of credentials may quote them.
    let of_credentials = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status);
    if of_credentials && !headers::are_alike(from.dialect, own) {
        failed.message = format!("the provider refused the gateway's credentials ({status})");
    }
    failed
}

fn refused(dialect: AppDialect, failed: &Failed, from: Option<Answerer>) -> Answer {
    Answer { response: llm::refuse(dialect, llm::problem_of(failed)), from }
}

fn pass(status: StatusCode, from_provider: &HeaderMap, body: Bytes) -> Response {
    (status, headers::downstream(from_provider), body).into_response()
}

fn lost() -> Failed {
    Failed::new(FailureCode::GatewayLost, "the gateway stopped running this generation")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_provider_says_of_credentials_goes_to_apps_of_its_own_dialect_only() {
        let body = br#"{"error":{"message":"Incorrect API key provided: sk-ab*****yz"}}"#;
        let from =
            Answerer { provider: "p".into(), dialect: Dialect::OpenAi, target: 0, attempts: 1 };
        let said = |own, status| refused_by(own, &from, status, body).message;
        let hidden = said(Dialect::Anthropic, StatusCode::UNAUTHORIZED);
        assert_eq!(hidden, "the provider refused the gateway's credentials (401 Unauthorized)");
        assert!(said(Dialect::Responses, StatusCode::UNAUTHORIZED).contains("sk-ab"));
        assert!(said(Dialect::Anthropic, StatusCode::BAD_REQUEST).contains("sk-ab"));
    }
}

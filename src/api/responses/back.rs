//! `GET /v1/responses/{id}`: a response as it stands, or with `stream=true` what was said after `starting_after` and what
//! is still to come.
//!
//! `starting_after` counts as the app's stream did. Where that was the encoder's, the same payloads come again, from the
//! very next on. Where it was the provider's own payloads, those are not kept: what follows is encoded from the channel,
//! begins with the first event that the app has not had, and is numbered on from `starting_after` without a gap. What
//! stands around the text (that an item or part began or ended) may so be told twice; the text is not. From then on the
//! response counts in these numbers: of two apps that read it, those of the one that came back last.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, Request, State, rejection::PathRejection},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;

use super::{
    super::{
        App,
        access::Caller,
        answer, by_model,
        form::{self, Form},
        headers, llm, passthrough,
        problem::Problem,
        relay::{Listener, Place, Relay, Rest},
        told::Known,
    },
    Counting, Found, counting, kept,
};
use crate::{
    channel::Channel,
    dialect::{AppDialect, Asked, responses},
    event::Failed,
};

#[derive(Debug, Deserialize)]
struct Coming {
    #[serde(default)]
    stream: bool,
    starting_after: Option<String>,
}

pub(super) async fn retrieve(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let (found, request) = match look_up(&app, &caller, path, request).await {
        Ok(found) => found,
        Err(response) => return response,
    };
    // What else OpenAI's SDKs ask for, `include` and `include_obfuscation`, changes nothing here: all there is is told.
    let coming = Query::try_from_uri(request.uri());
    let coming = coming.map_err(|error| Problem::bad_request(error.body_text()));
    let answered = match coming {
        Ok(Query(Coming { stream: true, starting_after })) => {
            again(&app, &found, starting_after.as_deref()).await
        }
        Ok(Query(Coming { stream: false, .. })) => Ok(found.as_it_stands()),
        Err(problem) => Err(problem),
    };
    answered.unwrap_or_else(|problem| llm::refuse(AppDialect::Responses, problem))
}

/// The caller's response, or what is answered where there is none: one that nobody here knows may be the provider's.
pub(super) async fn look_up(
    app: &App,
    caller: &Caller,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<(Found, Request), Response> {
    let id = path.map_or(String::new(), |Path(id)| id);
    match kept::find(app, &caller.owner, &id).await {
        Err(problem) => return Err(llm::refuse(AppDialect::Responses, problem)),
        Ok(Known::Found(found)) => return Ok((*found, request)),
        Ok(Known::Nothing) if by_model::somebody_takes(app, AppDialect::Responses) => {
            return Err(passthrough::pass(State(app.clone()), request).await);
        }
        Ok(Known::Nothing | Known::Withheld) => {}
    }
    let message = format!("Response with id '{id}' not found.");
    let problem = Problem::new(StatusCode::NOT_FOUND, "not_found", message);
    Err(llm::refuse(AppDialect::Responses, problem))
}

impl Found {
    /// The response object, whether it runs or has ended and however.
    pub(super) fn as_it_stands(&self) -> Response {
        let Self { channel, place, asked, id, generation, .. } = self;
        let mut response = stands(channel, *place, asked, Some(id));
        headers::locate(response.headers_mut(), channel, generation);
        response
    }
}

/// The response object of a generation that was begun in the background.
pub(in crate::api) fn so_far(channel: &Arc<Channel>, place: Place, asked: &Asked) -> Response {
    stands(channel, place, asked, None)
}

fn stands(channel: &Arc<Channel>, place: Place, asked: &Asked, id: Option<&str>) -> Response {
    match answer::said(channel, place) {
        Ok(said) => form::json(responses::snapshot_of(counting::encoder(asked, id), &said)),
        Err(failed) => llm::refuse(AppDialect::Responses, llm::problem_of(&failed)),
    }
}

async fn again(app: &App, found: &Found, after: Option<&str>) -> Result<Response, Problem> {
    let after = after.map(number).transpose()?;
    let base = go_on_after(app, found, after).await?;
    let form = Form::events(AppDialect::Responses, app.settings.sse_ids);
    let (dialect, asked) = (AppDialect::Responses, found.asked.clone());
    let channel = &found.channel;
    let relay = Relay {
        rest: Rest::Log,
        _presence: channel.attend(),
        channel: channel.clone(),
        place: found.place,
        listener: Listener { dialect, asked, takes_bytes: false },
        form,
        settings: app.settings,
        naming: None,
        counting: Some(Counting::again(app, found, base, after)),
        last_seq: base.map_or(0, |(_, seq)| seq),
    };
    let mut response = form.response(relay.into_stream());
    headers::locate(response.headers_mut(), channel, &found.generation);
    Ok(response)
}

fn number(text: &str) -> Result<u64, Problem> {
    let wrong = |_| wrong("starting_after must be a sequence_number, from 0 up".to_owned());
    text.parse().map_err(wrong)
}

fn wrong(message: String) -> Problem {
    Problem::bad_request(message).about("starting_after")
}

/// Where the provider's numbers end for an app that goes on after this one, whichever gateway has counted them.
async fn go_on_after(
    app: &App,
    found: &Found,
    after: Option<u64>,
) -> Result<Option<(u64, u64)>, Problem> {
    let Some(away) = &found.away else { return go_on_here(app, found, after) };
    match away.go_on_after(app, found, after).await? {
        Some(gone_on) => gone_on.map_err(wrong),
        // The encoder's numbers are the same wherever it encodes.
        None if !away.is_counted() || after.is_none() => go_on_here(app, found, after),
        None => {
            let message = "the gateway that counted these numbers is gone: ask without starting_after, from the beginning";
            Err(Problem::new(StatusCode::CONFLICT, "epoch_changed", message)
                .about("starting_after"))
        }
    }
}

/// The same, of a response that was begun here or that is counted in the encoder's numbers.
pub(super) fn go_on_here(
    app: &App,
    found: &Found,
    after: Option<u64>,
) -> Result<Option<(u64, u64)>, Problem> {
    let owner = &found.channel.key().owner;
    let numbers = app.responses().get(owner, &found.id).map(|entry| entry.numbers.clone());
    let numbers = numbers.unwrap_or_default();
    let last = numbers.last();
    if let Some(after) = after.filter(|after| last.is_none_or(|(last, _)| *after > last)) {
        let next = next_number(found, last).map_err(|failed| llm::problem_of(&failed))?;
        if after >= next || numbers.is_full() {
            let head = next.saturating_sub(1);
            return Err(wrong(format!(
                "starting_after is {after}, and nothing was said after {head} yet"
            )));
        }
    }
    let mut known = app.responses();
    known.go_on_after(owner, &found.id, after);
    Ok(known.get(owner, &found.id).and_then(|entry| entry.numbers.last()))
}

/// The number of the payload that comes next, where the provider's numbers end at `base`.
fn next_number(found: &Found, mut base: Option<(u64, u64)>) -> Result<u64, Failed> {
    let mut encoder = counting::encoder(&found.asked, Some(&found.id));
    let mut told = Vec::new();
    for (seq, event) in answer::said_at(&found.channel, found.place)? {
        if let Some((number, _)) = base.take_if(|(_, reached)| seq > *reached) {
            encoder.number_from(number.saturating_add(1));
        }
        encoder.encode(&event, &mut told);
        told.clear();
    }
    // Nothing was said behind the provider's numbers.
    Ok(base.map_or(encoder.next_number(), |(number, _)| number.saturating_add(1)))
}

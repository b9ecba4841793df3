//! `POST /v1/responses`: what a turn goes on from, and what is remembered of it.
//!
//! A previous response that is remembered is written into the input, whoever is the target. One that is not is a
//! Responses provider's to know; where none is asked, it is refused as OpenAI refuses it.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde_json::value::RawValue;

use super::{
    super::{
        App,
        access::Caller,
        answer,
        call::{self, Asking, misunderstood},
        extract::Whole,
        form::Form,
        llm,
        problem::Problem,
        told::Known,
        whose,
    },
    kept, reference,
};
use crate::{
    access::BodyRoom,
    dialect::{
        AppDialect, AppRequest, Asked, Dialect,
        responses::{Request, items_of, response_id},
    },
};

/// What is remembered of a call.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct Turn {
    /// Whether its input is kept for a later turn.
    pub(super) stored: bool,
    /// What went before it is only known to the provider.
    pub(super) theirs: bool,
    /// It goes on without the app, which is answered at once unless it streams.
    pub(in crate::api) background: bool,
    /// It does not go as its app wrote it: what went before was written into its input, or it is the gateway's own to
    /// run in the background. A provider's own answer would say so.
    pub(in crate::api) rewritten: bool,
}

pub(in crate::api) async fn begin(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Result<Whole, Problem>,
) -> Response {
    let dialect = AppDialect::Responses;
    let read = body.and_then(|Whole(body, room)| {
        Ok((Request::read(body).map_err(|error| misunderstood(&error))?, room))
    });
    let asking = match read {
        Ok((request, room)) => asking(&app, &caller, request, room).await,
        Err(problem) => Err(problem),
    };
    call::take(&app, &caller, &headers, dialect, asking).await
}

async fn asking(
    app: &App,
    caller: &Caller,
    request: Request,
    room: BodyRoom,
) -> Result<Asking, Problem> {
    let asked = without_input(&request.asked());
    let (stored, background) = (request.stores(), request.background());
    let mut theirs = request.conversation();
    let before = match request.previous_response_id() {
        Some(previous) if theirs => {
            whose::check(app, caller, previous).await?;
            None
        }
        Some(previous) => {
            let before = went_before(app, caller, previous, request.model()).await?;
            theirs = before.is_none();
            before
        }
        None => None,
    };
    let filled = reference::fill_in(app, &caller.owner, &request).await?;
    let rewritten = before.is_some() || filled.is_some() || background;
    let request = filled.unwrap_or(request);
    let request = match before {
        Some(before) => request.with_input(&before),
        None => request,
    };
    Ok(Asking {
        request: AppRequest::Responses(request),
        form: Form::events(AppDialect::Responses, app.settings.sse_ids),
        asked,
        turn: Some(Turn { stored, theirs, background, rewritten }),
        handed_over: false,
        body_room: Some(Arc::new(room)),
    })
}

/// What a turn after this response begins with; `None`: only the provider knows.
async fn went_before(
    app: &App,
    caller: &Caller,
    previous: &str,
    model: &str,
) -> Result<Option<Vec<Box<RawValue>>>, Problem> {
    let found = match kept::find(app, &caller.owner, previous).await? {
        Known::Found(found) if !found.theirs => found,
        Known::Found(_) | Known::Nothing if is_known_elsewhere(app, model) => return Ok(None),
        Known::Found(_) | Known::Nothing | Known::Withheld => return Err(not_found(previous)),
    };
    if !found.stored {
        return Err(not_found(previous));
    }
    if found.channel.is_running_at(found.place.index) {
        let message =
            format!("the response `{previous}` is still running: go on from it when it has ended");
        return Err(Problem::bad_request(message).about("previous_response_id"));
    }
    let said = answer::said(&found.channel, found.place);
    let said = said.map_err(|failed| llm::problem_of(&failed).about("previous_response_id"))?;
    let Some(mut items) = found.input(app).await? else {
        // Its gateway is gone. Under an id of its own the provider may know it still.
        let is_ours = previous == response_id(found.generation.as_str());
        return match !is_ours && is_known_elsewhere(app, model) {
            true => Ok(None),
            false => Err(not_found(previous)),
        };
    };
    items.extend(items_of(&said));
    Ok(Some(items))
}

/// Whether a target of this model keeps responses itself. Of a model that nobody serves, that is told later.
fn is_known_elsewhere(app: &App, model: &str) -> bool {
    let Ok(plan) = app.routes.plan(model, rand::random()) else { return true };
    let mut providers = plan.targets.iter().filter_map(|it| app.providers.get(&it.provider));
    providers.any(|provider| llm::spoken_by(provider) == Dialect::Responses)
}

fn not_found(previous: &str) -> Problem {
    let message = format!("Previous response with id '{previous}' not found.");
    let problem = Problem::new(StatusCode::BAD_REQUEST, "previous_response_not_found", message);
    problem.about("previous_response_id")
}

/// What the answer depends on is kept for as long as the answer; the input is not part of that.
fn without_input(asked: &Asked) -> Asked {
    let mut members: BTreeMap<&str, &RawValue> =
        serde_json::from_slice(&asked.request).unwrap_or_default();
    members.remove("input");
    let request = serde_json::to_vec(&members).expect("JSON stays JSON").into();
    Asked { request, ..asked.clone() }
}

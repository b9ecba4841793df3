//! `GET /v1/chat/completions/{id}?stream=true&starting_after=SEQ`: an app comes back for its answer, in Chat's dialect.
//!
//! The id is `chatcmpl-` and the generation's, as the encoder writes it, the generation's alone (`tokenway-generation`),
//! or, for a stream, the one that the provider gave. The numbers are the channel's: those of the `id:` lines, with or
//! without their epoch. Whatever dialect the generation began in, it is told in this one.
//!
//! Without `stream` the answer is the whole completion. While it runs that is 409 with `retry-after`, which OpenAI's SDKs
//! follow by asking again.

use axum::{
    extract::{Path, Query, Request, State, rejection::PathRejection},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;

use super::{
    App,
    access::Caller,
    answer,
    form::Form,
    headers,
    index::Found,
    llm, passthrough,
    problem::Problem,
    relay::{Listener, Relay, Rest},
    told::{self, Known, There},
};
use crate::{
    dialect::{AppDialect, Asked},
    ident::GenerationId,
    sequence::Cursor,
};

/// How soon to ask again for an answer that is not whole yet, in seconds.
const ASK_AGAIN_S: u64 = 1;

#[derive(Debug, Deserialize)]
struct Coming {
    #[serde(default)]
    stream: bool,
    starting_after: Option<String>,
}

pub(super) async fn chat(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let Ok(Path(id)) = path else { return passthrough::pass(State(app), request).await };
    let coming: Coming = match Query::try_from_uri(request.uri()) {
        Ok(Query(coming)) => coming,
        Err(error) => {
            return llm::refuse(AppDialect::OpenAi, Problem::bad_request(error.body_text()));
        }
    };
    let ours = id.strip_prefix("chatcmpl-").unwrap_or(&id);
    let index = app.index();
    let found = match coming.stream {
        true => match index.find(&app.channels, &caller.owner, ours).await {
            Some(found) => Some(found),
            None => index.find_by_any(&app.channels, &caller.owner, &id).await,
        },
        // A provider that stores what it said is asked for it under its own id.
        false => index.find(&app.channels, &caller.owner, ours).await,
    };
    let found = match found {
        Some(found) => Ok(Some(found)),
        None => elsewhere(&app, &caller, ours, &id, coming.stream).await,
    };
    let answered = match found {
        Ok(Some(found)) if coming.stream => stream(&app, &found, coming.starting_after.as_deref()),
        Ok(Some(found)) => whole(&found).await,
        Ok(None) if ours.starts_with("gen_") => Err(gone()),
        Ok(None) => return passthrough::pass(State(app), request).await,
        Err(problem) => Err(problem),
    };
    answered.unwrap_or_else(|problem| llm::refuse(AppDialect::OpenAi, problem))
}

fn gone() -> Problem {
    let message = "there is no such completion here, or not any more";
    Problem::new(StatusCode::NOT_FOUND, "not_found", message)
}

/// What another gateway has begun. `None`: it may be the provider's to tell. Err: it is nobody's to tell the caller.
async fn elsewhere(
    app: &App,
    caller: &Caller,
    ours: &str,
    id: &str,
    streams: bool,
) -> Result<Option<Found>, Problem> {
    // Providers' ids are told as they are, ours without their prefix.
    for id in [ours].into_iter().chain((id != ours).then_some(id)) {
        match told::find(app, &caller.owner, id).await? {
            Known::Nothing => {}
            Known::Withheld => return Err(gone()),
            Known::Found(there) => {
                let There { channel, told, .. } = *there;
                // A provider that stores what it said is asked for it under its own id, but for a stream.
                if !streams && told.generation != id {
                    continue;
                }
                let (id, place) = (GenerationId::claimed(&told.generation), told.place());
                return Ok(Some(Found { id, channel, place, asks_usage: told.usage }));
            }
        }
    }
    Ok(None)
}

fn stream(app: &App, found: &Found, after: Option<&str>) -> Result<Response, Problem> {
    let channel = &found.channel;
    let last_seq = after.map_or(Ok(0), |after| seq(found, after))?;
    let asked = Asked { usage: found.asks_usage, ..Asked::default() };
    let form = Form::events(AppDialect::OpenAi, app.settings.sse_ids);
    let relay = Relay {
        rest: Rest::Log,
        _presence: channel.attend(),
        channel: channel.clone(),
        place: found.place,
        listener: Listener { dialect: AppDialect::OpenAi, asked, takes_bytes: false },
        form,
        settings: app.settings,
        naming: None,
        counting: None,
        last_seq,
    };
    let mut response = form.response(relay.into_stream());
    headers::locate(response.headers_mut(), channel, &found.id);
    Ok(response)
}

/// The seq that `starting_after` means.
fn seq(found: &Found, after: &str) -> Result<u64, Problem> {
    let (epoch, head) = (found.channel.epoch(), found.channel.head());
    let about = |problem: Problem| problem.about("starting_after");
    let seq = match after.parse::<u64>() {
        Ok(seq) => seq,
        Err(_) => {
            let cursor: Cursor = after.parse().map_err(|error| about(Problem::from(error)))?;
            if cursor.epoch != epoch {
                let message = format!("the channel's epoch is {epoch} now; ask from its beginning");
                return Err(about(Problem::new(StatusCode::CONFLICT, "epoch_changed", message)));
            }
            cursor.seq
        }
    };
    if seq > head {
        let message = format!("starting_after is {seq}, and nothing was said after {head} yet");
        return Err(about(Problem::bad_request(message)));
    }
    Ok(seq)
}

async fn whole(found: &Found) -> Result<Response, Problem> {
    if found.channel.is_running_at(found.place.index) {
        let message = "the completion is still running; ask again, or with stream=true";
        let problem = Problem::new(StatusCode::CONFLICT, "generation_running", message);
        return Err(Problem { retry_after: Some(ASK_AGAIN_S), ..problem });
    }
    let asked = Asked { usage: true, ..Asked::default() };
    let (channel, place) = (&found.channel, found.place);
    let mut response = answer::when_ended(channel, place, AppDialect::OpenAi, &asked).await;
    headers::locate(response.headers_mut(), channel, &found.id);
    Ok(response)
}

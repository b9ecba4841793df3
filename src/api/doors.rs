//! Where apps call: one door for each dialect, and behind all of them the same way (`call`).

use axum::{
    body::Bytes,
    extract::{FromRequest, Path, Request, State, rejection::PathRejection},
    http::{HeaderMap, Uri},
    response::Response,
};

use super::{
    App,
    access::Caller,
    by_model,
    call::{self, Asking, misunderstood},
    extract::Whole,
    form::{self, Form},
    llm, passthrough,
    problem::Problem,
};
use crate::dialect::{AppDialect, AppRequest, BadRequest, Named, anthropic, gemini, openai};

/// `POST /v1/chat/completions`.
pub(super) async fn chat(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Result<Whole, Problem>,
) -> Response {
    let read = |body| openai::Request::read(body).map(AppRequest::OpenAi);
    open(&app, &caller, &headers, AppDialect::OpenAi, body, read).await
}

/// `POST /v1/messages`.
pub(super) async fn messages(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Result<Whole, Problem>,
) -> Response {
    let read = |body| anthropic::Request::read(body).map(AppRequest::Anthropic);
    open(&app, &caller, &headers, AppDialect::Anthropic, body, read).await
}

/// `POST /v1/messages/count_tokens`: counted by the model's provider where that is Anthropic's, else an estimate.
pub(super) async fn count_messages(
    State(app): State<App>,
    caller: Caller,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let whole = Request::from_parts(parts.clone(), body);
    let body = match Whole::from_request(whole, &app).await {
        Ok(Whole(body, _)) => body,
        Err(problem) => return llm::refuse(AppDialect::Anthropic, problem),
    };
    let model = Named::read(body.clone());
    if !model.is_some_and(|it| by_model::nobody_takes(&app, AppDialect::Anthropic, it.model())) {
        return passthrough::pass(State(app), Request::from_parts(parts, body.into())).await;
    }
    let counted = Named::read(body.clone()).map_or(Ok(()), |it| caller.may_use(it.model()));
    let counted = counted.and_then(|()| {
        let call = anthropic::Request::read(body).and_then(|request| request.call());
        Ok(anthropic::count_estimate(&call.map_err(|error| misunderstood(&error))?))
    });
    match counted {
        Ok(count) => form::json(anthropic::count_answer(count)),
        Err(problem) => llm::refuse(AppDialect::Anthropic, problem),
    }
}

async fn open(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    dialect: AppDialect,
    body: Result<Whole, Problem>,
    read: impl FnOnce(Bytes) -> Result<AppRequest, BadRequest>,
) -> Response {
    let form = Form::events(dialect, app.settings.sse_ids);
    let asking = body.and_then(|Whole(body, room)| {
        let request = read(body).map_err(|error| misunderstood(&error))?;
        Ok(Asking::new(request, form, room))
    });
    call::take(app, caller, headers, dialect, asking).await
}

/// `POST /v1beta/models/{model}:generateContent` and `:streamGenerateContent`, and the same under Google's other
/// versions; whatever else is asked of a model there is the provider's.
pub(super) async fn gemini(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let path = path.map_or(String::new(), |Path(path)| path);
    let Some((model, streams)) = generates(&path) else {
        return match path.strip_suffix(":countTokens") {
            Some(model) if by_model::nobody_takes(&app, AppDialect::Gemini, model) => {
                count(&app, &caller, model, request).await
            }
            _ => passthrough::pass(State(app), request).await,
        };
    };
    let (form, framing) = match streams && !wants_events(request.uri()) {
        true => (Form::array(), gemini::AppFraming::Array),
        false => (Form::events(AppDialect::Gemini, app.settings.sse_ids), gemini::AppFraming::Sse),
    };
    let headers = request.headers().clone();
    let asking = Whole::from_request(request, &app).await.and_then(|Whole(body, room)| {
        let request = gemini::Request::read(&model, streams, body);
        let request = request.map_err(|error| misunderstood(&error))?.framed(framing);
        Ok(Asking::new(AppRequest::Gemini(request), form, room))
    });
    call::take(&app, &caller, &headers, AppDialect::Gemini, asking).await
}

/// `:countTokens` of a model whose providers count in no such way: an estimate.
async fn count(app: &App, caller: &Caller, model: &str, request: Request) -> Response {
    let counted = Whole::from_request(request, app).await.and_then(|Whole(body, _room)| {
        caller.may_use(model)?;
        let call = gemini::Request::read(model, false, body).and_then(|request| request.call());
        Ok(gemini::count_tokens(&call.map_err(|error| misunderstood(&error))?))
    });
    match counted {
        Ok(body) => form::json(body),
        Err(problem) => llm::refuse(AppDialect::Gemini, problem),
    }
}

/// The model, and whether it is to stream, where a path under `models/` begins a generation. A model's name may hold
/// slashes and colons.
pub(super) fn generates(path: &str) -> Option<(String, bool)> {
    let (model, verb) = path.rsplit_once(':').filter(|(model, _)| !model.is_empty())?;
    match verb {
        "generateContent" => Some((model.to_owned(), false)),
        "streamGenerateContent" => Some((model.to_owned(), true)),
        _ => None,
    }
}

/// `alt=sse`.
fn wants_events(uri: &Uri) -> bool {
    let parameters = uri.query().unwrap_or_default().split('&');
    parameters
        .filter_map(|one| one.split_once('='))
        .any(|(name, value)| name.eq_ignore_ascii_case("alt") && value.eq_ignore_ascii_case("sse"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_name_may_hold_anything_before_the_last_colon() {
        for (path, expected) in [
            ("gemini-2.5-pro:generateContent", Some(("gemini-2.5-pro", false))),
            ("a/b:c:streamGenerateContent", Some(("a/b:c", true))),
            ("a:countTokens", None),
            ("a", None),
            (":generateContent", None),
        ] {
            let expected = expected.map(|(model, streams)| (model.to_owned(), streams));
            assert_eq!(generates(path), expected, "{path}");
        }
    }

    #[test]
    fn events_are_asked_for_in_the_query() {
        for (uri, expected) in [
            ("/x?alt=sse", true),
            ("/x?key=1&alt=SSE", true),
            ("/x?alt=json", false),
            ("/x?malt=sse", false),
            ("/x", false),
        ] {
            assert_eq!(wants_events(&uri.parse().expect("a URI")), expected, "{uri}");
        }
    }
}

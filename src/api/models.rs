//! `GET …/models` and `GET …/models/{id}`: the public model names, in the shapes of whoever asks.

use axum::{
    Json,
    extract::{Path, Request, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{App, access::Caller, llm, passthrough};
use crate::{
    dialect::{AppDialect, gemini},
    route::Listed,
};

/// A time before all models: since when a name means what it means is not known here.
const CREATED: &str = "1970-01-01T00:00:00Z";

pub(super) async fn list(State(app): State<App>, caller: Caller, request: Request) -> Json<Value> {
    let dialect = llm::dialect_of(request.uri().path(), request.headers());
    let mine = app.routes.models().filter(|listed| caller.may_use(listed.id).is_ok());
    let data: Vec<_> = mine.map(|listed| model(dialect, listed)).collect();
    // All of them at once: there is no next page to ask for.
    Json(match dialect {
        AppDialect::OpenAi | AppDialect::Responses => json!({ "object": "list", "data": data }),
        AppDialect::Anthropic => {
            let id = |model: Option<&Value>| model.map(|model| model["id"].clone());
            let (first, last) = (id(data.first()), id(data.last()));
            json!({ "data": data, "has_more": false, "first_id": first, "last_id": last })
        }
        AppDialect::Gemini => json!({ "models": data }),
    })
}

/// One of those that are listed; any other is the provider's to know.
pub(super) async fn one(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let dialect = llm::dialect_of(request.uri().path(), request.headers());
    let Ok(Path(id)) = path else { return passthrough::pass(State(app), request).await };
    let mine = |listed: &Listed<'_>| listed.id == id && caller.may_use(listed.id).is_ok();
    let found = app.routes.models().find(mine).map(|listed| model(dialect, listed));
    match found {
        Some(model) => Json(model).into_response(),
        None => passthrough::pass(State(app), request).await,
    }
}

fn model(dialect: AppDialect, Listed { id, provider }: Listed<'_>) -> Value {
    match dialect {
        AppDialect::OpenAi | AppDialect::Responses => {
            json!({ "id": id, "object": "model", "created": 0, "owned_by": provider })
        }
        AppDialect::Anthropic => {
            json!({ "type": "model", "id": id, "display_name": id, "created_at": CREATED })
        }
        AppDialect::Gemini => {
            serde_json::from_slice(&gemini::model_entry(id)).expect("written as JSON")
        }
    }
}

//! `GET /v1/models` and `GET /v1/models/{id}`: the public model names, in OpenAI's shapes.

use axum::{
    Json,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{App, passthrough};
use crate::route::Listed;

pub(super) async fn list(State(app): State<App>) -> Json<Value> {
    let data: Vec<_> = app.routes.models().map(model).collect();
    Json(json!({ "object": "list", "data": data }))
}

/// One of those that are listed; any other is the provider's to know.
pub(super) async fn one(
    State(app): State<App>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let listed = app.routes.models().find(|listed| listed.id == id).map(model);
    match listed {
        Some(model) => Json(model).into_response(),
        None => passthrough::pass(State(app), request).await,
    }
}

fn model(Listed { id, provider }: Listed<'_>) -> Value {
    json!({ "id": id, "object": "model", "created": 0, "owned_by": provider })
}

//! `GET /v1/models`: the public model names, in OpenAI's list shape.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::App;
use crate::route::Listed;

pub(super) async fn list(State(app): State<App>) -> Json<Value> {
    let model = |Listed { id, provider }: Listed<'_>| json!({ "id": id, "object": "model", "created": 0, "owned_by": provider });
    let data: Vec<_> = app.routes.models().map(model).collect();
    Json(json!({ "object": "list", "data": data }))
}

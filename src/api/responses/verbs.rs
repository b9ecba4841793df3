//! What else is done with a response: stop it, forget it, look at what it began with.
//!
//! One that is forgotten while it runs is stopped first. What was said stays on its channel, which is the user
//! interface's and has a way of its own to be deleted; what a provider keeps itself is the provider's.

use axum::{
    extract::{Path, Query, Request, State, rejection::PathRejection},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;
use serde_json::json;

use super::{
    super::{App, access::Caller, channels, form, llm, problem::Problem},
    Found, back,
    page::{self, Order, Page},
};
use crate::dialect::AppDialect;

/// The most items that a page may have: OpenAI's own number.
const LIMIT_MAX: usize = 100;

/// `POST /v1/responses/{id}/cancel`: of one that has ended, nothing changes.
pub(in crate::api) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    match back::look_up(&app, &caller, path, request).await {
        Ok((found, _)) => {
            stop(&app, &found).await;
            found.as_it_stands()
        }
        Err(response) => response,
    }
}

/// `DELETE /v1/responses/{id}`.
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    match back::look_up(&app, &caller, path, request).await {
        Ok((found, _)) => {
            stop(&app, &found).await;
            if let Err(problem) = found.forget(&app).await {
                return llm::refuse(AppDialect::Responses, problem);
            }
            let body = json!({ "id": found.id, "object": "response", "deleted": true });
            form::json(body.to_string().into())
        }
        Err(response) => response,
    }
}

async fn stop(app: &App, found: &Found) {
    // One that is not known to its channel any more does not run.
    let _ = app.channels.cancel(&found.channel, Some(&found.generation)).await;
    channels::until_ended(&found.channel, found.generation.as_str()).await;
}

#[derive(Debug, Deserialize)]
struct Which {
    limit: Option<String>,
    after: Option<String>,
    order: Option<String>,
}

/// `GET /v1/responses/{id}/input_items`: none where it was not to be stored.
pub(in crate::api) async fn input_items(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let (found, request) = match back::look_up(&app, &caller, path, request).await {
        Ok(found) => found,
        Err(response) => return response,
    };
    let which = Query::try_from_uri(request.uri());
    let which = which.map_err(|error| Problem::bad_request(error.body_text()));
    let input = found.input(&app).await;
    let listed = which.and_then(|Query(which)| {
        let page = read(which)?;
        let items = input?.ok_or_else(|| {
            let message = "its input is not there any more: the gateway that was given it is gone";
            Problem::new(StatusCode::NOT_FOUND, "not_found", message)
        })?;
        page::input_items(&found.id, &items, &page).ok_or_else(|| {
            Problem::bad_request("after must be the id of an item of this response").about("after")
        })
    });
    match listed {
        Ok(body) => form::json(body),
        Err(problem) => llm::refuse(AppDialect::Responses, problem),
    }
}

fn read(Which { limit, after, order }: Which) -> Result<Page, Problem> {
    let limit = limit.map(|limit| {
        let limit = limit.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        limit.ok_or_else(|| {
            Problem::bad_request(format!("limit must be from 1 to {LIMIT_MAX}")).about("limit")
        })
    });
    let order = match order.as_deref() {
        None | Some("desc") => Order::Descending,
        Some("asc") => Order::Ascending,
        Some(_) => return Err(Problem::bad_request("order must be `asc` or `desc`").about("order")),
    };
    Ok(Page { limit: limit.transpose()?, after, order })
}

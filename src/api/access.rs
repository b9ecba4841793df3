//! The guard at the HTTP door, and who the caller is.

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{App, llm, problem::Problem};
use crate::{
    access::{Denied, Guard},
    ident::{ChannelId, ChannelKey, Owner},
};

/// On whose behalf a request is made.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) owner: Owner,
}

impl Caller {
    /// The caller's channel of this id.
    pub(super) fn key(&self, id: ChannelId) -> ChannelKey {
        ChannelKey { owner: self.owner.clone(), id }
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    /// In open mode everybody who is let in is the same owner.
    async fn from_request_parts(_: &mut Parts, _: &App) -> Result<Self, Problem> {
        Ok(Self { owner: Owner::default() })
    }
}

/// Lets a request in, or answers 403.
pub(super) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_llm = llm::is_llm_call(request.method(), path);
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    let body = match is_llm && *request.method() == Method::POST {
        true if llm::is_generation(path) => Posted::Generation,
        true => Posted::Passing,
        false => Posted::Nothing,
    };
    let dialect = llm::dialect_of(path, request.headers());
    match check(&app.guard, request.headers(), authority.as_deref(), body) {
        Ok(()) => next.run(request).await,
        Err(denied) => {
            let problem = Problem::new(StatusCode::FORBIDDEN, "forbidden", denied.to_string());
            match is_llm {
                true => llm::refuse(dialect, problem),
                false => problem.into_response(),
            }
        }
    }
}

/// What an app posts for a provider.
#[derive(Clone, Copy)]
enum Posted {
    Nothing,
    Generation,
    Passing,
}

fn check(
    guard: &Guard,
    headers: &HeaderMap,
    authority: Option<&str>,
    body: Posted,
) -> Result<(), Denied> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    guard.host(text(header::HOST).or(authority).unwrap_or_default())?;
    guard.origin(text(header::ORIGIN))?;
    match body {
        Posted::Generation => guard.content_type(text(header::CONTENT_TYPE)),
        Posted::Passing => guard.passing_content_type(text(header::CONTENT_TYPE)),
        Posted::Nothing => Ok(()),
    }
}

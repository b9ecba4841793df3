//! Every other route for apps goes to a provider as it is, so that nothing breaks when the base URL changes.
//!
//! Which provider is `by_model`'s to say, how else the path may be read `plain`'s, whose what it names is `whose`'s, and what a
//! call takes of a key's limits `paid`'s. No channel, no events: these calls are not generations. The body streams both
//! ways, but for one that names a model, and for a refusal's, which is looked through for the provider's key.

use std::sync::{Arc, OnceLock};

use axum::{
    body::{Body, HttpBody},
    extract::{Request, State},
    http::{StatusCode, header, request::Parts},
    response::Response,
};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream::BoxStream};

use super::{
    App,
    access::{self, Caller},
    by_model, extract, headers, llm,
    pace::Pace,
    paid::{self, Paying},
    plain,
    problem::Problem,
    whose,
};
use crate::{
    access::{BodyRoom, Unauthorized},
    dialect::AppDialect,
    provider::{self, Provider},
    route::Price,
};

/// The longest refusal that is passed on.
const REFUSAL_BYTES_MAX: usize = 1024 * 1024;

pub(super) async fn pass(State(app): State<App>, request: Request) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    // A route of ours that is not there is nobody else's.
    if !llm::is_llm_call(method, path) {
        return llm::no_such_route(request).await;
    }
    let dialect = llm::dialect_of(path, request.headers());
    if let Some(problem) = llm::misplaced(method, path) {
        return llm::refuse(dialect, problem);
    }
    let forwarded = forward(&app, dialect, request).await;
    forwarded.unwrap_or_else(|problem| llm::refuse(dialect, problem))
}

async fn forward(app: &App, dialect: AppDialect, request: Request) -> Result<Response, Problem> {
    let called = request.uri().path().to_owned();
    let plain = plain::path(request.method(), &called)?;
    // The guard has seen to it that there is one.
    let caller = request.extensions().get::<Caller>().cloned();
    let caller = caller.ok_or(Unauthorized::Nothing)?;
    let passing = by_model::find(app, &caller, dialect, request).await?;
    if let Some(id) = whose::reached(app, &caller, &passing, &plain)? {
        whose::check(app, &caller, &id).await?;
    }
    let takes = paid::takes(&passing.parts.method, &called, &plain);
    let paying = paid::pay(app, &caller, &called, takes, &passing)?;
    let Passing { provider, path, parts, body, .. } = passing;
    let mut headers = headers::upstream(&parts.headers);
    access::bring(app, &provider, &parts.headers, &mut headers);
    if let (Carried::AsItComes(_), Some(length)) =
        (&body, parts.headers.get(header::CONTENT_LENGTH))
    {
        // It is the same body, so it has the same length.
        headers.insert(header::CONTENT_LENGTH, length.clone());
    }
    let mut call = provider::Request {
        method: parts.method.clone(),
        path,
        headers,
        body: Bytes::new(),
        connect_timeout: app.settings.connect_timeout,
    };
    let fault = Arc::new(OnceLock::new());
    let answer = match body {
        Carried::Whole(body, _room) => {
            call.body = body;
            provider.call(call).await
        }
        Carried::AsItComes(body) if body.is_end_stream() => provider.call(call).await,
        Carried::AsItComes(body) => {
            extract::fits(app, &parts.headers)?;
            provider.pass(call, bounded(app, body, Arc::clone(&fault))).await
        }
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            if let Some(paying) = paying {
                paying.refused();
            }
            let broken =
                || Problem::new(StatusCode::BAD_GATEWAY, "upstream_error", error.to_string());
            return Err(fault.get().cloned().unwrap_or_else(broken));
        }
    };
    let body = match answer.status.is_success() {
        true => {
            // Its key's place is held to the end of the answer, however long that is read; that among all only until it
            // begins.
            let running = paying.map(Paying::taken);
            Body::from_stream(answer.body.inspect(move |_| _ = &running))
        }
        // Providers repeat keys in what they say of them.
        false => {
            if let Some(paying) = paying {
                paying.refused();
            }
            provider.scrub(whole(answer.body).await?).into()
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = headers::downstream(&answer.headers);
    headers::name_provider(response.headers_mut(), provider.name());
    Ok(response)
}

/// A body on its way, within the limits; what is wrong with it is told in `fault`.
fn bounded(app: &App, body: Body, fault: Arc<OnceLock<Problem>>) -> provider::Passing {
    let (app, mut left) = (app.clone(), app.limits.body);
    let mut pace = Pace::new(app.limits.body_timeout);
    let parts = body.into_data_stream().map(move |part| {
        let wrong = match part {
            Ok(bytes) if bytes.len() > left => extract::too_large(&app),
            Ok(bytes) if !pace.keeps(bytes.len()) => extract::drips(&app),
            Ok(bytes) => {
                left -= bytes.len();
                return Ok(bytes);
            }
            Err(error) if extract::stood_still(&error) => extract::too_slow(&app),
            Err(error) => return Err(error.into()),
        };
        let message = wrong.message.clone();
        // Nothing follows the first fault.
        let _ = fault.set(wrong);
        Err(message.into())
    });
    parts.boxed()
}

/// A call on its way through.
pub(super) struct Passing {
    pub(super) provider: Arc<Provider>,
    /// Under the provider's base URL, with its query.
    pub(super) path: String,
    pub(super) parts: Parts,
    pub(super) body: Carried,
    /// What its model's tokens cost, if that is known.
    pub(super) price: Option<Price>,
}

/// A body on its way through.
pub(super) enum Carried {
    /// It was read, for the model's name.
    Whole(Bytes, BodyRoom),
    /// It was not.
    AsItComes(Body),
}

/// A refusal's body.
async fn whole(
    mut body: BoxStream<'static, Result<Bytes, provider::CallError>>,
) -> Result<Bytes, Problem> {
    let broken = |message: String| Problem::new(StatusCode::BAD_GATEWAY, "upstream_error", message);
    let mut whole = BytesMut::new();
    while let Some(part) = body.next().await {
        whole.extend_from_slice(&part.map_err(|error| broken(error.to_string()))?);
        if whole.len() > REFUSAL_BYTES_MAX {
            return Err(broken(format!(
                "the provider's refusal exceeds {REFUSAL_BYTES_MAX} bytes"
            )));
        }
    }
    Ok(whole.freeze())
}

//! Which provider a call passes to that begins no generation: that of the model it names, by the same routes as
//! generations, else the first that speaks the caller's dialect.
//!
//! Nothing is translated here. A model's public name is exchanged for the one that it has at the provider, and that is
//! all that changes.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{Method, StatusCode, Uri, header, request::Parts},
};
use serde_json::Value;

use super::{
    App,
    access::{Caller, PARAMETERS},
    extract::Whole,
    llm,
    passthrough::{Carried, Passing},
    problem::Problem,
};
use crate::{
    access::BodyRoom,
    dialect::{AppDialect, Dialect, Named, gemini},
    provider::Provider,
    route::Target,
};

/// Routes whose JSON body names a model, and that are small enough to be read for it.
const NAMING: [&str; 11] = [
    "/v1/audio/speech",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/images/generations",
    "/v1/messages/count_tokens",
    "/v1/moderations",
    "/v1/ocr",
    "/v1/rerank",
    "/v1/responses/compact",
    "/v1/responses/input_tokens",
    "/v1/videos",
];

/// Finds the provider, and what is sent to it.
pub(super) async fn find(
    app: &App,
    caller: &Caller,
    dialect: AppDialect,
    request: Request,
) -> Result<Passing, Problem> {
    let path = request.uri().path().to_owned();
    if let Some((before, model, verb)) = in_path(&path) {
        caller.may_use(&model)?;
        if let Some((provider, target)) = routed(app, dialect, &model, request.uri())? {
            let (parts, body, room) = read(app, request).await?;
            let body = renamed_within(&body, &model, &target.model).unwrap_or(body);
            let path = format!("{before}{}:{verb}", gemini::resource(&target.model));
            let path = path_at(&provider, &path, &parts.uri);
            let (body, price) = (Carried::Whole(body, room), target.price);
            return Ok(Passing { provider, path, parts, body, price });
        }
    } else if request.method() == Method::POST && names_model(&path) && is_json(&request) {
        let (parts, body, room) = read(app, request).await?;
        let named = Named::read(body.clone());
        match &named {
            Some(named) => caller.may_use(named.model())?,
            None => caller.may_use_any()?,
        }
        let routed = match &named {
            Some(named) => routed(app, dialect, named.model(), &parts.uri)?,
            None => None,
        };
        let (provider, body, price) = match (routed, named) {
            (Some((provider, target)), Some(named)) => {
                (provider, named.renamed(&target.model), target.price)
            }
            _ => (default(app, dialect, &parts.method, &path)?, body, None),
        };
        let path = path_at(&provider, &path, &parts.uri);
        return Ok(Passing { provider, path, parts, body: Carried::Whole(body, room), price });
    }
    caller.may_use_any()?;
    let (parts, body) = request.into_parts();
    let provider = default(app, dialect, &parts.method, &path)?;
    let path = path_at(&provider, &path, &parts.uri);
    Ok(Passing { provider, path, parts, body: Carried::AsItComes(body), price: None })
}

/// Whether a route's JSON body names a model.
pub(super) fn names_model(path: &str) -> bool {
    NAMING.contains(&path)
}

async fn read(app: &App, request: Request) -> Result<(Parts, Bytes, BodyRoom), Problem> {
    let (parts, body) = request.into_parts();
    let Whole(body, room) =
        Whole::from_request(Request::from_parts(parts.clone(), body), app).await?;
    Ok((parts, body, room))
}

fn is_json(request: &Request) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.trim_start().to_ascii_lowercase().starts_with("application/json")
}

/// The first target of a model that takes this dialect's routes. `None`: no route takes the name, and so the provider
/// may know it.
fn routed(
    app: &App,
    dialect: AppDialect,
    model: &str,
    uri: &Uri,
) -> Result<Option<(Arc<Provider>, Target)>, Problem> {
    let Ok(plan) = app.routes.plan(model, rand::random()) else { return Ok(None) };
    let found = plan.targets.into_iter().find_map(|target| {
        let provider = app.providers.get(&target.provider)?;
        takes(provider, dialect).then(|| (Arc::clone(provider), target))
    });
    found.map(Some).ok_or_else(|| {
        let (path, dialect) = (uri.path(), dialect.as_str());
        let message = format!(
            "{path} passes only to providers of the dialect `{dialect}`, and this model has none"
        );
        Problem::bad_request(message).about("model")
    })
}

/// Whether a model is routed, and to no provider that takes this dialect's routes.
pub(super) fn nobody_takes(app: &App, dialect: AppDialect, model: &str) -> bool {
    let Ok(plan) = app.routes.plan(model, rand::random()) else { return false };
    let mut targets = plan.targets.iter().filter_map(|it| app.providers.get(&it.provider));
    !targets.any(|provider| takes(provider, dialect))
}

/// Whether a provider has this dialect's routes at all.
pub(super) fn somebody_takes(app: &App, dialect: AppDialect) -> bool {
    app.providers.values().any(|provider| takes(provider, dialect))
}

/// The first provider that takes this dialect's routes.
fn default(
    app: &App,
    dialect: AppDialect,
    method: &Method,
    path: &str,
) -> Result<Arc<Provider>, Problem> {
    let mut providers = app.provider_order.iter().filter_map(|name| app.providers.get(name));
    let provider = providers.find(|provider| takes(provider, dialect)).map(Arc::clone);
    provider.ok_or_else(|| match llm::is_generation(path) {
        true => Problem::no_such_method(method, path),
        false => {
            let dialect = dialect.as_str();
            let message = format!(
                "no such route here, and no provider of the dialect `{dialect}` to pass it on to"
            );
            Problem::new(StatusCode::NOT_FOUND, "not_found", message)
        }
    })
}

/// Whether a provider has the routes of an app's dialect.
fn takes(provider: &Provider, dialect: AppDialect) -> bool {
    let spoken = llm::spoken_by(provider);
    match dialect {
        // Ollama has OpenAI's beside its own.
        AppDialect::OpenAi | AppDialect::Responses => {
            matches!(spoken, Dialect::OpenAi | Dialect::Responses | Dialect::Ollama)
        }
        AppDialect::Anthropic => spoken == Dialect::Anthropic,
        AppDialect::Gemini => spoken == Dialect::Gemini,
    }
}

/// The path under a provider's base URL, which for OpenAI's dialects ends in the version. The caller's key stays here.
fn path_at(provider: &Provider, path: &str, uri: &Uri) -> String {
    let under = match llm::spoken_by(provider) {
        Dialect::OpenAi | Dialect::Responses => path.strip_prefix("/v1").unwrap_or(path),
        _ => path,
    };
    let query: Vec<_> =
        uri.query().unwrap_or_default().split('&').filter(|it| !is_key(it)).collect();
    match query.join("&") {
        query if query.is_empty() => under.to_owned(),
        query => format!("{under}?{query}"),
    }
}

/// What else of a query stays here: Google's tokens, and what would make another call of it than the one that was let in.
const KEPT_HERE: [&str; 5] =
    ["access_token", "oauth_token", "$httpMethod", "$httpHeaders", "_method"];

/// Google's APIs take a key or a token in the query, and so does the gateway.
fn is_key(parameter: &str) -> bool {
    let name = llm::decoded(parameter.split('=').next().unwrap_or_default());
    PARAMETERS.iter().chain(&KEPT_HERE).any(|it| it.eq_ignore_ascii_case(&name))
}

/// What stands before the model in a path, the model, and what is asked of it.
fn in_path(path: &str) -> Option<(&str, String, &str)> {
    let at = path.find("/models/")? + 1;
    let (model, verb) = path[at..].strip_prefix("models/")?.rsplit_once(':')?;
    let verb_is_one = !verb.is_empty() && verb.bytes().all(|byte| byte.is_ascii_alphabetic());
    let known = verb_is_one && llm::dialect_of(path, &Default::default()) == AppDialect::Gemini;
    known.then(|| (&path[..at], llm::decoded(model), verb))
}

/// A body in which the model is named again, as Google's embeddings and token counts do; `None` if it is not.
fn renamed_within(body: &Bytes, model: &str, target: &str) -> Option<Bytes> {
    if model == target {
        return None;
    }
    let mut body: Value = serde_json::from_slice(body).ok()?;
    let mut found = rename(&mut body, model, target);
    found |= body.get_mut("generateContentRequest").is_some_and(|it| rename(it, model, target));
    for request in body.get_mut("requests").and_then(Value::as_array_mut).into_iter().flatten() {
        found |= rename(request, model, target);
    }
    found.then(|| serde_json::to_vec(&body).expect("JSON stays JSON").into())
}

fn rename(object: &mut Value, model: &str, target: &str) -> bool {
    let Some(name) = object.get_mut("model").filter(|name| name.is_string()) else { return false };
    let is_it = name.as_str().is_some_and(|name| name.trim_start_matches("models/") == model);
    if is_it {
        *name = format!("models/{target}").into();
    }
    is_it
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_the_query_is_found_however_it_is_written() {
        for parameter in [
            "key=k",
            "token=t",
            "%6bey=k",
            "t%6Fken=t",
            "Key=k",
            "key",
            "access_token=x",
            "%24httpMethod=POST",
        ] {
            assert!(is_key(parameter), "{parameter}");
        }
        for parameter in ["alt=sse", "pageToken=1", "keys=2", "=key"] {
            assert!(!is_key(parameter), "{parameter}");
        }
    }

    #[test]
    fn a_model_is_found_in_googles_paths() {
        for (path, expected) in [
            ("/v1beta/models/a%2Fb:countTokens", Some(("/v1beta/", "a/b", "countTokens"))),
            ("/v1beta/models/a:b:embedContent", Some(("/v1beta/", "a:b", "embedContent"))),
            ("/v1/models/llama3:8b", None),
            ("/v1beta/models/a", None),
            ("/v1/files", None),
        ] {
            let expected = expected.map(|(before, model, verb)| (before, model.to_owned(), verb));
            assert_eq!(in_path(path), expected, "{path}");
        }
    }

    #[test]
    fn a_model_named_again_in_the_body_gets_its_name_too() {
        let rename = |body: &'static str| {
            let body = renamed_within(&Bytes::from_static(body.as_bytes()), "mine", "theirs")?;
            Some(String::from_utf8(body.to_vec()).expect("text"))
        };
        assert_eq!(
            rename(r#"{"requests":[{"model":"models/mine","content":{}}]}"#).as_deref(),
            Some(r#"{"requests":[{"model":"models/theirs","content":{}}]}"#)
        );
        assert_eq!(rename(r#"{"model":"mine"}"#).as_deref(), Some(r#"{"model":"models/theirs"}"#));
        assert_eq!(rename(r#"{"model":"models/other"}"#), None);
        assert_eq!(rename(r#"{"contents":[]}"#), None);
    }
}

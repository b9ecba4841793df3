//! A provider that needs no key, no network and no model: it speaks OpenAI's Chat Completions from inside the process.
//!
//! It answers as an OpenAI-compatible server would, byte for byte through the same decoder as any other, and it can be
//! told to fail in every way that providers fail. The demo, the tests and the benches use it. The same seed and the
//! same request give the same bytes; only the pace comes from the clock.
//!
//! The life of an answer, which is also the order of the modules: `ask` reads the request, `script` writes all that
//! will be said, `timeline` says what is sent when, `perform` sends it.

mod ask;
mod control;
mod script;
mod tools;
mod sample;
mod prose;
mod tokens;
mod timeline;
mod pace;
mod chunk;
mod perform;
mod embeddings;
mod refusal;

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::{
    Method, StatusCode,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{CallError, Request, Response};
use ask::Ask;
pub use control::{MODELS, Scenario};
use refusal::Refusal;
use script::Fault;
use timeline::Timeline;

/// How fast it speaks unless told otherwise: what a good hosted model does, and comfortably above reading speed.
pub const TOKENS_PER_SECOND: f64 = 80.0;
/// The seed unless another is set; any number would do, a fixed one makes a demo repeatable.
pub const SEED: u64 = 1;
/// The model that answers `/embeddings`.
pub const EMBEDDING_MODEL: &str = "sim-embedding";

/// When all its models came to be: fixed, so that `/models` never changes.
const MODELS_CREATED: u64 = 1_760_000_000;

/// What may be set for all requests; a request can set the same and more in its `simulator` member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Tokens per second of each choice.
    pub tokens_per_second: f64,
    /// What all text, ids and jitter derive from, together with the request.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { tokens_per_second: TOKENS_PER_SECOND, seed: SEED }
    }
}

/// The built-in provider.
#[derive(Clone, Debug, Default)]
pub struct Simulator {
    settings: Settings,
}

impl Simulator {
    /// A simulator with these settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Answers a request. Every answer an HTTP server would give, a 404 too, is `Ok`; only the `reset` scenario
    /// breaks the connection.
    pub async fn call(&self, request: Request) -> Result<Response, CallError> {
        let path = request.path.split('?').next().unwrap_or_default();
        let get = request.method == Method::GET;
        let post = request.method == Method::POST;
        match path {
            "/chat/completions" if post => self.chat(&request.body).await,
            "/embeddings" if post => Ok(match embeddings::answer(&request.body) {
                Ok(body) => whole(StatusCode::OK, self.settings.seed, &body),
                Err(refusal) => self.refuse(&refusal),
            }),
            "/models" if get => {
                let data: Vec<_> = model_names().map(model_object).collect();
                let list = json!({ "object": "list", "data": data });
                Ok(whole(StatusCode::OK, self.settings.seed, &list))
            }
            "/chat/completions" | "/embeddings" | "/models" => {
                Ok(self.refuse(&Refusal::method(&request.method, path)))
            }
            _ => Ok(match path.strip_prefix("/models/").filter(|_| get) {
                Some(name) if model_names().any(|known| known == name) => {
                    whole(StatusCode::OK, self.settings.seed, &model_object(name))
                }
                Some(name) => self.refuse(&Refusal::unknown_model(name)),
                None => self.refuse(&Refusal::path(&request.method, path)),
            }),
        }
    }

    async fn chat(&self, body: &[u8]) -> Result<Response, CallError> {
        let start = Instant::now();
        let ask = match Ask::parse(body) {
            Ok(ask) => ask,
            Err(refusal) => return Ok(self.refuse(&refusal)),
        };
        let script = script::write(&ask, self.settings.seed);
        let seed = script.seed;
        let pace =
            pace::Pace::new(&ask.control, ask.scenario, self.settings.tokens_per_second, seed);
        if let Some(Fault::Refuse(refusal)) = &script.fault {
            sleep(pace.first_token()).await;
            return Ok(refuse(refusal, seed));
        }
        if !ask.stream {
            return perform::whole(script, &pace).await;
        }
        let keep_alive = (ask.scenario == Scenario::SlowStart).then_some(KEEP_ALIVE);
        let timeline = Timeline::new(script, pace, ask.include_usage, keep_alive);
        let mut response = empty(StatusCode::OK, seed, "text/event-stream; charset=utf-8");
        response.body = perform::stream(timeline, start);
        Ok(response)
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        refuse(refusal, self.settings.seed)
    }
}

/// How often `sim-slow-start` says that it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

fn model_names() -> impl Iterator<Item = &'static str> {
    MODELS.iter().map(|(name, _)| *name).chain([EMBEDDING_MODEL])
}

fn model_object(name: &str) -> Value {
    json!({ "id": name, "object": "model", "created": MODELS_CREATED, "owned_by": "tokenway" })
}

fn refuse(refusal: &Refusal, seed: u64) -> Response {
    let mut response = whole(refusal.status, seed, &refusal.body());
    if let Some(seconds) = refusal.retry_after {
        response.headers.insert("retry-after", HeaderValue::from(seconds));
    }
    response
}

fn whole(status: StatusCode, seed: u64, body: &Value) -> Response {
    let mut response = empty(status, seed, "application/json");
    let body = Bytes::from(body.to_string());
    response.headers.insert("content-length", HeaderValue::from(body.len()));
    response.body = stream::once(async move { Ok(body) }).boxed();
    response
}

fn empty(status: StatusCode, seed: u64, content_type: &'static str) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let id = HeaderValue::try_from(format!("req_{seed:016x}")).expect("hex digits are visible");
    headers.insert("x-request-id", id);
    Response { status, headers, key: None, body: stream::empty().boxed() }
}

#[cfg(test)]
mod tests;

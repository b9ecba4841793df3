//! Calls a provider over HTTP.
//!
//! Follows no redirect (a POST must not wander), retries nothing, decompresses nothing: what the provider sent is what
//! is passed on. The provider's key lives in the headers set here and appears in no error text.

use std::{collections::HashMap, time::Duration};

use futures_util::StreamExt;
use parking_lot::Mutex;
use reqwest::header::HeaderMap;

use super::{CallError, Passing, Request, Response};

/// How long an idle connection to a provider is kept for the next call: below the 60 s after which many load balancers
/// drop one without a word.
const POOL_IDLE: Duration = Duration::from_secs(50);

/// One provider's endpoint.
pub struct Http {
    base_url: String,
    /// Credentials and the operator's own headers; they replace what the app sent.
    headers: HeaderMap,
    /// reqwest sets the connect timeout for a client, and models may differ in it: one client for each that is used.
    clients: Mutex<HashMap<Duration, reqwest::Client>>,
}

impl Http {
    /// An endpoint at `base_url` (no slash at its end) with these headers on every call.
    pub fn new(base_url: impl Into<String>, headers: HeaderMap) -> Self {
        let base_url = base_url.into().trim_end_matches('/').to_owned();
        Self { base_url, headers, clients: Mutex::default() }
    }

    /// Calls the provider and returns as soon as its status and headers are known.
    pub async fn call(&self, mut request: Request) -> Result<Response, CallError> {
        let body = std::mem::take(&mut request.body);
        self.send(request, body.into()).await
    }

    /// The same, with a body that is passed on while it comes. The request's own is empty.
    pub async fn pass(&self, request: Request, body: Passing) -> Result<Response, CallError> {
        self.send(request, reqwest::Body::wrap_stream(body)).await
    }

    async fn send(&self, request: Request, body: reqwest::Body) -> Result<Response, CallError> {
        let Request { method, path, mut headers, connect_timeout, .. } = request;
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        let url = format!("{}{path}", self.base_url);
        let client = self.client(connect_timeout)?;
        let sent = client.request(method, url).headers(headers).body(body).send().await;
        let response = sent.map_err(|error| call_error(error, connect_timeout))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes_stream();
        let body = body.map(move |chunk| chunk.map_err(|error| call_error(error, connect_timeout)));
        Ok(Response { status, headers, key: None, body: body.boxed() })
    }

    fn client(&self, connect_timeout: Duration) -> Result<reqwest::Client, CallError> {
        let mut clients = self.clients.lock();
        if let Some(client) = clients.get(&connect_timeout) {
            return Ok(client.clone());
        }
        let client = reqwest::Client::builder()
            .connect_timeout(connect_timeout)
            .pool_idle_timeout(POOL_IDLE)
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .build()
            .map_err(|error| CallError::Connect(error.to_string()))?;
        clients.insert(connect_timeout, client.clone());
        Ok(client)
    }
}

/// The error without the URL, which may hold a key in its query.
fn call_error(error: reqwest::Error, connect_timeout: Duration) -> CallError {
    let error = error.without_url();
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => CallError::ConnectTimeout(connect_timeout),
        (true, false) => CallError::Connect(root_cause(&error)),
        _ => CallError::Broken(root_cause(&error)),
    }
}

/// The innermost reason: the outer ones only say that something failed.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

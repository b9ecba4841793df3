//! Calls a provider over HTTP.
//!
//! Follows no redirect (a POST must not wander), retries nothing, decompresses nothing: what the provider sent is what
//! is passed on. The provider's keys live in the headers set here and appear in no error text. A proxy is used if it is
//! given here; the environment's are not looked at, since what a gateway does is to be seen in its config.

use std::{collections::HashMap, time::Duration};

use futures_util::StreamExt;
use parking_lot::Mutex;
use reqwest::{
    Certificate, Proxy,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use tokio::time::Instant;

use super::{CallError, Passing, Request, Response, keys::Keys};

/// How long an idle connection to a provider is kept for the next call: below the 60 s after which many load balancers
/// drop one without a word.
const POOL_IDLE: Duration = Duration::from_secs(50);

/// One provider's endpoint.
pub struct Http {
    base_url: String,
    headers: HeaderMap,
    remove_headers: Vec<HeaderName>,
    pub(super) keys: Keys,
    proxy: Option<Proxy>,
    ca: Vec<Certificate>,
    /// reqwest sets the connect timeout for a client, and models may differ in it: one client for each that is used.
    clients: Mutex<HashMap<Duration, reqwest::Client>>,
}

/// What calling an endpoint takes, beside where it is.
#[derive(Default)]
pub struct HttpSettings {
    /// The app's that are not passed on.
    pub remove_headers: Vec<HeaderName>,
    /// The operator's own; they replace what the app sent.
    pub headers: HeaderMap,
    /// The keys, each as the header that carries it, which replaces any other of its name. A call goes with one.
    pub keys: Vec<(HeaderName, HeaderValue)>,
    /// What calls go through.
    pub proxy: Option<Proxy>,
    /// Trusted beside the system's.
    pub ca: Vec<Certificate>,
}

impl Http {
    /// An endpoint at `base_url`.
    pub fn new(base_url: impl Into<String>, settings: HttpSettings) -> Self {
        let base_url = base_url.into().trim_end_matches('/').to_owned();
        let HttpSettings { remove_headers, headers, keys, proxy, ca } = settings;
        let keys = Keys::new(keys);
        Self { base_url, headers, remove_headers, keys, proxy, ca, clients: Mutex::default() }
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
        for name in &self.remove_headers {
            headers.remove(name);
        }
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        let key = self.keys.pick(Instant::now()).map(|(key, (name, value))| {
            headers.insert(name, value.clone());
            key
        });
        let url = format!("{}{path}", self.base_url);
        let client = self.client(connect_timeout)?;
        let sent = client.request(method, url).headers(headers).body(body).send().await;
        let response = sent.map_err(|error| call_error(error, connect_timeout))?;
        let (status, headers) = (response.status(), response.headers().clone());
        if let Some(key) = key {
            self.keys.answered(key, status, &headers, Instant::now());
        }
        let body = response.bytes_stream();
        let body = body.map(move |chunk| chunk.map_err(|error| call_error(error, connect_timeout)));
        Ok(Response { status, headers, key, body: body.boxed() })
    }

    fn client(&self, connect_timeout: Duration) -> Result<reqwest::Client, CallError> {
        let mut clients = self.clients.lock();
        if let Some(client) = clients.get(&connect_timeout) {
            return Ok(client.clone());
        }
        let mut builder = reqwest::Client::builder()
            .connect_timeout(connect_timeout)
            .pool_idle_timeout(POOL_IDLE)
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .tls_certs_merge(self.ca.iter().cloned())
            .no_proxy();
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(proxy.clone());
        }
        let client = builder.build().map_err(|error| CallError::Connect(root_cause(&error)))?;
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

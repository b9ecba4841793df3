//! Calls a provider over HTTP.
//!
//! Follows no redirect (a POST must not wander), retries nothing, decompresses nothing: what the provider sent is what
//! is passed on. The provider's key lives in the headers set here, or signs the request, and appears in no error text.

use std::{collections::HashMap, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use parking_lot::Mutex;
use reqwest::{Url, header::HeaderMap};

use super::{CallError, Passing, Request, Response, sigv4::Signer};

/// How long an idle connection to a provider is kept for the next call: below the 60 s after which many load balancers
/// drop one without a word.
const POOL_IDLE: Duration = Duration::from_secs(50);

/// The largest body that is passed on signed, for which it must be known whole: what Bedrock takes at most.
const SIGNED_BYTES_MAX: usize = 25_000_000;

/// One provider's endpoint.
pub struct Http {
    base_url: String,
    /// Credentials and the operator's own headers; they replace what the app sent.
    headers: HeaderMap,
    /// For providers that want requests signed.
    signer: Option<Signer>,
    /// reqwest sets the connect timeout for a client, and models may differ in it: one client for each that is used.
    clients: Mutex<HashMap<Duration, reqwest::Client>>,
}

impl Http {
    /// An endpoint at `base_url` (no slash at its end) with these headers on every call.
    pub fn new(base_url: impl Into<String>, headers: HeaderMap) -> Self {
        let base_url = base_url.into().trim_end_matches('/').to_owned();
        Self { base_url, headers, signer: None, clients: Mutex::default() }
    }

    /// The same endpoint, whose calls are signed.
    pub fn signed(self, signer: Signer) -> Self {
        Self { signer: Some(signer), ..self }
    }

    /// Calls the provider and returns as soon as its status and headers are known.
    pub async fn call(&self, mut request: Request) -> Result<Response, CallError> {
        let body = std::mem::take(&mut request.body);
        let url = self.url(&request)?;
        for (name, value) in &self.headers {
            request.headers.insert(name, value.clone());
        }
        if let Some(signer) = &self.signer {
            signer.sign(&request.method, &url, &mut request.headers, &body)?;
        }
        self.send(request, url, body.into()).await
    }

    /// The same, with a body that is passed on while it comes. The request's own is empty.
    pub async fn pass(&self, mut request: Request, body: Passing) -> Result<Response, CallError> {
        if self.signer.is_some() {
            request.body = whole(body).await?;
            return self.call(request).await;
        }
        for (name, value) in &self.headers {
            request.headers.insert(name, value.clone());
        }
        let url = self.url(&request)?;
        self.send(request, url, reqwest::Body::wrap_stream(body)).await
    }

    fn url(&self, request: &Request) -> Result<Url, CallError> {
        let url = Url::parse(&format!("{}{}", self.base_url, request.path));
        url.map_err(|error| CallError::Connect(error.to_string()))
    }

    async fn send(
        &self,
        request: Request,
        url: Url,
        body: reqwest::Body,
    ) -> Result<Response, CallError> {
        let Request { method, headers, connect_timeout, .. } = request;
        let client = self.client(connect_timeout)?;
        let sent = client.request(method, url).headers(headers).body(body).send().await;
        let response = sent.map_err(|error| call_error(error, connect_timeout))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes_stream();
        let body = body.map(move |chunk| chunk.map_err(|error| call_error(error, connect_timeout)));
        Ok(Response { status, headers, body: body.boxed() })
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

async fn whole(mut body: Passing) -> Result<Bytes, CallError> {
    let mut whole = BytesMut::new();
    while let Some(part) = body.next().await {
        whole.extend_from_slice(&part.map_err(|error| CallError::Broken(error.to_string()))?);
        if whole.len() > SIGNED_BYTES_MAX {
            let message = format!("the body exceeds {SIGNED_BYTES_MAX} bytes");
            return Err(CallError::Broken(message));
        }
    }
    Ok(whole.freeze())
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

#[cfg(test)]
mod tests {
    use axum::{Router, extract::Request as Incoming, routing::any};
    use futures_util::stream;
    use reqwest::{Method, header::HeaderValue};
    use tokio::net::TcpListener;

    use super::*;

    fn request() -> Request {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        Request {
            method: Method::POST,
            path: "/model/amazon.nova-lite-v1%3A0/converse-stream".to_owned(),
            headers,
            body: Bytes::from_static(b"{\"messages\":[]}"),
            connect_timeout: Duration::from_secs(5),
        }
    }

    /// What a provider on a socket of its own saw of a call: the path, the headers and the body.
    async fn seen(passed: bool) -> (String, HeaderMap, Bytes, Signer, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base_url = format!("http://{}", listener.local_addr().expect("an address"));
        let (tell, mut told) = tokio::sync::mpsc::channel(1);
        let app = Router::new().fallback(any(async move |incoming: Incoming| {
            let (parts, body) = incoming.into_parts();
            let body = axum::body::to_bytes(body, 1024).await.expect("a short body");
            tell.send((parts.uri.path().to_owned(), parts.headers, body)).await.expect("awaited");
            "ok"
        }));
        let signer = Signer::new("us-east-1", "AKIDEXAMPLE", "secret", Some("token".to_owned()));
        let http = Http::new(&base_url, HeaderMap::new()).signed(signer.clone());
        let call = async {
            match passed {
                false => http.call(request()).await,
                true => {
                    let Request { body, .. } = request();
                    let halves = [body.slice(..5), body.slice(5..)].map(Ok);
                    let body = stream::iter(halves).boxed();
                    http.pass(Request { body: Bytes::new(), ..request() }, body).await
                }
            }
        };
        let server = async { axum::serve(listener, app).await };
        tokio::select! {
            response = call => drop(response.expect("an answer")),
            _ = server => panic!("the server stopped"),
        }
        let (path, headers, body) = told.recv().await.expect("it was called");
        (path, headers, body, signer, base_url)
    }

    #[tokio::test]
    async fn what_is_signed_is_what_is_sent() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        for passed in [false, true] {
            let (path, mut headers, body, signer, base_url) = seen(passed).await;
            assert_eq!((&*path, &body), (&*request().path, &request().body));
            assert_eq!(headers["x-amz-security-token"], "token");
            let sent = headers.remove("authorization").expect("signed");
            assert_eq!(headers["host"], base_url.strip_prefix("http://").expect("a host"));
            // What arrived, signed again at the time that it names.
            let url = Url::parse(&format!("{base_url}{path}")).expect("a URL");
            let date = headers.remove("x-amz-date").expect("a date");
            signer.sign_again(&date, &url, &mut headers, &body);
            assert_eq!(headers["authorization"], sent);
        }
    }
}

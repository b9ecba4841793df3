//! Calls a provider over HTTP.
//!
//! Follows no redirect (a POST must not wander), retries nothing, decompresses nothing: what the provider sent is what
//! is passed on. The provider's keys live in the headers set here, or sign the request, and appear in no error text. A
//! proxy is used if it is given here; the environment's are not looked at, since what a gateway does is to be seen in its
//! config.

use std::{collections::HashMap, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use parking_lot::Mutex;
use reqwest::{
    Certificate, Proxy, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use tokio::time::Instant;

use super::{CallError, Passing, Request, Response, keys::Keys, sigv4::Signer};

/// How long an idle connection to a provider is kept for the next call: below the 60 s after which many load balancers
/// drop one without a word.
const POOL_IDLE: Duration = Duration::from_secs(50);

/// The largest body that is passed on signed, for which it must be known whole: what Bedrock takes at most.
const SIGNED_BYTES_MAX: usize = 25_000_000;

/// Where a key that a caller brings goes.
#[derive(Clone, Debug)]
pub struct CallerKey {
    /// The header.
    pub header: HeaderName,
    /// What stands before the key: `Bearer `, or nothing.
    pub before: &'static str,
}

impl CallerKey {
    /// Puts a key there. One that no header can hold is left out.
    pub fn put(&self, headers: &mut HeaderMap, key: &str) {
        if let Ok(mut value) = HeaderValue::try_from(format!("{}{key}", self.before)) {
            value.set_sensitive(true);
            headers.insert(self.header.clone(), value);
        }
    }
}

/// One provider's endpoint.
pub struct Http {
    base_url: String,
    /// The base URL's own query: it goes with every call.
    query: Option<String>,
    /// Of the base URL, where it has them.
    server: Option<(String, u16)>,
    headers: HeaderMap,
    remove_headers: Vec<HeaderName>,
    pub(super) keys: Keys,
    caller_key: Option<CallerKey>,
    /// For providers that want requests signed.
    signer: Option<Signer>,
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
    /// Where a key that a caller brings goes, in place of these; `None`: nowhere.
    pub caller_key: Option<CallerKey>,
    /// What calls go through.
    pub proxy: Option<Proxy>,
    /// Trusted beside the system's.
    pub ca: Vec<Certificate>,
}

impl Http {
    /// An endpoint at `base_url`, whose query, if it has one, goes with every call.
    pub fn new(base_url: &str, settings: HttpSettings) -> Self {
        let (base_url, query) = match base_url.split_once('?') {
            Some((base_url, query)) => (base_url, Some(query.to_owned())),
            None => (base_url, None),
        };
        let base_url = base_url.trim_end_matches('/').to_owned();
        let HttpSettings { remove_headers, headers, keys, caller_key, proxy, ca } = settings;
        let (keys, signer, clients) = (Keys::new(keys), None, Mutex::default());
        let server = Url::parse(&base_url)
            .ok()
            .and_then(|url| Some((url.host_str()?.to_owned(), url.port_or_known_default()?)));
        Self {
            base_url,
            query,
            server,
            headers,
            remove_headers,
            keys,
            caller_key,
            signer,
            proxy,
            ca,
            clients,
        }
    }

    pub(super) fn server(&self) -> Option<(&str, u16)> {
        self.server.as_ref().map(|(host, port)| (host.as_str(), *port))
    }

    /// The same endpoint, whose calls are signed.
    pub fn signed(self, signer: Signer) -> Self {
        Self { signer: Some(signer), ..self }
    }

    /// Where a key that a caller brings goes.
    pub(super) fn caller_key(&self) -> Option<&CallerKey> {
        self.caller_key.as_ref()
    }

    /// Calls the provider and returns as soon as its status and headers are known.
    pub async fn call(&self, mut request: Request) -> Result<Response, CallError> {
        let body = std::mem::take(&mut request.body);
        self.send(request, &body, body.clone().into()).await
    }

    /// The same, with a body that is passed on while it comes. The request's own is empty. One that must be signed is
    /// read whole first, for its signature covers it.
    pub async fn pass(&self, mut request: Request, body: Passing) -> Result<Response, CallError> {
        if self.signer.is_some() {
            request.body = whole(body).await?;
            return self.call(request).await;
        }
        self.send(request, &[], reqwest::Body::wrap_stream(body)).await
    }

    /// `whole`: the body, for a signature.
    async fn send(
        &self,
        request: Request,
        whole: &[u8],
        body: reqwest::Body,
    ) -> Result<Response, CallError> {
        let Request { method, path, mut headers, connect_timeout, .. } = request;
        for name in &self.remove_headers {
            headers.remove(name);
        }
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        let brings = self.caller_key.as_ref().is_some_and(|it| headers.contains_key(&it.header));
        let picked = if brings { None } else { self.keys.pick(Instant::now()) };
        let key = picked.map(|(key, (name, value))| {
            headers.insert(name, value.clone());
            key
        });
        let url = self.url(&path)?;
        if let Some(signer) = &self.signer {
            signer.sign(&method, &url, &mut headers, whole)?;
        }
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

    /// Where a path is. Of a parameter that both the path and the base URL have, the base URL's holds.
    fn url(&self, path: &str) -> Result<Url, CallError> {
        let url = Url::parse(&format!("{}{path}", self.base_url));
        let mut url = url.map_err(|error| CallError::Connect(error.to_string()))?;
        if let Some(ours) = &self.query {
            let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
            let known: Vec<_> = ours.split('&').map(name).collect();
            let apps = url.query().unwrap_or_default().split('&');
            let apps = apps.filter(|pair| !pair.is_empty() && !known.contains(&name(pair)));
            let all: Vec<_> = apps.chain([ours.as_str()]).collect();
            let all = all.join("&");
            url.set_query(Some(&all));
        }
        Ok(url)
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
    use reqwest::Method;
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
        let http = Http::new(&base_url, HttpSettings::default()).signed(signer.clone());
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

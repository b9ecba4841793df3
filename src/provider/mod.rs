//! Talk to a model: a request goes out, a response with a stream of bytes comes back.
//!
//! Knows URLs, headers, connections and the built-in simulator. Knows no dialect: what the bytes mean is `dialect`'s.

pub mod framing;
pub mod sigv4;
pub mod simulator;
pub mod sse;

mod http;
mod keys;

pub use http::{CallerKey, Http, HttpSettings};
pub use keys::KeyIndex;

use std::{fmt, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream::BoxStream};
use memchr::memmem::Finder;
use reqwest::{Method, StatusCode, header::HeaderMap};
use thiserror::Error;
use tokio::time::Instant;

/// What to send to a provider.
#[derive(Clone)]
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// The path under the provider's base URL, beginning with a slash, with its query: `/chat/completions`.
    pub path: String,
    /// Headers to pass on, already cleared of the caller's credentials and hop-by-hop fields.
    pub headers: HeaderMap,
    /// The body, ready for this provider.
    pub body: Bytes,
    /// How long connecting may take.
    pub connect_timeout: Duration,
}

/// Without headers and body: they are the app's own.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, path, .. } = self;
        let mut shown = f.debug_struct("Request");
        shown.field("method", method).field("path", path).finish_non_exhaustive()
    }
}

/// A body that is passed on while it comes.
pub type Passing = BoxStream<'static, Result<Bytes, Box<dyn std::error::Error + Send + Sync>>>;

/// Shorter keys are not secrets but words such as `none` and `EMPTY`, which servers without keys are given: an answer may
/// well hold them.
const SECRET_BYTES_MIN: usize = 16;

/// The largest body that is taken for the simulator, which reads it whole.
const SIMULATOR_BYTES_MAX: usize = 1024 * 1024;

/// A provider's answer, from the moment its status and headers are known.
pub struct Response {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Which of the provider's keys it was called with, if it has any.
    pub key: Option<KeyIndex>,
    /// Its body. Dropping it ends the call at the provider.
    pub body: BoxStream<'static, Result<Bytes, CallError>>,
}

/// Why a call to a provider broke outside of HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CallError {
    /// No connection could be made: refused, unreachable, name not found, TLS.
    #[error("cannot connect to the provider: {0}")]
    Connect(String),
    /// Connecting took longer than allowed.
    #[error("no connection to the provider after {0:?}")]
    ConnectTimeout(Duration),
    /// The connection broke before or while the body came.
    #[error("the provider's connection broke: {0}")]
    Broken(String),
    /// It was not sent, because it could not be signed.
    #[error(transparent)]
    Unsigned(#[from] sigv4::Unsigned),
}

/// A configured provider.
pub struct Provider {
    name: String,
    dialect_name: &'static str,
    endpoint: Endpoint,
    /// What must never be repeated in anything that leaves the gateway.
    secrets: Vec<Finder<'static>>,
}

/// Where a provider is.
pub enum Endpoint {
    /// Behind a URL.
    Http(Box<Http>),
    /// Inside this process.
    Simulator(simulator::Simulator),
}

impl Provider {
    /// A provider by its configured name. `secrets` are its keys, which [`Provider::scrub`] takes out of what it says.
    pub fn new(
        name: impl Into<String>,
        dialect_name: &'static str,
        endpoint: Endpoint,
        secrets: impl IntoIterator<Item = String>,
    ) -> Self {
        let secrets = secrets.into_iter().filter(|secret| secret.len() >= SECRET_BYTES_MIN);
        let secrets = secrets.map(|secret| Finder::new(&secret).into_owned()).collect();
        Self { name: name.into(), dialect_name, endpoint, secrets }
    }

    /// Its configured name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host and port that it is called at; `None` where it is in this process.
    pub fn server(&self) -> Option<(&str, u16)> {
        match &self.endpoint {
            Endpoint::Http(http) => http.server(),
            Endpoint::Simulator(_) => None,
        }
    }

    /// Its dialect, in configuration's word.
    pub fn dialect_name(&self) -> &'static str {
        self.dialect_name
    }

    /// Calls it, and returns as soon as its status and headers are known.
    pub async fn call(&self, request: Request) -> Result<Response, CallError> {
        match &self.endpoint {
            Endpoint::Http(http) => http.call(request).await,
            Endpoint::Simulator(simulator) => simulator.call(request).await,
        }
    }

    /// Calls it with a body that is passed on while it comes, in place of the request's own.
    pub async fn pass(
        &self,
        mut request: Request,
        mut body: Passing,
    ) -> Result<Response, CallError> {
        match &self.endpoint {
            Endpoint::Http(http) => http.pass(request, body).await,
            Endpoint::Simulator(simulator) => {
                let mut whole = BytesMut::new();
                while let Some(part) = body.next().await {
                    whole.extend_from_slice(&part.map_err(|e| CallError::Broken(e.to_string()))?);
                    if whole.len() > SIMULATOR_BYTES_MAX {
                        let message = format!("the body exceeds {SIMULATOR_BYTES_MAX} bytes");
                        return Err(CallError::Broken(message));
                    }
                }
                request.body = whole.freeze();
                simulator.call(request).await
            }
        }
    }

    /// Leaves a key alone until then, and the next calls go with another, if there is one. After a 429 this has been done,
    /// by its `retry-after`; who knows better says so here. A rest never becomes shorter.
    pub fn rest_key(&self, key: KeyIndex, until: Instant) {
        if let Endpoint::Http(http) = &self.endpoint {
            http.keys.rest(key, until);
        }
    }

    /// Whether a call made now would go with a key that does not rest. False without keys.
    pub fn has_rested_key(&self, now: Instant) -> bool {
        match &self.endpoint {
            Endpoint::Http(http) => http.keys.has_rested(now),
            Endpoint::Simulator(_) => false,
        }
    }

    /// Where a key that a caller brings goes, if the operator lets it.
    pub fn caller_key(&self) -> Option<&CallerKey> {
        match &self.endpoint {
            Endpoint::Http(http) => http.caller_key(),
            Endpoint::Simulator(_) => None,
        }
    }

    /// What the provider said without its keys, should it have repeated one.
    pub fn scrub(&self, said: Bytes) -> Bytes {
        self.secrets.iter().fold(said, scrub)
    }
}

fn scrub(said: Bytes, secret: &Finder<'_>) -> Bytes {
    let Some(first) = secret.find(&said) else { return said };
    let mut clean = BytesMut::with_capacity(said.len());
    let (mut rest, mut found) = (&said[..], Some(first));
    while let Some(at) = found {
        clean.extend_from_slice(&rest[..at]);
        clean.extend_from_slice(b"[redacted]");
        rest = &rest[at + secret.needle().len()..];
        found = secret.find(rest);
    }
    clean.extend_from_slice(rest);
    clean.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_key(key: &str) -> Provider {
        let simulator = simulator::Simulator::new(simulator::Settings::default());
        Provider::new("p", "openai", Endpoint::Simulator(simulator), [key.to_owned()])
    }

    #[test]
    fn a_key_is_taken_out_wherever_it_is_and_nothing_else() {
        let provider = with_key("sk-0123456789abcdef");
        for (said, clean) in [
            ("plain", "plain"),
            ("sk-0123456789abcdef", "[redacted]"),
            ("a sk-0123456789abcdefsk-0123456789abcdef \u{e9}", "a [redacted][redacted] \u{e9}"),
        ] {
            assert_eq!(provider.scrub(Bytes::from_static(said.as_bytes())), clean);
        }
    }

    #[test]
    fn a_word_in_place_of_a_key_may_be_said() {
        for word in ["none", "EMPTY", "1", "lm-studio", "not-needed"] {
            let said = format!("{{\"content\":\"{word}\"}}");
            assert_eq!(with_key(word).scrub(said.clone().into()), said);
        }
    }
}

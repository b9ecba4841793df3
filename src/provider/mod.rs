//! Talk to a model: a request goes out, a response with a stream of bytes comes back.
//!
//! Knows URLs, headers, connections and the built-in simulator. Knows no dialect: what the bytes mean is `dialect`'s.

pub mod simulator;
pub mod sse;

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use reqwest::{Method, StatusCode, header::HeaderMap};
use thiserror::Error;

/// What to send to a provider.
#[derive(Clone, Debug)]
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

/// A provider's answer, from the moment its status and headers are known.
pub struct Response {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
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
}

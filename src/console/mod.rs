//! The console: its page and the operators', built from `client/console` and committed, so that building Tokenway needs no Node.

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};

const PAGE: &[u8] = include_bytes!("../../console/dist/index.html");
const SCRIPT: &[u8] = include_bytes!("../../console/dist/console.js");
const STYLE: &[u8] = include_bytes!("../../console/dist/console.css");
const OPS_PAGE: &[u8] = include_bytes!("../../console/dist/ops.html");
const OPS_SCRIPT: &[u8] = include_bytes!("../../console/dist/ops.js");
const OPS_STYLE: &[u8] = include_bytes!("../../console/dist/ops.css");

/// The page loads nothing from elsewhere and may be framed by nobody. It connects to wherever `/v1/connect/info` says,
/// which may be another host.
const POLICY: &str = "default-src 'self'; connect-src 'self' https: wss: ws:; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The console's routes.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(async || asset(PAGE, "text/html; charset=utf-8")))
        .route("/console.js", get(async || asset(SCRIPT, "text/javascript; charset=utf-8")))
        .route("/console.css", get(async || asset(STYLE, "text/css; charset=utf-8")))
        .route("/console/ops", get(async || asset(OPS_PAGE, "text/html; charset=utf-8")))
        .route("/ops.js", get(async || asset(OPS_SCRIPT, "text/javascript; charset=utf-8")))
        .route("/ops.css", get(async || asset(OPS_STYLE, "text/css; charset=utf-8")))
}

fn asset(bytes: &'static [u8], content_type: &'static str) -> Response {
    // Cross-origin isolation gives the page a clock of 5 µs instead of 100 µs: it measures milliseconds.
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
    ];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    (headers, bytes).into_response()
}

//! What operators ask: whether the process lives (`/healthz`), whether it takes work (`/readyz`), and its numbers
//! (`/metrics`).

use std::collections::BTreeMap;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::App;
use crate::telemetry::metrics::CONTENT_TYPE;

/// The process answers.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// The gateway takes work: not while it is shutting down, nor while its store lets nothing begin.
pub(super) async fn readyz(State(app): State<App>) -> (StatusCode, &'static str) {
    match app.draining.is_cancelled() {
        true => (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n"),
        false if app.channels.health().refuses => {
            (StatusCode::SERVICE_UNAVAILABLE, "the store is away\n")
        }
        false => (StatusCode::OK, "ready\n"),
    }
}

/// All metrics, in OpenMetrics text.
pub(super) async fn metrics(State(app): State<App>) -> Response {
    look(&app);
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], app.telemetry.metrics.text()).into_response()
}

/// Sets what is not counted as it happens but looked up when somebody asks.
fn look(app: &App) {
    let metrics = &app.telemetry.metrics;
    let channels = app.channels.all();
    let bytes: usize = channels.iter().map(|channel| channel.bytes()).sum();
    metrics.channels.only().set(channels.len() as i64);
    metrics.log.only().set(bytes as i64);
    let store = app.channels.health();
    metrics.store_degraded.only().set(i64::from(store.degraded.is_some()));
    metrics.store_nodes.only().set(store.nodes as i64);
    metrics.store_channels.only().set(store.channels as i64);
    metrics.store.only().set(store.bytes as i64);
    metrics.store_damage.with(["cut"]).set(store.cuts as i64);
    metrics.store_damage.with(["damaged"]).set(store.damages as i64);
    let mut breakers = BTreeMap::new();
    for name in &app.provider_order {
        for state in ["closed", "open", "half_open"] {
            breakers.insert((name.clone(), state), 0);
        }
    }
    for target in app.health.report() {
        *breakers.entry((target.provider, target.breaker)).or_default() += 1;
    }
    metrics.breakers.clear();
    for ((provider, state), count) in breakers {
        metrics.breakers.with([&provider, state]).set(count);
    }
}

/// Counts a request by the route that matched and the class of its answer.
pub(super) async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let response = next.run(request).await;
    let class = match response.status().as_u16() {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    };
    let route = route.as_deref().unwrap_or("none");
    app.telemetry.metrics.http_requests.with([route, class]).inc();
    response
}

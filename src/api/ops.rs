//! `/healthz` and `/readyz`: whether the process lives, and whether it takes work.

use axum::{extract::State, http::StatusCode};

use super::App;

/// The process answers.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// The gateway takes work: not while it is shutting down.
pub(super) async fn readyz(State(app): State<App>) -> (StatusCode, &'static str) {
    match app.closing.is_cancelled() {
        false => (StatusCode::OK, "ready\n"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n"),
    }
}

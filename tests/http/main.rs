//! The HTTP side over real sockets, in one process: an app and a viewer on one side, a gateway in the middle, and on the
//! other side a provider whose every byte the test says itself.
//!
//! One binary, so that linking is paid once. Each module is a subject; `upstream`, `gateway` and `sse` are the tools.

#![allow(clippy::print_stdout, reason = "seeds are for whoever looks into a failure")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test reads its own settings and owns its own tasks"
)]

mod abroad;
mod access;
mod access_log;
mod canary;
mod claude;
mod come_back;
#[path = "../common/mod.rs"]
mod common;
mod complaints;
mod dialects;
mod ends;
mod failover;
mod fault;
mod gateway;
mod guard;
mod keep_alive;
mod matrix;
mod metrics;
mod named;
mod otlp;
mod operator;
mod origins;
mod outbound;
mod pass;
mod poll;
mod presence;
mod reload;
mod requests;
mod responses;
mod retry;
mod shutdown;
mod slow;
mod splice;
mod sse;
mod through;
mod tls;
mod transcripts;
mod ui_message;
mod upstream;
mod verbs;
mod view;
mod views;

use std::time::Duration;

/// What a test waits for comes soon or not at all. The bound only turns a hang into a failure.
#[track_caller]
fn soon<F: Future>(what: &'static str, future: F) -> impl Future<Output = F::Output> {
    let place = std::panic::Location::caller();
    async move {
        let waited = tokio::time::timeout(Duration::from_secs(20), future).await;
        waited.unwrap_or_else(|_| panic!("{place}: waited in vain until {what}"))
    }
}

//! Tokenway: an AI token-stream gateway.
//!
//! The life of a token, which is also the order of the modules:
//!
//! ```text
//! provider SSE ─▶ dialect ─▶ event ─▶ seq ─▶ ┌─────────┐ ─▶ frame ─▶ session ─▶ transport ─▶ browser
//!                 (decode)                   │ channel │
//! app request ─▶ route ─▶ generation ──────▶ │   log   │ ─▶ dialect (encode) ─▶ the app's own SSE
//!                                            └─────────┘
//!                                         store: memory | …
//! ```
//!
//! Left of the log nothing knows that a client exists; right of it nothing knows that a provider exists. They share
//! the words and the log. `api` and `gateway` see both sides; `tests/architecture.rs` holds the rule.

// The words.
pub mod event;
pub mod sequence;
pub mod snapshot;
pub mod ident;
pub mod clock;
mod files;
pub mod wire;

// Ingest: one task for each generation.
pub mod provider;
pub mod dialect;
pub mod route;
pub mod generation;

// The waist.
pub mod store;
pub mod channel;

// Delivery: one task for each session.
pub mod frame;
pub mod session;
pub mod transport;
pub mod native;

// The doors, and how the parts are put together.
pub mod access;
pub mod api;
pub mod config;
pub mod console;
pub mod gateway;
pub mod telemetry;
pub mod cli;

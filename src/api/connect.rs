//! How sessions come in: where to connect, and the WebSocket door. The WebTransport door is the gateway's own.

use std::sync::Arc;

use axum::{
    Json,
    extract::{State, WebSocketUpgrade},
    response::Response,
};
use parking_lot::RwLock;
use serde_json::{Value, json};

use super::{App, access::Connecting, limits::Remote};
use crate::{
    access::Caller,
    session::{self, Closing, Rights},
    transport::websocket::{self, Socket},
};

/// How sessions reach this gateway, as `GET /v1/connect/info` tells it.
#[derive(Clone, Debug)]
pub struct ConnectInfo {
    /// Where WebTransport is; none where the gateway has it not. Changes when the development certificate rotates.
    pub webtransport: Arc<RwLock<Option<WebTransportInfo>>>,
    /// The WebSocket URL.
    pub websocket: String,
    /// The beginning of the URLs of the SSE view.
    pub sse: String,
}

/// Where WebTransport is.
#[derive(Clone, Debug)]
pub struct WebTransportInfo {
    /// Its URL.
    pub url: String,
    /// SHA-256 of the self-signed certificates of now and next, in hexadecimal; empty where a public authority vouches.
    pub certificate_hashes: Vec<String>,
}

pub(super) async fn info(State(app): State<App>) -> Json<Value> {
    let webtransport = app.connect.webtransport.read().clone();
    let webtransport = webtransport.map(|WebTransportInfo { url, certificate_hashes }| {
        json!({ "url": url, "certificate_hashes": certificate_hashes })
    });
    Json(json!({
        "webtransport": webtransport,
        "websocket": app.connect.websocket,
        "sse": app.connect.sse,
        "protocol": websocket::SUBPROTOCOL,
    }))
}

pub(super) async fn websocket(
    State(app): State<App>,
    Connecting(caller): Connecting,
    Remote(remote): Remote,
    upgrade: WebSocketUpgrade,
) -> Response {
    websocket::prepare(upgrade).on_upgrade(async move |socket| {
        let socket = Socket::new(socket);
        let key = caller.as_ref().ok().and_then(Caller::app);
        match app.seats.session(remote, key) {
            Ok(seat) => app.sessions.start(socket, Rights::of(caller, &app.access), Some(seat)),
            Err(full) => {
                session::refuse(socket, &Closing::from(full)).await;
            }
        }
    })
}

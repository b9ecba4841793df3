//! tmp
use axum::{extract::WebSocketUpgrade, response::Response};
/// tmp
pub const SUBPROTOCOL: &str = "tokenway.v1";
/// tmp
pub fn upgrade(_: WebSocketUpgrade, _: impl FnOnce(super::memory::Memory)) -> Response {
    unimplemented!()
}

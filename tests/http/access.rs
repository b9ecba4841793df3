//! A gateway with access keys, as apps and screens meet it.

mod counted;
mod everybody;
mod keys;
mod limits;
mod paid;
mod refused;
mod reload;
mod sessions;
mod tokens;
mod whose;

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokenway::config::{Access, Config, Key, KeyHash, Secret};

use crate::{
    gateway::{self, Tokenway, body, send},
    upstream::Upstream,
};

pub(crate) const WEB: &str = "web-key-0123456789";
pub(crate) const OTHER: &str = "other-key-0123456789";
/// The operator's.
pub(crate) const ADMIN: &str = "admin-key-0123456789";
const SECRET: &str = "a secret of thirty-two bytes, and more";

/// A gateway with two keys, and the operator's.
pub(crate) async fn keyed() -> (Tokenway, Upstream) {
    keyed_with(|_| {}).await
}

pub(crate) async fn keyed_with(adjust: impl FnOnce(&mut Config)) -> (Tokenway, Upstream) {
    gateway::with("", |config| {
        config.access = Access {
            keys: vec![Key::new("web", WEB), Key::new("other", OTHER)],
            token_secret: Some(Secret::new(SECRET)),
            admin_key: Some(KeyHash::of(ADMIN)),
            ..Access::default()
        };
        adjust(config);
    })
    .await
}

/// What a mint answers to this key.
async fn minted(gateway: &Tokenway, key: &str, wish: Value) -> Value {
    let response = send(gateway.post("/v1/tokens", wish).bearer_auth(key)).await;
    assert_eq!(response.status(), 200);
    body(response).await
}

/// A token of this key's.
pub(crate) async fn token(gateway: &Tokenway, key: &str, wish: Value) -> String {
    let answer = minted(gateway, key, wish).await;
    answer["token"].as_str().expect("a token").to_owned()
}

/// Runs a generation of the simulator's on a channel, to its end.
async fn spoken_on(gateway: &Tokenway, key: &str, channel: &str) {
    let call = json!({ "model": "sim", "messages": [{ "role": "user", "content": "Hi" }] });
    let call = gateway.chat(call).bearer_auth(key).header("tokenway-channel", channel);
    assert_eq!(send(call).await.status(), 200);
}

/// A figure of the metrics; 0 where it is not there yet.
async fn figure(gateway: &Tokenway, series: &str) -> f64 {
    let text = send(gateway.get("/metrics").bearer_auth(ADMIN)).await.text().await.expect("text");
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.map_or(0.0, |value| value.parse().expect("a number"))
}

/// How many were refused for this reason.
async fn refusals(gateway: &Tokenway, reason: &str) -> u64 {
    figure(gateway, &format!("tokenway_refusals_total{{reason=\"{reason}\"}}")).await as u64
}

/// The status of an answer.
async fn status(request: RequestBuilder) -> u16 {
    send(request).await.status().as_u16()
}

//! Channel tokens that do not hold, or not for this.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::{Value, json};

use crate::{
    Table,
    gateway::{SECRET, WEB},
};

fn encoded(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

/// A token, signed with a secret.
pub(crate) fn signed(header: &Value, claims: &Value, secret: &str) -> String {
    let message = format!("{}.{}", encoded(header), encoded(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()));
    format!("{message}.{signature}")
}

pub(crate) fn claims(more: Value) -> Value {
    let exp = tokenway::clock::now_ms() / 1_000 + 600;
    let mut claims =
        json!({ "owner": "web", "channels": ["chat-*"], "allow": ["read"], "exp": exp });
    for (name, value) in more.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    claims
}

pub(crate) fn good(more: Value) -> String {
    signed(&json!({ "alg": "HS256" }), &claims(more), SECRET)
}

pub(crate) fn try_all(table: &mut Table<'_>) {
    let now = tokenway::clock::now_ms() / 1_000;
    let hs256 = json!({ "alg": "HS256" });
    let read = good(json!({}));
    let parts: Vec<_> = read.split('.').collect();
    let none = encoded(&json!({ "alg": "none" }));
    let wider = encoded(&claims(json!({ "channels": ["*"] })));
    let bad = [
        ("expired", good(json!({ "exp": now - 1 }))),
        ("without an expiry", good(json!({ "exp": null }))),
        ("of the future", good(json!({ "nbf": now + 600 }))),
        ("of `alg: none`", format!("{none}.{}.", parts[1])),
        ("of `alg: none`, signed", format!("{none}.{}.{}", parts[1], parts[2])),
        ("of HS512 in name", signed(&json!({ "alg": "HS512" }), &claims(json!({})), SECRET)),
        ("of RS256 in name", signed(&json!({ "alg": "RS256" }), &claims(json!({})), SECRET)),
        (
            "with a critical header",
            signed(&json!({ "alg": "HS256", "crit": ["b64"] }), &claims(json!({})), SECRET),
        ),
        ("signed with another secret", signed(&hs256, &claims(json!({})), "another")),
        ("signed with an empty secret", signed(&hs256, &claims(json!({})), "")),
        ("made wider", format!("{}.{wider}.{}", parts[0], parts[2])),
        ("without its signature", format!("{}.{}.", parts[0], parts[1])),
        ("cut short", read[..read.len() - 4].to_owned()),
        ("of nobody", good(json!({ "owner": "nobody" }))),
        ("for another audience", good(json!({ "aud": "elsewhere" }))),
        ("for channels that cannot be", good(json!({ "channels": ["../*"] }))),
        ("for deeds that there are not", good(json!({ "allow": ["admin"] }))),
        ("of 8,000 bytes", good(json!({ "client": "x".repeat(6_000) }))),
        (
            "of claims 5,000 deep",
            format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode("[".repeat(2_500)), parts[2]),
        ),
        ("of dots", "..".to_owned()),
    ];
    for (what, token) in bad {
        table.gateway.renew();
        let head = format!("authorization: Bearer {token}\r\n");
        let answer = table.gateway.get("/v1/channels/chat-1", &head);
        assert!(!answer.text.contains(parts[2]), "a signature was repeated");
        table.note(format!("a token {what}"), "401", answer.shown());
    }
    let head = format!("authorization: Bearer {read}\r\n");
    let call = json!({ "model": "sim", "messages": [{ "role": "user", "content": "Hi" }] });
    let note = json!({ "type": "note" });
    table.gateway.renew();
    let gateway = table.gateway;
    let delete = format!(
        "DELETE /v1/channels/chat-1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{head}\r\n"
    );
    for (what, expected, answer) in [
        ("reads another channel", "403", gateway.get("/v1/channels/other", &head)),
        ("reads a channel that is not there", "404", gateway.get("/v1/channels/chat-9", &head)),
        ("stops", "403", gateway.post("/v1/channels/chat-1/cancel", &head, &json!({}))),
        ("publishes", "403", gateway.post("/v1/channels/chat-1/events", &head, &note)),
        ("deletes", "403", gateway.exchange(delete.as_bytes())),
        ("calls a model", "403", gateway.post("/v1/chat/completions", &head, &call)),
        ("lists models", "403", gateway.get("/v1/models", &head)),
        ("mints", "403", gateway.post("/v1/tokens", &head, &json!({ "channel": "chat-1" }))),
    ] {
        table.note(format!("a token to read that {what}"), expected, answer.shown());
    }
    let theirs = good(json!({ "owner": "other", "channels": ["*"] }));
    let head = format!("tokenway-token: {theirs}\r\n");
    table.gateway.renew();
    table.note("another owner's token", "404", gateway.get("/v1/channels/chat-1", &head).shown());
    let other = format!("authorization: Bearer {}\r\n", crate::gateway::OTHER);
    table.note("another owner's key", "404", gateway.get("/v1/channels/chat-1", &other).shown());
    let narrow = good(json!({ "allow": ["cancel"], "generation": "gen_other" }));
    let head = format!("authorization: Bearer {narrow}\r\n");
    let stop = json!({ "generation": "gen_mine" });
    table.note(
        "a token for another generation",
        "403",
        gateway.post("/v1/channels/chat-1/cancel", &head, &stop).shown(),
    );
    let by_query = gateway.get(&format!("/v1/channels/chat-1?token={WEB}%00"), "");
    table.note("a key with a NUL in the query", "401", by_query.shown());
}

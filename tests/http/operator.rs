//! What operators are shown, and to whom it is shown.

use std::num::NonZeroU32;

use serde_json::{Value, json};

use crate::{
    access::{ADMIN, WEB, keyed, keyed_with},
    gateway::{self, Tokenway, asked, body, send, sent, stream_of},
};

const OPERATORS: [&str; 4] = [
    "/metrics",
    "/console/ops/state",
    "/console/ops/config",
    "/console/ops/timeline?owner=web&channel=chat",
];

async fn shown(gateway: &Tokenway, path: &str) -> Value {
    let response = send(gateway.get(path)).await;
    assert_eq!(response.status(), 200, "{path}");
    body(response).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_shown_with_its_providers_and_event_by_event() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.streamed().header("tokenway-channel", "chat-42"));
    let mut provider = upstream.call().await;
    provider.begin().await;
    provider.text_delta("Hi").await;
    let mut app = stream_of(call).await;
    app.event().await;
    let state = shown(&gateway, "/console/ops/state").await;
    let channel = &state["channels"]["shown"][0];
    assert_eq!(state["channels"]["count"], 1);
    for (member, expected) in [
        ("id", json!("chat-42")),
        ("running", json!(1)),
        ("model", json!("fast")),
        ("provider", json!("up")),
        ("last_seq", json!(2)),
    ] {
        assert_eq!(channel[member], expected, "{member}");
    }
    let target = &state["providers"][0]["targets"][0];
    assert_eq!((&target["model"], &target["in_flight"]), (&json!("up-model"), &json!(1)));
    assert_eq!(target["breaker"], "closed");
    provider.text_delta(" there").await;
    provider.finish().await;
    app.rest().await;

    let timeline = shown(&gateway, "/console/ops/timeline?channel=chat-42").await;
    let entries = timeline["entries"].as_array().expect("events");
    let told: Vec<_> =
        entries.iter().map(|it| (it["seq"].as_u64(), it["event"].as_str())).collect();
    let events = ["started", "text", "text", "usage", "finished"];
    assert_eq!(told, (1..).map(Some).zip(events.map(Some)).collect::<Vec<_>>());
    assert_eq!((&entries[1]["text"], &entries[2]["text"]), (&json!("Hi"), &json!(" there")));
    let usage: Value =
        serde_json::from_str(entries[3]["text"].as_str().expect("text")).expect("JSON");
    assert!(usage["output"].is_u64() && usage["seq"].is_null(), "{usage}");
    let times: Vec<_> = entries.iter().filter_map(|it| it["at_ms"].as_u64()).collect();
    assert!(times.is_sorted() && times[0] > 1_700_000_000_000, "{times:?}");
    let rest = shown(&gateway, "/console/ops/timeline?channel=chat-42&after=3").await;
    assert_eq!(rest["entries"].as_array().map(Vec::len), Some(2));
    for (search, count) in [("chat", 1), ("up", 1), ("nothing", 0)] {
        let state = shown(&gateway, &format!("/console/ops/state?search={search}")).await;
        assert_eq!(state["channels"]["shown"].as_array().map(Vec::len), Some(count), "{search}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_config_in_force_is_shown_with_its_limits() {
    let (gateway, _) = keyed_with(|config| {
        config.limits.generations = NonZeroU32::new(7);
        config.access.keys[0].limits.concurrent = NonZeroU32::new(3);
        config.access.trusted_proxies = vec!["10.0.0.0/8".parse().expect("a network")];
    })
    .await;
    let response = send(gateway.get("/console/ops/config").bearer_auth(ADMIN)).await;
    let config = body(response).await;
    for (place, expected) in [
        ("/limits/generations", json!(7)),
        ("/limits/connections_per_address", Value::Null),
        ("/limits/body_timeout", json!("30s")),
        ("/access/keys/0/limits/concurrent", json!(3)),
        ("/access/trusted_proxies", json!(["10.0.0.0/8"])),
    ] {
        assert_eq!(config.pointer(place), Some(&expected), "{place}: {config}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_keys_only_the_admin_key_opens_it() {
    let (gateway, _) = keyed().await;
    for path in OPERATORS {
        for (request, status) in [
            (gateway.get(path), 401),
            (gateway.get(path).bearer_auth(WEB), 401),
            (
                gateway.get(&format!(
                    "{path}{}key={ADMIN}",
                    if path.contains('?') { '&' } else { '?' }
                )),
                401,
            ),
            (
                gateway.get(path).bearer_auth(ADMIN),
                if path.contains("timeline") { 404 } else { 200 },
            ),
        ] {
            assert_eq!(send(request).await.status(), status, "{path}");
        }
    }
    // And nothing else.
    assert_eq!(send(gateway.chat(asked(false)).bearer_auth(ADMIN)).await.status(), 401);
    assert_eq!(send(gateway.get("/v1/models").bearer_auth(ADMIN)).await.status(), 401);
    for page in ["/console/ops", "/ops.js", "/ops.css"] {
        assert_eq!(send(gateway.get(page)).await.status(), 200, "the page itself holds nothing");
    }
    gateway.stop().await;
    let (gateway, _) = keyed_with(|config| config.access.admin_key = None).await;
    for path in OPERATORS {
        let response = send(gateway.get(path).bearer_auth(WEB)).await;
        assert_eq!(response.status(), 403, "{path}");
        assert!(response.text().await.expect("a body").contains("access.admin_key"));
    }
    gateway.stop().await;
}

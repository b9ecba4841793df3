//! Calls that pass to a provider cost money as generations do: no spelling of a path gets around a key's limits.

use std::num::{NonZeroU32, NonZeroU64};

use serde_json::json;
use tokenway::config::{BudgetLimits, Config, KeyLimits, Price, Rate};

use super::{OTHER, WEB, keyed_with, refusals, status};
use crate::{
    gateway::{asked, body, header, refusal, send, sent},
    soon,
};

const JSON: &str = "content-type: application/json\r\n";

/// A thousand for a million: each token costs a thousandth.
pub(super) fn priced(model: &str) -> (String, Price) {
    let rate = Rate(1_000_000_000);
    let price =
        Price { input: rate, cached_input: rate, cache_write: rate, output: rate, reasoning: rate };
    (model.to_owned(), price)
}

fn with_budget(config: &mut Config) {
    config.prices.push(priced("fast"));
    config.access.keys[0].limits.budget = BudgetLimits { day: Some(0.5), month: None };
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_is_counted_however_its_path_is_written() {
    let (gateway, upstream) = keyed_with(with_budget).await;
    for path in ["/v1/files/%252e%252e/chat/completions", "/v1/files/..%3b/chat/completions"] {
        let (status, said) = refusal(gateway.post(path, asked(false)).bearer_auth(WEB)).await;
        assert!(status == 404 && said.to_string().contains("segments of dots"), "{path}: {said}");
    }
    let delete = gateway.http.delete(gateway.url("/v1/chat/completions")).bearer_auth(WEB);
    assert_eq!(status(delete).await, 405);
    // One that is encoded again and again costs nobody anything.
    let deep = format!("/v1/%{}20", "25".repeat(20_000));
    let begun = std::time::Instant::now();
    assert_eq!(status(gateway.get(&deep).bearer_auth(WEB)).await, 404);
    assert!(begun.elapsed() < std::time::Duration::from_secs(1), "{:?}", begun.elapsed());
    for path in [
        "/v1/chat/%63ompletions",
        "/v1/chat/%2563ompletions",
        "/v1//chat/completions",
        "/v1/chat//completions",
        "/v1/chat/completions/",
        "/v1/chat%2Fcompletions",
        "/v1//responses",
        "/v1/%6Dessages",
        "/v1/%65mbeddings",
    ] {
        // Whoever has no limits is told the same: what would be right.
        for key in [WEB, OTHER] {
            let (status, said) = refusal(gateway.post(path, asked(false)).bearer_auth(key)).await;
            let message = said["error"]["message"].as_str().unwrap_or_default();
            assert!(status == 404 && message.contains("write it as /v1/"), "{path}: {said}");
        }
    }
    assert!(upstream.is_idle().await, "nobody got through");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_counted_is_not_for_a_key_that_has_to_count() {
    let (gateway, upstream) = keyed_with(|config| {
        with_budget(config);
        config.access.keys[1].limits.tokens_per_minute = NonZeroU64::new(1_000);
    })
    .await;
    for path in [
        "/v1/completions",
        "/v1/batches",
        "/v1/responses/compact",
        "/v1/images/generations",
        "/v1/images/generations%3F/cancel",
        "/v1/images/generations/cancel",
        "/v1/files/a%20b",
    ] {
        for key in [WEB, OTHER] {
            let (status, said) = refusal(gateway.post(path, asked(false)).bearer_auth(key)).await;
            let message = said["error"]["message"].as_str().unwrap_or_default();
            assert!(status == 403 && message.contains("cannot be counted"), "{path}: {said}");
        }
    }
    assert!(upstream.is_idle().await, "nobody got through");
    // What costs nothing passes.
    let call = sent(gateway.post("/v1/responses/input_tokens", asked(false)).bearer_auth(WEB));
    upstream.call().await.answer("200 OK", JSON, "{}").await;
    assert_eq!(call.await.expect("a response").status(), 200);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embeddings_are_paid_from_the_budget() {
    let (gateway, upstream) = keyed_with(with_budget).await;
    // 400 bytes of text and a little more: a bit over 100 tokens, and so over a tenth.
    let ask = json!({ "model": "fast", "input": "word ".repeat(80) });
    let mut passed = 0;
    let refused = loop {
        let call = sent(gateway.post("/v1/embeddings", &ask).bearer_auth(WEB));
        if passed < 4 {
            upstream.call().await.answer("200 OK", JSON, "{}").await;
        }
        let response = call.await.expect("a response");
        if response.status() != 200 {
            break response;
        }
        passed += 1;
    };
    assert_eq!((refused.status().as_u16(), passed), (429, 4));
    assert_eq!(body(refused).await["error"]["code"], "budget_exceeded");
    // What is said in one word, packed, or has no price, is no cheaper.
    let word = json!({ "model": "fast", "input": "tok+".repeat(500) });
    assert_eq!(status(gateway.post("/v1/embeddings", &word).bearer_auth(WEB)).await, 429);
    let packed = gateway.post("/v1/embeddings", &word).header("content-encoding", "gzip");
    assert_eq!(status(packed.bearer_auth(WEB)).await, 403);
    let unknown = json!({ "model": "text-embedding-3-large", "input": "a" });
    let (told, said) = refusal(gateway.post("/v1/embeddings", unknown).bearer_auth(WEB)).await;
    assert!(told == 403 && said.to_string().contains("has no price"), "{told}: {said}");
    let hi = json!({ "model": "sim", "messages": [{ "role": "user", "content": "Hi" }] });
    let (told, said) = refusal(gateway.chat(hi).bearer_auth(WEB)).await;
    assert!(told == 403 && said.to_string().contains("has no price"), "{told}: {said}");
    // And what the provider refuses costs nothing.
    for _ in 0..6 {
        let free = json!({ "model": "fast", "input": "a" });
        let call = sent(gateway.post("/v1/embeddings", free).bearer_auth(WEB));
        upstream.call().await.answer("400 Bad Request", JSON, "{}").await;
        assert_eq!(call.await.expect("a response").status(), 400);
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_has_its_keys_place_to_its_end_and_one_of_all_until_its_answer_begins() {
    let (gateway, upstream) = keyed_with(|config| {
        let limits = KeyLimits { concurrent: NonZeroU32::new(1), ..KeyLimits::default() };
        config.access.keys[0].limits = limits;
        config.limits.generations = NonZeroU32::new(1);
    })
    .await;
    let ask = || gateway.post("/v1/completions", json!({ "model": "fast" }));
    let call = sent(ask().bearer_auth(WEB));
    let mut provider = upstream.call().await;
    assert_eq!(status(ask().bearer_auth(OTHER)).await, 503, "the only place is taken");
    provider.begin().await;
    provider.text_delta("Hi").await;
    let response = call.await.expect("a response");
    assert_eq!(status(ask().bearer_auth(WEB)).await, 429, "the key's own is still taken");
    assert_eq!(status(gateway.chat(asked(false)).bearer_auth(WEB)).await, 429);
    // Nobody has to read it for others to go on.
    let other = sent(ask().bearer_auth(OTHER));
    upstream.call().await.answer("200 OK", JSON, "{}").await;
    assert_eq!(other.await.expect("a response").status(), 200);
    provider.finish().await;
    response.bytes().await.expect("a body");
    soon("the key's place is free again", async {
        loop {
            let call = sent(ask().bearer_auth(WEB));
            tokio::select! {
                provider = upstream.call() => {
                    provider.answer("200 OK", JSON, "{}").await;
                    assert_eq!(call.await.expect("a response").status(), 200);
                    break;
                }
                () = tokio::time::sleep(std::time::Duration::from_millis(100)) => call.abort(),
            }
        }
    })
    .await;
    assert!(refusals(&gateway, "concurrent").await >= 2);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_opens_the_gateway_goes_upstream_in_a_query() {
    let (gateway, upstream) = keyed_with(|_| {}).await;
    for query in ["token={WEB}", "tok%65n={WEB}", "key={WEB}", "%6Bey={WEB}", "KEY={WEB}"] {
        let query = query.replace("{WEB}", WEB);
        let call = sent(gateway.get(&format!("/v1/files?a=1&{query}")).bearer_auth(WEB));
        let provider = upstream.call().await;
        assert_eq!(provider.line(), "GET /v1/files?a=1 HTTP/1.1", "{query}");
        provider.answer("200 OK", JSON, "{}").await;
        call.await.expect("a response");
    }
    // Nor does what would make another call of it.
    let call = gateway.get("/v1/files").header("x-http-method-override", "POST");
    let call = sent(call.bearer_auth(WEB));
    let provider = upstream.call().await;
    assert_eq!(provider.header("x-http-method-override"), None);
    provider.answer("200 OK", JSON, "{}").await;
    call.await.expect("a response");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_can_read_why_it_is_refused_and_when_to_come_again() {
    let allowed = "https://app.example";
    let (gateway, _upstream) = keyed_with(|config| {
        config.access.allowed_origins = vec![allowed.to_owned()];
        config.access.keys[0].limits.requests_per_minute = NonZeroU32::new(1);
    })
    .await;
    let call = || gateway.chat(json!({ "model": "none" })).header("origin", allowed);
    assert_eq!(status(call().bearer_auth(WEB)).await, 404);
    for (request, expected) in [
        (call(), 401),
        (call().bearer_auth(WEB), 429),
        (gateway.get("/metrics").header("origin", allowed), 401),
    ] {
        let response = send(request).await;
        assert_eq!(response.status(), expected);
        assert_eq!(header(response.headers(), "access-control-allow-origin"), allowed);
        let exposed = header(response.headers(), "access-control-expose-headers");
        for name in ["retry-after", "x-ratelimit-remaining-requests", "tokenway-channel"] {
            assert!(exposed.contains(name), "{name}: {exposed}");
        }
    }
    let stranger = gateway.chat(json!({})).header("origin", "https://evil.example");
    let response = send(stranger).await;
    assert_eq!(response.status(), 403);
    assert!(!response.headers().contains_key("access-control-allow-origin"));
    gateway.stop().await;
}

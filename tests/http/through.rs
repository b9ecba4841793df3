//! What passes to a provider without being a generation: to which, under which name, and without whose key.

use serde_json::json;

use crate::{
    gateway::{KEY, Tokenway, body, header, refusal, send, sent},
    upstream::Upstream,
};

/// A gateway with a provider of each dialect that has routes of its own to pass to, OpenAI's twice.
async fn all() -> (Tokenway, [Upstream; 4]) {
    let ups = [
        Upstream::bind().await,
        Upstream::bind().await,
        Upstream::bind().await,
        Upstream::bind().await,
    ];
    let [one, two, ant, goo] = [0, 1, 2, 3].map(|at: usize| ups[at].addr());
    let yaml = format!(
        r#"
providers:
  one: {{ dialect: openai, base_url: "http://{one}/v1", api_key: {KEY} }}
  two: {{ dialect: openai, base_url: "http://{two}/openai/v1", api_key: {KEY} }}
  ant: {{ dialect: anthropic, base_url: "http://{ant}", api_key: {KEY} }}
  goo: {{ dialect: gemini, base_url: "http://{goo}", api_key: {KEY} }}
models:
  small: {{ targets: [ {{ provider: goo, model: g-embed }}, {{ provider: two, model: text-embedding-3 }} ] }}
  claude: {{ targets: [ {{ provider: ant, model: claude-x }} ] }}
"#
    );
    (Tokenway::of(&yaml, |_| {}).await, ups)
}

const JSON: &str = "content-type: application/json\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn embeddings_go_where_their_model_does_under_its_name_there() {
    let (gateway, [one, two, ..]) = all().await;
    let ask = "{ \"input\": [1.10], \"model\":\"small\" }";
    let call = sent(gateway.post("/v1/embeddings?a=1&key=caller-secret", ask));
    let provider = two.call().await;
    assert_eq!(provider.line(), "POST /openai/v1/embeddings?a=1 HTTP/1.1");
    assert_eq!(provider.text(), ask.replace("small", "text-embedding-3"));
    provider.answer("200 OK", JSON, "{\"object\":\"list\"}").await;
    let response = call.await.expect("a response");
    assert_eq!(header(response.headers(), "tokenway-provider"), "two");
    assert_eq!(response.text().await.expect("a body"), "{\"object\":\"list\"}");
    // A name that nothing routes may be the default provider's own.
    let call = sent(gateway.post("/v1/embeddings", "{\"model\":\"theirs\"}"));
    let provider = one.call().await;
    assert_eq!(provider.text(), "{\"model\":\"theirs\"}");
    provider.answer("200 OK", JSON, "{}").await;
    call.await.expect("a response");
    // And one that is routed only elsewhere is nobody's here.
    let (status, said) = refusal(gateway.post("/v1/embeddings", "{\"model\":\"claude\"}")).await;
    assert_eq!((status, &said["error"]["param"]), (400, &json!("model")), "{said}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_dialects_other_routes_go_to_its_first_provider_with_the_path_that_it_has_there() {
    let (gateway, [one, _, ant, goo]) = all().await;
    let anthropic = |request: reqwest::RequestBuilder| {
        request.header("anthropic-version", "2023-06-01").header("x-api-key", "caller-secret")
    };
    for (request, up, line) in [
        (gateway.get("/v1/files"), &one, "GET /v1/files HTTP/1.1"),
        (anthropic(gateway.get("/v1/files")), &ant, "GET /v1/files HTTP/1.1"),
        (gateway.get("/v1/messages/batches"), &ant, "GET /v1/messages/batches HTTP/1.1"),
        (gateway.get("/v1beta/files?key=caller-secret"), &goo, "GET /v1beta/files HTTP/1.1"),
        (
            gateway.get("/v1beta/models/theirs?x=1&key=caller-secret"),
            &goo,
            "GET /v1beta/models/theirs?x=1 HTTP/1.1",
        ),
    ] {
        let call = sent(request);
        let provider = up.call().await;
        assert_eq!(provider.line(), line);
        assert!(!provider.head.contains("caller-secret"), "{}", provider.head);
        provider.answer("200 OK", JSON, "{}").await;
        assert_eq!(call.await.expect("a response").status(), 200, "{line}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_counted_by_the_models_provider() {
    let (gateway, [_, _, ant, goo]) = all().await;
    let call =
        sent(gateway.post("/v1/messages/count_tokens", "{\"model\":\"claude\", \"x\": 1.10}"));
    let provider = ant.call().await;
    assert_eq!(provider.line(), "POST /v1/messages/count_tokens HTTP/1.1");
    assert_eq!(provider.text(), "{\"model\":\"claude-x\", \"x\": 1.10}");
    assert_eq!(provider.header("x-api-key"), Some(KEY));
    provider.answer("200 OK", JSON, "{\"input_tokens\":3}").await;
    assert_eq!(body(call.await.expect("a response")).await, json!({ "input_tokens": 3 }));

    let contents =
        json!({ "model": "models/small", "contents": [{ "parts": [{ "text": "Hi" }] }] });
    let call = sent(gateway.post("/v1beta/models/small:countTokens", &contents));
    let provider = goo.call().await;
    assert_eq!(provider.line(), "POST /v1beta/models/g-embed:countTokens HTTP/1.1");
    assert_eq!(provider.json()["model"], "models/g-embed");
    provider.answer("200 OK", JSON, "{\"totalTokens\":3}").await;
    assert_eq!(body(call.await.expect("a response")).await, json!({ "totalTokens": 3 }));

    // Where no provider of the model counts in this dialect, it is an estimate.
    let contents = json!({ "contents": [{ "role": "user", "parts": [{ "text": "Hi" }] }] });
    let counted = send(gateway.post("/v1beta/models/claude:countTokens", contents)).await;
    assert!(body(counted).await["totalTokens"].as_u64().is_some_and(|tokens| tokens > 0));
    assert!(ant.is_idle().await);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_provider_of_the_dialect_there_is_no_such_route_and_no_such_method() {
    let up = Upstream::bind().await;
    let yaml = format!(
        "providers:\n  one: {{ dialect: openai, base_url: \"http://{}/v1\" }}\n\
         models: {{ a: {{ targets: [{{ provider: one }}] }} }}\n",
        up.addr()
    );
    let gateway = Tokenway::of(&yaml, |_| {}).await;
    for (request, status) in [
        (gateway.post("/v1beta/nope", "{}"), 404),
        (gateway.get("/v1beta/files"), 404),
        (gateway.post("/v1beta/models/m:countTokens", "{}"), 404),
        (gateway.http.put(gateway.url("/v1beta/models/m:generateContent")), 405),
    ] {
        let (answered, said) = refusal(request).await;
        assert_eq!((answered, &said["error"]["code"]), (status, &json!(status)), "{said}");
        assert!(said["error"]["status"].is_string(), "Google's form: {said}");
    }
    assert!(up.is_idle().await);
    gateway.stop().await;
}

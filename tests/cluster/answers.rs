//! An app comes back for an answer by its id, to whichever gateway its balancer gives it: what it was told by one it is told by
//! any, and nobody else is.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokenway::{ident::Owner, store::Registered};
use tokio::time::Instant;

use crate::{
    gateway::{Gateway, client},
    nats::Nats,
    node::Node,
    seen::sse,
    teller::Teller,
};

const SOON: Duration = Duration::from_secs(5);

struct Two {
    nats: Nats,
    nodes: Vec<Gateway>,
    http: reqwest::Client,
}

/// A stream of payloads, as far as it was read.
#[derive(Default)]
struct Read {
    id: String,
    text: String,
    /// The last one's number.
    number: u64,
    ended: bool,
}

impl Two {
    fn start(provider: &str, model: &str) -> Option<Self> {
        let nats = Nats::start()?;
        let nodes = (0..2).map(|_| Gateway::with(&nats.url(), provider, model)).collect();
        Some(Self { nats, nodes, http: client() })
    }

    async fn send(
        &self,
        node: usize,
        method: Method,
        path: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        let call = self.http.request(method, format!("{}{path}", self.nodes[node].url));
        let call = if body.is_null() { call } else { call.json(body) };
        let answer = call.send().await.expect("it answers");
        let (status, text) = (answer.status(), answer.text().await.expect("text"));
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn get(&self, node: usize, path: &str) -> (StatusCode, Value) {
        self.send(node, Method::GET, path, &Value::Null).await
    }

    /// Reads a stream of a response's payloads to its end, or until it has so many characters of text.
    async fn read(&self, call: reqwest::RequestBuilder, enough: usize) -> Read {
        let answer = call.send().await.expect("it answers");
        assert_eq!(answer.status(), StatusCode::OK);
        let mut read = Read::default();
        let all = sse(answer, |_, name, data| {
            // What comes behind what was wanted is not had.
            if read.text.len() >= enough {
                return;
            }
            let payload: Value = serde_json::from_str(data).expect("JSON");
            read.number = payload["sequence_number"].as_u64().expect("a number");
            match name {
                "response.created" => {
                    read.id = payload["response"]["id"].as_str().expect("an id").to_owned();
                }
                "response.output_text.delta" => {
                    read.text += payload["delta"].as_str().expect("text");
                }
                "response.completed" | "response.incomplete" => read.ended = true,
                _ => {}
            }
        });
        all.await.expect("it ends in order");
        read
    }

    fn respond(&self, node: usize, model: &str) -> reqwest::RequestBuilder {
        let body = json!({ "model": model, "stream": true, "input": "the prompt", "instructions": "be brief", "max_output_tokens": 60 });
        self.http.post(format!("{}/v1/responses", self.nodes[node].url)).json(&body)
    }

    fn back(&self, node: usize, id: &str, after: u64) -> reqwest::RequestBuilder {
        let url = &self.nodes[node].url;
        self.http.get(format!("{url}/v1/responses/{id}?stream=true&starting_after={after}"))
    }
}

fn said(response: &Value) -> String {
    let parts = response["output"][0]["content"].as_array().cloned().unwrap_or_default();
    parts.iter().filter_map(|part| part["text"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_is_any_gateways_to_tell_to_stop_and_to_forget() {
    let Some(mut two) = Two::start("", "") else { return };
    let whole = two.read(two.respond(0, "sim-text"), usize::MAX).await;
    assert!(whole.ended && !whole.text.is_empty());
    let path = format!("/v1/responses/{}", whole.id);
    let (_, first) = two.get(0, &path).await;
    let (status, second) = two.get(1, &path).await;
    assert_eq!((status, &first), (StatusCode::OK, &second));
    assert_eq!((said(&second), &second["instructions"]), (whole.text.clone(), &json!("be brief")));

    // From any number on, to the same end.
    for after in [0, 3, whole.number / 2, whole.number - 1] {
        let [here, there] =
            [0, 1].map(|node| two.read(two.back(node, &whole.id, after), usize::MAX));
        let (here, there) = (here.await, there.await);
        assert!(here.ended && there.ended);
        assert_eq!((here.text, here.number), (there.text, there.number), "after {after}");
    }

    // A later turn goes on from it.
    let turn = json!({ "model": "sim-text", "input": "and then?", "previous_response_id": whole.id, "max_output_tokens": 10 });
    let (status, later) = two.send(1, Method::POST, "/v1/responses", &turn).await;
    assert_eq!(status, StatusCode::OK, "{later}");
    for node in [0, 1] {
        let id = later["id"].as_str().expect("an id");
        let (_, items) = two.get(node, &format!("/v1/responses/{id}/input_items?order=asc")).await;
        let items = items["data"].to_string();
        for what in ["the prompt", "Imagine a station", "and then?"] {
            assert!(items.contains(what), "{node}: {what}: {items}");
        }
    }

    // One that runs is stopped from the other.
    let long = json!({ "model": "sim-long", "input": "go", "background": true });
    let (_, long) = two.send(0, Method::POST, "/v1/responses", &long).await;
    let long = format!("/v1/responses/{}", long["id"].as_str().expect("an id"));
    let (_, runs) = two.get(1, &long).await;
    assert!(runs["status"] == "queued" || runs["status"] == "in_progress", "{runs}");
    let (status, stopped) = two.send(1, Method::POST, &format!("{long}/cancel"), &json!({})).await;
    assert_eq!((status, &stopped["status"]), (StatusCode::OK, &json!("cancelled")), "{stopped}");
    assert_eq!(two.get(0, &long).await.1["status"], "cancelled");

    // One that is forgotten by one is by both.
    let (status, _) = two.send(1, Method::DELETE, &long, &Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    for node in [0, 1] {
        assert_eq!(two.get(node, &long).await.0, StatusCode::NOT_FOUND, "{node}");
    }

    // What was said outlives its gateway. What was asked for does not, and that is no other conversation.
    two.nodes[0].kill();
    let began = Instant::now();
    let left = loop {
        let (status, left) = two.get(1, &path).await;
        assert_eq!(status, StatusCode::OK, "{left}");
        if left["instructions"].is_null() {
            break left;
        }
        assert!(began.elapsed() < SOON, "{left}");
    };
    assert_eq!((said(&left), &left["status"]), (whole.text.clone(), &json!("incomplete")));
    let again = two.read(two.back(1, &whole.id, 3), usize::MAX).await;
    assert!(again.ended && whole.text.ends_with(&again.text));
    let (status, refused) = two.send(1, Method::POST, "/v1/responses", &turn).await;
    assert_eq!(
        (status, &refused["error"]["code"]),
        (StatusCode::BAD_REQUEST, &json!("previous_response_not_found"))
    );
    let (status, refused) = two.get(1, &format!("{path}/input_items")).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_counts_as_its_provider_does_goes_on_at_any_gateway() {
    // A gateway of its own is the provider, and shares nothing with the others.
    let Some(theirs) = Nats::start() else { return };
    let provider = Gateway::start(&theirs.url());
    let yaml = format!(
        r#"  theirs: {{ dialect: responses, base_url: "{}/v1", api_key: none }}"#,
        provider.url
    );
    let model = "  theirs: { targets: [ { provider: theirs, model: sim-text } ] }";
    let Some(mut two) = Two::start(&yaml, model) else { return };
    let read = two.read(two.respond(0, "theirs"), 120).await;
    let rest = two.read(two.back(1, &read.id, read.number), usize::MAX).await;
    assert!(rest.ended);
    let (_, whole) = two.get(1, &format!("/v1/responses/{}", read.id)).await;
    assert_eq!(said(&whole), read.text.clone() + &rest.text, "nothing twice, and nothing lost");
    assert_eq!(whole["id"], read.id, "by the id that it was told");

    // Whoever counted them is gone: that is said, and from the beginning it is all there.
    two.nodes[0].kill();
    let began = Instant::now();
    loop {
        let answer = two.back(1, &read.id, read.number).send().await.expect("it answers");
        if answer.status() == StatusCode::CONFLICT {
            let problem: Value = answer.json().await.expect("JSON");
            assert_eq!(problem["error"]["code"], "epoch_changed", "{problem}");
            break;
        }
        assert!(began.elapsed() < SOON, "{answer:?}");
    }
    // And a later turn is the provider's to go on with: it keeps what was said.
    let turn = json!({ "model": "theirs", "input": "and then?", "previous_response_id": read.id, "max_output_tokens": 5 });
    let (status, later) = two.send(1, Method::POST, "/v1/responses", &turn).await;
    assert_eq!(status, StatusCode::OK, "{later}");
    let url = format!("{}/v1/responses/{}?stream=true", two.nodes[1].url, read.id);
    let again = two.read(two.http.get(url), usize::MAX).await;
    assert_eq!((again.ended, again.text), (true, said(&whole)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_completion_is_any_gateways_to_tell() {
    let Some(mut two) = Two::start("", "") else { return };
    let body = json!({ "model": "sim-text", "stream": true, "max_tokens": 30, "messages": [{ "role": "user", "content": "go" }] });
    let call = two.http.post(format!("{}/v1/chat/completions", two.nodes[0].url)).json(&body);
    let answer = call.send().await.expect("it answers");
    let generation = answer.headers()["tokenway-generation"].to_str().expect("text").to_owned();
    let (mut text, mut id) = (String::new(), String::new());
    let mut take = |data: &str| {
        let Ok(chunk) = serde_json::from_str::<Value>(data) else { return };
        id = chunk["id"].as_str().unwrap_or_default().to_owned();
        text += chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
    };
    sse(answer, |_, _, data| take(data)).await.expect("it ends in order");
    let (status, whole) = two.get(1, &format!("/v1/chat/completions/chatcmpl-{generation}")).await;
    assert_eq!(status, StatusCode::OK, "{whole}");
    assert_eq!(whole["choices"][0]["message"]["content"], text.as_str());
    for id in [&id, &generation] {
        let url = format!("{}/v1/chat/completions/{id}?stream=true", two.nodes[1].url);
        let answer = two.http.get(url).send().await.expect("it answers");
        assert_eq!(answer.status(), StatusCode::OK, "{id}");
        let mut again = String::new();
        let all = sse(answer, |_, _, data| {
            let chunk: Value = serde_json::from_str(data).unwrap_or_default();
            again += chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
        });
        all.await.expect("it ends in order");
        assert_eq!(again, text, "{id}");
    }
    let (status, _) = two.get(1, "/v1/chat/completions/chatcmpl-gen_unknown").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    // Where it cannot be learned whose it is, no provider is asked for it.
    two.nats.kill();
    for path in ["/v1/chat/completions/chatcmpl-9", "/v1/responses/resp_9"] {
        let (status, refused) = two.get(1, path).await;
        let error = (status, &refused["error"]["code"]);
        assert_eq!(error, (StatusCode::SERVICE_UNAVAILABLE, &json!("store_unavailable")), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_completion_that_its_provider_keeps_is_only_its_owners_at_any_gateway() {
    let teller = Teller::start(5).await;
    let model = r#"  teller: { targets: [ { provider: teller } ] }
access:
  token_secret: "0123456789abcdef0123456789abcdef"
  keys: [ { name: me, key: my-own-key-of-some-length }, { name: other, key: another-key-of-some-length } ]"#;
    let Some(two) = Two::start(&teller.yaml, model) else { return };
    // Streamed and whole: each has an id of its own.
    for (stream, id) in [(true, "chatcmpl-t"), (false, "chatcmpl-w")] {
        let body = json!({ "model": "teller", "stream": stream, "messages": [{ "role": "user", "content": "go" }] });
        let call = two.http.post(format!("{}/v1/chat/completions", two.nodes[0].url)).json(&body);
        let answer = call.bearer_auth("my-own-key-of-some-length").send().await;
        let answer = answer.expect("it answers");
        assert_eq!(answer.status(), StatusCode::OK);
        answer.bytes().await.expect("it ends in order");
        for node in [0, 1] {
            for (method, rest) in [
                (Method::GET, ""),
                (Method::GET, "?stream=true"),
                (Method::GET, "/messages"),
                (Method::DELETE, ""),
            ] {
                for (key, expected) in [
                    ("my-own-key-of-some-length", StatusCode::OK),
                    ("another-key-of-some-length", StatusCode::NOT_FOUND),
                ] {
                    let url = format!("{}/v1/chat/completions/{id}{rest}", two.nodes[node].url);
                    let call = two.http.request(method.clone(), url).bearer_auth(key);
                    let answer = call.send().await.expect("it answers");
                    assert_eq!(answer.status(), expected, "{node}: {method} {id}{rest}: {key}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_is_only_its_owners() {
    let Some(nats) = Nats::start() else { return };
    let (a, b) = (Node::start(&nats.url()).await, Node::start(&nats.url()).await);
    let (me, other) = (Owner::new("me"), Owner::new("other"));
    let ids = vec!["resp 1.*>".to_owned(), "resp_2".to_owned()];
    a.channels.register(me.clone(), ids.clone(), "here".into());
    let began = Instant::now();
    while b.channels.registered(&me, "resp_2").await == Ok(Registered::Unknown) {
        assert!(began.elapsed() < SOON, "it is not told");
    }
    for id in &ids {
        match b.channels.registered(&me, id).await {
            Ok(Registered::Told { what, .. }) => assert_eq!(what, "here"),
            unknown => panic!("{id}: {unknown:?}"),
        }
        assert_eq!(b.channels.registered(&other, id).await, Ok(Registered::Anothers));
    }
    assert_eq!(b.channels.registered(&me, "resp_3").await, Ok(Registered::Unknown));
    // Providers' ids may meet: each has its own.
    b.channels.register(other.clone(), ids.clone(), "there".into());
    let began = Instant::now();
    while a.channels.registered(&other, "resp_2").await == Ok(Registered::Anothers) {
        assert!(began.elapsed() < SOON, "it is not told");
    }
    for (owner, expected) in [(&me, "here"), (&other, "there")] {
        match a.channels.registered(owner, "resp_2").await {
            Ok(Registered::Told { what, .. }) => assert_eq!(what, expected),
            unknown => panic!("{unknown:?}"),
        }
    }
}

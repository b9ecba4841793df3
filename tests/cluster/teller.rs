//! A provider that counts, one word every 10 ms, and goes on from the word that it had come to when it is asked to.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse, Response},
    routing::{any, post},
};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::node::run;

const PACE: Duration = Duration::from_millis(10);

pub(crate) struct Teller {
    /// Of its configuration as a provider.
    pub(crate) yaml: String,
    state: Arc<Told>,
    serves: JoinHandle<()>,
}

struct Told {
    words: usize,
    calls: AtomicUsize,
    said: AtomicUsize,
}

impl Teller {
    /// One that has so many words to say.
    pub(crate) async fn start(words: usize) -> Self {
        let state = Arc::new(Told { words, calls: AtomicUsize::new(0), said: AtomicUsize::new(0) });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let router = Router::new()
            .route("/v1/chat/completions", post(tell))
            .route("/v1/chat/completions/{*what}", any(kept));
        let serve = axum::serve(listener, router.with_state(Arc::clone(&state)));
        let serves = run(async move { serve.await.expect("it serves") });
        let yaml = format!(
            "  teller: {{ dialect: openai, base_url: \"http://{address}/v1\", api_key: sk-teller }}"
        );
        Self { yaml, state, serves }
    }

    /// All that it has to say.
    pub(crate) fn whole(&self) -> String {
        whole(self.state.words)
    }

    /// How often it was called.
    pub(crate) fn calls(&self) -> usize {
        self.state.calls.load(Ordering::Relaxed)
    }

    /// How many words it has said, in all calls.
    pub(crate) fn said(&self) -> usize {
        self.state.said.load(Ordering::Relaxed)
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.serves.abort();
    }
}

fn whole(words: usize) -> String {
    (1..=words).map(word).collect()
}

fn word(number: usize) -> String {
    format!("word {number} ")
}

async fn tell(State(state): State<Arc<Told>>, Json(body): Json<Value>) -> Response {
    state.calls.fetch_add(1, Ordering::Relaxed);
    if body["stream"] != true {
        return kept(State(state)).await.into_response();
    }
    let messages = body["messages"].as_array().expect("messages");
    let so_far = messages.iter().find(|it| it["role"] == "assistant");
    let so_far = so_far.and_then(|it| it["content"].as_str()).unwrap_or_default();
    let from = so_far.matches("word").count() + 1;
    let words = stream::iter(from..=state.words).then(move |number| {
        let state = Arc::clone(&state);
        async move {
            tokio::time::sleep(PACE).await;
            state.said.fetch_add(1, Ordering::Relaxed);
            chunk(json!({ "content": word(number) }), Value::Null)
        }
    });
    let end = [chunk(json!({}), json!("stop")), "data: [DONE]\n\n".to_owned()];
    let body = words.chain(stream::iter(end)).map(|it| Ok::<_, Infallible>(Bytes::from(it)));
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response()
}

/// What it has said is told to whoever has its key.
async fn kept(State(state): State<Arc<Told>>) -> Json<Value> {
    let message = json!({ "role": "assistant", "content": whole(state.words) });
    let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
    Json(
        json!({ "id": "chatcmpl-w", "object": "chat.completion", "created": 1, "model": "teller", "choices": [choice] }),
    )
}

fn chunk(delta: Value, reason: Value) -> String {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": reason });
    let chunk = json!({ "id": "chatcmpl-t", "object": "chat.completion.chunk", "created": 1, "model": "teller", "choices": [choice] });
    format!("data: {chunk}\n\n")
}

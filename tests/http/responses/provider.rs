//! Providers of four dialects, each saying the same four words in its own.

use serde_json::{Value, json};

use crate::{
    gateway::{KEY, Tokenway},
    sse::Item,
    upstream::{self, Call, Upstream},
};

/// What they say, word by word.
pub(super) const WORDS: [&str; 4] = ["one ", "two ", "three ", "four"];
pub(super) const WHOLE: &str = "one two three four";

/// The id that the Responses provider gives its response.
pub(super) const THEIRS: &str = "resp_theirs";

/// The dialects, which are the models' names, too.
pub(super) const DIALECTS: [&str; 4] = ["responses", "openai", "anthropic", "gemini"];

/// A gateway before providers of these dialects, in this order, with more configuration.
pub(super) async fn before(dialects: &[&str], more: &str) -> (Tokenway, Vec<Upstream>) {
    let mut upstreams = Vec::new();
    let (mut providers, mut models) = (String::new(), String::new());
    for dialect in dialects {
        let upstream = Upstream::bind().await;
        let version = if ["responses", "openai"].contains(dialect) { "/v1" } else { "" };
        let base_url = format!("http://{}{version}", upstream.addr());
        providers += &format!(
            "  {dialect}: {{ dialect: {dialect}, base_url: \"{base_url}\", api_key: {KEY} }}\n"
        );
        models += &format!(
            "  {dialect}: {{ targets: [ {{ provider: {dialect}, model: up-model }} ] }}\n"
        );
        upstreams.push(upstream);
    }
    let yaml = format!("providers:\n{providers}models:\n{models}{more}");
    (Tokenway::of(&yaml, |_| {}).await, upstreams)
}

/// A provider that has been called.
pub(super) struct Provider {
    dialect: &'static str,
    call: Call,
}

impl Provider {
    /// It begins to answer.
    pub(super) async fn begin(dialect: &'static str, mut call: Call) -> Self {
        call.begin().await;
        let mut provider = Self { dialect, call };
        for block in opening(dialect) {
            provider.call.say(block).await;
        }
        provider
    }

    /// A word of what it has to say.
    pub(super) async fn word(&mut self, at: usize) {
        self.call.say(word(self.dialect, at)).await;
    }

    /// All the rest, and a good end.
    pub(super) async fn finish(mut self) {
        for block in closing(self.dialect) {
            self.call.say(block).await;
        }
        self.call.end().await;
    }

    /// All of it.
    pub(super) async fn say_all(dialect: &'static str, call: Call) {
        let mut provider = Self::begin(dialect, call).await;
        for at in 0..WORDS.len() {
            provider.word(at).await;
        }
        provider.finish().await;
    }

    /// Waits until the gateway has hung up.
    pub(super) async fn closed(self) {
        self.call.closed().await;
    }
}

fn event(body: &Value) -> String {
    let name = body["type"].as_str().expect("a type");
    format!("event: {name}\ndata: {body}\n\n")
}

fn step(number: usize, name: &str, mut body: Value) -> String {
    body["type"] = name.into();
    body["sequence_number"] = number.into();
    event(&body)
}

fn response(status: &str, output: &Value) -> Value {
    let mut response = json!({ "id": THEIRS, "object": "response", "created_at": 1_790_000_000, "model": "up-model",
        "status": status, "output": output, "x_unknown": 1.10 });
    if status == "completed" {
        response["usage"] = json!({ "input_tokens": 9, "output_tokens": 4, "total_tokens": 13 });
    }
    json!({ "response": response })
}

fn message(status: &str, text: Option<&str>) -> Value {
    let part = |text: &str| json!({ "type": "output_text", "text": text, "annotations": [] });
    let content: Vec<_> = text.into_iter().map(part).collect();
    json!({ "id": "msg_theirs", "type": "message", "role": "assistant", "status": status, "content": content })
}

fn part(text: &str) -> Value {
    json!({ "item_id": "msg_theirs", "output_index": 0, "content_index": 0,
        "part": { "type": "output_text", "text": text, "annotations": [] } })
}

fn opening(dialect: &str) -> Vec<String> {
    match dialect {
        "responses" => vec![
            step(0, "response.created", response("in_progress", &json!([]))),
            step(1, "response.in_progress", response("in_progress", &json!([]))),
            step(
                2,
                "response.output_item.added",
                json!({ "output_index": 0, "item": message("in_progress", None) }),
            ),
            step(3, "response.content_part.added", part("")),
        ],
        "anthropic" => {
            let message = json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": "up-model",
                "content": [], "stop_reason": null, "usage": { "input_tokens": 9, "output_tokens": 1 } });
            let block = json!({ "type": "text", "text": "" });
            vec![
                event(&json!({ "type": "message_start", "message": message })),
                event(
                    &json!({ "type": "content_block_start", "index": 0, "content_block": block }),
                ),
            ]
        }
        _ => Vec::new(),
    }
}

fn word(dialect: &str, at: usize) -> String {
    let text = WORDS[at];
    match dialect {
        "responses" => {
            let delta = json!({ "item_id": "msg_theirs", "output_index": 0, "content_index": 0, "delta": text });
            step(4 + at, "response.output_text.delta", delta)
        }
        "openai" => format!("data: {}\n\n", upstream::delta(text)),
        "anthropic" => {
            let delta = json!({ "type": "text_delta", "text": text });
            event(&json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
        }
        _ => {
            let content = json!({ "parts": [{ "text": text }], "role": "model" });
            format!("data: {}\n\n", json!({ "candidates": [{ "content": content, "index": 0 }] }))
        }
    }
}

fn closing(dialect: &str) -> Vec<String> {
    match dialect {
        "responses" => {
            let item = message("completed", Some(WHOLE));
            let mut done = part(WHOLE);
            done["text"] = WHOLE.into();
            vec![
                step(8, "response.output_text.done", done),
                step(9, "response.content_part.done", part(WHOLE)),
                step(10, "response.output_item.done", json!({ "output_index": 0, "item": item })),
                step(11, "response.completed", response("completed", &json!([item]))),
            ]
        }
        "openai" => [upstream::finish(), upstream::usage(), "[DONE]".to_owned()]
            .map(|data| format!("data: {data}\n\n"))
            .to_vec(),
        "anthropic" => vec![
            event(&json!({ "type": "content_block_stop", "index": 0 })),
            event(
                &json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": { "output_tokens": 4 } }),
            ),
            event(&json!({ "type": "message_stop" })),
        ],
        _ => {
            let end = json!({
                "candidates": [{ "content": { "parts": [{ "text": "" }], "role": "model" }, "finishReason": "STOP", "index": 0 }],
                "usageMetadata": { "promptTokenCount": 9, "candidatesTokenCount": 4, "totalTokenCount": 13 },
            });
            vec![format!("data: {end}\n\n")]
        }
    }
}

/// The text that payloads say.
pub(super) fn text(items: &[Item]) -> String {
    let deltas = items.iter().filter(|item| item.event == "response.output_text.delta");
    deltas.map(|item| item.json()["delta"].as_str().expect("a delta").to_owned()).collect()
}

/// A payload's number.
pub(super) fn number(item: &Item) -> u64 {
    item.json()["sequence_number"].as_u64().expect("a number")
}

/// Whether nothing may follow this payload.
pub(super) fn is_last(item: &Item) -> bool {
    let last = ["response.completed", "response.failed", "response.incomplete", "error"];
    last.contains(&&*item.event)
}

/// Payloads that follow `before`: their numbers rise without a gap, their names are their types, and the last is the only
/// last.
pub(super) fn check_tail(what: &str, before: Option<u64>, items: &[Item]) {
    let first = before.map_or(0, |before| before + 1);
    let numbers: Vec<_> = items.iter().map(number).collect();
    let expected: Vec<_> = (first..).take(items.len()).collect();
    assert_eq!(numbers, expected, "{what}: {items:?}");
    assert!(items.iter().all(|item| item.json()["type"] == *item.event), "{what}: {items:?}");
    assert!(items.iter().all(|item| item.id.is_some()), "{what}: {items:?}");
    let lasts: Vec<_> = items.iter().map(is_last).collect();
    let at = items.len() - 1;
    assert_eq!(lasts.iter().position(|last| *last), Some(at), "{what}: {items:?}");
}

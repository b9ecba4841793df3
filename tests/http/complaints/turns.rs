//! The next turn: what a model thought and signed comes back to its maker, byte for byte, through an app of any dialect that
//! gives back what it got; and to nobody else.

use serde_json::{Value, json};
use tokenway::dialect::{AppDialect, Dialect};

use super::{
    kit::{APPS, Voice, all, ask, ask_with},
    voice::{anthropic, event, response, sse},
};
use crate::{
    gateway::{Tokenway, body, sent},
    upstream::{Call, Upstream},
};

const SIGNATURE: &str = "U2lnK2duYXR1cmUv+/8=";
const MAKERS: [Dialect; 5] =
    [Dialect::OpenAi, Dialect::Responses, Dialect::Anthropic, Dialect::Gemini, Dialect::Bedrock];

/// A thought, signed where the dialect signs, and a call.
fn thinks_and_calls(provider: Dialect) -> Vec<u8> {
    match provider {
        Dialect::OpenAi | Dialect::Ollama => {
            let call = json!({ "index": 0, "id": "call_1", "type": "function", "function": { "name": "weather", "arguments": "{}" } });
            let chunk = |delta: Value, reason: Value| {
                let choice = json!({ "index": 0, "delta": delta, "finish_reason": reason });
                sse("", &json!({ "choices": [choice] }).to_string())
            };
            [
                chunk(json!({ "role": "assistant", "reasoning_content": "Hm." }), Value::Null),
                chunk(json!({ "tool_calls": [call] }), Value::Null),
                chunk(json!({}), json!("tool_calls")),
                sse("", "[DONE]"),
            ]
            .concat()
        }
        Dialect::Responses => {
            let thought = json!({ "id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": SIGNATURE });
            let call = json!({ "id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}", "status": "completed" });
            let whole = |status: &str, output: Value| json!({ "response": { "id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "m", "output": output } });
            [
                response(0, "response.created", &whole("in_progress", json!([]))),
                response(
                    1,
                    "response.output_item.added",
                    &json!({ "output_index": 0, "item": thought }),
                ),
                response(
                    2,
                    "response.output_item.done",
                    &json!({ "output_index": 0, "item": thought }),
                ),
                response(
                    3,
                    "response.output_item.added",
                    &json!({ "output_index": 1, "item": call }),
                ),
                response(
                    4,
                    "response.output_item.done",
                    &json!({ "output_index": 1, "item": call }),
                ),
                response(5, "response.completed", &whole("completed", json!([thought, call]))),
            ]
            .concat()
        }
        Dialect::Anthropic => {
            let message = json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
                "stop_reason": null, "stop_sequence": null, "usage": { "input_tokens": 3, "output_tokens": 1 } });
            let thought = json!({ "type": "thinking", "thinking": "", "signature": "" });
            let call =
                json!({ "type": "tool_use", "id": "toolu_1", "name": "weather", "input": {} });
            let delta = |delta: Value| {
                anthropic("content_block_delta", &json!({ "index": 0, "delta": delta }))
            };
            [
                anthropic("message_start", &json!({ "message": message })),
                anthropic("content_block_start", &json!({ "index": 0, "content_block": thought })),
                delta(json!({ "type": "thinking_delta", "thinking": "Hm." })),
                delta(json!({ "type": "signature_delta", "signature": SIGNATURE })),
                anthropic("content_block_stop", &json!({ "index": 0 })),
                anthropic("content_block_start", &json!({ "index": 1, "content_block": call })),
                anthropic("content_block_stop", &json!({ "index": 1 })),
                anthropic("message_delta", &json!({ "delta": { "stop_reason": "tool_use", "stop_sequence": null }, "usage": { "output_tokens": 4 } })),
                anthropic("message_stop", &json!({})),
            ]
            .concat()
        }
        Dialect::Gemini => {
            let call = json!({ "functionCall": { "name": "weather", "args": {} }, "thoughtSignature": SIGNATURE });
            let parts = json!([{ "text": "Hm.", "thought": true }, call]);
            let candidate = json!({ "content": { "parts": parts, "role": "model" }, "finishReason": "STOP", "index": 0 });
            sse("", &json!({ "candidates": [candidate] }).to_string())
        }
        Dialect::Bedrock => {
            let delta = |index: u32, delta: Value| {
                event("contentBlockDelta", &json!({ "contentBlockIndex": index, "delta": delta }))
            };
            let call = json!({ "toolUse": { "toolUseId": "tooluse_1", "name": "weather" } });
            [
                event("messageStart", &json!({ "role": "assistant" })),
                delta(0, json!({ "reasoningContent": { "text": "Hm." } })),
                delta(0, json!({ "reasoningContent": { "signature": SIGNATURE } })),
                event("contentBlockStop", &json!({ "contentBlockIndex": 0 })),
                event("contentBlockStart", &json!({ "contentBlockIndex": 1, "start": call })),
                delta(1, json!({ "toolUse": { "input": "{}" } })),
                event("contentBlockStop", &json!({ "contentBlockIndex": 1 })),
                event("messageStop", &json!({ "stopReason": "tool_use" })),
                event(
                    "metadata",
                    &json!({ "usage": { "inputTokens": 3, "outputTokens": 4, "totalTokens": 7 } }),
                ),
            ]
            .concat()
        }
    }
}

/// The app's next call: what it asked, what it was answered, and what its tool gave.
fn next_turn(app: AppDialect, answer: &Value) -> Value {
    let user = json!({ "role": "user", "content": "Hi" });
    match app {
        AppDialect::OpenAi => {
            let message = &answer["choices"][0]["message"];
            let id = &message["tool_calls"][0]["id"];
            json!({ "messages": [user, message, { "role": "tool", "tool_call_id": id, "content": "rain" }] })
        }
        AppDialect::Responses => {
            let output = answer["output"].as_array().expect("items");
            let call = output.iter().find(|it| it["type"] == "function_call").expect("a call");
            let result = json!({ "type": "function_call_output", "call_id": call["call_id"], "output": "rain" });
            let input: Vec<_> = [&user].into_iter().chain(output).chain([&result]).collect();
            json!({ "input": input, "store": false })
        }
        AppDialect::Anthropic => {
            let content = answer["content"].as_array().expect("blocks");
            let call = content.iter().find(|it| it["type"] == "tool_use").expect("a call");
            let result =
                json!({ "type": "tool_result", "tool_use_id": call["id"], "content": "rain" });
            json!({ "messages": [user, { "role": "assistant", "content": content }, { "role": "user", "content": [result] }] })
        }
        AppDialect::Gemini => {
            let content = &answer["candidates"][0]["content"];
            let parts = content["parts"].as_array().expect("parts");
            let call = parts
                .iter()
                .map(|it| &it["functionCall"])
                .find(|it| it.is_object())
                .expect("a call");
            let mut result = json!({ "name": "weather", "response": { "output": "rain" } });
            if call["id"].is_string() {
                result["id"] = call["id"].clone();
            }
            let user = json!({ "role": "user", "parts": [{ "text": "Hi" }] });
            json!({ "contents": [user, content, { "role": "user", "parts": [{ "functionResponse": result }] }] })
        }
    }
}

/// The answer of a thinking provider to an app, whole.
async fn thought(
    gateway: &Tokenway,
    upstream: &Upstream,
    app: AppDialect,
    provider: Dialect,
) -> Value {
    let more = match app {
        AppDialect::Responses => {
            json!({ "include": ["reasoning.encrypted_content"], "store": false })
        }
        _ => json!({}),
    };
    let call = sent(ask_with(gateway, app, provider.as_str(), false, &more));
    let mut answer = upstream.call().await;
    Voice(provider).begin(&mut answer).await;
    answer.say(thinks_and_calls(provider)).await;
    answer.try_end().await;
    body(call.await.expect("a response")).await
}

/// Sends the next turn to this provider, which refuses it; what it was sent.
async fn goes_back(
    gateway: &Tokenway,
    upstream: &Upstream,
    app: AppDialect,
    to: Dialect,
    turn: &Value,
) -> Value {
    let call = sent(ask_with(gateway, app, to.as_str(), false, turn));
    let provider: Call = upstream.call().await;
    let asked = provider.json();
    provider.answer("400 No", "content-type: application/json\r\n", "{}").await;
    call.await.expect("a response");
    asked
}

/// The strings under this name, anywhere.
fn under<'a>(name: &str, value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                if key == name {
                    found.extend(value.as_str());
                }
                under(name, value, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| under(name, value, found)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_signed_comes_back_to_it_through_an_app_of_any_dialect() {
    let (gateway, upstream) = all().await;
    for provider in MAKERS {
        for app in APPS {
            let answer = thought(&gateway, &upstream, app, provider).await;
            let turn = next_turn(app, &answer);
            let asked = goes_back(&gateway, &upstream, app, provider, &turn).await;
            let (name, value) = match provider {
                // Makers like DeepSeek sign nothing and want the thought itself.
                Dialect::OpenAi | Dialect::Ollama => ("reasoning_content", "Hm."),
                Dialect::Responses => ("encrypted_content", SIGNATURE),
                Dialect::Gemini => ("thoughtSignature", SIGNATURE),
                Dialect::Anthropic | Dialect::Bedrock => ("signature", SIGNATURE),
            };
            let mut found = Vec::new();
            under(name, &asked, &mut found);
            assert_eq!(found, [value], "{provider:?} through {app:?}: {turn} became {asked}");
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_signed_goes_to_no_other_maker() {
    let (gateway, upstream) = all().await;
    for provider in MAKERS.into_iter().filter(|it| *it != Dialect::OpenAi) {
        for app in APPS {
            let answer = thought(&gateway, &upstream, app, provider).await;
            let turn = next_turn(app, &answer);
            for other in MAKERS.into_iter().filter(|it| *it != provider) {
                // Where Google's signature stands in a chat app's call, Google's own endpoint of that dialect wants it.
                let own = provider == Dialect::Gemini
                    && (app, other) == (AppDialect::OpenAi, Dialect::OpenAi);
                // What a provider signed, an app of its own dialect holds as it came, unsealed.
                let asked = goes_back(&gateway, &upstream, app, other, &turn).await.to_string();
                assert!(
                    own || !asked.contains(SIGNATURE),
                    "{provider:?} through {app:?} to {other:?}: {asked}"
                );
                assert!(
                    !asked.contains("dG9rZW53YXk6"),
                    "a seal, {provider:?} through {app:?} to {other:?}: {asked}"
                );
            }
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_tokens_has_the_name_that_the_model_takes_and_is_there_where_it_must_be() {
    let upstream = Upstream::bind().await;
    let (addr, key) = (upstream.addr(), crate::gateway::KEY);
    let yaml = format!(
        r#"
providers:
  oai: {{ dialect: openai, base_url: "http://{addr}/v1", api_key: {key} }}
  ant: {{ dialect: anthropic, base_url: "http://{addr}", api_key: {key} }}
models:
  new: {{ targets: [ {{ provider: oai, model: gpt-5 }} ] }}
  old: {{ targets: [ {{ provider: oai, model: gpt-4o }} ] }}
  claude: {{ targets: [ {{ provider: ant, model: claude-sonnet-4-5 }} ] }}
"#
    );
    let gateway = Tokenway::of(&yaml, |_| {}).await;
    let limits = |app| match app {
        AppDialect::OpenAi => json!({ "max_completion_tokens": 99 }),
        AppDialect::Responses => json!({ "max_output_tokens": 99 }),
        AppDialect::Anthropic => json!({ "max_tokens": 99 }),
        AppDialect::Gemini => json!({ "generationConfig": { "maxOutputTokens": 99 } }),
    };
    for app in APPS {
        for (model, name) in
            [("new", "max_completion_tokens"), ("old", "max_tokens"), ("claude", "max_tokens")]
        {
            let call = sent(ask_with(&gateway, app, model, false, &limits(app)));
            let provider = upstream.call().await;
            let asked = provider.json();
            // Between like and like the app's own word stands.
            let own = app == AppDialect::OpenAi && model != "claude";
            let name = if own { "max_completion_tokens" } else { name };
            assert_eq!(asked[name], 99, "{app:?} to {model}: {asked}");
            provider.answer("400 No", "content-type: application/json\r\n", "{}").await;
            call.await.expect("a response");
        }
        // Anthropic refuses a call without one.
        let call = sent(ask(&gateway, app, "claude", false));
        let provider = upstream.call().await;
        assert!(provider.json()["max_tokens"].as_u64().is_some_and(|it| it > 0), "{app:?}");
        provider.answer("400 No", "content-type: application/json\r\n", "{}").await;
        call.await.expect("a response");
    }
    gateway.stop().await;
}

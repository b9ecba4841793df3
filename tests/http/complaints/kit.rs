//! Apps of the four dialects: how each asks, and how what it was told is read.

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokenway::{
    config::Config,
    dialect::{AppDialect, Dialect},
};

pub(super) use super::voice::Voice;
use crate::{
    gateway::{KEY, Tokenway},
    sse::Item,
    upstream::Upstream,
};

pub(super) const APPS: [AppDialect; 4] =
    [AppDialect::OpenAi, AppDialect::Responses, AppDialect::Anthropic, AppDialect::Gemini];

/// A gateway with a provider and a model of each dialect, all of which the test plays.
pub(super) async fn all() -> (Tokenway, Upstream) {
    all_with("", |_| {}).await
}

/// The same with YAML for every model and the config adjusted.
pub(super) async fn all_with(
    model: &str,
    adjust: impl FnOnce(&mut Config),
) -> (Tokenway, Upstream) {
    let upstream = Upstream::bind().await;
    let (mut providers, mut models) = ("providers:\n".to_owned(), "models:\n".to_owned());
    for dialect in Dialect::ALL {
        let (name, addr) = (dialect.as_str(), upstream.addr());
        let path = match dialect {
            Dialect::OpenAi | Dialect::Responses => "/v1",
            _ => "",
        };
        providers += &format!(
            "  {name}: {{ dialect: {name}, base_url: \"http://{addr}{path}\", api_key: {KEY} }}\n"
        );
        models += &format!(
            "  {name}: {{ targets: [ {{ provider: {name}, model: up-model }} ], {model} }}\n"
        );
    }
    (Tokenway::of(&(providers + &models), adjust).await, upstream)
}

/// An app's call with one word of the user, for a stream or not.
pub(super) fn ask(
    gateway: &Tokenway,
    app: AppDialect,
    model: &str,
    stream: bool,
) -> RequestBuilder {
    ask_with(gateway, app, model, stream, &json!({}))
}

/// The same with more members in the body.
pub(super) fn ask_with(
    gateway: &Tokenway,
    app: AppDialect,
    model: &str,
    stream: bool,
    more: &Value,
) -> RequestBuilder {
    let said = json!([{ "role": "user", "content": "Hi" }]);
    let (path, mut body) = match app {
        AppDialect::OpenAi => ("/v1/chat/completions".to_owned(), json!({ "messages": said })),
        AppDialect::Responses => ("/v1/responses".to_owned(), json!({ "input": said })),
        AppDialect::Anthropic => {
            ("/v1/messages".to_owned(), json!({ "max_tokens": 99, "messages": said }))
        }
        AppDialect::Gemini => {
            let verb = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
            let said = json!([{ "role": "user", "parts": [{ "text": "Hi" }] }]);
            (format!("/v1beta/models/{model}:{verb}"), json!({ "contents": said }))
        }
    };
    let members = body.as_object_mut().expect("an object");
    if app != AppDialect::Gemini {
        members.extend([("model".to_owned(), json!(model)), ("stream".to_owned(), json!(stream))]);
    }
    members.extend(more.as_object().cloned().unwrap_or_default());
    gateway.post(&path, body)
}

/// The payloads that are JSON.
pub(super) fn payloads(items: &[Item]) -> Vec<Value> {
    items.iter().filter(|item| item.data != "[DONE]").map(Item::json).collect()
}

/// The text that an app was told.
pub(super) fn text(app: AppDialect, items: &[Item]) -> String {
    let mut text = String::new();
    for payload in payloads(items) {
        let said = match app {
            AppDialect::OpenAi => &payload["choices"][0]["delta"]["content"],
            AppDialect::Responses if payload["type"] == "response.output_text.delta" => {
                &payload["delta"]
            }
            AppDialect::Responses => &Value::Null,
            AppDialect::Anthropic => &payload["delta"]["text"],
            AppDialect::Gemini => &payload["candidates"][0]["content"]["parts"][0]["text"],
        };
        text += said.as_str().unwrap_or_default();
    }
    text
}

/// Whether an SDK of this dialect would take the answer for complete.
pub(super) fn is_success(app: AppDialect, items: &[Item]) -> bool {
    let ends = |payload: &Value| match app {
        AppDialect::OpenAi => payload["choices"][0]["finish_reason"].is_string(),
        AppDialect::Responses => {
            ["response.completed", "response.incomplete"].iter().any(|it| payload["type"] == *it)
        }
        AppDialect::Anthropic => {
            payload["type"] == "message_stop" || payload["delta"]["stop_reason"].is_string()
        }
        AppDialect::Gemini => payload["candidates"][0]["finishReason"].is_string(),
    };
    items.iter().any(|item| item.data == "[DONE]") || payloads(items).iter().any(ends)
}

/// The message of the error that ended a stream, if it has this dialect's own form.
pub(super) fn error(app: AppDialect, items: &[Item]) -> Option<String> {
    let last = items.last().filter(|last| last.data != "[DONE]")?;
    let payload = last.json();
    let error = match app {
        AppDialect::OpenAi | AppDialect::Gemini if last.event.is_empty() => &payload["error"],
        AppDialect::Anthropic if last.event == "error" && payload["type"] == "error" => {
            payload["error"]["type"].as_str()?;
            &payload["error"]
        }
        AppDialect::Responses if last.event == "error" && payload["type"] == "error" => &payload,
        AppDialect::Responses if last.event == "response.failed" => &payload["response"]["error"],
        _ => return None,
    };
    if app == AppDialect::Gemini {
        (error["code"].as_u64()?, error["status"].as_str()?);
    }
    error["message"].as_str().map(str::to_owned)
}

/// The message of a refusal, if it has this dialect's own form.
pub(super) fn refused(app: AppDialect, body: &Value) -> Option<String> {
    let error = &body["error"];
    let in_form = match app {
        AppDialect::OpenAi | AppDialect::Responses => error["type"].is_string(),
        AppDialect::Anthropic => body["type"] == "error" && error["type"].is_string(),
        AppDialect::Gemini => error["code"].is_u64() && error["status"].is_string(),
    };
    error["message"].as_str().filter(|_| in_form).map(str::to_owned)
}

//! What a generation comes to: its events folded, or its state as the channel tells it.

use std::collections::BTreeMap;

use serde_json::Value;
use tokenway::event::{
    Event, Failed, FailureCode, FinishReason, Finished, Kind, Native, RunBy, Usage,
};

/// What a generation's events come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Folded {
    pub(crate) choices: BTreeMap<u32, Choice>,
    pub(crate) usage: Option<Usage>,
    pub(crate) citations: usize,
    pub(crate) images: usize,
    /// Payloads and blocks that the words cannot say: whose, and what they are called there.
    pub(crate) natives: Vec<(String, String)>,
    pub(crate) end: Option<Result<Finished, Failed>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Choice {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    pub(crate) signatures: Vec<String>,
    pub(crate) encrypted: Vec<String>,
    pub(crate) refusal: String,
    /// Those that the app is to run.
    pub(crate) calls: Vec<Call>,
    /// Those that the provider runs itself.
    pub(crate) server_calls: Vec<Call>,
    pub(crate) finished: Option<Finished>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

impl Folded {
    /// What the first choice says.
    pub(crate) fn first(&self) -> Choice {
        self.choices.get(&0).cloned().unwrap_or_default()
    }
}

/// Sense, not spelling: arguments are compared as JSON where they are JSON; none at all, or null, are `{}`.
pub(crate) fn arguments(text: &str) -> Value {
    let text = if ["", "null"].contains(&text) { "{}" } else { text };
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

/// Folds a generation's events, and holds them to what every decoder must keep.
pub(crate) fn fold(events: &[Event]) -> Folded {
    let mut folded = Folded::default();
    let mut calls: BTreeMap<u32, Vec<(RunBy, Call)>> = BTreeMap::new();
    for event in events {
        assert_eq!(folded.end, None, "nothing after the last event: {event:?}");
        let of = event.choice;
        let begun = calls.entry(of).or_default();
        let choice = folded.choices.entry(of).or_default();
        match &event.kind {
            Kind::Text(text) => choice.text += text,
            Kind::Reasoning(part) => {
                choice.reasoning += &part.text;
                let opaque = |text: &String| (!text.is_empty()).then(|| text.clone());
                choice.signatures.extend(opaque(&part.signature));
                choice.encrypted.extend(opaque(&part.encrypted));
            }
            Kind::Refusal(text) => choice.refusal += text,
            Kind::ToolCall(call) => {
                assert_eq!(call.index as usize, begun.len(), "counted from 0 as they begin");
                let (id, name) = (call.id.clone(), call.name.clone());
                begun.push((call.run_by, Call { id, name, arguments: String::new() }));
            }
            Kind::ToolArguments(part) => {
                begun[part.index as usize].1.arguments += &part.arguments;
            }
            Kind::Citation(_) => folded.citations += 1,
            Kind::Media(media) => {
                folded.images += usize::from(media.last && media.mime.starts_with("image/"));
            }
            Kind::Usage(usage) => folded.usage = Some(usage.clone()),
            Kind::ChoiceFinished(end) => choice.finished = Some(end.clone()),
            Kind::Finished(end) => {
                choice.finished.get_or_insert(end.clone());
                folded.end = Some(Ok(end.clone()));
            }
            Kind::Failed(failed) => folded.end = Some(Err(failed.clone())),
            Kind::Native(Native { dialect, name, .. }) => {
                folded.natives.push((dialect.clone(), name.clone()));
            }
            Kind::Started(_) | Kind::Resumed(_) | Kind::Custom(_) => {}
        }
    }
    for (of, begun) in calls {
        let choice = folded.choices.entry(of).or_default();
        for (run_by, call) in begun {
            match run_by {
                RunBy::Client => choice.calls.push(call),
                RunBy::Server => choice.server_calls.push(call),
            }
        }
    }
    folded
}

/// What the channel's JSON says of a generation. Signatures and native payloads are only in the log.
pub(crate) fn state(generation: &Value) -> Folded {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let mut choices = BTreeMap::from([(0, choice(generation))]);
    for of in list(&generation["choices"]) {
        let index = u32::try_from(number(&of["choice"])).expect("a choice");
        choices.insert(index, choice(&of));
    }
    let usage = &generation["usage"];
    let images = list(&generation["media"]);
    let images = images.iter().filter(|media| text(&media["mime"]).starts_with("image/"));
    let error = &generation["error"];
    let end = match generation["state"].as_str() {
        Some("failed") => {
            let code = [FailureCode::UpstreamError, FailureCode::UpstreamCut];
            let code = code.into_iter().find(|code| error["code"] == code.as_str());
            let code = code.unwrap_or_else(|| panic!("neither error nor cut: {generation}"));
            let status = u16::try_from(number(&error["status"])).expect("a status");
            Some(Err(Failed { status, ..Failed::new(code, text(&error["message"])) }))
        }
        _ => finished(generation).map(Ok),
    };
    Folded {
        choices,
        usage: (!usage.is_null()).then(|| Usage {
            input: number(&usage["input"]),
            output: number(&usage["output"]),
            cached_input: number(&usage["cached_input"]),
            cache_write: number(&usage["cache_write"]),
            reasoning: number(&usage["reasoning"]),
            ..Usage::default()
        }),
        citations: list(&generation["citations"]).len(),
        images: images.count(),
        natives: Vec::new(),
        end,
    }
}

fn choice(of: &Value) -> Choice {
    let calls = |run_by: &str| {
        let calls = list(&of["tool_calls"]);
        let calls =
            calls.iter().filter(|call| call["run_by"].as_str().unwrap_or("client") == run_by);
        let call = |call: &Value| Call {
            id: text(&call["id"]),
            name: text(&call["name"]),
            arguments: text(&call["arguments"]),
        };
        calls.map(call).collect()
    };
    Choice {
        text: text(&of["text"]),
        reasoning: text(&of["reasoning"]),
        refusal: text(&of["refusal"]),
        calls: calls("client"),
        server_calls: calls("server"),
        finished: finished(of),
        ..Choice::default()
    }
}

fn finished(of: &Value) -> Option<Finished> {
    use FinishReason::{ContentFilter, Length, Pause, Refusal, Stop, ToolCalls};
    let word = of["finish_reason"].as_str()?;
    let all = [Stop, Length, ToolCalls, ContentFilter, Refusal, Pause];
    let reason = all.into_iter().find(|reason| reason.as_str() == word).expect("a reason");
    Some(Finished { reason, native_reason: of["native_finish_reason"].as_str().map(str::to_owned) })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

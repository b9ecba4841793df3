//! A message as plain JSON, described by hand: what the vectors hold beside the bytes.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};
use tokenway::wire::proto::{self, event::Kind as Wire, frame::News};

/// Members that are not the default, as proto3 leaves defaults out.
pub(super) fn members(members: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let absent = |value: &Value| match value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(_) => false,
    };
    let kept = members.into_iter().filter(|(_, value)| !absent(value));
    Value::Object(kept.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

pub(super) fn base64(bytes: &[u8]) -> Value {
    STANDARD.encode(bytes).into()
}

pub(super) fn started(one: &proto::Started) -> Value {
    members([
        ("id", one.id.clone().into()),
        ("model", one.model.clone().into()),
        ("provider", one.provider.clone().into()),
        ("dialect", one.dialect.clone().into()),
        ("createdMs", one.created_ms.into()),
    ])
}

pub(super) fn reasoning(one: &proto::Reasoning) -> Value {
    members([
        ("text", one.text.clone().into()),
        ("signature", one.signature.clone().into()),
        ("encrypted", one.encrypted.clone().into()),
    ])
}

pub(super) fn tool_call(one: &proto::ToolCall) -> Value {
    members([
        ("index", one.index.into()),
        ("id", one.id.clone().into()),
        ("name", one.name.clone().into()),
        ("runBy", one.run_by.into()),
    ])
}

pub(super) fn media(one: &proto::Media) -> Value {
    members([
        ("mime", one.mime.clone().into()),
        ("data", base64(&one.data)),
        ("index", one.index.into()),
        ("part", one.part.into()),
        ("last", one.last.into()),
    ])
}

pub(super) fn usage(one: &proto::Usage) -> Value {
    members([
        ("input", one.input.into()),
        ("output", one.output.into()),
        ("cachedInput", one.cached_input.into()),
        ("cacheWrite", one.cache_write.into()),
        ("reasoning", one.reasoning.into()),
        ("native", base64(&one.native)),
        ("estimated", one.estimated.into()),
        ("cost", one.cost.into()),
    ])
}

pub(super) fn end(reason: i32, native: &Option<String>) -> Value {
    members([("reason", reason.into()), ("nativeReason", native.clone().into())])
}

pub(super) fn failed(one: &proto::Failed) -> Value {
    members([
        ("code", one.code.into()),
        ("message", one.message.clone().into()),
        ("phase", one.phase.into()),
        ("status", one.status.into()),
    ])
}

pub(super) fn custom(one: &proto::Custom) -> Value {
    members([("type", one.r#type.clone().into()), ("data", base64(&one.data))])
}

pub(super) fn event(one: &proto::Event) -> Value {
    let (name, value) = match &one.kind {
        None => ("", Value::Null),
        Some(Wire::Started(one)) => ("started", started(one)),
        Some(Wire::Reasoning(one)) => ("reasoning", reasoning(one)),
        Some(Wire::Refusal(text)) => ("refusal", text.clone().into()),
        Some(Wire::ToolCall(one)) => ("toolCall", tool_call(one)),
        Some(Wire::ToolArguments(one)) => (
            "toolArguments",
            members([("index", one.index.into()), ("arguments", one.arguments.clone().into())]),
        ),
        Some(Wire::Citation(one)) => ("citation", members([("data", base64(&one.data))])),
        Some(Wire::Media(one)) => ("media", media(one)),
        Some(Wire::Usage(one)) => ("usage", usage(one)),
        Some(Wire::Resumed(one)) => (
            "resumed",
            members([
                ("from", one.from.clone().into()),
                ("to", one.to.clone().into()),
                ("reason", one.reason.clone().into()),
            ]),
        ),
        Some(Wire::ChoiceFinished(one)) => ("choiceFinished", end(one.reason, &one.native_reason)),
        Some(Wire::Finished(one)) => ("finished", end(one.reason, &one.native_reason)),
        Some(Wire::Failed(one)) => ("failed", failed(one)),
        Some(Wire::Custom(one)) => ("custom", custom(one)),
        Some(Wire::Native(one)) => (
            "native",
            members([
                ("dialect", one.dialect.clone().into()),
                ("name", one.name.clone().into()),
                ("data", base64(&one.data)),
            ]),
        ),
    };
    members([
        ("text", one.text.clone().into()),
        ("generation", one.generation.into()),
        ("choice", one.choice.into()),
        (name, value),
    ])
}

pub(super) fn choice(one: &proto::ChoiceState) -> Value {
    let tool = |tool: &proto::ToolCallState| {
        members([
            ("call", tool.call.as_ref().map_or(Value::Null, tool_call)),
            ("arguments", tool.arguments.clone().into()),
        ])
    };
    let finished = one.finished.as_ref();
    members([
        ("choice", one.choice.into()),
        ("text", one.text.clone().into()),
        ("reasoning", one.reasoning.clone().into()),
        ("refusal", one.refusal.clone().into()),
        ("toolCalls", one.tool_calls.iter().map(tool).collect()),
        ("finished", finished.map_or(Value::Null, |one| end(one.reason, &one.native_reason))),
        ("sealed", one.sealed.iter().map(reasoning).collect()),
    ])
}

pub(super) fn generation(one: &proto::GenerationState) -> Value {
    let citation = |one: &proto::Citation| members([("data", base64(&one.data))]);
    let finished = one.finished.as_ref();
    members([
        ("index", one.index.into()),
        ("started", one.started.as_ref().map_or(Value::Null, started)),
        ("state", one.state.into()),
        ("choices", one.choices.iter().map(choice).collect()),
        ("citations", one.citations.iter().map(citation).collect()),
        ("media", one.media.iter().map(media).collect()),
        ("usage", one.usage.as_ref().map_or(Value::Null, usage)),
        ("finished", finished.map_or(Value::Null, |one| end(one.reason, &one.native_reason))),
        ("failed", one.failed.as_ref().map_or(Value::Null, failed)),
        ("evicted", one.evicted.into()),
    ])
}

pub(super) fn frame(one: &proto::Frame) -> Value {
    let (name, value) = match &one.news {
        None => ("", Value::Null),
        Some(News::Snapshot(one)) => {
            let kept = |one: &proto::CustomState| {
                let value = one.custom.as_ref().map_or(Value::Null, custom);
                members([("seq", one.seq.into()), ("custom", value)])
            };
            let value = members([
                ("epoch", one.epoch.clone().into()),
                ("through", one.through.into()),
                ("generations", one.generations.iter().map(generation).collect()),
                ("customs", one.customs.iter().map(kept).collect()),
                ("cause", one.cause.into()),
            ]);
            ("snapshot", value)
        }
        Some(News::Rewind(one)) => (
            "rewind",
            members([
                ("previousEpoch", one.previous_epoch.clone().into()),
                ("validThrough", one.valid_through.into()),
                ("epoch", one.epoch.clone().into()),
            ]),
        ),
        Some(News::End(one)) => {
            ("end", members([("reason", one.reason.into()), ("lastSeq", one.last_seq.into())]))
        }
    };
    members([
        ("alias", one.alias.into()),
        ("firstSeq", one.first_seq.into()),
        ("events", one.events.iter().map(event).collect()),
        ("timeBaseMs", one.time_base_ms.into()),
        ("timeDeltasMs", one.time_deltas_ms.clone().into()),
        (name, value),
    ])
}

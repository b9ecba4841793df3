//! The JSON forms: an event as the SSE view shows it, a channel's state as `GET /v1/channels/{id}` does.
//!
//! Member names are those of DESIGN's table; what is absent or empty is left out of events, and is null or empty in a
//! state, which always has all its members.

mod object;

use object::Object;

use crate::{
    event::{Event, Failed, Finished, Json, Kind, RunBy, Started, Usage},
    sequence::Epoch,
    snapshot::{Choice, End, Generation, State},
};

/// An event's name and its JSON object. `generation` is the id that the event's channel-local index stands for.
pub fn event_json(seq: u64, generation: &str, event: &Event) -> (&'static str, String) {
    let head = || Object::new().number("seq", seq).string_if("generation", generation);
    let choice = |object: Object| object.number_if("choice", event.choice.into());
    let (name, object) = match &event.kind {
        Kind::Started(started) => (
            "started",
            head()
                .string("model", &started.model)
                .string("provider", &started.provider)
                .string("dialect", &started.dialect)
                .number("created_ms", started.created_ms)
                .string_if("traceparent", &started.traceparent),
        ),
        Kind::Text(text) => ("text", choice(head().string("text", text))),
        Kind::Reasoning(reasoning) => (
            "reasoning",
            choice(head().string("text", &reasoning.text))
                .string_if("signature", &reasoning.signature)
                .string_if("encrypted", &reasoning.encrypted),
        ),
        Kind::Refusal(text) => ("refusal", choice(head().string("text", text))),
        Kind::ToolCall(call) => (
            "tool_call",
            choice(head().number("index", call.index.into()))
                .string("id", &call.id)
                .string("name", &call.name)
                .string("run_by", run_by(call.run_by)),
        ),
        Kind::ToolArguments(fragment) => (
            "tool_arguments",
            choice(head().number("index", fragment.index.into()))
                .string("arguments", &fragment.arguments),
        ),
        Kind::Citation(data) => ("citation", head().json("data", data)),
        Kind::Media(media) => (
            "media",
            head()
                .string("mime", &media.mime)
                .number("index", media.index.into())
                .number("part", media.part.into())
                .flag("last", media.last)
                .base64("data", &media.data),
        ),
        Kind::Usage(usage) => ("usage", usage_members(head(), usage)),
        Kind::Resumed(resumed) => (
            "resumed",
            head()
                .string("from", &resumed.from)
                .string("to", &resumed.to)
                .string("reason", &resumed.reason)
                .string_if("dialect", &resumed.dialect),
        ),
        Kind::ChoiceFinished(end) => {
            let object = head().number("choice", event.choice.into());
            ("choice_finished", finished_members(object, end))
        }
        Kind::Finished(end) => ("finished", finished_members(head(), end)),
        Kind::Failed(end) => ("failed", failed_members(head(), end)),
        Kind::Custom(custom) => {
            let object = Object::new().number("seq", seq).string("type", &custom.kind);
            ("custom", object.json("data", &custom.data))
        }
        Kind::Native(native) => (
            "native",
            head()
                .string("dialect", &native.dialect)
                .string("name", &native.name)
                .json("data", &native.data),
        ),
    };
    (name, object.close())
}

/// Where a channel's state was taken.
#[derive(Clone, Copy, Debug)]
pub struct StateHead<'a> {
    /// The channel's id.
    pub channel: &'a str,
    /// Its epoch.
    pub epoch: Epoch,
    /// The first seq still held as an event.
    pub first_seq: u64,
    /// The last seq folded in.
    pub last_seq: u64,
}

/// A channel's state.
pub fn state_json(head: StateHead<'_>, state: &State) -> String {
    let object = Object::new()
        .string("channel", head.channel)
        .string("epoch", &head.epoch.to_string())
        .number("first_seq", head.first_seq)
        .number("last_seq", head.last_seq);
    state_members(object, state).close()
}

/// A snapshot event's JSON object: everything up to `through`.
pub fn snapshot_json(through: u64, epoch: Epoch, state: &State) -> String {
    let object = Object::new().number("through", through).string("epoch", &epoch.to_string());
    state_members(object, state).close()
}

/// How a channel stands.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its epoch.
    pub epoch: Epoch,
    /// The first seq still held as an event.
    pub first_seq: u64,
    /// The last seq; of a tail the one after which it begins.
    pub last_seq: u64,
}

/// A head event's JSON object: how the channel stands, and its generations in the order of their indexes.
pub fn head_json(place: Place, generations: &[Started]) -> String {
    let generations = generations.iter().map(|started| {
        Object::new()
            .string("generation", &started.id)
            .string("model", &started.model)
            .string("provider", &started.provider)
            .string("dialect", &started.dialect)
            .number("created_ms", started.created_ms)
            .string_if("traceparent", &started.traceparent)
            .close()
    });
    Object::new()
        .string("epoch", &place.epoch.to_string())
        .number("first_seq", place.first_seq)
        .number("last_seq", place.last_seq)
        .array("generations", generations.collect::<Vec<_>>())
        .close()
}

/// A rewind event's JSON object.
pub fn rewind_json(previous: Epoch, valid_through: u64, epoch: Epoch) -> String {
    Object::new()
        .string("previous_epoch", &previous.to_string())
        .number("valid_through", valid_through)
        .string("epoch", &epoch.to_string())
        .close()
}

fn state_members(object: Object, state: &State) -> Object {
    let customs = state.customs.iter().map(|(seq, custom)| {
        let object = Object::new().number("seq", *seq).string("type", &custom.kind);
        object.json("data", &custom.data).close()
    });
    object
        .array("generations", state.generations.iter().map(generation))
        .array("customs", customs.collect::<Vec<_>>())
}

fn generation(generation: &Generation) -> String {
    let Generation { started, choices, citations, media, usage, end, evicted, .. } = generation;
    let (state, finished, failed) = match end {
        None => ("running", None, None),
        Some(End::Finished(end)) => ("finished", Some(end), None),
        Some(End::Failed(end)) => ("failed", None, Some(end)),
    };
    let object = Object::new()
        .string("generation", &started.id)
        .string("model", &started.model)
        .string("provider", &started.provider)
        .number("created_ms", started.created_ms)
        .string("state", state);
    let object = choice_members(object, generation.first_choice())
        .string_or_null("finish_reason", finished.map(|end| end.reason.as_str()))
        .string_or_null(
            "native_finish_reason",
            finished.and_then(|end| end.native_reason.as_deref()),
        )
        .object_or_null("usage", usage.as_ref().map(usage_object))
        .object_or_null("error", failed.map(|end| failed_members(Object::new(), end).close()));
    let object = if choices.len() > 1 {
        object.array("choices", choices.iter().map(choice))
    } else {
        object
    };
    let object = if citations.is_empty() {
        object
    } else {
        let given = |data: &Json| Object::new().json("data", data).close();
        object.array("citations", citations.iter().map(given))
    };
    let object = if media.is_empty() {
        object
    } else {
        object.array(
            "media",
            (0..).zip(media).map(|(place, media)| {
                let object = Object::new().string("mime", &media.mime);
                index_unless(place, object, media.index).base64("data", &media.data).close()
            }),
        )
    };
    if *evicted { object.flag("evicted", true).close() } else { object.close() }
}

fn choice(choice: &Choice) -> String {
    let object = Object::new().number("choice", choice.number.into());
    let object = choice_members(object, choice);
    let finished = choice.finished.as_ref();
    object
        .string_or_null("finish_reason", finished.map(|end| end.reason.as_str()))
        .string_or_null(
            "native_finish_reason",
            finished.and_then(|end| end.native_reason.as_deref()),
        )
        .close()
}

fn choice_members(object: Object, choice: &Choice) -> Object {
    let refusal = (!choice.refusal.is_empty()).then_some(choice.refusal.as_str());
    let calls = (0..).zip(&choice.tool_calls).map(|(place, tool)| {
        index_unless(place, Object::new(), tool.call.index)
            .string("id", &tool.call.id)
            .string("name", &tool.call.name)
            .string("arguments", &tool.arguments)
            .string("run_by", run_by(tool.call.run_by))
            .close()
    });
    object
        .string("text", &choice.text)
        .string("reasoning", &choice.reasoning)
        .string_or_null("refusal", refusal)
        .array("tool_calls", calls.collect::<Vec<_>>())
}

/// The index that the events gave it, where that is not its place in the list.
fn index_unless(place: u32, object: Object, index: u32) -> Object {
    if index == place { object } else { object.number("index", index.into()) }
}

fn usage_object(usage: &Usage) -> String {
    usage_members(Object::new(), usage).close()
}

fn usage_members(object: Object, usage: &Usage) -> Object {
    let object = object
        .number("input", usage.input)
        .number("output", usage.output)
        .number("cached_input", usage.cached_input)
        .number("cache_write", usage.cache_write)
        .number("reasoning", usage.reasoning)
        .float_or_null("cost", usage.cost)
        .flag("estimated", usage.estimated);
    if usage.native.is_empty() { object } else { object.json("native", &usage.native) }
}

fn finished_members(object: Object, end: &Finished) -> Object {
    object
        .string("reason", end.reason.as_str())
        .string_or_null("native_reason", end.native_reason.as_deref())
}

fn failed_members(object: Object, end: &Failed) -> Object {
    let object = object.string("code", end.code.as_str()).string("message", &end.message);
    let object = match end.phase {
        Some(phase) => object.string("phase", phase.as_str()),
        None => object,
    };
    object.number_if("status", end.status.into())
}

fn run_by(run_by: RunBy) -> &'static str {
    match run_by {
        RunBy::Client => "client",
        RunBy::Server => "server",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Custom, FinishReason};

    #[test]
    fn an_event_reads_as_designed() {
        let (name, json) = event_json(17, "gen_1", &Event::text("Hel\n"));
        assert_eq!(
            (name, json.as_str()),
            ("text", r#"{"seq":17,"generation":"gen_1","text":"Hel\n"}"#)
        );
        let end = Finished { reason: FinishReason::Stop, native_reason: None };
        let (name, json) = event_json(18, "gen_1", &Event::new(Kind::Finished(end)));
        assert_eq!(name, "finished");
        assert_eq!(json, r#"{"seq":18,"generation":"gen_1","reason":"stop","native_reason":null}"#);
    }

    #[test]
    fn json_of_others_stays_as_it_is_but_for_its_line_breaks() {
        let data = Json::from_static(b"{\"seed\":\n 2151581269210956000}");
        let custom = Custom { kind: "note".into(), data };
        let (_, json) = event_json(1, "", &Event::new(Kind::Custom(custom)));
        assert_eq!(json, r#"{"seq":1,"type":"note","data":{"seed":  2151581269210956000}}"#);
    }
}

//! The forms in which an answer can come.

use std::fmt::Write;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};
use tokenway::{
    dialect::Dialect,
    provider::sse::{Item, Payload},
};

use crate::common::Recording;

/// A recording in another form.
pub(super) struct Form {
    pub(super) name: &'static str,
    pub(super) dialect: Dialect,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
}

const SSE: &str = "text/event-stream";

/// A stream's payloads.
pub(super) fn payloads(recording: &Recording) -> Vec<Payload> {
    let framing = recording.dialect.framing(recording.content_type());
    let mut framing = framing.expect("a stream's content type");
    framing.push(recording.body.clone());
    let mut all = Vec::new();
    while let Some(item) = framing.next().expect("a recording is in its framing") {
        all.extend(match item {
            Item::Payload(payload) => Some(payload),
            Item::Comment => None,
        });
    }
    all.extend(framing.finish());
    all
}

fn json_of(payload: &Payload) -> Option<Value> {
    serde_json::from_slice(&payload.data).ok()
}

/// The same payload, its JSON changed.
fn changed(payload: &Payload, change: impl FnOnce(&mut Value)) -> Payload {
    match json_of(payload) {
        Some(mut json) if json.is_object() => {
            change(&mut json);
            Payload { data: json.to_string().into(), ..payload.clone() }
        }
        _ => payload.clone(),
    }
}

/// How server-sent events are spelled.
#[derive(Clone, Copy)]
struct Spelling {
    line_end: &'static str,
    space: &'static str,
    names: bool,
    /// What stands before each event.
    before: &'static str,
}

const PLAIN: Spelling = Spelling { line_end: "\n", space: " ", names: true, before: "" };

pub(super) fn sse(payloads: &[Payload]) -> Vec<u8> {
    spelled(PLAIN, payloads)
}

fn spelled(spelling: Spelling, payloads: &[Payload]) -> Vec<u8> {
    let Spelling { line_end, space, names, before } = spelling;
    let mut out = Vec::new();
    for payload in payloads {
        out.extend(before.as_bytes());
        if names && !payload.event.is_empty() {
            let name = String::from_utf8_lossy(&payload.event);
            out.extend(format!("event:{space}{name}{line_end}").as_bytes());
        }
        for line in payload.data.split(|byte| *byte == b'\n') {
            out.extend(format!("data:{space}").as_bytes());
            out.extend(line);
            out.extend(line_end.as_bytes());
        }
        out.extend(line_end.as_bytes());
    }
    out
}

/// The same JSON with every character beyond ASCII as escapes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            out.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            write!(out, "\\u{unit:04x}").expect("text");
        }
    }
    out
}

/// What a provider of this dialect may send at any time and what says nothing.
fn idle(dialect: Dialect) -> Vec<Payload> {
    let named = |name: &'static str, data: Value| Payload {
        event: Bytes::from_static(name.as_bytes()),
        ..Payload::of(data.to_string())
    };
    match dialect {
        Dialect::OpenAi => vec![
            named("", json!({"id": "", "object": "", "created": 0, "model": "", "choices": []})),
            named("", json!({"choices": [{"index": 0, "delta": {}, "finish_reason": null}]})),
            named("", json!({"choices": [{"index": 0, "delta": null, "finish_reason": ""}]})),
            named(
                "",
                json!({"choices": [{"index": 0, "delta": {"content": "", "tool_calls": [], "refusal": null}}], "usage": null}),
            ),
            named("ping", json!({})),
        ],
        Dialect::Responses => vec![
            named("keepalive", json!({"type": "keepalive", "sequence_number": 7})),
            named(
                "response.in_progress",
                json!({"type": "response.in_progress", "response": {"status": "in_progress", "output": []}}),
            ),
            named(
                "response.tomorrow.added",
                json!({"type": "response.tomorrow.added", "what": [1]}),
            ),
        ],
        Dialect::Anthropic => vec![
            named("ping", json!({"type": "ping"})),
            named("tomorrow", json!({"type": "tomorrow", "what": [1]})),
        ],
        Dialect::Gemini => vec![
            named("", json!({"usageMetadata": {"trafficType": "ON_DEMAND"}, "modelVersion": "m"})),
            named("", json!({"modelVersion": "m", "responseId": "r"})),
            named("", json!({"candidates": [{"index": 0}]})),
        ],
        Dialect::Ollama => vec![named(
            "",
            json!({"model": "m", "message": {"role": "assistant", "content": ""}, "done": false}),
        )],
        Dialect::Bedrock => Vec::new(),
    }
}

/// The forms that this recording can have.
pub(super) fn of(recording: &Recording) -> Vec<Form> {
    let all = payloads(recording);
    match recording.content_type().split(';').next() {
        Some(SSE) => {
            let mut forms = events(recording, &all);
            match recording.dialect {
                Dialect::Gemini => forms.extend(arrays(&all)),
                Dialect::Anthropic => forms.push(in_chunks(&all)),
                _ => {}
            }
            forms
        }
        Some("application/x-ndjson") => lines(&all),
        Some("application/json") => arrays(&all),
        _ => Vec::new(),
    }
}

fn events(recording: &Recording, all: &[Payload]) -> Vec<Form> {
    let dialect = recording.dialect;
    let form = |name, body| Form { name, dialect, content_type: SSE, body };
    let ended = |body: Vec<u8>| body.strip_suffix(b"\n\n").unwrap_or(&body).to_vec();
    let chatty = "\u{feff}: hello\n\n:\n\n: \n\nid: 7\nretry: 10\n\n";
    let lines = |payload: &Payload| match json_of(payload) {
        Some(json) => {
            let data = serde_json::to_string_pretty(&json).expect("JSON");
            Payload { data: data.into(), ..payload.clone() }
        }
        None => payload.clone(),
    };
    let ascii = |payload: &Payload| {
        let text = String::from_utf8_lossy(&payload.data);
        Payload { data: escaped(&text).into(), ..payload.clone() }
    };
    let member = |payload: &Payload| {
        changed(payload, |json| json["x_vendor"] = json!({"deep": [null, 1.5, "é"]}))
    };
    let idle = idle(dialect);
    let among = all.iter().flat_map(|payload| idle.iter().chain([payload]).cloned());
    let each = |change: &dyn Fn(&Payload) -> Payload| all.iter().map(change).collect::<Vec<_>>();
    let mut forms = vec![
        form("as it is", sse(all)),
        form("lines end in CRLF", spelled(Spelling { line_end: "\r\n", ..PLAIN }, all)),
        form("lines end in CR", spelled(Spelling { line_end: "\r", ..PLAIN }, all)),
        form("without spaces", spelled(Spelling { space: "", ..PLAIN }, all)),
        form("without the last empty line", ended(sse(all))),
        form("comments between", {
            let mut body = spelled(Spelling { before: &chatty[3..], ..PLAIN }, all);
            body.splice(..0, chatty.bytes());
            body
        }),
        form("data in many lines", sse(&each(&lines))),
        form("all in ASCII", sse(&each(&ascii))),
        form("members that nobody knows", sse(&each(&member))),
        form("what says nothing between", sse(&among.collect::<Vec<_>>())),
    ];
    // Who names an error by the event alone says nothing without it.
    let names_matter = all.iter().any(|payload| payload.name() == "error");
    if !names_matter {
        forms.push(form("without names", spelled(Spelling { names: false, ..PLAIN }, all)));
    }
    forms.extend(tools(dialect, all).map(|(name, body)| form(name, body)));
    forms
}

/// Calls as other servers write them.
fn tools(dialect: Dialect, all: &[Payload]) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let each = |change: fn(&mut Value)| {
        let change = |payload: &Payload| {
            changed(payload, |json| {
                for choice in json["choices"].as_array_mut().into_iter().flatten() {
                    let calls = choice.pointer_mut("/delta/tool_calls");
                    calls.and_then(Value::as_array_mut).into_iter().flatten().for_each(change);
                }
            })
        };
        sse(&all.iter().map(change).collect::<Vec<_>>())
    };
    let rotate = || {
        let mut number = 0;
        let change = |payload: &Payload| {
            changed(payload, |json| {
                number += 1;
                // What a provider runs itself has no other id.
                let by_server = json["item"]["type"].as_str().is_some_and(|it| {
                    !matches!(it, "message" | "reasoning" | "function_call" | "custom_tool_call")
                });
                for place in if by_server { &[][..] } else { &["/item_id", "/item/id"] } {
                    if let Some(id) = json.pointer_mut(place) {
                        *id = format!("rotated_{number}").into();
                    }
                }
            })
        };
        sse(&all.iter().map(change).collect::<Vec<_>>())
    };
    let forms = match dialect {
        Dialect::OpenAi => vec![
            (
                "calls counted from 1",
                each(|call| {
                    if let Some(index) = call["index"].as_u64() {
                        call["index"] = (index + 1).into();
                    }
                }),
            ),
            (
                "empty names on every fragment",
                each(|call| {
                    if call["function"].is_object() && call["function"]["name"].is_null() {
                        call["function"]["name"] = "".into();
                        call["id"] = "".into();
                        call["type"] = "function".into();
                    }
                }),
            ),
        ],
        Dialect::Responses => vec![("ids that rotate", rotate())],
        _ => Vec::new(),
    };
    forms.into_iter()
}

fn arrays(all: &[Payload]) -> Vec<Form> {
    let form = |name, body: String| Form {
        name,
        dialect: Dialect::Gemini,
        content_type: "application/json",
        body: body.into_bytes(),
    };
    let values: Vec<Value> = all.iter().filter_map(json_of).collect();
    let joined = |separator: &str| {
        let each: Vec<String> = values.iter().map(Value::to_string).collect();
        format!("[{}]", each.join(separator))
    };
    let pretty = serde_json::to_string_pretty(&values).expect("JSON").replace('\n', "\r\n");
    vec![
        form("an array", joined(",")),
        form("an array, its commas on lines of their own", joined("\n,\r\n")),
        form("an array, for people", pretty),
        form("an array, in ASCII", escaped(&joined(","))),
    ]
}

fn lines(all: &[Payload]) -> Vec<Form> {
    let form = |name, body| Form {
        name,
        dialect: Dialect::Ollama,
        content_type: "application/x-ndjson",
        body,
    };
    let joined = |all: &[Payload], end: &str| {
        let lines = all.iter().map(|payload| String::from_utf8_lossy(&payload.data) + end);
        lines.collect::<String>().into_bytes()
    };
    let idle = idle(Dialect::Ollama);
    let among: Vec<Payload> =
        all.iter().flat_map(|payload| idle.iter().chain([payload]).cloned()).collect();
    let mut open = joined(all, "\n");
    open.pop();
    vec![
        form("lines end in CRLF", joined(all, "\r\n")),
        form("empty lines between", joined(all, "\n\n")),
        form("without the last line's end", open),
        form("all in ASCII", escaped(&String::from_utf8_lossy(&joined(all, "\n"))).into_bytes()),
        form("what says nothing between", joined(&among, "\n")),
    ]
}

/// Anthropic's events as Bedrock's InvokeModel wraps them.
fn in_chunks(all: &[Payload]) -> Form {
    let mut body = Vec::new();
    for payload in all {
        let chunk = json!({ "bytes": BASE64_STANDARD.encode(&payload.data), "p": "abcd" });
        let header =
            |name, value: &'static str| Header::new(name, HeaderValue::String(value.into()));
        let message = Message::new(chunk.to_string())
            .add_header(header(":message-type", "event"))
            .add_header(header(":event-type", "chunk"));
        write_message_to(&message, &mut body).expect("a frame");
    }
    Form {
        name: "in Bedrock's chunks",
        dialect: Dialect::Bedrock,
        content_type: "application/vnd.amazon.eventstream",
        body,
    }
}

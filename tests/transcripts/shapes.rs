//! What providers are known to send and no recording here shows, written by hand from their documents: each stream, however
//! it is cut, comes to what is expected, and every app is told that.

mod anthropic;
mod chat;
mod others;
mod responses;

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::{Value, json};
use tokenway::dialect::Dialect;

use crate::{
    check_stream,
    common::Recording,
    pairs::{APPS, check},
};

const SSE: &str = "text/event-stream";

/// A stream of server-sent events: each with its name, which may be empty.
fn sse(name: &str, dialect: Dialect, events: &[(&str, Value)], expected: Value) -> Recording {
    let mut body = String::new();
    for (event, data) in events {
        if !event.is_empty() {
            body += &format!("event: {event}\n");
        }
        body += &match data {
            // As it stands: a mark, or JSON with something around it.
            Value::String(text) => format!("data: {text}\n\n"),
            data => format!("data: {data}\n\n"),
        };
    }
    Recording::by_hand(name, dialect, SSE, Bytes::from(body), expected)
}

/// What is expected where nothing else is said.
fn expected(members: Value) -> Value {
    let mut all = json!({
        "text": "", "reasoning": "", "refusal": null, "tool_calls": [], "finish_reason": "stop",
        "finish_reason_unified": "stop", "usage": null, "citations": 0, "images": 0, "error": null,
    });
    let members = members.as_object().cloned().unwrap_or_default();
    all.as_object_mut().expect("an object").extend(members);
    all
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({ "id": id, "name": name, "arguments": arguments })
}

/// Counts in which the parts are in the totals.
fn usage(input: u64, output: u64, reasoning: u64) -> Value {
    json!({ "input": input, "output": output, "total": null, "cached_input": null, "cache_write": null, "reasoning": reasoning })
}

#[test]
fn what_is_only_documented_comes_to_what_the_documents_say() {
    let all = [chat::all(), responses::all(), anthropic::all(), others::all()].concat();
    let mut misses = Vec::new();
    for shape in &all {
        let mut found = check_stream(shape, 7);
        for app in APPS {
            let told = check(shape, app, &mut BTreeSet::new());
            found.extend(told.into_iter().map(|miss| format!("{}: {miss}", app.as_str())));
        }
        misses.extend(found.into_iter().map(|miss| format!("{shape}: {miss}")));
    }
    println!("{} shapes", all.len());
    assert!(misses.is_empty(), "{} misses:\n{}", misses.len(), misses.join("\n"));
}

//! What a provider's SDK makes of a recording, against what we make of it.
//!
//! The README of the recordings says how their expectations are to be read: usage is not harmonised there, and what is
//! null was not told.

use serde_json::{Value, json};
use tokenway::dialect::Dialect;

use super::{
    folded::{Folded, arguments},
    recordings::Recording,
};

fn words(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// The unified reason that is expected: the file's own, and `stop` where the provider gave no reason at all.
fn expected_reason(expected: &Value) -> &str {
    expected["finish_reason_unified"].as_str().unwrap_or("stop")
}

/// The provider's own words in the body of an error, wherever the dialect has them.
fn message(body: &Value) -> &str {
    let places = ["/error/message", "/message", "/Message", "/error", ""];
    places.iter().find_map(|place| body.pointer(place)?.as_str()).unwrap_or_default()
}

/// Compares member by member; gives what differs. `of_log`: what only the log keeps is compared too.
pub(crate) fn differences(recording: &Recording, folded: &Folded, of_log: bool) -> Vec<String> {
    let expected = &recording.expected;
    let mut found = Vec::new();
    if expected.is_null() {
        return found;
    }
    let mut same = |what: &str, ours: Value, theirs: Value| {
        if ours != theirs {
            found.push(format!("{what}: ours {ours}, expected {theirs}"));
        }
    };
    let first = folded.first();
    same("text", first.text.clone().into(), words(&expected["text"]).into());
    same("reasoning", first.reasoning.clone().into(), words(&expected["reasoning"]).into());
    same("refusal", first.refusal.clone().into(), words(&expected["refusal"]).into());
    same("citations", folded.citations.into(), count(&expected["citations"]).into());
    same("images", folded.images.into(), count(&expected["images"]).into());

    let theirs = expected["tool_calls"].as_array().map_or(&[][..], Vec::as_slice);
    let calls: Vec<Value> = first
        .calls
        .iter()
        .enumerate()
        .map(|(at, call)| {
            // Where the provider gives none, the gateway makes one up.
            let made_up =
                !call.id.is_empty() && theirs.get(at).is_some_and(|it| it["id"].is_null());
            let id = if made_up { Value::Null } else { call.id.clone().into() };
            json!([id, call.name, arguments(&call.arguments)])
        })
        .collect();
    let call =
        |call: &Value| json!([call["id"], call["name"], arguments(words(&call["arguments"]))]);
    same("tool_calls", calls.into(), theirs.iter().map(call).collect());

    if of_log {
        signed(recording, folded, &mut same);
    }

    let error = &expected["error"];
    match &folded.end {
        Some(Err(failed)) => {
            let body = &error["body"];
            let told = if body.is_null() { words(&error["message"]) } else { message(body) };
            // Without the body, the SDK's own words around the provider's are all there is.
            let is_part = body.is_null() && told.contains(&failed.message);
            same(
                "error",
                failed.message.clone().into(),
                if is_part { failed.message.clone() } else { told.to_owned() }.into(),
            );
            same("error code", failed.code.as_str().into(), "upstream_error".into());
            let number = |value: &Value| value.as_u64().filter(|code| (400..600).contains(code));
            let told = [&error["status_code"], &body["status_code"], &body["code"]];
            if let Some(status) = told.into_iter().find_map(number) {
                same("status", failed.status.into(), status.into());
            }
            // Beside an error the SDK gives neither reason nor usage; we give the usage that came.
            return found;
        }
        Some(Ok(end)) => {
            same("error", Value::Null, error.clone());
            let native = end.native_reason.clone().map_or(Value::Null, Value::from);
            same("finish_reason", native, expected["finish_reason"].clone());
            let unified = expected_reason(expected);
            same("finish_reason_unified", end.reason.as_str().into(), unified.into());
        }
        None => same("end", "none".into(), "one".into()),
    }
    usage(recording, folded, &mut same);
    let other = |choice: &super::Choice| {
        let end = choice.finished.as_ref().and_then(|end| end.native_reason.clone());
        json!([choice.text, end])
    };
    let others: Vec<Value> = folded.choices.values().skip(1).map(other).collect();
    let theirs = expected["other_choices"].as_array().into_iter().flatten();
    let theirs = theirs.map(|choice| json!([choice["text"], choice["finish_reason"]])).collect();
    same("other choices", others.into(), theirs);
    found
}

/// How many thoughts are signed, encrypted, and how many things a provider did by itself. OpenAI's SDKs count none of
/// these.
fn signed(recording: &Recording, folded: &Folded, same: &mut impl FnMut(&str, Value, Value)) {
    let first = folded.first();
    let expected = &recording.expected;
    let signs = [Dialect::Anthropic, Dialect::Bedrock, Dialect::Gemini];
    if signs.contains(&recording.dialect) {
        same("signatures", first.signatures.len().into(), count(&expected["signatures"]).into());
        let redacted = count(&expected["redacted_blocks"]);
        same("redacted blocks", first.encrypted.len().into(), redacted.into());
    }
    let items = expected["server_items"].as_array().map_or(0, Vec::len);
    // One item may be both a call, for whoever knows only the words, and its native block.
    let told = folded.natives.len() + first.server_calls.len();
    same("server items there", (told >= items).into(), true.into());
}

/// Harmonised over here: everything in the totals.
fn usage(recording: &Recording, folded: &Folded, same: &mut impl FnMut(&str, Value, Value)) {
    let expected = &recording.expected;
    let theirs = &expected["usage"];
    same("usage there", folded.usage.is_some().into(), (!theirs.is_null()).into());
    let Some(usage) = &folded.usage else { return };
    let note = words(&expected["usage_note"]);
    let (cached, written) = (count(&theirs["cached_input"]), count(&theirs["cache_write"]));
    let reasoning = count(&theirs["reasoning"]);
    let mut input = count(&theirs["input"]);
    let mut output = count(&theirs["output"]);
    if note.contains("excludes reasoning") || recording.dialect == Dialect::Gemini {
        output += reasoning;
    }
    if note.contains("excludes cache") {
        input += cached + written;
    }
    // Gemini counts what its tools read into the total alone.
    let total = theirs["total"].as_u64();
    if let Some(total) = total.filter(|total| *total > input + output) {
        input = total - output;
    }
    same("input", usage.input.into(), input.into());
    same("output", usage.output.into(), output.into());
    if let Some(total) = total {
        same("total", (usage.input + usage.output).into(), total.into());
    }
    same("cached_input", usage.cached_input.into(), cached.into());
    same("cache_write", usage.cache_write.into(), written.into());
    same("reasoning tokens", usage.reasoning.into(), reasoning.into());
}

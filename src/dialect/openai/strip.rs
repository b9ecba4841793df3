//! Takes thoughts of other dialects' models out of a conversation that goes on at a provider of this one.
//!
//! An app that was answered by another dialect's provider gives back what that one signed or encrypted, in the
//! `reasoning_details` that this gateway wrote. Strict providers refuse the member, and none can read it. OpenRouter's own
//! entries name their makers in other words, and go back to it.

use serde_json::value::RawValue;

use super::read::members::{Members, list};
use crate::dialect::{Dialect, body::json, call::Dropped};

/// Bodies without it are not looked into.
const DETAILS: &str = "reasoning_details";

/// The value of `messages` without them; `None` where there are none. All else stays byte for byte.
pub(super) fn without_foreign_thoughts(body: &[u8], dropped: &mut Dropped) -> Option<String> {
    memchr::memmem::find(body, DETAILS.as_bytes())?;
    let messages = serde_json::from_slice::<Members<'_>>(body).ok()?.take("messages")?;
    let mut found = false;
    let mut kept = Vec::new();
    for (at, message) in list(messages, "messages").ok()?.into_iter().enumerate() {
        match without_details(message, &format!("messages[{at}].{DETAILS}"), dropped) {
            Some(message) => {
                found = true;
                kept.push(message);
            }
            None => kept.push(message.get().to_owned()),
        }
    }
    found.then(|| format!("[{}]", kept.join(",")))
}

/// A message without foreign entries; `None` where it has none.
fn without_details(message: &RawValue, path: &str, dropped: &mut Dropped) -> Option<String> {
    let members = Members::of(message, path).ok()?;
    let mut found = false;
    let mut written = Vec::new();
    for (name, value) in members.iter() {
        let entries = match name {
            DETAILS => list(value, path).ok().and_then(|entries| left(entries, path, dropped)),
            _ => None,
        };
        let Some(entries) = entries else {
            written.push(format!("{}:{}", json(name), value.get()));
            continue;
        };
        found = true;
        if !entries.is_empty() {
            written.push(format!("{}:[{}]", json(name), entries.join(",")));
        }
    }
    found.then(|| format!("{{{}}}", written.join(",")))
}

/// The entries without foreign ones; `None` where there are none.
fn left<'a>(entries: Vec<&'a RawValue>, path: &str, dropped: &mut Dropped) -> Option<Vec<&'a str>> {
    let count = entries.len();
    let mut kept = Vec::with_capacity(count);
    // What came in pieces comes back in pieces, of which the last says who made them.
    let mut open = Vec::new();
    for (at, entry) in entries.into_iter().enumerate() {
        open.push((at, entry.get()));
        let mut members = Members::of(entry, path).unwrap_or_default();
        let mut string = |name| members.string(name, path).ok().flatten();
        let (format, signature, data) = (string("format"), string("signature"), string("data"));
        let some = |text: Option<String>| text.is_some_and(|text| !text.is_empty());
        let (foreign, signed, encrypted) =
            (format.is_some_and(|it| is_foreign(&it)), some(signature), some(data));
        if foreign && encrypted {
            // A thought of its own: what stands open before it nobody closed.
            let entry = open.pop();
            kept.extend(open.drain(..).map(|(_, entry)| entry));
            open.extend(entry);
        }
        match foreign {
            true => open.drain(..).for_each(|(at, _)| dropped.note(format!("{path}[{at}]"))),
            false if signed || encrypted => kept.extend(open.drain(..).map(|(_, entry)| entry)),
            false => {}
        }
    }
    kept.extend(open.into_iter().map(|(_, entry)| entry));
    (kept.len() < count).then_some(kept)
}

/// Whether this gateway wrote that another dialect's provider made it.
fn is_foreign(format: &str) -> bool {
    Dialect::parse(format).is_some_and(|maker| maker != Dialect::OpenAi)
}

#[cfg(test)]
mod tests {
    use crate::dialect::{Streaming, openai::Request};

    fn sent(message: &str) -> (String, Vec<String>) {
        let body = format!(r#"{{"model":"m","messages":[ {{"role":"user"}},{message}],"x":1.10}}"#);
        let upstream =
            Request::read(body.into()).expect("a request").upstream("m", Streaming::AsAsked);
        let body = String::from_utf8(upstream.body.to_vec()).expect("text");
        (body, upstream.dropped.paths().to_vec())
    }

    #[test]
    fn what_other_dialects_models_thought_is_left_out() {
        let message = |details: &str| format!(r#"{{"role":"assistant",{details}"content":"é" }}"#);
        let details = r#""reasoning_details":[{"type":"reasoning.text","text":"a","index":0},{"type":"reasoning.text","signature":"S","format":"anthropic","index":0},{"type":"reasoning.encrypted","data":"E","format":"responses"}],"#;
        let (body, dropped) = sent(&message(details));
        let left = message("").replace(" }", "}");
        assert_eq!(
            body,
            format!(r#"{{"model":"m","messages":[{{"role":"user"}},{left}],"x":1.10}}"#)
        );
        let path = |at| format!("messages[1].reasoning_details[{at}]");
        assert_eq!(dropped, [path(0), path(1), path(2)]);
    }

    #[test]
    fn what_is_the_providers_own_goes_back() {
        let own = r#"{"type":"reasoning.text","text":"b","signature":"T","format":"anthropic-claude-v1"}"#;
        let foreign = r#"{"type":"reasoning.encrypted","data":"E","format":"bedrock"}"#;
        let plain = r#"{"type":"reasoning.summary","summary":"s"}"#;
        let (body, dropped) =
            sent(&format!(r#"{{"reasoning_details":[{own},{plain},{foreign},{plain}]}}"#));
        assert!(
            body.contains(&format!(r#"{{"reasoning_details":[{own},{plain},{plain}]}}"#)),
            "{body}"
        );
        assert_eq!(dropped, ["messages[1].reasoning_details[2]"]);
        let message = format!(r#"{{ "reasoning_details" : [ {own} ,{plain}] }}"#);
        let (body, dropped) = sent(&message);
        assert!(body.contains(&message), "{body}");
        assert!(dropped.is_empty());
    }
}

//! A generation as the AI SDK's UI message stream shows it: the parts that stock `useChat` reads.
//!
//! Begins with everything said so far, compacted (`start`, one delta for the text, one for the reasoning), and goes on
//! with the live tail: legal for the SDK, which only asks that a delta's part was begun before. Source: vercel/ai,
//! `packages/ai/src/ui-message-stream`. Shows the first of several choices. Framing and headers are the door's.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{
    event::{Event, FailureCode, FinishReason, Finished, Kind, Media, RunBy, ToolCall, Usage},
    snapshot::{End, Generation},
};

/// What ends the stream, after its last part.
pub const DONE: &str = "[DONE]";

/// Writes one generation's parts.
#[derive(Debug, Default)]
pub struct UiMessage {
    /// The text or reasoning part that deltas go to.
    open: Option<(Voice, u32)>,
    /// How many text and reasoning parts there were.
    voices: u32,
    tools: BTreeMap<u32, Tool>,
    /// Media whose parts are still coming.
    media: BTreeMap<u32, Vec<u8>>,
    sources: u32,
    usage: Option<Usage>,
    generation: String,
    ended: bool,
}

/// What is streamed piece by piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Voice {
    Text,
    Reasoning,
}

impl Voice {
    fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Reasoning => "reasoning",
        }
    }
}

/// A tool call whose input is still coming.
#[derive(Debug)]
struct Tool {
    call: ToolCall,
    input: String,
}

impl UiMessage {
    /// The parts for what a generation has said so far. Call it once, first.
    pub fn begin(&mut self, so_far: &Generation, out: &mut Vec<Value>) {
        self.generation.clone_from(&so_far.started.id);
        let about = json!({ "tokenway": { "generation": self.generation } });
        let id = &self.generation;
        out.push(json!({ "type": "start", "messageId": id, "messageMetadata": about }));
        out.push(json!({ "type": "start-step" }));
        let said = so_far.first_choice();
        for (voice, text) in [
            (Voice::Reasoning, &said.reasoning),
            (Voice::Text, &said.text),
            (Voice::Text, &said.refusal),
        ] {
            self.say(voice, text, out);
        }
        for citation in &so_far.citations {
            self.source(citation, out);
        }
        for media in &so_far.media {
            self.file(&media.mime, &media.data, out);
        }
        for tool in &said.tool_calls {
            self.call(&tool.call, out);
            self.input(tool.call.index, &tool.arguments, out);
        }
        self.usage.clone_from(&so_far.usage);
        match &so_far.end {
            Some(End::Finished(end)) => self.finish(end, out),
            Some(End::Failed(failed)) => self.fail(failed.code, &failed.message, out),
            None => {}
        }
    }

    /// Adds the parts that say one more event of this generation.
    pub fn encode(&mut self, event: &Event, out: &mut Vec<Value>) {
        if event.choice != 0 || self.ended {
            return;
        }
        match &event.kind {
            Kind::Text(text) | Kind::Refusal(text) => self.say(Voice::Text, text, out),
            Kind::Reasoning(part) => self.say(Voice::Reasoning, &part.text, out),
            Kind::ToolCall(call) => self.call(call, out),
            Kind::ToolArguments(part) => self.input(part.index, &part.arguments, out),
            Kind::Citation(citation) => self.source(citation, out),
            Kind::Media(media) => self.media(media, out),
            Kind::Usage(usage) => self.usage = Some(usage.clone()),
            Kind::Finished(end) => self.finish(end, out),
            Kind::Failed(failed) => self.fail(failed.code, &failed.message, out),
            Kind::Started(_)
            | Kind::Resumed(_)
            | Kind::ChoiceFinished(_)
            | Kind::Custom(_)
            | Kind::Native(_) => {}
        }
    }

    /// Whether nothing was written yet.
    pub fn is_new(&self) -> bool {
        self.generation.is_empty()
    }

    /// Whether the last part was written: [`DONE`] is due.
    pub fn is_over(&self) -> bool {
        self.ended
    }

    fn say(&mut self, voice: Voice, delta: &str, out: &mut Vec<Value>) {
        if delta.is_empty() {
            return;
        }
        let word = voice.word();
        let number = match self.open {
            Some((open, number)) if open == voice => number,
            _ => {
                self.close(out);
                let number = self.voices;
                self.voices += 1;
                self.open = Some((voice, number));
                out.push(json!({ "type": format!("{word}-start"), "id": number.to_string() }));
                number
            }
        };
        let id = number.to_string();
        out.push(json!({ "type": format!("{word}-delta"), "id": id, "delta": delta }));
    }

    /// Ends the text or reasoning part that is open.
    fn close(&mut self, out: &mut Vec<Value>) {
        if let Some((voice, number)) = self.open.take() {
            let kind = format!("{}-end", voice.word());
            out.push(json!({ "type": kind, "id": number.to_string() }));
        }
    }

    fn call(&mut self, call: &ToolCall, out: &mut Vec<Value>) {
        self.close(out);
        let mut part = json!({
            "type": "tool-input-start", "toolCallId": call.id, "toolName": call.name,
        });
        if call.run_by == RunBy::Server {
            part["providerExecuted"] = true.into();
        }
        out.push(part);
        self.tools.insert(call.index, Tool { call: call.clone(), input: String::new() });
    }

    fn input(&mut self, index: u32, fragment: &str, out: &mut Vec<Value>) {
        let Some(tool) = self.tools.get_mut(&index) else { return };
        tool.input += fragment;
        if !fragment.is_empty() {
            let id = &tool.call.id;
            out.push(json!({
                "type": "tool-input-delta", "toolCallId": id, "inputTextDelta": fragment,
            }));
        }
    }

    /// What comes of the inputs at the end. One that was cut, or whose generation failed, is not offered for running.
    fn end_inputs(&mut self, finished: bool, out: &mut Vec<Value>) {
        for Tool { call, input } in std::mem::take(&mut self.tools).into_values() {
            let text = if input.trim().is_empty() { "{}" } else { &input };
            let mut part = match serde_json::from_str::<Value>(text) {
                Ok(value) if finished => json!({ "type": "tool-input-available", "input": value }),
                _ => json!({
                    "type": "tool-input-error", "input": input,
                    "errorText": "the tool call was cut before its input was complete",
                }),
            };
            part["toolCallId"] = call.id.into();
            part["toolName"] = call.name.into();
            if call.run_by == RunBy::Server {
                part["providerExecuted"] = true.into();
            }
            out.push(part);
        }
    }

    /// A page or a document; what is neither has no part of its own in the SDK.
    fn source(&mut self, citation: &[u8], out: &mut Vec<Value>) {
        let Ok(citation) = serde_json::from_slice::<Value>(citation) else { return };
        let mut nested = ["url_citation", "file_citation", "web"].iter();
        let inner = nested.find_map(|name| citation.get(*name)).unwrap_or(&citation);
        let first = |names: &[&str]| {
            names.iter().find_map(|name| inner.get(name)?.as_str()).map(str::to_owned)
        };
        let id = format!("source-{}", self.sources);
        let url = first(&["url", "uri"]).or_else(|| citation.as_str().map(str::to_owned));
        let part = match url.filter(|url| url.starts_with("http")) {
            Some(url) => {
                let mut part = json!({ "type": "source-url", "sourceId": id, "url": url });
                if let Some(title) = first(&["title"]) {
                    part["title"] = title.into();
                }
                part
            }
            None => {
                let Some(title) = first(&["document_title", "filename", "title"]) else { return };
                let paged = inner.get("type").and_then(Value::as_str) == Some("page_location");
                let mime = if paged { "application/pdf" } else { "text/plain" };
                json!({ "type": "source-document", "sourceId": id, "mediaType": mime, "title": title })
            }
        };
        self.sources += 1;
        out.push(part);
    }

    fn media(&mut self, media: &Media, out: &mut Vec<Value>) {
        self.media.entry(media.index).or_default().extend_from_slice(&media.data);
        if media.last {
            let data = self.media.remove(&media.index).unwrap_or_default();
            self.file(&media.mime, &data, out);
        }
    }

    fn file(&mut self, mime: &str, data: &[u8], out: &mut Vec<Value>) {
        self.close(out);
        let url = format!("data:{mime};base64,{}", BASE64_STANDARD.encode(data));
        out.push(json!({ "type": "file", "mediaType": mime, "url": url }));
    }

    fn finish(&mut self, end: &Finished, out: &mut Vec<Value>) {
        self.close(out);
        self.end_inputs(true, out);
        let usage = self.usage.take().map(|usage| {
            json!({
                "inputTokens": usage.input,
                "outputTokens": usage.output,
                "totalTokens": usage.input.saturating_add(usage.output),
                "cachedInputTokens": usage.cached_input,
                "reasoningTokens": usage.reasoning,
            })
        });
        let mut about = json!({ "tokenway": { "generation": self.generation } });
        if let Some(usage) = usage {
            about["tokenway"]["usage"] = usage;
        }
        out.push(json!({ "type": "finish-step" }));
        let reason = word(end.reason);
        out.push(json!({ "type": "finish", "finishReason": reason, "messageMetadata": about }));
        self.ended = true;
    }

    /// A stop is no error to the SDK.
    fn fail(&mut self, code: FailureCode, message: &str, out: &mut Vec<Value>) {
        self.close(out);
        self.end_inputs(false, out);
        out.push(match code {
            FailureCode::Cancelled => json!({ "type": "abort" }),
            code if message.is_empty() => json!({ "type": "error", "errorText": code.as_str() }),
            _ => json!({ "type": "error", "errorText": message }),
        });
        self.ended = true;
    }
}

fn word(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool-calls",
        FinishReason::ContentFilter | FinishReason::Refusal => "content-filter",
        FinishReason::Pause => "other",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        event::{Failed, Reasoning, Started, ToolArguments},
        snapshot::State,
    };

    fn started() -> Event {
        Event::new(Kind::Started(Started { id: "gen_1".into(), ..Started::default() }))
    }

    fn tool(index: u32, arguments: &[&str]) -> Vec<Event> {
        let id = format!("call_{index}");
        let call = ToolCall { index, id, name: "add".into(), run_by: RunBy::Client };
        let fragments = arguments.iter().map(|fragment| {
            let arguments = (*fragment).to_owned();
            Event::new(Kind::ToolArguments(ToolArguments { index, arguments }))
        });
        std::iter::once(Event::new(Kind::ToolCall(call))).chain(fragments).collect()
    }

    fn finished() -> Event {
        Event::new(Kind::Finished(Finished { reason: FinishReason::Stop, native_reason: None }))
    }

    /// The parts of a viewer who came after `upto` events.
    fn parts(events: &[Event], upto: usize) -> Vec<Value> {
        let mut state = State::default();
        for (seq, event) in (1..).zip(&events[..upto]) {
            state.apply(seq, event.clone());
        }
        let (mut message, mut out) = (UiMessage::default(), Vec::new());
        message.begin(&state.generations[0], &mut out);
        for event in &events[upto..] {
            message.encode(event, &mut out);
        }
        assert_eq!(message.is_over(), events.last().is_some_and(Event::is_terminal));
        out
    }

    /// What stock `useChat` makes of parts; panics where it would throw.
    fn read(parts: &[Value]) -> (String, String, Vec<Value>) {
        let (mut text, mut reasoning, mut inputs) = (String::new(), String::new(), Vec::new());
        let mut open = std::collections::HashSet::new();
        for part in parts {
            let (kind, id) = (part["type"].as_str().expect("a type"), part["id"].to_string());
            match kind {
                "text-start" | "reasoning-start" => assert!(open.insert(id), "begun twice"),
                "text-delta" | "reasoning-delta" => {
                    assert!(open.contains(&id), "a delta for a part that was not begun");
                    let delta = part["delta"].as_str().expect("a delta");
                    if kind == "text-delta" { text += delta } else { reasoning += delta }
                }
                "text-end" | "reasoning-end" => assert!(open.remove(&id), "ended, never begun"),
                "tool-input-start" => assert!(open.insert(part["toolCallId"].to_string())),
                "tool-input-delta" => assert!(open.contains(&part["toolCallId"].to_string())),
                "tool-input-available" => {
                    assert!(open.remove(&part["toolCallId"].to_string()));
                    inputs.push(part["input"].clone());
                }
                _ => {}
            }
        }
        (text, reasoning, inputs)
    }

    fn conversation() -> Vec<Event> {
        let reasoning = Reasoning { text: "hm".into(), ..Reasoning::default() };
        let mut events =
            vec![started(), Event::new(Kind::Reasoning(reasoning)), Event::text("Hel")];
        events.push(Event::text("lo"));
        events.extend(tool(0, &["{\"a\"", ":1}"]));
        events.extend(tool(1, &[]));
        events.push(finished());
        events
    }

    #[test]
    fn wherever_a_viewer_comes_in_it_reads_the_same_message() {
        let events = conversation();
        let expected = ("Hello".to_owned(), "hm".to_owned(), vec![json!({ "a": 1 }), json!({})]);
        for upto in 1..=events.len() {
            assert_eq!(read(&parts(&events, upto)), expected, "after {upto}");
        }
    }

    #[test]
    fn what_was_said_comes_in_one_delta() {
        let events = conversation();
        let parts = parts(&events, 4);
        let deltas = parts.iter().filter(|part| part["type"] == "text-delta").count();
        assert_eq!(deltas, 1, "{parts:?}");
        let kinds: Vec<_> = parts[..2].iter().map(|part| part["type"].as_str()).collect();
        assert_eq!(kinds, [Some("start"), Some("start-step")]);
    }

    #[test]
    fn a_stop_is_an_abort_and_a_failure_an_error() {
        for (code, kind) in [(FailureCode::Cancelled, "abort"), (FailureCode::Timeout, "error")] {
            let failed = Event::new(Kind::Failed(Failed::new(code, "why")));
            let parts = parts(&[started(), Event::text("Hi"), failed], 1);
            assert_eq!(parts.last().expect("an end")["type"], kind);
            assert_eq!(parts[parts.len() - 2]["type"], "text-end");
        }
    }

    #[test]
    fn a_cut_tool_call_is_not_offered_for_running() {
        let failed = || Event::new(Kind::Failed(Failed::new(FailureCode::UpstreamCut, "why")));
        for (arguments, end) in [("{\"a\"", finished()), ("{}", failed()), ("", failed())] {
            let mut events = vec![started()];
            events.extend(tool(0, &[arguments]));
            events.push(end);
            let parts = parts(&events, 2);
            assert!(parts.iter().any(|part| part["type"] == "tool-input-error"), "{parts:?}");
            assert!(parts.iter().all(|part| part["type"] != "tool-input-available"), "{parts:?}");
        }
    }

    #[test]
    fn what_is_cited_is_a_page_or_a_document() {
        for (citation, kind, title) in [
            (r#"{"url_citation":{"url":"https://a.example","title":"A"}}"#, "source-url", "A"),
            (r#"{"type":"url_citation","url":"https://a.example","title":"A"}"#, "source-url", "A"),
            (r#"{"web":{"uri":"https://a.example","title":"A"}}"#, "source-url", "A"),
            (r#"{"type":"char_location","document_title":"B"}"#, "source-document", "B"),
            (r#"{"type":"page_location","document_title":"C"}"#, "source-document", "C"),
            (r#"{"type":"file_citation","filename":"d.txt"}"#, "source-document", "d.txt"),
        ] {
            let mut out = Vec::new();
            UiMessage::default().source(citation.as_bytes(), &mut out);
            assert_eq!((&out[0]["type"], &out[0]["title"]), (&kind.into(), &title.into()));
        }
        let mut out = Vec::new();
        UiMessage::default().source(br#"{"start":1}"#, &mut out);
        assert!(out.is_empty());
    }

    proptest! {
        #[test]
        fn no_text_is_lost_or_doubled(
            said in proptest::collection::vec(("[a-zß😀 ]{0,4}", any::<bool>()), 0..20),
            upto in 0usize..22,
        ) {
            let mut events = vec![started()];
            let (mut text, mut reasoning) = (String::new(), String::new());
            for (piece, aloud) in said {
                if aloud {
                    text += &piece;
                    events.push(Event::text(piece));
                } else {
                    reasoning += &piece;
                    let part = Reasoning { text: piece, ..Reasoning::default() };
                    events.push(Event::new(Kind::Reasoning(part)));
                }
            }
            events.push(finished());
            let upto = upto.clamp(1, events.len());
            prop_assert_eq!(read(&parts(&events, upto)), (text, reasoning, Vec::new()));
        }
    }
}

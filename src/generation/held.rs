//! Holds tool calls back until they are sure, where a generation may go on at another provider. Pure.
//!
//! An app that has been given half a call cannot be made to forget it, in any dialect. So where a break is to be mended,
//! the calls that the app runs, and what follows them, are said when the provider has said how it ended; until then a break
//! makes them void, and the next provider makes its own. What is void is named on the channel
//! (`native`, dialect `tokenway`, name `tool_call.void`), so that the log tells what came.

use crate::event::{Event, Kind, Native, RunBy, ToolCall};

/// More is not held back: it is said as it comes, and a break after it cannot be mended.
const HELD_BYTES_MAX: usize = 1024 * 1024;

/// Events that wait for the end.
#[derive(Debug, Default)]
pub(super) struct Held {
    events: Vec<Event>,
    bytes: usize,
    /// What is held is a signature alone, which may belong to a call.
    tentative: bool,
    open: bool,
}

impl Held {
    /// Takes events in and gives those that can be said now. `finished`: the provider has said how it ended.
    pub(super) fn pass(&mut self, events: Vec<Event>, finished: bool) -> Vec<Event> {
        let mut out = Vec::with_capacity(events.len());
        for event in events {
            self.take(event, &mut out);
        }
        if finished || self.bytes > HELD_BYTES_MAX {
            self.open = true;
            out.append(&mut self.release());
        }
        out
    }

    fn take(&mut self, event: Event, out: &mut Vec<Event>) {
        let calls = matches!(&event.kind, Kind::ToolCall(call) if call.run_by == RunBy::Client);
        let signs = matches!(&event.kind, Kind::Reasoning(it) if it.text.is_empty());
        if self.tentative && !calls && !signs {
            out.append(&mut self.release());
        }
        if self.open || !(calls || signs || !self.events.is_empty()) {
            out.push(event);
            return;
        }
        self.tentative = signs && (self.tentative || self.events.is_empty());
        self.bytes += bytes(&event.kind);
        self.events.push(event);
    }

    /// All that is held: it is to be said after all.
    pub(super) fn release(&mut self) -> Vec<Event> {
        (self.bytes, self.tentative) = (0, false);
        std::mem::take(&mut self.events)
    }

    /// The provider broke: what is held was never said. The events that name the calls among it.
    pub(super) fn void(&mut self) -> Vec<Event> {
        let held = self.release();
        self.open = false;
        let calls = held.into_iter().filter_map(|event| match event.kind {
            Kind::ToolCall(call) => Some((event.choice, call)),
            _ => None,
        });
        calls.map(|(choice, call)| void(&call).of_choice(choice)).collect()
    }
}

fn void(call: &ToolCall) -> Event {
    let data = serde_json::json!({ "id": call.id, "name": call.name, "index": call.index });
    Event::new(Kind::Native(Native {
        dialect: "tokenway".to_owned(),
        name: "tool_call.void".to_owned(),
        data: data.to_string().into(),
    }))
}

fn bytes(kind: &Kind) -> usize {
    size_of::<Event>()
        + match kind {
            Kind::Text(text) | Kind::Refusal(text) => text.len(),
            Kind::Reasoning(it) => it.text.len() + it.signature.len() + it.encrypted.len(),
            Kind::ToolCall(call) => call.id.len() + call.name.len(),
            Kind::ToolArguments(part) => part.arguments.len(),
            Kind::Citation(data) => data.len(),
            Kind::Media(media) => media.data.len(),
            Kind::Native(native) => native.data.len(),
            _ => 0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Reasoning, ToolArguments};

    fn call(index: u32) -> Event {
        let call =
            ToolCall { index, id: format!("id{index}"), name: "f".into(), ..ToolCall::default() };
        Event::new(Kind::ToolCall(call))
    }

    fn arguments(index: u32, text: &str) -> Event {
        Event::new(Kind::ToolArguments(ToolArguments { index, arguments: text.into() }))
    }

    fn signature() -> Event {
        Event::new(Kind::Reasoning(Reasoning { signature: "s".into(), ..Reasoning::default() }))
    }

    #[test]
    fn text_passes_and_calls_wait_for_the_end() {
        let mut held = Held::default();
        let text = vec![Event::text("a")];
        assert_eq!(held.pass(text.clone(), false), text);
        let calls = vec![call(0), arguments(0, "{}"), call(1), Event::text("b")];
        assert_eq!(held.pass(calls.clone(), false), []);
        let last = arguments(1, "{}");
        let all = [calls, vec![last.clone()]].concat();
        assert_eq!(held.pass(vec![last], true), all, "in the order in which they came");
        assert_eq!(held.pass(text.clone(), false), text);
    }

    #[test]
    fn a_break_makes_them_void_by_name_and_the_next_provider_begins_anew() {
        let mut held = Held::default();
        held.pass(vec![call(0), arguments(0, "{\"a\""), call(1)], false);
        let void = held.void();
        let data = |event: &Event| match &event.kind {
            Kind::Native(native) => String::from_utf8(native.data.to_vec()).expect("JSON"),
            other => panic!("{other:?}"),
        };
        assert_eq!(void.len(), 2);
        assert_eq!(data(&void[0]), r#"{"id":"id0","name":"f","index":0}"#);
        assert_eq!(held.pass(vec![call(0)], true), [call(0)]);
    }

    #[test]
    fn a_signature_waits_for_what_it_signs() {
        let mut held = Held::default();
        assert_eq!(held.pass(vec![signature()], false), []);
        let text = Event::text("a");
        assert_eq!(held.pass(vec![text.clone()], false), [signature(), text]);
        assert_eq!(held.pass(vec![signature(), call(0)], false), []);
        assert_eq!(held.void().len(), 1, "it went with its call");
        assert_eq!(held.pass(vec![signature()], true), [signature()]);
    }

    #[test]
    fn what_the_provider_runs_itself_is_said_as_it_comes() {
        let mut held = Held::default();
        let kind = Kind::ToolCall(ToolCall { run_by: RunBy::Server, ..ToolCall::default() });
        let events = vec![Event::new(kind), arguments(0, "{"), Event::text("a")];
        assert_eq!(held.pass(events.clone(), false), events);
    }

    #[test]
    fn more_than_the_bound_is_not_held() {
        let mut held = Held::default();
        let events = vec![call(0), arguments(0, &"x".repeat(HELD_BYTES_MAX))];
        assert_eq!(held.pass(events.clone(), false), events);
        assert_eq!(held.pass(vec![call(1)], false), [call(1)]);
    }
}

//! Tool calls: which call a fragment belongs to, and when a call can be said.
//!
//! Providers leave out indices, ids or names, start counting at 1, repeat index 0 for every parallel call, repeat empty
//! or whole names, and send arguments as fragments, whole, or as objects. Calls are counted here from 0 in the order in
//! which they began. A call is said once its name and either its id or its first arguments are there; what it lacks by
//! its choice's end is made up or left empty.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{
    chunk::{Function, Text, Tool},
    mend::mend,
};
use crate::event::{Kind, RunBy, ToolArguments, ToolCall};

/// Arguments held back at most for a name that does not come.
const HELD_BYTES_MAX: usize = 64 * 1024;

/// The most calls that a choice may begin. Each fragment is looked for among them, and OpenAI takes an eighth as many tools.
pub(super) const CALLS_MAX: usize = 1024;

/// One choice's calls.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
    too_many: bool,
}

#[derive(Debug, Default)]
struct Call {
    /// The provider's index.
    index: Option<u64>,
    id: String,
    name: String,
    /// Arguments that came before the call could be said.
    held: String,
    said: bool,
    braces: Braces,
}

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Whether one more was begun than there may be.
    pub(super) fn are_too_many(&self) -> bool {
        self.too_many
    }

    /// Takes a delta's calls. `id_stem` begins the ids made up for this choice.
    pub(super) fn add(&mut self, tools: Vec<Tool<'_>>, id_stem: &str, mut say: impl FnMut(Kind)) {
        let mut before = None;
        let begun = self.calls.len();
        for Tool { index, id, function, custom } in tools {
            let function = function.or(custom).unwrap_or_default();
            let Function { name, arguments, input } = function;
            let (id, name) = (id.as_str(), name.as_str());
            let Some(at) = self.find(index.0, id, name, (begun, before)) else {
                self.too_many = true;
                return;
            };
            before = Some(at);
            let call = &mut self.calls[at];
            call.index = call.index.or(index.0);
            if call.id.is_empty() {
                id.clone_into(&mut call.id);
            }
            if call.name.is_empty() {
                name.clone_into(&mut call.name);
            }
            let arguments = arguments.or(input).map(text_of).unwrap_or_default();
            call.add(&arguments, at, id_stem, &mut say);
        }
    }

    /// Takes the deprecated single call.
    pub(super) fn add_function(
        &mut self,
        function: Function<'_>,
        id_stem: &str,
        say: impl FnMut(Kind),
    ) {
        let tool = Tool {
            index: Default::default(),
            id: Default::default(),
            function: Some(function),
            custom: None,
        };
        self.add(vec![tool], id_stem, say);
    }

    /// Says the calls that still lack something: nothing more comes.
    pub(super) fn flush(&mut self, id_stem: &str, mut say: impl FnMut(Kind)) {
        for (at, call) in self.calls.iter_mut().enumerate().filter(|(_, call)| !call.said) {
            call.say(at, id_stem, &mut say);
        }
    }

    /// The call that a fragment belongs to, a new one if to none; `None` where there may be no more. `begun`: how many there
    /// were before the same delta; `before`: the one before it in that.
    fn find(
        &mut self,
        index: Option<u64>,
        id: &str,
        name: &str,
        (begun, before): (usize, Option<usize>),
    ) -> Option<usize> {
        let by_id = || {
            let known = self.calls.iter().rposition(|call| !id.is_empty() && call.id == id);
            // Some give one id to several calls. No delta names the same call twice.
            known.filter(|&at| name.is_empty() || at < begun)
        };
        let known = match index {
            Some(_) => match self.calls.iter().rposition(|call| call.index == index) {
                Some(at) if self.calls[at].is_another(id, name) => by_id(),
                at => at,
            },
            None => by_id().or_else(|| {
                let last = self.calls.len().checked_sub(1)?;
                let begins = !name.is_empty()
                    && (before == Some(last) || self.calls[last].is_another_unnumbered(name));
                let other_id = !id.is_empty() && !self.calls[last].id.is_empty();
                (!begins && !other_id).then_some(last)
            }),
        };
        known.or_else(|| {
            let at = self.calls.len();
            (at < CALLS_MAX).then(|| self.calls.push(Call::default())).map(|()| at)
        })
    }
}

impl Call {
    /// Whether a fragment with this call's index is nevertheless another call's.
    fn is_another(&self, id: &str, name: &str) -> bool {
        let other_id = !id.is_empty() && !self.id.is_empty() && self.id != id;
        let same_id = !id.is_empty() && self.id == id;
        !name.is_empty() && (other_id || (!same_id && self.braces.closed()))
    }

    /// Whether a fragment without index and id, but with a name, is another call's.
    fn is_another_unnumbered(&self, name: &str) -> bool {
        self.braces.closed() || (!self.name.is_empty() && self.name != name)
    }

    fn add(&mut self, arguments: &str, at: usize, id_stem: &str, say: &mut impl FnMut(Kind)) {
        self.braces.read(arguments);
        if self.said {
            say_arguments(at, arguments.to_owned(), say);
            return;
        }
        self.held += arguments;
        let known = !self.name.is_empty() && (!self.id.is_empty() || !self.held.is_empty());
        if known || self.held.len() > HELD_BYTES_MAX {
            self.say(at, id_stem, say);
        }
    }

    fn say(&mut self, at: usize, id_stem: &str, say: &mut impl FnMut(Kind)) {
        if self.id.is_empty() {
            self.id = format!("{id_stem}_{at}");
        }
        self.said = true;
        let (id, name) = (self.id.clone(), self.name.clone());
        say(Kind::ToolCall(ToolCall { index: number(at), id, name, run_by: RunBy::Client }));
        say_arguments(at, std::mem::take(&mut self.held), say);
    }
}

fn say_arguments(at: usize, arguments: String, say: &mut impl FnMut(Kind)) {
    if !arguments.is_empty() {
        say(Kind::ToolArguments(ToolArguments { index: number(at), arguments }));
    }
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// A string's text; of anything else its JSON, as it came.
fn text_of(raw: &RawValue) -> Cow<'_, str> {
    if !raw.get().starts_with('"') {
        return if raw.get() == "null" { "".into() } else { raw.get().into() };
    }
    serde_json::from_str::<Text<'_>>(raw.get()).ok().and_then(Text::some).unwrap_or_else(|| {
        // Empty, or with half a surrogate pair.
        let mended = mend(raw.get().as_bytes());
        let text = mended.and_then(|text| serde_json::from_slice::<String>(&text));
        text.unwrap_or_default().into()
    })
}

/// Tells whether fragments of JSON text have come to the end of an object, without keeping them.
#[derive(Debug, Default)]
struct Braces {
    depth: usize,
    opened: bool,
    in_string: bool,
    escaped: bool,
}

impl Braces {
    fn read(&mut self, text: &str) {
        for byte in text.bytes() {
            match (byte, self.in_string) {
                _ if self.escaped => self.escaped = false,
                (b'\\', true) => self.escaped = true,
                (b'"', _) => self.in_string = !self.in_string,
                (b'{' | b'[', false) => {
                    self.depth += 1;
                    self.opened = true;
                }
                (b'}' | b']', false) => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn closed(&self) -> bool {
        self.opened && self.depth == 0 && !self.in_string
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The calls that deltas of `tool_calls` give: id, name, arguments.
    fn calls(deltas: &[&str]) -> Vec<(String, String, String)> {
        let mut calls = Calls::default();
        let mut said: Vec<(String, String, String)> = Vec::new();
        let mut say = |kind| match kind {
            Kind::ToolCall(call) => {
                assert_eq!(call.index as usize, said.len(), "counted from 0, in order");
                said.push((call.id, call.name, String::new()));
            }
            Kind::ToolArguments(part) => said[part.index as usize].2 += &part.arguments,
            other => panic!("not a tool event: {other:?}"),
        };
        for delta in deltas {
            calls.add(serde_json::from_str(delta).expect(delta), "call_g_0", &mut say);
        }
        calls.flush("call_g_0", &mut say);
        said
    }

    fn check(deltas: &[&str], expected: &[(&str, &str, &str)]) {
        let expected: Vec<_> =
            expected.iter().map(|(i, n, a)| ((*i).into(), (*n).into(), (*a).into())).collect();
        assert_eq!(calls(deltas), expected, "{deltas:#?}");
    }

    #[test]
    fn fragments_find_their_call_by_index() {
        check(
            &[
                r#"[{"index":1,"id":"a","type":"function","function":{"name":"add","arguments":""}}]"#,
                r#"[{"index":1,"function":{"arguments":"{\"x\":"}}]"#,
                r#"[{"index":2,"id":"b","function":{"name":"mul","arguments":"{}"}}]"#,
                r#"[{"index":1,"function":{"name":"","arguments":"1}"}}]"#,
            ],
            &[("a", "add", "{\"x\":1}"), ("b", "mul", "{}")],
        );
    }

    #[test]
    fn a_whole_call_and_arguments_as_an_object_keep_their_bytes() {
        check(
            &[r#"[{"id":"a","function":{"name":"add","arguments":{"x": 9007199254740993.10}}}]"#],
            &[("a", "add", r#"{"x": 9007199254740993.10}"#)],
        );
    }

    #[test]
    fn a_missing_id_is_made_up_and_a_late_name_waited_for() {
        check(
            &[
                r#"[{"index":0}]"#,
                r#"[{"index":0,"function":{"arguments":"{\"x\""}}]"#,
                r#"[{"index":0,"function":{"name":"add","arguments":":1}"}}]"#,
            ],
            &[("call_g_0_0", "add", "{\"x\":1}")],
        );
        check(&[r#"[{"index":0,"function":{"arguments":"{}"}}]"#], &[("call_g_0_0", "", "{}")]);
        check(&[r#"[{"index":0,"function":{"name":"add"}}]"#], &[("call_g_0_0", "add", "")]);
    }

    #[test]
    fn parallel_calls_that_share_an_index_or_have_none_stay_apart() {
        check(
            &[
                r#"[{"index":0,"id":"a","function":{"name":"add","arguments":"{}"}}]"#,
                r#"[{"index":0,"id":"b","function":{"name":"add","arguments":"{}"}}]"#,
            ],
            &[("a", "add", "{}"), ("b", "add", "{}")],
        );
        check(
            &[
                r#"[{"function":{"name":"add","arguments":"{}"}},{"function":{"name":"add","arguments":"{}"}}]"#,
                r#"[{"function":{"name":"mul","arguments":"{\"a\""}}]"#,
                r#"[{"function":{"arguments":":2}"}}]"#,
            ],
            &[
                ("call_g_0_0", "add", "{}"),
                ("call_g_0_1", "add", "{}"),
                ("call_g_0_2", "mul", "{\"a\":2}"),
            ],
        );
        check(
            &[
                r#"[{"id":"a","function":{"name":"add","arguments":"{"}}]"#,
                r#"[{"id":"a","function":{"name":"add","arguments":"}"}}]"#,
                r#"[{"id":"b","function":{"name":"add","arguments":"{}"}}]"#,
            ],
            &[("a", "add", "{}"), ("b", "add", "{}")],
        );
    }

    #[test]
    fn calls_of_one_delta_are_apart_even_under_one_id() {
        let call = |id: &str, name: &str| {
            format!(r#"{{"id":"{id}","function":{{"name":"{name}","arguments":"{{}}"}}}}"#)
        };
        let delta = format!("[{},{},{}]", call("a", "add"), call("b", "add"), call("a", "mul"));
        check(&[&delta], &[("a", "add", "{}"), ("b", "add", "{}"), ("a", "mul", "{}")]);
    }

    #[test]
    fn a_name_repeated_with_every_fragment_begins_nothing_new() {
        check(
            &[
                r#"[{"index":0,"id":"a","function":{"name":"add","arguments":"{\"x\":"}}]"#,
                r#"[{"index":0,"id":"a","function":{"name":"add","arguments":"1}"}}]"#,
                r#"[{"index":0,"id":"a","function":{"name":"add","arguments":" "}}]"#,
            ],
            &[("a", "add", "{\"x\":1} ")],
        );
    }

    #[test]
    fn half_a_surrogate_pair_costs_one_character_and_no_more() {
        check(
            &[r#"[{"index":0,"id":"a","function":{"name":"say","arguments":"x\ud83dy"}}]"#],
            &[("a", "say", "x\u{fffd}y")],
        );
    }

    #[test]
    fn custom_tools_have_an_input() {
        check(
            &[
                r#"[{"index":0,"id":"a","type":"custom","custom":{"name":"sh","input":"ls"}}]"#,
                r#"[{"index":0,"custom":{"input":" -l"}}]"#,
            ],
            &[("a", "sh", "ls -l")],
        );
    }
}

//! Calls that the app is to run.

use serde_json::value::RawValue;

use super::{Call, Encoder};
use crate::{
    dialect::{
        Wire,
        responses::{
            lifecycle::{ArgumentsDelta, ArgumentsDone, InputDone},
            output::{COMPLETED, IN_PROGRESS, INCOMPLETE, Item, Output},
        },
    },
    event::ToolCall,
};

impl Encoder {
    pub(super) fn call(&mut self, call: &ToolCall, out: &mut Vec<Wire>) {
        let told = |output: &Output| match output {
            Output::Raw(raw) => call_id(raw).as_deref() == Some(&*call.id),
            Output::Item(_) => false,
        };
        if self.response.own() && self.response.output.last().is_some_and(told) {
            // A call of a kind of its own: the provider's item has told it.
            return;
        }
        self.close_open(COMPLETED, out);
        self.close_calls(IN_PROGRESS, out);
        let custom = self.introduced.as_ref().is_some_and(|it| it.sort == "custom_tool_call");
        let (call_id, name, status) = (call.id.clone(), call.name.clone(), IN_PROGRESS);
        let item = if custom {
            let (id, _) = self.next_id("custom_tool_call", "ctc");
            Item::CustomToolCall { id, status, call_id, name, input: String::new() }
        } else {
            let (id, _) = self.next_id("function_call", "fc");
            Item::FunctionCall { id, status, call_id, name, arguments: String::new() }
        };
        let at = self.add(item, out);
        self.calls.push(Call { index: call.index, at, done: false });
    }

    pub(super) fn arguments(&mut self, index: u32, piece: &str, out: &mut Vec<Wire>) {
        let call = self.calls.iter().find(|call| call.index == index && !call.done);
        let Some(at) = call.map(|call| call.at).filter(|_| !piece.is_empty()) else { return };
        let item = self.item(at);
        let Some(arguments) = item.arguments() else { return };
        arguments.push_str(piece);
        let (id, custom) = (item.id().to_owned(), matches!(item, Item::CustomToolCall { .. }));
        let name = match custom {
            true => "response.custom_tool_call_input.delta",
            false => "response.function_call_arguments.delta",
        };
        self.push(name, ArgumentsDelta { item_id: &id, output_index: at, delta: piece }, out);
    }

    /// Closes calls whose arguments are whole. With [`IN_PROGRESS`] others may still go on; else they have the status.
    pub(super) fn close_calls(&mut self, status: &'static str, out: &mut Vec<Wire>) {
        for number in 0..self.calls.len() {
            let Call { at, done, index } = self.calls[number];
            if done {
                continue;
            }
            let own = self.response.own();
            let item = self.item(at);
            let custom = matches!(item, Item::CustomToolCall { .. });
            let Some(arguments) = item.arguments() else { continue };
            let is_json = serde_json::from_str::<&RawValue>(arguments).is_ok();
            let whole = custom || is_json;
            let hollow = arguments.is_empty() && !custom && !own;
            if status == COMPLETED && hollow {
                // The SDKs' users parse it.
                self.arguments(index, "{}", out);
            } else if status == IN_PROGRESS && !whole {
                continue;
            }
            let status = if whole || hollow || own { COMPLETED } else { INCOMPLETE };
            self.calls[number].done = true;
            self.call_done(at, status, out);
        }
    }

    fn call_done(&mut self, at: usize, status: &'static str, out: &mut Vec<Wire>) {
        match self.item(at).clone() {
            Item::FunctionCall { id, name, arguments, .. } => {
                let body = ArgumentsDone {
                    item_id: &id,
                    output_index: at,
                    name: &name,
                    arguments: &arguments,
                };
                self.push("response.function_call_arguments.done", body, out);
            }
            Item::CustomToolCall { id, input, .. } => {
                let body = InputDone { item_id: &id, output_index: at, input: &input };
                self.push("response.custom_tool_call_input.done", body, out);
            }
            _ => return,
        }
        self.close(at, status, out);
    }
}

/// The id that a call's result refers to.
fn call_id(item: &RawValue) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Item {
        call_id: Option<String>,
        id: Option<String>,
    }
    let item: Item = serde_json::from_str(item.get()).ok()?;
    item.call_id.or(item.id)
}

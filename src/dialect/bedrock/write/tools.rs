//! The tools that the model may call, and whether it must.

use super::{Family, messages::cache_point};
use crate::dialect::{
    Unsayable,
    call::{Function, Knob, PartKind, Tool, ToolChoice},
    ledger::Ledger,
    object::{Object, raw},
};

/// `toolConfig`; empty where there is nothing to call. What only Claude has words for goes into `fields`.
pub(super) fn config(
    family: Family,
    ledger: &mut Ledger<'_>,
    fields: &mut Object,
) -> Result<Object, Unsayable> {
    let call = ledger.call;
    let functions = functions(ledger)?;
    if functions.is_empty() {
        return Ok(Object::default());
    }
    if call.tool_choice == Some(ToolChoice::None) {
        let parts = call.turns.iter().flat_map(|turn| &turn.parts);
        let is_tool =
            |kind: &PartKind| matches!(kind, PartKind::ToolCall(_) | PartKind::ToolResult(_));
        if parts.map(|part| &part.kind).any(is_tool) {
            let why = "it must be given the tools of the calls in the conversation, and cannot be \
                       told not to call them; let it choose";
            return Err(ledger.refuse_knob(Knob::ToolChoice, why));
        }
        // Tools that are not there are not called.
        return Ok(Object::default());
    }
    let among = match &call.tool_choice {
        Some(ToolChoice::Among { names, .. }) => Some(names),
        _ => None,
    };
    let mut tools = Vec::new();
    for function in functions {
        if among.is_some_and(|names| !names.contains(&function.name)) {
            continue;
        }
        tools.push(Object::of("toolSpec", spec(family, function, ledger)));
        match family {
            Family::Claude { .. } => {
                tools.extend(function.cache.as_ref().map(cache_point));
            }
            _ => ledger.leave_out_cache(function.cache.as_ref(), &function.path),
        }
    }
    let mut config = Object::of("tools", tools);
    let choice = match &call.tool_choice {
        None | Some(ToolChoice::None) => None,
        Some(ToolChoice::Auto | ToolChoice::Among { required: false, .. }) => Some("auto"),
        Some(ToolChoice::Any | ToolChoice::Among { required: true, .. }) => Some("any"),
        Some(ToolChoice::Named(_)) => Some("tool"),
    };
    let named = match &call.tool_choice {
        Some(ToolChoice::Named(name)) => Some(name),
        _ => None,
    };
    if call.parallel_tools == Some(false) {
        if !matches!(family, Family::Claude { .. }) {
            let why = "its models cannot be told to call one tool at a time; take it out";
            return Err(ledger.refuse_knob(Knob::ParallelTools, why));
        }
        // Anthropic's own member, for which Converse has no word; it takes the place of Converse's.
        let mut own = Object::of("type", choice.unwrap_or("auto"));
        own.set_some("name", named);
        own.set("disable_parallel_tool_use", true);
        fields.set("tool_choice", own);
    } else if let Some(kind) = choice {
        let mut inner = Object::default();
        inner.set_some("name", named);
        config.set("toolChoice", Object::of(kind, inner));
    }
    Ok(config)
}

fn functions<'c>(ledger: &Ledger<'c>) -> Result<Vec<&'c Function>, Unsayable> {
    let function = |tool: &'c Tool| match tool {
        Tool::Function(function) => Ok(function),
        Tool::Native { path, .. } => Err(ledger.refuse_tool(path)),
    };
    ledger.call.tools.iter().map(function).collect()
}

fn spec(family: Family, function: &Function, ledger: &mut Ledger<'_>) -> Object {
    let mut spec = Object::of("name", &function.name);
    let description = function.description.as_ref().filter(|text| !text.is_empty());
    spec.set_some("description", description);
    let nothing = || Object::of("type", "object").with("properties", Object::default());
    let schema = function.parameters.clone().unwrap_or_else(|| raw(nothing()));
    spec.set("inputSchema", Object::of("json", schema));
    if function.strict == Some(true) {
        match family {
            Family::Claude { adaptive: true } => spec.set("strict", true),
            _ => ledger.leave_out_strict(&function.path),
        }
    }
    spec
}

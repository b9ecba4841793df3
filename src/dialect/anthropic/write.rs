//! A call becomes a Messages request for a provider, to be streamed.
//!
//! What only nudges the answer and has no name here (seed, penalties, tiers, labels) is left out and noted. What the app
//! would miss in the answer (several answers, log probabilities, any-JSON without a schema, other dialects' own tools) is
//! refused.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{
    PATH, VERSION,
    thinking::{Against, Plan, Thinking, generation, takes_sampling},
    turns::{Block, Conversation, Message, cache, system, unsayable},
};
use crate::dialect::{
    Unsayable, Upstream,
    call::{Call, Dropped, Function, Json, Knob, Output, Tool, ToolChoice},
};

#[cfg(test)]
mod tests;

/// The longest name of a user that Anthropic takes.
const USER_CHARS_MAX: usize = 256;

#[derive(Serialize)]
struct Body<'c> {
    model: &'c str,
    max_tokens: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block>,
    messages: Vec<Message>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'c>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<Config<'c>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop_sequences: &'c [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'c>>,
    stream: bool,
}

#[derive(Serialize)]
struct Metadata<'c> {
    user_id: Cow<'c, str>,
}

#[derive(Serialize)]
struct Choice<'c> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'c str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disable_parallel_tool_use: bool,
}

#[derive(Serialize)]
struct Config<'c> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'c>>,
}

#[derive(Serialize)]
struct Format<'c> {
    r#type: &'static str,
    schema: &'c RawValue,
}

/// Writes a call for a provider's model, to be streamed.
pub fn write(call: &Call, model: &str) -> Result<Upstream, Unsayable> {
    let mut dropped = Dropped::default();
    refuse(call)?;
    let Conversation { messages, prefill, unthought_calls, called } =
        Conversation::of(call, &mut dropped)?;
    let (tools, tool_choice) = tools(call, &called)?;
    let forces = |choice: &Choice<'_>| matches!(choice.r#type, "any" | "tool");
    let against =
        Against { forced: prefill || tool_choice.as_ref().is_some_and(forces), unthought_calls };
    let plan = Plan::of(call, model, against, &mut dropped);
    let [temperature, top_p, top_k] = sampling(call, model, plan.thinks(), &mut dropped);
    for knob in call.sampling.keys() {
        // Asking for no log probabilities is no wish.
        let said = [Knob::Temperature, Knob::TopP, Knob::TopK, Knob::Logprobs, Knob::TopLogprobs];
        if !said.contains(knob) {
            dropped.note(call.path(*knob));
        }
    }
    let format = match &call.output {
        Output::Schema { schema, .. } => Some(Format { r#type: "json_schema", schema }),
        Output::Text | Output::Json => None,
    };
    let config = Config { effort: plan.effort, format };
    let there = config.effort.is_some() || config.format.is_some();
    if call.metadata.is_some() {
        dropped.note(call.path(Knob::Metadata));
    }
    for extra in &call.extras {
        dropped.note(&extra.path);
    }
    let body = Body {
        model,
        max_tokens: plan.max_tokens,
        system: system(call)?,
        messages,
        tools,
        tool_choice,
        thinking: plan.thinking,
        output_config: there.then_some(config),
        stop_sequences: &call.stop,
        temperature,
        top_p,
        top_k,
        metadata: call.user_within(USER_CHARS_MAX).map(|user_id| Metadata { user_id }),
        stream: true,
    };
    let body = serde_json::to_vec(&body).expect("strings and raw JSON become JSON").into();
    let headers = vec![(VERSION.0, VERSION.1.to_owned())];
    Ok(Upstream { path: PATH.to_owned(), headers, body, dropped })
}

/// Refuses what the app would miss in the answer.
fn refuse(call: &Call) -> Result<(), Unsayable> {
    let refuse = |knob: Knob, why: &str| Err(unsayable(call.path(knob), why));
    if call.choices.is_some_and(|count| count > 1) {
        return refuse(Knob::Choices, "it gives one answer; ask once for each");
    }
    let hollow = |value: &Json| matches!(value.get(), "false" | "0" | "null");
    for knob in [Knob::Logprobs, Knob::TopLogprobs] {
        if call.sampling.get(&knob).is_some_and(|value| !hollow(value)) {
            return refuse(knob, "it gives no log probabilities");
        }
    }
    if matches!(call.output, Output::Json) {
        return refuse(Knob::Output, "it gives JSON only by a schema; give one");
    }
    if call.stop.iter().any(|text| text.trim().is_empty()) {
        return refuse(Knob::Stop, "a stop sequence must hold more than white space");
    }
    match call.extras.iter().find(|extra| !extra.harmless) {
        Some(extra) => Err(unsayable(&extra.path, "it has no counterpart there; leave it out")),
        None => Ok(()),
    }
}

/// The numbers of sampling that the model takes: temperature, `top_p`, `top_k`.
pub(in crate::dialect) fn sampling(
    call: &Call,
    model: &str,
    thinks: bool,
    dropped: &mut Dropped,
) -> [Option<Json>; 3] {
    let takes = takes_sampling(model) && !thinks;
    // From 4.1 on they take one of the two.
    let exclusive = generation(model).is_some_and(|generation| generation >= (4, 1));
    let mut written = [None, None, None];
    for (&knob, value) in call.sampling.iter().filter(|(_, value)| value.get() != "null") {
        let number: f64 = value.get().parse().unwrap_or(f64::NAN);
        let at = match knob {
            Knob::Temperature => 0,
            Knob::TopP => 1,
            Knob::TopK => 2,
            _ => continue,
        };
        let second =
            knob == Knob::TopP && exclusive && call.sampling.contains_key(&Knob::Temperature);
        // 1 is what it is without being said.
        let neutral = knob != Knob::TopK && number == 1.0;
        if !takes || second {
            if !neutral {
                dropped.note(call.path(knob));
            }
        } else if knob == Knob::Temperature && number > 1.0 {
            // Others go up to 2; the most that Anthropic takes is 1.
            dropped.note(call.path(knob));
            written[at] = to_raw_value(&1).ok();
        } else {
            written[at] = Some(value.clone());
        }
    }
    written
}

/// The tools that may be called, and whether one must be.
fn tools<'c>(
    call: &'c Call,
    called: &[String],
) -> Result<(Vec<Box<RawValue>>, Option<Choice<'c>>), Unsayable> {
    let among = match &call.tool_choice {
        Some(ToolChoice::Among { names, .. }) => Some(names),
        _ => None,
    };
    let mut tools = Vec::new();
    for tool in &call.tools {
        match tool {
            // Which may be called is said by giving only those.
            Tool::Function(it) if among.is_none_or(|names| names.contains(&it.name)) => {
                tools.push(function(it));
            }
            Tool::Function(_) => {}
            Tool::Native { path, .. } => {
                return Err(unsayable(path, "only the app's own dialect knows this tool"));
            }
        }
    }
    let name = match &call.tool_choice {
        Some(ToolChoice::Named(name)) => Some(name.as_str()),
        _ => None,
    };
    let kind = match &call.tool_choice {
        None | Some(ToolChoice::Auto | ToolChoice::Among { required: false, .. }) => "auto",
        Some(ToolChoice::None) => "none",
        Some(ToolChoice::Any | ToolChoice::Among { required: true, .. }) => "any",
        Some(ToolChoice::Named(_)) => "tool",
    };
    if tools.is_empty() {
        if matches!(kind, "any" | "tool") {
            return Err(unsayable(call.path(Knob::ToolChoice), "there is no tool to call"));
        }
        // Calls of earlier turns need their tools to be known, if only by name.
        let mut known: Vec<&String> = Vec::new();
        for name in called {
            if !known.contains(&name) {
                known.push(name);
                tools.push(function(&Function {
                    name: name.clone(),
                    description: None,
                    parameters: None,
                    strict: None,
                    cache: None,
                    path: String::new(),
                }));
            }
        }
        let none = Choice { r#type: "none", name: None, disable_parallel_tool_use: false };
        return Ok((tools, (!known.is_empty()).then_some(none)));
    }
    let disable_parallel_tool_use = call.parallel_tools == Some(false) && kind != "none";
    let said = call.tool_choice.is_some() || disable_parallel_tool_use;
    let choice = Choice { r#type: kind, name, disable_parallel_tool_use };
    Ok((tools, said.then_some(choice)))
}

fn function(function: &Function) -> Box<RawValue> {
    #[derive(Serialize)]
    struct Written<'c> {
        name: &'c str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'c str>,
        input_schema: Box<RawValue>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        strict: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'c RawValue>,
    }
    let empty = || {
        let schema = r#"{"type":"object","properties":{}}"#.to_owned();
        RawValue::from_string(schema).expect("written as JSON")
    };
    let mark = function.cache.as_ref().map(cache);
    let written = Written {
        name: &function.name,
        description: function.description.as_deref(),
        input_schema: function.parameters.clone().unwrap_or_else(empty),
        strict: function.strict == Some(true),
        cache_control: mark.map(|mark| serde_json::from_str(mark).expect("it was JSON")),
    };
    to_raw_value(&written).expect("strings and raw JSON become JSON")
}

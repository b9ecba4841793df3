//! Writes a call for `/api/chat`.
//!
//! Sampling goes under `options`, and Ollama ignores there what a model does not know. It cannot be told to call a tool,
//! and its images are base64 only.

mod messages;

#[cfg(test)]
mod tests;

use super::NAME;
use crate::dialect::{
    Call, Unsayable, Upstream,
    call::{Amount, Function, Knob, Output, Tool, ToolChoice},
    ledger::Ledger,
    object::{Object, raw},
};

/// Sampling that Ollama has, and its names there.
const OPTIONS: [(Knob, &str); 6] = [
    (Knob::Temperature, "temperature"),
    (Knob::TopP, "top_p"),
    (Knob::TopK, "top_k"),
    (Knob::Seed, "seed"),
    (Knob::FrequencyPenalty, "frequency_penalty"),
    (Knob::PresencePenalty, "presence_penalty"),
];

/// Writes a call for a provider, to be streamed.
pub fn write(call: &Call, model: &str) -> Result<Upstream, Unsayable> {
    let mut ledger = Ledger::new(call, NAME);
    ledger.judge()?;
    let mut body = Object::of("model", model);
    body.set("messages", messages::messages(&mut ledger)?);
    let tools = tools(&mut ledger)?;
    if !tools.is_empty() {
        body.set("tools", tools);
    }
    match &call.output {
        Output::Text => {}
        Output::Json => body.set("format", "json"),
        // Generation is held to the schema: it is always strict.
        Output::Schema { schema, .. } => body.set("format", schema),
    }
    if let Some(think) = think(call, model, &mut ledger) {
        body.set("think", think);
    }
    body.set_filled("options", options(&ledger));
    body.set("stream", true);
    for knob in [Knob::ServiceTier, Knob::Metadata] {
        let metadata = knob == Knob::Metadata
            && call.metadata.as_ref().is_some_and(|labels| labels.get() != "null");
        if metadata || ledger.sampling(knob).is_some() {
            ledger.leave_out_knob(knob);
        }
    }
    Ok(Upstream {
        path: "/api/chat".to_owned(),
        headers: Vec::new(),
        body: raw(body).get().to_owned().into(),
        dropped: ledger.close(),
    })
}

fn options(ledger: &Ledger<'_>) -> Object {
    let mut options = Object::default();
    for (knob, name) in OPTIONS {
        options.set_some(name, ledger.sampling(knob));
    }
    options.set_some("num_predict", ledger.call.max_output);
    if !ledger.call.stop.is_empty() {
        options.set("stop", &ledger.call.stop);
    }
    options
}

/// Whether to think, or how hard: only gpt-oss takes levels, and cannot but think; for others a level is `true`.
fn think(
    call: &Call,
    model: &str,
    ledger: &mut Ledger<'_>,
) -> Option<Box<serde_json::value::RawValue>> {
    let amount = call.reasoning.as_ref()?.amount.as_ref()?;
    let effort = amount.effort();
    if !model.to_ascii_lowercase().contains("gpt-oss") {
        return Some(raw(effort != Some("none")));
    }
    if effort == Some("none") {
        ledger.leave_out_knob(Knob::Reasoning);
    }
    Some(raw(match effort {
        Some("none" | "minimal" | "low") => "low",
        Some("medium") | None => "medium",
        Some(_) => "high",
    }))
    .filter(|_| *amount != Amount::Adaptive)
}

fn tools(ledger: &mut Ledger<'_>) -> Result<Vec<Object>, Unsayable> {
    let call = ledger.call;
    let mut tools = Vec::new();
    for tool in &call.tools {
        match tool {
            Tool::Function(function) => tools.push(function),
            Tool::Native { path, .. } => return Err(ledger.refuse_tool(path)),
        }
    }
    if tools.is_empty() {
        return Ok(Vec::new());
    }
    if call.parallel_tools == Some(false) {
        let why = "it cannot be told to call one tool at a time; take it out";
        return Err(ledger.refuse_knob(Knob::ParallelTools, why));
    }
    match &call.tool_choice {
        None | Some(ToolChoice::Auto) => {}
        // Tools that are not there are not called.
        Some(ToolChoice::None) => tools.clear(),
        Some(ToolChoice::Among { names, required: false }) => {
            tools.retain(|function| names.contains(&function.name));
        }
        Some(ToolChoice::Any | ToolChoice::Named(_) | ToolChoice::Among { .. }) => {
            let why = "it cannot be told to call a tool; let it choose";
            return Err(ledger.refuse_knob(Knob::ToolChoice, why));
        }
    }
    Ok(tools.into_iter().map(|tool| function(tool, ledger)).collect())
}

fn function(function: &Function, ledger: &mut Ledger<'_>) -> Object {
    if function.strict == Some(true) {
        ledger.leave_out_strict(&function.path);
    }
    ledger.leave_out_cache(function.cache.as_ref(), &function.path);
    let nothing = || Object::of("type", "object").with("properties", Object::default());
    let mut inner = Object::of("name", &function.name);
    inner.set_some("description", function.description.as_ref());
    inner.set("parameters", function.parameters.clone().unwrap_or_else(|| raw(nothing())));
    Object::of("type", "function").with("function", inner)
}

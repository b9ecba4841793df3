//! An app's Messages request becomes a call in words that all dialects share.
//!
//! What has no shared word goes to `extras`, under its path. It is harmless where the answer means the same without it:
//! caching, tiers, pacing, labels. All else is refused by targets of other dialects, what nobody knows included.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::{
    content::{self, Reader},
    fields::{Fields, list_of, text_of, wrong},
};
use crate::dialect::{
    AppDialect, BadRequest, Call,
    call::{
        Amount, Extra, Function, Knob, Output, Part, PartKind, ReasoningWish, Role, Tool,
        ToolChoice,
    },
};

#[cfg(test)]
mod tests;

/// Members of the body without which an answer means the same.
const HARMLESS: [&str; 6] =
    ["cache_control", "context_management", "speed", "betas", "fallbacks", "diagnostics"];

/// Members of a tool without which it means the same.
const HARMLESS_OF_TOOLS: [&str; 3] = ["input_examples", "eager_input_streaming", "defer_loading"];

/// Reads a body that is a JSON object.
pub(super) fn call(body: &[u8]) -> Result<Call, BadRequest> {
    let raw = serde_json::from_slice::<&RawValue>(body).map_err(|_| wrong("", "JSON"))?;
    let mut fields = Fields::read(raw, "")?;
    let mut call = Call::new(AppDialect::Anthropic);
    for known in ["model", "stream"] {
        fields.take(known);
    }
    call.max_output = fields.number("max_tokens")?;
    if let Some(system) = fields.take("system") {
        call.system = system_parts(system, &mut call.extras)?;
    }
    let messages = fields.list("messages")?;
    let Some(messages) = messages.filter(|messages| !messages.is_empty()) else {
        let problem = "messages is missing: give at least one message";
        return Err(BadRequest::of("messages", problem));
    };
    turns(messages, &mut call)?;
    for (at, raw) in fields.list("tools")?.unwrap_or_default().into_iter().enumerate() {
        let tool = tool(raw, format!("tools[{at}]"), &mut call.extras)?;
        call.tools.push(tool);
    }
    if let Some(choice) = fields.object("tool_choice")? {
        tool_choice(choice, &mut call)?;
    }
    for (at, raw) in fields.list("stop_sequences")?.unwrap_or_default().into_iter().enumerate() {
        call.stop.push(text_of(raw, &format!("stop_sequences[{at}]"))?);
    }
    for (name, knob) in [
        ("temperature", Knob::Temperature),
        ("top_p", Knob::TopP),
        ("top_k", Knob::TopK),
        ("service_tier", Knob::ServiceTier),
    ] {
        if let Some(value) = fields.take(name) {
            call.sampling.insert(knob, value.to_owned());
        }
    }
    if let Some(metadata) = fields.take("metadata") {
        let mut labels = Fields::read(metadata, "metadata")?;
        call.user = labels.text("user_id")?;
        if labels.rest().next().is_some() {
            call.metadata = Some(metadata.to_owned());
        }
    }
    reasoning(&mut fields, &mut call)?;
    for (path, name, raw) in fields.rest() {
        // No server and no edit is the same as none.
        let hollow = matches!(raw.get().replace(' ', "").as_str(), "[]" | "{}");
        let harmless = hollow || HARMLESS.contains(&name.as_str());
        call.extras.push(Extra { path, value: raw.to_owned(), harmless });
    }
    Ok(call)
}

fn system_parts(raw: &RawValue, extras: &mut Vec<Extra>) -> Result<Vec<Part>, BadRequest> {
    if raw.get().starts_with('"') {
        let text = text_of(raw, "system")?;
        return Ok(vec![Part::new(PartKind::Text(text), "system")]);
    }
    let mut parts = Vec::new();
    for (at, raw) in list_of(raw, "system")?.into_iter().enumerate() {
        let mut reader = Reader { extras, calls: &HashMap::new() };
        content::part(raw, &format!("system[{at}]"), &mut reader, &mut parts)?;
    }
    Ok(parts)
}

fn turns(messages: Vec<&RawValue>, call: &mut Call) -> Result<(), BadRequest> {
    // Which tool a result is of: the results name the call only.
    let mut calls = HashMap::new();
    for (at, raw) in messages.into_iter().enumerate() {
        let mut message = Fields::read(raw, format!("messages[{at}]"))?;
        let role = match message.needed("role")?.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => Role::System,
            _ => return Err(wrong(&message.at("role"), "user or assistant")),
        };
        let path = message.at("content");
        let Some(content) = message.take("content") else {
            return Err(BadRequest::of(path.clone(), format!("{path} is missing")));
        };
        let mut parts = Vec::new();
        if content.get().starts_with('"') {
            parts.push(Part::new(PartKind::Text(text_of(content, &path)?), path));
        } else {
            for (part, raw) in list_of(content, &path)?.into_iter().enumerate() {
                let mut reader = Reader { extras: &mut call.extras, calls: &calls };
                content::part(raw, &format!("{path}[{part}]"), &mut reader, &mut parts)?;
            }
        }
        for part in parts {
            if let PartKind::ToolCall(past) = &part.kind {
                calls.insert(past.id.clone(), past.name.clone());
            }
            call.say(role, part);
        }
    }
    Ok(())
}

fn tool(raw: &RawValue, path: String, extras: &mut Vec<Extra>) -> Result<Tool, BadRequest> {
    let mut fields = Fields::read(raw, path.clone())?;
    let kind = fields.text("type")?;
    if kind.is_some_and(|kind| kind != "custom") {
        return Ok(Tool::Native { path, value: raw.to_owned() });
    }
    let function = Function {
        name: fields.needed("name")?,
        description: fields.text("description")?,
        parameters: fields.take("input_schema").map(RawValue::to_owned),
        strict: fields.flag("strict")?,
        cache: fields.take("cache_control").map(RawValue::to_owned),
        path,
    };
    for (path, name, raw) in fields.rest() {
        let direct = name == "allowed_callers" && raw.get().replace(' ', "") == r#"["direct"]"#;
        let harmless = direct || HARMLESS_OF_TOOLS.contains(&name.as_str());
        extras.push(Extra { path, value: raw.to_owned(), harmless });
    }
    Ok(Tool::Function(function))
}

fn tool_choice(mut choice: Fields<'_>, call: &mut Call) -> Result<(), BadRequest> {
    call.tool_choice = Some(match choice.needed("type")?.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Any,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(choice.needed("name")?),
        _ => return Err(wrong(&choice.at("type"), "auto, any, tool or none")),
    });
    call.parallel_tools = choice.flag("disable_parallel_tool_use")?.map(|disabled| !disabled);
    Ok(())
}

/// `thinking`, `output_config` and the older `output_format`.
fn reasoning(fields: &mut Fields<'_>, call: &mut Call) -> Result<(), BadRequest> {
    let mut effort = None;
    let mut format = fields.take("output_format").map(|raw| (raw, "output_format".to_owned()));
    if let Some(mut config) = fields.object("output_config")? {
        effort = config.take("effort");
        let path = config.at("format");
        format = config.take("format").map(|raw| (raw, path)).or(format);
        for (path, name, raw) in config.rest() {
            let harmless = name == "task_budget";
            call.extras.push(Extra { path, value: raw.to_owned(), harmless });
        }
    }
    if let Some((raw, path)) = format {
        call.output = output(raw, path)?;
    }
    let word = effort.map(|raw| text_of(raw, "output_config.effort")).transpose()?;
    let Some(mut thinking) = fields.object("thinking")? else {
        let amount = word.map(Amount::Effort);
        call.reasoning = amount.map(|amount| ReasoningWish { amount: Some(amount), ..wish() });
        return Ok(());
    };
    let shown = match thinking.text("display")?.as_deref() {
        Some("omitted") => Some(false),
        _ => Some(true),
    };
    let kind = thinking.needed("type")?;
    let amount = match kind.as_str() {
        "disabled" => Amount::Off,
        "adaptive" => word.clone().map_or(Amount::Adaptive, Amount::Effort),
        "enabled" => {
            let budget = thinking.number("budget_tokens")?;
            Amount::Budget(budget.ok_or_else(|| wrong("thinking.budget_tokens", "a number"))?)
        }
        _ => return Err(wrong(&thinking.at("type"), "enabled, adaptive or disabled")),
    };
    if let Some(raw) = effort.filter(|_| kind != "adaptive") {
        // The budget says it already.
        let path = "output_config.effort".to_owned();
        call.extras.push(Extra { path, value: raw.to_owned(), harmless: true });
    }
    let shown = if amount == Amount::Off { None } else { shown };
    call.reasoning = Some(ReasoningWish { amount: Some(amount), shown, ..wish() });
    Ok(())
}

fn wish() -> ReasoningWish {
    ReasoningWish::default()
}

fn output(raw: &RawValue, path: String) -> Result<Output, BadRequest> {
    let mut format = Fields::read(raw, path)?;
    match format.needed("type")?.as_str() {
        "text" => Ok(Output::Text),
        "json_schema" => {
            let (name, description) = (format.text("name")?, format.text("description")?);
            let Some(schema) = format.take("schema") else {
                return Err(wrong(&format.at("schema"), "a JSON Schema"));
            };
            let (schema, strict) = (schema.to_owned(), Some(true));
            Ok(Output::Schema { name, description, schema, strict })
        }
        _ => Err(wrong(&format.at("type"), "json_schema")),
    }
}

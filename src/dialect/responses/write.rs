//! A call, written as a Responses request to a provider.
//!
//! Streamed, and stored nowhere: the gateway keeps what is to be kept. Thoughts of this dialect go back encrypted as they
//! came; those of others are left out, and so is everything that has no place here and changes nothing.

use serde::Serialize;
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};

use super::{
    super::{
        AppDialect, Call, Unsayable, Upstream,
        call::{Amount, Dropped, Extra, Json, Knob, Output, Tool, ToolChoice},
    },
    NAME,
    request::PATH,
    turns::{self, Turns},
};

#[cfg(test)]
mod tests;

/// Members of OpenAI's chat requests that mean the same here.
const SHARED: [&str; 4] =
    ["prompt_cache_key", "prompt_cache_retention", "safety_identifier", "moderation"];

/// The longest name of a user that OpenAI takes.
const USER_CHARS_MAX: usize = 64;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    stream: bool,
    store: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<String>,
    input: Vec<Value>,
    #[serde(flatten)]
    more: Map<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Function<'a>>,
    // Numbers and objects as the app wrote them.
    #[serde(flatten)]
    raw: std::collections::BTreeMap<&'a str, &'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Json>,
}

#[derive(Serialize)]
struct Function<'a> {
    r#type: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    parameters: Json,
    /// Strict is the default here and nowhere else.
    strict: bool,
}

/// Writes a call for a provider, to be streamed.
pub fn write(call: &Call, model: &str) -> Result<Upstream, Unsayable> {
    if !call.stop.is_empty() {
        return Err(unsayable(call.path(Knob::Stop), "this dialect has no stop sequences"));
    }
    if call.choices.is_some_and(|choices| choices > 1) {
        return Err(unsayable(
            call.path(Knob::Choices),
            "this dialect has one answer: leave it out",
        ));
    }
    let mut dropped = Dropped::default();
    let mut more = Map::new();
    let Turns { instructions, input } = turns::write(call, &mut dropped)?;
    reasoning(call, &mut more, &mut dropped);
    if let Some(tokens) = call.max_output {
        more.insert("max_output_tokens".to_owned(), tokens.into());
    }
    if let Some(parallel) = call.parallel_tools {
        more.insert("parallel_tool_calls".to_owned(), parallel.into());
    }
    if let Some(choice) = &call.tool_choice {
        more.insert("tool_choice".to_owned(), tool_choice(choice));
    }
    if let Some(user) = call.user_within(USER_CHARS_MAX) {
        more.insert("user".to_owned(), user.into());
    }
    let mut raw = std::collections::BTreeMap::new();
    for (knob, value) in &call.sampling {
        match knob {
            Knob::Temperature => raw.insert("temperature", &**value),
            Knob::TopP => raw.insert("top_p", &**value),
            // The tiers are OpenAI's own.
            Knob::ServiceTier if call.app == AppDialect::OpenAi => {
                raw.insert("service_tier", &**value)
            }
            knob => {
                dropped.note(call.path(*knob));
                None
            }
        };
    }
    if let Some(metadata) = &call.metadata {
        raw.insert("metadata", metadata);
    }
    let mut verbosity = None;
    for Extra { path, value, harmless } in &call.extras {
        let openai = call.app == AppDialect::OpenAi;
        match path.as_str() {
            name if openai && SHARED.contains(&name) => {
                raw.insert(name, value);
            }
            "verbosity" if openai => verbosity = Some(value),
            // Nothing is stored at the provider, whatever it is asked.
            path if *harmless => dropped.note(path),
            path => return Err(unsayable(path, "this dialect has no word for it: leave it out")),
        }
    }
    let tools = call.tools.iter().map(|tool| function(tool, &mut dropped));
    let body = Body {
        model,
        stream: true,
        store: false,
        instructions,
        input,
        more,
        tools: tools.collect::<Result<_, _>>()?,
        raw,
        text: text(call, verbosity.map(|value| &**value)),
    };
    let body = serde_json::to_vec(&body).expect("strings and numbers become JSON").into();
    Ok(Upstream { path: PATH.to_owned(), headers: Vec::new(), body, dropped })
}

pub(super) fn unsayable(path: &str, why: &str) -> Unsayable {
    Unsayable { path: path.to_owned(), dialect: NAME, why: why.to_owned() }
}

fn function<'a>(tool: &'a Tool, dropped: &mut Dropped) -> Result<Function<'a>, Unsayable> {
    let tool = match tool {
        Tool::Function(tool) => tool,
        Tool::Native { path, .. } => {
            return Err(unsayable(path, "it is a tool of another dialect: use a function"));
        }
    };
    if tool.cache.is_some() {
        dropped.note(format!("{}.cache_control", tool.path));
    }
    let none = || {
        let schema = r#"{"type":"object","properties":{}}"#.to_owned();
        RawValue::from_string(schema).expect("JSON")
    };
    Ok(Function {
        r#type: "function",
        name: &tool.name,
        description: tool.description.as_deref(),
        parameters: tool.parameters.clone().unwrap_or_else(none),
        strict: tool.strict.unwrap_or(false),
    })
}

fn tool_choice(choice: &ToolChoice) -> Value {
    let named = |name: &String| serde_json::json!({"type": "function", "name": name});
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Any => "required".into(),
        ToolChoice::Named(name) => named(name),
        ToolChoice::Among { names, required } => {
            let mode = if *required { "required" } else { "auto" };
            let tools: Vec<_> = names.iter().map(named).collect();
            serde_json::json!({"type": "allowed_tools", "mode": mode, "tools": tools})
        }
    }
}

/// How hard to think. Encrypted thoughts are asked for only of a model that is to think: others refuse.
fn reasoning(call: &Call, more: &mut Map<String, Value>, dropped: &mut Dropped) {
    let Some(wish) = &call.reasoning else { return };
    let mut asked = Map::new();
    if let Some(amount) = &wish.amount {
        match amount.effort() {
            // Most models do not know the word, and those that do not think refuse any: only an app that has it from
            // OpenAI means a model that does.
            Some("none") if call.app != AppDialect::OpenAi => {
                dropped.note(call.path(Knob::Reasoning));
            }
            // Anthropic's word for more than `high`.
            Some("max") => drop(asked.insert("effort".to_owned(), "high".into())),
            Some(effort) => {
                asked.insert("effort".to_owned(), effort.into());
            }
            // The model sees for itself.
            None if *amount == Amount::Adaptive => {}
            None => dropped.note(call.path(Knob::Reasoning)),
        }
    }
    let thinks = wish.amount.as_ref().is_some_and(|amount| amount.effort() != Some("none"));
    if wish.shown == Some(true) {
        asked.insert("summary".to_owned(), "auto".into());
    }
    if thinks || wish.encrypted {
        let include = serde_json::json!(["reasoning.encrypted_content"]);
        more.insert("include".to_owned(), include);
    }
    if !asked.is_empty() {
        more.insert("reasoning".to_owned(), asked.into());
    }
}

/// The form of the answer. A schema goes as it is written.
fn text(call: &Call, verbosity: Option<&RawValue>) -> Option<Json> {
    #[derive(Serialize)]
    struct Text<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        format: Option<Format<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        verbosity: Option<&'a RawValue>,
    }
    #[derive(Default, Serialize)]
    struct Format<'a> {
        r#type: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        schema: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
    }
    let format = match &call.output {
        Output::Text => None,
        Output::Json => Some(Format { r#type: "json_object", ..Format::default() }),
        Output::Schema { name, description, schema, strict } => Some(Format {
            r#type: "json_schema",
            // It must have one here.
            name: Some(name.as_deref().unwrap_or("answer")),
            description: description.as_deref(),
            schema: Some(schema),
            strict: *strict,
        }),
    };
    if format.is_none() && verbosity.is_none() {
        return None;
    }
    Some(to_raw_value(&Text { format, verbosity }).expect("strings become JSON"))
}

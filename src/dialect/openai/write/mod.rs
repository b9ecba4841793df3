//! A call written as a chat request, for OpenAI and everybody compatible.
//!
//! Of several ways to say the same, the one is taken that most servers know: `system` and not `developer`, plain strings
//! where a content is only text, tools left out rather than `allowed_tools`. The one that no single choice serves is the
//! limit on output: OpenAI's reasoning models refuse `max_tokens`, and many a compatible server knows nothing else, some
//! refusing what they do not know. It is chosen by the model's name; a deployment of such a model under a name of its own
//! (Azure) needs the app to speak this dialect, or no limit.

mod json;
mod messages;
mod parts;

use crate::dialect::{
    AppDialect, Call, Unsayable, Upstream,
    call::{Amount, Dropped, Function, Json, Knob, Output, Tool, ToolChoice},
};
use json::Object;

use super::{NAME, request::PATH};

/// The longest name of a schema that OpenAI takes.
const NAME_BYTES_MAX: usize = 64;

/// The longest name of a user that OpenAI takes.
const USER_CHARS_MAX: usize = 64;

/// Numbers of sampling and what they are called here.
const SAMPLING: [(Knob, &str); 5] = [
    (Knob::Temperature, "temperature"),
    (Knob::TopP, "top_p"),
    (Knob::Seed, "seed"),
    (Knob::FrequencyPenalty, "frequency_penalty"),
    (Knob::PresencePenalty, "presence_penalty"),
];

/// The same for those that mean something only to an app of this dialect: a tier is a vendor's own word, and an answer's
/// log probabilities are told in no other dialect.
const OWN_SAMPLING: [(Knob, &str); 4] = [
    (Knob::TopK, "top_k"),
    (Knob::Logprobs, "logprobs"),
    (Knob::TopLogprobs, "top_logprobs"),
    (Knob::ServiceTier, "service_tier"),
];

/// Writes a call for a provider, to be streamed.
pub fn write(call: &Call, model: &str) -> Result<Upstream, Unsayable> {
    let mut dropped = Dropped::default();
    let own = call.app == AppDialect::OpenAi;
    let mut body = Object::new().with("model", model);
    body.set("messages", &messages::write(call, &mut dropped)?);
    tools(call, &mut body, &mut dropped)?;
    if let Some(format) = response_format(&call.output) {
        body.set("response_format", &format);
    }
    reasoning(call, &mut body, &mut dropped);
    if let Some(tokens) = call.max_output {
        body.set(limit_name(model), &tokens);
    }
    if let Some(choices) = call.choices.filter(|choices| *choices > 1) {
        body.set("n", &choices);
    }
    if !call.stop.is_empty() {
        body.set("stop", &call.stop);
    }
    for (knob, value) in &call.sampling {
        let known = SAMPLING.iter().chain(OWN_SAMPLING.iter().filter(|_| own));
        match known.into_iter().find(|(known, _)| known == knob) {
            Some((_, name)) => body.set(name, value),
            None => dropped.note(call.path(*knob)),
        }
    }
    if let Some(user) = call.user_within(USER_CHARS_MAX) {
        body.set("user", &user);
    }
    match &call.metadata {
        Some(metadata) if own => body.set("metadata", metadata),
        // OpenAI takes labels only with what it is to store.
        Some(_) => dropped.note(call.path(Knob::Metadata)),
        None => {}
    }
    for extra in &call.extras {
        match (own, extra.harmless) {
            (true, _) if !extra.path.contains(['.', '[']) => body.set(&extra.path, &extra.value),
            (_, true) => dropped.note(&extra.path),
            (_, false) => return Err(unsayable(&extra.path, "it has no word for this")),
        }
    }
    body.set("stream", &true);
    body.set("stream_options", &Object::new().with("include_usage", &true).end());
    let body = String::from(Box::<str>::from(body.end()));
    Ok(Upstream { path: PATH.to_owned(), headers: Vec::new(), body: body.into(), dropped })
}

fn unsayable(path: impl Into<String>, why: &str) -> Unsayable {
    Unsayable { path: path.into(), dialect: NAME, why: why.to_owned() }
}

/// What the limit on output is called for this model: OpenAI's own since its first reasoning model (`o1`, `gpt-5`) take
/// only the newer word, and everything else knows the older.
fn limit_name(model: &str) -> &'static str {
    let name = model.rsplit('/').next().unwrap_or_default();
    let generation = |rest: &str| {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..digits].parse::<u32>().ok()
    };
    let reasons = match (name.strip_prefix("gpt-"), name.strip_prefix('o')) {
        (Some(rest), _) => generation(rest).is_some_and(|number| number >= 5),
        (None, Some(rest)) => generation(rest).is_some(),
        (None, None) => name.starts_with("codex-"),
    };
    if reasons { "max_completion_tokens" } else { "max_tokens" }
}

fn tools(call: &Call, body: &mut Object, dropped: &mut Dropped) -> Result<(), Unsayable> {
    let own = call.app == AppDialect::OpenAi;
    // Few know `allowed_tools`, and a tool that is not there is one that cannot be called.
    let allowed = |name: &str| match &call.tool_choice {
        Some(ToolChoice::Among { names, .. }) => names.iter().any(|allowed| allowed == name),
        _ => true,
    };
    let mut tools = Vec::new();
    for tool in &call.tools {
        match tool {
            Tool::Function(function) if allowed(&function.name) => {
                if function.cache.is_some() {
                    dropped.note(format!("{}.cache_control", function.path));
                }
                tools.push(Object::of("function").with("function", &definition(function)).end());
            }
            Tool::Function(_) => {}
            Tool::Native { value, .. } if own => tools.push(value.clone()),
            Tool::Native { path, .. } => {
                let why = "only functions that the app runs can be sent there";
                return Err(unsayable(path, why));
            }
        }
    }
    if tools.is_empty() {
        return Ok(());
    }
    body.set("tools", &tools);
    match &call.tool_choice {
        None => {}
        Some(ToolChoice::Auto | ToolChoice::Among { required: false, .. }) => {
            body.set("tool_choice", "auto");
        }
        Some(ToolChoice::None) => body.set("tool_choice", "none"),
        Some(ToolChoice::Any | ToolChoice::Among { required: true, .. }) => {
            body.set("tool_choice", "required");
        }
        Some(ToolChoice::Named(name)) => {
            let function = Object::new().with("name", name).end();
            body.set("tool_choice", &Object::of("function").with("function", &function).end());
        }
    }
    if let Some(parallel) = call.parallel_tools {
        body.set("parallel_tool_calls", &parallel);
    }
    Ok(())
}

fn definition(function: &Function) -> Json {
    Object::new()
        .with("name", &function.name)
        .with_some("description", function.description.as_ref())
        .with_some("parameters", function.parameters.as_ref())
        .with_some("strict", function.strict.as_ref())
        .end()
}

fn response_format(output: &Output) -> Option<Json> {
    match output {
        Output::Text => None,
        Output::Json => Some(Object::of("json_object").end()),
        Output::Schema { name, description, schema, strict } => {
            let schema = Object::new()
                .with("name", &plain_name(name.as_deref()))
                .with_some("description", description.as_ref())
                .with("schema", schema)
                .with_some("strict", strict.as_ref());
            Some(Object::of("json_schema").with("json_schema", &schema.end()).end())
        }
    }
}

/// A schema must have a name of letters, digits, `_` and `-`.
fn plain_name(name: Option<&str>) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name = name.filter(|name| !name.is_empty()).unwrap_or("answer");
    name.chars().map(plain).take(NAME_BYTES_MAX).collect()
}

/// How hard to think, in a word. That it is not to think at all is left out: most models that can be told so do not know
/// the word, and those that do not think refuse any.
fn reasoning(call: &Call, body: &mut Object, dropped: &mut Dropped) {
    let Some(amount) = call.reasoning.as_ref().and_then(|wish| wish.amount.as_ref()) else {
        return;
    };
    match amount.effort() {
        Some("none") => dropped.note(call.path(Knob::Reasoning)),
        // Anthropic's word for more than `high`.
        Some("max") => body.set("reasoning_effort", "high"),
        Some(word) => body.set("reasoning_effort", word),
        None => debug_assert_eq!(*amount, Amount::Adaptive),
    }
}

#[cfg(test)]
mod tests;

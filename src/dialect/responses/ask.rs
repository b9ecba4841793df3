//! A Responses request, read into the words that all dialects share.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    super::{
        AppDialect, BadRequest, Call,
        call::{
            Amount, Extra, Function, Knob, Output, Part, PartKind, ReasoningWish, Tool, ToolChoice,
        },
    },
    frame::{Raw, list, number, read, text, word},
    input,
};

#[cfg(test)]
mod tests;

/// Members that this gateway serves itself, or that mean nothing to a provider of another dialect and say so already.
const OWN: [&str; 5] = ["model", "stream", "background", "store", "input"];

/// Members without which the answer would be to another question.
const NEEDED: [&str; 3] = ["conversation", "previous_response_id", "prompt"];

/// The call of a body.
pub(super) fn call(body: &Bytes) -> Result<Call, BadRequest> {
    let members: BTreeMap<&str, &RawValue> = serde_json::from_slice(body).map_err(|_| {
        // Looked at before: only a name with an escape is left.
        BadRequest::of("$", "$ has a member whose name is written with an escape: write it plainly")
    })?;
    let order: Names<'_> = serde_json::from_slice(body).unwrap_or_default();
    let mut call = Call::new(AppDialect::Responses);
    if let Some(instructions) = members.get("instructions").filter(|raw| raw.get() != "null") {
        match instructions.get().starts_with('"') {
            true => call.system.extend(
                text(Some(instructions))
                    .map(|said| Part::new(PartKind::Text(said), "instructions")),
            ),
            false => input::items("instructions", Some(instructions), &mut call)?,
        }
    }
    input::items("input", members.get("input").copied(), &mut call)?;
    for name in order.0 {
        let Some(raw) = members.get(name).filter(|raw| raw.get() != "null") else { continue };
        member(name, raw, &mut call)?;
    }
    Ok(call)
}

/// Names of members in their order.
#[derive(Default)]
struct Names<'a>(Vec<&'a str>);

impl<'de: 'a, 'a> Deserialize<'de> for Names<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Vec<&'de str>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut names = Vec::new();
                while let Some((name, _)) = map.next_entry::<&str, serde::de::IgnoredAny>()? {
                    names.push(name);
                }
                Ok(names)
            }
        }
        deserializer.deserialize_map(Visitor).map(Self)
    }
}

fn member(name: &str, raw: &RawValue, call: &mut Call) -> Result<(), BadRequest> {
    let knob = match name {
        "temperature" => Knob::Temperature,
        "top_p" => Knob::TopP,
        "top_k" => Knob::TopK,
        "seed" => Knob::Seed,
        "frequency_penalty" => Knob::FrequencyPenalty,
        "presence_penalty" => Knob::PresencePenalty,
        "top_logprobs" => Knob::TopLogprobs,
        "service_tier" => Knob::ServiceTier,
        _ => return other(name, raw, call),
    };
    call.sampling.insert(knob, raw.to_owned());
    Ok(())
}

fn other(name: &str, raw: &RawValue, call: &mut Call) -> Result<(), BadRequest> {
    match name {
        "instructions" => {}
        "tools" if !raw.get().starts_with('[') => return Err(wrong(name, "a list of tools")),
        "tools" => {
            for (at, tool) in list(Some(raw)).into_iter().enumerate() {
                call.tools.push(read_tool(tool, format!("tools[{at}]"))?);
            }
        }
        "tool_choice" => tool_choice(raw, call)?,
        "parallel_tool_calls" => call.parallel_tools = Some(flag(name, raw)?),
        "text" => read_text(raw, call)?,
        "reasoning" => reasoning(raw, call),
        "include" => include(raw, call),
        "max_output_tokens" => {
            let count = number(Some(raw)).ok_or_else(|| wrong(name, "a number of tokens"))?;
            call.max_output = Some(count);
        }
        "n" => call.choices = number(Some(raw)).and_then(|n| u32::try_from(n).ok()),
        "stop" => match text(Some(raw)) {
            Some(stop) => call.stop = vec![stop],
            None => {
                call.stop = list(Some(raw)).into_iter().filter_map(|it| text(Some(it))).collect();
            }
        },
        "user" => call.user = text(Some(raw)),
        "safety_identifier" if call.user.is_none() => call.user = text(Some(raw)),
        "metadata" => call.metadata = Some(raw.to_owned()),
        // What it is where nobody says otherwise.
        "truncation" if raw.get() == "\"disabled\"" => {}
        name if OWN.contains(&name) => {}
        name => {
            let harmless = !NEEDED.contains(&name);
            call.extras.push(Extra { path: name.to_owned(), value: raw.to_owned(), harmless });
        }
    }
    Ok(())
}

fn wrong(path: &str, right: &str) -> BadRequest {
    BadRequest::of(path, format!("$.{path} must be {right}"))
}

fn flag(path: &str, raw: &RawValue) -> Result<bool, BadRequest> {
    match raw.get() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(wrong(path, "true or false")),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Definition<'a> {
    #[serde(borrow, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow)]
    name: Raw<'a>,
    #[serde(borrow)]
    description: Raw<'a>,
    #[serde(borrow)]
    parameters: Raw<'a>,
    #[serde(borrow)]
    strict: Raw<'a>,
}

fn read_tool(raw: &RawValue, path: String) -> Result<Tool, BadRequest> {
    let tool: Definition<'_> = read(Some(raw));
    if word(tool.kind) != "function" {
        return Ok(Tool::Native { path, value: raw.to_owned() });
    }
    let name = text(tool.name).ok_or_else(|| wrong(&format!("{path}.name"), "a string"))?;
    let parameters = tool.parameters.filter(|raw| raw.get() != "null").map(ToOwned::to_owned);
    let strict = tool.strict.filter(|raw| raw.get() != "null");
    let strict = strict.map(|raw| flag(&format!("{path}.strict"), raw)).transpose()?;
    let description = text(tool.description);
    Ok(Tool::Function(Function { name, description, parameters, strict, cache: None, path }))
}

fn tool_choice(raw: &RawValue, call: &mut Call) -> Result<(), BadRequest> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Choice<'a> {
        #[serde(borrow, rename = "type")]
        kind: Raw<'a>,
        #[serde(borrow)]
        name: Raw<'a>,
        #[serde(borrow)]
        mode: Raw<'a>,
        #[serde(borrow)]
        tools: Raw<'a>,
    }
    let path = "tool_choice";
    let choice: Choice<'_> = read(Some(raw));
    let name = text(choice.name);
    call.tool_choice = Some(match (&*word(Some(raw)), &*word(choice.kind), name) {
        ("auto", ..) => ToolChoice::Auto,
        ("none", ..) => ToolChoice::None,
        ("required", ..) => ToolChoice::Any,
        (_, "function", Some(name)) => ToolChoice::Named(name),
        (_, "allowed_tools", _) => {
            let tools = list(choice.tools);
            let names = tools.iter().map(|tool| {
                let tool: Definition<'_> = read(Some(tool));
                text(tool.name).filter(|_| word(tool.kind) == "function")
            });
            let names: Option<Vec<_>> = names.collect();
            let Some(names) = names else { return unsayable(path, raw, call) };
            ToolChoice::Among { names, required: word(choice.mode) == "required" }
        }
        // A tool that only this dialect knows.
        (_, "", _) => return Err(wrong(path, "`auto`, `none`, `required` or an object")),
        _ => return unsayable(path, raw, call),
    });
    Ok(())
}

fn unsayable(path: &str, raw: &RawValue, call: &mut Call) -> Result<(), BadRequest> {
    let (path, value) = (path.to_owned(), raw.to_owned());
    call.extras.push(Extra { path, value, harmless: false });
    Ok(())
}

fn read_text(raw: &RawValue, call: &mut Call) -> Result<(), BadRequest> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Text<'a> {
        #[serde(borrow)]
        format: Raw<'a>,
        #[serde(borrow)]
        verbosity: Raw<'a>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Format<'a> {
        #[serde(borrow, rename = "type")]
        kind: Raw<'a>,
        #[serde(borrow)]
        name: Raw<'a>,
        #[serde(borrow)]
        description: Raw<'a>,
        #[serde(borrow)]
        schema: Raw<'a>,
        #[serde(borrow)]
        strict: Raw<'a>,
    }
    let asked: Text<'_> = read(Some(raw));
    let format: Format<'_> = read(asked.format);
    let path = "text.format";
    call.output = match &*word(format.kind) {
        "" | "text" => Output::Text,
        "json_object" => Output::Json,
        "json_schema" => {
            let schema = format.schema.filter(|raw| raw.get().starts_with('{'));
            let strict = format.strict.filter(|raw| raw.get() != "null");
            Output::Schema {
                name: text(format.name),
                description: text(format.description),
                schema: schema.ok_or_else(|| wrong("text.format.schema", "an object"))?.to_owned(),
                strict: strict.map(|raw| flag("text.format.strict", raw)).transpose()?,
            }
        }
        _ => {
            let raw = asked.format.expect("its type was read");
            return unsayable(path, raw, call);
        }
    };
    if let Some(verbosity) = asked.verbosity.filter(|raw| raw.get() != "null") {
        let (path, value) = ("text.verbosity".to_owned(), verbosity.to_owned());
        call.extras.push(Extra { path, value, harmless: true });
    }
    Ok(())
}

fn wish(call: &mut Call) -> &mut ReasoningWish {
    call.reasoning.get_or_insert_default()
}

fn reasoning(raw: &RawValue, call: &mut Call) {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Wish<'a> {
        #[serde(borrow)]
        effort: Raw<'a>,
        #[serde(borrow)]
        summary: Raw<'a>,
        #[serde(borrow)]
        generate_summary: Raw<'a>,
    }
    let asked: Wish<'_> = read(Some(raw));
    match text(asked.effort) {
        Some(effort) if effort == "none" => wish(call).amount = Some(Amount::Off),
        Some(effort) => wish(call).amount = Some(Amount::Effort(effort)),
        None => {}
    }
    if text(asked.summary).or_else(|| text(asked.generate_summary)).is_some() {
        wish(call).shown = Some(true);
    }
}

/// What is to be told in addition. Only thoughts have a word in other dialects; without the rest the answer is the same.
fn include(raw: &RawValue, call: &mut Call) {
    for (at, item) in list(Some(raw)).into_iter().enumerate() {
        match &*word(Some(item)) {
            "reasoning.encrypted_content" => wish(call).encrypted = true,
            "message.output_text.logprobs" => {
                let yes = RawValue::from_string("true".to_owned()).expect("JSON");
                call.sampling.insert(Knob::Logprobs, yes);
            }
            _ => {
                let (path, value) = (format!("include[{at}]"), item.to_owned());
                call.extras.push(Extra { path, value, harmless: true });
            }
        }
    }
}

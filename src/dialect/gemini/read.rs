//! An app's `generateContent` body becomes a call.
//!
//! Strict where Google is: what must be an object, a list or a string is refused where it is not, and the error names the
//! place. Members for which there is no shared word are kept as extras; of those that are not known to be harmless, a
//! target of another dialect is told, and refuses them.

mod contents;
mod settings;

#[cfg(test)]
mod tests;

pub(super) use contents::origin_of;

use serde_json::value::RawValue;

use super::fields::{Fields, elements, text};
use crate::dialect::{
    AppDialect, BadRequest,
    call::{Call, Extra, Function, Json, Knob, Tool, ToolChoice},
};

/// Reads a body.
pub(super) fn call(body: &[u8]) -> Result<Call, BadRequest> {
    let raw = serde_json::from_slice::<&RawValue>(body).map_err(|_| wrong("$", "a JSON object"))?;
    let mut call = Call::new(AppDialect::Gemini);
    for (name, value) in strict(raw, "")?.iter() {
        match name {
            _ if value.get() == "null" => {}
            // The path's.
            "model" => {}
            "contents" => contents::read(value, &mut call)?,
            "systemInstruction" => contents::system(value, &mut call)?,
            "tools" => tools(value, &mut call)?,
            "toolConfig" => tool_config(value, &mut call)?,
            "generationConfig" => settings::read(value, &mut call)?,
            "labels" => call.metadata = Some(value.to_owned()),
            "serviceTier" => {
                call.sampling.insert(Knob::ServiceTier, value.to_owned());
            }
            // Without them the provider's own settings hold.
            "safetySettings" | "store" => extra(&mut call, name, value, Matter::Little),
            _ => extra(&mut call, name, value, Matter::Much),
        }
    }
    Ok(call)
}

/// How much it matters that a member is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Matter {
    /// The answer means the same without it.
    Little,
    /// It may mean something else.
    Much,
}

fn extra(call: &mut Call, path: impl Into<String>, value: &RawValue, matter: Matter) {
    let (path, value) = (path.into(), value.to_owned());
    call.extras.push(Extra { path, value, harmless: matter == Matter::Little });
}

fn tools(raw: &RawValue, call: &mut Call) -> Result<(), BadRequest> {
    for (at, tool) in elements(raw).into_iter().enumerate() {
        let path = format!("tools[{at}]");
        for (name, value) in strict(tool, &path)?.iter() {
            match name {
                _ if value.get() == "null" => {}
                "functionDeclarations" => {
                    for (number, declared) in elements(value).into_iter().enumerate() {
                        let path = format!("{path}.functionDeclarations[{number}]");
                        let tool = Tool::Function(function(declared, path)?);
                        call.tools.push(tool);
                    }
                }
                _ => {
                    let value = format!("{{{}:{}}}", super::super::body::json(name), value.get());
                    let value = own(value);
                    call.tools.push(Tool::Native { path: format!("{path}.{name}"), value });
                }
            }
        }
    }
    Ok(())
}

fn function(raw: &RawValue, path: String) -> Result<Function, BadRequest> {
    let fields = strict(raw, &path)?;
    let parameters = match (fields.get("parametersJsonSchema"), fields.get("parameters")) {
        (Some(schema), _) => Some(schema.to_owned()),
        (None, Some(schema)) => Some(own(super::schema::to_json_schema(schema))),
        (None, None) => None,
    };
    Ok(Function {
        name: string(&fields, "name", &path)?
            .ok_or_else(|| wrong(&format!("{path}.name"), "a function's name"))?,
        description: string(&fields, "description", &path)?,
        parameters,
        strict: None,
        cache: None,
        path,
    })
}

fn tool_config(raw: &RawValue, call: &mut Call) -> Result<(), BadRequest> {
    for (name, value) in strict(raw, "toolConfig")?.iter() {
        match name {
            _ if value.get() == "null" => {}
            "functionCallingConfig" => choice(value, call)?,
            _ => extra(call, format!("toolConfig.{name}"), value, Matter::Much),
        }
    }
    Ok(())
}

fn choice(raw: &RawValue, call: &mut Call) -> Result<(), BadRequest> {
    const PATH: &str = "toolConfig.functionCallingConfig";
    let fields = strict(raw, PATH)?;
    let mode = string(&fields, "mode", PATH)?.unwrap_or_default();
    let names = fields.list("allowedFunctionNames").into_iter().map(text).collect();
    let names: Option<Vec<String>> = names;
    let mut names = names.ok_or_else(|| {
        wrong(&format!("{PATH}.allowedFunctionNames"), "a list of functions' names")
    })?;
    call.tool_choice = match (&*mode.to_ascii_uppercase(), names.len()) {
        ("" | "MODE_UNSPECIFIED", 0) => None,
        ("NONE", _) => Some(ToolChoice::None),
        ("AUTO" | "VALIDATED", 0) => Some(ToolChoice::Auto),
        ("ANY", 0) => Some(ToolChoice::Any),
        ("ANY", 1) => names.pop().map(ToolChoice::Named),
        ("ANY", _) => Some(ToolChoice::Among { names, required: true }),
        ("" | "MODE_UNSPECIFIED" | "AUTO" | "VALIDATED", _) => {
            Some(ToolChoice::Among { names, required: false })
        }
        _ => return Err(wrong(&format!("{PATH}.mode"), "AUTO, ANY, NONE or VALIDATED")),
    };
    // Only this dialect has it, and what it does is said anyway.
    if let Some(value) = fields.get("streamFunctionCallArguments") {
        extra(call, format!("{PATH}.streamFunctionCallArguments"), value, Matter::Little);
    }
    Ok(())
}

/// An object, none of whose members is there twice.
fn strict<'a>(raw: &'a RawValue, path: &str) -> Result<Fields<'a>, BadRequest> {
    let path = if path.is_empty() { "$" } else { path };
    let fields = Fields::of(raw).ok_or_else(|| wrong(path, "an object"))?;
    match fields.twice() {
        Some(name) => {
            let path = format!("{path}.{name}");
            Err(BadRequest::of(path.clone(), format!("{path} is there twice")))
        }
        None => Ok(fields),
    }
}

/// A member that is a string, null or not there.
fn string(fields: &Fields<'_>, name: &str, path: &str) -> Result<Option<String>, BadRequest> {
    match fields.get(name) {
        None => Ok(None),
        Some(raw) => match text(raw) {
            Some(text) => Ok(Some(text)),
            None => Err(wrong(&format!("{path}.{name}"), "a string")),
        },
    }
}

fn wrong(path: &str, right: &str) -> BadRequest {
    BadRequest::of(path, format!("{path} must be {right}"))
}

/// JSON that was written here.
fn own(text: String) -> Json {
    RawValue::from_string(text).expect("put together from JSON")
}

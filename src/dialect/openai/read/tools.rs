//! Tools and whether they must be called, in the present form and in the first one (`functions`).

use serde_json::value::RawValue;

use super::members::{Members, inner, list, must_be, plain, string};
use crate::dialect::{
    BadRequest, Call,
    call::{Function, Tool, ToolChoice},
};

pub(super) fn read(top: &mut Members<'_>, call: &mut Call) -> Result<(), BadRequest> {
    if let Some(tools) = top.take("tools") {
        for (at, raw) in list(tools, "tools")?.into_iter().enumerate() {
            call.tools.push(tool(raw, format!("tools[{at}]"))?);
        }
    }
    if let Some(functions) = top.take("functions") {
        for (at, raw) in list(functions, "functions")?.into_iter().enumerate() {
            call.tools.push(Tool::Function(function(raw, format!("functions[{at}]"))?));
        }
    }
    call.parallel_tools = top.plain("parallel_tool_calls", "", "true or false")?;
    call.tool_choice = match (top.take("tool_choice"), top.take("function_call")) {
        (Some(raw), _) => Some(choice(raw, "tool_choice")?),
        (None, Some(raw)) => Some(choice(raw, "function_call")?),
        (None, None) => None,
    };
    Ok(())
}

fn tool(raw: &RawValue, path: String) -> Result<Tool, BadRequest> {
    let mut members = Members::of(raw, &path)?;
    let cache = members.take("cache_control").map(ToOwned::to_owned);
    match members.string("type", &path)?.as_deref() {
        Some("function") | None => {
            let within = inner(&path, "function");
            let raw = members.take("function").ok_or_else(|| must_be(&within, "an object"))?;
            Ok(Tool::Function(Function { cache, path, ..function(raw, within)? }))
        }
        Some(_) => Ok(Tool::Native { path, value: raw.to_owned() }),
    }
}

fn function(raw: &RawValue, path: String) -> Result<Function, BadRequest> {
    let mut members = Members::of(raw, &path)?;
    let name = members.string("name", &path)?;
    Ok(Function {
        name: name.ok_or_else(|| must_be(&inner(&path, "name"), "a string"))?,
        description: members.string("description", &path)?,
        parameters: members.take("parameters").map(ToOwned::to_owned),
        strict: members.plain("strict", &path, "true or false")?,
        cache: None,
        path,
    })
}

fn choice(raw: &RawValue, path: &str) -> Result<ToolChoice, BadRequest> {
    let kinds = "`none`, `auto`, `required` or an object that names tools";
    if raw.get().starts_with('"') {
        return match &*string(raw, path)? {
            "none" => Ok(ToolChoice::None),
            "auto" => Ok(ToolChoice::Auto),
            "required" | "any" => Ok(ToolChoice::Any),
            _ => Err(must_be(path, kinds)),
        };
    }
    let mut members = Members::of(raw, path).map_err(|_| must_be(path, kinds))?;
    if let Some(allowed) = members.take("allowed_tools") {
        let path = inner(path, "allowed_tools");
        let mut allowed = Members::of(allowed, &path)?;
        let required = allowed.string("mode", &path)?.as_deref() == Some("required");
        let tools =
            allowed.take("tools").ok_or_else(|| must_be(&inner(&path, "tools"), "a list"))?;
        let tools = list(tools, &inner(&path, "tools"))?;
        let names = (0..).zip(tools).map(|(at, raw)| name(raw, &format!("{path}.tools[{at}]")));
        return Ok(ToolChoice::Among { names: names.collect::<Result<_, _>>()?, required });
    }
    name(raw, path).map(ToolChoice::Named)
}

/// The name in `{"type":"function","function":{"name":…}}`, `{"type":"custom",…}` or `{"name":…}`.
fn name(raw: &RawValue, path: &str) -> Result<String, BadRequest> {
    let mut members = Members::of(raw, path)?;
    let within = members.take("function").or_else(|| members.take("custom"));
    let name = match within {
        Some(within) => Members::of(within, path)?.take("name"),
        None => members.take("name"),
    };
    let name = name.ok_or_else(|| must_be(path, "an object that names a tool"))?;
    plain(name, path, "an object that names a tool")
}

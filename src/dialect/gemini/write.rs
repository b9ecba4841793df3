//! A call becomes a `streamGenerateContent` request.
//!
//! What Google has no words for is refused with its path in the app's own words, where the answer would mean something
//! else without it; else it is left out and noted. An app of this dialect gets everything back in its place.

mod contents;
mod members;
mod settings;

#[cfg(test)]
mod tests;

pub(super) use contents::NOT_SIGNED;
use members::{Members, list};

use super::{NAME, request::Method};
use crate::dialect::{
    AppDialect, Dialect, Unsayable, Upstream,
    body::json,
    call::{Call, Dropped, Function, Knob, Tool, ToolChoice},
};

/// Writes a call for a provider's model, to be streamed.
pub fn write(call: &Call, model: &str) -> Result<Upstream, Unsayable> {
    let mut writer = Writer { call, model, dropped: Dropped::default() };
    let body = writer.body()?;
    Ok(Upstream {
        path: Method::StreamSse.path(model),
        headers: Vec::new(),
        body: body.into(),
        dropped: writer.dropped,
    })
}

/// Whether a model is of Gemini 3 or later: those think by level, and want calls signed.
pub(super) fn is_third(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or_default();
    let digits: String = name
        .strip_prefix("gemini-")
        .unwrap_or_default()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse::<u32>().is_ok_and(|generation| generation >= 3)
}

struct Writer<'a> {
    call: &'a Call,
    model: &'a str,
    dropped: Dropped,
}

impl Writer<'_> {
    /// Whether the app speaks this dialect too: what only it knows is then at home.
    fn is_own(&self) -> bool {
        Dialect::from(self.call.app) == Dialect::Gemini
    }

    fn is_third(&self) -> bool {
        is_third(self.model)
    }

    fn body(&mut self) -> Result<String, Unsayable> {
        let mut body = Members::default();
        body.set("contents", self.contents()?);
        body.set_some("systemInstruction", self.system()?);
        body.set_some("tools", self.tools()?);
        let mut tool_config = Members::default();
        tool_config.set_some("functionCallingConfig", self.tool_choice()?);
        let mut settings = self.settings()?;
        self.extras(&mut body, &mut tool_config, &mut settings)?;
        body.set_some("toolConfig", tool_config.some());
        body.set_some("generationConfig", settings.some());
        if let Some(user) = &self.call.user
            && !user.is_empty()
        {
            self.dropped.note(self.call.path(Knob::User));
        }
        if let Some(labels) = &self.call.metadata {
            match self.is_own() {
                true => body.set("labels", labels.get()),
                false => self.dropped.note(self.call.path(Knob::Metadata)),
            }
        }
        if let Some(tier) = self.call.sampling.get(&Knob::ServiceTier) {
            // The tiers have other names everywhere.
            match self.is_own() {
                true => body.set("serviceTier", tier.get()),
                false => self.dropped.note(self.call.path(Knob::ServiceTier)),
            }
        }
        Ok(body.object())
    }

    fn tools(&mut self) -> Result<Option<String>, Unsayable> {
        let mut declared = Vec::new();
        let mut natives = Vec::new();
        for tool in &self.call.tools {
            match tool {
                Tool::Function(function) => declared.push(self.function(function)),
                Tool::Native { value, .. } if self.is_own() => natives.push(value.get().to_owned()),
                Tool::Native { path, .. } => {
                    let why = "it is a tool of another provider's; declare a function";
                    return Err(unsayable(path, why));
                }
            }
        }
        let mut tools = Vec::new();
        if !declared.is_empty() {
            tools.push(format!("{{\"functionDeclarations\":{}}}", list(&declared)));
        }
        tools.extend(natives);
        Ok((!tools.is_empty()).then(|| list(&tools)))
    }

    fn function(&mut self, function: &Function) -> String {
        let Function { name, description, parameters, strict, cache, path } = function;
        let mut declared = Members::default();
        declared.set("name", json(name));
        declared.set_some("description", description.as_deref().map(json));
        declared.set_some("parametersJsonSchema", parameters.as_ref().map(|schema| schema.get()));
        if *strict == Some(true) {
            self.dropped.note(format!("{path}.strict"));
        }
        if cache.is_some() {
            self.dropped.note(format!("{path}.cache_control"));
        }
        declared.object()
    }

    fn tool_choice(&mut self) -> Result<Option<String>, Unsayable> {
        let (has_tools, choice) = (!self.call.tools.is_empty(), &self.call.tool_choice);
        if self.call.parallel_tools == Some(false) && has_tools && *choice != Some(ToolChoice::None)
        {
            let why = "its models cannot be kept to one call at a time; leave it out";
            return Err(unsayable(self.call.path(Knob::ParallelTools), why));
        }
        let (mode, names): (_, &[String]) = match choice {
            None => return Ok(None),
            Some(ToolChoice::Auto) => ("AUTO", &[]),
            Some(ToolChoice::None) => ("NONE", &[]),
            Some(ToolChoice::Any) => ("ANY", &[]),
            Some(ToolChoice::Named(name)) => ("ANY", std::slice::from_ref(name)),
            Some(ToolChoice::Among { names, required: true }) => ("ANY", names),
            Some(ToolChoice::Among { names, required: false }) => ("VALIDATED", names),
        };
        let mut config = Members::default();
        config.set("mode", json(mode));
        if !names.is_empty() {
            let names: Vec<_> = names.iter().map(|name| json(name)).collect();
            config.set("allowedFunctionNames", list(&names));
        }
        Ok(Some(config.object()))
    }

    /// What only the app's dialect has: back in its place at home, elsewhere left out or refused.
    fn extras(
        &mut self,
        body: &mut Members,
        tool_config: &mut Members,
        settings: &mut Members,
    ) -> Result<(), Unsayable> {
        for extra in &self.call.extras {
            let value = extra.value.get();
            if self.call.app == AppDialect::Gemini {
                match extra.path.split_once('.') {
                    None => body.set(&extra.path, value),
                    Some(("generationConfig", name)) => settings.set(name, value),
                    Some(("toolConfig", name)) if !name.contains('.') => {
                        tool_config.set(name, value);
                    }
                    Some(_) => self.dropped.note(extra.path.clone()),
                }
            } else if extra.harmless {
                self.dropped.note(extra.path.clone());
            } else {
                return Err(unsayable(&extra.path, "Gemini has nothing like it; leave it out"));
            }
        }
        Ok(())
    }
}

fn unsayable(path: impl Into<String>, why: impl Into<String>) -> Unsayable {
    Unsayable { path: path.into(), dialect: NAME, why: why.into() }
}

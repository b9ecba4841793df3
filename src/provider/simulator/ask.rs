//! What a Chat Completions request asks for, read as strictly as OpenAI reads it.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{
    control::{CHOICES_MAX, Control, Scenario, TOKENS_MAX},
    refusal::Refusal,
    tokens,
};

/// The parts of a request that the simulator heeds.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) model: String,
    pub(super) scenario: Scenario,
    pub(super) control: Control,
    pub(super) messages: Vec<Value>,
    pub(super) tools: Vec<Value>,
    pub(super) tool_choice: ToolChoice,
    pub(super) parallel_tools: bool,
    pub(super) format: Format,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) choices: usize,
    pub(super) tokens_max: Option<usize>,
    pub(super) stop: Vec<String>,
    /// OpenAI's own `seed`.
    seed: Option<i64>,
}

/// Whether tools must, may or must not be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ToolChoice {
    Auto,
    Never,
    Required,
    Named(String),
}

/// What the text is to be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Format {
    Text,
    /// A JSON object, of this schema if there is one.
    Json(Option<Value>),
}

impl Ask {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let body: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
            Refusal::invalid(
                "",
                format!("We could not parse the JSON body of your request: {error}."),
            )
        })?;
        let model = match body.get("model") {
            Some(Value::String(name)) => name.clone(),
            Some(_) => return Err(wrong("model", "a string")),
            None => return Err(Refusal::missing("model")),
        };
        let of_model = Scenario::of_model(&model).ok_or_else(|| Refusal::unknown_model(&model))?;
        let messages = match body.get("messages") {
            Some(Value::Array(messages)) if !messages.is_empty() => messages.clone(),
            Some(_) => return Err(wrong("messages", "an array of at least one message")),
            None => return Err(Refusal::missing("messages")),
        };
        if messages.iter().any(|message| !message["role"].is_string()) {
            return Err(wrong("messages", "an array of objects that have a role"));
        }
        let control = match body.get("simulator") {
            Some(value) => Control::parse(value)?,
            None => Control::default(),
        };
        let stream = flag(&body, "stream")?.unwrap_or(false);
        let include_usage = match body.get("stream_options").filter(|value| !value.is_null()) {
            Some(_) if !stream => {
                let message =
                    "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
                return Err(Refusal::invalid("stream_options", message));
            }
            Some(options) => options["include_usage"].as_bool().unwrap_or(false),
            None => false,
        };
        let n = count(&body, "n")?.unwrap_or(1);
        if !(1..=CHOICES_MAX).contains(&n) {
            return Err(wrong("n", "between 1 and 128"));
        }
        let limits = [count(&body, "max_completion_tokens")?, count(&body, "max_tokens")?];
        let tokens_max = limits.into_iter().flatten().min();
        if tokens_max == Some(0) {
            return Err(wrong("max_tokens", "at least 1"));
        }
        let tools = tools(&body)?;
        let choices = control.choices.unwrap_or(n);
        if control.tokens.is_some_and(|tokens| tokens * choices > TOKENS_MAX) {
            return Err(wrong("simulator.tokens", "at most 200000 in all choices together"));
        }
        Ok(Self {
            scenario: control.scenario(of_model)?,
            tool_choice: tool_choice(&body, &tools)?,
            tools,
            parallel_tools: flag(&body, "parallel_tool_calls")?.unwrap_or(true),
            format: format(&body)?,
            choices,
            stop: stop(&body)?,
            seed: body.get("seed").and_then(Value::as_i64),
            model,
            control,
            messages,
            stream,
            include_usage,
            tokens_max,
        })
    }

    /// The number that everything in the answer derives from. Neither the pace nor whether it streams is part of it,
    /// so that the same question gets the same words either way.
    pub(super) fn seed(&self, configured: u64) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.control.seed.unwrap_or(configured).to_le_bytes());
        hash.update(self.seed.unwrap_or_default().to_le_bytes());
        for part in [&self.messages, &self.tools] {
            hash.update(Value::from(part.as_slice()).to_string());
            hash.update([0]);
        }
        hash.update(format!("{}\0{:?}\0{:?}", self.model, self.scenario, self.format));
        let digest = hash.finalize();
        u64::from_le_bytes(digest[..8].try_into().expect("a SHA-256 has 32 bytes"))
    }

    /// What the user said last.
    pub(super) fn prompt(&self) -> String {
        let users = self.messages.iter().rev().find(|message| message["role"] == "user");
        users.map(text_of).unwrap_or_default()
    }

    /// The results that the conversation ends with, if it ends with results of tools.
    pub(super) fn tool_results(&self) -> Vec<String> {
        let ends = self.messages.iter().rev().take_while(|message| message["role"] == "tool");
        let mut results: Vec<_> = ends.map(text_of).collect();
        results.reverse();
        results
    }

    /// The request's size in tokens: its words, and a few for each message's frame.
    pub(super) fn prompt_tokens(&self) -> usize {
        let texts = self.messages.iter().map(|message| tokens::count(&text_of(message)));
        let tools = self.tools.iter().map(|tool| tokens::count(&tool.to_string()));
        texts.sum::<usize>() + tools.sum::<usize>() + MESSAGE_TOKENS * self.messages.len()
    }
}

/// What OpenAI counts for a message's role and borders.
const MESSAGE_TOKENS: usize = 4;

/// A message's text, whether it is a string or in parts.
fn text_of(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

fn tools(body: &Map<String, Value>) -> Result<Vec<Value>, Refusal> {
    match body.get("tools") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(tools)) => {
            let named = |tool: &Value| tool["function"]["name"].is_string();
            match tools.iter().all(named) {
                true => Ok(tools.clone()),
                false => Err(wrong("tools", "an array of functions that have a name")),
            }
        }
        Some(_) => Err(wrong("tools", "an array")),
    }
}

fn tool_choice(body: &Map<String, Value>, tools: &[Value]) -> Result<ToolChoice, Refusal> {
    match body.get("tool_choice") {
        None | Some(Value::Null) => Ok(ToolChoice::Auto),
        Some(Value::String(word)) => match word.as_str() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::Never),
            "required" if tools.is_empty() => Err(wrong("tool_choice", "tools to require")),
            "required" => Ok(ToolChoice::Required),
            _ => Err(wrong("tool_choice", "'auto', 'none', 'required' or a function")),
        },
        Some(choice) => match choice["function"]["name"].as_str() {
            Some(name) if tools.iter().any(|tool| tool["function"]["name"] == name) => {
                Ok(ToolChoice::Named(name.to_owned()))
            }
            Some(_) => Err(wrong("tool_choice", "a function that is among the tools")),
            None => Err(wrong("tool_choice", "'auto', 'none', 'required' or a function")),
        },
    }
}

fn format(body: &Map<String, Value>) -> Result<Format, Refusal> {
    let Some(format) = body.get("response_format").filter(|value| !value.is_null()) else {
        return Ok(Format::Text);
    };
    match format["type"].as_str() {
        Some("text") => Ok(Format::Text),
        Some("json_object") => Ok(Format::Json(None)),
        Some("json_schema") => Ok(Format::Json(Some(format["json_schema"]["schema"].clone()))),
        _ => Err(wrong("response_format.type", "'text', 'json_object' or 'json_schema'")),
    }
}

fn stop(body: &Map<String, Value>) -> Result<Vec<String>, Refusal> {
    let words = match body.get("stop") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(words)) => words.as_slice(),
        Some(word) => std::slice::from_ref(word),
    };
    let words = words.iter().map(|word| word.as_str().filter(|word| !word.is_empty()));
    words
        .map(|word| word.map(str::to_owned))
        .collect::<Option<_>>()
        .ok_or_else(|| wrong("stop", "a string or an array of strings, none of them empty"))
}

fn flag(body: &Map<String, Value>, name: &str) -> Result<Option<bool>, Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_bool().map(Some).ok_or_else(|| wrong(name, "a boolean")),
    }
}

fn count(body: &Map<String, Value>, name: &str) -> Result<Option<usize>, Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
            count.map(Some).ok_or_else(|| wrong(name, "a whole number"))
        }
    }
}

fn wrong(param: &str, expected: &str) -> Refusal {
    Refusal::invalid(param, format!("Invalid value for '{param}': expected {expected}."))
}

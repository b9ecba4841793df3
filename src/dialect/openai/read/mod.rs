//! A chat request read into the words that all dialects share.
//!
//! Beside OpenAI's own members, those of its imitators are understood that have a shared word: `reasoning` (OpenRouter),
//! `thinking` (DeepSeek), `top_k`, `cache_control`. Paths are those of the app's body.

mod content;
pub(super) mod members;
mod messages;
mod thoughts;
mod tools;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::dialect::{
    AppDialect, BadRequest, Call,
    call::{Amount, Extra, Knob, Output, ReasoningWish},
};
use members::{Members, must_be, plain, says_nothing};

/// Members that the gateway itself answers to.
const OURS: [&str; 3] = ["model", "stream", "stream_options"];

/// Members that go by one name in [`Call::sampling`].
const SAMPLING: [(&str, Knob); 9] = [
    ("temperature", Knob::Temperature),
    ("top_p", Knob::TopP),
    ("top_k", Knob::TopK),
    ("seed", Knob::Seed),
    ("frequency_penalty", Knob::FrequencyPenalty),
    ("presence_penalty", Knob::PresencePenalty),
    ("logprobs", Knob::Logprobs),
    ("top_logprobs", Knob::TopLogprobs),
    ("service_tier", Knob::ServiceTier),
];

/// Members without which the answer means the same: where it is kept, how fast it comes, how long it is, which of several
/// likely words is drawn.
const HARMLESS: [&str; 22] = [
    "cache_prompt",
    "include_reasoning",
    "length_penalty",
    "min_p",
    "min_tokens",
    "moderation",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_retention",
    "provider",
    "random_seed",
    "repetition_penalty",
    "return_token_ids",
    "route",
    "safe_prompt",
    "safety_identifier",
    "skip_special_tokens",
    "store",
    "top_a",
    "transforms",
    "usage",
    "verbosity",
];

/// Reads a body that is known to be a JSON object.
pub(super) fn read(body: &Bytes) -> Result<Call, BadRequest> {
    let unread = |_| must_be("$", "a JSON object");
    let mut top: Members<'_> = serde_json::from_slice(body).map_err(unread)?;
    let mut call = Call::new(AppDialect::OpenAi);
    for name in OURS {
        top.take(name);
    }
    let messages = top.take("messages");
    let messages = messages.ok_or_else(|| must_be("messages", "a list of messages"))?;
    messages::read(messages, &mut call)?;
    tools::read(&mut top, &mut call)?;
    call.output = output(&mut top)?;
    call.reasoning = reasoning(&mut top)?;
    let at_most = "a whole number of tokens";
    let newer = top.plain("max_completion_tokens", "", at_most)?;
    call.max_output = newer.or(top.plain("max_tokens", "", at_most)?);
    call.choices = top.plain("n", "", "a whole number")?;
    call.stop = top.take("stop").map(stop).transpose()?.unwrap_or_default();
    for (name, knob) in SAMPLING {
        if let Some(value) = top.take(name).filter(|value| !says_nothing(value)) {
            call.sampling.insert(knob, value.to_owned());
        }
    }
    let newer = top.string("safety_identifier", "")?;
    call.user = top.string("user", "")?.or(newer);
    call.metadata = top.take("metadata").filter(|it| !says_nothing(it)).map(ToOwned::to_owned);
    let speaks = speaks(top.take("modalities"), &mut call)?;
    if let Some(audio) = top.take("audio") {
        call.extras.push(extra("audio", audio, !speaks));
    }
    for (name, value) in top.rest().filter(|(_, value)| !says_nothing(value)) {
        let harmless = HARMLESS.contains(&&*name);
        call.extras.push(extra(&name, value, harmless));
    }
    Ok(call)
}

fn extra(path: &str, value: &RawValue, harmless: bool) -> Extra {
    Extra { path: path.to_owned(), value: value.to_owned(), harmless }
}

/// Whether the answer is to be heard. Text is what every model says, and need not be asked for.
fn speaks(modalities: Option<&RawValue>, call: &mut Call) -> Result<bool, BadRequest> {
    let Some(raw) = modalities else { return Ok(false) };
    let kinds: Vec<String> = plain(raw, "modalities", "a list of strings")?;
    if kinds.iter().any(|kind| kind != "text") {
        call.extras.push(extra("modalities", raw, false));
    }
    Ok(kinds.iter().any(|kind| kind == "audio"))
}

fn stop(raw: &RawValue) -> Result<Vec<String>, BadRequest> {
    match raw.get().starts_with('"') {
        true => Ok(vec![members::string(raw, "stop")?]),
        false => plain(raw, "stop", "a string or a list of strings"),
    }
}

fn output(top: &mut Members<'_>) -> Result<Output, BadRequest> {
    let path = "response_format";
    let Some(raw) = top.take(path) else { return Ok(Output::Text) };
    let mut format = Members::of(raw, path)?;
    match format.string("type", path)?.as_deref() {
        Some("text") => Ok(Output::Text),
        Some("json_object") => Ok(Output::Json),
        Some("json_schema") => {
            let path = "response_format.json_schema";
            let schema = format.take("json_schema").ok_or_else(|| must_be(path, "an object"))?;
            let mut inner = Members::of(schema, path)?;
            let (name, description) =
                (inner.string("name", path)?, inner.string("description", path)?);
            let strict = inner.plain("strict", path, "true or false")?;
            // A schema is left out where any object will do.
            Ok(match inner.take("schema") {
                Some(schema) => {
                    Output::Schema { name, description, schema: schema.to_owned(), strict }
                }
                None => Output::Json,
            })
        }
        _ => {
            let kinds = "one of `text`, `json_object` and `json_schema`";
            Err(must_be("response_format.type", kinds))
        }
    }
}

/// `reasoning_effort`, or what imitators have for it.
fn reasoning(top: &mut Members<'_>) -> Result<Option<ReasoningWish>, BadRequest> {
    let mut wish = ReasoningWish::default();
    if let Some(word) = top.string("reasoning_effort", "")? {
        wish.amount = Some(effort(word));
    }
    if let Some(raw) = top.take("reasoning") {
        let mut inner = Members::of(raw, "reasoning")?;
        if let Some(word) = inner.string("effort", "reasoning")? {
            wish.amount.get_or_insert(effort(word));
        }
        if let Some(tokens) = inner.plain("max_tokens", "reasoning", "a whole number of tokens")? {
            wish.amount.get_or_insert(Amount::Budget(tokens));
        }
        match inner.plain("enabled", "reasoning", "true or false")? {
            Some(true) => drop(wish.amount.get_or_insert(Amount::Adaptive)),
            Some(false) => wish.amount = Some(Amount::Off),
            None => {}
        }
        let hidden: Option<bool> = inner.plain("exclude", "reasoning", "true or false")?;
        wish.shown = hidden.map(|hidden| !hidden);
    }
    if let Some(raw) = top.take("thinking") {
        let mut inner = Members::of(raw, "thinking")?;
        let budget = inner.plain("budget_tokens", "thinking", "a whole number of tokens")?;
        let amount = match inner.string("type", "thinking")?.as_deref() {
            Some("disabled") => Amount::Off,
            _ => budget.map_or(Amount::Adaptive, Amount::Budget),
        };
        wish.amount.get_or_insert(amount);
    }
    Ok((wish != ReasoningWish::default()).then_some(wish))
}

fn effort(word: String) -> Amount {
    if word == "none" { Amount::Off } else { Amount::Effort(word) }
}

#[cfg(test)]
mod tests;

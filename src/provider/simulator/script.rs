//! Writes all that an answer will say, before any of it is said. Pure: the request and the seed decide everything.

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::{
    ask::{Ask, Format},
    control::Scenario,
    prose::{self, Genre},
    refusal::Refusal,
    sample, tokens, tools,
};

/// A whole answer.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) seed: u64,
    pub(super) model: String,
    pub(super) choices: Vec<Choice>,
    pub(super) usage: Value,
    pub(super) fault: Option<Fault>,
}

/// One of the `n` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) pieces: Vec<Piece>,
    pub(super) finish: &'static str,
}

/// What one token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Reasoning(String),
    Content(String),
    Call { index: usize, id: String, name: String },
    Arguments { index: usize, fragment: String },
}

/// How an answer goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fault {
    /// Before anything is said.
    Refuse(Refusal),
    /// After so many tokens.
    Midway { at: usize, how: Break },
}

/// How an answer breaks off.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Break {
    /// With an error in the stream.
    Error(Refusal),
    /// With an end inside an event.
    Cut,
    /// With a broken connection.
    Reset,
    /// With silence.
    Stall,
}

/// Where an answer fails unless told: late enough to be read, early enough to be waited for.
const FAULT_AT: std::ops::Range<usize> = 30..90;

pub(super) fn write(ask: &Ask, configured_seed: u64) -> Script {
    let seed = ask.seed(configured_seed);
    let choices: Vec<_> = (0..ask.choices as u64)
        .map(|index| choice(ask, seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    let said: usize = choices.iter().map(|choice| choice.pieces.len()).sum();
    let fault = fault(ask, seed, said);
    Script { seed, model: ask.model.clone(), usage: usage(ask, &choices), choices, fault }
}

fn fault(ask: &Ask, seed: u64, said: usize) -> Option<Fault> {
    let how = match ask.scenario {
        Scenario::ErrorFirst => return Some(Fault::Refuse(ask.control.refusal())),
        Scenario::ErrorMiddle => Break::Error(Refusal::midway()),
        Scenario::Cut => Break::Cut,
        Scenario::Reset => Break::Reset,
        Scenario::Stall => Break::Stall,
        _ => return None,
    };
    let chosen = || StdRng::seed_from_u64(seed ^ 0x66_6175_6c74).random_range(FAULT_AT);
    // At the latest in place of the last token: an answer that has failed has not been said.
    let at = ask.control.at.unwrap_or_else(chosen).min(said.saturating_sub(1));
    Some(Fault::Midway { at, how })
}

fn choice(ask: &Ask, seed: u64) -> Choice {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut finish = "stop";
    let mut pieces = match tools::calls(ask, &mut rng) {
        Some(calls) => {
            finish = "tool_calls";
            calls.into_iter().enumerate().flat_map(call_pieces).collect()
        }
        None => said(ask, &mut rng),
    };
    if let Some(max) = ask.tokens_max.filter(|max| pieces.len() > *max) {
        pieces.truncate(max);
        finish = "length";
    }
    Choice { pieces, finish }
}

/// An answer in words: its reasoning, if it reasons, and its content up to the first stop word.
fn said(ask: &Ask, rng: &mut StdRng) -> Vec<Piece> {
    let control = &ask.control;
    let mut thought = Vec::new();
    if ask.scenario == Scenario::Reasoning && control.text.is_none() {
        thought = match control.tokens {
            Some(tokens) => prose_of(Genre::Thought, tokens / 2, rng),
            None => pieces(&prose::compose(Genre::Thought, "", rng)),
        };
    }
    let tokens = control.tokens.map(|tokens| tokens - thought.len());
    let mut content = content(ask, tokens, rng);
    if !ask.stop.is_empty() {
        let text = content.concat();
        let end = ask.stop.iter().filter_map(|word| text.find(word.as_str())).min();
        if let Some(end) = end {
            content = pieces(&text[..end]);
        }
    }
    let thought = thought.into_iter().map(Piece::Reasoning);
    thought.chain(content.into_iter().map(Piece::Content)).collect()
}

fn content(ask: &Ask, tokens: Option<usize>, rng: &mut StdRng) -> Vec<String> {
    if let Some(text) = &ask.control.text {
        return text_of_length(text, tokens);
    }
    if let Format::Json(schema) = &ask.format {
        return pieces(&sample::answer(schema.as_ref(), rng).to_string());
    }
    let results = ask.tool_results();
    if !results.is_empty() {
        return pieces(&tools::answer(&results, rng));
    }
    let genre = match ask.scenario {
        Scenario::Languages => Genre::Languages,
        Scenario::Long => Genre::Book,
        _ => Genre::Answer,
    };
    match tokens {
        Some(tokens) => prose_of(genre, tokens, rng),
        None => pieces(&prose::compose(genre, &ask.prompt(), rng)),
    }
}

/// Exactly so many tokens of prose.
fn prose_of(genre: Genre, tokens: usize, rng: &mut StdRng) -> Vec<String> {
    let mut said = Vec::with_capacity(tokens);
    while said.len() < tokens {
        said.extend(pieces(&prose::block(genre, rng)));
    }
    said.truncate(tokens);
    said
}

/// The text; with a number of tokens, the text again and again up to there.
fn text_of_length(text: &str, tokens: Option<usize>) -> Vec<String> {
    let once = pieces(text);
    match tokens {
        Some(tokens) => once.iter().cycle().take(tokens).cloned().collect(),
        None => once,
    }
}

fn pieces(text: &str) -> Vec<String> {
    tokens::split(text).map(str::to_owned).collect()
}

fn call_pieces((index, call): (usize, tools::Call)) -> Vec<Piece> {
    let arguments = pieces(&call.arguments).into_iter();
    let arguments = arguments.map(|fragment| Piece::Arguments { index, fragment });
    [Piece::Call { index, id: call.id, name: call.name }].into_iter().chain(arguments).collect()
}

/// Usage, counted from what is said.
fn usage(ask: &Ask, choices: &[Choice]) -> Value {
    let prompt = ask.prompt_tokens();
    let said = || choices.iter().flat_map(|choice| &choice.pieces);
    let completion = said().count();
    let reasoning = said().filter(|piece| matches!(piece, Piece::Reasoning(_))).count();
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": { "cached_tokens": 0, "audio_tokens": 0 },
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

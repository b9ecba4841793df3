//! `/embeddings`: small vectors that depend on the text alone. Equal texts are equal, others are not near each other;
//! no meaning is in them.

use base64::{Engine, engine::general_purpose::STANDARD};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{EMBEDDING_MODEL, refusal::Refusal, tokens};

/// Small enough to read in a terminal.
const DIMENSIONS: u64 = 8;
/// What the largest real models have.
const DIMENSIONS_MAX: u64 = 4096;
/// OpenAI's own limit.
const INPUTS_MAX: usize = 2048;

pub(super) fn answer(body: &[u8]) -> Result<Value, Refusal> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| Refusal::invalid("", format!("The body is not JSON: {error}.")))?;
    match body["model"].as_str() {
        Some(EMBEDDING_MODEL) => {}
        Some(other) => return Err(Refusal::unknown_model(other)),
        None => return Err(Refusal::missing("model")),
    }
    let dimensions = match &body["dimensions"] {
        Value::Null => DIMENSIONS,
        given => match given.as_u64().filter(|given| (1..=DIMENSIONS_MAX).contains(given)) {
            Some(dimensions) => dimensions,
            None => return Err(Refusal::invalid("dimensions", "'dimensions' is 1 to 4096.")),
        },
    };
    let base64 = match body["encoding_format"].as_str() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => {
            let message = "'encoding_format' is 'float' or 'base64'.";
            return Err(Refusal::invalid("encoding_format", message));
        }
    };
    let inputs = inputs(&body["input"])?;
    let data = inputs.iter().enumerate().map(|(index, input)| {
        let vector = vector(&input.key, dimensions);
        let embedding = match base64 {
            true => {
                let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
                Value::from(STANDARD.encode(bytes))
            }
            false => Value::from(vector),
        };
        json!({ "object": "embedding", "index": index, "embedding": embedding })
    });
    let prompt_tokens: usize = inputs.iter().map(|input| input.tokens).sum();
    Ok(json!({
        "object": "list",
        "data": data.collect::<Vec<_>>(),
        "model": EMBEDDING_MODEL,
        "usage": { "prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens },
    }))
}

/// One text to embed, or one list of token numbers.
struct Input {
    key: String,
    tokens: usize,
}

impl Input {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) if !text.is_empty() => {
                Some(Self { key: text.clone(), tokens: tokens::count(text) })
            }
            Value::Array(numbers)
                if !numbers.is_empty() && numbers.iter().all(|number| number.is_u64()) =>
            {
                Some(Self { key: value.to_string(), tokens: numbers.len() })
            }
            _ => None,
        }
    }
}

fn inputs(value: &Value) -> Result<Vec<Input>, Refusal> {
    let inputs = match (Input::of(value), value) {
        (Some(one), _) => Some(vec![one]),
        (None, Value::Null) => return Err(Refusal::missing("input")),
        (None, Value::Array(many)) if (1..=INPUTS_MAX).contains(&many.len()) => {
            many.iter().map(Input::of).collect()
        }
        (None, _) => None,
    };
    inputs.ok_or_else(|| {
        Refusal::invalid("input", "'$.input' is invalid: texts, or lists of token numbers.")
    })
}

/// A unit vector drawn from the text's hash.
fn vector(text: &str, dimensions: u64) -> Vec<f32> {
    let mut rng = StdRng::from_seed(Sha256::digest(text).into());
    let raw: Vec<f32> = (0..dimensions).map(|_| rng.random_range(-1.0..1.0)).collect();
    let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
    raw.into_iter().map(|x| x / length).collect()
}

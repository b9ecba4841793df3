//! Which tools an answer calls and with what, and what it says about their results.

use rand::{Rng, rngs::StdRng, seq::IndexedRandom, seq::SliceRandom};
use serde_json::{Value, json};

use super::{
    ask::{Ask, ToolChoice},
    control::Scenario,
    sample,
};

/// One call of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    /// JSON.
    pub(super) arguments: String,
}

/// Called at once unless told: enough to see that they are parallel.
const CALLS: std::ops::RangeInclusive<usize> = 1..=3;

const CITIES: [&str; 8] =
    ["Lisboa", "Zürich", "東京", "القاهرة", "मुंबई", "São Paulo", "Reykjavík", "Kraków"];

/// The calls of an answer, or nothing if it answers in words.
pub(super) fn calls(ask: &Ask, rng: &mut StdRng) -> Option<Vec<Call>> {
    let forced = matches!(ask.tool_choice, ToolChoice::Required | ToolChoice::Named(_));
    let wanted = ask.scenario == Scenario::Tools || forced;
    let spoken = ask.control.text.is_some() || !ask.tool_results().is_empty();
    if !wanted || spoken || ask.tool_choice == ToolChoice::Never {
        return None;
    }
    let most = rng.random_range(CALLS);
    let count = match ask.parallel_tools {
        true => ask.control.tool_calls.unwrap_or(most),
        false => 1,
    };
    let mut tools: Vec<&Value> = ask.tools.iter().map(|tool| &tool["function"]).collect();
    if let ToolChoice::Named(name) = &ask.tool_choice {
        tools.retain(|tool| tool["name"] == name.as_str());
    }
    tools.shuffle(rng);
    let calls = match tools.is_empty() {
        true => weather(count, rng),
        false => tools.iter().cycle().take(count).map(|tool| call(tool, rng)).collect(),
    };
    Some(calls)
}

/// A text that uses the results of tools.
pub(super) fn answer(results: &[String], rng: &mut StdRng) -> String {
    let opening = [
        "Here is what came back",
        "The tools have answered",
        "I looked it up for you",
        "Done, and all in one go",
    ];
    let opening = opening.choose(rng).expect("there are openings");
    let mut text = format!("{opening} 🔧\n\n");
    for result in results {
        match serde_json::from_str(result) {
            Ok(Value::Object(members)) => {
                let facts = members.iter().map(|(name, value)| match value {
                    Value::String(value) => format!("**{name}** {value}"),
                    other => format!("**{name}** {other}"),
                });
                text += &format!("- {}\n", facts.collect::<Vec<_>>().join(", "));
            }
            _ => text += &format!("- {}\n", result.trim()),
        }
    }
    text + "\nShall I keep an eye on it and tell you when something changes?"
}

fn call(tool: &Value, rng: &mut StdRng) -> Call {
    let name = tool["name"].as_str().expect("tools without a name are refused").to_owned();
    let arguments = match &tool["parameters"] {
        Value::Null => json!({}),
        schema => sample::instance(schema, rng),
    };
    Call { id: id(rng), name, arguments: arguments.to_string() }
}

/// The simulator's own tool, for requests that bring none.
fn weather(count: usize, rng: &mut StdRng) -> Vec<Call> {
    let mut cities = CITIES;
    cities.shuffle(rng);
    let calls = cities.iter().cycle().take(count).map(|city| {
        let unit = ["celsius", "fahrenheit"].choose(rng).expect("there are units");
        let arguments = json!({ "city": city, "unit": unit, "days": rng.random_range(1..=7) });
        Call { id: id(rng), name: "get_weather".to_owned(), arguments: arguments.to_string() }
    });
    calls.collect()
}

fn id(rng: &mut StdRng) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let letter = |_| char::from(*LETTERS.choose(rng).expect("there are letters"));
    format!("call_{}", (0..24).map(letter).collect::<String>())
}

//! What a request may tell the simulator, by its model's name and by its `simulator` member.

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::refusal::Refusal;

/// What happens to an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// A page of prose, to its end.
    Text,
    /// The same thought in many languages and scripts, with emoji.
    Languages,
    /// Thinks aloud in `reasoning_content`, then answers.
    Reasoning,
    /// Calls tools; with their results, answers in text.
    Tools,
    /// Thousands of tokens.
    Long,
    /// An HTTP error before the first token.
    ErrorFirst,
    /// An error object in the stream after some tokens.
    ErrorMiddle,
    /// The stream ends inside an event, without a finish.
    Cut,
    /// The connection is reset after some tokens.
    Reset,
    /// After some tokens nothing comes any more, for ever.
    Stall,
    /// Only comments for a while, then a page of prose.
    SlowStart,
}

/// The chat models, and what each does.
pub const MODELS: [(&str, Scenario); 11] = [
    ("sim-text", Scenario::Text),
    ("sim-languages", Scenario::Languages),
    ("sim-reasoning", Scenario::Reasoning),
    ("sim-tools", Scenario::Tools),
    ("sim-long", Scenario::Long),
    ("sim-error-first", Scenario::ErrorFirst),
    ("sim-error-middle", Scenario::ErrorMiddle),
    ("sim-cut", Scenario::Cut),
    ("sim-reset", Scenario::Reset),
    ("sim-stall", Scenario::Stall),
    ("sim-slow-start", Scenario::SlowStart),
];

impl Scenario {
    /// The scenario of a model, if there is such a model.
    pub(super) fn of_model(name: &str) -> Option<Self> {
        MODELS.iter().find(|(known, _)| *known == name).map(|(_, scenario)| *scenario)
    }

    /// Whether `at` means something: it fails between two tokens.
    fn fails_midway(self) -> bool {
        matches!(self, Self::ErrorMiddle | Self::Cut | Self::Reset | Self::Stall)
    }
}

/// The `simulator` member of a request's body.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Control {
    /// In place of the configured seed.
    pub(super) seed: Option<u64>,
    /// Exactly so many tokens in each choice.
    pub(super) tokens: Option<usize>,
    pub(super) tokens_per_second: Option<f64>,
    pub(super) first_token_ms: Option<u64>,
    /// How far a token may leave its beat: 0 not at all, 1 up to the next.
    pub(super) jitter: Option<f64>,
    /// So many tokens arrive together.
    pub(super) burst: Option<u32>,
    /// In place of the model's scenario.
    pub(super) scenario: Option<Scenario>,
    /// How many tokens come before the failure.
    pub(super) at: Option<usize>,
    /// The HTTP error; alone it means the scenario `error-first`.
    pub(super) status: Option<u16>,
    /// Seconds, in the header of that name.
    pub(super) retry_after: Option<u64>,
    /// Say exactly this.
    pub(super) text: Option<String>,
    /// In place of `n`.
    pub(super) choices: Option<usize>,
    /// How many tools are called at once.
    pub(super) tool_calls: Option<usize>,
}

const MEMBERS: [&str; 13] = [
    "seed",
    "tokens",
    "tokens_per_second",
    "first_token_ms",
    "jitter",
    "burst",
    "scenario",
    "at",
    "status",
    "retry_after",
    "text",
    "choices",
    "tool_calls",
];

/// Of all choices together. At the usual pace three quarters of an hour, and not more than some megabytes.
pub(super) const TOKENS_MAX: usize = 200_000;
/// OpenAI's own limit for `n`.
pub(super) const CHOICES_MAX: usize = 128;
/// More than any real model calls at once.
const TOOL_CALLS_MAX: usize = 32;

impl Control {
    pub(super) fn parse(value: &Value) -> Result<Self, Refusal> {
        let members = value
            .as_object()
            .ok_or_else(|| Refusal::invalid("simulator", "'simulator' is to be an object."))?;
        let known = MEMBERS.join(", ");
        let unknown: Vec<_> = members
            .keys()
            .filter(|key| !MEMBERS.contains(&key.as_str()))
            .map(|key| format!("'simulator.{key}'"))
            .collect();
        if !unknown.is_empty() {
            let message = format!("Unknown: {}. The simulator knows: {known}.", unknown.join(", "));
            return Err(Refusal::invalid("simulator", message));
        }
        let control: Self = serde_json::from_value(value.clone())
            .map_err(|error| Refusal::invalid("simulator", format!("In 'simulator': {error}.")))?;
        match control.fault() {
            Some((member, rule)) => {
                let message = format!("'simulator.{member}' {rule}.");
                Err(Refusal::invalid(&format!("simulator.{member}"), message))
            }
            None => Ok(control),
        }
    }

    fn fault(&self) -> Option<(&'static str, &'static str)> {
        let rate_ok = |rate: f64| rate.is_finite() && rate > 0.0;
        let rules = [
            (self.tokens.is_none_or(|n| n <= TOKENS_MAX), "tokens", "is at most 200000"),
            (self.tokens_per_second.is_none_or(rate_ok), "tokens_per_second", "is more than 0"),
            (self.jitter.is_none_or(|j| (0.0..=1.0).contains(&j)), "jitter", "is between 0 and 1"),
            (self.burst != Some(0), "burst", "is at least 1"),
            (
                self.status.is_none_or(|s| (400..600).contains(&s)),
                "status",
                "is between 400 and 599",
            ),
            (
                self.choices.is_none_or(|n| (1..=CHOICES_MAX).contains(&n)),
                "choices",
                "is between 1 and 128",
            ),
            (
                self.tool_calls.is_none_or(|n| (1..=TOOL_CALLS_MAX).contains(&n)),
                "tool_calls",
                "is between 1 and 32",
            ),
        ];
        rules.into_iter().find(|(ok, ..)| !ok).map(|(_, member, rule)| (member, rule))
    }

    /// The scenario that all of it comes to; members without effect in it are refused.
    pub(super) fn scenario(&self, model: Scenario) -> Result<Scenario, Refusal> {
        let implied = self.status.map(|_| Scenario::ErrorFirst);
        let scenario = self.scenario.or(implied).unwrap_or(model);
        let useless = |member: &str, rule: &str| {
            let message = format!("'simulator.{member}' has no effect here: {rule}.");
            Err(Refusal::invalid(&format!("simulator.{member}"), message))
        };
        if self.status.is_some() && scenario != Scenario::ErrorFirst {
            return useless("status", "it belongs to the scenario 'error-first'");
        }
        if self.retry_after.is_some() && scenario != Scenario::ErrorFirst {
            return useless("retry_after", "it belongs to the scenario 'error-first'");
        }
        if self.at.is_some() && !scenario.fails_midway() {
            return useless("at", "it belongs to 'error-middle', 'cut', 'reset' and 'stall'");
        }
        Ok(scenario)
    }

    /// The error that `error-first` answers with.
    pub(super) fn refusal(&self) -> Refusal {
        let status = self.status.and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Refusal::with_status(status, self.retry_after)
    }
}

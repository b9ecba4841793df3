//! How hard a model is to think, in what Anthropic's generations of models take: tokens of a budget up to 4.5, a word for
//! adaptive thinking from 4.6 on.

use serde::Serialize;

use crate::dialect::call::{Amount, Call, Dropped, Knob};

/// `max_tokens` where the app gave none. Anthropic needs one; this is the most that every model since Claude 3.7 takes, so
/// that an app that asked for no limit is not cut where it would not expect it.
const MAX_TOKENS_DEFAULT: u64 = 32_000;

/// The same for a model, by its generation: the older ones refuse more than they can say.
fn max_tokens_default(generation: Option<(u32, u32)>) -> u64 {
    match generation {
        Some(older) if older < (3, 5) => 4_096,
        Some(older) if older < (3, 7) => 8_192,
        _ => MAX_TOKENS_DEFAULT,
    }
}

/// The smallest budget that Anthropic takes.
const BUDGET_MIN: u64 = 1_024;

/// The budget of a model that cannot think adaptively where the app left it to the model.
const BUDGET_DEFAULT: u64 = 8_192;

/// What is left for the answer beside a budget where the app gave no limit.
const ANSWER_TOKENS: u64 = 8_192;

/// A Claude's generation, from its name: `claude-3-7-sonnet-20250219` is 3.7, `anthropic.claude-opus-4-6-v1:0` 4.6. `None`
/// for the models of others. One whose name holds no number is of tomorrow.
pub(super) fn generation(model: &str) -> Option<(u32, u32)> {
    let model = model.to_ascii_lowercase();
    let name = &model[model.find("claude")?..];
    let mut numbers = name.split(|c: char| !c.is_ascii_alphanumeric()).filter_map(|word| {
        // Longer ones are dates.
        Some(word).filter(|word| word.len() <= 2)?.parse::<u32>().ok()
    });
    let major = numbers.next().unwrap_or(u32::MAX);
    Some((major, numbers.next().unwrap_or(0)))
}

/// Whether a model goes on from the beginning of an answer that is given to it as the last turn. Claude stopped to with
/// 4.6.
pub fn takes_prefill(model: &str) -> bool {
    generation(model).is_none_or(|generation| generation < (4, 6))
}

/// Which sampling numbers a model takes.
pub(super) fn takes_sampling(model: &str) -> bool {
    generation(model).is_none_or(|generation| generation < (4, 7))
}

/// What of the rest of the call stands against thinking.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::dialect) struct Against {
    /// A tool must be called, or the answer goes on from a beginning: no model thinks then.
    pub forced: bool,
    /// Tools were called without a thought of this provider before: no model thinks by a budget then.
    pub unthought_calls: bool,
}

/// What a call says of thinking, and the limit that goes with it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::dialect) struct Plan {
    pub max_tokens: u64,
    pub thinking: Option<Thinking>,
    pub effort: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(in crate::dialect) enum Thinking {
    Enabled {
        budget_tokens: u64,
    },
    Adaptive {
        #[serde(skip_serializing_if = "Option::is_none")]
        display: Option<&'static str>,
    },
    Disabled,
}

impl Plan {
    /// Whether the model is to think, which restricts sampling.
    pub(in crate::dialect) fn thinks(&self) -> bool {
        matches!(self.thinking, Some(Thinking::Enabled { .. } | Thinking::Adaptive { .. }))
    }

    /// The plan for a call to `model`; a wish that cannot be had is noted in `dropped`.
    pub(in crate::dialect) fn of(
        call: &Call,
        model: &str,
        against: Against,
        dropped: &mut Dropped,
    ) -> Self {
        let limit = call.max_output;
        let generation = generation(model);
        let limit_or_default = limit.unwrap_or_else(|| max_tokens_default(generation));
        let plain = Self { max_tokens: limit_or_default, ..Self::default() };
        let Some((wish, amount)) =
            call.reasoning.as_ref().and_then(|wish| Some((wish, wish.amount.as_ref()?)))
        else {
            return plain;
        };
        let adaptive = generation.is_some_and(|generation| generation >= (4, 6));
        if amount.budget() == Some(0) {
            let thinking = adaptive.then_some(Thinking::Disabled);
            return Self { thinking, ..plain };
        }
        let unable = generation.is_some_and(|generation| generation < (3, 7))
            || (!adaptive && against.unthought_calls);
        if against.forced || unable {
            dropped.note(call.path(Knob::Reasoning));
            return plain;
        }
        if adaptive {
            let display = wish.shown.map(|shown| if shown { "summarized" } else { "omitted" });
            let effort = amount.effort().map(|word| effort(word, generation).to_owned());
            return Self { thinking: Some(Thinking::Adaptive { display }), effort, ..plain };
        }
        let wanted = match amount {
            Amount::Adaptive => BUDGET_DEFAULT,
            amount => amount.budget().unwrap_or(BUDGET_DEFAULT).max(BUDGET_MIN),
        };
        let (max_tokens, budget_tokens) = match limit {
            None => (MAX_TOKENS_DEFAULT.max(wanted.saturating_add(ANSWER_TOKENS)), wanted),
            Some(limit) if limit > wanted => (limit, wanted),
            // The limit is a promise, the budget a wish: half of it is left for the answer.
            Some(limit) if limit > BUDGET_MIN => (limit, (limit / 2).max(BUDGET_MIN)),
            Some(_) => {
                dropped.note(call.path(Knob::Reasoning));
                return plain;
            }
        };
        Self { max_tokens, thinking: Some(Thinking::Enabled { budget_tokens }), effort: None }
    }
}

/// A word for effort as Anthropic has it.
fn effort(word: &str, generation: Option<(u32, u32)>) -> &str {
    match word {
        "minimal" => "low",
        "xhigh" if generation < Some((4, 7)) => "high",
        word => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{AppDialect, call::ReasoningWish};

    fn plan(model: &str, amount: Amount, limit: Option<u64>) -> (Plan, Dropped) {
        let mut call = Call::new(AppDialect::OpenAi);
        call.reasoning = Some(ReasoningWish { amount: Some(amount), ..ReasoningWish::default() });
        call.max_output = limit;
        let mut dropped = Dropped::default();
        (Plan::of(&call, model, Against::default(), &mut dropped), dropped)
    }

    #[test]
    fn a_models_generation_is_read_from_its_name() {
        for (name, expected) in [
            ("claude-3-haiku-20240307", Some((3, 0))),
            ("claude-3-7-sonnet@20250219", Some((3, 7))),
            ("claude-sonnet-4-20250514", Some((4, 0))),
            ("anthropic.claude-opus-4-6-v1:0", Some((4, 6))),
            ("anthropic/claude-opus-4.8", Some((4, 8))),
            ("claude-of-tomorrow", Some((u32::MAX, 0))),
            ("glm-4.6", None),
        ] {
            assert_eq!(generation(name), expected, "{name}");
        }
        assert!(takes_prefill("claude-haiku-4-5") && !takes_prefill("claude-sonnet-4-6"));
        assert!(takes_sampling("claude-opus-4-6") && !takes_sampling("claude-opus-4-7"));
    }

    #[test]
    fn the_limit_always_exceeds_the_budget() {
        let budget = |limit, tokens| {
            let (plan, _) = plan("claude-haiku-4-5", Amount::Budget(tokens), limit);
            (plan.max_tokens, plan.thinking)
        };
        let enabled = |budget_tokens| Some(Thinking::Enabled { budget_tokens });
        assert_eq!(budget(None, 2_000), (32_000, enabled(2_000)));
        assert_eq!(budget(None, 30_000), (38_192, enabled(30_000)));
        assert_eq!(budget(Some(4_000), 2_000), (4_000, enabled(2_000)));
        assert_eq!(budget(Some(4_000), 8_000), (4_000, enabled(2_000)));
        assert_eq!(budget(Some(1_500), 8_000), (1_500, enabled(1_024)));
        assert_eq!(budget(Some(4_000), 10), (4_000, enabled(1_024)));
        assert_eq!(budget(Some(1_000), 2_000), (1_000, None));
        assert_eq!(budget(Some(1_000), 0), (1_000, None));
    }

    #[test]
    fn newer_models_take_a_word_and_older_ones_a_budget() {
        let (new, _) = plan("claude-opus-4-8", Amount::Effort("medium".into()), None);
        assert_eq!(new.thinking, Some(Thinking::Adaptive { display: None }));
        assert_eq!((new.effort.as_deref(), new.max_tokens), (Some("medium"), 32_000));
        let (new, _) = plan("claude-opus-4-8", Amount::Budget(900), None);
        assert_eq!(new.effort.as_deref(), Some("low"));
        let (old, _) = plan("claude-sonnet-4-5", Amount::Effort("medium".into()), None);
        assert_eq!(old.thinking, Some(Thinking::Enabled { budget_tokens: 8_192 }));
        let (off, _) = plan("claude-opus-4-8", Amount::Effort("none".into()), None);
        assert_eq!(off.thinking, Some(Thinking::Disabled));
        let limit = |model| plan(model, Amount::Off, None).0.max_tokens;
        assert_eq!(limit("claude-3-haiku-20240307"), 4_096);
        assert_eq!(limit("claude-3-5-haiku-20241022"), 8_192);
        assert_eq!((limit("claude-3-7-sonnet-20250219"), limit("glm-4.6")), (32_000, 32_000));
        let (none, dropped) = plan("claude-3-haiku-20240307", Amount::Adaptive, None);
        assert_eq!((none.thinking, dropped.paths()), (None, &["reasoning_effort".to_owned()][..]));
    }
}

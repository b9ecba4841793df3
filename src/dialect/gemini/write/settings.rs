//! `generationConfig`.

use super::{Members, Writer, list, unsayable};
use crate::dialect::{
    Unsayable,
    body::json,
    call::{Amount, Knob, Output, ReasoningWish},
};

/// The numbers that both sides have, and their names here.
const NUMBERS: [(Knob, &str); 6] = [
    (Knob::Temperature, "temperature"),
    (Knob::TopP, "topP"),
    (Knob::TopK, "topK"),
    (Knob::Seed, "seed"),
    (Knob::FrequencyPenalty, "frequencyPenalty"),
    (Knob::PresencePenalty, "presencePenalty"),
];

/// The smallest budget of the models that cannot but think.
const BUDGET_MIN: u64 = 128;

impl Writer<'_> {
    pub(super) fn settings(&mut self) -> Result<Members, Unsayable> {
        let call = self.call;
        let mut settings = Members::default();
        for (knob, name) in NUMBERS {
            let number = call.sampling.get(&knob).map(|raw| raw.get());
            settings.set_some(name, number.filter(|raw| *raw != "null"));
        }
        for (knob, name) in [(Knob::Logprobs, "responseLogprobs"), (Knob::TopLogprobs, "logprobs")]
        {
            let Some(raw) = call.sampling.get(&knob) else { continue };
            if self.is_own() {
                settings.set(name, raw.get());
            } else if !matches!(raw.get(), "false" | "null" | "0") {
                let why = "its log probabilities cannot be said in the app's dialect; leave it out";
                return Err(unsayable(call.path(knob), why));
            }
        }
        settings.set_some("maxOutputTokens", call.max_output.map(|count| count.to_string()));
        let several = call.choices.filter(|&count| count != 1);
        settings.set_some("candidateCount", several.map(|count| count.to_string()));
        if !call.stop.is_empty() {
            let stop: Vec<_> = call.stop.iter().map(|text| json(text)).collect();
            settings.set("stopSequences", list(&stop));
        }
        match &call.output {
            Output::Text => {}
            Output::Json => settings.set("responseMimeType", json("application/json")),
            Output::Schema { schema, .. } => {
                settings.set("responseMimeType", json("application/json"));
                settings.set("responseJsonSchema", schema.get());
            }
        }
        let thinking = call.reasoning.as_ref().map(|wish| self.thinking(wish));
        settings.set_some("thinkingConfig", thinking);
        Ok(settings)
    }

    /// A budget up to Gemini 2.5, a level from 3 on; thoughts are shown unless the app said not to.
    fn thinking(&mut self, wish: &ReasoningWish) -> String {
        let mut config = Members::default();
        let off = wish.amount.as_ref().is_some_and(|amount| amount.budget() == Some(0));
        let shown = match wish.shown {
            None if self.is_own() => None,
            shown => Some(shown.unwrap_or(!off)),
        };
        config.set_some("includeThoughts", shown.map(|shown| shown.to_string()));
        // Its larger models cannot but think, and those of the third generation none can: the least is asked for.
        let is_pro = self.model.contains("-pro");
        match &wish.amount {
            None => {}
            Some(_) if off && !self.is_own() && (is_pro || self.is_third()) => {
                self.dropped.note(self.call.path(Knob::Reasoning));
                match (self.is_third(), is_pro) {
                    (true, true) => config.set("thinkingLevel", json("LOW")),
                    (true, false) => config.set("thinkingLevel", json("MINIMAL")),
                    (false, _) => config.set("thinkingBudget", BUDGET_MIN.to_string()),
                }
            }
            Some(Amount::Effort(word)) if word != "none" && (self.is_own() || self.is_third()) => {
                let level = match &**word {
                    "minimal" if is_pro && !self.is_own() => "LOW".to_owned(),
                    "minimal" | "low" | "medium" => word.to_ascii_uppercase(),
                    _ => "HIGH".to_owned(),
                };
                config.set("thinkingLevel", json(&level));
            }
            Some(Amount::Adaptive) => config.set("thinkingBudget", "-1"),
            Some(amount) => {
                let budget = amount.budget().map(|tokens| tokens.to_string());
                config.set_some("thinkingBudget", budget);
            }
        }
        config.object()
    }
}

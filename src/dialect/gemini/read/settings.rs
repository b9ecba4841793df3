//! `generationConfig`: how the answer is to be made.

use serde_json::value::RawValue;

use super::{Matter, extra, own, strict, string, wrong};
use crate::dialect::{
    BadRequest,
    call::{Amount, Call, Knob, Output, ReasoningWish},
    gemini::{
        fields::{Fields, elements, text},
        schema::to_json_schema,
    },
};

const PATH: &str = "generationConfig";

pub(super) fn read(raw: &RawValue, call: &mut Call) -> Result<(), BadRequest> {
    let fields = strict(raw, PATH)?;
    output(&fields, call)?;
    for (name, value) in fields.iter() {
        if value.get() == "null" {
            continue;
        }
        let count = || {
            let count = fields.count(name);
            count.ok_or_else(|| wrong(&format!("{PATH}.{name}"), "a whole number"))
        };
        match name {
            "maxOutputTokens" => call.max_output = Some(count()?),
            "candidateCount" => {
                let count = u32::try_from(count()?).ok();
                let path = Knob::Choices.path(call.app);
                call.choices = Some(count.ok_or_else(|| wrong(path, "a small number"))?);
            }
            "stopSequences" => {
                let stop: Option<Vec<String>> = elements(value).into_iter().map(text).collect();
                call.stop =
                    stop.ok_or_else(|| wrong(&format!("{PATH}.{name}"), "a list of strings"))?;
            }
            "thinkingConfig" => call.reasoning = Some(reasoning(value)?),
            "responseMimeType"
            | "responseSchema"
            | "responseJsonSchema"
            | "_responseJsonSchema" => {}
            "responseModalities" => {
                let only_text = elements(value)
                    .into_iter()
                    .all(|it| text(it).is_some_and(|it| it.eq_ignore_ascii_case("text")));
                let matter = if only_text { Matter::Little } else { Matter::Much };
                extra(call, format!("{PATH}.{name}"), value, matter);
            }
            _ => match knob(name) {
                Some(knob) => {
                    call.sampling.insert(knob, value.to_owned());
                }
                None => extra(call, format!("{PATH}.{name}"), value, Matter::Much),
            },
        }
    }
    Ok(())
}

fn knob(name: &str) -> Option<Knob> {
    Some(match name {
        "temperature" => Knob::Temperature,
        "topP" => Knob::TopP,
        "topK" => Knob::TopK,
        "seed" => Knob::Seed,
        "frequencyPenalty" => Knob::FrequencyPenalty,
        "presencePenalty" => Knob::PresencePenalty,
        "responseLogprobs" => Knob::Logprobs,
        "logprobs" => Knob::TopLogprobs,
        _ => return None,
    })
}

fn output(fields: &Fields<'_>, call: &mut Call) -> Result<(), BadRequest> {
    let mime = string(fields, "responseMimeType", PATH)?;
    let schema = ["responseJsonSchema", "_responseJsonSchema"];
    let schema = schema.iter().find_map(|name| fields.get(name)).map(RawValue::to_owned);
    let schema = schema.or_else(|| Some(own(to_json_schema(fields.get("responseSchema")?))));
    match (mime.as_deref(), schema) {
        (None | Some("" | "text/plain"), None) => {}
        (Some("application/json"), None) => call.output = Output::Json,
        (Some("application/json") | None, Some(schema)) => {
            call.output = Output::Schema { name: None, description: None, schema, strict: None };
        }
        (Some(_), _) => {
            for name in
                ["responseMimeType", "responseSchema", "responseJsonSchema", "_responseJsonSchema"]
            {
                if let Some(value) = fields.get(name) {
                    extra(call, format!("{PATH}.{name}"), value, Matter::Much);
                }
            }
        }
    }
    Ok(())
}

fn reasoning(raw: &RawValue) -> Result<ReasoningWish, BadRequest> {
    const PATH: &str = "generationConfig.thinkingConfig";
    let fields = strict(raw, PATH)?;
    let budget = match fields.get("thinkingBudget").map(|raw| raw.get().trim_matches('"')) {
        None => None,
        Some("-1") => Some(Amount::Adaptive),
        Some("0") => Some(Amount::Off),
        Some(_) => match fields.count("thinkingBudget") {
            Some(tokens) => Some(Amount::Budget(tokens)),
            None => return Err(wrong(&format!("{PATH}.thinkingBudget"), "a whole number")),
        },
    };
    let level = string(&fields, "thinkingLevel", PATH)?
        .map(|word| word.to_ascii_lowercase())
        .filter(|word| word != "thinking_level_unspecified");
    Ok(ReasoningWish {
        amount: level.map(Amount::Effort).or(budget),
        shown: fields.get("includeThoughts").map(|raw| raw.get() == "true"),
        encrypted: false,
    })
}

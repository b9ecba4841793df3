//! Writes a call as `ConverseStream`.
//!
//! Converse is one dialect for many makers' models, and some members are only for some of them: [`Family`] tells by the
//! model's id. The members, their names and bounds are those of botocore's service model.

mod claude;
mod family;
mod media;
mod messages;
mod tools;

#[cfg(test)]
mod tests;

use family::Family;

use super::NAME;
use crate::dialect::{
    Call, Unsayable, Upstream,
    call::{Json, Knob, Output},
    ledger::Ledger,
    object::{Object, raw},
};

/// Writes a call for a provider, to be streamed.
pub fn write(call: &Call, model: &str) -> Result<Upstream, Unsayable> {
    let family = Family::of(model);
    let mut ledger = Ledger::new(call, NAME);
    ledger.judge()?;
    let mut body = Object::default();
    let system = messages::system(family, &mut ledger)?;
    if !system.is_empty() {
        body.set("system", system);
    }
    body.set("messages", messages::messages(family, &mut ledger)?);
    let mut fields = Object::default();
    let tools = tools::config(family, &mut ledger, &mut fields)?;
    let mut output = output_format(&ledger)?;
    let config = match family {
        Family::Claude { .. } => {
            claude::settings(model, !tools.is_empty(), &mut ledger, &mut output, &mut fields)
        }
        _ => {
            reasoning(family, &mut ledger, &mut fields);
            sampling(family, &mut ledger, &mut fields)
        }
    };
    for knob in [Knob::Seed, Knob::FrequencyPenalty, Knob::PresencePenalty] {
        if ledger.sampling(knob).is_some() {
            ledger.leave_out_knob(knob);
        }
    }
    body.set_filled("inferenceConfig", inference(config, &ledger));
    body.set_filled("toolConfig", tools);
    body.set_filled("outputConfig", output);
    body.set_filled("additionalModelRequestFields", fields);
    body.set_filled("serviceTier", service_tier(&mut ledger));
    if let Some(labels) = labels(&mut ledger) {
        body.set("requestMetadata", labels);
    }
    Ok(Upstream {
        path: format!("/model/{}/converse-stream", percent_encoded(model)),
        headers: vec![("accept", "application/vnd.amazon.eventstream".to_owned())],
        body: raw(body).get().to_owned().into(),
        dropped: ledger.close(),
    })
}

/// `inferenceConfig`: the numbers of sampling, and what ends the answer.
fn inference(numbers: Object, ledger: &Ledger<'_>) -> Object {
    let mut config = numbers;
    config.set_some("maxTokens", ledger.call.max_output);
    if !ledger.call.stop.is_empty() {
        config.set("stopSequences", &ledger.call.stop);
    }
    config
}

/// The numbers that Converse has words for; those that only some models have go into `fields`.
fn sampling(family: Family, ledger: &mut Ledger<'_>, fields: &mut Object) -> Object {
    let mut config = Object::default();
    match ledger.sampling(Knob::Temperature) {
        // Others go up to 2; the most that Converse takes is 1.
        Some(heat) if heat.get().parse::<f64>().is_ok_and(|heat| heat > 1.0) => {
            ledger.leave_out_knob(Knob::Temperature);
            config.set("temperature", 1);
        }
        heat => config.set_some("temperature", heat),
    }
    config.set_some("topP", ledger.sampling(Knob::TopP));
    if let Some(top_k) = ledger.sampling(Knob::TopK) {
        match family {
            Family::Claude { .. } | Family::Mistral => fields.set("top_k", top_k),
            Family::Nova => fields.set("inferenceConfig", Object::of("topK", top_k)),
            Family::GptOss | Family::Other => ledger.leave_out_knob(Knob::TopK),
        }
    }
    config
}

fn output_format(ledger: &Ledger<'_>) -> Result<Object, Unsayable> {
    match &ledger.call.output {
        Output::Text => Ok(Object::default()),
        Output::Json => {
            let why = "it knows no JSON without a schema; send a JSON schema";
            Err(ledger.refuse_knob(Knob::Output, why))
        }
        Output::Schema { name, description, schema, .. } => {
            // The schema goes as text: so the service model wants it.
            let mut definition = Object::of("schema", schema.get());
            definition.set_some("name", name.as_ref());
            definition.set_some("description", description.as_ref());
            let format = Object::of("type", "json_schema")
                .with("structure", Object::of("jsonSchema", definition));
            Ok(Object::of("textFormat", format))
        }
    }
}

/// Says how hard to think, in the words of the model's maker.
fn reasoning(family: Family, ledger: &mut Ledger<'_>, fields: &mut Object) {
    let wish = ledger.call.reasoning.as_ref().and_then(|wish| wish.amount.as_ref());
    let Some(amount) = wish else { return };
    let effort = amount.effort().unwrap_or("medium");
    let off = effort == "none";
    let three = match effort {
        "none" | "minimal" | "low" => "low",
        "medium" => "medium",
        _ => "high",
    };
    match family {
        Family::Nova if off => fields.set("reasoningConfig", Object::of("type", "disabled")),
        Family::Nova => {
            let config = Object::of("type", "enabled").with("maxReasoningEffort", three);
            fields.set("reasoningConfig", config);
        }
        Family::GptOss => {
            if off {
                // It cannot but think.
                ledger.leave_out_knob(Knob::Reasoning);
            }
            fields.set("reasoning_effort", three);
        }
        Family::Claude { .. } | Family::Mistral | Family::Other => {
            ledger.leave_out_knob(Knob::Reasoning);
        }
    }
}

fn service_tier(ledger: &mut Ledger<'_>) -> Object {
    let Some(tier) = ledger.sampling(Knob::ServiceTier) else { return Object::default() };
    match tier.get().trim_matches('"') {
        tier @ ("priority" | "default" | "flex" | "reserved") => Object::of("type", tier),
        "auto" => Object::default(),
        _ => {
            ledger.leave_out_knob(Knob::ServiceTier);
            Object::default()
        }
    }
}

/// The app's labels, where Bedrock takes them as they are: it filters its invocation logs by them.
fn labels<'c>(ledger: &mut Ledger<'c>) -> Option<&'c Json> {
    let metadata = ledger.call.metadata.as_ref().filter(|labels| labels.get() != "null")?;
    let labels: Option<std::collections::BTreeMap<String, String>> =
        serde_json::from_str(metadata.get()).ok();
    let takes = |text: &String| {
        let allowed = |c: char| {
            c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || ":_@$#=/+,-.".contains(c)
        };
        text.len() <= 256 && text.chars().all(allowed)
    };
    match labels {
        Some(labels) if labels.is_empty() => None,
        Some(labels)
            if labels.len() <= 16
                && labels
                    .iter()
                    .all(|(name, value)| !name.is_empty() && takes(name) && takes(value)) =>
        {
            Some(metadata)
        }
        _ => {
            ledger.leave_out_knob(Knob::Metadata);
            None
        }
    }
}

/// A model's id as one segment of a path: ids hold colons, and those of profiles slashes.
fn percent_encoded(model: &str) -> String {
    let mut encoded = String::with_capacity(model.len() + 8);
    for byte in model.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

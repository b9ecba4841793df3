//! The `response` object: how an answer stands, among the members of the request that the SDKs expect to find again.

use std::collections::HashMap;

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::{RawValue, to_raw_value};

use super::{
    super::{Asked, Dialect},
    NAME, fail,
    output::{IN_PROGRESS, Output},
};
use crate::event::{Failed, Started};

/// Members of the request that a response repeats, and what they are where the app did not say.
const ECHOED: [(&str, &str); 21] = [
    ("background", "false"),
    ("conversation", "null"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt", "null"),
    ("prompt_cache_key", "null"),
    ("prompt_cache_retention", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("service_tier", "null"),
    ("store", "true"),
    ("temperature", "null"),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_p", "null"),
    ("truncation", "\"disabled\""),
    ("user", "null"),
];

/// The id of a generation's response.
pub fn response_id(generation: &str) -> String {
    format!("resp_{}", stem(generation))
}

/// The id of the response to which an item of ours belongs; `None` where it is not one of ours.
pub fn response_of_item(item: &str) -> Option<String> {
    let (stem, number) = item.split_once('_')?.1.rsplit_once('_')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !stem.is_empty()).then(|| response_id(stem))
}

/// What ids of a generation's response and items have in common.
pub(super) fn stem(generation: &str) -> &str {
    generation.strip_prefix("gen_").unwrap_or(generation)
}

/// A response as it stands.
#[derive(Clone, Debug)]
pub(super) struct Response {
    pub id: String,
    /// What its items' ids are made from.
    pub stem: String,
    created_at: u64,
    model: String,
    /// Who speaks.
    pub speaker: Option<Dialect>,
    pub status: &'static str,
    /// Why it is incomplete.
    pub reason: Option<String>,
    pub failed: Option<Failed>,
    pub output: Vec<Output>,
    pub usage: Option<Box<RawValue>>,
    /// Members of the request and their values.
    echo: Vec<(&'static str, Box<RawValue>)>,
}

impl Response {
    pub(super) fn new(asked: &Asked) -> Self {
        let request: HashMap<&str, &RawValue> =
            serde_json::from_slice(&asked.request).unwrap_or_default();
        let told = |name| request.get(name).filter(|value| value.get() != "null");
        let mut echo: Vec<_> = ECHOED
            .into_iter()
            .map(|(name, default)| {
                let value = told(name).map_or(default, |value| value.get());
                (name, RawValue::from_string(value.to_owned()).expect("JSON"))
            })
            .collect();
        echo.push(("text", text(told("text").copied())));
        Self {
            id: String::new(),
            stem: String::new(),
            created_at: 0,
            model: String::new(),
            speaker: None,
            status: IN_PROGRESS,
            reason: None,
            failed: None,
            output: Vec::new(),
            usage: None,
            echo,
        }
    }

    pub(super) fn start(&mut self, started: &Started) {
        if self.id.is_empty() {
            self.id = response_id(&started.id);
        }
        stem(&started.id).clone_into(&mut self.stem);
        self.created_at = started.created_ms / 1000;
        self.model.clone_from(&started.model);
        self.speaker = Dialect::parse(&started.dialect);
    }

    /// A provider of this dialect speaks from here on.
    pub(super) fn follow(&mut self, dialect: &str) {
        self.speaker = Dialect::parse(dialect).or(self.speaker);
    }

    /// Whether the provider spoke this dialect.
    pub(super) fn own(&self) -> bool {
        self.speaker.is_some_and(|dialect| dialect.as_str() == NAME)
    }

    /// Whether the app asked for an answer behind its back.
    pub(super) fn in_background(&self) -> bool {
        self.echo.iter().any(|(name, value)| *name == "background" && value.get() == "true")
    }
}

/// `text` as the SDKs want it, with a format.
fn text(asked: Option<&RawValue>) -> Box<RawValue> {
    const PLAIN: &str = r#"{"type":"text"}"#;
    let mut members: serde_json::Map<String, serde_json::Value> =
        asked.and_then(|asked| serde_json::from_str(asked.get()).ok()).unwrap_or_default();
    let has_format = members.get("format").is_some_and(|format| !format.is_null());
    if let Some(asked) = asked.filter(|_| has_format) {
        return asked.to_owned();
    }
    members.insert("format".to_owned(), serde_json::from_str(PLAIN).expect("JSON"));
    to_raw_value(&members).expect("JSON")
}

impl Serialize for Response {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Error<'a> {
            code: &'static str,
            message: &'a str,
        }
        #[derive(Serialize)]
        struct Details<'a> {
            reason: &'a str,
        }
        let error = self.failed.as_ref();
        let error = error.map(|it| Error { code: fail::code(it), message: fail::message(it) });
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("object", "response")?;
        map.serialize_entry("created_at", &self.created_at)?;
        map.serialize_entry("status", self.status)?;
        map.serialize_entry("error", &error)?;
        let details = self.reason.as_deref().map(|reason| Details { reason });
        map.serialize_entry("incomplete_details", &details)?;
        map.serialize_entry("model", &self.model)?;
        map.serialize_entry("output", &self.output)?;
        for (name, value) in &self.echo {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("usage", &self.usage)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_items_id_names_its_response() {
        for (item, response) in [
            ("msg_plfH-Opv407SllV8pq-hRA_0", Some("resp_plfH-Opv407SllV8pq-hRA")),
            ("rs_a_b-c_12", Some("resp_a_b-c")),
            ("msg_68c1f00ba5e", None),
            ("msg__1", None),
            ("fc_abc_", None),
            ("", None),
        ] {
            assert_eq!(response_of_item(item).as_deref(), response, "{item}");
        }
    }
}

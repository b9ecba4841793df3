//! `docs/configuration.md`: every key of the file, made from the schema, with the defaults of the example.

use std::{collections::BTreeSet, fmt::Write, fs};

use serde_json::{Map, Value};
use tokenway::config::schema;

use crate::in_repository;

const OPENING: &str = "\
# Configuration

Every key that the file may have. This page is made from `config/tokenway.schema.json`, and a test holds it current; the same
file gives editors completion. [`config/tokenway.yaml`](../config/tokenway.yaml) is a commented example of all of it.

`tokenway check FILE` says what is wrong, where, and what would be right. Unknown keys are errors. `${NAME}` in a value stands for
an environment variable, and a missing one is an error; `$$` is a dollar sign. Durations are written `16ms`, `10s`, `5m`, `1h`,
sizes `64KiB`, `8MiB`, `1GiB`. While it serves, the gateway takes a changed file up whole or not at all
([operations.md](operations.md)).
";

/// What the example says of these is the default, which a test of its own holds.
const BY_DEFAULT: [(&str, &str); 9] = [
    ("Listen", "/listen"),
    ("Breaker", "/providers/openai/breaker"),
    ("Timeouts", "/models/fast/timeouts"),
    ("Failover", "/models/fast/failover"),
    ("Channels", "/channels"),
    ("Retention", "/channels/retention"),
    ("OnDisconnect", "/channels/on_disconnect"),
    ("Store", "/store"),
    ("Limits", "/limits"),
];

#[test]
fn the_reference_in_docs_is_current() {
    let path = in_repository("docs/configuration.md");
    let current = reference();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &current).expect("the reference can be written");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == current,
        "docs/configuration.md is out of date; run with UPDATE=1 and commit it"
    );
}

fn reference() -> String {
    let schema: Value = serde_json::from_str(&schema()).expect("a schema is JSON");
    let example = fs::read_to_string(in_repository("config/tokenway.yaml")).expect("an example");
    let example: Value = serde_saphyr::from_str(&example).expect("YAML");
    let mut text = OPENING.to_owned();
    section(&mut text, "The file", &schema, None);
    let (mut told, mut waiting) = (BTreeSet::new(), parts(&schema));
    // What a part is made of follows it.
    while let Some(name) = waiting.first().cloned() {
        waiting.remove(0);
        if !told.insert(name.clone()) {
            continue;
        }
        let part = &schema["$defs"][&name];
        let defaults = BY_DEFAULT.iter().find(|(part, _)| *part == name);
        let defaults = defaults.map(|(_, at)| example.pointer(at).expect("it is in the example"));
        section(&mut text, &name, part, defaults);
        waiting.splice(0..0, parts(part));
    }
    text
}

fn section(text: &mut String, name: &str, part: &Value, defaults: Option<&Value>) {
    writeln!(text, "\n## {name}\n\n{}\n", prose(part)).expect("memory");
    let last = if defaults.is_some() { " default |" } else { "" };
    let rule = if defaults.is_some() { " --- |" } else { "" };
    writeln!(text, "| key | value |{last} says |\n| --- | --- |{rule} --- |").expect("memory");
    let required = part["required"].as_array().cloned().unwrap_or_default();
    for (key, value) in properties(part) {
        let must = if required.contains(&Value::from(key.as_str())) { " **needed**" } else { "" };
        let default = defaults.map_or(String::new(), |all| match &all[key] {
            Value::Null | Value::Object(_) => " |".to_owned(),
            Value::String(text) => format!(" `{text}` |"),
            other => format!(" `{other}` |"),
        });
        let says = prose(value).replace('|', "\\|");
        writeln!(text, "| `{key}`{must} | {} |{default} {says} |", kind(value)).expect("memory");
    }
}

/// The keys of this version: a schema also names those that it knows only to refuse.
fn properties(part: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let all = part["properties"].as_object().into_iter().flat_map(Map::iter);
    all.filter(|(_, value)| value.get("not").is_none())
}

fn prose(value: &Value) -> String {
    value["description"]
        .as_str()
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// The parts that this one names, in their order.
fn parts(part: &Value) -> Vec<String> {
    fn find(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(name)) = members.get("$ref") {
                    found.push(name.rsplit('/').next().unwrap_or_default().to_owned());
                }
                members.values().for_each(|value| find(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| find(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    properties(part).for_each(|(_, value)| find(value, &mut found));
    found
}

/// What may be written there, for people.
fn kind(value: &Value) -> String {
    if let Some(name) = value["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(any) = value["anyOf"].as_array() {
        // `null` and what comes from the environment go without saying.
        return kind(&any[0]);
    }
    if let Some(words) = value["enum"].as_array() {
        let words = words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`"));
        return words.collect::<Vec<_>>().join(", ");
    }
    if let Some(only) = value.get("const") {
        return format!("`{only}`");
    }
    // Of `["array", "null"]`, the first: that it may be left out goes without saying.
    match value["type"].get(0).unwrap_or(&value["type"]).as_str() {
        Some("array") => format!("list of {}", kind(&value["items"])),
        Some("object") => format!("name → {}", kind(&value["additionalProperties"])),
        Some("boolean") => "`true`, `false`".to_owned(),
        Some("integer") => "whole number".to_owned() + &range(value),
        Some("number") => "number".to_owned() + &range(value),
        Some("string") => {
            let pattern = value["pattern"].as_str().unwrap_or_default();
            let forms =
                [("(ms|", "duration"), ("KiB", "size"), ("://", "URL"), (":[0-9]", "address:port")];
            let form = forms.iter().find(|(part, _)| pattern.contains(part));
            form.map_or("text", |(_, name)| name).to_owned()
        }
        other => panic!("what is {other:?}? {value}"),
    }
}

fn range(value: &Value) -> String {
    let least = value["minimum"].as_f64();
    let above = value["exclusiveMinimum"].as_f64();
    match (least, above, value["maximum"].as_f64()) {
        (Some(least), _, Some(most)) if most < 1e6 => format!(", {least} to {most}"),
        (Some(least), ..) if least > 0.0 => format!(", {least} or more"),
        (_, Some(above), _) => format!(" above {above}"),
        _ => String::new(),
    }
}

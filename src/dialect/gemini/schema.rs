//! Google's `Schema` (OpenAPI 3.0, its types in capitals) becomes JSON Schema.

use serde_json::value::RawValue;

use super::fields::{Fields, elements, text};
use crate::dialect::body::json;

/// How deep a schema is read. Google's own bound is lower; what is deeper is left as it is.
const DEPTH_MAX: usize = 64;

/// The JSON Schema that means the same.
pub(super) fn to_json_schema(raw: &RawValue) -> String {
    convert(raw, DEPTH_MAX)
}

fn convert(raw: &RawValue, depth: usize) -> String {
    let schema = if depth == 0 { None } else { Fields::of(raw) };
    let Some(schema) = schema else { return raw.get().to_owned() };
    let convert = |raw: &RawValue| convert(raw, depth - 1);
    let nullable = schema.is_true("nullable");
    let mut members = Vec::new();
    for (name, value) in schema.iter() {
        let value = match name {
            // Said by others, or without meaning for what is valid.
            "nullable" | "propertyOrdering" | "example" => continue,
            "type" => match kind(value, nullable) {
                Some(kind) => kind,
                None => continue,
            },
            "format" if text(value).as_deref() == Some("enum") => continue,
            "properties" | "defs" | "$defs" => each(value, convert),
            "items" | "additionalProperties" => convert(value),
            "anyOf" | "oneOf" | "allOf" | "prefixItems" => {
                let all: Vec<_> = elements(value).into_iter().map(convert).collect();
                format!("[{}]", all.join(","))
            }
            "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties"
            | "maxProperties" => value.get().trim_matches('"').to_owned(),
            _ => value.get().to_owned(),
        };
        let name = match name {
            "defs" => "$defs",
            "ref" => "$ref",
            name => name,
        };
        members.push(format!("{}:{value}", json(name)));
    }
    format!("{{{}}}", members.join(","))
}

/// The members' names are the app's own.
fn each(raw: &RawValue, convert: impl Fn(&RawValue) -> String) -> String {
    let Some(properties) = Fields::verbatim(raw) else { return raw.get().to_owned() };
    let each: Vec<_> = properties
        .iter()
        .map(|(name, schema)| format!("{}:{}", json(name), convert(schema)))
        .collect();
    format!("{{{}}}", each.join(","))
}

fn kind(raw: &RawValue, nullable: bool) -> Option<String> {
    let Some(kind) = text(raw) else { return Some(raw.get().to_owned()) };
    if kind == "TYPE_UNSPECIFIED" {
        return None;
    }
    let kind = json(&kind.to_ascii_lowercase());
    Some(if nullable { format!("[{kind},\"null\"]") } else { kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_without_bottom_is_left_as_it_is_where_it_is_too_deep() {
        let schema = format!("{}1{}", r#"{"items":"#.repeat(100_000), "}".repeat(100_000));
        let raw = RawValue::from_string(schema.clone()).expect("JSON");
        assert_eq!(to_json_schema(&raw), schema);
    }

    #[test]
    fn capitals_and_nullables_become_json_schema() {
        let schema = r#"{"type":"OBJECT","properties":{"max_items":{"type":"ARRAY","min_items":"2","items":{"type":"STRING","nullable":true}},
            "kind":{"type":"STRING","format":"enum","enum":["a"]},"any":{"any_of":[{"type":"INTEGER","minimum":1e400},{"type":"TYPE_UNSPECIFIED"}]}},
            "required":["kind"],"propertyOrdering":["kind"]}"#;
        let expected = r#"{"type":"object","properties":{"max_items":{"type":"array","minItems":2,"items":{"type":["string","null"]}},"kind":{"type":"string","enum":["a"]},"any":{"anyOf":[{"type":"integer","minimum":1e400},{}]}},"required":["kind"]}"#;
        let schema = serde_json::from_str(schema).expect("JSON");
        assert_eq!(to_json_schema(schema), expected);
    }
}

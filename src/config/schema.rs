//! The JSON Schema of the file, for editors: what each kind of scalar looks like.
//!
//! Generated from the very types that read the file; a test holds the copy in `config/` current.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::file::File;

/// The schema as it stands in `config/tokenway.schema.json`.
pub fn schema() -> String {
    let schema = schemars::schema_for!(File);
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
    text.push('\n');
    text
}

/// Any scalar may come from the environment.
const VARIABLE: &str = r"\$\{[A-Za-z0-9_]+\}";

macro_rules! scalar {
    ($(#[$doc:meta])* $name:ident, $schema:expr) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

fn pattern(form: &str) -> Schema {
    json_schema!({ "type": "string", "pattern": format!("^({form}|.*{VARIABLE}.*)$") })
}

fn number(number: Schema) -> Schema {
    json_schema!({ "anyOf": [number, variable()] })
}

fn words(words: &[&str]) -> Schema {
    json_schema!({ "anyOf": [{ "enum": words }, variable()] })
}

fn variable() -> Schema {
    json_schema!({ "type": "string", "pattern": format!("^.*{VARIABLE}.*$") })
}

scalar!(Version, json_schema!({ "anyOf": [{ "const": 1 }, { "const": "1" }] }));
scalar!(Text, json_schema!({ "type": "string" }));
scalar!(Duration, pattern("[0-9]+(ms|s|m|h)"));
scalar!(Size, pattern("[0-9]+(B|KiB|MiB|GiB)"));
scalar!(Address, pattern(r".+:[0-9]+"));
scalar!(HttpUrl, pattern("https?://.+"));
scalar!(HttpsUrl, pattern("https://.+"));
scalar!(DomainName, pattern(r"([A-Za-z0-9-]+\.)*[A-Za-z0-9-]*[A-Za-z][A-Za-z0-9-]*"));
scalar!(Rate, number(json_schema!({ "type": "number", "exclusiveMinimum": 0 })));
scalar!(Whole, number(json_schema!({ "type": "integer", "minimum": 0 })));
scalar!(Weight, number(json_schema!({ "type": "integer", "minimum": 1 })));
scalar!(
    Count,
    json_schema!({ "anyOf": [{ "type": "integer", "minimum": 1 }, { "const": "none" }, variable()] })
);
scalar!(Failures, number(json_schema!({ "type": "integer", "minimum": 1, "maximum": 100 })));
scalar!(Retries, number(json_schema!({ "type": "integer", "minimum": 0, "maximum": 10 })));
scalar!(Money, number(json_schema!({ "type": "number", "minimum": 0, "maximum": 999_999_999 })));
scalar!(ProxyUrl, pattern("(https?|socks5h?)://.+"));
scalar!(Flag, json_schema!({ "anyOf": [{ "type": "boolean" }, variable()] }));
scalar!(
    Dialect,
    words(&["openai", "responses", "anthropic", "gemini", "ollama", "bedrock", "simulator"])
);
scalar!(Policy, words(&["cancel", "grace", "drain"]));
scalar!(OnBreak, words(&["fail", "continue"]));
scalar!(Conventions, words(&["published", "latest"]));
scalar!(Engine, words(&["memory", "disk", "jetstream"]));
scalar!(NatsUrls, pattern("(nats|tls)://.+"));
scalar!(Replicas, number(json_schema!({ "enum": [1, 3, 5] })));

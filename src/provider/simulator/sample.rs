//! Makes a JSON value that a JSON Schema accepts: arguments for tools, and answers in a wanted format.
//!
//! Knows what tools and structured outputs use: types, enum, const, properties, items, `$ref`, anyOf, bounds. Not a
//! validator, and no patterns.

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Map, Value, json};

/// Schemas that contain themselves end here: optional members are left out, lists are empty.
const DEPTH_MAX: usize = 8;

/// A JSON answer: of the schema, or about something.
pub(super) fn answer(schema: Option<&Value>, rng: &mut StdRng) -> Value {
    match schema.filter(|schema| !schema.is_null()) {
        Some(schema) => instance(schema, rng),
        None => json!({
            "title": words("title", rng),
            "summary": words("summary", rng),
            "seq": rng.random_range(1..500),
            "complete": true,
            "languages": ["English", "Deutsch", "日本語", "العربية", "हिन्दी"],
            "author": { "name": words("name", rng), "city": words("city", rng) },
        }),
    }
}

/// A value that the schema accepts.
pub(super) fn instance(schema: &Value, rng: &mut StdRng) -> Value {
    Sampler { root: schema, rng }.value(schema, "", 0)
}

struct Sampler<'a> {
    root: &'a Value,
    rng: &'a mut StdRng,
}

impl Sampler<'_> {
    fn value(&mut self, schema: &Value, name: &str, depth: usize) -> Value {
        if depth > 4 * DEPTH_MAX {
            return Value::Null;
        }
        if let Some(path) = schema["$ref"].as_str() {
            let target = self.root.pointer(path.trim_start_matches('#')).cloned();
            return self.value(&target.unwrap_or_default(), name, depth + 1);
        }
        if let Some(constant) = schema.get("const") {
            return constant.clone();
        }
        if let Some(values) = schema["enum"].as_array() {
            return values.choose(self.rng).cloned().unwrap_or_default();
        }
        let variants = ["anyOf", "oneOf"].iter().find_map(|key| schema[*key].as_array());
        if let Some(variants) = variants {
            // The last variant of a schema that contains itself is usually null.
            let picked = match depth > DEPTH_MAX {
                true => variants.last(),
                false => variants.choose(self.rng),
            };
            return self.value(&picked.cloned().unwrap_or_default(), name, depth + 1);
        }
        let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
        match kind {
            Some("string") => Value::from(self.string(schema, name)),
            Some("integer") => Value::from(self.integer(schema)),
            Some("number") => Value::from(self.integer(schema) as f64),
            Some("boolean") => Value::from(self.rng.random::<bool>()),
            Some("array") => self.array(schema, name, depth),
            Some("null") => Value::Null,
            Some("object") => self.object(schema, depth),
            _ if schema["properties"].is_object() => self.object(schema, depth),
            _ => Value::from(words(name, self.rng)),
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let required = schema["required"].as_array();
        let required = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
        let mut members = Map::new();
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            if required(name) || (depth < DEPTH_MAX && self.rng.random_bool(0.7)) {
                members.insert(name.clone(), self.value(member, name, depth + 1));
            }
        }
        Value::Object(members)
    }

    fn array(&mut self, schema: &Value, name: &str, depth: usize) -> Value {
        let least = schema["minItems"].as_u64().unwrap_or(0).min(64);
        let most = schema["maxItems"].as_u64().unwrap_or(least.max(3)).min(64).max(least);
        let length = match depth < DEPTH_MAX {
            true => self.rng.random_range(least..=most),
            false => least,
        };
        (0..length).map(|_| self.value(&schema["items"], name, depth + 1)).collect()
    }

    fn integer(&mut self, schema: &Value) -> i64 {
        let bound = |names: [&str; 2], step: f64| {
            let inclusive = schema[names[0]].as_f64();
            inclusive.or_else(|| schema[names[1]].as_f64().map(|bound| bound + step))
        };
        let least = bound(["minimum", "exclusiveMinimum"], 1.0).map(|bound| bound.ceil() as i64);
        let most = bound(["maximum", "exclusiveMaximum"], -1.0).map(|bound| bound.floor() as i64);
        let (least, most) = match (least, most) {
            (Some(least), Some(most)) => (least, most.max(least)),
            (Some(least), None) => (least, least.saturating_add(100)),
            (None, Some(most)) => (most.saturating_sub(100), most),
            (None, None) => (0, 100),
        };
        self.rng.random_range(least..=most)
    }

    fn string(&mut self, schema: &Value, name: &str) -> String {
        match schema["format"].as_str() {
            Some("date") => return self.date(),
            Some("date-time") => return format!("{}T09:30:00Z", self.date()),
            Some("uri" | "url") => return "https://example.com/log/217".to_owned(),
            Some("email") => return "reader@example.com".to_owned(),
            _ => {}
        }
        let mut text = match name.contains("date") {
            true => self.date(),
            false => words(name, self.rng).to_owned(),
        };
        let least = schema["minLength"].as_u64().unwrap_or(0).min(4096) as usize;
        while text.chars().count() < least {
            text.push('.');
        }
        match schema["maxLength"].as_u64() {
            Some(most) => text.chars().take(most as usize).collect(),
            None => text,
        }
    }

    fn date(&mut self) -> String {
        let (month, day) = (self.rng.random_range(1..=12), self.rng.random_range(1..=28));
        format!("2026-{month:02}-{day:02}")
    }
}

/// Words that suit a member of this name.
fn words(name: &str, rng: &mut StdRng) -> &'static str {
    let name = name.to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let choice: &[&str] = if has(&["city", "location", "place", "destination", "origin"]) {
        &["Lisboa", "Zürich", "東京", "Reykjavík", "São Paulo", "मुंबई"]
    } else if has(&["country"]) {
        &["Portugal", "日本", "Ísland", "مصر", "भारत"]
    } else if has(&["unit"]) {
        &["celsius", "metric"]
    } else if has(&["name", "author", "user"]) {
        &["Ada Lovelace", "Grace Hopper", "Gödel Émile", "佐藤 花子", "ليلى حداد"]
    } else if has(&["query", "question", "search", "prompt"]) {
        &["how a reader finds its place again", "tides in Saint-Malo", "the last ferry tonight"]
    } else if has(&["title", "subject"]) {
        &["The log is the waist", "After the tunnel", "Every word, once"]
    } else if has(&["summary", "description", "text", "body", "message", "content", "answer"]) {
        &[
            "What was said is written down; what is written down can be read again.",
            "A reader who was away asks for what came after, and gets exactly that.",
        ]
    } else if has(&["language", "lang", "locale"]) {
        &["en", "de", "ja", "ar", "hi"]
    } else if has(&["id"]) {
        &["chat-42", "log-217", "river-7"]
    } else {
        &["tide", "ferry", "lantern", "harbour", "compass"]
    };
    choice.choose(rng).copied().expect("there are words")
}

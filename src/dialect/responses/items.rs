//! What kinds of item there are, who runs them, and what of them is arguments.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use serde_json::{Value, value::RawValue};

use super::frame::{Item, Raw, copy, text, text_or_json, word};
use crate::event::{EVENT_BYTES_MAX, RunBy};

/// Padding or none: both are sent.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Of an item that is too long for an event, strings up to this many bytes stay.
const STRING_BYTES_MAX: usize = 1024;

/// How an item is told in events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// Text and refusals.
    Message,
    /// Reasoning.
    Reasoning,
    /// A function that the app runs; its arguments are JSON.
    Function,
    /// A tool of the app whose input is free text.
    Custom,
    /// A tool that the provider runs.
    Server,
    /// A tool of a kind of its own that the app runs: told when it is complete.
    Special,
    /// Anything else: told as it came.
    Other,
}

impl Sort {
    pub(super) fn of(item: &Item<'_>) -> Self {
        match &*word(item.kind) {
            "message" => Self::Message,
            "reasoning" => Self::Reasoning,
            "function_call" => Self::Function,
            "custom_tool_call" => Self::Custom,
            "computer_call" | "local_shell_call" | "apply_patch_call" => Self::Special,
            "shell_call" if is_container(item.environment) => Self::Server,
            "shell_call" => Self::Special,
            "mcp_approval_request" => Self::Other,
            kind if kind.starts_with("mcp_") || kind.ends_with("_call") => Self::Server,
            _ => Self::Other,
        }
    }

    /// Who runs it; `None` where it is no call.
    pub(super) fn run_by(self) -> Option<RunBy> {
        match self {
            Self::Function | Self::Custom | Self::Special => Some(RunBy::Client),
            Self::Server => Some(RunBy::Server),
            Self::Message | Self::Reasoning | Self::Other => None,
        }
    }
}

/// The shell of a container is the provider's, any other the app's.
fn is_container(environment: Raw<'_>) -> bool {
    environment.is_some_and(|raw| raw.get().contains("container"))
}

/// The name of the tool that an item calls.
pub(super) fn tool(item: &Item<'_>) -> String {
    text(item.name).unwrap_or_else(|| {
        let kind = word(item.kind);
        kind.strip_suffix("_call").unwrap_or(&kind).to_owned()
    })
}

/// What a tool is called with, where the finished item says it.
pub(super) fn arguments(item: &Item<'_>) -> Option<String> {
    let members =
        [item.arguments, item.input, item.code, item.action, item.operation].into_iter().flatten();
    members.map(Some).find_map(text_or_json).or_else(|| {
        let queries = item.queries?.get();
        Some(format!("{{\"queries\":{queries}}}"))
    })
}

/// An item as it came, without what is said elsewhere (an image) and, where it is too long, without its long strings.
pub(super) fn told(raw: &RawValue, item: &Item<'_>) -> Bytes {
    let image = item.result.is_some_and(|result| result.get().starts_with('"'));
    if !image && raw.get().len() < EVENT_BYTES_MAX / 2 {
        return copy(raw);
    }
    let Ok(mut value) = serde_json::from_str::<Value>(raw.get()) else { return copy(raw) };
    if image && let Some(members) = value.as_object_mut() {
        members.remove("result");
    }
    if raw.get().len() >= EVENT_BYTES_MAX / 2 {
        shorten(&mut value);
    }
    value.to_string().into()
}

fn shorten(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > STRING_BYTES_MAX => text.clear(),
        Value::Array(values) => values.iter_mut().for_each(shorten),
        Value::Object(members) => members.values_mut().for_each(shorten),
        _ => {}
    }
}

/// The finished image of an item: its MIME type and bytes.
pub(super) fn image(item: &Item<'_>) -> Option<(String, Bytes)> {
    let data = lenient(&text(item.result)?);
    let format = word(item.output_format);
    let mime = match (&*format, &data[..]) {
        ("", [0xFF, 0xD8, ..]) => "jpeg",
        ("", [b'R', b'I', b'F', b'F', ..]) => "webp",
        ("", _) => "png",
        (format, _) => format,
    };
    Some((format!("image/{mime}"), data))
}

/// Base64 as the SDKs' languages read it: what is no digit is passed over, and a digit too many at the end.
fn lenient(text: &str) -> Bytes {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let mut digits: Vec<u8> = text.bytes().filter(is_digit).collect();
    if digits.len() % 4 == 1 {
        digits.pop();
    }
    BASE64.decode(digits).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::responses::frame::read;

    fn item(json: &str) -> Item<'_> {
        read(Some(serde_json::from_str(json).expect(json)))
    }

    #[test]
    fn who_runs_a_call_is_known_by_its_kind() {
        use RunBy::{Client, Server};
        for (json, run_by, name) in [
            (r#"{"type":"function_call","name":"add"}"#, Some(Client), "add"),
            (r#"{"type":"custom_tool_call","name":"sh"}"#, Some(Client), "sh"),
            (r#"{"type":"computer_call"}"#, Some(Client), "computer"),
            (r#"{"type":"web_search_call"}"#, Some(Server), "web_search"),
            (r#"{"type":"mcp_call","name":"ask"}"#, Some(Server), "ask"),
            (r#"{"type":"mcp_list_tools"}"#, Some(Server), "mcp_list_tools"),
            (r#"{"type":"mcp_approval_request","name":"ask"}"#, None, "ask"),
            (r#"{"type":"shell_call","environment":{"type":"local"}}"#, Some(Client), "shell"),
            (
                r#"{"type":"shell_call","environment":{"type":"container_reference"}}"#,
                Some(Server),
                "shell",
            ),
            (r#"{"type":"compaction"}"#, None, "compaction"),
        ] {
            let item = item(json);
            assert_eq!((Sort::of(&item).run_by(), &*tool(&item)), (run_by, name), "{json}");
        }
    }

    #[test]
    fn arguments_are_found_whatever_they_are_called() {
        for (json, found) in [
            (r#"{"arguments":"{\"a\": 1}"}"#, Some(r#"{"a": 1}"#)),
            (r#"{"input":"SELECT 1"}"#, Some("SELECT 1")),
            (r#"{"code":null,"action":{"type":"search"}}"#, Some(r#"{"type":"search"}"#)),
            (r#"{"queries":["a"]}"#, Some(r#"{"queries":["a"]}"#)),
            ("{}", None),
        ] {
            assert_eq!(arguments(&item(json)).as_deref(), found, "{json}");
        }
    }

    #[test]
    fn an_item_is_told_without_its_image_and_shortened_where_it_must_be() {
        let json = r#"{"type":"image_generation_call","id":"ig_1","result":"iVBORw=="}"#;
        let raw = serde_json::from_str(json).expect("JSON");
        assert_eq!(told(raw, &item(json)), r#"{"type":"image_generation_call","id":"ig_1"}"#);
        assert_eq!(
            image(&item(json)),
            Some(("image/png".to_owned(), Bytes::from_static(b"\x89PNG")))
        );
        let (_, odd) = image(&item(r#"{"result":"iVBO\u2026Rw=\n="}"#)).expect("an image");
        assert_eq!(odd, &b"\x89PNG"[..]);
        let long = "x".repeat(EVENT_BYTES_MAX);
        let json = format!(
            r#"{{"type":"code_interpreter_call","outputs":[{{"url":"{long}"}}],"id":"a"}}"#
        );
        let raw = serde_json::from_str(&json).expect("JSON");
        assert_eq!(
            told(raw, &item(&json)),
            r#"{"type":"code_interpreter_call","outputs":[{"url":""}],"id":"a"}"#
        );
    }
}

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dialect::{
    Dialect, Sealed,
    call::{Amount, Output, Part, PartKind, Role, Source},
    seal,
};

fn read(body: &Value) -> Call {
    call(body.to_string().as_bytes()).expect("a call")
}

fn refused(body: &Value) -> (String, String) {
    let error = call(body.to_string().as_bytes()).expect_err("refused");
    (error.param.clone().unwrap_or_default(), error.to_string())
}

/// A turn's parts, each in a few words.
fn words(parts: &[Part]) -> Vec<String> {
    let blob = |kind: &str, blob: &crate::dialect::call::Blob| {
        format!("{kind} {} {:?}", blob.mime.as_deref().unwrap_or("?"), blob.source)
    };
    let word = |part: &Part| match &part.kind {
        PartKind::Text(text) => format!("text {text}"),
        PartKind::Reasoning(it) => {
            let origin = it.origin.map_or("nobody", Dialect::as_str);
            format!("thought {} {}{} {origin}", it.text, it.signature, it.encrypted)
        }
        PartKind::ToolCall(it) => format!("call {} {} {}", it.id, it.name, it.arguments),
        PartKind::ToolResult(it) => {
            let error = if it.is_error { " failed" } else { "" };
            format!("result {} {}{error} {}", it.id, it.name, words(&it.content).join(", "))
        }
        PartKind::Image(it) => blob("image", it),
        PartKind::Document(it) => blob("document", it),
        PartKind::Audio(it) => blob("audio", it),
        PartKind::Video(it) => blob("video", it),
        PartKind::Native(raw) => format!("native {}", raw.get()),
        PartKind::Refusal(text) => format!("refusal {text}"),
    };
    parts.iter().map(word).collect()
}

#[test]
fn both_spellings_say_the_same_call() {
    let camel = json!({
        "systemInstruction": { "parts": { "text": "be brief" } },
        "contents": { "role": "user", "parts": { "inlineData": { "mimeType": "image/png", "data": "-_8" } } },
        "generationConfig": {
            "maxOutputTokens": 7, "stopSequences": ["x"], "topK": 40, "responseMimeType": "application/json",
            "thinkingConfig": { "thinkingBudget": 0, "includeThoughts": false },
        },
        "toolConfig": { "functionCallingConfig": { "mode": "ANY", "allowedFunctionNames": ["a"] } },
    });
    let snake = json!({
        "system_instruction": { "parts": [{ "text": "be brief" }] },
        "contents": [{ "parts": [{ "inline_data": { "mime_type": "image/png", "data": "+/8=" } }] }],
        "generation_config": {
            "max_output_tokens": "7", "stop_sequences": ["x"], "top_k": 40, "response_mime_type": "application/json",
            "thinking_config": { "thinking_budget": 0, "include_thoughts": false },
        },
        "tool_config": { "function_calling_config": { "mode": "any", "allowed_function_names": ["a"] } },
    });
    for body in [camel, snake] {
        let call = read(&body);
        assert_eq!(words(&call.system), ["text be brief"]);
        assert_eq!(words(&call.turns[0].parts), ["image image/png Base64(\"+/8=\")"]);
        assert_eq!(call.turns[0].parts[0].path, "contents[0].parts[0]");
        assert_eq!((call.max_output, &call.stop[..]), (Some(7), &["x".to_owned()][..]));
        assert_eq!(call.sampling[&Knob::TopK].get(), "40");
        assert!(matches!(call.output, Output::Json));
        let reasoning = call.reasoning.expect("a wish");
        assert_eq!((reasoning.amount, reasoning.shown), (Some(Amount::Off), Some(false)));
        assert_eq!(call.tool_choice, Some(ToolChoice::Named("a".into())));
        assert!(call.extras.is_empty());
    }
}

#[test]
fn a_conversation_with_tools_and_thoughts_is_read_in_place() {
    let sealed = seal(Dialect::Anthropic, Sealed::Signature, "s+/==");
    let redacted = seal(Dialect::Anthropic, Sealed::Encrypted, "r");
    let body = json!({ "contents": [
        { "role": "user", "parts": [{ "text": "add" }] },
        { "role": "model", "parts": [
            { "text": "h", "thought": true }, { "text": "m", "thought": true },
            { "text": "", "thought": true, "thoughtSignature": sealed },
            { "text": "", "thought": true, "thoughtSignature": redacted },
            { "text": "so", "thoughtSignature": "own" },
            { "functionCall": { "name": "add", "args": { "x": 1 } }, "thoughtSignature": "own2" },
            { "functionCall": { "name": "add", "args": { "x": 2 }, "id": "c9" } },
            { "executableCode": { "code": "1" } },
        ] },
        { "role": "function", "parts": [
            { "functionResponse": { "name": "add", "response": { "result": 3 } } },
            { "functionResponse": { "id": "c9", "response": { "error": "no" }, "parts": [
                { "inlineData": { "mimeType": "image/png", "data": "AAAA" } } ] } },
        ] },
        { "role": "user", "parts": [{ "text": "go on" }] },
    ] });
    let call = read(&body);
    let roles: Vec<_> = call.turns.iter().map(|turn| turn.role).collect();
    assert_eq!(
        roles,
        [Role::User, Role::Assistant, Role::User],
        "neighbours of a role are one turn"
    );
    assert_eq!(
        words(&call.turns[1].parts),
        [
            "thought hm s+/== anthropic",
            "thought  r anthropic",
            "text so",
            "thought  own gemini",
            "thought  own2 gemini",
            "call call_0 add {\"x\":1}",
            "call c9 add {\"x\":2}",
            "native {\"executableCode\":{\"code\":\"1\"}}",
        ]
    );
    assert_eq!(
        words(&call.turns[2].parts),
        [
            "result call_0 add text 3",
            "result c9 add failed text no, image image/png Base64(\"AAAA\")",
            "text go on",
        ]
    );
}

#[test]
fn seals_are_opened_in_either_alphabet_and_empty_parts_say_nothing() {
    let signature = "~~~???>>>é";
    let sealed = seal(Dialect::Anthropic, Sealed::Signature, signature);
    let url_safe = sealed.replace('+', "-").replace('/', "_");
    assert_ne!(sealed, url_safe, "the alphabets differ here");
    for sealed in [sealed, url_safe] {
        let call = read(&json!({ "contents": [{ "role": "model", "parts": [
            { "text": "h", "thought": true, "thoughtSignature": sealed }, { "text": "" } ] }] }));
        assert_eq!(words(&call.turns[0].parts), [format!("thought h {signature} anthropic")]);
    }
}

#[test]
fn files_are_known_by_where_they_are() {
    let own = "https://generativelanguage.googleapis.com/v1beta/files/x";
    for (uri, mime, source) in [
        (
            "https://example.org/a.png",
            Some("image/png"),
            Source::Url("https://example.org/a.png".into()),
        ),
        ("gs://b/a.pdf", Some("application/pdf"), Source::File("gs://b/a.pdf".into())),
        (own, Some("audio/mp3"), Source::File(own.into())),
        ("https://youtu.be/x", None, Source::Url("https://youtu.be/x".into())),
    ] {
        let file = json!({ "fileUri": uri, "mimeType": mime });
        let call = read(&json!({ "contents": [{ "parts": [{ "fileData": file }] }] }));
        let (PartKind::Image(blob)
        | PartKind::Document(blob)
        | PartKind::Audio(blob)
        | PartKind::Video(blob)) = &call.turns[0].parts[0].kind
        else {
            panic!("no file")
        };
        assert_eq!((blob.mime.as_deref(), &blob.source), (mime, &source));
    }
}

#[test]
fn tools_are_functions_or_native() {
    let call = read(&json!({
        "tools": [
            { "functionDeclarations": [
                { "name": "a", "description": "A", "parameters": { "type": "OBJECT", "properties": { "x_y": { "type": "STRING" } } } },
                { "name": "b", "parametersJsonSchema": { "type": "object", "max_x": 1 } },
                { "name": "c" },
            ] },
            { "googleSearch": {}, "code_execution": {} },
        ],
        "toolConfig": { "functionCallingConfig": { "mode": "VALIDATED", "allowedFunctionNames": ["a", "b"] } },
    }));
    let said: Vec<_> = call
        .tools
        .iter()
        .map(|tool| match tool {
            Tool::Function(it) => {
                let schema = it.parameters.as_ref().map_or("none", |schema| schema.get());
                format!("{} {} {schema}", it.path, it.name)
            }
            Tool::Native { path, value } => format!("{path} {}", value.get()),
        })
        .collect();
    assert_eq!(
        said,
        [
            r#"tools[0].functionDeclarations[0] a {"type":"object","properties":{"x_y":{"type":"string"}}}"#,
            r#"tools[0].functionDeclarations[1] b {"type":"object","max_x":1}"#,
            "tools[0].functionDeclarations[2] c none",
            r#"tools[1].googleSearch {"googleSearch":{}}"#,
            r#"tools[1].codeExecution {"codeExecution":{}}"#,
        ]
    );
    let names = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(call.tool_choice, Some(ToolChoice::Among { names, required: false }));
}

#[test]
fn what_has_no_shared_word_is_kept_with_how_much_it_matters() {
    let call = read(&json!({
        "cachedContent": "cachedContents/x", "safetySettings": [], "labels": { "a": "b" }, "model": "models/x",
        "generationConfig": { "responseModalities": ["TEXT"], "speechConfig": {}, "seed": 7, "topP": null },
        "toolConfig": { "retrievalConfig": {} },
    }));
    let extras: Vec<_> = call.extras.iter().map(|extra| (&*extra.path, extra.harmless)).collect();
    assert_eq!(
        extras,
        [
            ("cachedContent", false),
            ("safetySettings", true),
            ("generationConfig.responseModalities", true),
            ("generationConfig.speechConfig", false),
            ("toolConfig.retrievalConfig", false),
        ]
    );
    assert_eq!(call.metadata.expect("labels").get(), r#"{"a":"b"}"#);
    assert_eq!(call.sampling.len(), 1);
    let image = json!({ "generationConfig": { "responseModalities": ["TEXT", "IMAGE"] } });
    assert!(!read(&image).extras[0].harmless);
}

#[test]
fn what_is_wrong_is_named_by_its_place() {
    for (body, param) in [
        (json!({ "contents": [7] }), "contents[0]"),
        (json!({ "contents": [{ "role": "robot" }] }), "contents[0].role"),
        (json!({ "contents": [{ "parts": [{ "text": 7 }] }] }), "contents[0].parts[0].text"),
        (
            json!({ "contents": [{ "parts": [{ "inlineData": { "data": "?" } }] }] }),
            "contents[0].parts[0].inlineData.data",
        ),
        (
            json!({ "contents": [{ "parts": [{ "functionCall": { "name": "a", "args": [] } }] }] }),
            "contents[0].parts[0].functionCall.args",
        ),
        (
            json!({ "tools": [{ "functionDeclarations": [{}] }] }),
            "tools[0].functionDeclarations[0].name",
        ),
        (
            json!({ "generationConfig": { "maxOutputTokens": "x" } }),
            "generationConfig.maxOutputTokens",
        ),
        (
            json!({ "toolConfig": { "functionCallingConfig": { "mode": "SOME" } } }),
            "toolConfig.functionCallingConfig.mode",
        ),
        (json!({ "generationConfig": { "topK": 1, "top_k": 2 } }), "generationConfig.topK"),
    ] {
        let (found, message) = refused(&body);
        assert_eq!(found, param);
        assert!(message.starts_with(param), "{message}");
    }
}

/// JSON of the kind apps might send, right and wrong.
fn body() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i32>().prop_map(|value| json!(value)),
        "[a-z_é]{0,4}".prop_map(|value| json!(value)),
        Just(json!("user")),
    ];
    const NAMES: [&str; 24] = [
        "contents",
        "parts",
        "role",
        "text",
        "thought",
        "thoughtSignature",
        "functionCall",
        "name",
        "args",
        "functionResponse",
        "response",
        "inlineData",
        "data",
        "mimeType",
        "systemInstruction",
        "tools",
        "functionDeclarations",
        "parameters",
        "type",
        "generationConfig",
        "thinkingConfig",
        "toolConfig",
        "functionCallingConfig",
        "mode",
    ];
    leaf.prop_recursive(6, 48, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|list| json!(list)),
            prop::collection::btree_map(prop::sample::select(&NAMES[..]), inner, 0..5)
                .prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_an_app_sends_is_read_or_refused_by_name(contents in body(), config in body(), tools in body()) {
        let body = json!({ "contents": contents, "generationConfig": config, "tools": tools });
        match call(body.to_string().as_bytes()) {
            Ok(call) => {
                // What was read can be written, or refused by name.
                if let Err(error) = super::super::write(&call, "gemini-3-pro") {
                    prop_assert!(!error.path.is_empty());
                }
            }
            Err(error) => prop_assert!(error.param.is_some()),
        }
    }
}

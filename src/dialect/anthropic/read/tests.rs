use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dialect::{
    Dialect, Sealed,
    call::{Source, Thought},
    seal,
};

fn read(body: &Value) -> Call {
    call(body.to_string().as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"))
}

/// A call with one user's turn, and what else `body` says.
fn with(body: Value) -> Call {
    let mut whole = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in body.as_object().expect("an object") {
        whole[name] = value.clone();
    }
    read(&whole)
}

/// The parts of one message's content.
fn parts(content: Value) -> Vec<Part> {
    let call = read(&json!({"messages": [{"role": "user", "content": content}]}));
    call.turns.into_iter().flat_map(|turn| turn.parts).collect()
}

fn problem(body: &Value) -> (String, String) {
    let error = call(body.to_string().as_bytes()).expect_err("a problem");
    (error.param.clone().unwrap_or_default(), error.to_string())
}

/// Extras: their paths, and whether they are harmless.
fn extras(call: &Call) -> Vec<(&str, bool)> {
    call.extras.iter().map(|extra| (&*extra.path, extra.harmless)).collect()
}

#[test]
fn a_conversation_keeps_its_order_and_every_part_its_place() {
    let call = read(&json!({
        "model": "m", "stream": true, "max_tokens": 9,
        "system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [
                {"type": "text", "text": "well", "citations": [{"type": "char_location"}]},
                {"type": "tool_use", "id": "t", "name": "add", "input": {"x": 1.10}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": "3", "is_error": true},
            ]},
            {"role": "user", "content": [{"type": "text", "text": "go on"}]},
        ],
    }));
    assert_eq!(call.max_output, Some(9));
    assert_eq!(call.system[0].cache.as_ref().map(|it| it.get()), Some(r#"{"type":"ephemeral"}"#));
    let said: Vec<_> = call
        .turns
        .iter()
        .map(|turn| (turn.role, turn.parts.iter().map(|it| &*it.path).collect::<Vec<_>>()))
        .collect();
    let expected = [
        (Role::User, vec!["messages[0].content"]),
        (Role::Assistant, vec!["messages[1].content[0]", "messages[1].content[1]"]),
        (Role::User, vec!["messages[2].content[0]", "messages[3].content[0]"]),
    ];
    assert_eq!(said, expected);
    let PartKind::ToolCall(past) = &call.turns[1].parts[1].kind else { panic!() };
    assert_eq!((&*past.id, &*past.name), ("t", "add"));
    let PartKind::ToolResult(result) = &call.turns[2].parts[0].kind else { panic!() };
    assert_eq!((&*result.id, &*result.name, result.is_error), ("t", "add", true));
    assert_eq!(extras(&call), [("messages[1].content[0].citations", true)]);
}

#[test]
fn arguments_keep_their_bytes() {
    let body = r#"{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"n","input":{ "x": 90071992547409931.10 }}]}]}"#;
    let call = call(body.as_bytes()).expect("read");
    let PartKind::ToolCall(past) = &call.turns[0].parts[0].kind else { panic!() };
    assert_eq!(past.arguments, "{ \"x\": 90071992547409931.10 }");
    let cut =
        json!({"type": "tool_use", "id": "t", "name": "n", "input": {"INVALID_JSON": "{\"x"}});
    let PartKind::ToolCall(past) = &parts(json!([cut]))[0].kind else { panic!() };
    assert_eq!(past.arguments, "{\"x");
}

#[test]
fn images_and_documents_are_read_from_every_source() {
    let parts = parts(json!([
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "document", "title": "T", "context": "why",
         "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
        {"type": "document", "source": {"type": "content", "content": [
            {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "image"}]}},
    ]));
    let sources: Vec<_> = parts
        .iter()
        .map(|part| match &part.kind {
            PartKind::Image(blob) | PartKind::Document(blob) => Some(blob.source.clone()),
            _ => None,
        })
        .collect();
    let expected = [
        Some(Source::Base64("AA==".into())),
        Some(Source::Url("https://x/y.png".into())),
        Some(Source::File("file_1".into())),
        None,
        Some(Source::Text("words".into())),
        Some(Source::Text("a\nb".into())),
        None,
    ];
    assert_eq!(sources, expected);
    assert!(matches!(&parts[3].kind, PartKind::Text(context) if context == "why"));
    assert!(matches!(&parts[6].kind, PartKind::Native(_)));
}

#[test]
fn thoughts_remember_who_thought_them() {
    let sealed = seal(Dialect::Gemini, Sealed::Signature, "g");
    let encrypted = seal(Dialect::Responses, Sealed::Encrypted, "r");
    let parts = parts(json!([
        {"type": "thinking", "thinking": "own", "signature": "s+/=="},
        {"type": "thinking", "thinking": "", "signature": sealed},
        {"type": "redacted_thinking", "data": encrypted},
        {"type": "redacted_thinking", "data": "r+/=="},
        {"type": "thinking", "thinking": "unsigned", "signature": ""},
    ]));
    let thoughts: Vec<_> = parts
        .into_iter()
        .map(|part| match part.kind {
            PartKind::Reasoning(thought) => thought,
            other => panic!("{other:?}"),
        })
        .collect();
    let thought = |text: &str, signature: &str, encrypted: &str, origin| {
        let own = str::to_owned;
        let (text, signature, encrypted) = (own(text), own(signature), own(encrypted));
        Thought { text, signature, encrypted, id: None, origin }
    };
    let expected = [
        thought("own", "s+/==", "", Some(Dialect::Anthropic)),
        thought("", "g", "", Some(Dialect::Gemini)),
        thought("", "", "r", Some(Dialect::Responses)),
        thought("", "", "r+/==", Some(Dialect::Anthropic)),
        thought("unsigned", "", "", None),
    ];
    assert_eq!(thoughts, expected);
}

#[test]
fn blocks_of_tools_that_the_provider_ran_stay_as_they_came() {
    let parts = parts(json!([
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
    ]));
    assert!(parts.iter().all(|part| matches!(part.kind, PartKind::Native(_))));
}

#[test]
fn tools_are_functions_or_native() {
    let call = with(json!({
        "tools": [
            {"name": "add", "description": "d", "input_schema": {"type": "object"}, "strict": true,
             "cache_control": {"type": "ephemeral"}, "input_examples": [1]},
            {"type": "web_search_20250305", "name": "web_search"},
            {"type": "custom", "name": "mul", "input_schema": {}, "allowed_callers": ["direct"]},
            {"name": "sub", "input_schema": {}, "allowed_callers": ["code_execution_20250825"]},
        ],
        "tool_choice": {"type": "tool", "name": "add", "disable_parallel_tool_use": true},
    }));
    let Tool::Function(add) = &call.tools[0] else { panic!() };
    assert_eq!((add.strict, add.cache.is_some(), &*add.path), (Some(true), true, "tools[0]"));
    assert!(matches!(&call.tools[1], Tool::Native { path, .. } if path == "tools[1]"));
    assert_eq!(call.tool_choice, Some(ToolChoice::Named("add".into())));
    assert_eq!(call.parallel_tools, Some(false));
    let expected = [
        ("tools[0].input_examples", true),
        ("tools[2].allowed_callers", true),
        ("tools[3].allowed_callers", false),
    ];
    assert_eq!(extras(&call), expected);
}

#[test]
fn thinking_and_effort_are_one_wish() {
    let wish = |body| with(body).reasoning;
    let said = |amount, shown| {
        Some(ReasoningWish { amount: Some(amount), shown, ..ReasoningWish::default() })
    };
    assert_eq!(wish(json!({})), None);
    assert_eq!(
        wish(json!({"thinking": {"type": "enabled", "budget_tokens": 2000}})),
        said(Amount::Budget(2000), Some(true))
    );
    assert_eq!(wish(json!({"thinking": {"type": "disabled"}})), said(Amount::Off, None));
    let adaptive = json!({"type": "adaptive", "display": "omitted"});
    assert_eq!(wish(json!({"thinking": adaptive})), said(Amount::Adaptive, Some(false)));
    assert_eq!(
        wish(json!({"thinking": adaptive, "output_config": {"effort": "max"}})),
        said(Amount::Effort("max".into()), Some(false))
    );
    assert_eq!(
        wish(json!({"output_config": {"effort": "low"}})),
        said(Amount::Effort("low".into()), None)
    );
    let both = with(json!({
        "thinking": {"type": "enabled", "budget_tokens": 2000}, "output_config": {"effort": "low"},
    }));
    assert_eq!(extras(&both), [("output_config.effort", true)]);
}

#[test]
fn structured_output_is_read_from_the_new_name_and_the_old() {
    let format = json!({"type": "json_schema", "schema": {"type": "object"}});
    for body in [json!({"output_config": {"format": format}}), json!({"output_format": format})] {
        let Output::Schema { schema, .. } = with(body).output else { panic!() };
        assert_eq!(schema.get(), r#"{"type":"object"}"#);
    }
}

#[test]
fn numbers_labels_and_what_nobody_knows_keep_their_place() {
    let body = r#"{"messages":[{"role":"user","content":"hi"}],"temperature":0.70,"top_k":5,
        "stop_sequences":["END"],"metadata":{"user_id":"u","team":"t"},"service_tier":"auto",
        "cache_control":{"type":"ephemeral"},"mcp_servers":[],"container":"c","of_tomorrow":1,"x":null}"#;
    let call = call(body.as_bytes()).expect("read");
    let number = |knob| call.sampling.get(&knob).map(|raw| raw.get());
    assert_eq!(number(Knob::Temperature), Some("0.70"));
    assert_eq!((number(Knob::TopK), number(Knob::TopP)), (Some("5"), None));
    assert_eq!(call.stop, ["END"]);
    assert_eq!((call.user.as_deref(), call.metadata.is_some()), (Some("u"), true));
    let expected = [
        ("cache_control", true),
        ("mcp_servers", true),
        ("container", false),
        ("of_tomorrow", false),
    ];
    assert_eq!(extras(&call), expected);
}

#[test]
fn quotes_that_were_asked_for_are_not_harmless() {
    let source = json!({"type": "text", "media_type": "text/plain", "data": "words"});
    let document = json!({"type": "document", "source": source, "citations": {"enabled": true}});
    let call = read(&json!({"messages": [{"role": "user", "content": [document]}]}));
    assert_eq!(extras(&call), [("messages[0].content[0].citations", false)]);
}

#[test]
fn what_is_wrong_is_named_and_never_quoted() {
    let content = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    for (body, path) in [
        (json!({}), "messages"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": "secret"}), "messages"),
        (json!({"messages": [{"role": "secret", "content": "x"}]}), "messages[0].role"),
        (json!({"messages": [{"role": "user"}]}), "messages[0].content"),
        (content(json!(7)), "messages[0].content"),
        (content(json!([{"text": "secret"}])), "messages[0].content[0].type"),
        (content(json!([{"type": "text"}])), "messages[0].content[0].text"),
        (content(json!([{"type": "image"}])), "messages[0].content[0].source"),
    ] {
        let (param, said) = problem(&body);
        assert_eq!(param, path, "{body}");
        assert!(said.contains(path) && !said.contains("secret"), "{said}");
    }
}

proptest! {
    #[test]
    fn no_body_harms_the_reader(bytes: Vec<u8>, text in "[{}\\[\\]\":,a-z0-9]{0,40}") {
        let _ = call(&bytes);
        let _ = call(text.as_bytes());
        let body = format!(r#"{{"messages":[{{"role":"user","content":[{text}]}}],"tools":[{text}]}}"#);
        let _ = call(body.as_bytes());
    }
}

use serde_json::{Value, json, value::RawValue};

use super::*;
use crate::dialect::{
    AppDialect, Dialect,
    call::{
        Blob, Extra, Json, Part, PartKind, PastCall, ReasoningWish, Role, Source, Thought,
        ToolResult,
    },
};

fn json_text(text: &str) -> Json {
    RawValue::from_string(text.to_owned()).expect("JSON")
}

fn text(text: &str) -> Part {
    Part::new(PartKind::Text(text.to_owned()), "messages[0].content")
}

fn image(source: Source) -> PartKind {
    PartKind::Image(Blob { mime: None, source, name: None, detail: Some("high".to_owned()) })
}

/// A call that says one thing.
fn asking() -> Call {
    let mut call = Call::new(AppDialect::OpenAi);
    call.say(Role::User, text("Hi"));
    call
}

fn tool(name: &str, parameters: Option<&str>) -> Tool {
    Tool::Function(Function {
        name: name.to_owned(),
        description: None,
        parameters: parameters.map(json_text),
        strict: Some(true),
        cache: None,
        path: "tools[0]".to_owned(),
    })
}

#[track_caller]
fn written(call: &Call, model: &str) -> (Value, Vec<String>) {
    let upstream = write(call, model).unwrap_or_else(|refused| panic!("{refused}"));
    assert_eq!(upstream.path, "/api/chat");
    let body = serde_json::from_slice(&upstream.body).expect("JSON");
    (body, upstream.dropped.paths().to_vec())
}

#[track_caller]
fn refused(call: &Call, path: &str) {
    let refused = write(call, "m").expect_err("it cannot be said");
    assert_eq!((&*refused.path, refused.dialect), (path, "ollama"));
    assert!(!refused.why.is_empty());
}

#[test]
fn a_conversation_with_tools_and_images_goes_over_whole() {
    let mut call = Call::new(AppDialect::OpenAi);
    call.system = vec![text("Be brief."), text("Be kind.")];
    call.say(Role::User, text("What is this?"));
    call.say(Role::User, Part::new(image(Source::Base64("aW1n".into())), "messages[1].content[1]"));
    let thought = |origin| Thought { text: "hm".into(), origin, ..Thought::default() };
    call.say(Role::Assistant, Part::new(PartKind::Reasoning(thought(None)), "a"));
    call.say(
        Role::Assistant,
        Part::new(PartKind::Reasoning(thought(Some(Dialect::Anthropic))), "b"),
    );
    // An app whose dialect wants thoughts signed gives its own back under a seal.
    let own = thought(Some(Dialect::Ollama));
    call.say(Role::Assistant, Part::new(PartKind::Reasoning(own), "b2"));
    call.say(Role::Assistant, text("Let me "));
    call.say(Role::Assistant, text("look."));
    let past = PastCall { id: "a".into(), name: "f".into(), arguments: "{\"x\": 1.0}".into() };
    call.say(Role::Assistant, Part::new(PartKind::ToolCall(past), "messages[2].tool_calls[0]"));
    let result = |is_error| ToolResult {
        id: "a".into(),
        name: "f".into(),
        content: vec![text("42"), text("43")],
        is_error,
    };
    call.say(Role::User, Part::new(PartKind::ToolResult(result(true)), "messages[3]"));
    call.say(Role::User, Part::new(PartKind::ToolResult(result(false)), "messages[4]"));
    call.say(Role::User, text("So?"));
    call.tools = vec![tool("f", Some(r#"{"type":"object","maximum":2151581269210956000123}"#))];
    call.max_output = Some(100);
    call.stop = vec!["END".into()];
    call.sampling.insert(Knob::Temperature, json_text("0.20"));
    call.sampling.insert(Knob::Seed, json_text("2151581269210956000123"));
    let upstream = write(&call, "qwen3:8b").expect("sayable");
    let expected = concat!(
        r#"{"model":"qwen3:8b","messages":[{"role":"system","content":"Be brief.\n\nBe kind."},"#,
        r#"{"role":"user","content":"What is this?","images":["aW1n"]},"#,
        r#"{"role":"assistant","content":"Let me look.","thinking":"hmhm","tool_calls":[{"id":"a","#,
        r#""function":{"name":"f","arguments":{"x": 1.0}}}]},"#,
        r#"{"role":"tool","content":"42\n\n43","tool_name":"f","tool_call_id":"a"},"#,
        r#"{"role":"tool","content":"42\n\n43","tool_name":"f","tool_call_id":"a"},"#,
        r#"{"role":"user","content":"So?"}],"tools":[{"type":"function","function":{"name":"f","#,
        r#""parameters":{"type":"object","maximum":2151581269210956000123}}}],"#,
        r#""options":{"temperature":0.20,"seed":2151581269210956000123,"num_predict":100,"#,
        r#""stop":["END"]},"stream":true}"#,
    );
    assert_eq!(upstream.body, expected);
    assert_eq!(
        upstream.dropped.paths(),
        [
            "messages[1].content[1].image_url.detail",
            "b",
            "messages[3].is_error",
            "tools[0].function.strict"
        ]
    );
}

#[test]
fn an_image_behind_a_url_is_refused_by_its_path() {
    for source in [Source::Url("https://example.org/a.png".into()), Source::File("f".into())] {
        let mut call = asking();
        call.say(Role::User, Part::new(image(source), "messages[0].content[1]"));
        refused(&call, "messages[0].content[1]");
    }
}

#[test]
fn a_document_of_plain_text_is_text_and_others_are_refused() {
    let document =
        |source| PartKind::Document(Blob { mime: None, source, name: None, detail: None });
    let mut call = asking();
    call.say(Role::User, Part::new(document(Source::Text("facts".into())), "d"));
    assert_eq!(written(&call, "m").0["messages"][0]["content"], "Hi\n\nfacts");
    call.say(Role::User, Part::new(document(Source::Base64("JVBERi0=".into())), "d"));
    refused(&call, "d");
}

#[test]
fn the_form_of_the_answer_is_its_format() {
    let mut call = asking();
    call.output = Output::Json;
    assert_eq!(written(&call, "m").0["format"], "json");
    let schema = json_text(r#"{"type":"object"}"#);
    call.output = Output::Schema { name: None, description: None, schema, strict: None };
    assert_eq!(written(&call, "m").0["format"], json!({"type": "object"}));
}

#[test]
fn thinking_is_a_switch_and_for_gpt_oss_a_level() {
    let asked = |amount: Amount, model: &str| {
        let mut call = asking();
        call.reasoning = Some(ReasoningWish { amount: Some(amount), ..ReasoningWish::default() });
        let (body, dropped) = written(&call, model);
        (body["think"].clone(), dropped)
    };
    let effort = |word: &str| Amount::Effort(word.to_owned());
    for (amount, model, think, left_out) in [
        (Amount::Off, "qwen3", json!(false), false),
        (effort("none"), "qwen3", json!(false), false),
        (effort("high"), "qwen3", json!(true), false),
        (Amount::Budget(2000), "qwen3", json!(true), false),
        (Amount::Adaptive, "qwen3", json!(true), false),
        (effort("minimal"), "gpt-oss:20b", json!("low"), false),
        (effort("xhigh"), "gpt-oss:20b", json!("high"), false),
        (Amount::Budget(2000), "gpt-oss:20b", json!("medium"), false),
        (Amount::Adaptive, "gpt-oss:20b", Value::Null, false),
        (Amount::Off, "gpt-oss:20b", json!("low"), true),
    ] {
        let (found, dropped) = asked(amount.clone(), model);
        assert_eq!((found, !dropped.is_empty()), (think, left_out), "{amount:?} {model}");
    }
    assert_eq!(written(&asking(), "gpt-oss").0.get("think"), None);
}

#[test]
fn the_choice_of_tools_is_said_as_far_as_it_can_be() {
    let mut call = asking();
    call.tools = vec![tool("f", None), tool("g", None)];
    let names = |call: &Call| -> Vec<Value> {
        let body = written(call, "m").0;
        let tools = body["tools"].as_array().cloned().unwrap_or_default();
        tools.iter().map(|tool| tool["function"]["name"].clone()).collect()
    };
    let nothing = json!({"type": "object", "properties": {}});
    assert_eq!(written(&call, "m").0["tools"][0]["function"]["parameters"], nothing);
    call.tool_choice = Some(ToolChoice::Auto);
    assert_eq!(names(&call), ["f", "g"]);
    let among = |required| ToolChoice::Among { names: vec!["g".into()], required };
    call.tool_choice = Some(among(false));
    assert_eq!(names(&call), ["g"]);
    call.tool_choice = Some(ToolChoice::None);
    assert_eq!(names(&call), Vec::<Value>::new());
    for choice in [ToolChoice::Any, ToolChoice::Named("f".into()), among(true)] {
        call.tool_choice = Some(choice);
        refused(&call, "tool_choice");
    }
    call.tool_choice = None;
    call.parallel_tools = Some(false);
    refused(&call, "parallel_tool_calls");
    call.parallel_tools = None;
    call.tools.push(Tool::Native { path: "tools[2]".into(), value: json_text("{}") });
    refused(&call, "tools[2]");
}

#[test]
fn what_changes_the_meaning_is_refused_and_the_rest_named() {
    let mut call = asking();
    call.user = Some("u".into());
    call.metadata = Some(json_text("{}"));
    call.sampling.insert(Knob::ServiceTier, json_text("\"flex\""));
    call.sampling.insert(Knob::TopLogprobs, json_text("0"));
    call.extras = vec![Extra { path: "store".into(), value: json_text("true"), harmless: true }];
    let marked = Part { cache: Some(json_text("{}")), ..text("x") };
    call.say(Role::User, Part { path: "messages[1]".into(), ..marked });
    assert_eq!(
        written(&call, "m").1,
        ["user", "store", "messages[1].cache_control", "service_tier", "metadata"]
    );
    call.sampling.insert(Knob::TopLogprobs, json_text("5"));
    refused(&call, "top_logprobs");
    call.sampling.clear();
    call.choices = Some(2);
    refused(&call, "n");
    call.choices = None;
    call.extras[0].harmless = false;
    refused(&call, "store");
    call.extras.clear();
    for arguments in ["{\"x\":", "[1]"] {
        let mut call = asking();
        let past = PastCall { id: "a".into(), name: "f".into(), arguments: arguments.into() };
        call.say(Role::Assistant, Part::new(PartKind::ToolCall(past), "messages[1].tool_calls[0]"));
        refused(&call, "messages[1].tool_calls[0]");
    }
    let sound =
        Blob { mime: None, source: Source::Base64(String::new()), name: None, detail: None };
    for kind in
        [PartKind::Audio(sound.clone()), PartKind::Video(sound), PartKind::Native(json_text("{}"))]
    {
        let mut call = asking();
        call.say(Role::User, Part::new(kind, "messages[0].content[1]"));
        refused(&call, "messages[0].content[1]");
    }
}

use serde_json::json;

use super::*;
use crate::dialect::{
    Dialect,
    call::{
        Blob, Function as Tooling, Part, PartKind, PastCall, ReasoningWish, Role, Source, Thought,
        ToolResult,
    },
};

fn raw(json: &Value) -> Json {
    RawValue::from_string(json.to_string()).expect("JSON")
}

fn sent(call: &Call) -> (Value, Vec<String>) {
    let upstream = write(call, "theirs").expect("sayable");
    assert_eq!((&*upstream.path, upstream.headers.len()), ("/responses", 0));
    let body = serde_json::from_slice(&upstream.body).expect("JSON");
    (body, upstream.dropped.paths().to_vec())
}

fn refused(call: &Call) -> String {
    write(call, "theirs").expect_err("unsayable").path
}

fn part(kind: PartKind) -> Part {
    Part::new(kind, "messages[0]")
}

fn text(text: &str) -> Part {
    part(PartKind::Text(text.into()))
}

#[test]
fn a_conversation_becomes_instructions_and_items() {
    let mut call = Call::new(AppDialect::Anthropic);
    call.system = vec![text("be kind"), text("be brief")];
    call.say(Role::User, text("add"));
    let thought = |origin, encrypted: &str| {
        let (text, encrypted) = ("hm".to_owned(), encrypted.to_owned());
        part(PartKind::Reasoning(Thought { text, encrypted, origin, ..Thought::default() }))
    };
    call.say(Role::Assistant, thought(Some(Dialect::Responses), "enc"));
    call.say(
        Role::Assistant,
        Part { path: "messages[1].content[1]".into(), ..thought(Some(Dialect::Anthropic), "x") },
    );
    call.say(Role::Assistant, text("ok"));
    let (id, name) = ("call_1".to_owned(), "add".to_owned());
    let past = PastCall { id: id.clone(), name: name.clone(), arguments: String::new() };
    call.say(Role::Assistant, part(PartKind::ToolCall(past)));
    let image = Blob {
        mime: Some("image/png".into()),
        source: Source::Base64("aaaa".into()),
        name: None,
        detail: None,
    };
    let content = vec![text("2"), part(PartKind::Image(image))];
    let result = ToolResult { id, name, content, is_error: true };
    call.say(Role::User, part(PartKind::ToolResult(result)));
    let (body, dropped) = sent(&call);
    assert_eq!(body["instructions"], "be kind\n\nbe brief");
    assert_eq!((&body["stream"], &body["store"]), (&json!(true), &json!(false)));
    assert_eq!(
        body["input"],
        json!([
            {"type":"message","role":"user","content":[{"type":"input_text","text":"add"}]},
            {"type":"reasoning","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"enc"},
            {"type":"message","role":"assistant","content":[{"type":"output_text","text":"ok"}]},
            {"type":"function_call","call_id":"call_1","name":"add","arguments":"{}"},
            {"type":"function_call_output","call_id":"call_1","output":[
                {"type":"input_text","text":"2"},
                {"type":"input_image","detail":"auto","image_url":"data:image/png;base64,aaaa"}]},
        ])
    );
    assert_eq!(dropped, ["messages[1].content[1]", "messages[0].is_error"]);
}

#[test]
fn knobs_go_where_they_have_a_word_and_are_named_where_not() {
    let mut call = Call::new(AppDialect::OpenAi);
    call.say(Role::User, text("x"));
    for (knob, value) in [
        (Knob::Temperature, json!(0.5)),
        (Knob::Seed, json!(1)),
        (Knob::TopLogprobs, json!(2)),
        (Knob::ServiceTier, json!("flex")),
    ] {
        call.sampling.insert(knob, raw(&value));
    }
    call.max_output = Some(9);
    call.reasoning = Some(ReasoningWish {
        amount: Some(Amount::Budget(2048)),
        shown: Some(true),
        encrypted: false,
    });
    call.output = Output::Schema {
        name: None,
        description: None,
        schema: raw(&json!({"type":"object"})),
        strict: Some(true),
    };
    call.tool_choice = Some(ToolChoice::Named("f".into()));
    call.tools = vec![Tool::Function(Tooling {
        name: "f".into(),
        description: None,
        parameters: None,
        strict: None,
        cache: Some(raw(&json!({}))),
        path: "tools[0]".into(),
    })];
    let extra =
        |path: &str, value, harmless| Extra { path: path.into(), value: raw(&value), harmless };
    call.extras = vec![
        extra("verbosity", json!("low"), true),
        extra("prompt_cache_key", json!("k"), true),
        extra("store", json!(true), true),
    ];
    let (body, dropped) = sent(&call);
    for (name, value) in [
        ("temperature", json!(0.5)),
        ("service_tier", json!("flex")),
        ("max_output_tokens", json!(9)),
        ("prompt_cache_key", json!("k")),
        ("reasoning", json!({"effort":"medium","summary":"auto"})),
        ("include", json!(["reasoning.encrypted_content"])),
        ("tool_choice", json!({"type":"function","name":"f"})),
        (
            "tools",
            json!([{"type":"function","name":"f","parameters":{"type":"object","properties":{}},"strict":false}]),
        ),
        (
            "text",
            json!({"format":{"type":"json_schema","name":"answer","schema":{"type":"object"},"strict":true},"verbosity":"low"}),
        ),
    ] {
        assert_eq!(body[name], value, "{name}");
    }
    assert_eq!(dropped, ["seed", "top_logprobs", "store", "tools[0].cache_control"]);
    assert!(body.get("seed").is_none());
}

#[test]
fn a_model_that_is_not_to_think_is_not_asked_for_thoughts() {
    let mut call = Call::new(AppDialect::Anthropic);
    assert!(sent(&call).0.get("include").is_none());
    call.reasoning = Some(ReasoningWish { amount: Some(Amount::Off), ..ReasoningWish::default() });
    let (body, dropped) = sent(&call);
    assert_eq!((body.get("include"), body.get("reasoning")), (None, None));
    assert_eq!(dropped, ["thinking"]);
    // OpenAI's own word from OpenAI's own app.
    call.app = AppDialect::OpenAi;
    let (body, _) = sent(&call);
    assert_eq!((body.get("include"), &body["reasoning"]), (None, &json!({"effort":"none"})));
}

#[test]
fn a_users_long_name_becomes_one_that_openai_takes() {
    let mut call = Call::new(AppDialect::Anthropic);
    call.user = Some("user_1".into());
    assert_eq!(sent(&call).0["user"], "user_1");
    call.user = Some(format!("user_{}_account__session_{}", "a".repeat(64), "b".repeat(36)));
    let (first, second) = (sent(&call).0["user"].clone(), sent(&call).0["user"].clone());
    assert_eq!(first.as_str().map(str::len), Some(64));
    assert_eq!(first, second);
    let chat = crate::dialect::openai::write(&call, "m").expect("sayable").body;
    let chat: Value = serde_json::from_slice(&chat).expect("JSON");
    assert_eq!(chat["user"], first);
}

#[test]
fn anthropics_word_for_the_most_thinking_becomes_one_that_openai_knows() {
    let mut call = Call::new(AppDialect::Anthropic);
    let amount = Some(Amount::Effort("max".into()));
    call.reasoning = Some(ReasoningWish { amount, ..ReasoningWish::default() });
    assert_eq!(sent(&call).0["reasoning"]["effort"], "high");
}

#[test]
fn what_would_change_the_answer_is_refused_by_its_name() {
    let with = |change: &dyn Fn(&mut Call)| {
        let mut call = Call::new(AppDialect::Gemini);
        change(&mut call);
        refused(&call)
    };
    assert_eq!(with(&|call| call.stop = vec!["x".into()]), "generationConfig.stopSequences");
    assert_eq!(with(&|call| call.choices = Some(2)), "generationConfig.candidateCount");
    let native = |call: &mut Call| {
        call.tools = vec![Tool::Native { path: "tools[0]".into(), value: raw(&json!({})) }];
    };
    assert_eq!(with(&native), "tools[0]");
    let blob = |source| Blob { mime: None, source, name: None, detail: None };
    for kind in [
        PartKind::Video(blob(Source::Url("u".into()))),
        PartKind::Image(blob(Source::File("f".into()))),
        PartKind::Audio(blob(Source::Url("u".into()))),
        PartKind::Native(raw(&json!({}))),
    ] {
        let path = with(&|call: &mut Call| call.say(Role::User, part(kind.clone())));
        assert_eq!(path, "messages[0]");
    }
    let extra = |call: &mut Call| {
        let value = raw(&json!({}));
        call.extras = vec![Extra { path: "cachedContent".into(), value, harmless: false }];
    };
    assert_eq!(with(&extra), "cachedContent");
    let mut call = Call::new(AppDialect::Gemini);
    call.choices = Some(1);
    sent(&call);
}

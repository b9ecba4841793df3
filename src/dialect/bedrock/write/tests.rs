use proptest::prelude::*;
use serde_json::{Value, json, value::RawValue};

use super::*;
use crate::dialect::{
    AppDialect, Dialect,
    call::{
        Amount, Blob, Extra, Function, Part, PartKind, PastCall, ReasoningWish, Role, Source,
        Thought, Tool, ToolChoice, ToolResult,
    },
};

const CLAUDE: &str = "us.anthropic.claude-haiku-4-5-20251001-v1:0";
const NEW_CLAUDE: &str = "global.anthropic.claude-opus-4-6-v1";
const NOVA: &str = "amazon.nova-lite-v1:0";
const LLAMA: &str = "meta.llama3-1-8b-instruct-v1:0";

fn json_text(text: &str) -> Json {
    RawValue::from_string(text.to_owned()).expect("JSON")
}

fn text(text: &str) -> Part {
    Part::new(PartKind::Text(text.to_owned()), "messages[0].content")
}

fn blob(mime: Option<&str>, source: Source) -> Blob {
    Blob { mime: mime.map(str::to_owned), source, name: None, detail: None }
}

/// A call that says one thing.
fn asking() -> Call {
    let mut call = Call::new(AppDialect::OpenAi);
    call.say(Role::User, text("Hi"));
    call
}

fn function(name: &str) -> Tool {
    Tool::Function(Function {
        name: name.to_owned(),
        description: Some("does".to_owned()),
        parameters: Some(json_text(r#"{"type":"object","maximum":2151581269210956000123}"#)),
        strict: Some(true),
        cache: None,
        path: "tools[0]".to_owned(),
    })
}

#[track_caller]
fn written(call: &Call, model: &str) -> (Value, Vec<String>) {
    let upstream = write(call, model).unwrap_or_else(|refused| panic!("{refused}"));
    let body = serde_json::from_slice(&upstream.body).expect("JSON");
    (body, upstream.dropped.paths().to_vec())
}

#[track_caller]
fn refused(call: &Call, model: &str, path: &str) {
    let refused = write(call, model).expect_err("it cannot be said");
    assert_eq!((&*refused.path, refused.dialect), (path, "bedrock"));
    assert!(!refused.why.is_empty());
}

#[test]
fn the_models_id_is_one_segment_of_the_path() {
    let upstream = write(&asking(), CLAUDE).expect("sayable");
    let path = "/model/us.anthropic.claude-haiku-4-5-20251001-v1%3A0/converse-stream";
    assert_eq!(upstream.path, path);
    assert_eq!(upstream.headers, [("accept", "application/vnd.amazon.eventstream".to_owned())]);
    let arn = "arn:aws:bedrock:us-east-1:1:inference-profile/a";
    let path = write(&asking(), arn).expect("sayable").path;
    assert_eq!(
        path,
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fa/converse-stream"
    );
}

#[test]
fn a_conversation_with_tools_goes_over_whole() {
    let mut call = asking();
    call.system = vec![text("Be brief."), text("  ")];
    let past = PastCall { id: "a".into(), name: "f".into(), arguments: "{\"x\": 1.0}".into() };
    call.say(Role::Assistant, text("Looking"));
    call.say(Role::Assistant, Part::new(PartKind::ToolCall(past), "messages[1].tool_calls[0]"));
    let result =
        ToolResult { id: "a".into(), name: "f".into(), content: vec![text("42")], is_error: true };
    call.say(Role::User, Part::new(PartKind::ToolResult(result), "messages[2]"));
    call.tools = vec![function("f")];
    call.tool_choice = Some(ToolChoice::Named("f".into()));
    call.max_output = Some(100);
    call.stop = vec!["END".into()];
    call.sampling.insert(Knob::Temperature, json_text("0.20"));
    call.sampling.insert(Knob::TopP, json_text("null"));
    let upstream = write(&call, CLAUDE).expect("sayable");
    let expected = concat!(
        r#"{"system":[{"text":"Be brief."}],"messages":[{"role":"user","content":[{"text":"Hi"}]},"#,
        r#"{"role":"assistant","content":[{"text":"Looking"},{"toolUse":{"toolUseId":"a","name":"f","#,
        r#""input":{"x": 1.0}}}]},{"role":"user","content":[{"toolResult":{"toolUseId":"a","#,
        r#""content":[{"text":"42"}],"status":"error"}}]}],"inferenceConfig":{"temperature":0.20,"#,
        r#""maxTokens":100,"stopSequences":["END"]},"toolConfig":{"tools":[{"toolSpec":{"name":"f","#,
        r#""description":"does","inputSchema":{"json":{"type":"object","#,
        r#""maximum":2151581269210956000123}}}}],"toolChoice":{"tool":{"name":"f"}}}}"#,
    );
    assert_eq!(upstream.body, expected);
    assert_eq!(upstream.dropped.paths(), ["tools[0].function.strict"]);
    let (body, dropped) = written(&call, NEW_CLAUDE);
    assert_eq!(body["toolConfig"]["tools"][0]["toolSpec"]["strict"], true);
    assert!(dropped.is_empty());
    let (body, dropped) = written(&call, LLAMA);
    assert_eq!(body["messages"][2]["content"][0]["toolResult"].get("status"), None);
    assert_eq!(dropped, ["messages[2].is_error", "tools[0].function.strict"]);
}

#[test]
fn blank_text_is_left_out_and_turns_still_alternate() {
    let mut call = asking();
    call.say(Role::Assistant, text("\n "));
    call.say(Role::User, text("there"));
    let (body, _) = written(&call, NOVA);
    let content = json!([{"text": "Hi"}, {"text": "there"}]);
    assert_eq!(body["messages"], json!([{"role": "user", "content": content}]));
}

#[test]
fn thoughts_go_back_to_whoever_signed_them() {
    let thought = |origin, encrypted: &str| Thought {
        text: if encrypted.is_empty() { "hm".into() } else { String::new() },
        signature: if encrypted.is_empty() { "E+/=".into() } else { String::new() },
        encrypted: encrypted.into(),
        id: None,
        origin,
    };
    let mut call = asking();
    let part = |thought, path: &str| Part::new(PartKind::Reasoning(thought), path);
    call.say(Role::Assistant, part(thought(Some(Dialect::Bedrock), ""), "a"));
    call.say(Role::Assistant, part(thought(Some(Dialect::Bedrock), "RXQ="), "b"));
    call.say(Role::Assistant, part(thought(Some(Dialect::Anthropic), ""), "c"));
    call.say(Role::Assistant, part(thought(Some(Dialect::Anthropic), "Et"), "d"));
    call.say(Role::Assistant, part(thought(Some(Dialect::Gemini), ""), "e"));
    call.say(Role::Assistant, part(thought(None, ""), "f"));
    call.say(Role::Assistant, text("Yes"));
    let signed =
        json!({"reasoningContent": {"reasoningText": {"text": "hm", "signature": "E+/="}}});
    let redacted = json!({"reasoningContent": {"redactedContent": "RXQ="}});
    let said = json!({"text": "Yes"});
    let (body, dropped) = written(&call, CLAUDE);
    assert_eq!(body["messages"][1]["content"], json!([signed, redacted, signed, redacted, said]));
    assert_eq!(dropped, ["e", "f"]);
    let (body, dropped) = written(&call, NOVA);
    assert_eq!(body["messages"][1]["content"], json!([signed, redacted, said]));
    assert_eq!(dropped, ["c", "d", "e", "f"]);
}

#[test]
fn thinking_is_asked_for_in_the_words_of_the_models_maker() {
    let asked = |amount: Amount, model: &str| {
        let mut call = asking();
        call.max_output = Some(5000);
        call.reasoning = Some(ReasoningWish { amount: Some(amount), ..ReasoningWish::default() });
        let (body, dropped) = written(&call, model);
        let effort = body["outputConfig"]["effort"].clone();
        (body["additionalModelRequestFields"].clone(), effort, dropped)
    };
    let effort = |word: &str| Amount::Effort(word.to_owned());
    let none = Value::Null;
    let thinking = |thinking: Value| json!({"thinking": thinking});
    let enabled = |tokens: u64| thinking(json!({"type": "enabled", "budget_tokens": tokens}));
    for (amount, model, fields, word) in [
        (effort("low"), CLAUDE, enabled(1024), none.clone()),
        (effort("high"), CLAUDE, enabled(2500), none.clone()),
        (Amount::Budget(2048), CLAUDE, enabled(2048), none.clone()),
        // The least that it takes, and less than what the answer may have in all.
        (Amount::Budget(10), CLAUDE, enabled(1024), none.clone()),
        (Amount::Budget(8000), CLAUDE, enabled(2500), none.clone()),
        // It does not think unless told.
        (Amount::Off, CLAUDE, Value::Null, none.clone()),
        // A budget is refused by the newest.
        (Amount::Budget(9000), NEW_CLAUDE, thinking(json!({"type": "adaptive"})), json!("high")),
        (effort("none"), NEW_CLAUDE, thinking(json!({"type": "disabled"})), none.clone()),
        (effort("xhigh"), NEW_CLAUDE, thinking(json!({"type": "adaptive"})), json!("high")),
        (effort("minimal"), NEW_CLAUDE, thinking(json!({"type": "adaptive"})), json!("low")),
        (Amount::Adaptive, NEW_CLAUDE, thinking(json!({"type": "adaptive"})), none.clone()),
        (
            effort("high"),
            NOVA,
            json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}),
            none.clone(),
        ),
        (Amount::Budget(9000), "openai.gpt-oss-20b-1:0", json!({"reasoning_effort": "high"}), none),
    ] {
        let found = asked(amount.clone(), model);
        assert_eq!(found, (fields, word, vec![]), "{amount:?} {model}");
    }
    assert_eq!(asked(effort("high"), LLAMA).2, ["reasoning_effort"]);
    assert_eq!(asked(Amount::Off, "openai.gpt-oss-20b-1:0").2, ["reasoning_effort"]);
}

#[test]
fn claude_is_asked_for_no_more_than_it_takes_beside_thinking() {
    let mut call = asking();
    call.sampling.insert(Knob::Temperature, json_text("1.3"));
    call.sampling.insert(Knob::TopK, json_text("40"));
    // Converse takes a temperature up to 1, of any model.
    for model in [CLAUDE, NEW_CLAUDE, NOVA, LLAMA] {
        let (body, dropped) = written(&call, model);
        assert_eq!(body["inferenceConfig"]["temperature"], 1, "{model}");
        assert!(dropped.contains(&"temperature".to_owned()), "{model}");
    }
    call.reasoning =
        Some(ReasoningWish { amount: Some(Amount::Budget(2048)), ..ReasoningWish::default() });
    let (body, dropped) = written(&call, CLAUDE);
    let thinking = json!({"thinking": {"type": "enabled", "budget_tokens": 2048}});
    assert_eq!(body["additionalModelRequestFields"], thinking);
    assert_eq!(body.get("inferenceConfig"), None);
    assert_eq!(dropped, ["temperature", "top_k"]);
    // It cannot think where it must call a tool.
    call.tools = vec![function("f")];
    call.tool_choice = Some(ToolChoice::Any);
    let (body, dropped) = written(&call, CLAUDE);
    assert_eq!(body["additionalModelRequestFields"], json!({"top_k": 40}));
    assert!(dropped.contains(&"reasoning_effort".to_owned()));
    // Nor by a budget where the calls that are answered came without a thought of its own.
    call.tool_choice = None;
    let past = PastCall { id: "a".into(), name: "f".into(), arguments: "{}".into() };
    call.say(Role::Assistant, Part::new(PartKind::ToolCall(past), "m"));
    let result = ToolResult { id: "a".into(), name: "f".into(), content: vec![], is_error: false };
    call.say(Role::User, Part::new(PartKind::ToolResult(result), "m"));
    assert_eq!(written(&call, CLAUDE).0["additionalModelRequestFields"], json!({"top_k": 40}));
}

#[test]
fn results_directly_follow_their_calls_and_the_user_begins() {
    let mut call = Call::new(AppDialect::Responses);
    let past = PastCall { id: "a".into(), name: "f".into(), arguments: "{}".into() };
    call.say(Role::Assistant, Part::new(PartKind::ToolCall(past), "m"));
    call.say(Role::User, text("Well?"));
    let result = ToolResult { id: "a".into(), name: "f".into(), content: vec![], is_error: false };
    call.say(Role::User, Part::new(PartKind::ToolResult(result), "m"));
    let (body, _) = written(&call, CLAUDE);
    assert_eq!(body["messages"][0]["role"], "user");
    assert_eq!(body["messages"][1]["role"], "assistant");
    let answer = &body["messages"][2]["content"];
    assert_eq!(answer[0]["toolResult"]["toolUseId"], "a");
    assert_eq!(answer[1], json!({"text": "Well?"}));
}

#[test]
fn media_go_as_bytes_or_as_objects_of_s3() {
    let png = blob(None, Source::Base64("iVBORw0KGgo=".into()));
    let pdf = blob(Some("application/pdf"), Source::Base64("JVBERi0=".into()));
    let named = Blob { name: Some("a/b  c.pdf".into()), ..pdf };
    let plain = blob(None, Source::Text("é".into()));
    let clip = blob(Some("video/mp4"), Source::Url("s3://bucket/clip".into()));
    let sound = blob(Some("audio/mpeg"), Source::Base64("SUQz".into()));
    let mut call = asking();
    for kind in [
        PartKind::Image(png),
        PartKind::Document(named.clone()),
        PartKind::Document(named),
        PartKind::Document(plain),
        PartKind::Video(clip),
        PartKind::Audio(sound),
    ] {
        call.say(Role::User, Part::new(kind, "p"));
    }
    let document = |format: &str, name: &str, bytes: &str| json!({"document": {"format": format, "name": name, "source": {"bytes": bytes}}});
    let (body, _) = written(&call, CLAUDE);
    assert_eq!(
        body["messages"][0]["content"],
        json!([
            {"text": "Hi"},
            {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}},
            document("pdf", "a b c pdf", "JVBERi0="),
            document("pdf", "a b c pdf (2)", "JVBERi0="),
            document("txt", "document", "w6k="),
            {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://bucket/clip"}}}},
            {"audio": {"format": "mp3", "source": {"bytes": "SUQz"}}},
        ])
    );
    for source in [Source::Url("https://example.org/a.png".into()), Source::File("file-1".into())] {
        let mut call = asking();
        let image = PartKind::Image(blob(Some("image/png"), source));
        call.say(Role::User, Part::new(image, "messages[0].content[1]"));
        refused(&call, CLAUDE, "messages[0].content[1]");
    }
    let mut call = asking();
    let image = PartKind::Image(blob(Some("image/tiff"), Source::Base64("AA==".into())));
    call.say(Role::User, Part::new(image, "messages[0].content[1]"));
    refused(&call, CLAUDE, "messages[0].content[1]");
}

#[test]
fn cache_marks_become_cache_points_where_the_model_has_them() {
    let mut call = Call::new(AppDialect::Anthropic);
    let marked = |mark: &str, path: &str| Part {
        cache: Some(json_text(mark)),
        path: path.into(),
        ..text("x")
    };
    call.system = vec![marked(r#"{"type":"ephemeral","ttl":"1h"}"#, "system[0]")];
    call.say(Role::User, marked(r#"{"type":"ephemeral"}"#, "messages[0].content[0]"));
    let Tool::Function(mut tool) = function("f") else { panic!("a function") };
    (tool.cache, tool.strict) = (Some(json_text("{}")), None);
    call.tools = vec![Tool::Function(tool)];
    let (body, dropped) = written(&call, CLAUDE);
    let point = json!({"cachePoint": {"type": "default"}});
    assert_eq!(body["system"][1], json!({"cachePoint": {"type": "default", "ttl": "1h"}}));
    assert_eq!(body["messages"][0]["content"][1], point);
    assert_eq!(body["toolConfig"]["tools"][1], point);
    assert!(dropped.is_empty());
    assert_eq!(written(&call, NOVA).1, ["tools[0].cache_control"]);
    let (body, dropped) = written(&call, LLAMA);
    assert_eq!(body["system"], json!([{"text": "x"}]));
    assert_eq!(
        dropped,
        [
            "system[0].cache_control",
            "messages[0].content[0].cache_control",
            "tools[0].cache_control"
        ]
    );
}

#[test]
fn a_schema_for_the_answer_goes_as_text() {
    let mut call = asking();
    let schema = r#"{"type": "object"}"#;
    call.output = Output::Schema {
        name: Some("city".into()),
        description: None,
        schema: json_text(schema),
        strict: Some(true),
    };
    let (body, _) = written(&call, CLAUDE);
    let definition = json!({"schema": schema, "name": "city"});
    let format = json!({"type": "json_schema", "structure": {"jsonSchema": definition}});
    assert_eq!(body["outputConfig"], json!({"textFormat": format}));
    call.output = Output::Json;
    refused(&call, CLAUDE, "response_format");
}

#[test]
fn the_choice_of_tools_is_said_as_far_as_it_can_be() {
    let mut call = asking();
    call.tools = vec![function("f"), function("g")];
    let config = |call: &Call| written(call, CLAUDE).0["toolConfig"].clone();
    call.tool_choice = Some(ToolChoice::Any);
    assert_eq!(config(&call)["toolChoice"], json!({"any": {}}));
    call.tool_choice = Some(ToolChoice::Among { names: vec!["g".into()], required: true });
    assert_eq!(config(&call)["tools"].as_array().map(Vec::len), Some(1));
    assert_eq!(config(&call)["toolChoice"], json!({"any": {}}));
    call.tool_choice = Some(ToolChoice::None);
    assert_eq!(config(&call), Value::Null);
    let past = PastCall { id: "a".into(), name: "f".into(), arguments: String::new() };
    call.say(Role::Assistant, Part::new(PartKind::ToolCall(past), "m"));
    refused(&call, CLAUDE, "tool_choice");
    call.tool_choice = None;
    call.parallel_tools = Some(false);
    let (body, _) = written(&call, CLAUDE);
    let own = json!({"type": "auto", "disable_parallel_tool_use": true});
    assert_eq!(body["additionalModelRequestFields"]["tool_choice"], own);
    assert_eq!(body["messages"][1]["content"][0]["toolUse"]["input"], json!({}));
    refused(&call, LLAMA, "parallel_tool_calls");
    call.parallel_tools = Some(true);
    written(&call, LLAMA);
    call.tools.push(Tool::Native { path: "tools[2]".into(), value: json_text("{}") });
    refused(&call, CLAUDE, "tools[2]");
}

#[test]
fn what_changes_the_meaning_is_refused_and_the_rest_named() {
    let mut call = asking();
    call.choices = Some(2);
    refused(&call, CLAUDE, "n");
    call.choices = Some(1);
    call.sampling.insert(Knob::Logprobs, json_text("true"));
    refused(&call, CLAUDE, "logprobs");
    call.sampling.insert(Knob::Logprobs, json_text("false"));
    call.sampling.insert(Knob::Seed, json_text("1"));
    call.sampling.insert(Knob::TopK, json_text("40"));
    call.sampling.insert(Knob::ServiceTier, json_text("\"flex\""));
    call.user = Some("u".into());
    call.metadata = Some(json_text(r#"{"team": "a b"}"#));
    let extra = |harmless| Extra { path: "logit_bias".into(), value: json_text("{}"), harmless };
    call.extras = vec![extra(true)];
    let (body, dropped) = written(&call, CLAUDE);
    assert_eq!(dropped, ["user", "logit_bias", "seed"]);
    assert_eq!(body["serviceTier"], json!({"type": "flex"}));
    assert_eq!(body["requestMetadata"], json!({"team": "a b"}));
    assert_eq!(body["additionalModelRequestFields"], json!({"top_k": 40}));
    call.metadata = Some(json_text(r#"{"team": "é"}"#));
    assert_eq!(written(&call, LLAMA).1, ["user", "logit_bias", "top_k", "seed", "metadata"]);
    call.extras = vec![extra(false)];
    refused(&call, CLAUDE, "logit_bias");
}

#[test]
fn an_id_that_bedrock_does_not_take_is_the_same_in_call_and_result() {
    let id = "call/é".repeat(20);
    let mut call = asking();
    let past = PastCall { id: id.clone(), name: "f".into(), arguments: "{}".into() };
    call.say(Role::Assistant, Part::new(PartKind::ToolCall(past), "m"));
    let result = ToolResult { id, name: "f".into(), content: vec![], is_error: false };
    call.say(Role::User, Part::new(PartKind::ToolResult(result), "m"));
    let (body, _) = written(&call, CLAUDE);
    let called = body["messages"][1]["content"][0]["toolUse"]["toolUseId"].as_str().expect("an id");
    assert_eq!(body["messages"][2]["content"][0]["toolResult"]["toolUseId"], called);
    assert!(called.len() <= 64 && called.starts_with("call_"), "{called}");
}

#[test]
fn arguments_that_are_no_json_are_refused() {
    let mut call = asking();
    let past = PastCall { id: "a".into(), name: "f".into(), arguments: "{\"x\":".into() };
    call.say(Role::Assistant, Part::new(PartKind::ToolCall(past), "messages[1].tool_calls[0]"));
    refused(&call, CLAUDE, "messages[1].tool_calls[0]");
}

proptest! {
    #[test]
    fn a_documents_name_is_always_one_that_bedrock_takes(name in ".{0,400}") {
        let mut call = asking();
        let document = blob(Some("text/plain"), Source::Text("x".into()));
        let document = Blob { name: Some(name), ..document };
        for _ in 0..3 {
            call.say(Role::User, Part::new(PartKind::Document(document.clone()), "d"));
        }
        let (body, _) = written(&call, CLAUDE);
        let mut names: Vec<_> = (1..4)
            .map(|at| body["messages"][0]["content"][at]["document"]["name"].as_str().expect("text"))
            .collect();
        let allowed = |c: char| c.is_ascii_alphanumeric() || " -()[]".contains(c);
        prop_assert!(names.iter().all(|name| (1..=200).contains(&name.len())
            && name.chars().all(allowed) && !name.contains("  ")));
        names.dedup();
        prop_assert_eq!(names.len(), 3);
    }
}

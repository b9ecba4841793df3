use serde_json::{Value, json};

use super::*;
use crate::dialect::{
    Dialect,
    call::{
        Blob, Extra, Part, PartKind, PastCall, ReasoningWish, Role, Source, Thought, ToolResult,
    },
};

fn anthropic() -> Call {
    Call::new(AppDialect::Anthropic)
}

fn written(call: &Call) -> (Value, Vec<String>) {
    let upstream = write(call, "some-model").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(upstream.path, "/chat/completions");
    let body = serde_json::from_slice(&upstream.body).expect("JSON");
    (body, upstream.dropped.paths().to_vec())
}

fn raw(value: Value) -> Json {
    serde_json::value::to_raw_value(&value).expect("JSON")
}

fn text(text: &str) -> Part {
    Part::new(PartKind::Text(text.into()), "p")
}

fn blob(mime: &str, source: Source) -> Blob {
    Blob { mime: Some(mime.into()), source, name: None, detail: None }
}

fn result(id: &str, content: Vec<Part>) -> Part {
    let result = ToolResult { id: id.into(), name: "f".into(), content, is_error: false };
    Part::new(PartKind::ToolResult(result), "r")
}

fn past_call(id: &str) -> Part {
    let past = PastCall { id: id.into(), name: "f".into(), arguments: "{\"a\": 1.10}".into() };
    Part::new(PartKind::ToolCall(past), "c")
}

fn thought(text: &str, signature: &str, origin: Option<Dialect>) -> Part {
    let thought =
        Thought { text: text.into(), signature: signature.into(), origin, ..Thought::default() };
    Part::new(PartKind::Reasoning(thought), "t")
}

#[test]
fn a_conversation_is_written_in_the_way_that_most_servers_know() {
    let mut call = anthropic();
    call.system = vec![text("Be brief."), text("Be kind.")];
    call.say(Role::User, text("Hi"));
    call.say(Role::Assistant, text("Let me "));
    call.say(Role::Assistant, text("see."));
    call.say(Role::Assistant, past_call("c1"));
    call.say(Role::Assistant, past_call("c2"));
    let image = PartKind::Image(blob("image/png", Source::Base64("AA==".into())));
    call.say(Role::User, text("Well?"));
    call.say(Role::User, result("c1", vec![text("one"), text(" two")]));
    call.say(Role::User, result("c2", vec![Part::new(image, "i")]));
    call.max_output = Some(9);
    let (body, dropped) = written(&call);
    let function = json!({ "name": "f", "arguments": "{\"a\": 1.10}" });
    let tool = |id: &str| json!({ "id": id, "type": "function", "function": function });
    let url = json!({ "url": "data:image/png;base64,AA==" });
    assert_eq!(
        body,
        json!({
            "model": "some-model",
            "messages": [
                { "role": "system", "content": "Be brief.\n\nBe kind." },
                { "role": "user", "content": "Hi" },
                { "role": "assistant", "content": "Let me see.", "tool_calls": [tool("c1"), tool("c2")] },
                // Results directly follow their calls; what they show is shown after them.
                { "role": "tool", "tool_call_id": "c1", "content": "one two" },
                { "role": "tool", "tool_call_id": "c2", "content": "" },
                { "role": "user", "content": [
                    { "type": "text", "text": "Well?" },
                    { "type": "image_url", "image_url": url },
                ] },
            ],
            "max_tokens": 9,
            "stream": true,
            "stream_options": { "include_usage": true },
        })
    );
    assert!(dropped.is_empty());
}

#[test]
fn the_limits_name_is_chosen_by_the_models() {
    for model in
        ["gpt-5", "gpt-5.1-mini", "gpt-6", "o1", "o3-mini", "o4-mini", "openai/gpt-5", "codex-mini"]
    {
        assert_eq!(limit_name(model), "max_completion_tokens", "{model}");
    }
    for model in
        ["gpt-4o", "gpt-4.1", "gpt-oss-120b", "olmo-2", "mistral-large", "deepseek-chat", "gpt-3.5"]
    {
        assert_eq!(limit_name(model), "max_tokens", "{model}");
    }
}

#[test]
fn tools_and_the_answers_form_are_written_as_they_were_given() {
    let mut call = anthropic();
    let function = |name: &str, at: usize| {
        Tool::Function(Function {
            name: name.into(),
            description: Some("does".into()),
            parameters: Some(
                serde_json::value::RawValue::from_string("{\"minimum\": 1.10}".into())
                    .expect("JSON"),
            ),
            strict: None,
            cache: None,
            path: format!("tools[{at}]"),
        })
    };
    call.tools = vec![function("f", 0), function("g", 1)];
    call.parallel_tools = Some(false);
    let choice = |call: &mut Call, choice| {
        call.tool_choice = Some(choice);
        let (body, _) = written(call);
        (body["tool_choice"].clone(), body["tools"].as_array().map_or(0, Vec::len))
    };
    assert_eq!(choice(&mut call, ToolChoice::Any), (json!("required"), 2));
    assert_eq!(choice(&mut call, ToolChoice::None), (json!("none"), 2));
    let named = json!({ "type": "function", "function": { "name": "g" } });
    assert_eq!(choice(&mut call, ToolChoice::Named("g".into())), (named, 2));
    let among = ToolChoice::Among { names: vec!["g".into()], required: false };
    assert_eq!(choice(&mut call, among), (json!("auto"), 1));
    let (body, _) = written(&call);
    assert_eq!(body["tools"][0]["function"]["name"], "g");
    assert_eq!(body["parallel_tool_calls"], false);
    let bytes = write(&call, "m").expect("sayable").body;
    assert!(str::from_utf8(&bytes).expect("text").contains("{\"minimum\": 1.10}"));

    let mut call = anthropic();
    let schema = raw(json!({ "type": "object" }));
    call.output =
        Output::Schema { name: Some("a b".into()), description: None, schema, strict: Some(true) };
    assert_eq!(
        written(&call).0["response_format"],
        json!({ "type": "json_schema", "json_schema": { "name": "a_b", "schema": { "type": "object" }, "strict": true } })
    );
}

#[test]
fn thoughts_go_back_to_their_maker_and_while_tools_are_at_work() {
    let mut call = anthropic();
    call.say(Role::User, text("Hi"));
    call.say(Role::Assistant, thought("old", "", None));
    call.say(Role::Assistant, text("Hello"));
    call.say(Role::User, text("Go"));
    call.say(Role::Assistant, thought("plain", "", None));
    call.say(Role::Assistant, thought("mine", "S", Some(Dialect::OpenAi)));
    call.say(Role::Assistant, thought("foreign", "A+/=", Some(Dialect::Anthropic)));
    call.say(Role::Assistant, past_call("c1"));
    call.say(Role::User, result("c1", vec![text("done")]));
    let (body, dropped) = written(&call);
    assert_eq!(body["messages"][1], json!({ "role": "assistant", "content": "Hello" }));
    let at_work = &body["messages"][3];
    assert_eq!(at_work["reasoning_content"], "plainmine");
    let detail = json!({ "type": "reasoning.text", "text": "mine", "signature": "S" });
    assert_eq!(at_work["reasoning_details"], json!([detail]));
    assert!(!body.to_string().contains("A+/="), "a signature goes to nobody but its maker");
    assert_eq!(dropped, ["t"]);
}

#[test]
fn what_cannot_be_said_is_named_in_the_apps_words() {
    let part = |kind| {
        let mut call = anthropic();
        call.say(Role::User, Part::new(kind, "messages[0].content[1]"));
        call
    };
    let extra = |harmless| {
        let mut call = anthropic();
        call.extras = vec![Extra { path: "mcp_servers".into(), value: raw(json!([1])), harmless }];
        call
    };
    let mut native = anthropic();
    native.tools = vec![Tool::Native { path: "tools[0]".into(), value: raw(json!({})) }];
    for (call, path) in [
        (
            part(PartKind::Document(blob("application/pdf", Source::Url("https://a".into())))),
            "messages[0].content[1]",
        ),
        (
            part(PartKind::Image(blob("image/png", Source::File("file-1".into())))),
            "messages[0].content[1]",
        ),
        (
            part(PartKind::Video(blob("video/mp4", Source::Base64("AA".into())))),
            "messages[0].content[1]",
        ),
        (part(PartKind::Native(raw(json!({})))), "messages[0].content[1]"),
        (extra(false), "mcp_servers"),
        (native, "tools[0]"),
    ] {
        let error = write(&call, "m").expect_err(path);
        assert_eq!((&*error.path, error.dialect), (path, "openai"));
    }
    assert_eq!(written(&extra(true)).1, ["mcp_servers"]);
}

#[test]
fn what_is_left_out_is_noted_under_the_apps_own_names() {
    let mut call = Call::new(AppDialect::Gemini);
    for knob in [Knob::Temperature, Knob::TopK, Knob::Logprobs] {
        call.sampling.insert(knob, raw(json!(1)));
    }
    call.reasoning = Some(ReasoningWish { amount: Some(Amount::Off), ..ReasoningWish::default() });
    call.metadata = Some(raw(json!({ "a": "b" })));
    let (body, dropped) = written(&call);
    assert_eq!(
        dropped,
        [
            "generationConfig.thinkingConfig",
            "generationConfig.topK",
            "generationConfig.responseLogprobs",
            "labels"
        ]
    );
    assert_eq!(body["temperature"], 1);
    assert_eq!((body.get("top_k"), body.get("reasoning_effort")), (None, None));
    call.reasoning =
        Some(ReasoningWish { amount: Some(Amount::Budget(9_000)), ..ReasoningWish::default() });
    assert_eq!(written(&call).0["reasoning_effort"], "high");
}

#[test]
fn a_chat_call_that_is_read_and_written_means_the_same() {
    let body = json!({
        "model": "some-model",
        "messages": [
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": [
                { "type": "text", "text": "Look:" },
                { "type": "image_url", "image_url": { "url": "https://a.example/b.png", "detail": "low" } },
                { "type": "input_audio", "input_audio": { "data": "BB==", "format": "wav" } },
                { "type": "file", "file": { "file_id": "file-1" } },
                { "type": "of_their_own", "x": 1 },
            ] },
            { "role": "assistant", "content": null, "tool_calls": [
                { "id": "c", "type": "function", "function": { "name": "f", "arguments": "{}" } },
                { "id": "d", "type": "custom", "custom": { "name": "g", "input": "ls" } },
            ] },
            { "role": "tool", "tool_call_id": "c", "content": "done" },
            { "role": "assistant", "content": "Yes", "audio": { "id": "audio_1" } },
            { "role": "user", "content": "Go on" },
        ],
        "tools": [
            { "type": "function", "function": { "name": "f", "parameters": {}, "strict": true } },
            { "type": "custom", "custom": { "name": "g" } },
        ],
        "tool_choice": "auto",
        "response_format": { "type": "json_object" },
        "reasoning_effort": "low",
        "max_tokens": 9,
        "n": 2,
        "stop": ["end"],
        "temperature": 0.5,
        "top_k": 3,
        "service_tier": "flex",
        "user": "u",
        "metadata": { "a": "b" },
        "logit_bias": { "1": 2 },
        "never_heard_of": [1],
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    let request = super::super::Request::read(body.to_string().into()).expect("a request");
    let (again, dropped) = written(&request.call().expect("a call"));
    assert_eq!(again, body);
    assert!(dropped.is_empty(), "{dropped:?}");
}

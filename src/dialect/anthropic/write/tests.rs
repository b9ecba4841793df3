use serde_json::{Value, json};

use super::*;
use crate::dialect::{
    AppDialect, Dialect,
    call::{
        Amount, Blob, Extra, Part, PartKind, PastCall, ReasoningWish, Role, Source, Thought,
        ToolResult,
    },
};

const MODEL: &str = "claude-haiku-4-5";

fn raw(text: &str) -> Json {
    serde_json::from_str(text).expect(text)
}

fn part(kind: PartKind, path: &str) -> Part {
    Part::new(kind, path)
}

fn text(text: &str) -> Part {
    part(PartKind::Text(text.to_owned()), "messages[0].content")
}

/// A call of an OpenAI app, with one user's turn.
fn call() -> Call {
    let mut call = Call::new(AppDialect::OpenAi);
    call.say(Role::User, text("hi"));
    call
}

fn written(call: &Call) -> (Value, Vec<String>) {
    written_for(call, MODEL)
}

fn written_for(call: &Call, model: &str) -> (Value, Vec<String>) {
    let upstream = write(call, model).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(upstream.path, "/v1/messages");
    assert_eq!(upstream.headers, [("anthropic-version", "2023-06-01".to_owned())]);
    let body = serde_json::from_slice(&upstream.body).expect("JSON");
    (body, upstream.dropped.paths().to_vec())
}

fn refused(call: &Call) -> String {
    write(call, MODEL).expect_err("refused").path
}

fn tool(name: &str) -> Tool {
    Tool::Function(Function {
        name: name.to_owned(),
        description: Some("d".to_owned()),
        parameters: Some(raw(r#"{"type":"object"}"#)),
        strict: Some(true),
        cache: Some(raw(r#"{"type":"ephemeral","ttl":"1h"}"#)),
        path: "tools[0]".to_owned(),
    })
}

fn past_call(id: &str, arguments: &str) -> Part {
    let (id, name, arguments) = (id.to_owned(), "add".to_owned(), arguments.to_owned());
    part(PartKind::ToolCall(PastCall { id, name, arguments }), "messages[1].tool_calls[0]")
}

fn tool_result(id: &str, content: Vec<Part>) -> Part {
    let (id, name) = (id.to_owned(), "add".to_owned());
    part(
        PartKind::ToolResult(ToolResult { id, name, content, is_error: true }),
        "messages[2].content",
    )
}

#[test]
fn a_plain_call_is_streamed_and_has_a_limit() {
    let mut call = call();
    call.system.push(text("be brief"));
    call.stop.push("END".to_owned());
    call.user = Some("u".to_owned());
    let (body, dropped) = written(&call);
    let expected = json!({
        "model": MODEL, "max_tokens": 32_000,
        "system": [{"type": "text", "text": "be brief"}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "stop_sequences": ["END"], "metadata": {"user_id": "u"}, "stream": true,
    });
    assert_eq!(body, expected);
    assert_eq!(dropped, [] as [&str; 0]);
}

#[test]
fn sides_take_turns_and_the_user_is_first() {
    let mut call = Call::new(AppDialect::OpenAi);
    call.say(Role::Assistant, text("Welcome."));
    call.say(Role::User, text("hi"));
    call.say(Role::System, text("now in French"));
    call.say(Role::User, text("  \n"));
    call.say(Role::User, text("go on"));
    let (body, _) = written(&call);
    let said: Vec<_> = body["messages"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|message| {
            let texts = message["content"].as_array().into_iter().flatten();
            (message["role"].as_str(), texts.map(|it| it["text"].clone()).collect::<Vec<_>>())
        })
        .collect();
    let system = json!("<system>\nnow in French\n</system>");
    let expected = [
        (Some("user"), vec![json!("(The conversation begins with your message.)")]),
        (Some("assistant"), vec![json!("Welcome.")]),
        (Some("user"), vec![json!("hi"), system, json!("go on")]),
    ];
    assert_eq!(said, expected);
}

#[test]
fn results_stand_first_and_ids_are_in_anthropics_characters() {
    let mut call = call();
    call.tools.push(tool("add"));
    call.say(Role::Assistant, past_call("call|1", "{\"x\": 1.10}"));
    call.say(Role::Assistant, past_call("", "{\"cut"));
    call.say(Role::User, text("see"));
    call.say(Role::User, tool_result("call|1", vec![text("3")]));
    let upstream = write(&call, MODEL).expect("written");
    let body = String::from_utf8(upstream.body.to_vec()).expect("UTF-8");
    for expected in [
        r#"{"type":"tool_use","id":"call_1","name":"add","input":{"x": 1.10}}"#,
        r#""input":{"INVALID_JSON":"{\"cut"}"#,
        r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":[{"type":"text","text":"3"}],"is_error":true},{"type":"text","text":"see"}]}"#,
        r#"{"name":"add","description":"d","input_schema":{"type":"object"},"strict":true,"cache_control":{"type":"ephemeral","ttl":"1h"}}"#,
    ] {
        assert!(body.contains(expected), "{expected}\n{body}");
    }
}

#[test]
fn thoughts_go_back_only_to_those_who_thought_them() {
    let thought = |signature: &str, encrypted: &str, origin| {
        let (signature, encrypted) = (signature.to_owned(), encrypted.to_owned());
        let thought = Thought { text: "hm".to_owned(), signature, encrypted, id: None, origin };
        part(PartKind::Reasoning(thought), &format!("of {origin:?}"))
    };
    let mut call = call();
    call.say(Role::Assistant, thought("s+/==", "", Some(Dialect::Anthropic)));
    call.say(Role::Assistant, thought("", "r+/==", Some(Dialect::Anthropic)));
    call.say(Role::Assistant, thought("g", "", Some(Dialect::Gemini)));
    call.say(Role::Assistant, thought("", "", None));
    call.say(Role::Assistant, text("so"));
    call.say(Role::User, text("and?"));
    let (body, dropped) = written(&call);
    let expected = json!([
        {"type": "thinking", "thinking": "hm", "signature": "s+/=="},
        {"type": "redacted_thinking", "data": "r+/=="},
        {"type": "text", "text": "so"},
    ]);
    assert_eq!(body["messages"][1]["content"], expected);
    assert_eq!(dropped, ["of Some(Gemini)", "of None"]);
}

#[test]
fn media_go_as_base64_or_url_and_nothing_else() {
    let image = |mime: Option<&str>, source| {
        let mime = mime.map(str::to_owned);
        let mut call = call();
        let blob = Blob { mime, source, name: Some("n".to_owned()), detail: None };
        call.say(Role::User, part(PartKind::Image(blob), "messages[0].content[1]"));
        call
    };
    let base64 = || Source::Base64("AA==".to_owned());
    let (body, _) = written(&image(Some("image/jpg"), base64()));
    let source = json!({"type": "base64", "media_type": "image/jpeg", "data": "AA=="});
    assert_eq!(body["messages"][0]["content"][1], json!({"type": "image", "source": source}));
    let (body, _) = written(&image(None, Source::Url("https://x/y".to_owned())));
    let source = json!({"type": "url", "url": "https://x/y"});
    assert_eq!(body["messages"][0]["content"][1]["source"], source);
    assert_eq!(refused(&image(Some("image/tiff"), base64())), "messages[0].content[1]");
    let file = image(None, Source::File("file_1".to_owned()));
    assert_eq!(refused(&file), "messages[0].content[1]");
    let mut sound = image(Some("audio/wav"), base64());
    let PartKind::Image(blob) = sound.turns[0].parts.remove(1).kind else { panic!() };
    let mut document = sound.clone();
    sound.say(Role::User, part(PartKind::Audio(blob.clone()), "messages[0].content[1]"));
    assert_eq!(refused(&sound), "messages[0].content[1]");
    let blob = Blob {
        mime: Some("text/csv".to_owned()),
        source: Source::Base64("YSxi".to_owned()),
        ..blob
    };
    document.say(Role::User, part(PartKind::Document(blob), "messages[0].content[1]"));
    let source = json!({"type": "text", "media_type": "text/plain", "data": "a,b"});
    let expected = json!({"type": "document", "source": source, "title": "n"});
    assert_eq!(written(&document).0["messages"][0]["content"][1], expected);
}

#[test]
fn a_schema_goes_out_and_any_json_is_refused() {
    let mut call = call();
    let (name, description) = (Some("answer".to_owned()), None);
    let schema = raw(r#"{"type":"object"}"#);
    call.output = Output::Schema { name, description, schema, strict: Some(true) };
    let format = json!({"type": "json_schema", "schema": {"type": "object"}});
    assert_eq!(written(&call).0["output_config"], json!({"format": format}));
    call.output = Output::Json;
    assert_eq!(refused(&call), "response_format");
}

#[test]
fn tools_are_chosen_as_the_app_said() {
    let choice = |choice: Option<ToolChoice>, parallel: Option<bool>| {
        let mut call = call();
        call.tools = vec![tool("add"), tool("mul")];
        call.tool_choice = choice;
        call.parallel_tools = parallel;
        let (body, _) = written(&call);
        (body["tools"].as_array().map_or(0, Vec::len), body["tool_choice"].clone())
    };
    assert_eq!(choice(None, None), (2, Value::Null));
    let serial = json!({"type": "auto", "disable_parallel_tool_use": true});
    assert_eq!(choice(None, Some(false)), (2, serial));
    assert_eq!(choice(Some(ToolChoice::None), Some(false)), (2, json!({"type": "none"})));
    assert_eq!(choice(Some(ToolChoice::Any), Some(true)), (2, json!({"type": "any"})));
    let named = ToolChoice::Named("add".to_owned());
    assert_eq!(choice(Some(named), None), (2, json!({"type": "tool", "name": "add"})));
    let among = ToolChoice::Among { names: vec!["mul".to_owned()], required: true };
    assert_eq!(choice(Some(among), None), (1, json!({"type": "any"})));
    let mut call = call();
    call.tool_choice = Some(ToolChoice::Any);
    assert_eq!(refused(&call), "tool_choice");
    call.tool_choice = None;
    call.tools.push(Tool::Native { path: "tools[0]".to_owned(), value: raw("{}") });
    assert_eq!(refused(&call), "tools[0]");
}

#[test]
fn tools_of_earlier_calls_are_known_even_where_none_are_given() {
    let mut call = call();
    call.say(Role::Assistant, past_call("a", "{}"));
    call.say(Role::User, tool_result("a", Vec::new()));
    let (body, _) = written(&call);
    let schema = json!({"type": "object", "properties": {}});
    assert_eq!(body["tools"], json!([{"name": "add", "input_schema": schema}]));
    assert_eq!(body["tool_choice"], json!({"type": "none"}));
    assert_eq!(body["messages"][2]["content"][0].get("content"), None);
}

#[test]
fn what_only_nudges_is_dropped_and_what_is_promised_refused() {
    let mut call = call();
    for (knob, value) in [
        (Knob::Seed, "7"),
        (Knob::FrequencyPenalty, "0.5"),
        (Knob::ServiceTier, "\"flex\""),
        (Knob::Temperature, "1.5"),
        (Knob::Logprobs, "false"),
    ] {
        call.sampling.insert(knob, raw(value));
    }
    call.metadata = Some(raw("{}"));
    let path = "verbosity".to_owned();
    call.extras.push(Extra { path, value: raw("1"), harmless: true });
    let (body, dropped) = written(&call);
    assert_eq!(body["temperature"], 1);
    let expected =
        ["temperature", "seed", "frequency_penalty", "service_tier", "metadata", "verbosity"];
    assert_eq!(dropped, expected);

    let with = |change: fn(&mut Call)| {
        let mut changed = call.clone();
        change(&mut changed);
        refused(&changed)
    };
    assert_eq!(with(|it| it.choices = Some(2)), "n");
    assert_eq!(with(|it| drop(it.sampling.insert(Knob::Logprobs, raw("true")))), "logprobs");
    assert_eq!(with(|it| it.stop.push("\n".to_owned())), "stop");
    assert_eq!(with(|it| it.extras[0].harmless = false), "verbosity");
    assert_eq!(with(|it| it.say(Role::User, part(PartKind::Native(raw("1")), "x"))), "x");
}

#[test]
fn numbers_go_as_they_were_written_where_the_model_takes_them() {
    let mut call = call();
    call.sampling.insert(Knob::Temperature, raw("0.70"));
    call.sampling.insert(Knob::TopP, raw("0.9"));
    let body = |model| {
        let upstream = write(&call, model).expect("written");
        let paths = upstream.dropped.paths().to_vec();
        (String::from_utf8(upstream.body.to_vec()).expect("UTF-8"), paths)
    };
    let (older, dropped) = body("claude-sonnet-4-20250514");
    assert!(older.contains(r#""temperature":0.70,"top_p":0.9"#) && dropped.is_empty(), "{older}");
    let (one, dropped) = body(MODEL);
    assert!(one.contains("\"temperature\":0.70") && !one.contains("top_p"), "{one}");
    assert_eq!(dropped, ["top_p"]);
    let (none, dropped) = body("claude-opus-4-7");
    assert!(!none.contains("temperature"), "{none}");
    assert_eq!(dropped, ["temperature", "top_p"]);
}

fn thinking(call: &mut Call, amount: Amount) {
    let shown = Some(true);
    call.reasoning = Some(ReasoningWish { amount: Some(amount), shown, encrypted: false });
}

#[test]
fn a_model_that_thinks_is_sampled_as_it_likes() {
    let mut call = call();
    thinking(&mut call, Amount::Budget(2_000));
    call.sampling.insert(Knob::Temperature, raw("0.2"));
    call.sampling.insert(Knob::TopK, raw("5"));
    let (body, dropped) = written(&call);
    assert_eq!(body["thinking"], json!({"type": "enabled", "budget_tokens": 2_000}));
    assert_eq!((&body["temperature"], &body["top_k"]), (&Value::Null, &Value::Null));
    assert_eq!(dropped, ["temperature", "top_k"]);
    let (body, _) = written_for(&call, "claude-opus-4-8");
    assert_eq!(body["thinking"], json!({"type": "adaptive", "display": "summarized"}));
    assert_eq!(body["output_config"], json!({"effort": "medium"}));
}

#[test]
fn a_promise_goes_before_a_wish_to_think() {
    let mut forced = call();
    thinking(&mut forced, Amount::Effort("high".to_owned()));
    forced.tools.push(tool("add"));
    forced.tool_choice = Some(ToolChoice::Any);
    let mut unthought = call();
    thinking(&mut unthought, Amount::Budget(2_000));
    unthought.say(Role::Assistant, past_call("a", "{}"));
    unthought.say(Role::User, tool_result("a", Vec::new()));
    let mut prefill = call();
    thinking(&mut prefill, Amount::Adaptive);
    prefill.say(Role::Assistant, text("So far \n"));
    for call in [&forced, &unthought, &prefill] {
        let (body, dropped) = written(call);
        assert_eq!(body["thinking"], Value::Null);
        assert_eq!(dropped, ["reasoning_effort"]);
    }
    let (body, _) = written(&prefill);
    assert_eq!(body["messages"][1]["content"][0]["text"], "So far");
    // A model that thinks as it likes may also begin in the middle.
    let (body, _) = written_for(&unthought, "claude-opus-4-8");
    assert_eq!(body["thinking"]["type"], "adaptive");
}

#[test]
fn cache_marks_are_anthropics_own_or_become_so() {
    let mut call = call();
    call.turns[0].parts[0].cache = Some(raw("{\"type\":\"of another\"}"));
    let (body, _) = written(&call);
    let mark = json!({"type": "ephemeral"});
    assert_eq!(body["messages"][0]["content"][0]["cache_control"], mark);
}

#[test]
fn a_messages_request_comes_back_as_it_was() {
    let body = json!({
        "model": MODEL, "max_tokens": 9_000,
        "system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "tool_use", "id": "t", "name": "add", "input": {"x": 1}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t",
                 "content": [{"type": "text", "text": "2"}], "is_error": true},
            ]},
        ],
        "tools": [{"name": "add", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "thinking": {"type": "enabled", "budget_tokens": 2_000},
        "stop_sequences": ["END"], "metadata": {"user_id": "u"}, "stream": true,
    });
    let call = super::super::read::call(body.to_string().as_bytes()).expect("read");
    assert_eq!(written(&call), (body, Vec::new()));
}

use serde_json::{Value, json};

use super::*;
use crate::dialect::{
    AppDialect,
    call::{
        Amount, Blob, Extra, Output, Part, PartKind, PastCall, ReasoningWish, Role, Source,
        Thought, ToolResult,
    },
    gemini::Request,
};

fn json(value: &Value) -> Box<serde_json::value::RawValue> {
    serde_json::value::to_raw_value(value).expect("JSON")
}

fn written(call: &Call, model: &str) -> (Value, Vec<String>) {
    let upstream = write(call, model).expect("sayable");
    assert_eq!(upstream.path, format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"));
    let body = serde_json::from_slice(&upstream.body).expect("JSON");
    (body, upstream.dropped.paths().to_vec())
}

fn said(role: Role, kinds: Vec<PartKind>, call: &mut Call) {
    for kind in kinds {
        let path = format!("messages[{}]", call.turns.len());
        call.say(role, Part::new(kind, path));
    }
}

fn text(text: &str) -> PartKind {
    PartKind::Text(text.to_owned())
}

fn thought(text: &str, signature: &str, origin: Option<Dialect>) -> PartKind {
    let (text, signature) = (text.to_owned(), signature.to_owned());
    PartKind::Reasoning(Thought { text, signature, origin, ..Thought::default() })
}

fn past(id: &str, arguments: &str) -> PartKind {
    let (id, arguments) = (id.to_owned(), arguments.to_owned());
    PartKind::ToolCall(PastCall { id, name: "add".into(), arguments })
}

fn result(id: &str, output: &str, is_error: bool) -> PartKind {
    let content = vec![Part::new(text(output), "x")];
    PartKind::ToolResult(ToolResult { id: id.into(), name: String::new(), content, is_error })
}

fn openai() -> Call {
    Call::new(AppDialect::OpenAi)
}

#[test]
fn a_conversation_alternates_and_signatures_are_back_in_place() {
    let mut call = openai();
    call.system.push(Part::new(text("be brief"), "messages[0]"));
    let google = Some(Dialect::Gemini);
    said(Role::User, vec![text("hi")], &mut call);
    said(Role::System, vec![text("now in French")], &mut call);
    said(
        Role::Assistant,
        vec![
            thought("hm", "a", Some(Dialect::Anthropic)),
            text("so"),
            thought("", "t", google),
            thought("", "s+/==", google),
            past("c1", "{\"x\": 1e400}"),
            past("c2", ""),
        ],
        &mut call,
    );
    said(
        Role::User,
        vec![result("c1", "{\"sum\":3}", false), result("c2", "no", true), text("go on")],
        &mut call,
    );
    let upstream = write(&call, "gemini-2.5-pro").expect("sayable");
    let raw = String::from_utf8(upstream.body.to_vec()).expect("UTF-8");
    assert_eq!(
        raw,
        concat!(
            r#"{"contents":[{"role":"user","parts":[{"text":"hi"},{"text":"now in French"}]},"#,
            r#"{"role":"model","parts":[{"text":"so","thoughtSignature":"t"},"#,
            r#"{"functionCall":{"id":"c1","name":"add","args":{"x": 1e400}},"thoughtSignature":"s+/=="},"#,
            r#"{"functionCall":{"id":"c2","name":"add","args":{}}}]},"#,
            r#"{"role":"user","parts":[{"functionResponse":{"id":"c1","name":"add","response":{"sum":3}}},"#,
            r#"{"functionResponse":{"id":"c2","name":"add","response":{"error":"no"}}},{"text":"go on"}]}],"#,
            r#""systemInstruction":{"parts":[{"text":"be brief"}]}}"#,
        )
    );
    assert_eq!(upstream.dropped.paths(), ["messages[2]"], "somebody else's thought stays here");
}

#[test]
fn a_call_of_another_model_s_is_marked_so_for_gemini_3() {
    let mut call = openai();
    said(Role::User, vec![text("hi")], &mut call);
    said(Role::Assistant, vec![past("c1", "{}"), past("c2", "{}")], &mut call);
    for (model, expected) in
        [("gemini-3-pro", Some("skip_thought_signature_validator")), ("gemini-2.5-pro", None)]
    {
        let (body, _) = written(&call, model);
        let parts = &body["contents"][1]["parts"];
        assert_eq!(parts[0]["thoughtSignature"].as_str(), expected);
        assert_eq!(parts[1]["thoughtSignature"].as_str(), None);
    }
}

#[test]
fn settings_have_googles_names() {
    let mut call = openai();
    call.sampling.insert(Knob::Temperature, json(&json!(0.1)));
    call.sampling.insert(Knob::ServiceTier, json(&json!("flex")));
    call.max_output = Some(7);
    call.choices = Some(2);
    call.stop = vec!["x".into()];
    call.user = Some("u".into());
    call.metadata = Some(json(&json!({})));
    call.tool_choice = Some(ToolChoice::Among { names: vec!["a".into()], required: true });
    let schema = json(&json!({ "type": "object" }));
    call.output = Output::Schema { name: None, description: None, schema, strict: Some(true) };
    call.tools.push(Tool::Function(Function {
        name: "a".into(),
        description: Some("A".into()),
        parameters: Some(json(&json!({ "type": "object" }))),
        strict: Some(true),
        cache: None,
        path: "tools[0]".into(),
    }));
    let (body, dropped) = written(&call, "gemini-2.5-pro");
    assert_eq!(
        body,
        json!({
            "contents": [],
            "tools": [{ "functionDeclarations": [
                { "name": "a", "description": "A", "parametersJsonSchema": { "type": "object" } }] }],
            "toolConfig": { "functionCallingConfig": { "mode": "ANY", "allowedFunctionNames": ["a"] } },
            "generationConfig": {
                "temperature": 0.1, "maxOutputTokens": 7, "candidateCount": 2, "stopSequences": ["x"],
                "responseMimeType": "application/json", "responseJsonSchema": { "type": "object" },
            },
        })
    );
    assert_eq!(dropped, ["tools[0].strict", "user", "metadata", "service_tier"]);
}

#[test]
fn reasoning_is_a_budget_or_a_level() {
    let config = |amount, shown, model| {
        let mut call = openai();
        call.reasoning = Some(ReasoningWish { amount, shown, encrypted: true });
        written(&call, model).0["generationConfig"]["thinkingConfig"].clone()
    };
    let effort = |word: &str| Some(Amount::Effort(word.to_owned()));
    for (amount, shown, model, expected) in [
        (
            effort("low"),
            None,
            "gemini-2.5-pro",
            json!({ "includeThoughts": true, "thinkingBudget": 1024 }),
        ),
        (
            effort("low"),
            None,
            "gemini-3-pro",
            json!({ "includeThoughts": true, "thinkingLevel": "LOW" }),
        ),
        (
            effort("xhigh"),
            None,
            "gemini-3-pro",
            json!({ "includeThoughts": true, "thinkingLevel": "HIGH" }),
        ),
        (
            effort("none"),
            None,
            "gemini-3-pro",
            json!({ "includeThoughts": false, "thinkingLevel": "LOW" }),
        ),
        (Some(Amount::Off), None, "m", json!({ "includeThoughts": false, "thinkingBudget": 0 })),
        (
            Some(Amount::Adaptive),
            Some(false),
            "m",
            json!({ "includeThoughts": false, "thinkingBudget": -1 }),
        ),
        (
            Some(Amount::Budget(5)),
            Some(true),
            "m",
            json!({ "includeThoughts": true, "thinkingBudget": 5 }),
        ),
    ] {
        assert_eq!(config(amount, shown, model), expected);
    }
}

#[test]
fn bytes_and_places_are_said_where_they_can_be() {
    let blob = |mime: Option<&str>, source| Blob {
        mime: mime.map(str::to_owned),
        source,
        name: None,
        detail: Some("high".into()),
    };
    let mut call = openai();
    let parts = vec![
        PartKind::Image(blob(Some("image/png"), Source::Base64("AAAA".into()))),
        PartKind::Image(blob(None, Source::Url("https://a/b.png".into()))),
        PartKind::Document(blob(None, Source::Text("hi".into()))),
    ];
    said(Role::User, parts, &mut call);
    let (body, dropped) = written(&call, "m");
    assert_eq!(
        body["contents"][0]["parts"],
        json!([
            { "inlineData": { "mimeType": "image/png", "data": "AAAA" } },
            { "fileData": { "fileUri": "https://a/b.png" } },
            { "inlineData": { "mimeType": "text/plain", "data": "aGk=" } },
        ])
    );
    assert_eq!(dropped[0], "messages[0].detail");
    for source in [Source::Base64("AAAA".into()), Source::File("file-1".into())] {
        let mut call = openai();
        said(Role::User, vec![PartKind::Image(blob(None, source))], &mut call);
        assert_eq!(write(&call, "m").expect_err("unsayable").path, "messages[0]");
    }
}

#[test]
fn what_would_mean_something_else_is_refused_by_its_name() {
    let path = |change: &dyn Fn(&mut Call)| {
        let mut call = openai();
        change(&mut call);
        let error = write(&call, "m").expect_err("unsayable");
        assert!(error.to_string().contains("`gemini`"), "{error}");
        error.path
    };
    let native = || Tool::Native { path: "tools[1]".into(), value: json(&json!({})) };
    assert_eq!(path(&|call| call.tools.push(native())), "tools[1]");
    assert_eq!(
        path(&|call| {
            call.parallel_tools = Some(false);
            call.tools.push(native());
        }),
        "tools[1]"
    );
    let logprobs = |call: &mut Call| {
        call.sampling.insert(Knob::Logprobs, json(&json!(true)));
    };
    assert_eq!(path(&logprobs), "logprobs");
    let extra = |harmless| {
        move |call: &mut Call| {
            let path = "logit_bias".to_owned();
            call.extras.push(Extra { path, value: json(&json!({})), harmless });
        }
    };
    assert_eq!(path(&extra(false)), "logit_bias");
    let mut call = openai();
    extra(true)(&mut call);
    assert_eq!(written(&call, "m").1, ["logit_bias"]);
    let cut = |call: &mut Call| said(Role::Assistant, vec![past("c", "{\"x\"")], call);
    assert_eq!(path(&cut), "messages[0]");
    let lost = |call: &mut Call| said(Role::User, vec![result("c", "x", false)], call);
    assert_eq!(path(&lost), "messages[0]");
}

#[test]
fn a_call_of_its_own_app_comes_out_as_it_went_in() {
    let body = json!({
        "contents": [
            { "role": "user", "parts": [
                { "text": "hi" },
                { "inlineData": { "mimeType": "image/png", "data": "AAAA", "displayName": "a.png" } },
                { "fileData": { "mimeType": "video/mp4", "fileUri": "gs://b/c" }, "videoMetadata": { "fps": 1 } },
                { "fileData": { "mimeType": "application/pdf", "fileUri": "gs://b/c" } },
            ] },
            { "role": "model", "parts": [
                { "text": "hm", "thought": true },
                { "text": "so", "thoughtSignature": "t" },
                { "executableCode": { "code": "1" }, "thoughtSignature": "e" },
                { "functionCall": { "id": "c1", "name": "add", "args": { "x": 1 } }, "thoughtSignature": "s" },
            ] },
            { "role": "user", "parts": [
                { "functionResponse": { "id": "c1", "name": "add", "response": { "output": [3] } } } ] },
        ],
        "systemInstruction": { "parts": [{ "text": "be brief" }] },
        "tools": [
            { "functionDeclarations": [{ "name": "add", "parametersJsonSchema": { "type": "object" } }] },
            { "googleSearch": {} },
        ],
        "toolConfig": {
            "functionCallingConfig": { "mode": "AUTO" },
            "retrievalConfig": { "languageCode": "de" },
        },
        "generationConfig": {
            "seed": 7, "responseLogprobs": true, "maxOutputTokens": 9, "thinkingConfig": { "thinkingBudget": -1 },
            "speechConfig": { "a": 1 },
        },
        "labels": { "a": "b" }, "safetySettings": [{ "category": "x" }], "cachedContent": "cachedContents/x",
        "serviceTier": "flex",
    });
    let request = Request::read("m", true, body.to_string().into()).expect("a request");
    let (again, dropped) = written(&request.call().expect("a call"), "m");
    assert_eq!(again, body);
    assert!(dropped.is_empty(), "{dropped:?}");
}

#[test]
fn what_a_result_shows_stands_within_it_only_where_the_model_looks() {
    let png = Blob {
        mime: Some("image/png".into()),
        source: Source::Base64("AAAA".into()),
        name: None,
        detail: None,
    };
    let content = vec![Part::new(text("see"), "p"), Part::new(PartKind::Image(png), "p")];
    let result = ToolResult { id: "c1".into(), name: "look".into(), content, is_error: false };
    let mut call = Call::new(AppDialect::Anthropic);
    call.say(Role::User, Part::new(PartKind::ToolResult(result), "r"));
    let parts = |model: &str| {
        let body = write(&call, model).expect("sayable").body;
        serde_json::from_slice::<Value>(&body).expect("JSON")["contents"][0]["parts"].clone()
    };
    let image = json!({ "inlineData": { "mimeType": "image/png", "data": "AAAA" } });
    let mut response = json!({ "id": "c1", "name": "look", "response": { "output": "see" } });
    assert_eq!(parts("gemini-2.5-pro"), json!([{ "functionResponse": response }, image]));
    response["parts"] = json!([image]);
    assert_eq!(parts("gemini-3-pro"), json!([{ "functionResponse": response }]));
}

#[test]
fn a_part_in_which_nothing_is_said_is_left_out() {
    let mut call = openai();
    call.system.push(Part::new(text(""), "messages[0]"));
    said(Role::User, vec![text(""), text("hi")], &mut call);
    let (body, _) = written(&call, "gemini-2.5-pro");
    assert_eq!(body["contents"], json!([{ "role": "user", "parts": [{ "text": "hi" }] }]));
    assert_eq!(body.get("systemInstruction"), None);
}

#[test]
fn a_model_that_cannot_but_think_is_asked_to_think_least() {
    for (model, config) in [
        ("gemini-2.5-pro", json!({ "includeThoughts": false, "thinkingBudget": 128 })),
        ("gemini-3-pro", json!({ "includeThoughts": false, "thinkingLevel": "LOW" })),
        ("gemini-3-flash", json!({ "includeThoughts": false, "thinkingLevel": "MINIMAL" })),
    ] {
        let mut call = Call::new(AppDialect::Anthropic);
        let amount = Some(Amount::Off);
        call.reasoning = Some(ReasoningWish { amount, ..ReasoningWish::default() });
        let (body, dropped) = written(&call, model);
        assert_eq!(body["generationConfig"]["thinkingConfig"], config, "{model}");
        assert_eq!(dropped, ["thinking"], "{model}");
    }
}

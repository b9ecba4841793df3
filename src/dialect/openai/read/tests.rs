use serde_json::{Value, json};

use super::*;
use crate::dialect::openai::{Encoder, encode_whole};
use crate::dialect::{
    Asked, Dialect,
    call::{Part, PartKind, Role, Source, Thought, Tool, ToolChoice},
};
use crate::event::{Event, FinishReason, Finished, Kind, Reasoning, Started};

fn call(body: &Value) -> Call {
    read(&body.to_string().into()).unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn asked(messages: Value, more: Value) -> Call {
    let mut body = json!({ "model": "m", "messages": messages });
    body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    call(&body)
}

fn with(more: Value) -> Call {
    asked(json!([]), more)
}

/// A part in a word, and where it is.
fn said(part: &Part) -> (String, String) {
    let what = match &part.kind {
        PartKind::Text(text) => text.clone(),
        PartKind::Refusal(text) => format!("refusal {text}"),
        PartKind::Image(blob) => format!("image {:?} {:?}", blob.source, blob.detail),
        PartKind::Document(blob) => format!("document {:?} {:?}", blob.mime, blob.source),
        PartKind::Audio(blob) => format!("audio {:?} {:?}", blob.mime, blob.source),
        PartKind::Video(blob) => format!("video {:?}", blob.source),
        PartKind::Reasoning(Thought { text, signature, encrypted, origin, .. }) => {
            format!("thought {text}|{signature}|{encrypted}|{origin:?}")
        }
        PartKind::ToolCall(call) => format!("call {} {} {}", call.id, call.name, call.arguments),
        PartKind::ToolResult(result) => {
            let content: Vec<_> = result.content.iter().map(|part| said(part).0).collect();
            format!("result {} {} {content:?}", result.id, result.name)
        }
        PartKind::Native(value) => format!("native {value}"),
    };
    (what, part.path.clone())
}

fn turns(call: &Call) -> Vec<(Role, Vec<String>)> {
    let parts = |parts: &[Part]| parts.iter().map(|part| said(part).0).collect();
    call.turns.iter().map(|turn| (turn.role, parts(&turn.parts))).collect()
}

fn refused(body: &str) -> BadRequest {
    read(&Bytes::copy_from_slice(body.as_bytes())).expect_err(body)
}

#[test]
fn a_conversation_is_read_in_turns_each_part_with_its_place() {
    let call = asked(
        json!([
            { "role": "system", "content": "Be brief." },
            { "role": "developer", "content": [{ "type": "text", "text": "Be kind.", "cache_control": {} }] },
            { "role": "user", "content": [
                { "type": "text", "text": "Look:" },
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,AA==", "detail": "low" } },
                { "type": "image_url", "image_url": "https://a.example/b.png" },
                { "type": "input_audio", "input_audio": { "data": "BB==", "format": "mp3" } },
                { "type": "file", "file": { "filename": "a.pdf", "file_data": "data:application/pdf;base64,CC==" } },
                { "type": "file", "file": { "file_id": "file-1" } },
                { "type": "something", "x": 1 },
            ] },
            { "role": "user", "content": "And?" },
            { "role": "assistant", "content": "Let me see.", "refusal": null, "tool_calls": [
                { "id": "c1", "type": "function", "function": { "name": "look", "arguments": "{\"x\": 1.10}" } },
            ] },
            { "role": "tool", "tool_call_id": "c1", "content": [{ "type": "text", "text": "a cat" }] },
            { "role": "system", "content": "Now in French." },
            { "role": "assistant", "content": null, "refusal": "No." },
        ]),
        json!({}),
    );
    let system: Vec<_> = call.system.iter().map(said).collect();
    let expected = [("Be brief.", "messages[0].content"), ("Be kind.", "messages[1].content[0]")];
    assert!(system.iter().map(|(what, path)| (&**what, &**path)).eq(expected), "{system:?}");
    assert!(call.system[1].cache.is_some());
    let user = [
        "Look:",
        "image Base64(\"AA==\") Some(\"low\")",
        "image Url(\"https://a.example/b.png\") None",
        "audio Some(\"audio/mpeg\") Base64(\"BB==\")",
        "document Some(\"application/pdf\") Base64(\"CC==\")",
        "document None File(\"file-1\")",
        "native {\"type\":\"something\",\"x\":1}",
        "And?",
    ];
    let expected = [
        (Role::User, user.map(str::to_owned).to_vec()),
        (Role::Assistant, vec!["Let me see.".into(), "call c1 look {\"x\": 1.10}".into()]),
        (Role::User, vec!["result c1 look [\"a cat\"]".into()]),
        (Role::System, vec!["Now in French.".into()]),
        (Role::Assistant, vec!["refusal No.".into()]),
    ];
    assert_eq!(turns(&call), expected);
    assert_eq!(call.turns[0].parts[1].path, "messages[2].content[1]");
    assert_eq!(call.turns[1].parts[1].path, "messages[4].tool_calls[0]");
}

#[test]
fn the_first_form_of_tools_means_the_same() {
    let call = asked(
        json!([
            { "role": "user", "content": "Add." },
            { "role": "assistant", "content": null, "function_call": { "name": "add", "arguments": "{}" } },
            { "role": "function", "name": "add", "content": "2" },
        ]),
        json!({
            "functions": [{ "name": "add", "parameters": { "type": "object" } }],
            "function_call": { "name": "add" },
        }),
    );
    assert_eq!(turns(&call)[1].1, ["call call_0 add {}"]);
    assert_eq!(turns(&call)[2].1, ["result call_0 add [\"2\"]"]);
    assert!(matches!(&call.tools[..], [Tool::Function(it)] if it.name == "add"));
    assert_eq!(call.tool_choice, Some(ToolChoice::Named("add".into())));
}

#[test]
fn what_somebody_signed_comes_back_in_its_place() {
    let thoughts = |message: Value| turns(&asked(json!([message]), json!({})))[0].1.clone();
    // One signature signs all the text there is.
    assert_eq!(
        thoughts(
            json!({ "role": "assistant", "content": "Hi", "reasoning_content": "hm", "reasoning_details": [
            { "type": "reasoning.text", "signature": "S+/=", "format": "anthropic", "index": 0 } ] })
        ),
        ["thought hm|S+/=||Some(Anthropic)", "Hi"]
    );
    // Pieces of one, as an app that keeps every delta gives them back; and one that was redacted.
    assert_eq!(
        thoughts(
            json!({ "role": "assistant", "content": "Hi", "reasoning_content": "abc", "reasoning_details": [
            { "type": "reasoning.text", "text": "a", "index": 0 },
            { "type": "reasoning.text", "text": "b", "index": 0 },
            { "type": "reasoning.text", "signature": "S", "format": "anthropic-claude-v1", "index": 0 },
            { "type": "reasoning.encrypted", "data": "E==", "format": "anthropic", "index": 1 },
            { "type": "reasoning.text", "text": "c", "signature": "T", "format": "anthropic", "index": 2 } ] })
        ),
        [
            "thought ab|S||Some(Anthropic)",
            "thought ||E==|Some(Anthropic)",
            "thought c|T||Some(Anthropic)",
            "Hi"
        ]
    );
    // Google's signature stands directly before the call that it signs; said twice it is one.
    let tool = json!({ "id": "c", "type": "function", "function": { "name": "f", "arguments": "{}" },
                       "extra_content": { "google": { "thought_signature": "G1" } } });
    assert_eq!(
        thoughts(
            json!({ "role": "assistant", "content": "Hi", "reasoning_content": "hm", "tool_calls": [tool],
            "reasoning_details": [
                { "type": "reasoning.text", "signature": "G0", "format": "gemini", "index": 0 },
                { "type": "reasoning.text", "signature": "G1", "format": "gemini", "index": 1 } ] })
        ),
        [
            "thought hm|||None",
            "Hi",
            "thought |G0||Some(Gemini)",
            "thought |G1||Some(Gemini)",
            "call c f {}"
        ]
    );
    // What nobody is named for is the dialect's own.
    assert_eq!(
        thoughts(
            json!({ "role": "assistant", "content": "Hi", "reasoning": "hm", "reasoning_details": [
            { "type": "reasoning.encrypted", "data": "E" } ] })
        ),
        ["thought hm|||None", "thought ||E|Some(OpenAi)", "Hi"]
    );
}

#[test]
fn knobs_keep_their_numbers_as_they_were_written() {
    let body = br#"{"model":"m","messages":[],"temperature":1.10,"seed":21515812692109560001,"top_k":5,"logprobs":false,
        "max_tokens":7,"max_completion_tokens":8,"n":2,"stop":"end","user":"u","service_tier":null,
        "metadata":{"a":"b"},"parallel_tool_calls":false}"#;
    let call = read(&Bytes::from_static(body)).expect("a call");
    let sampling: Vec<_> = call.sampling.iter().map(|(knob, value)| (*knob, value.get())).collect();
    assert_eq!(
        sampling,
        [(Knob::Temperature, "1.10"), (Knob::TopK, "5"), (Knob::Seed, "21515812692109560001")]
    );
    assert_eq!((call.max_output, call.choices), (Some(8), Some(2)));
    assert_eq!((&*call.stop, call.user.as_deref()), (&["end".to_owned()][..], Some("u")));
    assert_eq!(call.parallel_tools, Some(false));
    assert_eq!(call.metadata.expect("labels").get(), "{\"a\":\"b\"}");
    assert!(call.extras.is_empty(), "{:?}", call.extras);
}

#[test]
fn how_hard_to_think_is_read_in_every_spelling() {
    let amount = |more| with(more).reasoning.and_then(|wish| wish.amount);
    assert_eq!(amount(json!({ "reasoning_effort": "low" })), Some(Amount::Effort("low".into())));
    assert_eq!(amount(json!({ "reasoning_effort": "none" })), Some(Amount::Off));
    assert_eq!(amount(json!({ "reasoning": { "max_tokens": 9 } })), Some(Amount::Budget(9)));
    assert_eq!(amount(json!({ "reasoning": { "enabled": false } })), Some(Amount::Off));
    let thinking = json!({ "thinking": { "type": "enabled", "budget_tokens": 9 } });
    assert_eq!(amount(thinking), Some(Amount::Budget(9)));
    assert_eq!(amount(json!({ "thinking": { "type": "disabled" } })), Some(Amount::Off));
    assert_eq!(amount(json!({})), None);
    let shown = with(json!({ "reasoning": { "exclude": true } })).reasoning;
    assert_eq!(shown.and_then(|wish| wish.shown), Some(false));
}

#[test]
fn the_answers_form_and_the_tools_are_read() {
    let call = with(json!({
        "response_format": { "type": "json_schema", "json_schema": { "name": "a", "schema": { "b": 1 }, "strict": true } },
        "tools": [
            { "type": "function", "function": { "name": "f", "parameters": { "type": "object" } } },
            { "type": "custom", "custom": { "name": "g" } },
        ],
        "tool_choice": { "type": "allowed_tools", "allowed_tools":
            { "mode": "required", "tools": [{ "type": "function", "function": { "name": "f" } }] } },
    }));
    let Output::Schema { name, schema, strict, .. } = &call.output else {
        panic!("{:?}", call.output)
    };
    assert_eq!((name.as_deref(), schema.get(), *strict), (Some("a"), "{\"b\":1}", Some(true)));
    let [Tool::Function(function), Tool::Native { path, .. }] = &call.tools[..] else {
        panic!("{:?}", call.tools)
    };
    assert_eq!((&*function.name, &*function.path, &**path), ("f", "tools[0]", "tools[1]"));
    let among = ToolChoice::Among { names: vec!["f".into()], required: true };
    assert_eq!(call.tool_choice, Some(among));
    assert!(matches!(
        with(json!({ "response_format": { "type": "json_object" } })).output,
        Output::Json
    ));
    assert!(matches!(with(json!({ "response_format": { "type": "text" } })).output, Output::Text));
}

#[test]
fn what_has_no_shared_word_is_kept_with_whether_it_matters() {
    let call = with(json!({
        "logit_bias": { "50256": -100 }, "prediction": { "type": "content", "content": "x" }, "store": false,
        "modalities": ["text"], "audio": { "voice": "alloy" }, "web_search_options": {}, "verbosity": "low",
        "never_heard_of": 1, "nothing": null,
    }));
    let extras: Vec<_> = call.extras.iter().map(|extra| (&*extra.path, extra.harmless)).collect();
    assert_eq!(
        extras,
        [
            ("audio", true),
            ("logit_bias", false),
            ("prediction", true),
            ("verbosity", true),
            ("never_heard_of", false),
        ]
    );
    let spoken = with(json!({ "modalities": ["text", "audio"], "audio": { "voice": "alloy" } }));
    assert!(spoken.extras.iter().all(|extra| !extra.harmless) && spoken.extras.len() == 2);
}

#[test]
fn an_uploaded_file_and_bytes_without_a_type_are_told_apart() {
    let call = asked(
        json!([{ "role": "user", "content": [{ "type": "file", "file": { "file_data": "AA==" } }] }]),
        json!({}),
    );
    let PartKind::Document(blob) = &call.turns[0].parts[0].kind else { panic!("a document") };
    assert_eq!(blob.source, Source::Base64("AA==".into()));
    assert_eq!(blob.mime.as_deref(), Some("application/pdf"));
}

#[test]
fn what_is_wrong_is_named_and_never_quoted() {
    for (body, param) in [
        (r#"{"model":"m"}"#, "messages"),
        (r#"{"messages":"canary"}"#, "messages"),
        (r#"{"messages":[{"role":"canary"}]}"#, "messages[0].role"),
        (r#"{"messages":[{"role":"user","content":7}]}"#, "messages[0].content"),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":["canary"]}]}]}"#,
            "messages[0].content[0].text",
        ),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}"#,
            "messages[0].content[0].image_url",
        ),
        (r#"{"messages":[{"role":"tool","content":"canary"}]}"#, "messages[0].tool_call_id"),
        (r#"{"messages":[],"tools":[{"type":"function"}]}"#, "tools[0].function"),
        (r#"{"messages":[],"tool_choice":"canary"}"#, "tool_choice"),
        (r#"{"messages":[],"max_tokens":"canary"}"#, "max_tokens"),
        (r#"{"messages":[],"response_format":{"type":"canary"}}"#, "response_format.type"),
        (r#"{"messages":[],"stop":{"canary":1}}"#, "stop"),
    ] {
        let error = refused(body);
        assert_eq!(error.param.as_deref(), Some(param), "{body}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}

/// What OpenAI's SDKs make of the deltas of `reasoning_details`: entries, joined by their index.
fn joined(payloads: &[Value]) -> (String, Vec<Value>) {
    let (mut text, mut entries) = (String::new(), Vec::<Value>::new());
    for delta in payloads.iter().map(|payload| &payload["choices"][0]["delta"]) {
        text += delta["reasoning_content"].as_str().unwrap_or_default();
        for detail in delta["reasoning_details"].as_array().into_iter().flatten() {
            let at = detail["index"].as_u64().expect("a number") as usize;
            if at == entries.len() {
                entries.push(detail.clone());
                continue;
            }
            let entry = entries[at].as_object_mut().expect("an object");
            for (name, value) in detail.as_object().expect("an object") {
                match (entry.get(name).and_then(Value::as_str), value.as_str()) {
                    (Some(before), Some(more)) if name != "type" => {
                        let both = format!("{before}{more}");
                        entry.insert(name.clone(), both.into());
                    }
                    _ => drop(entry.insert(name.clone(), value.clone())),
                }
            }
        }
    }
    (text, entries)
}

proptest::proptest! {
    /// Thinking over two turns: what a provider signed is given back to it as it was, by apps that stream and by those
    /// that do not.
    #[test]
    fn signed_thoughts_survive_an_apps_next_turn(
        blocks in proptest::collection::vec(("[a-zé ]{1,9}", "[a-z ]{0,5}", "[A-Z+/=]{1,9}", proptest::bool::ANY), 1..5)
    ) {
        let started = Started { dialect: "anthropic".into(), ..Started::default() };
        let mut events = vec![Event::new(Kind::Started(started))];
        let mut expected = Vec::new();
        for (text, more, seal, redacted) in blocks {
            let mut think = |text: &str, signature: &str, encrypted: &str| {
                let (text, signature, encrypted) = (text.into(), signature.into(), encrypted.into());
                events.push(Event::new(Kind::Reasoning(Reasoning { text, signature, encrypted })));
            };
            let mut thought = Thought { origin: Some(Dialect::Anthropic), ..Thought::default() };
            if redacted {
                think("", "", &seal);
                thought.encrypted = seal;
            } else {
                think(&text, "", "");
                think(&more, "", "");
                think("", &seal, "");
                thought.text = text + &more;
                thought.signature = seal;
            }
            expected.push(thought);
        }
        events.push(Event::text("Hi"));
        let finished = Finished { reason: FinishReason::Stop, native_reason: None };
        events.push(Event::new(Kind::Finished(finished)));

        let mut encoder = Encoder::new(&Asked::default());
        let mut wires = Vec::new();
        events.iter().for_each(|event| encoder.encode(event, &mut wires));
        let chunks = wires.iter().filter(|wire| wire.data != "[DONE]");
        let chunks: Vec<Value> =
            chunks.map(|wire| serde_json::from_slice(&wire.data).expect("JSON")).collect();
        let (text, entries) = joined(&chunks);
        let streamed = json!({ "role": "assistant", "content": "Hi", "reasoning_content": text, "reasoning_details": entries });
        let whole: Value =
            serde_json::from_slice(&encode_whole(&events).expect("it ended well")).expect("JSON");
        // OpenRouter's apps give back the details and nothing else.
        let mut bare = streamed.clone();
        bare.as_object_mut().expect("an object").remove("reasoning_content");
        for message in [streamed, bare, whole["choices"][0]["message"].clone()] {
            let call = asked(json!([message]), json!({}));
            let thoughts: Vec<_> = call.turns[0].parts.iter().filter_map(|part| match &part.kind {
                PartKind::Reasoning(thought) => Some(thought.clone()),
                _ => None,
            }).collect();
            proptest::prop_assert_eq!(&thoughts, &expected);
        }
    }
}

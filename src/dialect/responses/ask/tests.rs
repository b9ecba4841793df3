use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    dialect::{
        Dialect,
        call::{Role, Source, Thought},
        responses::items_of,
    },
    event::{Event, FinishReason, Finished, Kind, Reasoning, Started, ToolArguments, ToolCall},
};

fn read(body: &Value) -> Call {
    call(&body.to_string().into()).unwrap_or_else(|error| panic!("{error}: {body:#}"))
}

fn refused(body: &Value) -> String {
    call(&body.to_string().into()).expect_err("bad").param.expect("a member")
}

fn texts(parts: &[Part]) -> Vec<(&str, &str)> {
    parts
        .iter()
        .map(|part| match &part.kind {
            PartKind::Text(text) => (&*part.path, &**text),
            other => panic!("not text: {other:?}"),
        })
        .collect()
}

#[test]
fn input_is_a_string_or_items() {
    let plain = read(&json!({"model":"m","instructions":"be kind","input":"hi"}));
    assert_eq!(texts(&plain.system), [("instructions", "be kind")]);
    assert_eq!(texts(&plain.turns[0].parts), [("input", "hi")]);
    let items = read(&json!({"model":"m","input":[
        {"role":"developer","content":"be brief"},
        {"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_text","text":"b"}]},
        {"type":"message","role":"assistant","content":[{"type":"output_text","text":"c"},{"type":"refusal","refusal":"no"}]},
        {"role":"system","content":"later"}]}));
    assert_eq!(texts(&items.system), [("input[0].content", "be brief")]);
    assert_eq!(
        texts(&items.turns[0].parts),
        [("input[1].content[0]", "a"), ("input[1].content[1]", "b")]
    );
    assert!(matches!(&items.turns[1].parts[1].kind, PartKind::Refusal(text) if text == "no"));
    assert_eq!(items.turns[2].role, Role::System);
}

#[test]
fn binary_parts_say_where_their_bytes_are() {
    let call = read(&json!({"model":"m","input":[{"role":"user","content":[
        {"type":"input_image","image_url":"data:image/png;base64,aaaa","detail":"low"},
        {"type":"input_image","image_url":"https://a/b.png"},
        {"type":"input_image","file_id":"file_1"},
        {"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,bbbb"},
        {"type":"input_audio","input_audio":{"data":"cccc","format":"mp3"}},
        {"type":"unheard_of","x":1}]}]}));
    let parts = &call.turns[0].parts;
    let PartKind::Image(image) = &parts[0].kind else { panic!("{parts:?}") };
    assert_eq!(
        (&image.source, image.mime.as_deref()),
        (&Source::Base64("aaaa".into()), Some("image/png"))
    );
    assert_eq!(image.detail.as_deref(), Some("low"));
    let PartKind::Image(image) = &parts[1].kind else { panic!("{parts:?}") };
    assert_eq!(image.source, Source::Url("https://a/b.png".into()));
    let PartKind::Image(image) = &parts[2].kind else { panic!("{parts:?}") };
    assert_eq!(image.source, Source::File("file_1".into()));
    let PartKind::Document(file) = &parts[3].kind else { panic!("{parts:?}") };
    assert_eq!(
        (&file.source, file.name.as_deref()),
        (&Source::Base64("bbbb".into()), Some("a.pdf"))
    );
    let PartKind::Audio(sound) = &parts[4].kind else { panic!("{parts:?}") };
    assert_eq!(sound.mime.as_deref(), Some("audio/mpeg"));
    assert!(matches!(&parts[5].kind, PartKind::Native(raw) if raw.get().contains("unheard_of")));
}

#[test]
fn calls_and_their_results_refer_to_the_call_id() {
    let call = read(&json!({"model":"m","input":[
        {"type":"function_call","id":"fc_1","call_id":"call_1","name":"add","arguments":"{\"a\": 1}"},
        {"type":"function_call_output","call_id":"call_1","output":"2"},
        {"type":"function_call_output","call_id":"call_1","output":[{"type":"input_text","text":"3"}]},
        {"type":"web_search_call","id":"ws_1","status":"completed"}]}));
    let PartKind::ToolCall(past) = &call.turns[0].parts[0].kind else { panic!("{call:?}") };
    assert_eq!((&*past.id, &*past.name, &*past.arguments), ("call_1", "add", "{\"a\": 1}"));
    let PartKind::ToolResult(result) = &call.turns[1].parts[0].kind else { panic!("{call:?}") };
    assert_eq!((&*result.id, &*result.name), ("call_1", "add"));
    assert_eq!(texts(&result.content), [("input[1].output", "2")]);
    let PartKind::ToolResult(result) = &call.turns[1].parts[1].kind else { panic!("{call:?}") };
    assert_eq!(texts(&result.content), [("input[2].output[0]", "3")]);
    assert!(matches!(call.turns[2].parts[0].kind, PartKind::Native(_)));
}

#[test]
fn knobs_have_their_words_and_numbers_keep_their_digits() {
    let body = r#"{"model":"m","input":"x","temperature":0.10,"top_p":1,"max_output_tokens":9,"parallel_tool_calls":false,
        "user":"u","safety_identifier":"s","metadata":{"a":"b"},"service_tier":"flex","truncation":"disabled","store":true,
        "reasoning":{"effort":"high","summary":"auto"},"include":["reasoning.encrypted_content","file_search_call.results"],
        "text":{"verbosity":"low","format":{"type":"json_schema","name":"n","schema":{"type": "object"},"strict":true}},
        "prompt_cache_key":"k","top_logprobs":null}"#;
    let call = call(&Bytes::from_static(body.as_bytes())).expect("good");
    assert_eq!(call.sampling[&Knob::Temperature].get(), "0.10");
    assert_eq!((call.max_output, call.parallel_tools), (Some(9), Some(false)));
    assert_eq!(call.user.as_deref(), Some("u"));
    let wish = call.reasoning.expect("asked");
    assert_eq!(wish.amount, Some(Amount::Effort("high".into())));
    assert_eq!((wish.shown, wish.encrypted), (Some(true), true));
    let Output::Schema { name, schema, strict, .. } = &call.output else { panic!("no schema") };
    assert_eq!(
        (name.as_deref(), schema.get(), *strict),
        (Some("n"), r#"{"type": "object"}"#, Some(true))
    );
    let extras: Vec<_> = call.extras.iter().map(|extra| (&*extra.path, extra.harmless)).collect();
    assert_eq!(
        extras,
        [
            ("safety_identifier", true),
            ("include[1]", true),
            ("text.verbosity", true),
            ("prompt_cache_key", true)
        ]
    );
}

#[test]
fn tools_and_choices_have_their_words_and_the_rest_is_the_dialects_own() {
    let call = read(&json!({"model":"m","input":"x",
        "tools":[{"type":"function","name":"f","parameters":{"type":"object"},"strict":true},{"type":"web_search"},{"type":"custom","name":"sh"}],
        "tool_choice":{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"f"}]}}));
    assert!(matches!(&call.tools[0], Tool::Function(tool) if tool.strict == Some(true)));
    assert!(matches!(&call.tools[1], Tool::Native { path, .. } if path == "tools[1]"));
    assert!(matches!(&call.tools[2], Tool::Native { .. }));
    let among = ToolChoice::Among { names: vec!["f".into()], required: true };
    assert_eq!(call.tool_choice, Some(among));
    for (choice, expected) in [
        (json!("required"), Some(ToolChoice::Any)),
        (json!({"type":"function","name":"f"}), Some(ToolChoice::Named("f".into()))),
        (json!({"type":"web_search"}), None),
    ] {
        let call = read(&json!({"model":"m","tool_choice":choice}));
        assert_eq!(call.tool_choice, expected);
        assert_eq!(call.extras.len(), usize::from(expected.is_none()));
    }
}

#[test]
fn what_is_wrong_is_named_by_its_place() {
    for (body, param) in [
        (json!({"input":7}), "input"),
        (json!({"input":["x"]}), "input[0]"),
        (json!({"input":[{"role":"robot","content":"x"}]}), "input[0].role"),
        (json!({"input":[{"role":"user"}]}), "input[0].content"),
        (json!({"input":[{"type":"item_reference","id":"x"}]}), "input[0]"),
        (json!({"input":[{"id":"msg_1"}]}), "input[0]"),
        (json!({"input":[{"type":"function_call","name":"f"}]}), "input[0].call_id"),
        (json!({"input":[{"type":"function_call_output","call_id":"c"}]}), "input[0].output"),
        (
            json!({"input":[{"role":"user","content":[{"type":"input_image"}]}]}),
            "input[0].content[0].image_url",
        ),
        (json!({"tools":{}}), "tools"),
        (json!({"tools":[{"type":"function"}]}), "tools[0].name"),
        (json!({"tool_choice":7}), "tool_choice"),
        (json!({"text":{"format":{"type":"json_schema","name":"n"}}}), "text.format.schema"),
        (json!({"max_output_tokens":"many"}), "max_output_tokens"),
    ] {
        assert_eq!(refused(&body), param, "{body}");
    }
    for name in ["previous_response_id", "conversation", "prompt"] {
        let call = read(&json!({"model":"m", name: "x"}));
        assert_eq!((call.extras.len(), call.extras[0].harmless), (1, false), "{name}");
    }
}

#[test]
fn thoughts_come_back_as_their_makers_made_them() {
    for dialect in Dialect::ALL {
        let thought = |text: &str, signature: &str, encrypted: &str| {
            let part = Reasoning {
                text: text.into(),
                signature: signature.into(),
                encrypted: encrypted.into(),
            };
            Event::new(Kind::Reasoning(part))
        };
        let own = dialect == Dialect::Responses;
        let events = [
            Event::new(Kind::Started(Started {
                id: "gen_a".into(),
                dialect: dialect.as_str().into(),
                ..Started::default()
            })),
            thought("hm", "", ""),
            if own { thought("", "", "enc") } else { thought("", "sig+/=é", "") },
            thought("", "", "red"),
            Event::new(Kind::ToolCall(ToolCall {
                id: "call_1".into(),
                name: "f".into(),
                ..ToolCall::default()
            })),
            Event::new(Kind::ToolArguments(ToolArguments { index: 0, arguments: "{}".into() })),
            Event::new(Kind::Finished(Finished {
                reason: FinishReason::ToolCalls,
                native_reason: None,
            })),
        ];
        let items: Vec<Value> = items_of(&events)
            .iter()
            .map(|item| serde_json::from_str(item.get()).expect("JSON"))
            .collect();
        let call = read(&json!({"model":"m","input":items}));
        let thoughts: Vec<_> = call.turns[0]
            .parts
            .iter()
            .filter_map(|part| match &part.kind {
                PartKind::Reasoning(thought) => Some(thought.clone()),
                _ => None,
            })
            .collect();
        let expected = Thought { origin: Some(dialect), ..Thought::default() };
        let first = match own {
            true => Thought { text: "hm".into(), encrypted: "enc".into(), ..expected.clone() },
            false => {
                Thought { text: "hm".into(), signature: "sig+/=é".into(), ..expected.clone() }
            }
        };
        let last = Thought { encrypted: "red".into(), ..expected.clone() };
        if dialect == Dialect::Gemini {
            // It signs the part that follows, which is then a thought without text.
            assert_eq!(thoughts.len(), 3, "{thoughts:?}");
            assert_eq!(thoughts[1], Thought { signature: "sig+/=é".into(), ..expected });
        } else {
            assert_eq!(thoughts, [first, last], "{dialect:?}");
        }
        let PartKind::ToolCall(past) = &call.turns[0].parts.last().expect("a call").kind else {
            panic!("{call:?}")
        };
        assert_eq!(past.id, "call_1");
    }
}

proptest! {
    #[test]
    fn no_body_harms_it(kind in "[a-z_]{0,20}", path in "[a-z_]{0,12}", value in "[\\[\\]{}\":,a0 ]{0,12}") {
        let _ = call(&Bytes::from(value.clone()));
        let value: Value = serde_json::from_str(&value).unwrap_or(Value::Null);
        let body = json!({"model":"m", "input":[{"type":kind, path.clone():value, "role":"user","content":[{"type":kind, path:value}]}]});
        let _ = call(&body.to_string().into());
    }
}

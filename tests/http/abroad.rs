//! `on_break: continue` across dialects: whoever breaks and whoever goes on, an app of any dialect reads one answer that is
//! whole and well-formed, and the usage of all calls adds up.

use bytes::Bytes;
use serde_json::{Value, json};
use tokenway::dialect::AppDialect;

use crate::{
    common::{Folded, decode, fold},
    fault::names,
    gateway::{KEY, Tokenway, header, sent, stream_of},
    matrix::{APPS, ask},
    sse::Item,
    upstream::{self, Call, Upstream},
};

const FIRST: &str = "Once upon a time there was ";
const REST: &str = "a gateway that lost nothing.";
const THOUGHT: &str = "Let me see. ";

/// Whose provider one is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    OpenAi,
    Anthropic,
    Gemini,
}

const PAIRS: [(By, By); 4] = [
    (By::OpenAi, By::Anthropic),
    (By::Anthropic, By::Gemini),
    (By::Gemini, By::OpenAi),
    (By::Anthropic, By::Anthropic),
];

/// A gateway with a model `fast` at a provider `one`, and then at `two`.
async fn stage((one, two): (By, By)) -> (Tokenway, Upstream, Upstream) {
    let (first, second) = (Upstream::bind().await, Upstream::bind().await);
    let provider = |name: &str, by: By, upstream: &Upstream| {
        let (dialect, path) = match by {
            By::OpenAi => ("openai", "/v1"),
            By::Anthropic => ("anthropic", ""),
            By::Gemini => ("gemini", ""),
        };
        let url = format!("http://{}{path}", upstream.addr());
        format!("  {name}: {{ dialect: {dialect}, base_url: \"{url}\", api_key: {KEY} }}\n")
    };
    let yaml = format!(
        "providers:\n{}{}models:\n  fast: {{ targets: [ {{ provider: one, model: m-1 }}, \
         {{ provider: two, model: m-2 }} ], on_break: continue }}\n\
         prices:\n  fast: {{ input: 1, output: 10 }}\n",
        provider("one", one, &first),
        provider("two", two, &second),
    );
    (Tokenway::of(&yaml, |_| {}).await, first, second)
}

/// Payloads of a provider, each with its name.
type Said = Vec<(&'static str, String)>;

async fn say(call: &mut Call, said: Said) {
    for (name, data) in said {
        call.say(format!("event: {name}\ndata: {data}\n\n")).await;
    }
}

fn google(parts: &Value, more: &Value) -> String {
    let mut candidate = json!({ "content": { "parts": parts, "role": "model" }, "index": 0 });
    let mut chunk = json!({});
    for (name, value) in more.as_object().expect("an object") {
        let of = if name == "finishReason" { &mut candidate } else { &mut chunk };
        of[name] = value.clone();
    }
    chunk["candidates"] = json!([candidate]);
    chunk.to_string()
}

fn block(index: u32, begins: &Value, deltas: &[Value], ends: bool) -> Said {
    let payload = |name: &'static str, member: &str, value: &Value| {
        (name, json!({ "type": name, "index": index, member: value }).to_string())
    };
    let mut said = vec![payload("content_block_start", "content_block", begins)];
    said.extend(deltas.iter().map(|delta| payload("content_block_delta", "delta", delta)));
    said.extend(ends.then(|| payload("content_block_stop", "x", &Value::Null)));
    said
}

impl By {
    /// A text, which may go on.
    fn text(self, text: &str) -> Said {
        match self {
            Self::OpenAi => {
                vec![("message", upstream::role()), ("message", upstream::delta(text))]
            }
            Self::Gemini => vec![("message", google(&json!([{ "text": text }]), &json!({})))],
            Self::Anthropic => {
                let message = json!({ "id": "msg_1", "type": "message", "role": "assistant",
                    "model": "claude", "content": [], "stop_reason": null, "stop_sequence": null,
                    "usage": { "input_tokens": 9, "output_tokens": 1 } });
                let start = json!({ "type": "message_start", "message": message }).to_string();
                let delta = json!({ "type": "text_delta", "text": text });
                let mut said = vec![("message_start", start)];
                said.extend(block(0, &json!({ "type": "text", "text": "" }), &[delta], true));
                said
            }
        }
    }

    /// A call, after the text: whole, or as far as it comes before a break.
    fn call(self, id: &str, whole: bool) -> Said {
        let (begin, rest) = ("{\"city\":", "\"Oslo\"}");
        match self {
            Self::OpenAi => {
                let rest = if whole { rest } else { "" };
                let function = json!({ "name": "weather", "arguments": format!("{begin}{rest}") });
                let call =
                    json!([{ "index": 0, "id": id, "type": "function", "function": function }]);
                let choice = json!({ "index": 0, "delta": { "tool_calls": call } });
                let chunk = json!({ "object": "chat.completion.chunk", "choices": [choice] });
                vec![("message", chunk.to_string())]
            }
            // Google's calls come whole; without an end they are none.
            Self::Gemini => {
                let call = json!({ "id": id, "name": "weather", "args": { "city": "Oslo" } });
                vec![("message", google(&json!([{ "functionCall": call }]), &json!({})))]
            }
            Self::Anthropic => {
                let begins =
                    json!({ "type": "tool_use", "id": id, "name": "weather", "input": {} });
                let pieces = if whole { vec![begin, rest] } else { vec![begin] };
                let delta = |it: &str| json!({ "type": "input_json_delta", "partial_json": it });
                let deltas: Vec<_> = pieces.into_iter().map(delta).collect();
                block(1, &begins, &deltas, whole)
            }
        }
    }

    /// The end, with a usage of 9 and 4.
    fn end(self, calls: bool) -> Said {
        match self {
            Self::OpenAi => {
                let reason = if calls { "\"tool_calls\"" } else { "\"stop\"" };
                let finish = upstream::finish().replace("\"stop\"", reason);
                let all = [finish, upstream::usage(), "[DONE]".to_owned()];
                all.into_iter().map(|data| ("message", data)).collect()
            }
            Self::Gemini => {
                let usage = json!({ "promptTokenCount": 9, "candidatesTokenCount": 4, "totalTokenCount": 13 });
                let more = json!({ "finishReason": "STOP", "usageMetadata": usage });
                vec![("message", google(&json!([{ "text": "" }]), &more))]
            }
            Self::Anthropic => {
                let reason = if calls { "tool_use" } else { "end_turn" };
                let delta = json!({ "type": "message_delta", "usage": { "output_tokens": 4 },
                    "delta": { "stop_reason": reason, "stop_sequence": null } });
                let stop = json!({ "type": "message_stop" });
                vec![("message_delta", delta.to_string()), ("message_stop", stop.to_string())]
            }
        }
    }

    /// The conversation that one was told, as roles and texts.
    fn told(self, body: &Value) -> Vec<(String, String)> {
        let (turns, content) = match self {
            Self::Gemini => (&body["contents"], "parts"),
            _ => (&body["messages"], "content"),
        };
        let turns = turns.as_array().expect("turns").iter();
        let text = |it: &Value| it.as_str().or(it[0]["text"].as_str()).expect("a text").to_owned();
        turns
            .map(|it| (it["role"].as_str().expect("a role").to_owned(), text(&it[content])))
            .collect()
    }
}

/// What an app reads, which must be well-formed.
fn read(app: AppDialect, items: &[Item]) -> Folded {
    let all: Vec<Value> = items.iter().filter(|it| it.data != "[DONE]").map(Item::json).collect();
    let count = |pointer: &str| {
        all.iter().filter(|it| it.pointer(pointer).is_some_and(Value::is_string)).count()
    };
    let kinds: Vec<&str> = all.iter().map(|it| it["type"].as_str().unwrap_or_default()).collect();
    let of = |kind: &str| kinds.iter().filter(|it| **it == kind).count();
    match app {
        AppDialect::OpenAi => {
            assert_eq!(items.last().map(|it| &*it.data), Some("[DONE]"));
            assert!(all.iter().all(|it| it["id"] == all[0]["id"]), "{all:?}");
            assert_eq!(count("/choices/0/delta/role"), 1, "{all:?}");
            assert_eq!(count("/choices/0/finish_reason"), 1, "{all:?}");
        }
        AppDialect::Responses => {
            assert!((0..).zip(&all).all(|(at, it)| it["sequence_number"] == at), "{all:?}");
            assert_eq!(
                (kinds[0], kinds[kinds.len() - 1]),
                ("response.created", "response.completed")
            );
            let output = all[all.len() - 1]["response"]["output"].as_array().expect("items").len();
            for step in ["response.output_item.added", "response.output_item.done"] {
                assert_eq!(of(step), output, "{kinds:?}");
            }
        }
        AppDialect::Anthropic => {
            let (mut blocks, mut open) = (0, false);
            for (kind, it) in kinds.iter().zip(&all) {
                match *kind {
                    "content_block_start" => assert!(!open && it["index"] == blocks, "{all:?}"),
                    kind if kind.starts_with("content_block_") => {
                        assert!(open && it["index"] == blocks, "{all:?}");
                    }
                    _ => assert!(!open, "{all:?}"),
                }
                open = kind.starts_with("content_block_") && *kind != "content_block_stop";
                blocks += i32::from(*kind == "content_block_stop");
            }
            let ends = (kinds[0], kinds[kinds.len() - 1]);
            assert_eq!(ends, ("message_start", "message_stop"));
            assert_eq!((of("message_start"), of("message_delta"), of("message_stop")), (1, 1, 1));
        }
        AppDialect::Gemini => {
            assert_eq!(count("/candidates/0/finishReason"), 1, "{all:?}");
            assert!(all.iter().all(|it| it["responseId"] == all[0]["responseId"]), "{all:?}");
        }
    }
    let frame = |it: &Item| -> Bytes {
        let name = Some(&it.event).filter(|name| !name.is_empty());
        let name = name.map(|name| format!("event: {name}\n")).unwrap_or_default();
        format!("{name}data: {}\n\n", it.data).into()
    };
    fold(&decode(app.into(), "text/event-stream", items.iter().map(frame)))
}

/// Plays a break and how it is gone on with; what the app read, the channel's events, and what the second provider was told.
async fn play(
    pair: (By, By),
    app: AppDialect,
    broken: Said,
    rest: Said,
) -> (Folded, Vec<Item>, Value) {
    let (gateway, first, second) = stage(pair).await;
    let answer = sent(ask(&gateway, app, "fast"));
    let mut call = first.call().await;
    call.begin().await;
    say(&mut call, broken).await;
    call.close().await;
    let mut call = second.call().await;
    let body = call.json();
    call.begin().await;
    say(&mut call, rest).await;
    call.try_end().await;
    let mut stream = stream_of(answer).await;
    let items = stream.rest().await;
    let channel = header(&stream.headers, "tokenway-channel").to_owned();
    gateway.ended(&channel).await;
    let events = gateway.view(&channel).await.rest().await;
    gateway.stop().await;
    (read(app, &items), events, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_of_any_dialect_reads_one_whole_answer_of_two_providers() {
    for pair in PAIRS {
        for app in APPS {
            let (one, two) = pair;
            let case = format!("{pair:?} {}", app.as_str());
            let rest = [two.text(REST), two.end(false)].concat();
            let (told, events, body) = play(pair, app, one.text(FIRST), rest).await;
            assert_eq!(told.first().text, format!("{FIRST}{REST}"), "{case}");
            assert_eq!(
                names(&events),
                ["started", "text", "resumed", "text", "usage", "finished"],
                "{case}"
            );
            let turns = two.told(&body);
            let turns: Vec<_> = turns.iter().map(|(role, text)| (&**role, &**text)).collect();
            // Claude goes on from the beginning of its own turn, without the white space at its end.
            match (two, &turns[..]) {
                (By::Anthropic, [("user", "Hi"), ("assistant", said)]) => {
                    assert_eq!(*said, FIRST.trim_end(), "{case}");
                }
                (By::OpenAi | By::Gemini, [("user", "Hi"), (_, said), ("user", go_on)]) => {
                    assert_eq!(*said, FIRST, "{case}");
                    assert!(go_on.contains("Go on exactly where it stopped"), "{case}");
                }
                _ => panic!("{case}: {turns:?}"),
            }
            let usage = events[4].json();
            // Anthropic gave numbers before it broke, which are never replaced; of others nothing came but text.
            let before = if one == By::Anthropic { 1 } else { FIRST.len().div_ceil(4) as u64 };
            assert_eq!(usage["output"], before + 4, "{case}: {usage}");
            assert!(usage["input"].as_u64() > Some(9), "{case}: {usage}");
            assert_eq!(usage["estimated"], one != By::Anthropic, "{case}: {usage}");
            let number = |name: &str| usage[name].as_f64().expect("a number");
            let cost = (number("input") + 10.0 * number("output")) / 1e6;
            assert!((number("cost") - cost).abs() < 1e-12, "{case}: {usage}");
            let heard = told.usage.expect("a usage");
            assert_eq!(
                (heard.input, heard.output),
                (usage["input"].as_u64().unwrap_or(0), before + 4),
                "{case}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_half_said_is_void_in_every_dialect_and_the_next_provider_makes_its_own() {
    for pair in PAIRS {
        for app in APPS {
            let (one, two) = pair;
            let case = format!("{pair:?} {}", app.as_str());
            let broken = [one.text(THOUGHT), one.call("call_one", false)].concat();
            let rest = [two.text("It is "), two.call("call_two", true), two.end(true)].concat();
            let (told, events, _) = play(pair, app, broken, rest).await;
            let said = told.first();
            assert_eq!(said.text, format!("{THOUGHT}It is "), "{case}");
            let calls: Vec<_> = said
                .calls
                .iter()
                .map(|it| (&*it.id, &*it.name, it.arguments.replace(' ', "")))
                .collect();
            assert_eq!(
                calls,
                [("call_two", "weather", "{\"city\":\"Oslo\"}".to_owned())],
                "{case}"
            );
            let reason = told.end.expect("an end").expect("a good one").reason;
            assert_eq!(reason.as_str(), "tool_calls", "{case}");
            let void = events.iter().filter(|it| it.event == "native").map(Item::json);
            let void: Vec<_> = void.filter(|it| it["name"] == "tool_call.void").collect();
            assert_eq!(void.len(), 1, "{case}: {events:?}");
            assert_eq!(void[0]["data"]["id"], "call_one", "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claude_that_takes_no_prefill_is_told_to_go_on() {
    let (gateway, first, second) = stage((By::OpenAi, By::Anthropic)).await;
    let answer = sent(ask(&gateway, AppDialect::Responses, "fast"));
    let mut call = first.call().await;
    call.begin().await;
    say(&mut call, By::OpenAi.text(FIRST)).await;
    call.close().await;
    let call = second.call().await;
    assert_eq!(By::Anthropic.told(&call.json()).len(), 2);
    let refusal = json!({ "type": "error", "error": { "type": "invalid_request_error",
        "message": "This model does not support assistant message prefill." } });
    call.answer("400 No", "content-type: application/json\r\n", &refusal.to_string()).await;
    let mut call = second.call().await;
    let turns = By::Anthropic.told(&call.json());
    assert_eq!((turns.len(), &*turns[1].1, &*turns[2].0), (3, FIRST, "user"));
    call.begin().await;
    say(&mut call, [By::Anthropic.text(REST), By::Anthropic.end(false)].concat()).await;
    call.try_end().await;
    let told = read(AppDialect::Responses, &stream_of(answer).await.rest().await);
    assert_eq!(told.first().text, format!("{FIRST}{REST}"));
    gateway.stop().await;
}

/// Of two models at one provider the second is told less.
#[tokio::test(flavor = "multi_thread")]
async fn the_app_is_told_what_the_target_that_answered_was_not_told() {
    let google = Upstream::bind().await;
    let yaml = format!(
        "providers:\n  goo: {{ dialect: gemini, base_url: \"http://{}\", api_key: {KEY} }}\n\
         models:\n  fast: {{ targets: [ {{ provider: goo, model: gemini-2.5-flash }}, \
         {{ provider: goo, model: gemini-3-pro }} ] }}\n",
        google.addr()
    );
    let gateway = Tokenway::of(&yaml, |_| {}).await;
    let asked = json!({ "model": "fast", "stream": true, "reasoning_effort": "none",
        "messages": [{ "role": "user", "content": "Hi" }] });
    let answer = sent(gateway.chat(asked.clone()));
    google.call().await.answer("500 No", "", "{}").await;
    let mut call = google.call().await;
    assert!(call.line().contains("gemini-3-pro"), "{}", call.line());
    call.begin().await;
    say(&mut call, [By::Gemini.text("Hi"), By::Gemini.end(false)].concat()).await;
    call.try_end().await;
    let app = stream_of(answer).await;
    assert_eq!(header(&app.headers, "tokenway-dropped"), "reasoning_effort");
    assert_eq!(header(&app.headers, "tokenway-attempts"), "2");
    gateway.stop().await;
}

//! `on_break: continue`: a generation whose provider breaks in the middle goes on at the next one, on the same channel, and
//! nothing is said twice.

use serde_json::{Value, json};

use crate::{
    fault::{Act, Stage, Then, channel_of, error, good, names, only, refusal, told, torn},
    gateway::{asked, body, send},
    sse::{Item, Sse},
    upstream,
};

const GO_ON: &str = "failover: { retries: 0 }, on_break: continue";
const FIRST: &str = "Once upon a time there was ";
const REST: &str = "a gateway that lost nothing.";

/// The text of a channel's events.
fn text(events: &[Item]) -> String {
    let texts = events.iter().filter(|event| event.event == "text").map(Item::json);
    texts.map(|event| event["text"].as_str().expect("text").to_owned()).collect()
}

/// What a provider was told as the conversation.
fn messages(body: &Value) -> Vec<(&str, &str)> {
    let messages = body["messages"].as_array().expect("messages").iter();
    let said = messages.map(|it| (it["role"].as_str(), it["content"].as_str()));
    said.map(|(role, content)| (role.expect("a role"), content.expect("text"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn however_it_breaks_and_however_the_next_one_goes_on_the_text_is_whole() {
    let whole = format!("{FIRST}{REST}");
    let breaks = [
        torn(FIRST, Then::Cut),
        torn(FIRST, Then::Reset),
        torn(FIRST, Then::End),
        torn(FIRST, Then::Hang),
        Act::Stream(vec![upstream::delta(FIRST), error()], Then::End),
    ];
    let continuations = [REST.to_owned(), whole.clone(), format!("a time there was {REST}")];
    for (number, fault) in breaks.into_iter().enumerate() {
        let continuation = &continuations[number % continuations.len()];
        let scripts = vec![("a", vec![fault.clone()]), ("b", vec![good(continuation)])];
        let stage = Stage::set(&format!("{GO_ON}, timeouts: {{ idle: 300ms }}"), scripts).await;
        let mut app = stage.stream().await;
        assert_eq!(told(&mut app).await, (whole.clone(), "[DONE]".to_owned()), "{fault:?}");
        assert_eq!(stage.order(), ["a", "b"]);

        let seen = stage.seen();
        let [asked, so_far, told] = messages(&seen[1].body)[..] else { panic!("{seen:?}") };
        assert_eq!((asked, so_far), (("user", "Hi"), ("assistant", FIRST)));
        assert_eq!(told.0, "user");
        assert!(told.1.contains("Go on exactly where it stopped"), "{told:?}");

        let channel = channel_of(&app);
        let events = stage.events(&channel).await;
        assert_eq!(names(&events), ["started", "text", "resumed", "text", "usage", "finished"]);
        assert_eq!(text(&events), whole);
        let resumed = only(&events, "resumed");
        assert_eq!((&resumed["from"], &resumed["to"]), (&json!("a"), &json!("b")));
        // 9 and 4 are b's own count; of a's nothing came but text.
        let usage = only(&events, "usage");
        assert_eq!(usage["output"], 4 + FIRST.len().div_ceil(4));
        assert_eq!((&usage["estimated"], usage["input"].as_u64() > Some(9)), (&json!(true), true));
        let state = stage.gateway.state(&channel).await;
        assert_eq!(state["generations"][0]["text"], whole);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_apps_stream_is_one_answer_with_one_id_and_one_role() {
    let scripts = vec![("a", vec![torn(FIRST, Then::Cut)]), ("b", vec![good(REST)])];
    let stage = Stage::set(GO_ON, scripts).await;
    let mut items = stage.stream().await.rest().await;
    assert_eq!(items.pop().expect("an end").data, "[DONE]");
    let chunks: Vec<Value> = items.iter().map(Item::json).collect();
    assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"]), "{chunks:?}");
    let roles = chunks.iter().filter(|it| it["choices"][0]["delta"]["role"].is_string());
    assert_eq!(roles.count(), 1);
    let ends = chunks.iter().filter(|it| it["choices"][0]["finish_reason"].is_string());
    assert_eq!(ends.count(), 1);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_does_not_stream_gets_the_whole_answer() {
    let scripts = vec![("a", vec![torn(FIRST, Then::Cut)]), ("b", vec![good(REST)])];
    let stage = Stage::set(GO_ON, scripts).await;
    let answer = body(send(stage.gateway.chat(asked(false))).await).await;
    assert_eq!(answer["choices"][0]["message"]["content"], format!("{FIRST}{REST}"));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_target_goes_on_itself_and_may_break_again() {
    let script = vec![
        torn("One, two, ", Then::Cut),
        refusal("500"),
        torn("three, ", Then::Cut),
        good("four."),
    ];
    let model = "failover: { retries: 1 }, on_break: continue";
    let stage = Stage::set(model, vec![("a", script)]).await;
    let mut app = stage.stream().await;
    assert_eq!(told(&mut app).await.0, "One, two, three, four.");
    assert_eq!(stage.order(), ["a"; 4]);
    let seen = stage.seen();
    assert_eq!(messages(&seen[3].body)[1], ("assistant", "One, two, three, "));
    let events = stage.events(&channel_of(&app)).await;
    let expected = ["started", "text", "resumed", "text", "resumed", "text", "usage", "finished"];
    assert_eq!(names(&events), expected);
    stage.stop().await;
}

/// A chunk with a part of a tool call.
fn tool(index: u32, id: &str, name: &str, arguments: &str) -> String {
    let mut call = json!({ "index": index, "function": { "arguments": arguments } });
    if !id.is_empty() {
        call["id"] = id.into();
        call["type"] = "function".into();
        call["function"]["name"] = name.into();
    }
    json!({ "id": "x", "object": "chat.completion.chunk",
        "choices": [{ "index": 0, "delta": { "tool_calls": [call] }, "finish_reason": null }] })
    .to_string()
}

fn tools_finish() -> String {
    upstream::finish().replace("\"stop\"", "\"tool_calls\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_half_said_is_void_and_begun_anew() {
    let half = vec![
        upstream::delta("Let me see. "),
        tool(0, "call_a0", "weather", "{\"city\":\"Oslo\"}"),
        tool(1, "call_a1", "weather", "{\"ci"),
    ];
    let anew = vec![
        tool(0, "call_b0", "weather", "{\"city\":"),
        tool(0, "", "", "\"Oslo\"}"),
        tool(1, "call_b1", "weather", "{\"city\":\"Rome\"}"),
        tools_finish(),
        "[DONE]".to_owned(),
    ];
    let scripts =
        vec![("a", vec![Act::Stream(half, Then::Cut)]), ("b", vec![Act::Stream(anew, Then::End)])];
    let stage = Stage::set(GO_ON, scripts).await;
    let mut app = stage.stream().await;
    let items = app.rest().await;
    let mut calls: Vec<(String, String)> = Vec::new();
    for item in items.iter().filter(|item| item.data.starts_with('{')) {
        for call in
            item.json()["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten()
        {
            let index = usize::try_from(call["index"].as_u64().expect("an index")).expect("small");
            if index == calls.len() {
                calls.push((call["id"].as_str().expect("an id").to_owned(), String::new()));
            }
            calls[index].1 += call["function"]["arguments"].as_str().unwrap_or_default();
        }
    }
    let whole = [("call_b0", "{\"city\":\"Oslo\"}"), ("call_b1", "{\"city\":\"Rome\"}")];
    let calls: Vec<_> = calls.iter().map(|(id, arguments)| (&**id, &**arguments)).collect();
    assert_eq!(calls, whole, "{items:?}");

    let channel = channel_of(&app);
    let events = stage.events(&channel).await;
    let void: Vec<Value> =
        events.iter().filter(|it| it.event == "native").map(Item::json).collect();
    let named: Vec<_> = void
        .iter()
        .map(|it| (it["name"].as_str(), it["data"]["id"].as_str(), it["dialect"].as_str()))
        .collect();
    let name = Some("tool_call.void");
    let ours = Some("tokenway");
    assert_eq!(named, [(name, Some("call_a0"), ours), (name, Some("call_a1"), ours)]);
    let state = stage.gateway.state(&channel).await;
    let folded = state["generations"][0]["tool_calls"].as_array().expect("calls").clone();
    let folded: Vec<_> =
        folded.iter().map(|it| (it["id"].as_str(), it["arguments"].as_str())).collect();
    assert_eq!(folded, whole.map(|(id, arguments)| (Some(id), Some(arguments))));
    stage.stop().await;
}

/// Where nothing can honestly go on, the break is what the app is told of, and nobody else is called.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_gone_on_with_fails_as_it_broke() {
    let choice = upstream::delta("b").replace("\"index\":0", "\"index\":1");
    for (ask, payloads) in [
        (json!({ "n": 2 }), vec![upstream::delta("a"), choice]),
        (json!({ "response_format": { "type": "json_object" } }), vec![upstream::delta("{\"a\":")]),
        (json!({}), vec![upstream::delta("I").replace("\"content\"", "\"refusal\"")]),
    ] {
        let scripts = vec![("a", vec![Act::Stream(payloads, Then::Cut)]), ("b", vec![good("no")])];
        let stage = Stage::set(GO_ON, scripts).await;
        let mut whole = asked(true);
        for (name, value) in ask.as_object().expect("an object") {
            whole[name] = value.clone();
        }
        let mut app = Sse::of(send(stage.gateway.chat(whole)).await);
        let (_, last) = told(&mut app).await;
        assert!(last.contains("upstream_cut"), "{ask}: {last}");
        assert_eq!(stage.order(), ["a"], "{ask}");
        let events = stage.events(&channel_of(&app)).await;
        assert_eq!(events.last().expect("an end").json()["code"], "upstream_cut");
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nobody_can_go_on_the_break_is_told_and_not_what_could_not_mend_it() {
    let scripts =
        vec![("a", vec![torn(FIRST, Then::Cut), refusal("500 A")]), ("b", vec![refusal("400 B")])];
    let stage = Stage::set(GO_ON, scripts).await;
    let mut app = stage.stream().await;
    let (said, last) = told(&mut app).await;
    assert_eq!(said, FIRST);
    assert!(last.contains("upstream_cut"), "{last}");
    let events = stage.events(&channel_of(&app)).await;
    assert_eq!(names(&events), ["started", "text", "resumed", "usage", "failed"]);
    assert_eq!(only(&events, "usage")["estimated"], true);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_answer_in_place_of_a_continuation_is_not_shown() {
    let said =
        "The capital of Norway is Oslo, which lies at the head of the Oslofjord in the south";
    let other = said.replace("in the south", "and has about 700,000 inhabitants.");
    let scripts = vec![
        ("a", vec![torn(said, Then::Cut)]),
        ("b", vec![good(&other)]),
        ("c", vec![good(" of the country.")]),
    ];
    let stage = Stage::set(GO_ON, scripts).await;
    let mut app = stage.stream().await;
    assert_eq!(told(&mut app).await.0, format!("{said} of the country."));
    assert_eq!(stage.order(), ["a", "b", "c"]);
    stage.stop().await;
}

/// Nobody's count comes any more: what was said is estimated, over all calls, and it costs.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_leaves_an_estimate_and_its_cost() {
    for scripts in [
        vec![("a", vec![torn(FIRST, Then::Hang)])],
        vec![("a", vec![torn(FIRST, Then::Cut)]), ("b", vec![torn(REST, Then::Hang)])],
    ] {
        let calls = scripts.len();
        let said = [FIRST, REST][..calls].concat();
        let stage = Stage::set(GO_ON, scripts).await;
        let app = stage.stream().await;
        let channel = channel_of(&app);
        let all = |state: &Value| state["generations"][0]["text"] == said;
        stage.gateway.state_when(&channel, all).await;
        let path = format!("/v1/channels/{channel}/cancel");
        assert_eq!(send(stage.gateway.post(&path, "")).await.status(), 200);
        let events = stage.events(&channel).await;
        assert_eq!(events.last().expect("an end").json()["code"], "cancelled");
        let usage = only(&events, "usage");
        let tokens: usize = [FIRST, REST][..calls].iter().map(|it| it.len().div_ceil(4)).sum();
        assert_eq!((&usage["output"], &usage["estimated"]), (&json!(tokens), &json!(true)));
        let input = usage["input"].as_f64().expect("a count");
        assert!(input > 0.0, "{usage}");
        let cost = (input + 10.0 * tokens as f64) / 1e6;
        assert!((usage["cost"].as_f64().expect("a cost") - cost).abs() < 1e-12, "{usage}");
        stage.stop().await;
    }
}

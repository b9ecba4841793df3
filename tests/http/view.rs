//! `GET /v1/channels/{id}/events`: replay and live are one stream, every event once, from wherever a viewer stopped.

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::{
    gateway::{self, Tokenway, body, header, refusal, send, sent, stream_of},
    sse::{Item, Sse},
    upstream::{self, Call, Upstream},
};

async fn begun(
    gateway: &Tokenway,
    upstream: &Upstream,
    channel: Option<&str>,
) -> (Sse, Call, String) {
    let request = gateway.streamed();
    let request = match channel {
        Some(id) => request.header("tokenway-channel", id),
        None => request,
    };
    let call = sent(request);
    let mut provider = upstream.call().await;
    provider.begin().await;
    let app = stream_of(call).await;
    let channel = header(&app.headers, "tokenway-channel").to_owned();
    (app, provider, channel)
}

/// A finished generation of some words, and its channel.
async fn finished(gateway: &Tokenway, upstream: &Upstream, channel: Option<&str>) -> String {
    let (mut app, mut provider, channel) = begun(gateway, upstream, channel).await;
    for word in ["The ", "quick ", "brüün ", "🦊 ", "jumps"] {
        provider.text_delta(word).await;
    }
    provider.finish().await;
    app.rest().await;
    channel
}

fn events_of(gateway: &Tokenway, channel: &str) -> reqwest::RequestBuilder {
    gateway.get(&format!("/v1/channels/{channel}/events"))
}

async fn after(gateway: &Tokenway, channel: &str, after: &str) -> Sse {
    Sse::of(send(events_of(gateway, channel).query_after(after)).await)
}

trait After {
    fn query_after(self, after: &str) -> Self;
}

impl After for reqwest::RequestBuilder {
    fn query_after(self, after: &str) -> Self {
        let (client, request) = self.build_split();
        let mut request = request.expect("a request");
        request.url_mut().query_pairs_mut().append_pair("after", after);
        Self::from_parts(client, request)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_have_the_form_that_is_documented() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let (mut app, mut provider, channel) = begun(&gateway, &upstream, None).await;
    let generation = header(&app.headers, "tokenway-generation").to_owned();
    let epoch = header(&app.headers, "tokenway-epoch").to_owned();
    provider.event(r#"{"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}"#).await;
    provider.text_delta("Hel\nlo").await;
    provider.event(r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"add","arguments":""}}]}}]}"#).await;
    provider.event(r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":1}"}}]}}]}"#).await;
    provider.event(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#).await;
    provider.event(upstream::usage()).await;
    provider.event("[DONE]").await;
    provider.end().await;
    app.rest().await;
    let events = gateway.view(&channel).await.rest().await;
    let created = events[0].json()["created_ms"].clone();
    assert!(created.as_u64() > Some(1_700_000_000_000));
    let usage = json!({ "prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13 });
    let expected = [
        (
            "started",
            json!({ "model": "fast", "provider": "up", "dialect": "openai", "created_ms": created }),
        ),
        ("reasoning", json!({ "text": "hm" })),
        ("text", json!({ "text": "Hel\nlo" })),
        ("tool_call", json!({ "index": 0, "id": "call_1", "name": "add", "run_by": "client" })),
        ("tool_arguments", json!({ "index": 0, "arguments": "{\"a\":1}" })),
        (
            "usage",
            json!({ "input": 9, "output": 4, "cached_input": 0, "cache_write": 0, "reasoning": 0,
                          "cost": null, "estimated": false, "native": usage }),
        ),
        ("finished", json!({ "reason": "tool_calls", "native_reason": "tool_calls" })),
    ];
    assert_eq!(events.len(), expected.len(), "{events:?}");
    for (seq, (event, (name, members))) in (1u64..).zip(events.iter().zip(expected)) {
        let mut whole = json!({ "seq": seq, "generation": generation });
        whole.as_object_mut().expect("an object").extend(members.as_object().expect("one").clone());
        assert_eq!((event.event.as_str(), event.json()), (name, whole));
        assert_eq!(event.id, Some(format!("{epoch}.{seq}")));
    }
    let state = gateway.state(&channel).await;
    assert_eq!(
        state,
        json!({
            "channel": channel, "epoch": epoch, "first_seq": 1, "last_seq": 7,
            "generations": [ {
                "generation": generation, "model": "fast", "provider": "up", "created_ms": created,
                "state": "finished", "text": "Hel\nlo", "reasoning": "hm", "refusal": null,
                "tool_calls": [ { "id": "call_1", "name": "add", "arguments": "{\"a\":1}", "run_by": "client" } ],
                "finish_reason": "tool_calls", "native_finish_reason": "tool_calls",
                "usage": { "input": 9, "output": 4, "cached_input": 0, "cache_write": 0, "reasoning": 0,
                           "cost": null, "estimated": false, "native": usage },
                "error": null,
            } ],
            "customs": [],
        })
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_what_was_live() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let (mut app, mut provider, channel) = begun(&gateway, &upstream, None).await;
    // One is there from the first event on; others come while it runs, at every event; one comes late.
    let mut live = gateway.view(&channel).await;
    let mut seen = vec![live.event().await];
    let mut joined = Vec::new();
    for round in 0..12 {
        provider.text_delta(&format!("{round} ")).await;
        seen.push(live.event().await);
        joined.push(gateway.view(&channel).await);
    }
    provider.finish().await;
    app.rest().await;
    seen.extend(live.rest().await);
    for view in &mut joined {
        assert_eq!(view.rest().await, seen);
    }
    assert_eq!(gateway.view(&channel).await.rest().await, seen);
    let seqs: Vec<_> = seen.iter().map(Item::seq).collect();
    assert_eq!(seqs, (1..=15).collect::<Vec<_>>());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_a_viewer_stopped_it_goes_on_exactly_there() {
    let (gateway, upstream) = gateway::with_upstream().await;
    for name in [None, Some("chat-42")] {
        let channel = finished(&gateway, &upstream, name).await;
        let last = gateway.state(&channel).await["last_seq"].as_u64().expect("a number");
        let all = gateway.view(&channel).await.until(|event| event.seq() == last).await;
        for seen in 0..all.len() {
            let rest = &all[seen..];
            let cursor = match seen {
                0 => format!("{}.0", all[0].id.as_deref().unwrap().split_once('.').unwrap().0),
                seen => all[seen - 1].id.clone().expect("an id"),
            };
            let by_header =
                send(events_of(&gateway, &channel).header("last-event-id", &cursor)).await;
            for mut view in [
                Sse::of(by_header),
                after(&gateway, &channel, &cursor).await,
                after(&gateway, &channel, &seen.to_string()).await,
            ] {
                assert_eq!(view.until(|event| event.seq() == last).await, rest, "{cursor}");
            }
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_drops_at_every_event_of_a_running_generation_sees_each_once() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let (mut app, mut provider, channel) = begun(&gateway, &upstream, None).await;
    let mut seen: Vec<Item> = vec![gateway.view(&channel).await.event().await];
    for round in 0..20 {
        provider.text_delta(&format!("{round} ")).await;
        let last = seen.last().and_then(|item| item.id.clone()).expect("an id");
        let view = send(events_of(&gateway, &channel).header("last-event-id", last)).await;
        seen.push(Sse::of(view).event().await);
    }
    provider.finish().await;
    app.rest().await;
    let last = seen.last().and_then(|item| item.id.clone()).expect("an id");
    let view = send(events_of(&gateway, &channel).header("last-event-id", last)).await;
    seen.extend(Sse::of(view).rest().await);
    assert_eq!(seen, gateway.view(&channel).await.rest().await);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_header_is_newer_than_the_url() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let channel = finished(&gateway, &upstream, None).await;
    let all = gateway.view(&channel).await.rest().await;
    let third = all[2].id.clone().expect("an id");
    let request = events_of(&gateway, &channel).query_after("1").header("last-event-id", third);
    assert_eq!(Sse::of(send(request).await).rest().await, all[3..]);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_place_has_its_own_answer() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let channel = finished(&gateway, &upstream, Some("chat-42")).await;
    let state = gateway.state(&channel).await;
    let epoch = state["epoch"].as_str().expect("an epoch");
    let last = state["last_seq"].as_u64().expect("a number");
    for bad in [
        "x",
        "",
        "-1",
        "1.5",
        "9f3a6c1e.",
        "9f3a6c1e.x",
        "9F3A.1",
        &format!("{epoch}.1.2"),
        "99999999999999999999",
    ] {
        let (status, problem) = refusal(events_of(&gateway, &channel).query_after(bad)).await;
        assert_eq!((status, &problem["error"]["code"]), (400, &json!("bad_cursor")), "{bad:?}");
    }
    // A bare seq is for people; an EventSource always has an epoch.
    for bad in ["1", "x", "\u{e9}.1"] {
        let request = events_of(&gateway, &channel).header("last-event-id", bad);
        let (status, problem) = refusal(request).await;
        assert_eq!((status, &problem["error"]["code"]), (400, &json!("bad_cursor")), "{bad:?}");
    }
    for ahead in [format!("{epoch}.{}", last + 1), (last + 1).to_string()] {
        let (status, problem) = refusal(events_of(&gateway, &channel).query_after(&ahead)).await;
        assert_eq!((status, &problem["error"]["code"]), (416, &json!("cursor_ahead")), "{ahead}");
    }
    let other = format!("{:08x}.1", u32::from_str_radix(epoch, 16).expect("hexadecimal") ^ 1);
    let (status, problem) = refusal(events_of(&gateway, &channel).query_after(&other)).await;
    assert_eq!((status, &problem["error"]["code"]), (409, &json!("epoch_changed")));
    assert_eq!(problem["error"]["epoch"], epoch, "with the epoch of now");
    let (status, problem) = refusal(events_of(&gateway, "none").query_after(&other)).await;
    assert_eq!((status, &problem["error"]["code"]), (404, &json!("channel_not_found")));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unnamed_channels_view_ends_and_who_comes_back_at_its_end_is_told_to_stop() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let channel = finished(&gateway, &upstream, None).await;
    let all = gateway.view(&channel).await.rest().await;
    let (last, before) = (all[all.len() - 1].id.clone(), all[all.len() - 2].id.clone());
    let last = last.expect("an id");
    for request in [
        events_of(&gateway, &channel).header("last-event-id", &last),
        events_of(&gateway, &channel).query_after(&last),
        events_of(&gateway, &channel).query_after(&all.len().to_string()),
    ] {
        let response = send(request).await;
        assert_eq!(response.status(), 204);
        assert_eq!(response.text().await.expect("a body"), "");
    }
    let view =
        send(events_of(&gateway, &channel).header("last-event-id", before.expect("an id"))).await;
    assert_eq!(Sse::of(view).rest().await, all[all.len() - 1..]);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_channels_view_stays_open_at_its_head() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let channel = finished(&gateway, &upstream, Some("chat-42")).await;
    let state = gateway.state(&channel).await;
    let head = format!("{}.{}", state["epoch"].as_str().expect("an epoch"), state["last_seq"]);
    let mut view = Sse::of(send(events_of(&gateway, &channel).header("last-event-id", head)).await);
    finished(&gateway, &upstream, Some("chat-42")).await;
    let events = view.until(|event| event.event == "finished").await;
    assert_eq!(events[0].seq(), state["last_seq"].as_u64().expect("a number") + 1);
    drop(view);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_trimmed_is_given_as_a_snapshot_and_the_tail_completes_it() {
    let (gateway, upstream) =
        gateway::with("", |config| config.channels.retention.max_bytes = 256 * 1024).await;
    let (mut app, mut provider, channel) = begun(&gateway, &upstream, Some("chat-42")).await;
    let mut said = String::new();
    for round in 0..132 {
        let text = format!("{round}{} ", "y".repeat(2048));
        said += &text;
        provider.text_delta(&text).await;
        app.event().await;
    }
    // Too much for events: the oldest were folded.
    let first = gateway.state(&channel).await["first_seq"].as_u64().expect("a number");
    assert!(first > 1);
    let mut view = gateway.view(&channel).await;
    let snapshot = view.event().await;
    assert_eq!(snapshot.event, "snapshot");
    let state = snapshot.json();
    let through = state["through"].as_u64().expect("a seq");
    assert_eq!(snapshot.seq(), through, "its cursor is what it folds");
    provider.text_delta("end").await;
    said += "end";
    provider.finish().await;
    let tail = view.until(|event| event.event == "finished").await;
    assert_eq!(tail[0].seq(), through + 1);
    let mut text = state["generations"][0]["text"].as_str().expect("text").to_owned();
    for event in tail.iter().filter(|event| event.event == "text") {
        text += event.json()["text"].as_str().expect("text");
    }
    assert!(text == said, "snapshot and tail are everything");
    drop(view);
    app.rest().await;
    // Who knows all but the trimmed gets a snapshot, who knows more gets events.
    let epoch = snapshot.id.as_deref().and_then(|id| id.split_once('.')).expect("EPOCH.SEQ").0;
    let first = gateway.state(&channel).await["first_seq"].as_u64().expect("a number");
    let mut trimmed = after(&gateway, &channel, &format!("{epoch}.{}", first - 2)).await;
    assert_eq!(trimmed.event().await.event, "snapshot");
    let mut kept = after(&gateway, &channel, &format!("{epoch}.{}", first - 1)).await;
    assert_eq!(kept.event().await.seq(), first);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_choices_are_told_apart() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let (mut app, mut provider, channel) = begun(&gateway, &upstream, None).await;
    for (index, text) in [(0, "a"), (1, "b"), (0, "c")] {
        provider
            .event(
                json!({ "choices": [{ "index": index, "delta": { "content": text } }] })
                    .to_string(),
            )
            .await;
    }
    provider.event(r#"{"choices":[{"index":1,"delta":{},"finish_reason":"length"}]}"#).await;
    provider.event(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#).await;
    provider.event("[DONE]").await;
    provider.end().await;
    app.rest().await;
    let generation = &gateway.state(&channel).await["generations"][0];
    assert_eq!((&generation["text"], &generation["finish_reason"]), (&json!("ac"), &json!("stop")));
    assert_eq!(generation["choices"][1]["text"], "b");
    assert_eq!(generation["choices"][1]["finish_reason"], "length");
    let events = gateway.view(&channel).await.rest().await;
    let of_one: Vec<Value> =
        events.iter().map(Item::json).filter(|event| event["choice"] == 1).collect();
    assert_eq!(of_one[0]["text"], "b");
    let ends: Vec<_> = events.iter().filter(|event| event.event == "choice_finished").collect();
    assert_eq!(ends.len(), 2);
    let told = body(send(gateway.get(&format!("/v1/channels/{channel}"))).await).await;
    assert_eq!(told["generations"][0]["state"], "finished");
    gateway.stop().await;
}

/// How many viewers each of the generations has that drop at random.
const VIEWERS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn viewers_that_drop_at_random_while_many_generations_run_miss_nothing_and_see_nothing_twice()
{
    let (gateway, _upstream) = gateway::with_upstream().await;
    let seed = crate::common::seed();
    let mut calls = Vec::new();
    for number in 0..12 {
        // Some have a channel of their own, others share one.
        let mut ask = gateway::asked(true);
        ask["model"] = "sim".into();
        ask["simulator"] = json!({ "tokens": 150, "seed": number, "tokens_per_second": 300 });
        let request = gateway.chat(ask);
        let request = match number % 3 {
            0 => request.header("tokenway-channel", "shared"),
            _ => request,
        };
        calls.push(Sse::of(send(request).await));
    }
    let mut channels: Vec<_> =
        calls.iter().map(|app| header(&app.headers, "tokenway-channel").to_owned()).collect();
    channels.sort();
    channels.dedup();
    let mut viewers = Vec::new();
    for (number, channel) in channels.iter().flat_map(|it| [it; VIEWERS]).enumerate() {
        let random = StdRng::seed_from_u64(seed.wrapping_add(number as u64));
        let (http, url) =
            (gateway.http.clone(), gateway.url(&format!("/v1/channels/{channel}/events")));
        let wanted = if channel == "shared" { 4 } else { 1 };
        viewers.push((channel, tokio::spawn(drop_at_random(http, url, wanted, random))));
    }
    for app in &mut calls {
        assert_eq!(app.rest().await.last().expect("an end").data, "[DONE]");
    }
    let mut drops = 0;
    for (channel, viewer) in viewers {
        let (seen, dropped) = viewer.await.expect("a viewer");
        drops += dropped;
        let last = gateway.state(channel).await["last_seq"].as_u64().expect("a number");
        let all = gateway.view(channel).await.until(|event| event.seq() == last).await;
        assert_eq!(seen, all, "{channel}");
    }
    println!("{drops} drops");
    assert!(drops > 100, "{drops}");
    gateway.stop().await;
}

/// Reads some events, drops, comes back with the last id, until it has seen so many generations end.
async fn drop_at_random(
    http: reqwest::Client,
    url: String,
    wanted: usize,
    mut random: StdRng,
) -> (Vec<Item>, usize) {
    let (mut seen, mut drops): (Vec<Item>, usize) = (Vec::new(), 0);
    let ended = |seen: &[Item]| seen.iter().filter(|item| item.event == "finished").count();
    while ended(&seen) < wanted {
        let mut request = http.get(&url);
        if let Some(last) = seen.last() {
            request = request.header("last-event-id", last.id.clone().expect("an id"));
        }
        let mut view = Sse::of(send(request).await);
        for _ in 0..random.random_range(1..40) {
            if ended(&seen) == wanted {
                break;
            }
            seen.push(view.event().await);
        }
        drops += 1;
    }
    (seen, drops)
}

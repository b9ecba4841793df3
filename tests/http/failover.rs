//! Where one target does not answer, the next one does, in their order; and when none does, the last one's answer is told.

use std::time::Duration;

use serde_json::json;

use crate::{
    fault::{Act, Stage, Then, channel_of, error, good, names, only, refusal, told},
    gateway::{asked, body, header, send},
    soon,
};

const NONE: &str = "failover: { retries: 0 }";

#[tokio::test(flavor = "multi_thread")]
async fn the_next_target_answers_for_one_that_does_not_and_the_channel_tells() {
    for (fault, why) in [
        (vec![refusal("500 Broken")], "the provider answered 500"),
        (vec![refusal("401 Who"), refusal("401 Who")], "the provider answered 401"),
        (vec![refusal("404 Unknown")], "the provider answered 404"),
        (vec![Act::Close], "the provider's stream was cut"),
        (vec![Act::Stream(vec![error()], Then::End)], "the provider reported an error"),
        (vec![], "the provider could not be reached"),
    ] {
        let calls = fault.len();
        let stage = Stage::set(NONE, vec![("a", fault), ("b", vec![good("Hi")])]).await;
        let mut app = stage.stream().await;
        assert_eq!(header(&app.headers, "tokenway-provider"), "b", "{why}");
        let attempts = (calls.max(1) + 1).to_string();
        assert_eq!(header(&app.headers, "tokenway-attempts"), attempts, "{why}");
        assert_eq!(told(&mut app).await, ("Hi".to_owned(), "[DONE]".to_owned()), "{why}");
        assert_eq!(stage.order(), [vec!["a"; calls], vec!["b"]].concat(), "{why}");
        assert_eq!(stage.seen()[calls].body["model"], "b-model");
        let events = stage.events(&channel_of(&app)).await;
        assert_eq!(names(&events), ["started", "resumed", "text", "usage", "finished"], "{why}");
        assert_eq!(events[0].json()["provider"], "a", "whom it began with");
        let resumed = events[1].json();
        for (member, value) in [("from", "a"), ("to", "b"), ("reason", why), ("dialect", "openai")]
        {
            assert_eq!(resumed[member], value);
        }
        let state = stage.gateway.state(&channel_of(&app)).await;
        assert_eq!(state["generations"][0]["provider"], "b", "who speaks now");
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_target_is_tried_again_before_the_next_one_is() {
    let scripts = vec![
        ("a", vec![refusal("500 A"), refusal("503 A")]),
        ("b", vec![Act::Close, refusal("502 B")]),
        ("c", vec![good("Hi")]),
    ];
    let stage = Stage::set("failover: { retries: 1 }", scripts).await;
    assert_eq!(told(&mut stage.stream().await).await.0, "Hi");
    assert_eq!(stage.order(), ["a", "a", "b", "b", "c"]);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_says_nothing_in_time_is_left() {
    for fault in [Act::Hang, Act::Stream(vec![], Then::Hang)] {
        let scripts = vec![("a", vec![fault]), ("b", vec![good("Hi")])];
        let stage =
            Stage::set("failover: { retries: 1 }, timeouts: { first_token: 300ms }", scripts).await;
        let mut app = stage.stream().await;
        assert_eq!(told(&mut app).await.0, "Hi");
        assert_eq!(stage.order(), ["a", "b"]);
        let resumed = only(&stage.events(&channel_of(&app)).await, "resumed");
        assert_eq!(resumed["reason"], "no first token in time");
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_asks_for_a_long_rest_is_not_waited_for_where_there_is_another() {
    let limited = Act::Answer("429 Slow", "retry-after: 20\r\n", "{}".to_owned());
    let scripts = vec![("a", vec![limited.clone(), limited]), ("b", vec![good("Hi")])];
    let stage = Stage::set("failover: { retries: 1 }", scripts).await;
    assert_eq!(told(&mut stage.stream().await).await.0, "Hi");
    // Its second key was limited too.
    assert_eq!(stage.order(), ["a", "a", "b"]);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_none_answers_the_last_ones_answer_is_told_as_it_is() {
    let scripts = vec![("a", vec![refusal("500 A")]), ("b", vec![refusal("503 B")])];
    let stage = Stage::set(NONE, scripts).await;
    let response = send(stage.gateway.streamed()).await;
    assert_eq!(response.status(), 503);
    assert_eq!(header(response.headers(), "tokenway-provider"), "b");
    let channel = header(response.headers(), "tokenway-channel").to_owned();
    assert_eq!(body(response).await["error"]["message"], "because 503 B");
    let events = stage.events(&channel).await;
    assert_eq!(names(&events), ["started", "resumed", "failed"]);
    assert_eq!(events[2].json()["status"], 503);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_none_answers_at_all_the_app_is_told_who_was_called_last_and_how_many_were() {
    for stream in [true, false] {
        let stage = Stage::set(NONE, vec![("a", vec![Act::Close]), ("b", vec![Act::Close])]).await;
        let response = send(stage.gateway.chat(asked(stream))).await;
        assert_eq!(response.status(), 502);
        assert_eq!(header(response.headers(), "tokenway-provider"), "b");
        assert_eq!(header(response.headers(), "tokenway-attempts"), "2");
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_last_one_in_its_stream_is_passed_on_as_it_is() {
    let scripts =
        vec![("a", vec![refusal("500 A")]), ("b", vec![Act::Stream(vec![error()], Then::End)])];
    let stage = Stage::set(NONE, scripts).await;
    let items = stage.stream().await.rest().await;
    assert_eq!(items.iter().map(|item| &*item.data).collect::<Vec<_>>(), [error()]);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_apps_fault_ends_it_wherever_it_is_found() {
    let scripts =
        vec![("a", vec![refusal("500 A")]), ("b", vec![refusal("400 B")]), ("c", vec![good("no")])];
    let stage = Stage::set(NONE, scripts).await;
    assert_eq!(send(stage.gateway.streamed()).await.status(), 400);
    assert_eq!(stage.order(), ["a", "b"]);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_whose_circuit_is_open_is_passed_over_unless_all_are() {
    let broken = || vec![refusal("500 Broken"); 3];
    let scripts = vec![("a", broken()), ("b", vec![good("1"), refusal("500"), good("3")])];
    let stage = Stage::set_with(NONE, scripts, |config| {
        for provider in &mut config.providers {
            if let tokenway::config::Endpoint::Http(http) = &mut provider.endpoint {
                http.breaker.failures = 1;
                http.breaker.open = Duration::from_secs(600);
            }
        }
    })
    .await;
    assert_eq!(told(&mut stage.stream().await).await.0, "1");
    assert_eq!(stage.order(), ["a", "b"]);
    let again = send(stage.gateway.streamed()).await;
    assert_eq!(again.status(), 500, "b's, and a is the least bad after it");
    let mut order = stage.order();
    assert_eq!(order.split_off(2), ["b", "a"]);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_leaves_in_the_middle_of_it_frees_what_it_held() {
    let scripts = vec![("a", vec![Act::Hang, good("Hi")])];
    let stage = Stage::set_with(
        "failover: { retries: 0 }, on_disconnect: { policy: cancel }",
        scripts,
        |config| {
            config.models[0].targets[0].max_in_flight = std::num::NonZeroU32::new(1);
        },
    )
    .await;
    let first = tokio::spawn(send(stage.gateway.streamed()));
    soon("it is called", async {
        while stage.order().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let full = send(stage.gateway.streamed()).await;
    assert_eq!(full.status(), 503, "one at a time");
    let refused = body(full).await;
    let message = refused["error"]["message"].as_str().expect("text");
    assert!(message.contains("a rests: 1 calls in flight"), "{message}");
    first.abort();
    let answered = soon("its place is free", async {
        loop {
            let response = send(stage.gateway.chat(asked(true))).await;
            if response.status() == 200 {
                return response;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(answered.text().await.expect("a body").contains("Hi"));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_budget_nothing_begins() {
    let scripts = vec![("a", vec![Act::Hang]), ("b", vec![good("no")])];
    let model = "failover: { retries: 1, budget: 100ms }, timeouts: { first_token: 400ms }";
    let stage = Stage::set(model, scripts).await;
    let response = send(stage.gateway.streamed()).await;
    assert_eq!(response.status(), 504);
    assert_eq!(body(response).await["error"]["code"], json!("timeout"));
    assert_eq!(stage.order(), ["a"]);
    stage.stop().await;
}

//! The same target is tried again before its first token, where that can help; the app never notices.

use std::time::Duration;

use serde_json::json;

use crate::{
    fault::{Act, Stage, Then, channel_of, error, good, names, refusal, told, torn},
    gateway::{body, header, send},
    upstream,
};

const ONE: &str = "failover: { retries: 1 }";

#[tokio::test(flavor = "multi_thread")]
async fn whatever_comes_before_the_first_token_is_tried_again_without_a_trace() {
    for fault in [
        refusal("500 Broken"),
        refusal("503 Busy"),
        refusal("529 Overloaded"),
        refusal("408 Late"),
        Act::Close,
        Act::Stream(vec![], Then::End),
        Act::Stream(vec![upstream::role()], Then::Cut),
        Act::Stream(vec![error()], Then::End),
        Act::Stream(vec![upstream::role(), error()], Then::End),
        Act::Answer("200 OK", "content-type: application/json\r\n", error()),
    ] {
        let name = format!("{fault:?}");
        let stage = Stage::set(ONE, vec![("a", vec![fault, good("Hi there")])]).await;
        let mut app = stage.stream().await;
        assert_eq!(header(&app.headers, "tokenway-attempts"), "2", "{name}");
        let payloads: Vec<String> = app.rest().await.into_iter().map(|item| item.data).collect();
        let whole = [upstream::role(), upstream::delta("Hi there"), upstream::finish()];
        assert_eq!(payloads[..3], whole, "{name}");
        assert_eq!(payloads[3..], ["[DONE]"], "{name}");
        assert_eq!(stage.order(), ["a", "a"], "{name}");
        let events = stage.events(&channel_of(&app)).await;
        assert_eq!(names(&events), ["started", "text", "usage", "finished"], "{name}");
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_does_not_stream_is_tried_again_too() {
    let whole = r#"{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;
    let json = "content-type: application/json\r\n";
    let script = vec![refusal("502 Bad"), Act::Answer("200 OK", json, whole.to_owned())];
    let stage = Stage::set(ONE, vec![("a", script)]).await;
    let response = send(stage.gateway.chat(crate::gateway::asked(false))).await;
    assert_eq!(header(response.headers(), "tokenway-attempts"), "2");
    assert_eq!(response.text().await.expect("a body"), whole, "as the provider wrote it");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_asks_for_a_rest_is_given_it() {
    let limited = Act::Answer("429 Slow", "retry-after-ms: 700\r\n", "{}".to_owned());
    let stage = Stage::set_with(ONE, vec![("a", vec![limited, good("Hi")])], |config| {
        let tokenway::config::Endpoint::Http(http) = &mut config.providers[0].endpoint else {
            panic!("it is behind a URL")
        };
        http.api_keys.truncate(1);
    })
    .await;
    let (text, _) = told(&mut stage.stream().await).await;
    assert_eq!(text, "Hi");
    let seen = stage.seen();
    assert!(seen[1].at - seen[0].at >= Duration::from_millis(700), "{seen:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_is_used_at_once_where_one_is_limited() {
    let limited = Act::Answer("429 Slow", "retry-after: 20\r\n", "{}".to_owned());
    let script = vec![limited, good("Hi"), good("Ho")];
    let stage = Stage::set("failover: { retries: 0 }", vec![("a", script)]).await;
    assert_eq!(told(&mut stage.stream().await).await.0, "Hi");
    assert_eq!(told(&mut stage.stream().await).await.0, "Ho");
    let keys: Vec<String> = stage.seen().into_iter().map(|seen| seen.key).collect();
    let [one, two] = ["Bearer a-key-number-one", "Bearer a-key-number-two"];
    assert_eq!(keys, [one, two, two], "the limited one rests");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_the_apps_own_fault_is_told_and_not_repeated() {
    let quota = r#"{"error":{"message":"no money","code":"insufficient_quota"}}"#;
    for (fault, calls) in [
        (refusal("400 Bad"), 1),
        (refusal("413 Large"), 1),
        (refusal("422 Wrong"), 1),
        (refusal("404 Unknown"), 1),
        // With each of its keys once.
        (Act::Answer("429 Slow", "", quota.to_owned()), 2),
        (refusal("401 Who"), 2),
    ] {
        let Act::Answer(status, _, theirs) = fault.clone() else { panic!("an answer") };
        let stage = Stage::set("failover: { retries: 3 }", vec![("a", vec![fault; 4])]).await;
        let response = send(stage.gateway.streamed()).await;
        assert!(status.starts_with(response.status().as_str()), "{status}");
        assert_eq!(
            body(response).await,
            serde_json::from_str::<serde_json::Value>(&theirs).expect("JSON")
        );
        assert_eq!(stage.order().len(), calls, "{status}");
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_first_token_nothing_is_tried_again() {
    for fault in [
        torn("Hi", Then::Cut),
        torn("Hi", Then::Reset),
        torn("Hi", Then::End),
        Act::Stream(vec![upstream::delta("Hi"), error()], Then::End),
    ] {
        let scripts = vec![("a", vec![fault, good("no")]), ("b", vec![good("no")])];
        let stage = Stage::set(ONE, scripts).await;
        let mut app = stage.stream().await;
        let (text, last) = told(&mut app).await;
        assert_eq!(text, "Hi");
        assert!(last.contains("\"error\""), "{last}");
        assert_eq!(stage.order(), ["a"]);
        let events = stage.events(&channel_of(&app)).await;
        assert_eq!(names(&events), ["started", "text", "usage", "failed"]);
        // The provider's count never came.
        let usage = events[2].json();
        assert_eq!((&usage["output"], &usage["estimated"]), (&json!(1), &json!(true)));
        assert_eq!(
            usage["cost"].as_f64(),
            Some((usage["input"].as_f64().expect("a count") + 10.0) / 1e6)
        );
        stage.stop().await;
    }
}

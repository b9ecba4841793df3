//! What comes when, under a paused clock.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_slow_start_sends_comments_before_the_first_token() {
    let answer = ask("sim-slow-start", json!({ "simulator": { "first_token_ms": 3500 } })).await;
    let comments: Vec<_> =
        answer.items.iter().filter(|(_, item)| *item == Ok(chunk::COMMENT)).collect();
    assert_eq!(comments.iter().map(|(at, _)| at.as_secs()).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert!(answer.times_of_tokens()[0] >= Duration::from_millis(3500));
    assert_eq!(answer.finishes(), ["stop"]);
}

#[tokio::test(start_paused = true)]
async fn eighty_tokens_come_in_every_second() {
    let answer = ask("sim-long", json!({ "simulator": { "first_token_ms": 1000 } })).await;
    let times = answer.times_of_tokens();
    assert_eq!(times[0].as_secs(), 1);
    for second in 1..20 {
        let count = times.iter().filter(|at| at.as_secs() == second).count();
        assert!((78..=82).contains(&count), "{count} tokens in second {second}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_comes_together_at_the_same_rate() {
    let control = json!({ "burst": 10, "jitter": 0, "tokens": 200, "tokens_per_second": 100 });
    let times = ask("sim-text", json!({ "simulator": control })).await.times_of_tokens();
    assert_eq!(times.len(), 200);
    let moments: std::collections::BTreeSet<_> = times.iter().collect();
    assert_eq!(moments.len(), 20);
    let spread = times[199] - times[0];
    assert!((1890..=1910).contains(&spread.as_millis()), "{spread:?}");
}

#[tokio::test(start_paused = true)]
async fn choices_are_interleaved_and_each_keeps_the_rate() {
    let more = json!({ "n": 3, "simulator": { "tokens": 160, "jitter": 0 } });
    let answer = ask("sim-text", more).await;
    let order: Vec<_> =
        answer.chunks().iter().filter_map(|chunk| chunk["choices"][0]["index"].as_u64()).collect();
    assert_eq!(order[..9], [0, 1, 2, 0, 1, 2, 0, 1, 2]);
    assert_eq!(answer.finishes(), ["stop", "stop", "stop"]);
    assert_ne!(answer.said(0, "content"), answer.said(1, "content"));
    let times = answer.times_of_tokens();
    assert_eq!(times.len(), 480);
    assert_eq!((times[479] - times[0]).as_secs(), 1, "160 tokens of each at 80 in a second");
}

#[test]
fn a_call_that_is_dropped_leaves_nothing_behind() {
    let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let body = Bytes::from(body("sim-long", true, json!({})).to_string());
        let request = Request {
            method: Method::POST,
            path: "/chat/completions".to_owned(),
            headers: HeaderMap::new(),
            body,
            connect_timeout: Duration::from_secs(1),
        };
        let mut response = Simulator::default().call(request).await.expect("an answer");
        assert!(response.body.next().now_or_never().is_none(), "the first token takes its time");
        drop(response);
        assert_eq!(runtime::Handle::current().metrics().num_alive_tasks(), 0);
    });
}

#[tokio::test(start_paused = true)]
async fn no_pace_is_too_slow_for_the_clock() {
    for control in [
        json!({ "tokens_per_second": 1e-300, "tokens": 3 }),
        json!({ "first_token_ms": u64::MAX, "tokens": 3 }),
    ] {
        let answer = ask("sim-text", json!({ "simulator": control })).await;
        assert!(!answer.ended);
    }
}

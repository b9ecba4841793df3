//! Who looks on at one gateway counts at the one that runs what is looked at.

use std::time::Duration;

use serde_json::{Value, json};
use tokenway::sequence::From;
use tokio::time::Instant;

use crate::{
    gateway::{Gateway, client},
    nats::Nats,
    node::{Node, key, within},
    support::begin,
    teller::Teller,
};

const MODEL: &str = r#"  teller: { targets: [ { provider: teller, model: teller } ], on_disconnect: { policy: grace, grace: 1s } }"#;
const SOON: Duration = Duration::from_secs(5);
/// A viewer that went away is believed to be there for so long, and then comes the grace.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_looks_on_elsewhere_keeps_a_generation_going_and_nobody_does_not() {
    let Some(nats) = Nats::start() else { return };
    let teller = Teller::start(3_000).await;
    let nodes = [0, 1].map(|_| Gateway::with(&nats.url(), &teller.yaml, MODEL));
    let http = client();
    let body = json!({ "model": "teller", "stream": true, "messages": [{ "role": "user", "content": "go" }] });
    let app = http.post(format!("{}/v1/chat/completions", nodes[0].url)).json(&body);
    let app = app.header("tokenway-channel", "chat").send().await.expect("it answers");
    let url = format!("{}/v1/channels/chat/events", nodes[1].url);
    let viewer = http.get(url).send().await.expect("it answers");
    assert_eq!(viewer.status(), 200);
    let state = async || -> Value {
        let url = format!("{}/v1/channels/chat", nodes[0].url);
        let answer = http.get(url).send().await.expect("it answers");
        answer.json::<Value>().await.expect("JSON")["generations"][0].clone()
    };
    // As soon as it is known that somebody looks on elsewhere, the app may go.
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(app);
    let gone = Instant::now();
    while gone.elapsed() < Duration::from_secs(4) {
        assert_eq!(
            state().await["state"],
            "running",
            "{:?} after its app has gone",
            gone.elapsed()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(viewer);
    let gone = Instant::now();
    let ended = loop {
        let generation = state().await;
        if generation["state"] != "running" {
            break generation;
        }
        assert!(gone.elapsed() < GIVEN_UP_WITHIN, "nobody looks on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(ended["error"]["code"], "cancelled", "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_nobody_looks_at_here_is_not_followed_for_as_long_as_it_runs_elsewhere() {
    let Some(nats) = Nats::start() else { return };
    let (a, b) = (Node::start(&nats.url()).await, Node::start(&nats.url()).await);
    let channel = a.open("chat").await;
    let mut producer = begin(&channel, "gen_1");
    producer.shown().await;
    let there = b.find("chat").await;
    let reader = there.read(From::Beginning).expect("it reads");
    drop(there);
    let later = Instant::now() + Duration::from_secs(60);
    b.channels.sweep(later).await;
    assert!(b.channels.live(&key("chat")).is_some(), "somebody looks on");
    drop(reader);
    b.channels.sweep(Instant::now()).await;
    assert!(b.channels.live(&key("chat")).is_some(), "whoever reconnects finds it");
    b.channels.sweep(later).await;
    assert!(b.channels.live(&key("chat")).is_none(), "nobody looks on");
    let again = b.find("chat").await;
    within(SOON, "it is there again", || again.head() == channel.head()).await;
    drop(producer);
}

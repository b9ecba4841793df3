//! `on_break: continue` where gateways share a NATS: a gateway that is lost takes no answer with it. Another one goes on from
//! the text so far, on the same channel, in a new epoch.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    gateway::{Gateway, client},
    nats::Nats,
    node::{ENDS_WITHIN, run},
    seen::{Place, World, replay, sse},
    teller::Teller,
};

const MODEL: &str =
    r#"  teller: { targets: [ { provider: teller, model: teller } ], on_break: continue }"#;
const SOON: Duration = Duration::from_secs(5);

struct Stage {
    _nats: Nats,
    teller: Teller,
    nodes: Vec<Gateway>,
    http: reqwest::Client,
}

/// What a viewer has seen: each event's cursor, name and data, and when it came.
type Seen = std::sync::Arc<parking_lot::Mutex<Vec<(Instant, Option<String>, String, Value)>>>;

impl Stage {
    async fn set(words: usize, nodes: usize) -> Option<Self> {
        let nats = Nats::start()?;
        let teller = Teller::start(words).await;
        let nodes = (0..nodes).map(|_| Gateway::with(&nats.url(), &teller.yaml, MODEL)).collect();
        Some(Self { _nats: nats, teller, nodes, http: client() })
    }

    async fn begin(&self, node: usize) {
        let body = json!({ "model": "teller", "stream": true, "messages": [{ "role": "user", "content": "the prompt" }] });
        let call = self.http.post(format!("{}/v1/chat/completions", self.nodes[node].url));
        let call = call.header("prefer", "respond-async").header("tokenway-channel", "chat");
        let answer = call.json(&body).send().await.expect("it answers");
        assert_eq!(answer.status(), 202);
    }

    /// Looks on at a node until the channel's stream there ends.
    async fn watch(&self, node: usize) -> (Seen, JoinHandle<()>) {
        let url = format!("{}/v1/channels/chat/events", self.nodes[node].url);
        let answer = self.http.get(url).send().await.expect("it answers");
        let seen = Seen::default();
        let told = Seen::clone(&seen);
        let reads = run(async move {
            let reads = sse(answer, |id, name, data| {
                let data = serde_json::from_str(data).expect("JSON");
                told.lock().push((Instant::now(), id.map(str::to_owned), name.to_owned(), data));
            });
            reads.await;
        });
        (seen, reads)
    }

    async fn state(&self, node: usize) -> Value {
        let url = format!("{}/v1/channels/chat", self.nodes[node].url);
        let answer = self.http.get(url).send().await.expect("it answers");
        answer.json().await.expect("JSON")
    }

    /// Waits until the generation has ended, and says how it stands.
    async fn ended(&self, node: usize, limit: Duration) -> Value {
        let began = Instant::now();
        loop {
            let state = self.state(node).await;
            let generation = state["generations"][0].clone();
            if generation["state"] != "running" {
                return generation;
            }
            assert!(began.elapsed() < limit, "it still runs: {state}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn until(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn names(seen: &Seen, name: &str) -> usize {
    seen.lock().iter().filter(|(_, _, it, _)| it == name).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_gateway_ran_goes_on_at_another_and_then_at_the_third() {
    let Some(mut stage) = Stage::set(500, 3).await else { return };
    let world = World::default();
    stage.begin(0).await;
    let (seen, reads) = stage.watch(2).await;
    until(SOON, "words come", || names(&seen, "text") > 50).await;
    stage.nodes[0].kill();
    let killed = Instant::now();
    until(ENDS_WITHIN, "it goes on", || names(&seen, "resumed") == 1).await;
    let before = names(&seen, "text");
    until(ENDS_WITHIN, "and says more", || names(&seen, "text") > before).await;
    println!("the next word comes {:?} after the kill", killed.elapsed());

    // Whichever of the two took over is lost, too. The viewer is at the third.
    let (status, _) = metrics(&stage, 1).await;
    let second = if status { 1 } else { 2 };
    let third = 3 - second;
    let words = stage.teller.said();
    until(SOON, "more words come", || stage.teller.said() > words + 50).await;
    stage.nodes[second].kill();
    let generation = stage.ended(third, 3 * SOON).await;
    assert_eq!(generation["state"], "finished", "{generation}");
    assert_eq!(generation["text"], stage.teller.whole(), "nothing is missing, and nothing twice");
    assert_eq!(stage.teller.calls(), 3);
    // What was seen and what is there now are the same, under the same cursors.
    let told =
        replay(&stage.http, &stage.nodes[third].url, "chat", "0").await.expect("it is there");
    let mut place = Place::new(&world, "chat", 0);
    told.iter().for_each(|(id, name, data)| place.take(id.as_deref(), name, data.clone()));
    let resumed: Vec<_> = told.iter().filter(|(_, name, _)| name == "resumed").collect();
    assert_eq!(resumed.len(), 2);
    for (_, _, it) in resumed {
        assert_eq!((&it["from"], &it["to"]), (&json!("teller"), &json!("teller")));
        assert_eq!(it["reason"], "the gateway that ran it was lost");
    }
    let mut viewer = Place::new(&world, "chat", 0);
    for (_, id, name, data) in seen.lock().iter() {
        viewer.take(id.as_deref(), name, data.clone());
    }
    reads.abort();
}

/// Whether a gateway runs a generation, and all that its metrics say.
async fn metrics(stage: &Stage, node: usize) -> (bool, String) {
    let url = format!("{}/metrics", stage.nodes[node].url);
    let text = stage.http.get(url).send().await.expect("it answers").text().await.expect("text");
    (text.contains("\ntokenway_generations_running 1\n"), text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cancelled_after_its_gateway_was_killed_stays_cancelled() {
    let Some(mut stage) = Stage::set(2_000, 3).await else { return };
    stage.begin(0).await;
    let (seen, reads) = stage.watch(1).await;
    until(SOON, "words come", || names(&seen, "text") > 50).await;
    stage.nodes[0].kill();
    let cancel = stage.http.post(format!("{}/v1/channels/chat/cancel", stage.nodes[1].url));
    let answer = cancel.json(&json!({})).send().await.expect("it answers");
    assert_eq!(answer.status(), 200);
    let generation = stage.ended(2, ENDS_WITHIN).await;
    assert_eq!(generation["error"]["code"], "cancelled", "{generation}");
    // Nobody pays for what nobody wants.
    until(SOON, "its viewer is told", || names(&seen, "failed") == 1).await;
    let said = stage.teller.said();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(stage.teller.said() <= said + 2, "the provider says nothing more");
    reads.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_longer_than_a_gateway_that_stops_goes_on_at_another() {
    // A gateway that stops waits ten seconds for what it runs.
    let Some(mut stage) = Stage::set(1_300, 2).await else { return };
    stage.begin(0).await;
    let (seen, reads) = stage.watch(1).await;
    until(SOON, "words come", || names(&seen, "text") > 10).await;
    let mut stopping = stage.nodes.remove(0);
    let stopped = tokio::task::spawn_blocking(move || {
        stopping.stop();
        stopping
    });
    stopped.await.expect("it stops");
    let stopped = Instant::now();
    until(SOON, "it goes on", || names(&seen, "resumed") == 1).await;
    println!("it goes on {:?} after the other process has ended", stopped.elapsed());
    let generation = stage.ended(0, 3 * SOON).await;
    assert_eq!(generation["state"], "finished", "{generation}");
    assert_eq!(generation["text"], stage.teller.whole());
    assert_eq!(stage.teller.calls(), 2);
    reads.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_call_is_left_where_it_has_ended() {
    let Some(stage) = Stage::set(20, 1).await else { return };
    stage.begin(0).await;
    assert_eq!(stage.ended(0, SOON).await["state"], "finished");
    let nats = async_nats::connect(stage._nats.url()).await.expect("NATS is there");
    let jetstream = async_nats::jetstream::new(nats);
    let began = Instant::now();
    loop {
        let calls = jetstream.get_stream("tokenway_CALLS").await.expect("the stream");
        let state = calls.get_info().await.expect("an answer").state;
        if state.messages == 0 {
            assert_eq!(state.last_sequence, 1, "there was one");
            break;
        }
        assert!(began.elapsed() < SOON, "the call is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
